"""The API's calls about backups."""
