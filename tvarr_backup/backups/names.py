"""Read and choose backup file names: `tvarr-backup-2025-12-14T10-30-00[.123].db.gz` (UTC), or `.tar.gz` for tvarr's newer ones."""

import re
from collections.abc import Container
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property, lru_cache

from tvarr_backup.ranges import known_moment

PREFIX = "tvarr-backup-"
"""The start of every backup's name."""
_STAMPED = PREFIX + r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2}(?:\.[0-9]{3})?)"
_NAME = re.compile(_STAMPED + r"(\.db\.gz|\.tar\.gz)", re.ASCII)
_STAMP = re.compile(_STAMPED + r"(?![0-9])", re.ASCII)
_SIDECAR_ENDING = ".meta.json"
_SETTINGS = re.compile(PREFIX + r"settings-([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}-[0-9]{2}-[0-9]{2})\.tar\.gz", re.ASCII)
_EXAMPLES = [
    f"{PREFIX}{day}T00-00-00{milliseconds}{ending}"
    for day in ("2000-01-01", "2000-10-10")
    for milliseconds in ("", ".000")
    for ending in (".db.gz", ".tar.gz")
]
"""Names of which one completes the start of any other."""
_CACHE_SIZE = 2**16
"""More than the names in a folder with thousands of backups."""


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
        """The name of the metadata file."""
        return self.filename.removesuffix(self.format) + _SIDECAR_ENDING


@lru_cache(maxsize=_CACHE_SIZE)
def parse_name(filename: str) -> BackupName | None:
    """Return the parts of a backup's name, or `None` for another name."""
    match = _NAME.fullmatch(filename)
    moment = _moment(match[1]) if match else None
    return BackupName(filename, moment, ArchiveFormat(match[2])) if match and moment else None


def is_start_of_name(text: str) -> bool:
    """Return whether a text is the start of possible names, with at least the first digit of the time."""
    if len(text) <= len(PREFIX):
        return False
    return any(parse_name(text + example[len(text) :]) for example in _EXAMPLES)


def moment_in(filename: str) -> datetime | None:
    """Return the only time in a file name such as `Copy of tvarr-backup-2026-03-02T02-00-00.db (1).gz`, or `None`."""
    found = {_moment(stamp) for stamp in _STAMP.findall(filename)}
    moment = found.pop() if len(found) == 1 else None
    return moment and known_moment(moment)


@lru_cache(maxsize=_CACHE_SIZE)
def archive_of_sidecar(filename: str) -> BackupName | None:
    """Return the name of the archive of a metadata file, or `None` for another name."""
    stem = filename.removesuffix(_SIDECAR_ENDING)
    return parse_name(stem + ArchiveFormat.GZIP) if stem != filename else None


def new_name(moment: datetime, taken: Container[str]) -> BackupName:
    """Return a name for a backup of this time that is not in `taken`. Milliseconds are added to make it unique."""
    utc = moment.astimezone(UTC)
    name = BackupName(f"{PREFIX}{_stamp(utc)}.db.gz", utc.replace(microsecond=0), ArchiveFormat.GZIP)
    while name.filename in taken or name.sidecar in taken:
        utc = utc.replace(microsecond=utc.microsecond // 1000 * 1000)
        filename = f"{PREFIX}{_stamp(utc)}.{utc.microsecond // 1000:03d}.db.gz"
        name = BackupName(filename, utc, ArchiveFormat.GZIP)
        utc += timedelta(milliseconds=1)
    return name


def settings_name(moment: datetime) -> str:
    """Return the name of a settings archive of this time, which is not the name of a backup."""
    return f"{PREFIX}settings-{_stamp(moment.astimezone(UTC))}.tar.gz"


def settings_moment(filename: str) -> datetime | None:
    """Return the time in the name of a settings archive as aware UTC, or `None` for another name."""
    match = _SETTINGS.fullmatch(filename)
    return _moment(match[1]) if match else None


def _moment(stamp: str) -> datetime | None:
    """Return the time of a stamp as aware UTC, or `None` if there is no such time, such as in month 13."""
    whole, _, milliseconds = stamp.partition(".")
    day, _, time = whole.partition("T")
    try:
        moment = datetime.fromisoformat(f"{day}T{time.replace('-', ':')}").replace(tzinfo=UTC)
    except ValueError:
        return None
    return moment + timedelta(milliseconds=int(milliseconds or 0))


def _stamp(utc: datetime) -> str:
    return utc.replace(tzinfo=None).isoformat(timespec="seconds").replace(":", "-")
