"""Check databases from elsewhere in a separate process with limits on memory and time (see `limits`).

Neither `interrupt()` nor a progress handler stops SQLite within a function or while it parses, so canceling kills the process.
Limits of SQLite's own apply first, because they give a better reason. A file that reaches a limit is not called damaged.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from tvarr_backup import program
from tvarr_backup.backups.backup_warnings import BackupWarning, BackupWarningCode
from tvarr_backup.backups.examine import CheckOutcome, Examined
from tvarr_backup.backups.limits import Limits, limits_for
from tvarr_backup.backups.schema_table import Code
from tvarr_backup.backups.sidecar import CheckLevel
from tvarr_backup.errors import ExaminationTooCostly
from tvarr_backup.schema import RequiredSchema
from tvarr_backup.sentences import Sentence

_START = "import sys; sys.path[:] = [*sys.path[1:], sys.argv[1]]; from tvarr_backup.backups import apart_tasks; apart_tasks.main()"
_SECONDS_BETWEEN_CALLS = 0.1
_BLOCK_BYTES = 2**16
_LONGEST_ANSWER_BYTES = 4 * 2**20
_LONGEST_STDERR = 2000
_Result = TypeVar("_Result")


class Apart(Generic[_Result]):
    """A task in a separate process, killed at the end of the context or with this process. `size_bytes` sets its limits."""

    def __init__(
        self,
        task: str,
        arguments: Mapping[str, Any],
        size_bytes: int,
        read: Callable[[Any], _Result],
        limits: Limits | None = None,
    ) -> None:
        self._size, self._read = size_bytes, read
        self._limits = limits or limits_for(size_bytes)
        self._answer = bytearray()
        self._request = {
            "task": task,
            "arguments": arguments,
            "limits": dataclasses.asdict(self._limits),
            "parent": os.getpid(),
        }

    def __enter__(self) -> Self:
        self._deadline = time.monotonic() + self._limits.clock_seconds
        self._process = subprocess.Popen(  # noqa: S603  # our own program
            [sys.executable, "-I", "-S", "-c", _START, str(program.ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that Ctrl-C reaches this process only
        )
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(self._request).encode())
            self._process.stdin.close()
        except OSError:  # the process has ended, and `result` raises the reason
            pass
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None and not pipe.closed:
                pipe.close()
        self._process.wait()

    def result(self, on_wait: Callable[[], None] | None = None) -> _Result:
        """Wait for the result. `on_wait` may raise to cancel. Raises `ExaminationTooCostly` or the error of the task."""
        assert self._process.stdout is not None
        while True:
            ready, _, _ = select.select([self._process.stdout], [], [], _SECONDS_BETWEEN_CALLS)
            if ready:
                block = os.read(self._process.stdout.fileno(), _BLOCK_BYTES)
                self._answer += block
                if not block:
                    return self._ended()
                if len(self._answer) > _LONGEST_ANSWER_BYTES:
                    raise self._too_costly("the list of what is in its schema is too long")
            if time.monotonic() > self._deadline:
                raise self._too_costly(
                    Sentence("it takes more than {clock_seconds} s", clock_seconds=self._limits.clock_seconds)
                )
            if on_wait is not None:
                on_wait()

    def _ended(self) -> _Result:
        status = self._process.wait()
        try:
            answer = json.loads(self._answer)
        except ValueError:
            answer = {}
        if "result" in answer:
            return self._read(answer["result"])
        raise self._problem(answer, status)

    def _problem(self, answer: Mapping[str, Any], status: int) -> Exception:
        """Return the error of a task that ended without a result."""
        error = answer.get("error", "")
        if error == "os":
            return OSError(answer["number"], answer["message"])
        if error == "sqlite":
            problem = sqlite3.DatabaseError(answer["message"])
            problem.sqlite_errorcode = answer["code"]
            return problem
        reasons: Mapping[str | int, str] = {
            "time": Sentence(
                "it takes more than {cpu_seconds} s of computing time", cpu_seconds=self._limits.cpu_seconds
            ),
            "memory": Sentence(
                "it takes more than {mebibytes} MiB of memory", mebibytes=self._limits.heap_bytes // 2**20
            ),
            "size": "it contains a value or a statement that is larger than any of tvarr's",
            -signal.SIGKILL: "the system killed the process, perhaps because memory ran out",
        }
        reason = reasons.get(error or ("time" if status == -signal.SIGXCPU else status))
        if reason:
            return self._too_costly(reason)
        assert self._process.stderr is not None
        stderr = self._process.stderr.read().decode(errors="replace")
        return RuntimeError(f"The verification process ended with status {status}: {stderr[-_LONGEST_STDERR:]}")

    def _too_costly(self, reason: str) -> ExaminationTooCostly:
        return ExaminationTooCostly(
            "Verification of the database ({megabytes:.1f} MB) was stopped because {reason}. A database that tvarr made needs "
            "far less. This one contains expressions that are expensive by accident or on purpose.",
            megabytes=self._size / 1e6,
            reason=reason,
        )


@contextlib.contextmanager
def saying_too_costly(what: str) -> Iterator[None]:
    """Put a sentence in front of that of an `ExaminationTooCostly`."""
    try:
        yield
    except ExaminationTooCostly as problem:
        raise ExaminationTooCostly("{what} {problem}", what=what, problem=problem) from problem


def examining_apart(path: Path, required: RequiredSchema, level: CheckLevel) -> Apart[Examined]:
    """Do what `examine` does in a separate process, and also compute all expressions in the schema."""
    schema = dataclasses.asdict(required) | {
        "columns": {table: sorted(columns) for table, columns in required.columns.items()},
        "migrations": sorted(required.migrations),
        "configuration": sorted(required.configuration),
    }
    arguments = {"path": str(path), "required": schema, "level": str(level)}
    return Apart("examine", arguments, path.stat().st_size, _examined)


def reading_configuration_apart(path: Path, required: RequiredSchema) -> Apart[str]:
    """Do what `configuration.read_packed_file` does, in a separate process."""
    tables = {table: sorted(columns) for table, columns in required.configuration_columns.items()}
    return Apart("read_configuration", {"path": str(path), "tables": tables}, path.stat().st_size, str)


def settle_and_date(path: Path, size_bytes: int, now: datetime) -> Apart[tuple[int, datetime | None]]:
    """Apply the journals next to a copy, which are part of `size_bytes`. Return its size and the time of its newest row."""

    def read(answer: Any) -> tuple[int, datetime | None]:
        size, newest = answer
        return size, None if newest is None else datetime.fromisoformat(newest)

    return Apart("settle_and_date", {"path": str(path), "now": now.isoformat()}, size_bytes, read)


def _warning(answer: Any) -> BackupWarning:
    return BackupWarning(**answer | {"code": BackupWarningCode(answer["code"]), "names": tuple(answer["names"])})


def _examined(answer: Any) -> Examined:
    return Examined(
        **answer
        | {name: tuple(map(_warning, answer[name])) for name in ("warnings", "facts")}
        | {"irregular": tuple(answer["irregular"])}
        | {"checks": tuple(CheckOutcome(**check) for check in answer["checks"])}
        | {"code": tuple(Code(**code) for code in answer["code"])}
    )
