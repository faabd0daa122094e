"""Any value in a metadata file is in range or counts as unknown."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from tests.backups.makers import backup
from tests.backups.odd_sidecars import ODD_TIMES, as_bytes, odd_members
from tests.backups.test_adopt import adopt
from tests.backups.test_sidecar import SIDECAR, TVARRS
from tvarr_backup.backups.catalogue import Backup, next_seq, read_folder
from tvarr_backup.backups.sidecar import DateSource, Sidecar, decode_sidecar, encode_sidecar
from tvarr_backup.errors import SidecarInvalid
from tvarr_backup.ranges import EARLIEST, LATEST, MOST, known_file_time, known_texts

GOOD = json.loads(encode_sidecar(SIDECAR))
ZERO = "0001-01-01T00:00:00Z"
LAST = "9999-12-31T23:59:59.999999999Z"


def decoded(**members: Any) -> Sidecar:
    return decode_sidecar(as_bytes(GOOD | members))


@pytest.mark.parametrize("time", [ZERO, "0001-01-01T00:00:00+14:00", LAST, "9999-12-31T23:59:59-14:00"])
def test_a_time_out_of_range_is_unknown(time: str) -> None:
    found = decoded(
        created_at=time,
        protected_until=time,
        newest_row_at=time,
        checked={"level": "full", "at": time, "problems": ["one"]},
    )

    assert not found.is_dated
    assert (found.protected_until, found.newest_row_at) == (None, None)
    assert found.checked is not None
    assert (found.checked.at, found.checked.problems) == (None, ("one",))


def test_a_protection_whose_end_makes_no_sense_has_no_end() -> None:
    assert decoded(protected=True, protected_until=ZERO).is_protected(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("number", [-1, 2**53, 2**64, 10**400])
def test_a_count_out_of_range_is_unknown(number: int) -> None:
    assert decoded(seq=number).seq == 0
    assert decoded(table_counts={"filters": 3, "channels": number}).table_counts == {}


def test_texts_are_cut_and_have_no_nul() -> None:
    found = decoded(note="n" * 10_000, tvarr_version="v\0" * 10_000, table_counts={"t" * 10_000: 1})

    assert found.note == "n" * 499 + "…"
    assert len(found.tvarr_version) == 200
    assert "\0" not in found.tvarr_version
    assert [len(name) for name in found.table_counts] == [200]


def test_too_many_sentences_and_tables_are_not_shown() -> None:
    problems = decoded(checked={"level": "full", "at": ZERO, "problems": ["x"] * 5_000})

    assert problems.checked is not None
    assert problems.checked.problems == ("x",) * 100 + ("And 4,900 more.",)
    assert decoded(table_counts={str(number): 1 for number in range(1_001)}).table_counts == {}


@pytest.mark.parametrize("member", ["format", "created_at_source"])
def test_a_message_has_the_beginning_of_a_long_value_alone(member: str) -> None:
    with pytest.raises(SidecarInvalid) as refused:
        decoded(**{member: "x" * 500_000})
    assert len(str(refused.value)) < 250


@given(members=odd_members(likely=True))
def test_members_of_the_right_type_are_read_or_refused_in_a_line(members: dict[str, Any]) -> None:
    require_safe(GOOD | members)
    require_safe(TVARRS | members)


@given(members=odd_members(likely=False))
def test_members_of_any_type_are_read_or_refused_in_a_line(members: dict[str, Any]) -> None:
    require_safe(GOOD | members)


def decoded_or_refusal(raw: bytes) -> Sidecar | str:
    try:
        return decode_sidecar(raw)
    except SidecarInvalid as problem:
        return str(problem)


def require_safe(value: dict[str, Any]) -> None:
    found = decoded_or_refusal(as_bytes(value))
    if isinstance(found, str):
        assert len(found) < 400
        return
    moments = [found.protected_until, found.newest_row_at, found.checked.at if found.checked else None]
    moments += [found.created_at] if found.is_dated else []
    assert all(EARLIEST <= moment <= LATEST for moment in moments if moment is not None)
    assert all(0 <= number <= MOST for number in (found.seq, found.database_size, *found.table_counts.values()))
    assert decode_sidecar(encode_sidecar(found)) == found


@pytest.mark.parametrize(
    ("seconds", "known"),
    [(0, True), (1e9, True), (-1, False), (2**40, False), (2**63, False), (1e308, False), (float("inf"), False)],
)
def test_the_time_of_a_file_has_a_range(seconds: float, *, known: bool) -> None:
    assert (known_file_time(seconds) is not None) is known


def test_few_texts_are_given_as_they_are() -> None:
    assert known_texts(["a", "b"], 2, 10) == ("a", "b")


class TestInAFolder:
    """Where the metadata say no possible date, the name says it, or else the file's own time stands in."""

    @pytest.fixture
    def made(self, live: Path, folder: Path) -> Backup:
        return backup(live, folder)

    def test_the_date_in_the_name_counts(self, folder: Path, made: Backup) -> None:
        path = folder / made.name.sidecar
        path.write_bytes(as_bytes(json.loads(path.read_bytes()) | {"created_at": ZERO}))

        (found,) = read_folder(folder).backups

        assert (found.sidecar.created_at, found.sidecar.created_at_source) == (made.name.moment, DateSource.NAME)

    @pytest.mark.parametrize("stamp", ["0001-01-01T00-00-00", "9999-12-31T23-59-59.999"])
    @pytest.mark.parametrize("seconds", [-(2**31), 2**33, 1_700_000_000])
    def test_a_name_without_a_possible_date_leaves_that_of_the_file(
        self, folder: Path, made: Backup, stamp: str, seconds: int
    ) -> None:
        name = f"tvarr-backup-{stamp}"
        (folder / made.filename).rename(folder / f"{name}.db.gz")
        (folder / made.name.sidecar).unlink()
        (folder / f"{name}.meta.json").write_bytes(
            as_bytes(json.loads(encode_sidecar(made.sidecar)) | {"created_at": LAST})
        )
        os.utime(folder / f"{name}.db.gz", (seconds, seconds))

        (found,) = read_folder(folder).backups

        assert found.sidecar.created_at_source is DateSource.ARRIVAL
        assert EARLIEST <= found.sidecar.created_at <= LATEST
        assert not found.sidecar.is_dated

    @pytest.mark.parametrize("time", [time for time in ODD_TIMES if time[:4] in ("0001", "9999", "1969", "3000")])
    def test_two_files_with_such_a_date_can_be_added(self, live: Path, folder: Path, time: str) -> None:
        upload, described = folder.parent / f"{time[:4]}.db.gz", folder.parent / "described.json"
        found = []
        for number in (1, 2):
            with closing(sqlite3.connect(live)) as connection:
                connection.execute(f"PRAGMA application_id = {number}")
            made = backup(live, folder)
            (folder / made.filename).rename(upload)
            (folder / made.name.sidecar).unlink()
            described.write_bytes(as_bytes(json.loads(encode_sidecar(made.sidecar)) | {"created_at": time}))
            found.append(adopt(upload, folder, sidecar=described))

        assert {one.sidecar.created_at_source for one in found} == {DateSource.NEWEST_ROW}

    def test_a_number_at_the_end_of_the_range_does_not_keep_backups_from_being_made(
        self, live: Path, folder: Path, made: Backup
    ) -> None:
        path = folder / made.name.sidecar
        path.write_bytes(as_bytes(json.loads(path.read_bytes()) | {"seq": MOST}))
        assert next_seq(read_folder(folder)) == MOST

        newest = backup(live, folder)

        assert read_folder(folder).backups[0] == newest
