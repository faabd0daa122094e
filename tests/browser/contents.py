"""Fictional configuration, backups and files for the screenshots."""

from __future__ import annotations

from typing import Any

from tvarr_backup import __version__

WRITTEN_BY = f"tvarr-backup {__version__}"


def _filter(name: str, expression: str | None, **members: Any) -> dict[str, Any]:
    return {"name": name, "expression": expression, "source_type": "stream", "action": "include"} | members


def _rule(name: str, expression: str) -> dict[str, Any]:
    usual = {"source_type": "stream", "priority": 10, "stop_on_match": False, "is_enabled": True}
    return {"name": name, "expression": expression} | usual


def _client(name: str, device: str, **members: Any) -> dict[str, Any]:
    expression = f'@dynamic(request.headers):user-agent contains "{device}"'
    usual = {"priority": 50, "is_enabled": True, "supports_fmp4": True, "supports_mpegts": True}
    return {"name": name, "expression": expression} | usual | members


def _profile(name: str, quality: str) -> dict[str, Any]:
    usual = {"target_video_codec": "h265", "target_audio_codec": "aac", "hw_accel": "auto", "is_default": False}
    return {"name": name, "quality_preset": quality, "enabled": True} | usual


def document(kind: str, *items: Any, written_by: str = WRITTEN_BY) -> dict[str, Any]:
    """Return an export as a JSON value."""
    head = {"version": "1.0.0", "tvarr_version": written_by, "export_type": kind, "item_count": len(items)}
    return {"metadata": head | {"exported_at": "2026-05-12T19:04:05Z"}, "items": list(items)}


_NEWS = _filter("Evening news", 'group_title == "News" AND channel_name contains "HD"')
FILTERS = document(
    "filters",
    _NEWS,
    _filter("Harbour sports", 'group_title contains "Sports"'),
    _filter("No shopping", 'channel_name contains "Shop"', action="exclude"),
    _filter("Radio", 'group_title == "Radio"', description="For the kitchen."),
)
OWN = (
    document("encoding_profiles", _profile("HEVC high", "high"), _profile("Tablet HEVC", "low")),
    FILTERS,
    document(
        "data_mapping_rules",
        _rule("Tidy names", 'channel_name contains "HD" SET tvg_name = "x"'),
        _rule("Films together", 'channel_name contains "Cinema" SET group_title = "Films"'),
    ),
    document(
        "client_detection_rules",
        _client("Kitchen tablet", "Tablet"),
        _client("Living room", "TV", encoding_profile_name="HEVC high"),
    ),
)

OF_THE_NEIGHBOUR = document(
    "filters",
    _filter("Films in 4K", 'channel_name contains "4K"'),
    _filter("Children", 'group_title contains "Kids"'),
    _NEWS,
    _filter("Harbour sports", 'group_title contains "Sport" OR group_title contains "Football"'),
    _filter("Radio", 'group_title == "Radio"', action="exclude", description="For the garage."),
    _filter("Sports Only", 'group_title contains "Sports"', action="exclude"),
    _filter("Half a thought", 'group_title == "News" AND ('),
    _filter("Late films", None),
    written_by="0.0.27",
)
"""Compared with `FILTERS`: three new (one with an expression that tvarr cannot run), one unchanged, two changed, one built-in
and one invalid item."""

WITH_REFERENCES = document(
    "client_detection_rules",
    _client("Bedroom", "Bedroom", encoding_profile_name="AV1 small"),
    _client("Workshop", "Workshop", encoding_profile_name="AV1 small"),
    _client("Veranda", "Veranda", encoding_profile_name="H.265 high quality"),
)

OF_THE_SUMMER_HOUSE = {
    "metadata": document("filters")["metadata"] | {"version": "1.1.0", "export_type": "bundle", "item_count": 7},
    "sections": {
        "encoding_profiles": [_profile("Attic HEVC", "medium"), _profile("HEVC high", "medium"), _profile("", "low")],
        "filters": [
            _filter("Weather", 'channel_name contains "Weather"'),
            _filter("Harbour cams", 'group_title == "Cams"', description="For the hall."),
        ],
        "client_detection_rules": [
            _client("Attic TV", "Attic", encoding_profile_name="Attic HEVC"),
            _client("Boat", "Boat", encoding_profile_name="AV1 small"),
        ],
    },
}
"""A bundle with a changed profile, an invalid one, and a missing reference."""

