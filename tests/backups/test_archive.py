"""Archives: gzip that every program reads, packed in one pass, and refused if a single bit has changed."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import itertools
import json
import os
import subprocess
import sys
import threading
import zlib
from functools import cache
from pathlib import Path
from random import Random
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.installation import ROOT
from tvarr_backup.backups.archive import COMPRESSORS, Members, Packed, pack, unpack, unpacked_start
from tvarr_backup.errors import ArchiveDamaged, ArchiveTooLarge

MIB = 2**20
CONTENTS = {
    "nothing": b"",
    "one byte": b"x",
    "exactly 1 MiB": Random(1).randbytes(MIB),
    "1 MiB and one byte": Random(2).randbytes(MIB + 1),
    "5 MiB at random": Random(3).randbytes(5 * MIB),
    "5 MiB of zeros": bytes(5 * MIB),
}
ROWS = "".join(f"channel {number}, {number * 7919 % 1013}\n" for number in range(60)).encode()
ARCHIVE = gzip.compress(ROWS, mtime=0)
PACK_AND_UNPACK = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from tvarr_backup.backups.archive import COMPRESSORS, pack, unpack
with open(sys.argv[2], "wb") as target:
    packed = pack(Path(sys.argv[1]), target)
with open(sys.argv[2], "rb") as source:
    assert unpack(source, len, limit_bytes=packed.database_size) == packed
print(json.dumps(list(COMPRESSORS) + [asdict(packed)]))
"""
PACK_LIMITED = """
import os, resource, sys, threading
from pathlib import Path
from tvarr_backup.backups.archive import pack
target = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT, 0o600)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    pack(Path(sys.argv[1]), target)
except OSError as problem:
    print(problem.errno, threading.active_count())
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""
PEAK_OF = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_pid, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss * 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""
with_each_compressor = pytest.mark.parametrize("compressor", COMPRESSORS)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of 12 MiB that does not compress."""
    path = tmp_path / "copy.db"
    path.write_bytes(Random(4).randbytes(12 * MIB))
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "copy.db.gz"


def checksum(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def archive_of(content: bytes, folder: Path, compressor: str = "") -> bytes:
    (folder / "content.db").write_bytes(content)
    target = io.BytesIO()
    pack(folder / "content.db", target, compressor=compressor)
    return target.getvalue()


def unpacked(raw: bytes, limit_bytes: int = 16 * MIB) -> tuple[bytes, Packed]:
    target = io.BytesIO()
    packed = unpack(io.BytesIO(raw), target.write, limit_bytes=limit_bytes)
    return target.getvalue(), packed


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def assert_no_thread_is_left() -> None:
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("archive")] == []


# Packing


@with_each_compressor
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_what_is_packed_is_unpacked(content: bytes, compressor: str, tmp_path: Path, archive: Path) -> None:
    (tmp_path / "copy.db").write_bytes(content)
    with archive.open("wb") as target:
        packed = pack(tmp_path / "copy.db", target, compressor=compressor)
    raw = archive.read_bytes()
    assert packed == Packed(len(content), checksum(content), len(raw), checksum(raw))
    assert unpacked(raw) == (content, packed)


@with_each_compressor
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_every_gzip_reads_it(content: bytes, compressor: str, tmp_path: Path, archive: Path) -> None:
    archive.write_bytes(archive_of(content, tmp_path, compressor))
    assert gzip.decompress(archive.read_bytes()) == content
    assert subprocess.run(["gzip", "-t", archive], timeout=60, check=True).returncode == 0
    assert subprocess.run(["gzip", "-dc", archive], stdout=subprocess.PIPE, timeout=60, check=True).stdout == content


@with_each_compressor
def test_two_archives_of_one_file_are_the_same_bytes(compressor: str, source: Path) -> None:
    first, second = io.BytesIO(), io.BytesIO()
    assert pack(source, first, compressor=compressor) == pack(source, second, compressor=compressor)
    assert first.getvalue() == second.getvalue()


