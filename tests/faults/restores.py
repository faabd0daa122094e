"""Conditions that hold after a fault in a restore: all of the old data or all of the new, and a way to undo it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.driver import BACKUPS, LIVE, OLD, Answer
from tests.faults.harness import Bench
from tests.faults.trees import Entry, Tree, digest, lay_out, take
from tests.faults.world import Rows, only_unread, rows_of

_WORK = f"{BACKUPS}/.work/"

# What another process with the live database open does. While one of the last two reads, the journal cannot be restarted, so
# the restored data follows its current content. And if the journal is empty, no checkpoint does anything, not even a sync.
_OTHERS = {
    "has it open": "SELECT count(*) FROM channels",
    "reads the journal": "BEGIN; SELECT count(*) FROM channels",
    "reads": "PRAGMA wal_checkpoint(TRUNCATE); BEGIN; SELECT count(*) FROM channels",
}
OTHERS = ("", *_OTHERS)
_OTHER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2].split("; "):
    connection.execute(statement).fetchone()
print("open", flush=True)
sys.stdin.readline()
"""


@contextmanager
def beside(other: str, root: Path) -> Iterator[None]:
    """Another process that has the live database of a case open, and is killed at the end; none for an empty word."""
    if not other:
        yield
        return
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _OTHER, str(root / LIVE), _OTHERS[other]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            yield
        finally:
            process.kill()


@dataclass(frozen=True)
class Kill:
    """A restore that is killed at the `number`th call of a kind."""

    call: str
    number: int

    def __str__(self) -> str:
        return f"killed at {self.call} {self.number}"


