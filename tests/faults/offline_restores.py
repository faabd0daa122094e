"""Conditions that hold after a fault in an offline restore: the old files or the new database, never a mix."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.faults.driver import BACKUPS, LIVE, OLD, Answer
from tests.faults.harness import Bench
from tests.faults.trees import Entry, Tree, digest, lay_out
from tests.faults.world import Rows, rows_of

_LIVE = str(LIVE)
_WORK = f"{BACKUPS}/.work/"
_ENDINGS = ("", "-wal", "-shm", "-journal")
_GARBAGE = bytes(range(256)) * 16


def _with_garbage(clean: Tree) -> dict[str, Entry]:
    """The first page of the file and the -wal are garbage: with a good -wal, SQLite would still read the file."""
    old = clean[_LIVE].data or b""
    return {
        **clean,
        _LIVE: replace(clean[_LIVE], data=_GARBAGE + old[len(_GARBAGE) :]),
        f"{_LIVE}-wal": Entry(0o600, _GARBAGE[::-1]),
    }


def _missing(clean: Tree) -> dict[str, Entry]:
    """The file is gone, but its -wal is there, which SQLite would write into whatever gets the name."""
    return {name: entry for name, entry in clean.items() if name != _LIVE}


def _empty(clean: Tree) -> dict[str, Entry]:
    return {**clean, _LIVE: replace(clean[_LIVE], data=b"")}


DAMAGES: Mapping[str, Callable[[Tree], dict[str, Entry]]] = {
    "garbage": _with_garbage,
    "missing": _missing,
    "empty": _empty,
}


@dataclass
class OfflineRestores:
    """Runs offline restores of one kind of damage under faults, and says in sentences what is wrong then."""

    bench: Bench
    damage: str
    operation: str = "restore offline"
    left_out: int = 0
    """States after a power cut that differ from another one only in what recovery deletes unread."""
    _rows: dict[bytes, Rows] = field(default_factory=dict)
    _stable: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.start = DAMAGES[self.damage](self.bench.world.clean)
        self.old = {ending: self.start[_LIVE + ending].data for ending in _ENDINGS if _LIVE + ending in self.start}

    def sweep(self, call: str, fault: str) -> Iterator[tuple[Answer, str, list[str]]]:
        """Fail the first, second, third ... call of a kind. Yield the answer, the live data, and what is wrong."""
        number = 0
        while True:
            number += 1
            answer, tree = self._struck(call, number, fault)
            if not answer.fired:
                return
            content = self.content(tree)
            yield answer, content, [f"{fault} at {call} {number}: {sentence}" for sentence in self.look(tree, answer)]

    def kills_in_recovery(self) -> Iterator[list[str]]:
        """Kill the recovery of every state that a kill after the new database was ready leaves, at every call."""
        seen, number = set(), 0
        while True:
            number += 1
            answer, state = self._struck("any", number, "kill")
            if not answer.fired:
                return
            if not _is_ready(state) or digest(state) in seen:
                continue
            seen.add(digest(state))
            yield from self._sweep_recovery(state, f"killed at {number}")

    def kills_when_ready(self) -> list[int]:
        """The calls at which a kill leaves a new database that is ready."""
        found: list[int] = []
        number = 0
        while True:
            number += 1
            answer, state = self._struck("any", number, "kill")
            if not answer.fired:
                return found
            if _is_ready(state):
                found.append(number)

    def cuts(self, *, killed: int = 0) -> Iterator[tuple[bool, list[str]]]:
        """Power cuts in an offline restore, or in the recovery of one that was killed at this call; what is wrong then."""
        lay_out(self.start, self.bench.root)
        before = (self.operation, "any", killed) if killed else None
        operation = "settle" if killed else self.operation
        answer, cuts = self.bench.record(operation, None, killed=before, database=True)
        if answer.ended != "done":
            yield True, [f"it {answer.ended}: {answer.said}"]
            return
        seen = set()
        for when, done, tree in cuts:
            key = (
                done,
                digest(
                    {name: entry for name, entry in tree.items() if not name.startswith(_WORK) or "restore/" in name}
                ),
            )
            if key in seen:
                self.left_out += 1
                continue
            seen.add(key)
            lay_out(tree, self.bench.root)
            found = self.look(tree, answer if done and not killed else None)
            yield done, [f"power cut {when}: {sentence}" for sentence in found]

    def content(self, tree: Tree) -> str:
        """`old`: the file as it was, or none; `new`: the rows of the backup for whoever opens it now; or what else."""
        entry, journal = tree.get(_LIVE), tree.get(f"{_LIVE}-wal")
        if entry is None or entry.data == self.old.get(""):
            return "old"
        rows = self._read(entry.data or b"", (journal.data if journal else None) or b"")
        return "new" if rows == self._archived(self.bench.world.old[OLD[1]][0]) else f"neither: {rows[:3]}"

    def look(self, tree: Tree, answer: Answer | None) -> list[str]:
        """Everything that must be true of a tree that is laid out: before recovery, after it, and after another one."""
        content = self.content(tree)
        wrong = [*self._whole(tree, content), *(self._answered(answer, tree, content) if answer else [])]
        was_ready = _is_ready(tree)
        recovery, tree = self.bench.run("settle", None)
        if recovery.ended != "done":
            return [*wrong, f"recovery {recovery.ended}: {recovery.said}"]
        after = self.content(tree)
        if (content == "new" or was_ready) and after != "new":
            wrong.append(f"after recovery live is {after}")
        if content == "old" and not was_ready and after != "old":
            wrong.append("recovery has gone forward although the new database was not ready")
        wrong += [*self._whole(tree, after), *self._settled(tree, after), *self._backups(tree, recovery)]
        return [*wrong, *self._again(digest(tree))]

    def _struck(self, call: str, number: int, fault: str) -> tuple[Answer, dict[str, Entry]]:
        return self.bench.run(
            self.operation, self.start, watch=str(self.bench.root), call=call, number=number, fault=fault
        )

    def _sweep_recovery(self, state: Tree, when: str) -> Iterator[list[str]]:
        number = 0
        while True:
            number += 1
            answer, tree = self.bench.run(
                "settle", state, watch=str(self.bench.root), call="any", number=number, fault="kill"
            )
            if not answer.fired:
                return
            yield [f"{when}, recovery killed at {number}: {sentence}" for sentence in self.look(tree, None)]

    def _whole(self, tree: Tree, content: str) -> list[str]:
        """At every moment: no mixture, and each old file under its old name or set aside, byte for byte."""
        wrong = [] if content in ("old", "new") else [f"live holds {content}"]
        for ending, data in self.old.items():
            if not any(
                entry.data == data
                for name, entry in tree.items()
                if name in self._names(tree, ending) and entry.data == data
            ):
                wrong.append(f"the old file{ending} is not in its place and not set aside")
        journal = tree.get(f"{_LIVE}-wal")
        if content == "new" and journal is not None and journal.data and journal.data == self.old.get("-wal"):
            wrong.append("the old -wal is beside the new database")
        return wrong

    def _names(self, tree: Tree, ending: str) -> list[str]:
        set_aside = [name for name in tree if name.startswith(f"{_LIVE}.set-aside-")]
        if not ending:
            return [_LIVE, *(name for name in set_aside if not name.endswith(_ENDINGS[1:]))]
        return [_LIVE + ending, *(name for name in set_aside if name.endswith(ending))]

    def _settled(self, tree: Tree, content: str) -> list[str]:
        """After recovery: all is old, or all is new with the old files set aside; and nothing else is left."""
        wrong = [f"left: {name}" for name in tree if ".incoming-" in name or name.startswith(_WORK)]
        set_aside = [name for name in tree if ".set-aside-" in name]
        if content == "old" and set_aside:
            wrong.append(f"nothing has happened, but there is {set_aside}")
        if content == "old" and any(
            (tree[_LIVE + ending].data if _LIVE + ending in tree else None) != data for ending, data in self.old.items()
        ):
            wrong.append("nothing has happened, but the old files are not in their places")
        if content == "new" and len(set_aside) < len(self.old):
            wrong.append(f"set aside is only {set_aside}")
        return wrong

    def _answered(self, answer: Answer, tree: Tree, content: str) -> list[str]:
        if answer.ended == "done":
            named = {name for name in answer.result["set_aside"] if not name.endswith("-shm")}  # it ends with the power
            there = {Path(name).name for name in tree if ".set-aside-" in name and not name.endswith("-shm")}
            wrong = [] if content == "new" else ["it said it was done, but is not"]
            # Where their folder could not be read, it names what they begin with.
            is_named = all(name.startswith(tuple(named)) for name in there) and len(named) <= len(there)
            return wrong if is_named else [*wrong, f"it named {named}, but there is {there}"]
        if answer.ended == "refused":
            expected = ("is not finished", "The restored database is damaged")
            if (content == "new" or _is_ready(tree)) and not any(words in answer.said for words in expected):
                return [f'it said "{answer.said}", but it goes forward']
            return []
        return [] if answer.ended == "killed" else [f"it {answer.ended}: {answer.said}"]

    def _backups(self, tree: Tree, recovery: Answer) -> list[str]:
        listed: Mapping[str, Any] = recovery.result["listed"]["backups"]
        wrong = [
            f"{name} is no longer what it was"
            for name, (archive, _) in self.bench.world.old.items()
            if name not in listed or tree[f"{BACKUPS}/{name}"].data != archive
        ]
        new = [name for name in listed if name not in self.bench.world.old]
        return [*wrong, f"a safety backup is claimed: {new}"] if new else wrong

    def _again(self, tree: str) -> list[str]:
        if tree not in self._stable:
            recovery, again = self.bench.run("settle", None)
            if recovery.ended != "done" or digest(again) != tree:
                return [f"a second recovery {recovery.ended}, and has changed something"]
            self._stable.add(tree)
        return []

    def _archived(self, archive: bytes) -> Rows:
        return self._read(zlib.decompress(archive, 31), b"")

    def _read(self, database: bytes, journal: bytes) -> Rows:
        key = database + b"\0" + journal
        if key not in self._rows:
            self._rows[key] = rows_of(database, journal, self.bench.judge.scratch)
        return self._rows[key]


def _is_ready(tree: Tree) -> bool:
    state = tree.get(f"{_WORK}restore/restore.json")
    return state is not None and b'"is_ready": true' in (state.data or b"")
