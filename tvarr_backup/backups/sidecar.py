"""The sidecar of a backup: the JSON file beside the archive that says what it is, and that it is complete.

It is written last and deleted first: an archive without one is not a backup. Its first members are tvarr's own, so that
tvarr reads it too.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
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
from tvarr_backup.quoting import cut, shown_value
from tvarr_backup.ranges import MOST, known_moment, known_number, known_text, known_texts

FORMAT = 1
MAX_BYTES = 2**20
MAX_NOTE = 500
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_MOST_WORDS = 200
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
    """Made by tvarr itself; its sidecar lacks our members."""


MADE_HERE = (BackupKind.MANUAL, BackupKind.SCHEDULED, BackupKind.PRE_RESTORE)
"""The kinds of backups of the live database; one of another server is `imported` as well."""


class CheckLevel(StrEnum):
    """How thoroughly a backup was checked."""

    QUICK = "quick"
    FULL = "full"


class DateSource(StrEnum):
    """Where `created_at` comes from. The last two mean that nobody knows when the backup was made."""

    METADATA = "metadata"
    """The backup's own metadata; so it is for every backup made here, and for metadata files without the member."""
    NAME = "name"
    NEWEST_ROW = "newest_row"
    """No time but that of the newest row in the database: the backup is at least as new."""
    ARRIVAL = "arrival"
    """Nothing else is known: it is the time at which the file was added here."""


@dataclass(frozen=True)
class Checked:
    """The last check of a backup.

    `problems` are sentences, and make it one that cannot be relied on. `warnings` tell what was so in the live database already, such as
    rows that refer to rows which are not there, or a view: the backup is a faithful copy of that. `at` is `None` where
    the file says no possible time.
    """

    level: CheckLevel
    at: datetime | None
    problems: tuple[str, ...] = ()
    warnings: tuple[BackupWarning, ...] = ()


@dataclass(frozen=True)
class Sidecar:
    """What a sidecar says. Sizes are bytes, times aware UTC, checksums `sha256:<hex>`.

    `checksum` and `compressed_size` are those of the archive, `database_checksum` and `database_size` those of the
    database in it. `seq` grows by one with each backup of a folder, whatever the clock says. `schema` names the state
    of the tables (the last migration). `table_counts` are live rows. `protected` holds until `protected_until`, and for
    good where that is `None`. `newest_row_at` is looked up for files from elsewhere only. `wal_missing` says that such a
    file came without its -wal. `accepted_code` names the views, triggers and virtual tables that a user accepted in a
    file from elsewhere.

    What a file says out of the ranges in `ranges` is unknown: an end of the protection is none, a text is cut, and counts
    are empty. `created_at` may be out of range until it is known where the file was (`catalogue.dated`).
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

    @property
    def is_from_elsewhere(self) -> bool:
        """Whether anybody may have written the database in it, so that it is examined apart and its code needs a word."""
        return self.imported or self.kind not in MADE_HERE

    @property
    def is_dated(self) -> bool:
        """Whether `created_at` is the time at which the backup was made."""
        return self.created_at_source in (DateSource.METADATA, DateSource.NAME) and self.has_possible_date

    @property
    def has_possible_date(self) -> bool:
        """Whether `created_at`, whatever it is the time of, is in range."""
        return known_moment(self.created_at) is not None

    @property
    def known_at(self) -> datetime | None:
        """The latest time whose changes the backup is known to have; `None` where there is no such time.

        What a restore loses is counted from here, never from the arrival of the file.
        """
        return self.created_at if self.is_dated else self.newest_row_at

    @property
    def lasting_warnings(self) -> tuple[BackupWarning, ...]:
        """Warnings about how the file came here, which no later check can find again."""
        return (BackupWarning(BackupWarningCode.WAL_MISSING),) if self.wal_missing else ()

    def is_protected(self, now: datetime) -> bool:
        """Whether clean-ups and deletions leave it alone: the one rule that everybody asks."""
        return self.protected and (self.protected_until is None or now <= self.protected_until)

    def with_changes(self, **changes: Any) -> Sidecar:
        """The same with some members changed."""
        return replace(self, **changes)


def encode_sidecar(sidecar: Sidecar) -> bytes:
    """The bytes of the file: tvarr's members first, then ours."""
    checked = sidecar.checked
    value = {
        "tvarr_version": sidecar.tvarr_version,
        "database_size": sidecar.database_size,
        "compressed_size": sidecar.compressed_size,
        "checksum": sidecar.checksum,
        "created_at": _encode_time(sidecar.created_at),
        "table_counts": dict(sidecar.table_counts),
        "protected": sidecar.protected,
        "imported": sidecar.imported,
        "format": FORMAT,
        "seq": sidecar.seq,
        "kind": sidecar.kind,
        "note": sidecar.note,
        "protected_until": sidecar.protected_until and _encode_time(sidecar.protected_until),
        "database_checksum": sidecar.database_checksum,
        "schema": sidecar.schema,
        "sqlite_version": sidecar.sqlite_version,
        "app_version": sidecar.app_version,
        "checked": checked
        and {
            "level": checked.level,
            "at": checked.at and _encode_time(checked.at),
            "problems": checked.problems,
            "warnings": [str(warning) for warning in checked.warnings],
            "warning_details": [encode_warning(warning) for warning in checked.warnings],
        },
        "restored_from": sidecar.restored_from,
        "created_at_source": sidecar.created_at_source,
        "newest_row_at": sidecar.newest_row_at and _encode_time(sidecar.newest_row_at),
        "wal_missing": sidecar.wal_missing,
        "accepted_code": sidecar.accepted_code,
    }
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


