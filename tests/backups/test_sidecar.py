"""Metadata files: what is written can be read, and errors in a broken one are named."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvarr_backup.backups.sidecar import (
    BackupKind,
    Checked,
    CheckLevel,
    DateSource,
    Sidecar,
    decode_sidecar,
    encode_sidecar,
    read_sidecar,
)
from tvarr_backup.errors import SidecarInvalid

MOMENT = datetime(2026, 1, 14, 10, 30, 0, 123_000, tzinfo=UTC)
SIDECAR = Sidecar(
    created_at=MOMENT,
    database_size=4096,
    compressed_size=1024,
    checksum="sha256:" + "a" * 64,
    kind=BackupKind.MANUAL,
    seq=7,
    database_checksum="sha256:" + "b" * 64,
    tvarr_version="0.0.25",
    app_version="0.1.0",
    sqlite_version="3.40.1",
    schema="tvarr 029",
    note="before new provider – Häfen",
    table_counts={"filters": 9, "channels": 300},
    protected=True,
    protected_until=MOMENT,
    imported=False,
    checked=Checked(CheckLevel.FULL, MOMENT, ("one problem",)),
    restored_from="",
)
TVARRS = {
    "tvarr_version": "0.0.2",
    "database_size": 4096,
    "compressed_size": 1024,
    "checksum": "sha256:" + "c" * 64,
    "created_at": "2025-12-14T10:30:00.123456789-05:00",
    "table_counts": {"filters": 9},
    "protected": False,
    "imported": False,
}


def test_what_is_written_is_read_again() -> None:
    assert decode_sidecar(encode_sidecar(SIDECAR)) == SIDECAR


def test_a_backup_that_was_never_checked_says_so() -> None:
    unchecked = SIDECAR.with_changes(checked=None)
    assert decode_sidecar(encode_sidecar(unchecked)).checked is None


@pytest.mark.parametrize(
    ("protected", "until", "expected"),
    [
        (True, None, True),
        (True, MOMENT, True),
        (True, MOMENT - timedelta(microseconds=1), False),
        (False, None, False),
        (False, MOMENT + timedelta(days=1), False),
    ],
)
def test_a_protection_with_an_end_is_over_after_it(*, protected: bool, until: datetime | None, expected: bool) -> None:
    assert SIDECAR.with_changes(protected=protected, protected_until=until).is_protected(MOMENT) is expected


def test_metadata_written_before_the_source_was_recorded_is_its_own_source() -> None:
    old = json.loads(encode_sidecar(SIDECAR))
    for member in ("created_at_source", "newest_row_at", "wal_missing"):
        del old[member]
    assert decode_sidecar(json.dumps(old).encode()) == SIDECAR
    assert decode_sidecar(json.dumps(TVARRS).encode()).created_at_source is DateSource.METADATA


@pytest.mark.parametrize("source", DateSource)
def test_the_source_of_the_date_is_kept(source: DateSource) -> None:
    sidecar = SIDECAR.with_changes(created_at_source=source, newest_row_at=MOMENT, wal_missing=True)
    assert decode_sidecar(encode_sidecar(sidecar)) == sidecar


@pytest.mark.parametrize(
    ("source", "newest", "known"),
    [
        (DateSource.METADATA, None, MOMENT),
        (DateSource.NAME, MOMENT - timedelta(days=9), MOMENT),
        (DateSource.NEWEST_ROW, MOMENT - timedelta(days=9), MOMENT - timedelta(days=9)),
        (DateSource.ARRIVAL, None, None),
    ],
)
def test_what_a_backup_is_known_to_have_is_never_counted_from_its_arrival(
    source: DateSource, newest: datetime | None, known: datetime | None
) -> None:
    assert SIDECAR.with_changes(created_at_source=source, newest_row_at=newest).known_at == known


def test_tvarrs_members_come_first_and_under_tvarrs_names() -> None:
    assert list(json.loads(encode_sidecar(SIDECAR)))[: len(TVARRS)] == list(TVARRS)


def test_a_sidecar_of_tvarrs_own_is_read() -> None:
    sidecar = decode_sidecar(json.dumps(TVARRS).encode())
    assert (sidecar.kind, sidecar.seq, sidecar.checked) == (BackupKind.TVARR, 0, None)
    assert sidecar.created_at == datetime(2025, 12, 14, 15, 30, 0, 123_456, tzinfo=UTC)


def test_a_sidecar_of_tvarrs_own_can_be_written_again() -> None:
    sidecar = decode_sidecar(json.dumps(TVARRS).encode()).with_changes(protected=True)
    assert decode_sidecar(encode_sidecar(sidecar)) == sidecar


@pytest.mark.parametrize(
    ("member", "value", "words"),
    [
        ("format", 2, "expected format 1, got 2."),
        ("created_at", "yesterday", "created_at is not a date and time."),
        ("created_at", None, "created_at is not a date and time."),
        ("created_at", 5, "created_at is not a date and time."),
        ("database_size", -1, "database_size is not a whole number of 0 or more."),
        ("database_size", "4096", "database_size is not a whole number of 0 or more."),
        ("database_size", True, "database_size is not a whole number of 0 or more."),
        ("compressed_size", 1.5, "compressed_size is not a whole number of 0 or more."),
        ("seq", 1.5, "seq is not a whole number of 0 or more."),
        ("database_size", 2**53, "database_size is not a whole number of 0 or more."),
        ("checksum", "sha256:", "checksum is not a SHA-256 checksum."),
        ("checksum", "sha256:" + "A" * 64, "checksum is not a SHA-256 checksum."),
        ("checksum", "sha256:" + "a" * 64 + "\n", "checksum is not a SHA-256 checksum."),
        ("database_checksum", 5, "database_checksum is not text."),
        ("kind", None, "kind is not text."),
        ("kind", "magic", "kind is not one of manual, scheduled, pre_restore, uploaded, tvarr."),
        ("note", 5, "note is not text."),
        ("protected", "yes", "protected is not true or false."),
        ("protected_until", "next week", "protected_until is not a date and time."),
        ("protected_until", False, "protected_until is not a date and time."),
        (
            "created_at_source",
            "rumor",
            'created_at_source is "rumor", not one of metadata, name, newest_row, arrival.',
        ),
        ("created_at_source", None, "created_at_source is null, not one of metadata, name, newest_row, arrival."),
        ("newest_row_at", "spring", "newest_row_at is not a date and time."),
        ("wal_missing", 1, "wal_missing is not true or false."),
        ("table_counts", [], None),
        ("table_counts", "many", "table_counts is not an object."),
        ("table_counts", {"filters": 1.5}, "table_counts.filters is not a whole number of 0 or more."),
        ("checked", {"level": "deep"}, "checked has no known level."),
        ("checked", [], "checked has no known level."),
        ("checked", {"level": "full", "at": "x"}, "checked.at is not a date and time."),
        ("checked", {"level": "full", "at": "2026-01-01", "problems": "x"}, "checked.problems is not a list of texts."),
    ],
)
def test_a_member_that_is_not_what_it_must_be_is_named(member: str, value: Any, words: str | None) -> None:
    raw = json.dumps(json.loads(encode_sidecar(SIDECAR)) | {member: value}).encode()
    if words is None:
        assert decode_sidecar(raw).table_counts == {}
        return
    with pytest.raises(SidecarInvalid) as refused:
        decode_sidecar(raw)
    assert str(refused.value) == words


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "it is not valid JSON."),
        (b"{", "it is not valid JSON."),
        (b"\xff\xfe", "it is not valid JSON."),
        (b"[]", "it is not a JSON object."),
        (b"null", "it is not a JSON object."),
        (b"[" * 100_000, "it is not valid JSON."),
        (b" " * (3 * 2**19 + 1), "it is larger than 1572864 bytes."),
        (b"{}", "database_size is not a whole number of 0 or more."),
    ],
)
def test_what_is_no_sidecar_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(SidecarInvalid) as refused:
        decode_sidecar(raw)
    assert str(refused.value) == words


@given(
    st.binary(max_size=300)
    | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps).map(str.encode)
)
def test_rubbish_is_refused_in_words(raw: bytes) -> None:
    with pytest.raises(SidecarInvalid):
        decode_sidecar(raw)


@given(position=st.integers(0, len(encode_sidecar(SIDECAR)) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_or_still_a_sidecar(position: int, bit: int) -> None:
    raw = bytearray(encode_sidecar(SIDECAR))
    raw[position] ^= 1 << bit
    try:
        sidecar = decode_sidecar(bytes(raw))
    except SidecarInvalid:
        return
    assert decode_sidecar(encode_sidecar(sidecar)) == sidecar


class TestFiles:
    """A sidecar is a small regular file, and nothing else is read as one."""

    def test_it_is_read_from_its_file(self, tmp_path: Path) -> None:
        file = tmp_path / "x.meta.json"
        file.write_bytes(encode_sidecar(SIDECAR))
        assert read_sidecar(file) == SIDECAR

    def test_what_is_wrong_is_said_with_the_name_of_the_file(self, tmp_path: Path) -> None:
        file = tmp_path / "x.meta.json"
        file.write_text("{}")
        with pytest.raises(
            SidecarInvalid, match=r"^x\.meta\.json: database_size is not a whole number of 0 or more\.$"
        ):
            read_sidecar(file)

    def test_a_link_is_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "real").write_bytes(encode_sidecar(SIDECAR))
        (tmp_path / "x.meta.json").symlink_to(tmp_path / "real")
        with pytest.raises(SidecarInvalid, match=r"^x\.meta\.json cannot be read: "):
            read_sidecar(tmp_path / "x.meta.json")

    @pytest.mark.parametrize("what", ["folder", "pipe", "nothing"])
    def test_what_is_no_regular_file_is_refused_at_once(self, tmp_path: Path, what: str) -> None:
        file = tmp_path / "x.meta.json"
        if what == "folder":
            file.mkdir()
        elif what == "pipe":
            os.mkfifo(file)
        with pytest.raises(
            SidecarInvalid, match=r"x\.meta\.json (cannot be read: it is not a regular file|is missing)\.$"
        ):
            read_sidecar(file)
