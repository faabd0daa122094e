"""Types of files, recognized by their first bytes."""

GZIP = b"\x1f\x8b"
SQLITE = b"SQLite format 3\0"
_BACKUPS = {
    GZIP: "a compressed file, perhaps a backup",
    SQLITE: "an SQLite database",
    b"PK\x03\x04": "a zip archive, perhaps another program's backup",
}
_OTHERS = {
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"%PDF": "a PDF document",
    b"#EXTM3U": "a channel list",
    b"<": "an XML or HTML file",
}


def name_backup_type(start: bytes) -> str:
    """Return the type of a file that may be some program's backup, or ""."""
    return next((name for magic, name in _BACKUPS.items() if start.startswith(magic)), "")


def name_type(start: bytes) -> str:
    """Return the type of a file, such as "an image", or ""."""
    return name_backup_type(start) or next((name for magic, name in _OTHERS.items() if start.startswith(magic)), "")
