"""Backups of an SQLite database: explicit paths and values, no Django."""
