"""Read and write the metadata file of a backup ("sidecar"). Its first members are tvarr's own, so tvarr can read it too."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from tvarr_backup.backups.backup_warnings import (
    MOST_OF_TEXT,
    MOST_WARNINGS,
    BackupWarning,
    BackupWarningCode,
    decode_warnings,
    encode_warning,
)
from tvarr_backup.backups.durable import open_regular
from tvarr_backup.errors import SidecarInvalid
from tvarr_backup.packed_rows import MOST_PACKED
from tvarr_backup.quoting import cut, format_value
from tvarr_backup.ranges import MOST, known_moment, known_number, known_text, known_texts

FORMAT = 1
MAX_BYTES = 2**20 + MOST_PACKED
MAX_NOTE = 500
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_MOST_OF_SHORT_TEXT = 200
"""Characters of a version, a schema or a name."""
_MOST_TABLES = 1_000
_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


class BackupKind(StrEnum):
    """How a backup came to be."""

    MANUAL = "manual"
    SCHEDULED = "scheduled"
    PRE_RESTORE = "pre_restore"
    UPLOADED = "uploaded"
    TVARR = "tvarr"
    """Made by tvarr; its metadata lacks our members."""


MADE_HERE = (BackupKind.MANUAL, BackupKind.SCHEDULED, BackupKind.PRE_RESTORE)
"""The kinds of backups of the live database. Those of another server are also `imported`."""


class CheckLevel(StrEnum):
    """How thoroughly a backup was checked."""

    QUICK = "quick"
    FULL = "full"


class DateSource(StrEnum):
    """Where `created_at` comes from. The last two mean that it is unknown when the backup was made."""

    METADATA = "metadata"
    """The backup's own metadata: every backup made here, and metadata files without this member."""
    NAME = "name"
    NEWEST_ROW = "newest_row"
    """The newest row in the database; the backup is at least as new."""
    ARRIVAL = "arrival"
    """The time at which the file was added here."""


@dataclass(frozen=True)
class Checked:
    """The last check of a backup, which is damaged if there are `problems` (sentences); `at` is `None` if out of range."""

    level: CheckLevel
    at: datetime | None
    problems: tuple[str, ...] = ()
    warnings: tuple[BackupWarning, ...] = ()


@dataclass(frozen=True)
class Sidecar:
    """The metadata of a backup. Sizes are bytes, times aware UTC, checksums `sha256:<hex>`.

    `checksum` and `compressed_size` belong to the archive, `database_checksum` and `database_size` to the database in it.
    `seq` grows by one with each backup. `schema` names the last migration. `table_counts` are live rows. A protection has no
    end if `protected_until` is `None`. Only backups from elsewhere have `newest_row_at`, `wal_missing` (they came without
    their -wal), `accepted_code` (names of code that a user accepted) and `original_kind` (their kind where they were made, for
    display only). `configuration` are the packed rows that users edit; `catalogue` leaves it out of backups, because it may be
    large. Values outside `ranges` become unknown or are cut; `catalogue.dated` replaces such a `created_at`.
    """

    created_at: datetime
    database_size: int
    compressed_size: int
    checksum: str
    kind: BackupKind
    seq: int = 0
    database_checksum: str = ""
    tvarr_version: str = ""
    app_version: str = ""
    sqlite_version: str = ""
    schema: str = ""
    note: str = ""
    table_counts: Mapping[str, int] = field(default_factory=dict)
    protected: bool = False
    protected_until: datetime | None = None
    imported: bool = False
    checked: Checked | None = None
    restored_from: str = ""
    accepted_code: tuple[str, ...] = ()
    created_at_source: DateSource = DateSource.METADATA
    newest_row_at: datetime | None = None
    wal_missing: bool = False
    original_kind: BackupKind | None = None
    configuration: str = ""

    @property
    def problems(self) -> tuple[str, ...]:
        """Problems that the last check found."""
        return self.checked.problems if self.checked else ()

    @property
    def is_good(self) -> bool:
        """Whether the last check found no problem."""
        return self.checked is not None and not self.checked.problems

    @property
    def is_from_elsewhere(self) -> bool:
        """Whether the database may come from anyone: it is checked in a separate process, and its code must be accepted."""
        return self.imported or self.kind not in MADE_HERE

    @property
    def is_dated(self) -> bool:
        """Whether `created_at` is the time at which the backup was made."""
        return self.created_at_source in (DateSource.METADATA, DateSource.NAME) and self.has_possible_date

    @property
    def has_possible_date(self) -> bool:
        """Whether `created_at` is in range."""
        return known_moment(self.created_at) is not None

    @property
    def known_at(self) -> datetime | None:
        """The latest time whose changes the backup is known to contain, or `None`. A restore loses later changes."""
        return self.created_at if self.is_dated else self.newest_row_at

    @property
    def lasting_warnings(self) -> tuple[BackupWarning, ...]:
        """Warnings that a later check cannot find again."""
        return (BackupWarning(BackupWarningCode.WAL_MISSING),) if self.wal_missing else ()

    def is_protected(self, now: datetime) -> bool:
        """Whether cleanup and users must not delete it."""
        return self.protected and (self.protected_until is None or now <= self.protected_until)

    def with_changes(self, **changes: Any) -> Sidecar:
        """Return a copy with some members changed."""
        return replace(self, **changes)


