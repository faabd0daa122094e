"""Backup file names."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tvarr_backup.backups.names import (
    ArchiveFormat,
    archive_of_sidecar,
    is_start_of_name,
    moment_in,
    new_name,
    parse_name,
)

MOMENT = datetime(2025, 12, 14, 10, 30, 0, 123_456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("filename", "moment", "archive_format"),
    [
        ("tvarr-backup-2025-12-14T10-30-00.db.gz", MOMENT.replace(microsecond=0), ArchiveFormat.GZIP),
        ("tvarr-backup-2025-12-14T10-30-00.123.db.gz", MOMENT.replace(microsecond=123_000), ArchiveFormat.GZIP),
        ("tvarr-backup-2025-12-14T10-30-00.123.tar.gz", MOMENT.replace(microsecond=123_000), ArchiveFormat.TAR),
    ],
)
def test_names_of_ours_and_of_tvarrs_are_read(filename: str, moment: datetime, archive_format: ArchiveFormat) -> None:
    name = parse_name(filename)
    assert name is not None
    assert (name.filename, name.moment, name.format) == (filename, moment, archive_format)


@pytest.mark.parametrize(
    "filename",
    [
        "",
        "tvarr-backup-2025-12-14T10-30-00.db.gz\n",
        "tvarr-backup-2025-12-14T10-30-00.db.gz\0",
        " tvarr-backup-2025-12-14T10-30-00.db.gz",
        "../tvarr-backup-2025-12-14T10-30-00.db.gz",
        "/tvarr-backup-2025-12-14T10-30-00.db.gz",
        "tvarr-backup-2025-12-14T10-30-00.db.gz/",
        "tvarr-backup-２025-12-14T10-30-00.db.gz",
        "tvarr-backup-2025-13-14T10-30-00.db.gz",
        "tvarr-backup-2025-02-30T10-30-00.db.gz",
        "tvarr-backup-2025-12-14T24-30-00.db.gz",
        "tvarr-backup-2025-12-14T10-30-00.12.db.gz",
        "tvarr-backup-2025-12-14T10-30-00.1234.db.gz",
        "tvarr-backup-2025-12-14T10-30-00.zip",
        "tvarr-backup-2025-12-14T10-30-00.tar.gz.x.tar.gz",
        "tvarr-backup-2025-12-14T10-30-00xdb.gz",
        "TVARR-backup-2025-12-14T10-30-00.db.gz",
    ],
)
def test_every_other_name_is_none_of_ours(filename: str) -> None:
    assert parse_name(filename) is None


@pytest.mark.parametrize(
    "filename",
    [
        "tvarr-backup-2025-12-14T10-30-00.db",
        "tvarr-backup-2025-12-14T10-30-00.db.gz",
        "tvarr-backup-2025-12-14T10-30-00.tar.gz",
        "tvarr-backup-2025-12-14T10-30-00 (1).db.gz",
        "tvarr-backup-2025-12-14T10-30-00(1).db.gz",
        "tvarr-backup-2025-12-14T10-30-00.db (1).gz",
        "tvarr-backup-2025-12-14T10-30-00.db.gz (1)",
        "tvarr-backup-2025-12-14T10-30-00.tar-2.gz",
        "tvarr-backup-2025-12-14T10-30-00-2.db.gz",
        "tvarr-backup-2025-12-14T10-30-00 - Copy.db",
        "tvarr-backup-2025-12-14T10-30-00 - Copy (2).db.gz",
        "tvarr-backup-2025-12-14T10-30-00 (copy).db.gz",
        "tvarr-backup-2025-12-14T10-30-00 copy 2.db",
        "Copy of tvarr-backup-2025-12-14T10-30-00.db.gz",
        "Kopie von tvarr-backup-2025-12-14T10-30-00.db.gz.part",
        "tvarr-backup-2025-12-14T10-30-00",
    ],
)
def test_the_time_is_read_however_browsers_and_desktops_rename_a_file(filename: str) -> None:
    assert moment_in(filename) == MOMENT.replace(microsecond=0)


def test_the_time_in_a_renamed_file_has_its_milliseconds() -> None:
    assert moment_in("tvarr-backup-2025-12-14T10-30-00.123.tar (1).gz") == MOMENT.replace(microsecond=123_000)


@pytest.mark.parametrize(
    "filename",
    [
        "",
        "tvarr.db",
        "backup-2025-12-14T10-30-00.db",
        "tvarr-backup-2025-12-14.db",
        "tvarr-backup-2025-13-14T10-30-00.db",
        "tvarr-backup-2025-12-14T10-30-001.db",
        "tvarr-backup-2025-12-14T10-30-00-to-tvarr-backup-2026-12-14T10-30-00.db",
    ],
)
def test_a_name_without_exactly_one_time_tells_none(filename: str) -> None:
    assert moment_in(filename) is None


def test_the_sidecar_stands_beside_the_archive() -> None:
    name = parse_name("tvarr-backup-2025-12-14T10-30-00.123.db.gz")
    assert name is not None
    assert name.sidecar == "tvarr-backup-2025-12-14T10-30-00.123.meta.json"
    assert archive_of_sidecar(name.sidecar) == name


@pytest.mark.parametrize("filename", ["notes.meta.json", "tvarr-backup-2025-12-14T10-30-00.db.gz", ".meta.json"])
def test_other_files_are_no_sidecars(filename: str) -> None:
    assert archive_of_sidecar(filename) is None


def test_a_new_name_is_the_time_in_utc() -> None:
    local = MOMENT.astimezone(timezone(timedelta(hours=-5)))
    assert new_name(local, set()).filename == "tvarr-backup-2025-12-14T10-30-00.db.gz"


@pytest.mark.parametrize(
    ("taken", "filename"),
    [
        ({"tvarr-backup-2025-12-14T10-30-00.db.gz"}, "tvarr-backup-2025-12-14T10-30-00.123.db.gz"),
        ({"tvarr-backup-2025-12-14T10-30-00.meta.json"}, "tvarr-backup-2025-12-14T10-30-00.123.db.gz"),
        (
            {"tvarr-backup-2025-12-14T10-30-00.db.gz", "tvarr-backup-2025-12-14T10-30-00.123.meta.json"},
            "tvarr-backup-2025-12-14T10-30-00.124.db.gz",
        ),
    ],
)
def test_a_taken_second_gets_milliseconds(taken: set[str], filename: str) -> None:
    name = new_name(MOMENT, taken)
    assert name.filename == filename
    assert parse_name(filename) == name


@pytest.mark.parametrize("year", [1, 999, 9999])
def test_any_year_has_four_digits(year: int) -> None:
    moment = datetime(year, 12, 14, 10, 30, tzinfo=UTC)
    name = new_name(moment, set())
    assert name.filename == f"tvarr-backup-{year:04}-12-14T10-30-00.db.gz"
    assert parse_name(name.filename) == name


def test_a_thousand_backups_in_one_millisecond_all_get_names() -> None:
    taken: set[str] = set()
    for _ in range(1_000):
        name = new_name(MOMENT, taken)
        assert parse_name(name.filename) == name
        taken |= {name.filename, name.sidecar}
    assert len(taken) == 2_000


@pytest.mark.parametrize(
    "name", ["tvarr-backup-2025-12-31T23-59-59.987.tar.gz", "tvarr-backup-2024-02-29T20-30-00.db.gz"]
)
def test_every_start_of_a_name_with_a_digit_of_its_time_is_one(name: str) -> None:
    assert [length for length in range(len(name) + 1) if is_start_of_name(name[:length])] == [*range(14, len(name) + 1)]


@pytest.mark.parametrize(
    "text", ["", "x", "tvarr-backup-", "tvarr-backup-2026-13", "tvarr-backup-2026-01-01T00-00-00.db.gz.gz"]
)
def test_other_texts_are_not(text: str) -> None:
    assert not is_start_of_name(text)
