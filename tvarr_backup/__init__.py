"""Backups that can be trusted and configuration that travels, for tvarr."""

__version__ = "0.1.0"
