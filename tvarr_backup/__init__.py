"""Reliable backups and portable configuration for tvarr."""

__version__ = "0.1.0"