@dataclass
class Restores:
    """Runs restores under faults, looks at what is left, and says in sentences what is wrong."""

    bench: Bench
    left_out: int = 0
    """States after a power cut that differ from another one in nothing but what recovery deletes unread."""
    _rows: dict[bytes, Rows] = field(default_factory=dict)
    _stable: set[str] = field(default_factory=set)
    """What recovery has left and another one has not changed."""

    def sweep(
        self, call: str, fault: str, other: str = "", below: Path = Path()
    ) -> Iterator[tuple[Answer, str, list[str]]]:
        """Fail the first, second, third ... call of a kind within a folder. Yield the answer, the live data, and what is wrong.

        If another process has the database open, recovery runs before and after that process is killed.
        """
        number = 0
        while True:
            number += 1
            answer, tree = self._struck(call, number, fault, other, self.bench.root / below)
            if not answer.fired:
                return
            found = self.look(tree, answer)
            yield answer, self.content(tree), [f"{fault} at {call} {number}: {sentence}" for sentence in found]

    def kills(self, *calls: str, other: str = "") -> list[tuple[Kill, dict[str, Entry]]]:
        """Every kill at such a call that leaves the new content in the files, and the tree that it leaves."""
        found = []
        for call in calls:
            number = 0
            while True:
                number += 1
                lay_out(self.bench.world.clean, self.bench.root)
                with beside(other, self.bench.root):
                    answer, tree = self.bench.run(
                        "restore", None, watch=str(self.bench.root), call=call, number=number, fault="kill"
                    )
                if not answer.fired:
                    break
                if self.content(tree) == "after":
                    found.append((Kill(call, number), tree))
        return found

    def sweep_recovery(self, start: Tree, *, copies: int = 1) -> Iterator[list[str]]:
        """Kill the recovery of a tree at every call that may change something; what is wrong then."""
        number = 0
        while True:
            number += 1
            answer, tree = self.bench.run(
                "settle", start, watch=str(self.bench.root), call="any", number=number, fault="kill"
            )
            if not answer.fired:
                return
            found = self.look(tree, None, must="after", copies=copies)
            yield [f"kill at {number}: {sentence}" for sentence in found]

    def cuts(
        self,
        other: str = "",
        *,
        put_back: bool = False,
        killed: Kill | None = None,
        unfinished: Tree | None = None,
        copies: int = 1,
    ) -> Iterator[tuple[str, bool, list[str]]]:
        """Power cuts in a restore, or in the recovery of one that was killed or of a tree, and after its end.

        A word about each, whether all was done by then, and what is wrong. What another process does ends with the power.
        `put_back`: the new content does not pass its check (the model does not know of the damage, only of what is done).
        """
        lay_out(unfinished or self.bench.world.clean, self.bench.root)
        operation = "settle" if killed or unfinished else "restore, spoilt once" if put_back else "restore"
        with beside(other, self.bench.root):
            answer, cuts = self.bench.record(
                operation,
                None,
                killed=("restore", killed.call, killed.number) if killed else None,
                database=True,
            )
            told = self.content(take(self.bench.root))
        if answer.ended != ("refused" if put_back else "done"):
            yield "without any", True, [f"it {answer.ended}: {answer.said}"]
            return
        seen = set()
        for when, done, tree in cuts:
            key = done, digest({name: entry for name, entry in tree.items() if _is_read(name, tree)})
            if key in seen:
                self.left_out += 1
                continue
            seen.add(key)
            lay_out(tree, self.bench.root)
            ended = answer if done and operation == "restore" else None
            found = self.look(tree, ended, must=told if done else "", copies=copies, spare=put_back)
            yield when, done, [f"power cut {when}: {sentence}" for sentence in found]

    def spoilt_twice(self) -> list[str]:
        """Both the new content and what is put back are spoilt on their way to the disk; what is wrong then."""
        answer, _ = self.bench.run("restore, spoilt twice", self.bench.world.clean)
        if answer.ended != "refused" or "could not be put back" not in answer.said:
            return [f"it {answer.ended}: {answer.said}"]
        recovery, tree = self.bench.run("settle", None)
        new = {name: entry for name, entry in tree.items() if name in self._archives(recovery)}
        if [self._archived(entry.data or b"") for entry in new.values()] != [self.bench.world.live_rows]:
            return [f'it said "{answer.said}", and there are new backups {[*new]}']
        return []

    def content(self, tree: Tree) -> str:
        """What is live for whoever opens it when nobody else has: `before`, `after`, or what else it is."""
        journal = tree.get(f"{LIVE}-wal")
        rows = self._read(tree[str(LIVE)].data or b"", (journal.data if journal else None) or b"")
        if rows == self.bench.world.live_rows:
            return "before"
        return "after" if rows == self._archived(self.bench.world.old[OLD[1]][0]) else f"neither: {rows[:3]}"

    def look(
        self, tree: Tree, answer: Answer | None, *, must: str = "", copies: int = 1, spare: bool = False
    ) -> list[str]:
        """Check all conditions of the tree on the disk: before recovery, after it, and after another.

        `answer` is `None` if the restore was interrupted. `must` names the data that must be live. There may be at most
        `copies` safety backups, with `spare` even if the old data is live.
        """
        content = self.content(tree)
        wrong = [] if content in ("before", "after") else [f"the live database holds {content}"]
        if must and content != must:
            wrong.append(f"live must be as {must}, and is as {content}")
        if answer is not None:
            wrong += self._answered(answer, content)
        recovery, tree = self.bench.run("settle", None)
        if recovery.ended != "done":
            return [*wrong, f"recovery {recovery.ended}: {recovery.said}"]
        if self.content(tree) != content:
            wrong.append("recovery has changed the live database")
        wrong += self._kept(tree, recovery.result["listed"]["backups"], content, copies, spare=spare)
        left = [name for name in tree if name.startswith(_WORK)]
        wrong += [f"left in .work: {left}"] if left else []
        return [*wrong, *self._settled(digest(tree))]

    def _settled(self, tree: str) -> list[str]:
        if tree not in self._stable:
            recovery, again = self.bench.run("settle", None)
            if recovery.ended != "done" or digest(again) != tree:
                return [f"a second recovery {recovery.ended}, and has changed something"]
            self._stable.add(tree)
        return []

    def _struck(self, call: str, number: int, fault: str, other: str, watched: Path) -> tuple[Answer, dict[str, Entry]]:
        lay_out(self.bench.world.clean, self.bench.root)
        with beside(other, self.bench.root):
            answer, tree = self.bench.run("restore", None, watch=str(watched), call=call, number=number, fault=fault)
            if other and answer.fired:
                _, tree = self.bench.run("settle", None)
        return answer, tree

    def _answered(self, answer: Answer, content: str) -> list[str]:
        if answer.ended == "done":
            if content != "after":
                return ["it said it was done, but is not"]
            listed = self.bench.run("list", None)[0].result["backups"]
            return [] if answer.result in (None, *listed) else ["it reported success, but there is no safety backup"]
        if answer.ended == "refused":
            if content == "after" and "is kept as" not in answer.said:
                return [f'it said "{answer.said}", but it has happened']
            return []
        return [] if answer.ended == "killed" else [f"it {answer.ended}: {answer.said}"]

    def _kept(self, tree: Tree, listed: Mapping[str, Any], content: str, copies: int, *, spare: bool) -> list[str]:
        """The older backups as they were; and what was live, whole and protected, if it is not live any more."""
        wrong = []
        for name, (archive, _sidecar) in self.bench.world.old.items():
            there = tree.get(f"{BACKUPS}/{name}")
            if name not in listed or there is None or there.data != archive:
                wrong.append(f"{name} is no longer what it was")
        new = [name for name in listed if name not in self.bench.world.old]
        if not new if content == "after" else new and not spare:
            return [*wrong, f"live is as {content}, and there are new backups {new}"]
        if len(new) > copies:
            wrong.append(f"there are new backups {new}")
        for name in new:
            if (listed[name]["protected"], listed[name]["kind"]) != (True, "pre_restore"):
                wrong.append(f"the safety backup is {listed[name]}")
            if not only_unread(listed[name]["problems"] or []):
                wrong.append(f"the safety backup is reported as damaged: {listed[name]['problems']}")
            if self._archived(tree[f"{BACKUPS}/{name}"].data or b"") != self.bench.world.live_rows:
                wrong.append("the safety backup does not contain every acknowledged commit")
        return wrong

    def _archives(self, recovery: Answer) -> list[str]:
        """Where the new backups lie."""
        listed = recovery.result["listed"]["backups"] if recovery.ended == "done" else {}
        return [f"{BACKUPS}/{name}" for name in listed if name not in self.bench.world.old]

    def _archived(self, archive: bytes) -> Rows:
        return self._read(zlib.decompress(archive, 31), b"")

    def _read(self, database: bytes, journal: bytes) -> Rows:
        key = hashlib.sha256(database + b"\0" + journal).digest()
        if key not in self._rows:
            self._rows[key] = rows_of(database, journal, self.bench.judge.scratch)
        return self._rows[key]


def _is_read(name: str, tree: Tree) -> bool:
    """Return whether recovery reads an entry. It only deletes files in `.work` whose name is not in the folder."""
    place, _, rest = name.partition(_WORK)
    kept = bool(place) or not rest or rest.partition("/")[0] == "restore"
    return kept or f"{BACKUPS}/{rest.removesuffix('.deleted')}" in tree


def with_name_taken(tree: Tree) -> Tree:
    """Return a tree of an unfinished restore whose safety backup cannot get its intended name."""
    (state,) = [entry.data or b"" for name, entry in tree.items() if name.endswith("/restore.json")]
    name = state.decode().partition('"safety": "')[2].partition('"')[0]
    return {**tree, f"{BACKUPS}/{name}": Entry(0o600, b"somebody else's")}
