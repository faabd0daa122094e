"""Backups: the folder as it is now, and what can be done with it."""
