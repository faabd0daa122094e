"""Two processes that write to a database as fast as they can, and report which commits a backup must contain."""

from __future__ import annotations

import contextlib
import sqlite3
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.backups.makers import changed, tvarrs, with_ballast
from tests.processes import wait_until

# Each has a file of four numbers: the transaction that was last begun, the one whose COMMIT has last returned, and two
# times in nanoseconds: the longest that one has taken, which is mostly waiting for the other writer, and the longest
# that nobody has committed anything, which is what a backup would have to answer for. The time of the last commit of all
# stands in a file that they share.
_PROGRAM = """
import os, sqlite3, struct, sys, time
database, name, record, shared = sys.argv[1:]
connection = sqlite3.connect(database, isolation_level=None, timeout=60)
descriptor = os.open(record, os.O_WRONLY)
last_of_all = os.open(shared, os.O_RDWR)
number = longest = standstill = 0
while True:
    number += 1
    os.pwrite(descriptor, struct.pack("<q", number), 0)
    started = time.monotonic_ns()
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO written VALUES (?, ?)", (name, number))
    connection.execute("UPDATE accounts SET amount = amount - 1 WHERE name = 'here'")
    connection.execute("UPDATE accounts SET amount = amount + 1 WHERE name = 'there'")
    connection.execute("COMMIT")
    os.pwrite(descriptor, struct.pack("<q", number), 8)
    ended = time.monotonic_ns()
    (last,) = struct.unpack("<q", os.pread(last_of_all, 8, 0))
    os.pwrite(last_of_all, struct.pack("<q", ended), 0)
    longest = max(longest, ended - started)
    standstill = max(standstill, ended - last if last else 0)
    os.pwrite(descriptor, struct.pack("<qq", longest, standstill), 16)
    time.sleep(0.0005)  # without a gap the other one, which looks for one now and then, may wait for ever
"""


@dataclass(frozen=True)
class Writers:
    """The processes at work; their records by name."""

    database: Path
    records: dict[str, Path]

    def begun(self) -> dict[str, int]:
        """The last transaction that each has begun."""
        return {name: _numbers(record)[0] for name, record in self.records.items()}

    def acknowledged(self) -> dict[str, int]:
        """The last transaction that each knows to be committed."""
        return {name: _numbers(record)[1] for name, record in self.records.items()}

    def longest_seconds(self) -> float:
        """The longest that a transaction of theirs has taken."""
        return max(_numbers(record)[2] for record in self.records.values()) / 1e9

    def standstill_seconds(self) -> float:
        """The longest that nothing was committed."""
        return max(_numbers(record)[3] for record in self.records.values()) / 1e9


@contextlib.contextmanager
def writing(folder: Path, *, mebibytes: int, names: Sequence[str] = ("one", "two")) -> Iterator[Writers]:
    """A database of about this size with writers at work."""
    database = with_ballast(tvarrs(folder / "live.db"), mebibytes)
    changed(
        database,
        "CREATE TABLE written (writer, number)",
        "CREATE TABLE accounts (name, amount)",
        "INSERT INTO accounts VALUES ('here', 0), ('there', 0)",
    )
    writers = Writers(database, {name: folder / f"{name}.record" for name in names})
    shared = folder / "last commit"
    shared.write_bytes(bytes(8))
    processes = []
    try:
        for name, record in writers.records.items():
            record.write_bytes(bytes(32))
            command = [sys.executable, "-c", _PROGRAM, str(database), name, str(record), str(shared)]
            processes.append(subprocess.Popen(command))
        wait_until(lambda: sum(map(bool, writers.acknowledged().values())) > 1, "two of them write")
        yield writers
        assert not any(process.poll() is not None for process in processes), "a writer has given up"
    finally:
        for process in processes:
            process.kill()
            process.wait()


def what_is_wrong(archive: Path, before: dict[str, int], after: dict[str, int], scratch: Path) -> list[str]:
    """Hold a backup against what was acknowledged before it was begun and what was begun before it was done."""
    scratch.write_bytes(zlib.decompress(archive.read_bytes(), 31))
    with closing(sqlite3.connect(scratch)) as connection:
        wrong = [line for (line,) in connection.execute("PRAGMA integrity_check") if line != "ok"]
        rows = connection.execute("SELECT writer, count(*), min(number), max(number) FROM written GROUP BY writer")
        written = {writer: (count, first, last) for writer, count, first, last in rows}
        amounts = dict(connection.execute("SELECT name, amount FROM accounts").fetchall())
    for writer, first_possible in before.items():
        count, first, last = written.get(writer, (0, 1, 0))
        if (count, first) != (last, 1):
            wrong.append(f"of {writer}'s {last} transactions {count} are there")
        if not first_possible <= last <= after[writer]:
            wrong.append(f"{writer}'s last is {last}, but it must be from {first_possible} to {after[writer]}")
    total = sum(count for count, _, _ in written.values())
    if (amounts["here"], amounts["there"]) != (-total, total):
        wrong.append(f"half of a transaction is there: {amounts} after {total}")
    return wrong


def _numbers(record: Path) -> tuple[int, ...]:
    return struct.unpack("<qqqq", record.read_bytes())
