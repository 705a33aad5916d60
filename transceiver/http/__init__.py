"""The public HTTP surface: routes, bodies and errors in the API's own shape."""