@with_each_compressor
def test_it_carries_neither_a_time_nor_a_name(compressor: str, tmp_path: Path) -> None:
    raw = archive_of(ROWS, tmp_path, compressor)
    assert raw[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"


def test_an_installation_has_the_quick_compressor_first() -> None:
    assert list(COMPRESSORS) == ["isal", "zlib"]


def test_it_packs_and_unpacks_where_isal_cannot_be_imported(source: Path, archive: Path) -> None:
    without_isal = f"import sys; sys.modules['isal'] = None\n{PACK_AND_UNPACK}"
    done = run(without_isal, source, archive)
    assert done.returncode == 0, done.stderr
    zlibs, packed = json.loads(done.stdout)
    assert (zlibs, packed["archive_checksum"]) == ("zlib", checksum(archive.read_bytes()))
    assert gzip.decompress(archive.read_bytes()) == source.read_bytes()


def test_a_descriptor_is_a_target_too_and_stays_open(source: Path, archive: Path) -> None:
    descriptor = os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    packed = pack(source, descriptor)
    assert os.fstat(descriptor).st_size == packed.archive_size
    os.close(descriptor)
    assert unpacked(archive.read_bytes()) == (source.read_bytes(), packed)


def test_a_buffered_target_has_all_of_it_before_it_is_closed(source: Path, archive: Path) -> None:
    with archive.open("wb", buffering=64 * MIB) as target:
        packed = pack(source, target)
        assert archive.stat().st_size == packed.archive_size


def test_a_target_that_takes_a_little_at_a_time_gets_all_of_it(source: Path) -> None:
    reading, writing = os.pipe()
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.extend(iter(lambda: os.read(reading, 65_521), b"")))
    reader.start()
    with os.fdopen(writing, "wb", buffering=0) as target:
        packed = pack(source, target)
    reader.join()
    os.close(reading)
    assert checksum(b"".join(received)) == packed.archive_checksum


def test_progress_is_told_the_bytes_of_the_database(source: Path) -> None:
    told: list[int] = []
    pack(source, io.BytesIO(), progress=told.append)
    assert told == [number * MIB for number in range(1, 13)]


@pytest.mark.parametrize("at", [1, 2, 7, 12])
def test_progress_may_cancel(at: int, source: Path, archive: Path) -> None:
    def cancel(done: int) -> None:
        if done == at * MIB:
            raise KeyboardInterrupt

    with archive.open("wb") as target:
        with pytest.raises(KeyboardInterrupt):
            pack(source, target, progress=cancel)
        assert_no_thread_is_left()


def test_a_slow_target_holds_the_reader_back(source: Path) -> None:
    reading, writing = os.pipe()
    told: list[int] = []
    threading.Timer(0.5, os.close, [reading]).start()
    with pytest.raises(BrokenPipeError):
        pack(source, writing, progress=told.append)
    os.close(writing)
    assert told[-1] < 10 * MIB
    assert_no_thread_is_left()


@pytest.mark.parametrize("buffering", [0, 4096, 64 * MIB])
def test_a_full_disk_is_raised(buffering: int, source: Path) -> None:
    target = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError) as refused, open_as_it_is(target, buffering) as file:
        pack(source, file)
    assert refused.value.errno == errno.ENOSPC
    assert_no_thread_is_left()


def open_as_it_is(descriptor: int, buffering: int) -> IO[bytes]:
    return os.fdopen(descriptor, "wb", buffering=buffering)


def test_a_full_disk_is_raised_for_a_descriptor_and_a_tiny_file(tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_bytes(b"x")
    target = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError) as refused:
        pack(tmp_path / "copy.db", target)
    os.close(target)
    assert refused.value.errno == errno.ENOSPC


@pytest.mark.parametrize("limit", [0, 1, 12_345, 5 * MIB, 12 * MIB])
def test_a_limit_of_file_size_is_raised_and_ends_the_threads(limit: int, source: Path, archive: Path) -> None:
    done = run(PACK_LIMITED, source, archive, limit)
    assert (done.stdout, done.stderr) == (f"{errno.EFBIG} 1\n", "")
    assert archive.stat().st_size == limit


