"""What runs beside the services, only where they are deployed."""
