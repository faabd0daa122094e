"""A live database under load: its content, the programs that use it, and the process that restores into it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from tests.backups.makers import changed, tvarrs, with_ballast
from tests.backups.writers import Writers
from tests.faults.client import TAGS
from tests.faults.harness import HERE, require_tool
from tests.faults.restorer import Measured
from tests.installation import ROOT
from tests.processes import wait_until

CLIENT, READER, HOLDER = "client", "reader", "holder"
"""The writer in C, and who does not write."""
_USUAL = (
    "CREATE TABLE tags (id INTEGER PRIMARY KEY, tag, filler)",
    "CREATE TABLE accounts (name, amount)",
    "CREATE TABLE written (writer, number, note DEFAULT '')",
    "CREATE INDEX written_by ON written (writer, number)",
)
# The tables in another order, their columns as well, and neither the newest column nor the index.
_OLDER = (
    "CREATE TABLE written (number, writer)",
    "CREATE TABLE accounts (amount, name)",
    "CREATE TABLE tags (tag, filler, id INTEGER PRIMARY KEY)",
)


def database(path: Path, *, tag: str, mebibytes: int, rows: int = 0, older: bool = False) -> Path:
    """Make a database whose tag, size and rows distinguish it from others."""
    return changed(
        with_ballast(tvarrs(path), mebibytes),
        *(_OLDER if older else _USUAL),
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {TAGS}) "
        f"INSERT INTO tags (id, tag, filler) SELECT i, '{tag}', hex(randomblob(1500)) FROM n",
        f"INSERT INTO accounts (name, amount) VALUES ('here', -{rows}), ('there', {rows})",
        *(f"INSERT INTO written (writer, number) VALUES ('nobody', {number})" for number in range(1, rows + 1)),
    )


def build_client(folder: Path) -> Path:
    """Compile `client.c` with the SQLite library of the system."""
    gcc, target = require_tool("gcc"), folder / "client"
    found = subprocess.run(
        [gcc, "-E", "-x", "c", "-include", "sqlite3.h", os.devnull], capture_output=True, check=False
    )
    if found.returncode:
        pytest.fail(
            "The fault tests need the headers of the SQLite library; `make test-long` installs them where it may (Debian, "
            "as root: `apt-get install libsqlite3-dev`).",
            pytrace=False,
        )
    command = [gcc, "-Wall", "-Wextra", "-Werror", "-O1", "-o", str(target), str(HERE / "client.c"), "-lsqlite3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"gcc could not compile the client: {done.stderr[:2000]}", pytrace=False)
    return target


class Process:
    """A program at work; it is killed where nobody has ended it."""

    def __init__(self, *command: object) -> None:
        self._process = subprocess.Popen(
            [*map(str, command)],
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def is_at_work(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def ask(self, line: str) -> Any:
        """What it says to a line."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"it has ended with {self._process.wait()}"
        return json.loads(answer)

    def told(self) -> Any:
        """End it, in good order; what it says at its end."""
        self._process.send_signal(signal.SIGTERM)
        said, _ = self._process.communicate(timeout=90)
        assert self._process.returncode == 0, f"it has ended with {self._process.returncode}"
        return json.loads(said)

    def close(self) -> None:
        """End one that ends with its standard input."""
        self._process.communicate(timeout=90)
        assert self._process.returncode == 0


@dataclass
class Load:
    """The programs that use a live database."""

    live: Path
    writers: Writers
    processes: dict[str, Process]

    def go_on(self) -> None:
        """Wait until each writer has committed some more, and the client read in between."""
        since = self.writers.acknowledged()

        def have_gone_on() -> bool:
            given_up = [name for name, process in self.processes.items() if not process.is_at_work()]
            assert not given_up, f"{given_up} have given up"
            return all(number > since[name] + 5 for name, number in self.writers.acknowledged().items())

        wait_until(have_gone_on, "everybody goes on", seconds=60)


@contextlib.contextmanager
def load(live: Path, client: Path, names: Sequence[str]) -> Iterator[Load]:
    """Run writers with these names in Python and one in C, a reader, and a program that holds transactions on request."""
    records = {name: live.with_name(f"{name}.record") for name in (*names, CLIENT)}
    script = (sys.executable, HERE / "client.py")
    with contextlib.ExitStack() as stack:
        processes = {}
        for name, record in records.items():
            record.write_bytes(bytes(32))
            command = (client, live, name, record) if name == CLIENT else (*script, "writer", live, name, record)
            processes[name] = stack.enter_context(Process(*command))
        for role in (READER, HOLDER):
            processes[role] = stack.enter_context(Process(*script, role, live))
        started = Load(live, Writers(live, records), processes)
        started.go_on()
        yield started


class Restorer(Process):
    """`restorer.py` at work."""

    def __init__(self, live: Path, folder: Path) -> None:
        super().__init__(sys.executable, HERE / "restorer.py", live, folder)

    def restore(self, filename: str) -> Measured:
        """Restore a backup; it comes back where that fails as well."""
        return Measured(**self.ask(filename))
