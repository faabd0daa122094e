"""The HTTP API, `/api/v1`: the same domain functions as commands and admin, and tvarr's own paths and shapes."""
