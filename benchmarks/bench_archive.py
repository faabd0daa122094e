"""Packing and unpacking, compared with reading and hashing the same file."""

import hashlib
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from benchmarks.measure import peak_bytes
from tvarr_backup.backups.archive import COMPRESSORS, pack, unpack

SIZE_BYTES = 600_000_000
RUNS = 3


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tvarr-backup-bench-") as folder:
        source, archive = Path(folder, "copy.db"), Path(folder, "copy.db.gz")
        _make_database(source)
        floor_seconds = _best(lambda: _read_and_hash(source))
        size = source.stat().st_size
        print(
            f"reading and sha256 of {size / 1e6:.0f} MB: {floor_seconds:.2f} s, {size / 1e6 / floor_seconds:.0f} MB/s"
        )
        for compressor, goal in zip(COMPRESSORS, ("at most 5", "none"), strict=False):
            seconds = _best(partial(_pack, source, archive, compressor))
            _print(f"pack with {compressor}", seconds, floor_seconds, size, goal)
            print(f"  the archive has {archive.stat().st_size / size:.2f} of the size")
        _pack(source, archive, "")
        seconds = _best(lambda: _unpack(archive))
        _print("unpack", seconds, floor_seconds, size, "at most 8")
        bench_memory(source, Path(folder, "small.db"))


def bench_memory(large: Path, small: Path) -> None:
    with large.open("rb") as file:
        small.write_bytes(file.read(30_000_000))
    peaks = [peak_bytes([sys.executable, "-c", _PACK, str(path)]) for path in (small, large)]
    print(f"peak of packing: {peaks[0] / 2**20:.1f} MiB for 30 MB, {peaks[1] / 2**20:.1f} MiB for "
          f"{large.stat().st_size / 1e6:.0f} MB (goal: within 5 MiB of each other)")  # fmt: skip


_PACK = """
import sys
from pathlib import Path
from tvarr_backup.backups.archive import pack
with open("/dev/null", "wb") as target:
    pack(Path(sys.argv[1]), target)
"""


def _make_database(path: Path) -> None:
    """Create rows like tvarr's channels: random keys, repeating names, addresses, and some incompressible data."""
    chance = random.Random(1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE channels (id TEXT PRIMARY KEY, name, address, group_title, logo)")
        while path.stat().st_size < SIZE_BYTES:
            rows = [
                (
                    f"{chance.getrandbits(128):032x}",
                    f"Channel {chance.randrange(10**6)} HD",
                    f"http://provider.example/live/{chance.getrandbits(64):x}/{number}.ts",
                    f"Group {chance.randrange(50)}",
                    chance.randbytes(60),
                )
                for number in range(50_000)
            ]
            with connection:
                connection.executemany("INSERT INTO channels VALUES (?, ?, ?, ?, ?)", rows)


def _read_and_hash(path: Path) -> None:
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")


def _pack(source: Path, archive: Path, compressor: str) -> None:
    with archive.open("wb") as target:
        pack(source, target, compressor=compressor)


def _unpack(archive: Path) -> None:
    with archive.open("rb") as source, Path(os.devnull).open("wb") as target:
        unpack(source, target.write, limit_bytes=2 * SIZE_BYTES)


def _print(name: str, seconds: float, floor_seconds: float, size: int, goal: str) -> None:
    print(f"{name}: {seconds:.2f} s, {size / 1e6 / seconds:.0f} MB/s, "
          f"ratio {seconds / floor_seconds:.2f} (goal: {goal})")  # fmt: skip


def _best(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(RUNS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


if __name__ == "__main__":
    main()
