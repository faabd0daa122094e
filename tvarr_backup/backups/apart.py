"""Examine databases from elsewhere in another process, which has limits of memory and time and can be killed.

SQLite cannot be interrupted while it parses a statement or within a function, and its memory is only freed with its process.
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
_LONGEST_SAID = 2000
_Result = TypeVar("_Result")


class Apart(Generic[_Result]):
    """A task in another process; a context manager, which kills what has not ended. It ends with this process as well.

    The limits depend on `size_bytes`, the size of the database with its journals.
    """

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
            start_new_session=True,  # the key that interrupts a command is for this process alone
        )
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(self._request).encode())
            self._process.stdin.close()
        except OSError:  # it has ended already; why, its result says
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
        """Wait for the result, calling `on_wait` several times a second; what that raises ends the work.

        Raises `ExaminationTooCostly`, or what the work raised: `OSError` or `sqlite3.DatabaseError`.
        """
        assert self._process.stdout is not None
        while True:
            ready, _, _ = select.select([self._process.stdout], [], [], _SECONDS_BETWEEN_CALLS)
            if ready:
                block = os.read(self._process.stdout.fileno(), _BLOCK_BYTES)
                self._answer += block
                if not block:
                    return self._ended()
                if len(self._answer) > _LONGEST_ANSWER_BYTES:
                    raise self._too_costly("its schema is too large to be shown")
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
        """Return the error for an end without a result."""
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
            "size": "a value or a statement in it is larger than any of tvarr's",
            -signal.SIGKILL: "the system ended its process, perhaps for want of memory",
        }
        reason = reasons.get(error or ("time" if status == -signal.SIGXCPU else status))
        if reason:
            return self._too_costly(reason)
        assert self._process.stderr is not None
        said = self._process.stderr.read().decode(errors="replace")
        return RuntimeError(f"The examination ended with status {status}: {said[-_LONGEST_SAID:]}")

    def _too_costly(self, reason: str) -> ExaminationTooCostly:
        return ExaminationTooCostly(
            "The examination of the database ({megabytes:.1f} MB) was stopped, because {reason}. A database that tvarr "
            "has made needs far less, so this one contains expressions that are expensive by accident or on purpose.",
            megabytes=self._size / 1e6,
            reason=reason,
        )


@contextlib.contextmanager
def saying_too_costly(what: str) -> Iterator[None]:
    """Begin the sentence of `ExaminationTooCostly` with what was not done."""
    try:
        yield
    except ExaminationTooCostly as problem:
        raise ExaminationTooCostly("{what} {problem}", what=what, problem=problem) from problem


def examining_apart(path: Path, required: RequiredSchema, level: CheckLevel) -> Apart[Examined]:
    """As `examine`, in another process, which also computes all expressions in the schema."""
    schema = dataclasses.asdict(required) | {
        "columns": {table: sorted(columns) for table, columns in required.columns.items()},
        "migrations": sorted(required.migrations),
    }
    arguments = {"path": str(path), "required": schema, "level": str(level)}
    return Apart("examine", arguments, path.stat().st_size, _examined)


def settle_and_date(path: Path, size_bytes: int, now: datetime) -> Apart[tuple[int, datetime | None]]:
    """Apply the journals next to a copy and switch it to rollback-journal mode. Return its size and the time of its newest row.

    `size_bytes` is the size of the copy and its journals.
    """

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