def test_a_target_that_takes_nothing_now_is_a_failure(source: Path) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with os.fdopen(reading, "rb"), os.fdopen(writing, "wb", buffering=0) as target, pytest.raises(BlockingIOError):
        pack(source, target)
    assert_no_thread_is_left()


@pytest.mark.parametrize(
    ("source", "failure"),
    [("missing.db", FileNotFoundError), (".", IsADirectoryError), ("/proc/self/mem", OSError)],
)
def test_a_source_that_cannot_be_read_is_raised(source: str, failure: type[OSError], tmp_path: Path) -> None:
    target = io.BytesIO()
    with pytest.raises(failure):
        pack(tmp_path / source, target)
    assert target.getvalue() == b""
    assert_no_thread_is_left()


def test_a_compressor_that_fails_is_raised(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMPRESSORS, "broken", lambda: zlib.compressobj(level=77))
    with pytest.raises(ValueError, match="Invalid initialization option"):
        pack(source, io.BytesIO(), compressor="broken")
    assert_no_thread_is_left()


def test_a_closed_target_is_raised(source: Path, archive: Path) -> None:
    target = archive.open("wb")
    target.close()
    with pytest.raises(ValueError, match="closed file"):
        pack(source, target)
    assert_no_thread_is_left()


# Unpacking


@cache
def zero_archive() -> bytes:
    """A mebibyte that unpacks to 1 GiB."""
    compressor = COMPRESSORS["isal"]()
    return b"".join([*(compressor.compress(bytes(MIB)) for _ in range(1024)), compressor.flush()])


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(ArchiveDamaged) as refused:
        unpacked(b"")
    assert str(refused.value) == "The archive is empty."
    assert refused.value.code == "archive_damaged"


@given(end=st.integers(1, len(ARCHIVE) - 1))
def test_an_archive_that_ends_anywhere_too_early_is_refused(end: int) -> None:
    with pytest.raises(ArchiveDamaged) as refused:
        unpacked(ARCHIVE[:end])
    assert str(refused.value) == f"The archive is cut off after {end} bytes."


@given(appended=st.binary(min_size=1) | st.integers(1, 2000).map(bytes) | st.sampled_from([ARCHIVE, ARCHIVE[:10]]))
def test_whatever_follows_the_archive_is_refused(appended: bytes) -> None:
    with pytest.raises(ArchiveDamaged) as refused:
        unpacked(ARCHIVE + appended)
    assert str(refused.value) == f"The archive ends at byte {len(ARCHIVE)}, but more data follows."


@pytest.mark.parametrize("appended", [b"\0", b"\x1f", ARCHIVE])
def test_what_follows_is_refused_also_when_it_is_read_on_its_own(appended: bytes, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, ARCHIVE)

    def append() -> None:
        os.write(writing, appended)
        os.close(writing)

    later = threading.Timer(0.2, append)
    later.start()
    with os.fdopen(reading, "rb", buffering=0) as source, pytest.raises(ArchiveDamaged, match="but more data follows"):
        unpack(source, len, limit_bytes=MIB)
    later.join()


@with_each_compressor
def test_no_bit_can_change_unseen(compressor: str, tmp_path: Path) -> None:
    raw = archive_of(ROWS, tmp_path, compressor)
    _, packed = unpacked(raw)
    assert 250 < len(raw) < 700
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            assert unpacked(bytes(changed))[1].archive_checksum != packed.archive_checksum, bit
        except ArchiveDamaged:
            continue


