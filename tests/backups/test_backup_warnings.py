"""Warnings about backups: data in the metadata file, and sentences of earlier versions."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tvarr_backup.backups.backup_warnings import BackupWarning, decode_warnings, read_sentence
from tvarr_backup.backups.backup_warnings import BackupWarningCode as Code
from tvarr_backup.backups.sidecar import BackupKind, Checked, CheckLevel, Sidecar, decode_sidecar, encode_sidecar

BROKEN = BackupWarning(Code.BROKEN_REFERENCES, table="filters", referenced_table="proxies", count=3)
ALL = (
    (BROKEN, "3 rows of filters refer to rows of proxies that do not exist."),
    (replace(BROKEN, count=1), "1 row of filters refers to a row of proxies that does not exist."),
    (
        BackupWarning(Code.NEWER_SCHEMA, schema="tvarr 031", newest_known="tvarr 029"),
        "Its schema (tvarr 031) was newer than any known one when it was verified (up to tvarr 029).",
    ),
    (
        BackupWarning(Code.MISSING_COLUMNS, schema="tvarr 020", names=("filters.source_type",)),
        "tvarr 020 does not have filters.source_type. Exports, imports and pages that need them are unavailable.",
    ),
    (BackupWarning(Code.CODE, names=("view “v”",)), "It contains the view “v”, which tvarr does not create."),
    (
        BackupWarning(Code.WAL_MISSING),
        (
            "It is a copy of a database in WAL mode and came without its -wal file. If tvarr was running or had crashed when "
            "the copy was made, the newest changes are missing."
        ),
    ),
    (
        BackupWarning(Code.NOT_SAVED_READ_ONLY),
        "The result could not be saved with the backup because the backup folder is read-only.",
    ),
    (
        BackupWarning(Code.NOT_SAVED_FULL),
        "The result could not be saved with the backup because the disk of the backup folder is full.",
    ),
    (BackupWarning(Code.OTHER, text="Something else."), "Something else."),
)
OF_EARLIER_VERSIONS = (
    (BROKEN, "3 rows of filters refer to rows of proxies that are not there."),
    (replace(BROKEN, count=1), "1 row of filters refers to a row of proxies that is not there."),
    (
        BackupWarning(Code.NEWER_SCHEMA, schema="tvarr 031", newest_known="tvarr 029"),
        "Its schema (tvarr 031) is newer than every known one when it was checked (up to tvarr 029).",
    ),
    (
        BackupWarning(Code.MISSING_COLUMNS, schema="tvarr 020", names=("filters.source_type",)),
        (
            "tvarr 020 does not have filters.source_type; only exports, imports and pages that need what is missing are "
            "unavailable."
        ),
    ),
    (BackupWarning(Code.CODE, names=("view “v”",)), "It contains the view “v”, which tvarr does not create."),
    (
        BackupWarning(Code.WAL_MISSING),
        (
            "It is a copy of a database in WAL mode, and came without its -wal file. If tvarr was running, or had crashed, "
            "when the copy was made, the newest changes are missing."
        ),
    ),
    (
        BackupWarning(Code.NOT_SAVED_READ_ONLY),
        "The result could not be saved with the backup, because the backup folder is read-only.",
    ),
    (
        BackupWarning(Code.NOT_SAVED_FULL),
        "The result could not be saved with the backup, because the disk of the backup folder is full.",
    ),
    (BackupWarning(Code.OTHER, text="Something else."), "Something else."),
)


def described(*warnings: BackupWarning) -> dict[str, Any]:
    checked = Checked(CheckLevel.FULL, datetime(2026, 1, 1, tzinfo=UTC), (), warnings)
    sidecar = Sidecar(datetime(2026, 1, 1, tzinfo=UTC), 1, 1, "sha256:" + "a" * 64, BackupKind.MANUAL, checked=checked)
    value: dict[str, Any] = json.loads(encode_sidecar(sidecar))
    return value


def warnings_in(value: dict[str, Any]) -> tuple[BackupWarning, ...]:
    checked = decode_sidecar(json.dumps(value).encode()).checked
    assert checked is not None
    return checked.warnings


@pytest.mark.wording
@pytest.mark.parametrize(("warning", "sentence"), ALL, ids=[str(warning.code) for warning, _ in ALL])
def test_each_has_a_sentence(warning: BackupWarning, sentence: str) -> None:
    assert str(warning) == sentence


@pytest.mark.parametrize(("warning", "sentence"), OF_EARLIER_VERSIONS, ids=[str(warning.code) for warning, _ in ALL])
def test_the_sentence_of_an_earlier_version_says_the_same(warning: BackupWarning, sentence: str) -> None:
    assert read_sentence(sentence) == warning


def test_a_metadata_file_has_both() -> None:
    checked = described(BROKEN)["checked"]
    assert checked["warnings"] == [str(BROKEN)]
    found = {name: value for name, value in checked["warning_details"][0].items() if value}
    assert found == {"code": "broken_references", "table": "filters", "referenced_table": "proxies", "count": 3}


@pytest.mark.parametrize("warning", [warning for warning, _ in ALL])
def test_what_is_written_is_read(warning: BackupWarning) -> None:
    assert warnings_in(described(warning)) == (warning,)


def test_sentences_are_not_read_where_there_is_data() -> None:
    value = described(BROKEN)
    value["checked"]["warnings"] = ["Reworded."]
    assert warnings_in(value) == (BROKEN,)


def test_a_metadata_file_of_an_earlier_version_has_sentences_alone() -> None:
    value = described()
    value["checked"] |= {"warnings": ["3 rows of filters refer to rows of proxies that are not there."]}
    del value["checked"]["warning_details"]
    assert warnings_in(value) == (BROKEN,)


@pytest.mark.parametrize(
    "change",
    [{"code": "of_a_later_version"}, {"table": 1}, {"table": ["a"]}, {"count": 1.5}, {"names": [1]}, {"names": None}],
)
def test_of_data_that_is_not_known_the_sentence_is_kept(change: dict[str, Any]) -> None:
    details = [described(BROKEN)["checked"]["warning_details"][0] | change]
    assert decode_warnings(["Something."], details) == (BackupWarning(Code.OTHER, text="Something."),)


@pytest.mark.parametrize("details", [None, {}, [], ["a", "b"]])
def test_data_that_fits_no_sentence_counts_for_nothing(details: Any) -> None:
    assert decode_warnings(["Something."], details) == (BackupWarning(Code.OTHER, text="Something."),)
