"""tvarr's newer archives: a tar of two files, whose headers are not trusted."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.backups.makers import member, metadata, packed, tar_of, tvarrs_new_backup
from tests.backups.test_catalogue import checksummed
from tvarr_backup.backups.progress import Phase
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.backups.tvarr_archive import extract_database, read_metadata
from tvarr_backup.errors import ArchiveDamaged, SidecarInvalid

DATABASE = Random(9).randbytes(5_000)


@pytest.fixture
def good(live: Path) -> tuple[tarfile.TarInfo, bytes]:
    """A `metadata.json` as it should be."""
    return member("metadata.json", metadata(live))


def extracted(tmp_path: Path, content: bytes) -> bytes:
    (tmp_path / "x.tar").write_bytes(content)
    extract_database(tmp_path / "x.tar", tmp_path / "x.db")
    return (tmp_path / "x.db").read_bytes()


def test_its_description_is_read_without_its_database(tmp_path: Path, live: Path) -> None:
    archive = tvarrs_new_backup(tmp_path, live, protected=True)
    sidecar = read_metadata(archive)
    assert (sidecar.kind, sidecar.protected, sidecar.tvarr_version) == (BackupKind.TVARR, True, "0.0.30")
    assert sidecar.compressed_size == archive.stat().st_size
    assert sidecar.created_at.isoformat() == "2026-01-14T10:30:00.123456+00:00"


def test_the_description_of_one_that_breaks_off_later_is_read_too(tmp_path: Path, live: Path) -> None:
    archive = tvarrs_new_backup(tmp_path, live)
    archive.write_bytes(archive.read_bytes()[:4000])
    assert read_metadata(archive).compressed_size == 4000


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(SidecarInvalid, match=r"^x\.tar\.gz cannot be read: No such file or directory\.$"):
        read_metadata(tmp_path / "x.tar.gz")
    with pytest.raises(SidecarInvalid, match=f"^{tmp_path.name} cannot be read: it is not a regular file"):
        read_metadata(tmp_path)


def test_its_database_is_taken_out_as_it_is(tmp_path: Path, good: tuple[tarfile.TarInfo, bytes]) -> None:
    assert extracted(tmp_path, tar_of(good, member("database.db", DATABASE))) == DATABASE
    assert (tmp_path / "x.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_form_of_tar_is_read(tmp_path: Path, live: Path, form: int) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        for header, content in (
            member("metadata.json", metadata(live), mtime=1.5, pax_headers={"comment": "x" * 3000}),
            member("database.db", DATABASE, mtime=2.5),
        ):
            tar.addfile(header, io.BytesIO(content))
    assert extracted(tmp_path, file.getvalue()) == DATABASE


def test_it_says_how_far_it_has_come_and_can_be_cancelled(tmp_path: Path, good: tuple[tarfile.TarInfo, bytes]) -> None:
    (tmp_path / "x.tar").write_bytes(tar_of(good, member("database.db", bytes(3 * 2**20))))
    seen: list[tuple[Phase, int, int]] = []
    extract_database(tmp_path / "x.tar", tmp_path / "x.db", lambda *now: seen.append(now))
    assert seen == [(Phase.UNPACK, done * 2**20, 3 * 2**20) for done in (1, 2, 3)]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other.db"},
        {"name": "./database.db"},
        {"name": "../database.db"},
        {"type": tarfile.SYMTYPE, "linkname": "database.db", "size": 0},
        {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "size": 0},
        {"type": tarfile.LNKTYPE, "linkname": "metadata.json", "size": 0},
        {"type": tarfile.LNKTYPE, "linkname": "nothing", "size": 0},
        {"type": tarfile.DIRTYPE, "size": 0},
        {"type": tarfile.FIFOTYPE, "size": 0},
        {"type": tarfile.CHRTYPE, "size": 0},
    ],
)
def test_a_second_file_that_is_none_is_refused(
    tmp_path: Path, good: tuple[tarfile.TarInfo, bytes], changes: dict[str, Any]
) -> None:
    content = DATABASE if "size" not in changes else b""
    with pytest.raises(ArchiveDamaged, match=r"its second member is not database\.db"):
        extracted(tmp_path, tar_of(good, member("database.db", content, **changes)))
    assert not (tmp_path / "x.db").exists()


def test_a_third_file_is_refused(tmp_path: Path, good: tuple[tarfile.TarInfo, bytes]) -> None:
    with pytest.raises(ArchiveDamaged, match="more than two members"):
        extracted(tmp_path, tar_of(good, member("database.db", DATABASE), member("more", b"x")))


def test_the_database_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SidecarInvalid, match=r"first member is not metadata\.json"):
        extracted(tmp_path, tar_of(member("database.db", DATABASE)))


def test_the_description_alone_is_refused(tmp_path: Path, good: tuple[tarfile.TarInfo, bytes]) -> None:
    with pytest.raises(ArchiveDamaged, match=r"its second member is not database\.db"):
        extracted(tmp_path, tar_of(good))


@pytest.mark.parametrize("kept", [0, 100, 511, 512, 1000, 1024, 1536, 3000])
def test_one_that_breaks_off_is_refused(tmp_path: Path, good: tuple[tarfile.TarInfo, bytes], kept: int) -> None:
    whole = tar_of(good, member("database.db", DATABASE))
    with pytest.raises((ArchiveDamaged, SidecarInvalid)):
        extracted(tmp_path, whole[:kept])


def test_a_file_with_holes_is_refused_before_a_byte_of_it_is_written(
    tmp_path: Path, good: tuple[tarfile.TarInfo, bytes]
) -> None:
    raw = bytearray(tar_of(member("database.db", b"x" * 512)))
    raw[156:157] = b"S"  # GNU's sparse form: where its parts lie, and 1 GiB as its real size
    raw[386:410] = b"00000000000\0" + b"00000001000\0"
    raw[483:495] = b"10000000000\0"
    with pytest.raises(ArchiveDamaged, match=r"its second member is not database\.db"):
        extracted(tmp_path, tar_of(good)[:1024] + checksummed(raw))
    assert not (tmp_path / "x.db").exists()


@pytest.mark.parametrize("size", [b"\xff" * 12, b"\xff" * 11 + b"\x00", b"\x80" + b"\x7f" * 11, b"77777777777\0"])
@pytest.mark.parametrize("kind", [b"0", b"x", b"g", b"L", b"S"])
def test_a_size_that_makes_no_sense_is_refused(
    tmp_path: Path, good: tuple[tarfile.TarInfo, bytes], size: bytes, kind: bytes
) -> None:
    raw = bytearray(tar_of(member("database.db", DATABASE)))
    raw[124:136], raw[156:157] = size, kind
    with pytest.raises((ArchiveDamaged, SidecarInvalid)):
        extracted(tmp_path, tar_of(good)[:1024] + checksummed(raw))


@pytest.mark.parametrize("records", [b"13 size=-9999\n", b"30 GNU.sparse.map=no numbers1\n" * 2])
def test_further_headers_that_make_no_sense_are_refused(
    tmp_path: Path, good: tuple[tarfile.TarInfo, bytes], records: bytes
) -> None:
    further = tar_of(member("x", records, type=tarfile.XHDTYPE))[:1024]
    with pytest.raises(ArchiveDamaged):
        extracted(tmp_path, tar_of(good)[:1024] + further + tar_of(member("database.db", b"")))


def test_a_further_header_is_not_read_into_memory_whatever_its_size(
    tmp_path: Path, good: tuple[tarfile.TarInfo, bytes]
) -> None:
    further = tar_of(member("x", bytes(4 * 2**20), type=tarfile.XHDTYPE))
    with pytest.raises(ArchiveDamaged, match="one of its headers is too large"):
        extracted(tmp_path, tar_of(good)[:1024] + further)


def test_whatever_bits_are_wrong_it_is_taken_apart_or_refused(
    tmp_path: Path, good: tuple[tarfile.TarInfo, bytes]
) -> None:
    random, whole = Random(4), tar_of(good, member("database.db", DATABASE))
    refused = 0
    for _ in range(300):
        raw = bytearray(whole)
        for _ in range(random.choice([1, 2, 30])):
            raw[1024 + random.randrange(512)] = random.randrange(256)
        second = checksummed(raw[1024:])
        (tmp_path / "x.db").unlink(missing_ok=True)
        try:
            extracted(tmp_path, bytes(raw[:1024]) + second)
        except (ArchiveDamaged, SidecarInvalid):
            refused += 1
    assert 100 < refused < 300


def test_a_description_that_is_too_long_is_refused(tmp_path: Path, live: Path) -> None:
    packed(tmp_path / "x.tar.gz", tar_of(member("metadata.json", metadata(live) + b" " * 2**21)))
    with pytest.raises(SidecarInvalid, match=r"^x\.tar\.gz: its first member is not metadata\.json\.$"):
        read_metadata(tmp_path / "x.tar.gz")