@given(place=st.integers(10, len(ARCHIVE) - 1), value=st.integers(1, 255))
def test_a_changed_byte_is_refused_or_changes_nothing(place: int, value: int) -> None:
    changed = bytearray(ARCHIVE)
    changed[place] ^= value
    try:
        assert unpacked(bytes(changed))[0] == ROWS
    except ArchiveDamaged:
        return


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"SQLite format 3\0" * 100, "The archive is damaged between byte 0 and byte 1600: incorrect header check."),
        (b"\x1f\x8b\x08\xe0" + ARCHIVE[4:], f"between byte 0 and byte {len(ARCHIVE)}: unknown header flags set."),
        (ARCHIVE[:-8] + bytes(4) + ARCHIVE[-4:], f"between byte 0 and byte {len(ARCHIVE)}: incorrect data check."),
        (ARCHIVE[:-4] + bytes(4), f"between byte 0 and byte {len(ARCHIVE)}: incorrect length check."),
        (zlib.compress(ROWS), "incorrect header check."),
        (b"PK\x03\x04", "between byte 0 and byte 4: incorrect header check."),
    ],
    ids=["no archive", "flags", "checksum", "length", "zlib", "zip"],
)
def test_damage_is_named_with_its_place(raw: bytes, words: str) -> None:
    with pytest.raises(ArchiveDamaged) as refused:
        unpacked(raw)
    assert str(refused.value).endswith(words)


def test_a_bit_far_inside_a_large_archive_is_refused(source: Path) -> None:
    raw = bytearray(archive_of(source.read_bytes(), source.parent))
    raw[9 * MIB] ^= 1
    with pytest.raises(ArchiveDamaged, match="damaged between byte"):
        unpacked(bytes(raw))


@pytest.mark.parametrize("limit", [0, 1, 100, len(ROWS) - 1])
def test_no_more_is_written_than_the_limit(limit: int) -> None:
    target = io.BytesIO()
    with pytest.raises(ArchiveTooLarge) as refused:
        unpack(io.BytesIO(ARCHIVE), target.write, limit_bytes=limit)
    assert str(refused.value) == f"The archive unpacks to more than the expected {limit} bytes."
    assert refused.value.code == "archive_too_large"
    assert len(target.getvalue()) <= limit


@pytest.mark.parametrize("limit", [len(ROWS), len(ROWS) + 1])
def test_exactly_the_limit_is_allowed(limit: int) -> None:
    assert unpacked(ARCHIVE, limit)[0] == ROWS


def test_nothing_is_within_a_limit_of_nothing() -> None:
    assert unpacked(gzip.compress(b""), limit_bytes=0)[0] == b""


@pytest.mark.parametrize("size", [MIB - 1, MIB, MIB + 1, 3 * MIB])
def test_a_limit_at_the_edge_of_a_block_is_kept(size: int) -> None:
    raw = gzip.compress(bytes(size))
    written: list[bytes] = []
    with pytest.raises(ArchiveTooLarge):
        unpack(io.BytesIO(raw), written.append, limit_bytes=size - 1)
    assert len(b"".join(written)) <= size - 1
    assert unpacked(raw, limit_bytes=size)[1].database_size == size


@pytest.mark.parametrize("length", [1, 7, 65_521])
def test_a_source_that_gives_a_little_at_a_time_is_read(length: int, tmp_path: Path) -> None:
    raw = archive_of(ROWS * 200, tmp_path)
    reading, writing = os.pipe()

    def feed() -> None:
        for start in range(0, len(raw), length):
            os.write(writing, raw[start : start + length])
        os.close(writing)

    feeder = threading.Thread(target=feed)
    feeder.start()
    with os.fdopen(reading, "rb", buffering=0) as source:
        assert unpack(source, len, limit_bytes=MIB).database_checksum == checksum(ROWS * 200)
    feeder.join()


@pytest.mark.parametrize("limit", [0, MIB, 64 * MIB])
def test_a_bomb_is_refused_within_the_limit(limit: int) -> None:
    written: list[int] = []
    with pytest.raises(ArchiveTooLarge):
        unpack(io.BytesIO(zero_archive()), lambda block: written.append(len(block)), limit_bytes=limit)
    assert sum(written) <= limit


@pytest.mark.parametrize("limit", [64 * MIB, 1024 * MIB])
def test_the_ratio_costs_no_memory(limit: int, archive: Path) -> None:
    archive.write_bytes(zero_archive())
    code = (
        "import sys; from tvarr_backup.backups.archive import unpack\n"
        "with open(sys.argv[1], 'rb') as source: unpack(source, len, limit_bytes=int(sys.argv[2]))"
    )
    done = run(PEAK_OF, sys.executable, "-c", code, archive, limit)
    assert ("ArchiveTooLarge" in done.stderr) == (limit < 1024 * MIB), done.stderr
    assert int(done.stdout) < 100 * MIB


