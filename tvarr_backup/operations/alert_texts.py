"""The texts of messages about changes of state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from tvarr_backup.formatting import format_duration, format_time
from tvarr_backup.operations.alert_models import AlertEvent, label_event
from tvarr_backup.operations.alerts import Change, ChangeKind, Held
from tvarr_backup.operations.outbox import Content

_MOST_MEMBERS = 20
_TITLES: Mapping[str, tuple[str, str]] = {
    AlertEvent.BACKUP_FAILED: ("Backup failed", "Backups work again"),
    AlertEvent.BACKUP_OVERDUE: ("Backup overdue", "Backup no longer overdue"),
    AlertEvent.NO_RECENT_BACKUP: ("No recent backup", "There is a recent backup again"),
    AlertEvent.BACKUP_DAMAGED: ("Backup damaged", "No damaged backups any more"),
    AlertEvent.VERIFICATION_FAILED: ("Verification failed", "Verification works again"),
    AlertEvent.COPY_FAILED: ("Copying to {name} failed", "Copying to {name} works again"),
    AlertEvent.COPY_DAMAGED: ("Copy in {name} damaged", "No damaged copies in {name} any more"),
    AlertEvent.LOCATION_BEHIND: ("Location {name} is behind", "Location {name} is not behind any more"),
    AlertEvent.RESTORE_IMPOSSIBLE: ("Restore not possible", "Restore possible again"),
    AlertEvent.REHEARSAL_FAILED: ("Rehearsal failed", "Rehearsal succeeded again"),
    AlertEvent.DISK_FILLING: ("Disk will soon be full", "Disk has enough room again"),
    AlertEvent.WORKER_STOPPED: ("No worker is running", "A worker is running again"),
    AlertEvent.QUEUE_STUCK: ("Operations do not start", "Operations start again"),
    AlertEvent.BACKUP_FOLDER: ("Problem with the backup folder", "Backup folder OK again"),
    AlertEvent.TVARR_DATABASE: ("Problem with tvarr's database", "tvarr's database OK again"),
    AlertEvent.OWN_DATABASE: ("Problem with the own database", "Own database OK again"),
    AlertEvent.RECEIVER_FAILING: ("Alerts do not arrive everywhere", "All receivers of alerts work again"),
}
"""Titles of a problem, and of its end. Others are the label of their event."""


def write_change(change: Change, now: datetime) -> Content:
    """Return the message about a change."""
    is_over = change.kind is ChangeKind.OVER
    began, ended = _TITLES.get(change.event, (label_event(change.event), f"{label_event(change.event)}: OK again"))
    name = change.key.partition(":")[2]
    title = (ended if is_over else began).replace("{name}", name)
    lines = [str(change.message), *_describe_history(change)]
    return Content(
        event=change.event,
        key=change.key,
        subject=f"{title} ({_sender()})",
        text="\n\n".join(line for line in lines if line),
        is_over=is_over,
        data=_data(change, now),
    )


def write_reminder(held: Sequence[Held], now: datetime) -> Content:
    """Return the reminder of all problems that have not ended."""
    count = "1 problem has" if len(held) == 1 else f"{len(held)} problems have"
    parts = [f"Reported on {format_time(one.since)}: {one.message}" for one in held]
    return Content(
        event=AlertEvent.REMINDER,
        key=AlertEvent.REMINDER,
        subject=f"Reminder: {count} not ended ({_sender()})",
        text="\n\n".join(parts),
        data={"keys": [one.key for one in held][:_MOST_MEMBERS], "at": now.isoformat()},
    )


def write_outage(problem: str) -> Content:
    """Return the message that this program's own database cannot be used."""
    lines = (problem, "Until this is fixed, no automatic backups are made and no other alerts are sent.")
    return _write_outage("Own database cannot be used", lines, is_over=False)


def write_outage_end(problem: str, since: datetime) -> Content:
    """Return the message that the database can be used again."""
    lines = ("Automatic backups and alerts work again.", f"Reported on {format_time(since)}:\n{problem}")
    return _write_outage("Own database can be used again", lines, is_over=True)


def _write_outage(title: str, lines: Sequence[str], *, is_over: bool) -> Content:
    event = AlertEvent.OWN_DATABASE
    return Content(event, event, f"{title} ({_sender()})", "\n\n".join(lines), is_over=is_over)


def _sender() -> str:
    return f"tvarr-backup on {settings.NOTIFY_NAME}"


def _describe_history(change: Change) -> list[str]:
    held = change.held
    if held is None:
        return []
    since = format_time(held.since)
    if change.kind is ChangeKind.WORSE:
        return [f"The problem was first reported on {since} and is now worse."]
    if change.kind is not ChangeKind.OVER:
        return []
    distance = change.at - held.since  # negative if the clock was put back
    earlier = f" {format_duration(distance)} earlier," if distance > timedelta() else ""
    return [f"Reported{earlier} on {since}:\n{held.message}"]


def _data(change: Change, now: datetime) -> dict[str, Any]:
    since = change.held.since if change.held else change.at
    return {
        "key": change.key,
        "change": str(change.kind),
        "since": since.isoformat(),
        "at": now.isoformat(),
        "members": sorted(change.members)[:_MOST_MEMBERS],
        "operation": change.cause,
    }
