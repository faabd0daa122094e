"""Django's SQLite backend for tvarr's database."""