def read_sidecar(path: Path) -> Sidecar:
    """Read and check a sidecar; raises `SidecarInvalid` naming the file and what is wrong with it.

    A link is never followed, and no more than 1 MiB is read.
    """
    try:
        with open_regular(path) as file:
            raw = file.read(min(os.fstat(file.fileno()).st_size, MAX_BYTES) + 1)
    except FileNotFoundError as problem:
        raise SidecarInvalid("its description {name} is missing.", name=path.name) from problem
    except OSError as problem:
        raise SidecarInvalid("{name} cannot be read: {reason}.", name=path.name, reason=problem.strerror) from problem
    try:
        return decode_sidecar(raw)
    except SidecarInvalid as problem:
        raise SidecarInvalid("{name}: {problem}", name=path.name, problem=problem) from problem


def decode_sidecar(raw: bytes) -> Sidecar:
    """A sidecar of ours or of tvarr's from its bytes; raises `SidecarInvalid`."""
    if len(raw) > MAX_BYTES:
        raise SidecarInvalid("it is larger than {most} bytes.", most=MAX_BYTES)
    try:
        value = json.loads(raw.decode("utf-8-sig"))
        if _SURROGATE.search(raw):
            json.dumps(value, ensure_ascii=False).encode()  # half a character is JSON but no text
    except (ValueError, RecursionError) as problem:
        raise SidecarInvalid("it is no JSON.") from problem
    if not isinstance(value, dict):
        raise SidecarInvalid("it is no JSON object.")
    return _Reader(value).sidecar()


