"""Uploads and downloads of backups for API and pages, in blocks."""
