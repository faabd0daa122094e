"""Programs that use a live database through one connection: a writer, a reader, and a holder of transactions.

    client.py writer LIVE NAME RECORD
    client.py reader LIVE
    client.py holder LIVE

The writer and the reader end on SIGTERM and report what they did in one line of JSON. The holder begins a transaction at
one line of its standard input and ends it at the next, with an answer to each.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import struct
import sys
import time
from dataclasses import dataclass
from typing import Any

TAGS = 64
"""Rows that all say which content this is, each on a page of its own."""
_READ = (
    "SELECT (SELECT sum(amount) FROM accounts),"
    " (SELECT amount FROM accounts WHERE name = 'there') - (SELECT count(*) FROM written),"
    " count(DISTINCT tag), count(*), (SELECT count(*) FROM written), min(tag) FROM tags"
)


@dataclass(frozen=True)
class Content:
    """What one statement has seen; it is whole where nothing of it is of another content or of half a transaction."""

    tag: str
    written: int
    whole: bool


def look(connection: sqlite3.Connection) -> Content:
    """Read what distinguishes a whole content from a torn one."""
    *numbers, written, tag = connection.execute(_READ).fetchone()
    return Content(tag, written, numbers == [0, 0, 1, TAGS])


def write(connection: sqlite3.Connection, name: str, record: str) -> None:
    """Commit transactions with short pauses; the record is that of `tests.backups.writers`."""
    ended = _told_to_end()
    descriptor = os.open(record, os.O_WRONLY)
    number = longest = 0
    while not ended:
        number += 1
        os.pwrite(descriptor, struct.pack("<q", number), 0)
        started = time.monotonic_ns()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO written (writer, number) VALUES (?, ?)", (name, number))
        connection.execute("UPDATE accounts SET amount = amount - 1 WHERE name = 'here'")
        connection.execute("UPDATE accounts SET amount = amount + 1 WHERE name = 'there'")
        connection.execute("COMMIT")
        longest = max(longest, time.monotonic_ns() - started)
        os.pwrite(descriptor, struct.pack("<qq", number, longest), 8)
        time.sleep(random.uniform(0, 0.003))
    _tell(commits=number)


def read(connection: sqlite3.Connection) -> None:
    """Read twice in one transaction, again and again."""
    ended = _told_to_end()
    reads = torn = contents = 0
    before = None
    while not ended:
        connection.execute("BEGIN")
        first = look(connection)
        time.sleep(0.001)
        second = look(connection)
        connection.execute("COMMIT")
        reads += 2
        torn += (not first.whole) + (not second.whole) + (first != second)
        contents += first.tag != before
        before = first.tag
        time.sleep(random.uniform(0, 0.003))
    _tell(reads=reads, torn=torn, contents=contents)


def hold(connection: sqlite3.Connection) -> None:
    """Keep a transaction open from one line to the next; then say whether it has seen the same whole content all along."""
    while sys.stdin.readline():
        connection.execute("BEGIN")
        first = look(connection)
        _tell(tag=first.tag)
        sys.stdin.readline()
        last = look(connection)
        connection.execute("COMMIT")
        _tell(whole=first.whole and last == first, tag=look(connection).tag)


def _told_to_end() -> list[int]:
    """Empty until SIGTERM comes."""
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: told.append(number))
    return told


def _tell(**words: Any) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Open the database once."""
    role, live, *arguments = sys.argv[1:]
    connection = sqlite3.connect(live, isolation_level=None, timeout=60)
    if role == "writer":
        write(connection, *arguments)
    else:
        {"reader": read, "holder": hold}[role](connection)
    connection.close()


if __name__ == "__main__":
    main()
