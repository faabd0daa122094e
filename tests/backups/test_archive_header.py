"""Metadata in the gzip header of a download: other programs skip it, and the archive without it is the stored one."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.backups.makers import NOW, backup
from tvarr_backup.backups.archive_header import HEADER_BYTES, MOST_BYTES, add_metadata, split_metadata
from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.backups.sidecar import Sidecar, decode_sidecar, encode_embedded
from tvarr_backup.errors import SidecarInvalid


@pytest.fixture
def made(live: Path, tmp_path: Path) -> Backup:
    return backup(live, prepare_folder(tmp_path / "made"), now=NOW, note="last “good” one")


@pytest.fixture
def stored(made: Backup, tmp_path: Path) -> bytes:
    return (tmp_path / "made" / made.filename).read_bytes()


def downloaded(stored: bytes, sidecar: Sidecar) -> bytes:
    return add_metadata(stored[:HEADER_BYTES], sidecar) + stored[HEADER_BYTES:]


def with_field(stored: bytes, field: bytes, flags: int = 4) -> bytes:
    """The archive with these bytes as the extra field of its header."""
    return stored[:3] + bytes([flags]) + stored[4:10] + len(field).to_bytes(2, "little") + field + stored[10:]


def test_every_gzip_program_unpacks_it(made: Backup, stored: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.db.gz").write_bytes(downloaded(stored, made.sidecar))
    subprocess.run(["gzip", "-t", tmp_path / "x.db.gz"], check=True)
    content = subprocess.run(["gzip", "-dc", tmp_path / "x.db.gz"], check=True, capture_output=True).stdout
    assert content == gzip.decompress(downloaded(stored, made.sidecar)) == gzip.decompress(stored)
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == made.sidecar.database_checksum


def test_without_the_metadata_it_is_the_stored_archive(made: Backup, stored: bytes) -> None:
    archive, metadata = split_metadata(io.BytesIO(downloaded(stored, made.sidecar)))
    assert metadata is not None
    assert decode_sidecar(metadata) == made.sidecar
    assert archive.read(100) + archive.read(len(stored)) == stored
    archive.rewind()
    assert archive.read(5) == stored[:5]


@pytest.mark.parametrize("flags", [2, 4, 6])
def test_a_header_with_an_extra_field_or_a_checksum_is_left_alone(made: Backup, stored: bytes, flags: int) -> None:
    start = stored[:3] + bytes([flags]) + stored[4:HEADER_BYTES]
    assert add_metadata(start, made.sidecar) == start


@pytest.mark.parametrize("start", [b"", b"\x1f\x8b", b"SQLite format 3\0"])
def test_a_file_that_is_not_gzip_is_left_alone(made: Backup, start: bytes) -> None:
    assert add_metadata(start[:HEADER_BYTES], made.sidecar) == start[:HEADER_BYTES]
    assert split_metadata(io.BytesIO(start))[1] is None


def test_a_file_name_in_the_header_stays(made: Backup, stored: bytes) -> None:
    named = stored[:3] + b"\x08" + stored[4:HEADER_BYTES] + b"tvarr.db\0" + stored[HEADER_BYTES:]
    archive, metadata = split_metadata(io.BytesIO(downloaded(named, made.sidecar)))
    assert metadata is not None
    assert archive.read(2**20) == named
    assert gzip.decompress(downloaded(named, made.sidecar)) == gzip.decompress(stored)


@pytest.mark.parametrize("field", [b"", b"t", b"BC\x02\0\x1b\0", b"BC\x02\0\x1b\0tb\x02\0{}"])
def test_a_field_of_another_program_is_part_of_the_archive(stored: bytes, field: bytes) -> None:
    other = with_field(stored, field)
    archive, metadata = split_metadata(io.BytesIO(other))
    assert metadata is None
    assert archive.read(2**20) == other


def test_a_field_that_is_cut_off_is_part_of_the_archive(made: Backup, stored: bytes) -> None:
    cut = downloaded(stored, made.sidecar)[:50]
    archive, metadata = split_metadata(io.BytesIO(cut))
    assert (metadata, archive.read(100)) == (None, cut)


@pytest.mark.parametrize("field", [b"tb", b"tb\x02", b"tb\x03\0{}", b"tb\x01\0{}", b"tb\x02\0{}BC\0\0"])
def test_a_field_of_ours_with_a_wrong_length_is_refused(stored: bytes, field: bytes) -> None:
    with pytest.raises(SidecarInvalid):
        split_metadata(io.BytesIO(with_field(stored, field)))


def test_the_largest_metadata_lacks_what_an_upload_finds_out_again(made: Backup, stored: bytes) -> None:
    tables = {f"{number:0200}": number for number in range(1000)}
    large = made.sidecar.with_changes(table_counts=tables, note="🦉" * 500)
    members = json.loads(encode_embedded(large, MOST_BYTES))
    assert members["left_out"] == ["table_counts"]
    _, metadata = split_metadata(io.BytesIO(downloaded(stored, large)))
    assert metadata is not None
    assert decode_sidecar(metadata) == large.with_changes(table_counts={})


@pytest.mark.parametrize("change", [{"accepted_code": ("🦉" * 4_000,) * 100}, {"table_counts": {"x" * 70_000: 1}}])
def test_any_metadata_fits(made: Backup, change: dict[str, Any]) -> None:
    assert len(encode_embedded(made.sidecar.with_changes(**change), MOST_BYTES)) <= MOST_BYTES
