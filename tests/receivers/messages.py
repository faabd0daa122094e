"""Messages for tests."""

from datetime import UTC, datetime
from typing import Any

from tvarr_backup.receivers.messages import OutgoingMessage


def make_message(**changes: Any) -> OutgoingMessage:
    members = {
        "id": "01JDXJ5Q0000000000000000AB",
        "event": "backup_failed",
        "is_over": False,
        "subject": "Backup failed",
        "text": "Backup failed: the disk is full.\nYour existing backups are unchanged.",
        "created_at": datetime(2026, 11, 30, 2, 0, tzinfo=UTC),
        "installation": "harbour",
        "data": {"error_code": "no_room"},
    }
    return OutgoingMessage(**{**members, **changes})
