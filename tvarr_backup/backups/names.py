"""The one grammar of backup file names: `tvarr-backup-2025-12-14T10-30-00[.123].db.gz`, times in UTC.

tvarr's newer archives have the same names with `.tar.gz`.
"""

import re
from collections.abc import Container
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property, lru_cache

from tvarr_backup.ranges import known_moment

_STAMPED = r"tvarr-backup-([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}(?:\.[0-9]{3})?)"
_NAME = re.compile(_STAMPED + r"(\.db\.gz|\.tar\.gz)", re.ASCII)
_STAMP = re.compile(_STAMPED + r"(?![0-9])", re.ASCII)
_SIDECAR_ENDING = ".meta.json"
_REMEMBERED = 2**16
"""Names; all of a folder with thousands of backups must fit."""


class ArchiveFormat(StrEnum):
    """The format of an archive, by the ending of its name."""

    GZIP = ".db.gz"
    TAR = ".tar.gz"


@dataclass(frozen=True)
class BackupName:
    """A file name that is one of ours or of tvarr's; `moment` is aware UTC."""

    filename: str
    moment: datetime
    format: ArchiveFormat

    @cached_property
    def sidecar(self) -> str:
        """The name of the file that describes the archive."""
        return self.filename.removesuffix(self.format) + _SIDECAR_ENDING


@lru_cache(maxsize=_REMEMBERED)
def parse_name(filename: str) -> BackupName | None:
    """Return the parts of a backup's name, or `None` for another name."""
    match = _NAME.fullmatch(filename)
    moment = _moment(match[1]) if match else None
    return BackupName(filename, moment, ArchiveFormat(match[2])) if match and moment else None


def moment_in(filename: str) -> datetime | None:
    """Return the time in a backup's name, also where a browser or a desktop has changed what surrounds it.

    `Copy of tvarr-backup-2026-03-02T02-00-00.db (1).gz` still has the time that tvarr gave it, in UTC. `None` where there is no
    such time, more than one, or one that is out of range.
    """
    found = {_moment(stamp) for stamp in _STAMP.findall(filename)}
    moment = found.pop() if len(found) == 1 else None
    return moment and known_moment(moment)


@lru_cache(maxsize=_REMEMBERED)
def archive_of_sidecar(filename: str) -> BackupName | None:
    """Return the archive of a sidecar by its name, or `None` for another name."""
    stem = filename.removesuffix(_SIDECAR_ENDING)
    return parse_name(stem + ArchiveFormat.GZIP) if stem != filename else None


def new_name(moment: datetime, taken: Container[str]) -> BackupName:
    """Return a name for a backup of this time whose archive and sidecar are not in `taken`.

    Where the second is taken, milliseconds are added and counted up: names only have to differ.
    """
    utc = moment.astimezone(UTC)
    name = BackupName(f"tvarr-backup-{_stamp(utc)}.db.gz", utc.replace(microsecond=0), ArchiveFormat.GZIP)
    while name.filename in taken or name.sidecar in taken:
        utc = utc.replace(microsecond=utc.microsecond // 1000 * 1000)
        filename = f"tvarr-backup-{_stamp(utc)}.{utc.microsecond // 1000:03d}.db.gz"
        name = BackupName(filename, utc, ArchiveFormat.GZIP)
        utc += timedelta(milliseconds=1)
    return name


def _moment(stamp: str) -> datetime | None:
    """Return the time of a stamp, as aware UTC; `None` for a 13th month."""
    whole, _, milliseconds = stamp.partition(".")
    day, _, time = whole.partition("T")
    try:
        moment = datetime.fromisoformat(f"{day}T{time.replace('-', ':')}").replace(tzinfo=UTC)
    except ValueError:
        return None
    return moment + timedelta(milliseconds=int(milliseconds or 0))


def _stamp(utc: datetime) -> str:
    return utc.replace(tzinfo=None).isoformat(timespec="seconds").replace(":", "-")
