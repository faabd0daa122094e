"""Limits of what the examination of a file from elsewhere may cost, by the size of the file.

Expressions in a schema are computed for each row, and SQLite cannot stop a function, so the kernel's limits are used, for a
process that does nothing else. The full check of tvarr's database takes 1.5 s of computing time for 100 MB; ten times that,
and at least 15 s, are allowed for slower processors. The process needs 23 MB of memory for a database of any size.
"""

from __future__ import annotations

import resource
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

_SECONDS = 15
_BYTES_A_SECOND = 5_000_000
_SECONDS_ON_THE_CLOCK = 10
_SECONDS_UNTIL_KILLED = 5
_HEAP_BYTES = 192 * 2**20
_MEMORY_BYTES = 512 * 2**20
_FILE_BYTES = 64 * 2**20
_LONGEST_VALUE_BYTES = 32 * 2**20
_LONGEST_SQL_BYTES = 100_000
_LONGEST_PROGRAM_STEPS = 1_000_000
_DEEPEST_EXPRESSION = 200
_STEPS_BETWEEN_LOOKS = 100_000

OF_STATEMENTS = {
    sqlite3.SQLITE_LIMIT_LENGTH: _LONGEST_VALUE_BYTES,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: _LONGEST_SQL_BYTES,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: _DEEPEST_EXPRESSION,
    sqlite3.SQLITE_LIMIT_VDBE_OP: _LONGEST_PROGRAM_STEPS,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 10,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
"""SQLite's own limits: more than tvarr's database needs, and less than what hurts."""


@dataclass(frozen=True)
class Limits:
    """The limits of one process. Ten times as much on the clock as of computing, because disks may be slow."""

    cpu_seconds: int
    clock_seconds: int
    heap_bytes: int
    memory_bytes: int
    file_bytes: int


def limits_for(size_bytes: int) -> Limits:
    """Return the limits for a database of so many bytes, with its journals."""
    seconds = _SECONDS + size_bytes // _BYTES_A_SECOND
    return Limits(
        cpu_seconds=seconds,
        clock_seconds=_SECONDS_ON_THE_CLOCK * seconds,
        heap_bytes=_HEAP_BYTES,
        memory_bytes=_MEMORY_BYTES,
        file_bytes=2 * size_bytes + _FILE_BYTES,
    )


def limit_this_process(limits: Limits) -> None:
    """Have the kernel stop this process at the limits; they cannot be raised again."""
    kinds = {
        resource.RLIMIT_CPU: limits.cpu_seconds,
        resource.RLIMIT_AS: limits.memory_bytes,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in kinds.items():
        _, hard = resource.getrlimit(kind)
        wanted = most + _SECONDS_UNTIL_KILLED if kind == resource.RLIMIT_CPU else most
        if hard == resource.RLIM_INFINITY or hard > wanted:
            hard = wanted
        resource.setrlimit(kind, (min(most, hard), hard))


def limiting(limits: Limits) -> Callable[[sqlite3.Connection], None]:
    """Return a function that limits a connection before its first statement."""

    def limit(connection: sqlite3.Connection) -> None:
        for category, most in OF_STATEMENTS.items():
            connection.setlimit(category, most)
        connection.set_progress_handler(lambda: time.process_time() > limits.cpu_seconds, _STEPS_BETWEEN_LOOKS)
        connection.execute(f"PRAGMA hard_heap_limit={limits.heap_bytes:d}")
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA cell_size_check=ON")

    return limit
