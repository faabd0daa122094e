"""Uploads and downloads of backups, for the API and the pages."""