def encode_sidecar(sidecar: Sidecar) -> bytes:
    """Return the content of the file: tvarr's members first, then ours."""
    return json.dumps(_members(sidecar), indent=2, ensure_ascii=False, default=_encode).encode() + b"\n"


def encode_embedded(sidecar: Sidecar, most: int) -> bytes:
    """Return the metadata in at most `most` bytes, which must be 2**15 or more, for the header of an archive.

    The configuration is left out. Other members that do not fit are those that an upload finds out again. `left_out` names them.
    """
    members = _members(sidecar)
    del members["configuration"]
    for left_out in range(len(_FOUND_OUT_AGAIN) + 1):
        names = _FOUND_OUT_AGAIN[:left_out]
        kept = {name: value for name, value in members.items() if name not in names}
        value = kept | ({"left_out": names} if names else {})
        data = json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=_encode).encode()
        if len(data) <= most:
            break
    return data


def _members(sidecar: Sidecar) -> dict[str, Any]:
    value = {name: getattr(sidecar, name) for name in _TVARRS_MEMBERS}
    return value | {"format": FORMAT} | {name: getattr(sidecar, name) for name in _OUR_MEMBERS}


def _encode(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Checked):
        return {
            "level": value.level,
            "at": value.at,
            "problems": value.problems,
            "warnings": [str(warning) for warning in value.warnings],
            "warning_details": [encode_warning(warning) for warning in value.warnings],
        }
    return dict(value)


def read_sidecar(path: Path) -> Sidecar:
    """Read a metadata file of up to 1.5 MiB, but not through a symbolic link. Raises `SidecarInvalid`, which names the file."""
    try:
        with open_regular(path) as file:
            raw = file.read(min(os.fstat(file.fileno()).st_size, MAX_BYTES) + 1)
    except FileNotFoundError as problem:
        raise SidecarInvalid("its metadata file {name} is missing.", name=path.name) from problem
    except OSError as problem:
        raise SidecarInvalid("{name} cannot be read: {reason}.", name=path.name, reason=problem.strerror) from problem
    try:
        return decode_sidecar(raw)
    except SidecarInvalid as problem:
        raise SidecarInvalid("{name}: {problem}", name=path.name, problem=problem) from problem


def decode_sidecar(raw: bytes) -> Sidecar:
    """Decode a metadata file of ours or tvarr's. Raises `SidecarInvalid`."""
    if len(raw) > MAX_BYTES:
        raise SidecarInvalid("it is larger than {most} bytes.", most=MAX_BYTES)
    try:
        value = json.loads(raw.decode("utf-8-sig"))
        if _SURROGATE.search(raw):
            json.dumps(value, ensure_ascii=False).encode()  # an unpaired surrogate is JSON but not valid text
    except (ValueError, RecursionError) as problem:
        raise SidecarInvalid("it is not valid JSON.") from problem
    if not isinstance(value, dict):
        raise SidecarInvalid("it is not a JSON object.")
    is_ours = "format" in value
    if is_ours and value["format"] != FORMAT:
        raise SidecarInvalid(
            "expected format {format}, got {value}.", value=format_value(value["format"]), format=FORMAT
        )
    members = {
        name: read(name, value.get(name, ""))
        for name, read in (_TVARRS_MEMBERS | _OUR_MEMBERS).items()
        if (name in value or name in _REQUIRED) and (is_ours or name not in _ONLY_OURS)
    }
    return Sidecar(**{"kind": BackupKind.TVARR} | members)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise SidecarInvalid("{name} is not text.", name=name)
    return value


def _short_text(name: str, value: Any) -> str:
    return known_text(_text(name, value), _MOST_OF_SHORT_TEXT)


def _note(name: str, value: Any) -> str:
    return known_text(_text(name, value), MAX_NOTE)


def _configuration(name: str, value: Any) -> str:
    text = _text(name, value)
    return text if len(text) <= MOST_PACKED else ""


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise SidecarInvalid("{name} is not true or false.", name=name)
    return value