def test_packing_takes_no_more_memory_for_a_large_file(tmp_path: Path) -> None:
    with (tmp_path / "copy.db").open("wb") as file:
        file.writelines([Random(5).randbytes(MIB)] * 300)
    code = (
        "import sys; from pathlib import Path; from tvarr_backup.backups.archive import pack\n"
        "with open('/dev/null', 'wb') as target: pack(Path(sys.argv[1]), target)"
    )
    done = run(PEAK_OF, sys.executable, "-c", code, tmp_path / "copy.db")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 100 * MIB


def test_progress_of_unpacking_is_told_the_bytes_of_the_archive(source: Path) -> None:
    raw = archive_of(source.read_bytes(), source.parent)
    told: list[int] = []
    unpack(io.BytesIO(raw), len, limit_bytes=16 * MIB, progress=told.append)
    assert told == sorted(told)
    assert (told[0] < MIB, told[-1]) == (True, len(raw))


def test_progress_of_unpacking_goes_on_where_a_little_grows_to_a_lot() -> None:
    told: list[int] = []
    with pytest.raises(ArchiveTooLarge):
        unpack(io.BytesIO(zero_archive()), len, limit_bytes=64 * MIB, progress=told.append)
    assert len(set(told)) == 64


@pytest.mark.parametrize("at", [1, 500_000])
def test_progress_of_unpacking_may_cancel(at: int) -> None:
    def cancel(done: int) -> None:
        if done >= at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(io.BytesIO(zero_archive()), len, limit_bytes=2048 * MIB, progress=cancel)


def test_a_full_disk_ends_unpacking(source: Path) -> None:
    raw = archive_of(source.read_bytes(), source.parent)
    with pytest.raises(OSError) as refused, Path("/dev/full").open("wb", buffering=0) as target:
        unpack(io.BytesIO(raw), target.write, limit_bytes=16 * MIB)
    assert refused.value.errno == errno.ENOSPC


def test_a_source_that_cannot_be_read_ends_unpacking() -> None:
    with Path("/proc/self/mem").open("rb", buffering=0) as source, pytest.raises(OSError):
        unpack(source, len, limit_bytes=MIB)


# Unpacking files from elsewhere: any valid gzip


HALVES = gzip.compress(ROWS[:500], mtime=0), gzip.compress(ROWS[500:], mtime=0)


def unpacked_any(raw: bytes, limit_bytes: int = 16 * MIB) -> bytes:
    target = io.BytesIO()
    packed = unpack(io.BytesIO(raw), target.write, limit_bytes=limit_bytes, members=Members.ANY)
    assert (packed.archive_size, packed.archive_checksum) == (len(raw), checksum(raw))
    return target.getvalue()


@pytest.mark.parametrize("padding", [0, 1, 511, 300_000])
@pytest.mark.parametrize(
    "members",
    [(ARCHIVE,), HALVES, (gzip.compress(b""), *HALVES, gzip.compress(b"")), (ARCHIVE, gzip.compress(b"") * 5000)],
    ids=["one", "two", "empty ones among them", "thousands"],
)
def test_several_members_and_zeros_at_the_end_are_valid(members: tuple[bytes, ...], padding: int) -> None:
    assert unpacked_any(b"".join(members) + bytes(padding)) == ROWS


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
@pytest.mark.parametrize("pieces", [1, 3, 50])
def test_a_file_packed_in_pieces_is_read_whole(content: bytes, pieces: int) -> None:
    size = len(content) // pieces + 1
    raw = b"".join(gzip.compress(content[start : start + size], 1) for start in range(0, pieces * size, size))
    assert unpacked_any(raw) == content == gzip.decompress(raw)


