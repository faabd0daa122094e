"""Date formats of the admin, the same as on our pages."""