EDITED_IN_TVARR = (
    """UPDATE filters SET expression = 'group_title == "News" AND channel_name contains "UHD" AND NOT channel_name contains "Radio"'
    WHERE name = 'Evening news'""",
    "UPDATE filters SET name = 'Kitchen radio' WHERE name = 'Radio'",
    "DELETE FROM filters WHERE name = 'No shopping'",
    """UPDATE data_mapping_rules SET priority = 20, expression = 'channel_name contains "UHD" SET tvg_name = "x"'
    WHERE name = 'Tidy names'""",
    "UPDATE encoding_profiles SET quality_preset = 'medium' WHERE name = 'Tablet HEVC'",
)
"""Items of `OWN` are changed, renamed and deleted."""

WITH_CREDENTIALS = (
    """UPDATE data_mapping_rules SET description = 'See http://gull:feather7@tv.example.test/list.m3u' WHERE name = 'Films together'""",
    """UPDATE encoding_profiles SET description = 'For http://tv.example.test/play?token=feather7' WHERE name = 'HEVC high'""",
)

SOME_WEEKS = """
from datetime import UTC, datetime, timedelta
from django.core.management import call_command
from tvarr_backup import conf
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.backups.sidecar import BackupKind
for days in range(33, 8, -6):
    call_command("demo_data", channels=250, programmes=4_000, items=0)
    made = (datetime.now(UTC) - timedelta(days=days)).replace(hour=2, minute=0, second=4)
    kind = BackupKind.MANUAL if days == 21 else BackupKind.SCHEDULED
    note = "before the new provider" if days == 21 else ""
    create_backup(conf.live_database(), prepare_folder(conf.backup_path()), conf.required_schema(), kind=kind, note=note, now=made)
"""
"""Five backups of a growing database, the last of them nine days old."""

MORE_THAN_A_PAGE = """
from tvarr_backup import conf
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.backups.sidecar import BackupKind
for _ in range(25):
    create_backup(conf.live_database(), prepare_folder(conf.backup_path()), conf.required_schema(), kind=BackupKind.SCHEDULED)
"""

BY_THE_SCHEDULE = """
from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.operations.models import OperationKind, Origin
from tvarr_backup.operations.run import run_here
try:
    run_here(OperationKind.BACKUP, requested_by=None, origin=Origin.SCHEDULE, arguments={})
except TvarrBackupError:
    pass
"""
"""Make an automatic backup now."""

MESSAGES = """
from datetime import UTC, datetime, timedelta
from tvarr_backup.operations.alert_models import PING, Alert, MessageState, OutboxMessage, Receiver
from tvarr_backup.operations.outbox import Content, queue_message
from tvarr_backup.sentences import Sentence
now = datetime.now(UTC)
sentence = Sentence("The backup of {time} failed: the disk is full.", time="2 Nov 2026, 02:00")
Alert.objects.create(
    key="backup_failed", event="backup_failed", sentence=sentence.as_data(), since=now - timedelta(hours=3), reminded_at=now
)
copying = Sentence("Copying to {name} failed: the server does not answer.", name="nas")
Alert.objects.create(
    key="copy_failed:nas", event="copy_failed", sentence=copying.as_data(), since=now - timedelta(hours=9), reminded_at=now
)
Receiver.objects.filter(name="phone").update(reminds_daily=True)
subject = "Backup failed (tvarr-backup on harbour)"
text = "The backup of 2 Nov 2026, 02:00 failed: the disk is full.\\nYour existing backups are unchanged. Free some space."
for name in ("phone", "server"):
    content = Content("backup_failed", "backup_failed", subject, text)
    queue_message(Receiver.objects.get(name=name), content, now - timedelta(hours=3))
server = OutboxMessage.objects.filter(receiver__name="server", event="backup_failed")
server.update(state=MessageState.SENT, attempts=1, answer="200 OK: Thank you", sent_at=now - timedelta(hours=3))
OutboxMessage.objects.filter(receiver__name="phone", event="backup_failed").update(attempts=5)
monitor = {"kind": PING, "url": "https://hc-ping.com/…", "environment_digest": "0" * 64, "created_at": now}
Receiver.objects.create(name="ping", sent_at=now - timedelta(hours=5), answer="200 OK", **monitor)
"""
"""Messages, problems and a monitor, as the sending process stores them. The receivers `phone` and `server` exist."""
