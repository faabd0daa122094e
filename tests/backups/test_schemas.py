"""Whatever is in a schema table: an accepted one has no trigger, view or virtual table."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from tests.backups.makers import required
from tests.backups.schemas import CODE, PLAIN, code_in, mutated
from tvarr_backup.backups.adopt import adopt_backup, require_acceptable
from tvarr_backup.backups.examine import examine
from tvarr_backup.backups.sidecar import CheckLevel
from tvarr_backup.errors import BackupPresent, CodeNotAccepted, TvarrBackupError, UploadRefused

SCHEMAS = 300
ALL_THE_WAY = 10
MANY_SCHEMAS = 5000
MANY_ALL_THE_WAY = 100


def verdict(path: Path) -> str:
    """How a file with this database would be answered, as `adopt_backup` decides it."""
    examined = examine(path, required(), CheckLevel.FULL)
    try:
        require_acceptable(examined, path.name, accept_broken_references=True, accept_code=False)
    except CodeNotAccepted:
        return "honest code"
    except UploadRefused:
        return "not written by SQLite" if examined.irregular else "cannot be read"
    return "accepted"


def judge(folder: Path, numbers: range) -> Counter[str]:
    """The verdicts on so many schemas. Fails where one is accepted although there is code in it."""
    verdicts: Counter[str] = Counter()
    for number in numbers:
        path = mutated(folder / "copy.db", Random(number))
        found = verdict(path)
        verdicts[found] += 1
        if found == "accepted":
            assert list(code_in(path)) == [], f"schema {number}"
    return verdicts


def judge_all_the_way(folder: Path, numbers: range) -> None:
    """Adoption, with its process of its own, decides alike."""
    (folder / "backups").mkdir()
    for number in numbers:
        path = mutated(folder / "copy.db", Random(number))
        expected = verdict(path) == "accepted"
        try:
            adopt_backup(path, folder / "backups", required(), accept_broken_references=True)
        except BackupPresent:  # the change of an earlier number had the same result
            assert expected, f"schema {number}"
        except TvarrBackupError:
            assert not expected, f"schema {number}"
        else:
            assert expected, f"schema {number}"


def test_what_is_accepted_of_some_schemas_has_no_code(tmp_path: Path) -> None:
    verdicts = judge(tmp_path, range(SCHEMAS))
    assert set(verdicts) == {"accepted", "honest code", "not written by SQLite", "cannot be read"}
    judge_all_the_way(tmp_path, range(ALL_THE_WAY))


@pytest.mark.long
def test_what_is_accepted_of_many_schemas_has_no_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verdicts = judge(tmp_path, range(MANY_SCHEMAS))
    judge_all_the_way(tmp_path, range(MANY_ALL_THE_WAY))
    with capsys.disabled():
        print(f"\n{MANY_SCHEMAS} schemas: {dict(verdicts)}")  # noqa: T201  # a figure to be read


@pytest.mark.parametrize("statement", CODE)
def test_the_test_itself_finds_all_kinds_of_code(tmp_path: Path, statement: str) -> None:
    with closing(sqlite3.connect(tmp_path / "copy.db", isolation_level=None)) as connection:
        for each in (*PLAIN, statement):
            connection.execute(each)
    assert list(code_in(tmp_path / "copy.db"))
