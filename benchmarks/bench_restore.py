"""Restores of databases of 100 MB and 1 GB (BENCH_RESTORE_SIZES, in MB), compared with unpacking and copying."""

import gzip
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from benchmarks.bench_backups import Bench
from benchmarks.measure import peak_bytes

SIZES = tuple(int(size) for size in os.environ.get("BENCH_RESTORE_SIZES", "100,1000").split(","))
RUNS = 2


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tvarr-backup-bench-") as folder:
        bench = RestoreBench(Path(folder))
        print(f"the best of {RUNS} runs with a load of {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors; goals: "
              "ratio at most 3.5, peak at most 160 MiB, extra disk at most 3.3 x")  # fmt: skip
        for size in sorted(SIZES):
            bench.grow(size * 1_000_000)
            bench.measure()


class RestoreBench(Bench):
    def measure(self) -> None:
        self.clean()
        name = json.loads(self.run(self.manage("backup", "create", "--json")))["filename"]
        floor = min(self.floor(self.backups / name) for _ in range(RUNS))
        ours = min(self.restored(name) for _ in range(RUNS))
        command = self.manage("backup", "restore", name, "--yes")
        peak = peak_bytes(command, environment=self.environment)
        stall = self.longest_commit(lambda: self.restored(name))
        size = self.live.stat().st_size
        extra = self.peak_disk(lambda: self.restored(name)) / size
        print(f"{size / 1e6:5.0f} MB: floor {floor:.2f} s, ours {ours:.2f} s, ratio {ours / floor:.2f}; peak "
              f"{peak / 2**20:.0f} MiB; longest commit in the meantime {stall:.2f} s; extra disk {extra:.2f} x", flush=True)  # fmt: skip
        self.clean()

    def floor(self, archive: Path) -> float:
        """Unpack, copy into another live database, and checkpoint, without verification and safety backup."""
        target, staged = self.scratch / "floor.db", self.scratch / "floor-staged.db"
        with closing(sqlite3.connect(target)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE t (x)")
        os.sync()
        started = time.perf_counter()
        with gzip.open(archive) as packed, staged.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked, 2**20)
            unpacked.flush()
            os.fsync(unpacked.fileno())
        with closing(sqlite3.connect(staged)) as source, closing(sqlite3.connect(target)) as live:
            live.execute("PRAGMA synchronous=FULL")
            source.backup(live)
            live.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        seconds = time.perf_counter() - started
        target.unlink()
        staged.unlink()
        return seconds

    def restored(self, name: str) -> float:
        """Return the seconds of `restore_backup`, without the start of its process."""
        os.sync()
        seconds = float(self.run([sys.executable, "-c", _RESTORE, name]))
        for path in self.backups.glob("tvarr-backup-*"):
            if not path.name.startswith(name.removesuffix(".db.gz") + "."):
                path.unlink()
        return seconds

    def peak_disk(self, work: Callable[[], object]) -> int:
        """Return the largest increase of bytes in the folder during the work."""
        before, worst, done = _bytes_in(self.folder), 0, threading.Event()

        def watch() -> None:
            nonlocal worst
            while not done.wait(0.02):
                worst = max(worst, _bytes_in(self.folder))

        watcher = threading.Thread(target=watch)
        watcher.start()
        work()
        done.set()
        watcher.join()
        return worst - before


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # deleted in the meantime
            continue
    return total


_RESTORE = """
import sys, time, django
django.setup()
from tvarr_backup import conf
from tvarr_backup.backups.restore import restore_backup
live, folder, required = conf.live_database(), conf.backup_folder(), conf.required_schema()
started = time.perf_counter()
restore_backup(live, folder, sys.argv[1], required)
print(time.perf_counter() - started)
"""


if __name__ == "__main__":
    main()