@given(content=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=5), padding=st.integers(0, 40))
def test_wherever_it_is_cut_into_members_the_content_is_the_same(content: bytes, cuts: list[int], padding: int) -> None:
    edges = [0, *sorted(cuts), 300]
    raw = b"".join(gzip.compress(content[start:end]) for start, end in itertools.pairwise(edges))
    assert unpacked_any(raw + bytes(padding)) == content


@pytest.mark.parametrize(
    "appended", [b"x", b"\0\0x", bytes(300_000) + b"x", b"\x1f\x8c", bytes(9) + ARCHIVE, b"\n", b"PK\x03\x04"]
)
def test_what_is_neither_a_member_nor_zeros_is_refused(appended: bytes) -> None:
    with pytest.raises(ArchiveDamaged) as refused:
        unpacked_any(ARCHIVE + appended)
    assert str(refused.value).startswith(f"The gzip data ends at byte {len(ARCHIVE)}, and other data follows.")


@given(end=st.integers(1, len(ARCHIVE) - 1))
def test_a_further_member_that_ends_too_early_is_refused(end: int) -> None:
    with pytest.raises(ArchiveDamaged) as refused:
        unpacked_any(ARCHIVE + ARCHIVE[:end])
    assert str(refused.value) == f"The archive is cut off after {len(ARCHIVE) + end} bytes."


def test_a_further_member_that_is_damaged_is_refused() -> None:
    with pytest.raises(ArchiveDamaged, match="incorrect data check"):
        unpacked_any(ARCHIVE + ARCHIVE[:-8] + bytes(4) + ARCHIVE[-4:])


def test_no_file_at_all_is_refused_here_too() -> None:
    with pytest.raises(ArchiveDamaged, match="The archive is empty"):
        unpacked_any(b"")


@pytest.mark.parametrize("limit", [0, 1, len(ROWS), 3 * len(ROWS) - 1])
def test_the_limit_holds_across_members(limit: int) -> None:
    written: list[bytes] = []
    with pytest.raises(ArchiveTooLarge):
        unpack(io.BytesIO(ARCHIVE * 3), written.append, limit_bytes=limit, members=Members.ANY)
    assert len(b"".join(written)) <= limit
    assert unpacked_any(ARCHIVE * 3, 3 * len(ROWS)) == ROWS * 3


def test_a_bomb_of_many_members_is_refused_within_the_limit() -> None:
    written: list[int] = []
    bomb = gzip.compress(bytes(MIB), 9) * 2000
    with pytest.raises(ArchiveTooLarge):
        unpack(io.BytesIO(bomb), lambda block: written.append(len(block)), limit_bytes=64 * MIB, members=Members.ANY)
    assert sum(written) <= 64 * MIB


@pytest.mark.parametrize("length", [1, 7, 65_521])
def test_members_from_a_source_that_gives_a_little_at_a_time(length: int) -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(length, size or length))

    target = io.BytesIO()
    unpack(Slow(ARCHIVE * 20 + bytes(30)), target.write, limit_bytes=MIB, members=Members.ANY)
    assert target.getvalue() == ROWS * 20


def test_progress_of_several_members_grows_to_the_end() -> None:
    seen: list[int] = []
    raw = gzip.compress(Random(6).randbytes(MIB)) * 3
    unpack(io.BytesIO(raw), len, limit_bytes=4 * MIB, members=Members.ANY, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == len(raw)


@pytest.mark.parametrize("head", [b"", gzip.compress(b""), gzip.compress(ROWS[:9])], ids=["none", "empty", "short"])
def test_the_start_of_an_archive_is_read_across_members(head: bytes) -> None:
    begin = ROWS[:9] if len(head) > 20 else b""
    assert unpacked_start(head + ARCHIVE) == begin + ROWS
    assert unpacked_start(head + ARCHIVE[:-9]).startswith(begin + ROWS[:50])
    assert unpacked_start(b"no gzip") == b""


def test_the_start_of_a_bomb_is_about_a_mebibyte() -> None:
    assert len(unpacked_start(gzip.compress(bytes(900_000)) * 3)) <= MIB + 2**18
