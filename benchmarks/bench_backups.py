"""Backups of databases of 100 MB, 1 GB and 3 GB (BENCH_SIZES, in MB), compared with a plain `VACUUM INTO`."""

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.measure import ROOT, peak_bytes, run
from tvarr_backup.backups.archive import pack
from tvarr_backup.backups.catalogue import read_folder
from tvarr_backup.backups.names import new_name
from tvarr_backup.backups.sidecar import BackupKind, Sidecar, encode_sidecar

SIZES = tuple(int(size) for size in os.environ.get("BENCH_SIZES", "100,1000,3000").split(","))
RUNS = 3
LISTED = 2_000
BYTES_PER_PROGRAMME = 640
COLUMNS = (
    ("database", 8),
    ("bare", 7),
    ("ours", 7),
    ("ratio", 6),
    ("shell", 7),
    ("peak RSS", 10),
    ("longest commit: alone", 22),
    ("during", 10),
    ("verify", 7),
    ("shell", 7),
)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tvarr-backup-bench-") as folder:
        bench = Bench(Path(folder))
        print(f"the best of {RUNS} runs with a load of {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors; "
              "goals: ratio at most 2.2, peak at most 128 MiB and the same for every size")  # fmt: skip
        _print_row([name for name, _width in COLUMNS])
        for size in sorted(SIZES):
            bench.grow(size * 1_000_000)
            _print_row(bench.row())
        bench.list_many()


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "data"
        self.live, self.backups = self.folder / "tvarr.db", self.folder / "backups"
        self.scratch = folder / "scratch"  # on the same disk
        self.scratch.mkdir()
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("TVARR_")}
        self.environment |= {
            "TVARR_STORAGE_BASE_DIR": str(self.folder),
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }
        self.run(self.manage("prepare"))

    def run(self, command: Sequence[str]) -> str:
        return run(command, self.environment)

    def manage(self, *arguments: str) -> list[str]:
        return [sys.executable, str(ROOT / "manage.py"), *arguments]

    def grow(self, size: int) -> None:
        missing = max(0, size - self.live.stat().st_size) // BYTES_PER_PROGRAMME
        self.run(self.manage("demo_data", f"--programmes={missing}", f"--channels={missing // 50}"))
        self.run(["sqlite3", str(self.live), "PRAGMA wal_checkpoint(TRUNCATE)"])

    def row(self) -> list[str]:
        bare, ours = self.best_of_both()
        shell = _seconds(self.shell)
        peak = peak_bytes(
            self.manage("backup", "create", "--json"), output=self.scratch / "made", environment=self.environment
        )
        made = json.loads((self.scratch / "made").read_text())["filename"]
        verify, shell_verify = self.verify(made), _seconds(lambda: self.shell_verify(made))
        self.clean()
        alone = self.longest_commit(lambda: time.sleep(ours))
        during = self.longest_commit(self.ours)
        return [
            f"{self.live.stat().st_size / 1e6:.0f} MB",
            f"{bare:.2f} s",
            f"{ours:.2f} s",
            f"{ours / bare:.2f}",
            f"{shell:.1f} s",
            f"{peak / 2**20:.0f} MiB",
            f"{alone * 1000:.0f} ms",
            f"{during * 1000:.0f} ms",
            f"{verify:.1f} s",
            f"{shell_verify:.1f} s",
        ]

    def best_of_both(self) -> tuple[float, float]:
        """Alternate the order, because some disks write every second large file more slowly."""
        bare: list[float] = []
        ours: list[float] = []
        for number in range(RUNS):
            for measure, seconds in ((self.bare, bare), (self.ours, ours))[:: 1 if number % 2 else -1]:
                seconds.append(measure())
        return min(bare), min(ours)

    def bare(self) -> float:
        target = self.scratch / "bare.db"
        os.sync()
        started = time.perf_counter()
        with closing(sqlite3.connect(self.live)) as connection:
            connection.execute("VACUUM INTO ?", (str(target),))
        seconds = time.perf_counter() - started
        target.unlink()
        return seconds

    def ours(self) -> float:
        """Return the seconds of `create_backup`, without the start of its process."""
        os.sync()
        seconds = float(self.run([sys.executable, "-c", _CREATE]))
        self.clean()
        return seconds

    def verify(self, name: str) -> float:
        return float(self.run([sys.executable, "-c", _VERIFY, name]))

    def shell(self) -> None:
        target = self.scratch / "shell.db"
        self.run(["sqlite3", str(self.live), f"VACUUM INTO '{target}'"])
        self.run(["sh", "-c", 'gzip -6 -c "$1" > "$1.gz"; sha256sum "$1" "$1.gz"; rm "$1" "$1.gz"', "sh", str(target)])

    def shell_verify(self, name: str) -> None:
        target = self.scratch / "shell.db"
        self.run(["sh", "-c", 'sha256sum "$1"; gunzip -c "$1" > "$2"', "sh", str(self.backups / name), str(target)])
        self.run(["sqlite3", str(target), "PRAGMA integrity_check", "PRAGMA foreign_key_check"])
        target.unlink()

    def longest_commit(self, work: Callable[[], object]) -> float:
        """Return the seconds of the longest commit of another process, which writes while `work` runs."""
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(self.live)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        work()
        longest, _ = writer.communicate("")
        assert writer.returncode == 0
        return float(longest)

    def clean(self) -> None:
        for path in self.backups.glob("tvarr-backup-*"):
            path.unlink()

    def list_many(self) -> None:
        """Measure `read_folder` and `backup list`, compared with only reading the metadata files as JSON."""
        command = self.manage("backup", "list", "--json")
        empty = _seconds(lambda: self.run(command))
        self.fill()
        floor = min(_seconds(self.read_sidecars) for _ in range(RUNS))
        ours = min(_seconds(lambda: read_folder(self.backups)) for _ in range(RUNS))
        assert len(read_folder(self.backups).backups) == LISTED
        print(f"listing {LISTED:,} backups: floor {floor * 1000:.0f} ms, ours {ours * 1000:.0f} ms, "
              f"ratio {ours / floor:.1f} (goal: at most 10)")  # fmt: skip
        full = _seconds(lambda: self.run(command))
        print(f"backup list --json: {full:.2f} s with them, {empty:.2f} s without any")

    def fill(self) -> None:
        small, packed = self.scratch / "small.db", self.scratch / "small.db.gz"
        with closing(sqlite3.connect(small)) as connection:
            connection.execute("CREATE TABLE filters (id TEXT PRIMARY KEY)")
        with packed.open("wb") as target:
            measured = pack(small, target)
        archive, newest = packed.read_bytes(), datetime.now(UTC)
        for seq in range(1, LISTED + 1):
            name = new_name(newest - timedelta(days=LISTED - seq), ())
            sidecar = Sidecar(
                created_at=name.moment,
                database_size=measured.database_size,
                compressed_size=measured.archive_size,
                checksum=measured.archive_checksum,
                kind=BackupKind.SCHEDULED,
                seq=seq,
                database_checksum=measured.database_checksum,
                table_counts={f"table_{number}": number for number in range(30)},
            )
            (self.backups / name.filename).write_bytes(archive)
            (self.backups / name.sidecar).write_bytes(encode_sidecar(sidecar))

    def read_sidecars(self) -> None:
        for path in self.backups.glob("*.meta.json"):
            json.loads(path.read_bytes())


_SETUP = """
import sys, time, django
django.setup()
from tvarr_backup import conf
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.backups.verify import verify_backup
live, folder, required = conf.live_database(), conf.backup_folder(), conf.required_schema()
started = time.perf_counter()
"""
_CREATE = f"""{_SETUP}
create_backup(live, folder, required, kind=BackupKind.MANUAL)
print(time.perf_counter() - started)
"""
_VERIFY = f"""{_SETUP}
assert not verify_backup(folder, sys.argv[1], required).problems
print(time.perf_counter() - started)
"""
_WRITER = """
import select, sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
connection.execute("PRAGMA synchronous=NORMAL")
longest = 0.0
print("writing", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    started = time.perf_counter()
    connection.execute("UPDATE stream_sources SET channel_count = channel_count + 1")
    longest = max(longest, time.perf_counter() - started)
print(longest)
"""


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _print_row(cells: Sequence[str]) -> None:
    print(" | ".join(cell.rjust(width) for cell, (_, width) in zip(cells, COLUMNS, strict=True)), flush=True)


if __name__ == "__main__":
    main()