@dataclass
class _Reader:
    """Takes members out of a JSON object, and refuses those that are not what they must be."""

    value: dict[str, Any]

    def sidecar(self) -> Sidecar:
        ours = "format" in self.value
        if ours and self.value["format"] != FORMAT:
            raise SidecarInvalid(
                "its format is {value}; this program reads {format}.",
                value=shown_value(self.value["format"]),
                format=FORMAT,
            )
        return Sidecar(
            created_at=_time("created_at", self.value.get("created_at")),
            database_size=self.size("database_size"),
            compressed_size=self.size("compressed_size"),
            checksum=self.checksum("checksum"),
            kind=self.kind() if ours else BackupKind.TVARR,
            seq=known_number(_whole("seq", self.value.get("seq"))) or 0 if ours else 0,
            database_checksum=self.checksum("database_checksum") if self.value.get("database_checksum") else "",
            tvarr_version=self.words("tvarr_version"),
            app_version=self.words("app_version"),
            sqlite_version=self.words("sqlite_version"),
            schema=self.words("schema"),
            note=known_text(self.text("note"), MAX_NOTE),
            table_counts=self.table_counts(),
            protected=self.flag("protected"),
            protected_until=self.optional_time("protected_until"),
            imported=self.flag("imported"),
            checked=self.checked(),
            restored_from=self.words("restored_from"),
            created_at_source=self.date_source() if ours else DateSource.METADATA,
            newest_row_at=self.optional_time("newest_row_at") if ours else None,
            wal_missing=self.flag("wal_missing") if ours else False,
            accepted_code=_sentences("accepted_code", self.value.get("accepted_code", [])) if ours else (),
        )

    def text(self, name: str) -> str:
        value = self.value.get(name, "")
        if not isinstance(value, str):
            raise SidecarInvalid("{name} is no text.", name=name)
        return value

    def words(self, name: str) -> str:
        return known_text(self.text(name), _MOST_WORDS)

    def flag(self, name: str) -> bool:
        value = self.value.get(name, False)
        if not isinstance(value, bool):
            raise SidecarInvalid("{name} is neither true nor false.", name=name)
        return value

    def size(self, name: str) -> int:
        return _size(name, self.value.get(name))

    def checksum(self, name: str) -> str:
        value = self.text(name)
        if not _CHECKSUM.fullmatch(value):
            raise SidecarInvalid("{name} is no SHA-256 checksum.", name=name)
        return value

    def optional_time(self, name: str) -> datetime | None:
        value = self.value.get(name)
        return None if value is None else known_moment(_time(name, value))

    def date_source(self) -> DateSource:
        value = self.value.get("created_at_source", DateSource.METADATA)
        try:
            return DateSource(value)
        except ValueError as problem:
            expected = ", ".join(DateSource)
            raise SidecarInvalid(
                "created_at_source is {value}; expected one of {expected}.", value=shown_value(value), expected=expected
            ) from problem

    def kind(self) -> BackupKind:
        try:
            return BackupKind(self.text("kind"))
        except ValueError as problem:
            raise SidecarInvalid("kind is none of {kinds}.", kinds=", ".join(BackupKind)) from problem

    def table_counts(self) -> dict[str, int]:
        value = self.value.get("table_counts") or {}
        if not isinstance(value, dict):
            raise SidecarInvalid("table_counts is no object.")
        for name, number in value.items():
            if type(number) is not int:  # `bool` is one as well
                raise SidecarInvalid("table_counts.{name} is no whole number from 0.", name=cut(name))
        known = {known_text(name, _MOST_WORDS): number for name, number in value.items() if 0 <= number <= MOST}
        return known if len(known) == len(value) <= _MOST_TABLES else {}

    def checked(self) -> Checked | None:
        value = self.value.get("checked")
        if value is None:
            return None
        try:
            level = CheckLevel(value["level"])
        except (TypeError, KeyError, ValueError) as problem:
            raise SidecarInvalid("checked has no known level.") from problem
        return Checked(
            level,
            None if value.get("at") is None else known_moment(_time("checked.at", value["at"])),
            _sentences("checked.problems", value.get("problems", [])),
            decode_warnings(_sentences("checked.warnings", value.get("warnings", [])), value.get("warning_details")),
        )


def _size(name: str, value: Any) -> int:
    """The size of a file, without which a backup is none."""
    size = known_number(_whole(name, value))
    if size is None:
        raise SidecarInvalid("{name} is no whole number from 0.", name=name)
    return size


def _whole(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise SidecarInvalid("{name} is no whole number from 0.", name=name)
    return value


def _sentences(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(sentence, str) for sentence in value):
        raise SidecarInvalid("{name} is no list of texts.", name=name)
    return known_texts(value, MOST_WARNINGS, MOST_OF_TEXT)


def _time(name: str, value: Any) -> datetime:
    """A time as tvarr writes it (RFC 3339, up to nine fraction digits), as aware UTC; it may be out of range."""
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:  # in UTC it would be before the year 1 or after 9999
        return _BEFORE_ALL
    except (TypeError, ValueError) as problem:
        raise SidecarInvalid("{name} is no date and time.", name=name) from problem


def _encode_time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