def _whole(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _not_whole(name)
    return value


def _size(name: str, value: Any) -> int:
    size = known_number(_whole(name, value))
    if size is None:
        raise _not_whole(name)
    return size


def _not_whole(name: str) -> SidecarInvalid:
    return SidecarInvalid("{name} is not a whole number of 0 or more.", name=name)


def _seq(name: str, value: Any) -> int:
    return known_number(_whole(name, value)) or 0


def _checksum(name: str, value: Any) -> str:
    text = _text(name, value)
    if not _CHECKSUM.fullmatch(text):
        raise SidecarInvalid("{name} is not a SHA-256 checksum.", name=name)
    return text


def _optional_checksum(name: str, value: Any) -> str:
    return _checksum(name, value) if value else ""


def _time(name: str, value: Any) -> datetime:
    """Read a time in tvarr's format (RFC 3339, up to nine fraction digits) as aware UTC. It may be out of range."""
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:  # in UTC it would be before the year 1 or after 9999
        return _BEFORE_ALL
    except (TypeError, ValueError) as problem:
        raise SidecarInvalid("{name} is not a date and time.", name=name) from problem


def _optional_time(name: str, value: Any) -> datetime | None:
    return None if value is None else known_moment(_time(name, value))


def _kind(name: str, value: Any) -> BackupKind:
    try:
        return BackupKind(_text(name, value))
    except ValueError as problem:
        raise SidecarInvalid("{name} is not one of {kinds}.", name=name, kinds=", ".join(BackupKind)) from problem


def _optional_kind(name: str, value: Any) -> BackupKind | None:
    return None if value is None else _kind(name, value)


def _date_source(_name: str, value: Any) -> DateSource:
    try:
        return DateSource(value)
    except ValueError as problem:
        expected = ", ".join(DateSource)
        raise SidecarInvalid(
            "created_at_source is {value}, not one of {expected}.", value=format_value(value), expected=expected
        ) from problem


def _table_counts(_name: str, value: Any) -> dict[str, int]:
    counts = value or {}
    if not isinstance(counts, dict):
        raise SidecarInvalid("table_counts is not an object.")
    for table, number in counts.items():
        if type(number) is not int:  # `isinstance` would accept `bool`
            raise _not_whole(f"table_counts.{cut(table)}")
    known = {known_text(name, _MOST_OF_SHORT_TEXT): number for name, number in counts.items() if 0 <= number <= MOST}
    return known if len(known) == len(counts) <= _MOST_TABLES else {}


def _sentences(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(sentence, str) for sentence in value):
        raise SidecarInvalid("{name} is not a list of texts.", name=name)
    return known_texts(value, MOST_WARNINGS, MOST_OF_TEXT)


def _checked(_name: str, value: Any) -> Checked | None:
    if value is None:
        return None
    try:
        level = CheckLevel(value["level"])
    except (TypeError, KeyError, ValueError) as problem:
        raise SidecarInvalid("checked has no known level.") from problem
    return Checked(
        level,
        _optional_time("checked.at", value.get("at")),
        _sentences("checked.problems", value.get("problems", [])),
        decode_warnings(_sentences("checked.warnings", value.get("warnings", [])), value.get("warning_details")),
    )


_TVARRS_MEMBERS: dict[str, Callable[[str, Any], Any]] = {
    "tvarr_version": _short_text,
    "database_size": _size,
    "compressed_size": _size,
    "checksum": _checksum,
    "created_at": _time,
    "table_counts": _table_counts,
    "protected": _flag,
    "imported": _flag,
}
_OUR_MEMBERS: dict[str, Callable[[str, Any], Any]] = {
    "seq": _seq,
    "kind": _kind,
    "note": _note,
    "protected_until": _optional_time,
    "database_checksum": _optional_checksum,
    "schema": _short_text,
    "sqlite_version": _short_text,
    "app_version": _short_text,
    "checked": _checked,
    "restored_from": _short_text,
    "created_at_source": _date_source,
    "newest_row_at": _optional_time,
    "wal_missing": _flag,
    "accepted_code": _sentences,
    "original_kind": _optional_kind,
    "configuration": _configuration,
}
"""The members in the order of the file, and how each is read."""
_REQUIRED = frozenset({"created_at", "database_size", "compressed_size", "checksum", "kind", "seq"})
_ONLY_OURS = frozenset(
    {
        *("kind", "seq", "created_at_source", "newest_row_at", "wal_missing", "accepted_code", "original_kind"),
        "configuration",
    }
)
"""Members that count only in a file with our format."""
_FOUND_OUT_AGAIN = ("table_counts", "checked", "accepted_code")
"""The members without a small limit, which are found out again when a backup is uploaded."""
