"""States of the configuration by their names: now, a backup, a time, or an import."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import Error
from django.utils import timezone

from tvarr_backup import conf
from tvarr_backup.backups.catalogue import Backup, configuration_of, find_backup
from tvarr_backup.backups.lookup import find_name
from tvarr_backup.backups.names import parse_name
from tvarr_backup.errors import BackupNotFound, StateNotFound, StateUnread
from tvarr_backup.formatting import format_time
from tvarr_backup.operations import history
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.models import HistoryEvent, HistoryEventKind, ReadConfiguration, delete_oldest
from tvarr_backup.packed_rows import unpack
from tvarr_backup.portable.states import State, read_current_state, state_of_tables
from tvarr_backup.quoting import quoted

NOW = "now"
EXPECTED = (
    'Expected "now", a backup (its name, the start of it, or "latest"), a time such as "2026-11-24" or "2026-11-24T18:00", or '
    '"import:ID"'
)
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?)?", re.ASCII)
_IMPORT = "import:"
_KEPT = 50
"""Configurations that are kept for backups without a metadata file of ours."""


@dataclass(frozen=True)
class NamedState:
    """A state, the text that names it, and the time of it (None for a backup without a date)."""

    name: str
    state: State
    at: datetime | None
    backup: Backup | None = None

    @property
    def is_now(self) -> bool:
        return self.name == NOW


def find_state(text: str) -> NamedState:
    """Return the state that a text names.

    Times without an offset are local; a date alone is the start of the day. `import:ID` is the state right after that import. Raises
    `StateNotFound`, `StateUnavailable`, `StateUnread`, and what `find_name` and `find_backup` raise.
    """
    if text == NOW:
        return NamedState(NOW, read_current_state(), datetime.now(UTC))
    if text.startswith(_IMPORT):
        return _after_import(text)
    if _TIME.fullmatch(text):
        moment = _read_time(text)
        return NamedState(text, history.state_at(moment), moment)
    return _of_backup(text)


def _after_import(text: str) -> NamedState:
    kinds = (HistoryEventKind.IMPORT, HistoryEventKind.UNDO)
    key = text.removeprefix(_IMPORT)
    is_possible = key and "\0" not in key  # PostgreSQL refuses NUL
    event = HistoryEvent.objects.filter(kind__in=kinds, subject=key.upper()).first() if is_possible else None
    if event is None:
        raise StateNotFound("The history has no import {key}.", key=quoted(key))
    return NamedState(text, history.state_at(event.at), event.at)


def _read_time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise StateNotFound('Expected a time such as "2026-11-24T18:00", got {text}.', text=quoted(text)) from None
    moment = found if found.tzinfo else timezone.make_aware(found)
    if moment > datetime.now(UTC):
        raise StateNotFound("{time} is in the future. Choose an earlier time.", time=format_time(moment))
    return moment


def _of_backup(text: str) -> NamedState:
    try:
        backup = find_backup(backup_folder(), find_name(backup_folder(), text))
    except BackupNotFound as problem:
        if parse_name(text) is not None or text.startswith("latest"):
            raise
        raise StateNotFound("{expected}, got {text}.", expected=EXPECTED, text=quoted(text)) from problem
    return NamedState(backup.filename, state_of_backup(backup), backup.sidecar.known_at, backup)


def state_of_backup(backup: Backup) -> State:
    """Return the configuration in a backup. Raises `StateUnread` if the backup has to be unpacked first."""
    for packed in (configuration_of(backup_folder(), backup.filename), _kept_configuration(backup)):
        try:
            if packed:
                return state_of_tables(unpack(packed))
        except ValueError:
            continue
    raise StateUnread(
        "The configuration of {filename} has not been read yet. Read or verify the backup, and try again.",
        backup.filename,
    )


def keep_configuration(backup: Backup, packed: str) -> None:
    """Keep the configuration of a backup whose metadata file cannot."""
    if conf.has_our_tables():
        values = {"packed": packed, "read_at": datetime.now(UTC)}
        ReadConfiguration.objects.update_or_create(checksum=backup.sidecar.checksum, defaults=values)
        delete_oldest(ReadConfiguration.objects.all(), _KEPT)


def _kept_configuration(backup: Backup) -> str:
    if not conf.has_our_tables():
        return ""
    try:
        kept = ReadConfiguration.objects.filter(checksum=backup.sidecar.checksum)
        return str(kept.values_list("packed", flat=True).first() or "")
    except Error:
        return ""
