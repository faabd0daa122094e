"""Find each acknowledged commit in exactly one safety copy or, at the end, in the live database."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.client import look


@dataclass(frozen=True)
class State:
    """A database at one moment: its tag, each writer's numbers in their order, and what makes it less than whole."""

    tag: str
    written: Mapping[str, list[int]]
    faults: tuple[str, ...] = ()


def state_of(database: Path) -> State:
    """Read a database that nobody else in this process has open."""
    with closing(sqlite3.connect(database)) as connection:
        faults = [line for (line,) in connection.execute("PRAGMA integrity_check") if line != "ok"]
        content = look(connection)
        rows = connection.execute("SELECT writer, number FROM written ORDER BY number").fetchall()
    if not content.whole:
        faults.append("half of a transaction or two contents are in it")
    written: dict[str, list[int]] = {}
    for writer, number in rows:
        written.setdefault(writer, []).append(number)
    return State(content.tag, written, tuple(faults))


def state_in(archive: Path, scratch: Path) -> State:
    """The same of what is packed in a backup."""
    scratch.write_bytes(zlib.decompress(archive.read_bytes(), 31))
    return state_of(scratch)


@dataclass
class Ledger:
    """Follows a live database from restore to restore.

    A writer's numbers rise by one with each commit, whatever was restored in between. So what a safety copy has beyond
    the content that was restored before it must begin where the safety copy before it ended.
    """

    base: State
    """The content that was restored last."""
    writers: Iterable[str]
    lost: int = 0
    torn: int = 0
    last: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.last = dict.fromkeys(self.writers, 0)

    def follow(self, found: State, acknowledged: Mapping[str, int], begun: Mapping[str, int]) -> list[str]:
        """Hold a state against what was acknowledged before it was copied, and begun after; what is wrong with it."""
        wrong = list(found.faults)
        self.torn += bool(wrong)
        if found.tag != self.base.tag:
            wrong.append(f"it is of {found.tag}, but {self.base.tag} was restored last")
        for writer in found.written.keys() | self.base.written.keys() | self.last.keys():
            known, numbers = self.base.written.get(writer, []), found.written.get(writer, [])
            new = numbers[len(known) :]
            if numbers[: len(known)] != known:
                wrong.append(f"of {writer}'s {len(known)} rows in the backup some are missing")
            elif writer in self.last:
                wrong += self._continued(writer, new, acknowledged[writer], begun[writer])
            elif new:
                wrong.append(f"{writer}, who does not write, has {new}")
        return wrong

    def _continued(self, writer: str, new: list[int], acknowledged: int, begun: int) -> list[str]:
        since, last = self.last[writer], max(new, default=self.last[writer])
        missing = set(range(since + 1, max(last, acknowledged) + 1)) - set(new)
        self.last[writer] = max(last, acknowledged)
        self.lost += len(missing)
        wrong = [f"{writer}'s {sorted(missing)} are lost"] if missing else []
        if new != sorted(set(new) & set(range(since + 1, begun + 1))):
            wrong.append(f"after {writer}'s {since} of {begun} come {new}")
        return wrong
