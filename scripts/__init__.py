"""Command-line tools behind the Makefile; the services do not import them."""
