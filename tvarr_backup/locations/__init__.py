"""Copies of backups in other places: a share, a bucket or another machine."""
