"""Warnings about a backup: codes, facts and sentences. Earlier metadata files contain only the sentences."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from tvarr_backup.quoting import name_some
from tvarr_backup.ranges import known_number, known_text, known_texts
from tvarr_backup.sentences import Sentence, join

MOST_WARNINGS, MOST_OF_TEXT = 100, 4_000
"""How many warnings of a backup are read, and how many characters of each."""
_NAMED = 10


class BackupWarningCode(StrEnum):
    """Code of a warning. `_SENTENCES` shows which members of a `BackupWarning` each code uses."""

    BROKEN_REFERENCES = "broken_references"
    NEWER_SCHEMA = "newer_schema"
    MISSING_COLUMNS = "missing_columns"
    CODE = "code"
    IRREGULAR_SCHEMA = "irregular_schema"
    WAL_MISSING = "wal_missing"
    NOT_SAVED_READ_ONLY = "not_saved_read_only"
    NOT_SAVED_FULL = "not_saved_full"
    OTHER = "other"
    """A warning of an unknown version; `text` is its sentence."""


@dataclass(frozen=True)
class BackupWarning:
    """A warning about a backup; which members have a value depends on the code."""

    code: BackupWarningCode
    table: str = ""
    referenced_table: str = ""
    count: int = 0
    schema: str = ""
    newest_known: str = ""
    names: tuple[str, ...] = ()
    text: str = ""

    @property
    def sentence(self) -> Sentence:
        """The warning for users."""
        if self.code is BackupWarningCode.BROKEN_REFERENCES and self.count == 1:
            template = "1 row of {table} refers to a row of {referenced_table} that does not exist."
        else:
            template = _SENTENCES[self.code]
        return Sentence(template, **asdict(self) | {"names": name_some(self.names, _NAMED)})

    def __str__(self) -> str:
        """Return the sentence."""
        return str(self.sentence)


def sentences_of(warnings: Sequence[BackupWarning]) -> Sentence:
    """Join the sentences of several warnings."""
    return join([warning.sentence for warning in warnings])


_SENTENCES = {
    BackupWarningCode.BROKEN_REFERENCES: "{count} rows of {table} refer to rows of {referenced_table} that do not exist.",
    BackupWarningCode.NEWER_SCHEMA: "Its schema ({schema}) was newer than any known one when it was verified (up to {newest_known}).",
    BackupWarningCode.MISSING_COLUMNS: "{schema} does not have {names}. Exports, imports and pages that need them are unavailable.",
    BackupWarningCode.CODE: "It contains the {names}, which tvarr does not create.",
    BackupWarningCode.IRREGULAR_SCHEMA: "{text}",
    BackupWarningCode.WAL_MISSING: "It is a copy of a database in WAL mode and came without its -wal file. If tvarr was running or had "
    "crashed when the copy was made, the newest changes are missing.",
    BackupWarningCode.NOT_SAVED_READ_ONLY: "The result could not be saved with the backup because the backup folder is read-only.",
    BackupWarningCode.NOT_SAVED_FULL: "The result could not be saved with the backup because the disk of the backup folder is full.",
    BackupWarningCode.OTHER: "{text}",
}


# --- As data ---------------------------------------------------------------------------------------------------------


def encode_warning(warning: BackupWarning) -> dict[str, Any]:
    """Return a warning as JSON data, without its sentence."""
    return asdict(warning) | {"names": list(warning.names)}


def decode_warnings(sentences: Sequence[str], details: Any) -> tuple[BackupWarning, ...]:
    """Return the warnings of a metadata file from `details`, or from its sentences if the two do not match."""
    if not isinstance(details, list) or len(details) != len(sentences):
        return tuple(map(read_sentence, sentences))
    return tuple(_decode(one, sentence) for one, sentence in zip(details, sentences, strict=True))


def _decode(value: Any, sentence: str) -> BackupWarning:
    """Return a warning from its data, or only with its sentence if the data is invalid."""
    try:
        texts = {name: known_text(_text(value[name]), MOST_OF_TEXT) for name in _TEXTS}
        names = known_texts([_text(name) for name in list(value["names"])], MOST_WARNINGS, MOST_OF_TEXT)
        count = known_number(operator.index(value["count"])) or 0
        return BackupWarning(BackupWarningCode(value["code"]), count=count, names=names, **texts)
    except (TypeError, KeyError, ValueError):
        return BackupWarning(BackupWarningCode.OTHER, text=sentence)


_TEXTS = ("table", "referenced_table", "schema", "newest_known", "text")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


_EARLIER = (
    (BackupWarningCode.BROKEN_REFERENCES, r"(?P<count>1) row of (?P<table>.+) refers to a row of (?P<referenced_table>.+) that is not there\."),
    (BackupWarningCode.BROKEN_REFERENCES, r"(?P<count>[0-9]{1,18}) rows of (?P<table>.+) refer to rows of (?P<referenced_table>.+) that are not there\."),
    (BackupWarningCode.NEWER_SCHEMA, r"Its schema \((?P<schema>.+)\) is newer than every known one when it was checked \(up to (?P<newest_known>.+)\)\."),
    (BackupWarningCode.MISSING_COLUMNS, r"(?P<schema>.+) does not have (?P<names>.+); only exports, imports and pages that need what is missing are unavailable\."),
    (BackupWarningCode.CODE, r"It contains the (?P<names>.+), which tvarr does not create\."),
    (BackupWarningCode.WAL_MISSING, r"It is a copy of a database in WAL mode, and came without its -wal file\. .+"),
    (BackupWarningCode.NOT_SAVED_READ_ONLY, r"The result could not be saved with the backup, because the backup folder is read-only\."),
    (BackupWarningCode.NOT_SAVED_FULL, r"The result could not be saved with the backup, because the disk of the backup folder is full\."),
)  # fmt: skip
"""The sentences of earlier versions. They are in metadata files, so they never change."""


def read_sentence(sentence: str) -> BackupWarning:
    """Return the warning that a sentence of an earlier version stands for; an unknown sentence is kept."""
    read: dict[str, Callable[[str], Any]] = {"count": int, "names": lambda names: (names,)}
    for code, pattern in _EARLIER:
        if match := re.fullmatch(pattern, sentence, re.DOTALL):
            return BackupWarning(code, **{name: read.get(name, str)(text) for name, text in match.groupdict().items()})
    return BackupWarning(BackupWarningCode.OTHER, text=sentence)
