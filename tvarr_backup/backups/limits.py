"""Limits on time, memory and disk for verifying a file from elsewhere, by its size.

SQLite computes expressions in a schema for each row and cannot stop a function, so the kernel's limits apply to a process
that does nothing else. A full check of tvarr's database takes 1.5 s of CPU time for 100 MB, and 23 MB of memory for any
size. The limit is more than ten times that, for slower processors: at least 15 s, and 34 minutes for 10 GB.
"""

from __future__ import annotations

import resource
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

_LEAST_CPU_SECONDS = 15
_BYTES_PER_CPU_SECOND = 5_000_000
_CLOCK_SECONDS_PER_CPU_SECOND = 10
"""Ten times as much, because a slow disk is no reason to refuse a file."""
_SECONDS_UNTIL_KILLED = 5
_HEAP_BYTES = 192 * 2**20
_MEMORY_BYTES = 512 * 2**20
_FILE_BYTES = 64 * 2**20
_LONGEST_VALUE_BYTES = 32 * 2**20
_LONGEST_SQL_BYTES = 100_000
_LONGEST_PROGRAM_STEPS = 1_000_000
_DEEPEST_EXPRESSION = 200
_STEPS_BETWEEN_TIME_CHECKS = 100_000

STATEMENT_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: _LONGEST_VALUE_BYTES,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: _LONGEST_SQL_BYTES,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: _DEEPEST_EXPRESSION,
    sqlite3.SQLITE_LIMIT_VDBE_OP: _LONGEST_PROGRAM_STEPS,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 10,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
"""SQLite's own limits: more than tvarr's database needs, and too little to do harm."""


@dataclass(frozen=True)
class Limits:
    """The limits of one process."""

    cpu_seconds: int
    clock_seconds: int
    heap_bytes: int
    memory_bytes: int
    file_bytes: int


def limits_for(size_bytes: int) -> Limits:
    """Return the limits for a database with its journals."""
    seconds = _LEAST_CPU_SECONDS + size_bytes // _BYTES_PER_CPU_SECOND
    return Limits(
        cpu_seconds=seconds,
        clock_seconds=_CLOCK_SECONDS_PER_CPU_SECOND * seconds,
        heap_bytes=_HEAP_BYTES,
        memory_bytes=_MEMORY_BYTES,
        file_bytes=2 * size_bytes + _FILE_BYTES,
    )


def limit_this_process(limits: Limits) -> None:
    """Set the kernel's limits of this process, for good."""
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


def connection_limiter(limits: Limits) -> Callable[[sqlite3.Connection], None]:
    """Return a function that limits a new connection."""

    def limit(connection: sqlite3.Connection) -> None:
        for category, most in STATEMENT_LIMITS.items():
            connection.setlimit(category, most)
        connection.set_progress_handler(lambda: time.process_time() > limits.cpu_seconds, _STEPS_BETWEEN_TIME_CHECKS)
        connection.execute(f"PRAGMA hard_heap_limit={limits.heap_bytes:d}")
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA cell_size_check=ON")

    return limit
