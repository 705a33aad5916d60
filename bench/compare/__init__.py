"""Echo servers of this project and of others, side by side under the same load."""
