"""Copies in a mounted folder: writes of `FolderStore`, interrupted anywhere, and completed by a later one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.faults.driver import COPIED, NEW_COPY, OLD_COPY, SHARE, STORE, Answer
from tests.faults.harness import Bench
from tests.faults.trees import Entry, Tree

_START: Tree = {
    str(STORE): Entry(0o700),
    str(SHARE): Entry(0o700),
    str(SHARE / "mine"): Entry(0o700),
    str(SHARE / "mine" / OLD_COPY): Entry(0o600, b"the old copy"),
    str(SHARE / "note.txt"): Entry(0o600, b"of another program"),
}
_WHOLE = hashlib.sha256(COPIED).hexdigest()
_BEFORE = hashlib.sha256(b"the old copy").hexdigest()
OPERATIONS = ("copy", "replace a copy")


@dataclass
class Copies:
    """A write of one object; `operation` says whether it replaces another."""

    bench: Bench
    operation: str

    def sweep(self, call: str, fault: str) -> Iterator[tuple[Answer, list[str]]]:
        """Throw a fault at the first, second, third ... call of a kind until there is no more; what is wrong then."""
        number = 0
        while True:
            number += 1
            answer, _ = self.bench.run(self.operation, _START, call=call, number=number, fault=fault)
            if not answer.fired:
                return
            found = self._look(is_done=answer.ended == "done") + self._complete()
            yield answer, [f"{self.operation}, {fault} at {call} {number}: {sentence}" for sentence in found]

    def cuts(self) -> Iterator[list[str]]:
        """Cut the power after each call; what is wrong then."""
        answer, cuts = self.bench.record(self.operation, _START)
        assert answer.ended == "done", answer.said
        for when, is_done, tree in cuts:
            self.bench.run("list copies", tree)
            found = self._look(is_done=is_done) + self._complete()
            yield [f"{self.operation}, power cut {when}: {sentence}" for sentence in found]

    def _look(self, *, is_done: bool) -> list[str]:
        """Check that the copy is there as a whole or not at all."""
        listed = self._listed()
        new, old = listed.pop(NEW_COPY, None), listed.pop(OLD_COPY, None)
        if self.operation == "copy":
            wrong = [f"the old copy is {old}"] if old != _BEFORE else []
            wrong += [f"the new copy is {new}"] if new != _WHOLE and (is_done or new) else []
        else:
            wrong = [f"the copy is {old}"] if old not in ({_WHOLE} if is_done else {_WHOLE, _BEFORE}) else []
        return wrong + [f"{name} is listed" for name in listed]

    def _complete(self) -> list[str]:
        """Check that the next write completes this one, and that nothing is left over."""
        answer, _ = self.bench.run("replace a copy" if self.operation != "copy" else "copy once more", None)
        wrong = [] if answer.ended == "done" else [f"the next write {answer.ended}: {answer.said}"]
        self.bench.run("delete unfinished copies", None)
        expected = {"note.txt", f"mine/{OLD_COPY}"} | ({f"mine/{NEW_COPY}"} if self.operation == "copy" else set())
        share = self.bench.root / SHARE
        found = {str(path.relative_to(share)) for path in share.rglob("*") if path.is_file()}
        return wrong + self._look(is_done=True) + ([f"files: {found}"] if found != expected else [])

    def _listed(self) -> dict[str, Any]:
        listed: dict[str, Any] = self.bench.run("list copies", None)[0].result
        return listed


@dataclass(frozen=True)
class CopySweep:
    """A fault at every call of a kind in a write."""

    call: str
    fault: str

    def reds(self, bench: Bench) -> Iterator[str]:
        """Sentences of what it finds."""
        for operation in OPERATIONS:
            for _, found in Copies(bench, operation).sweep(self.call, self.fault):
                yield from found


@dataclass(frozen=True)
class CopyPowerCut:
    """The power-loss model of a write."""

    def reds(self, bench: Bench) -> Iterator[str]:
        """Sentences of what it finds."""
        for operation in OPERATIONS:
            for found in Copies(bench, operation).cuts():
                yield from found
