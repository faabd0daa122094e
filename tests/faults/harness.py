"""Build the shim, keep the driver running under it, and run one case at a time."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.faults.driver import BACKUPS, LIVE, STORE, Answer, Request
from tests.faults.power import Disk, power_cuts
from tests.faults.trees import Entry, Tree, digest, lay_out, take
from tests.faults.world import Case, Judge, World
from tests.installation import ROOT

HERE = Path(__file__).resolve().parent


def require_tool(name: str) -> str:
    """The path of a program that the fault tests need; they fail in one sentence where it is not there."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(
            f"The fault tests need {name}; `make test-long` installs it where it may (Debian, as root: `apt-get install "
            "gcc libc6-dev libsqlite3-dev strace`).",
            pytrace=False,
        )
    return found


def build_library(folder: Path, name: str) -> Path:
    """Compile `shim.c` or `clock.c`."""
    target = folder / f"{name}.so"
    command = [require_tool("gcc"), "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o", str(target)]
    done = subprocess.run([*command, str(HERE / f"{name}.c"), "-ldl"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"gcc could not compile {name}.c: {done.stderr[:2000]}", pytrace=False)
    return target


class Driver:
    """`driver.py` at work under the shim; `package` is the folder that `tvarr_backup` is imported from."""

    def __init__(self, shim: Path, package: Path = ROOT) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "driver.py")],
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(package),
                "PYTHONDONTWRITEBYTECODE": "1",
                "LD_PRELOAD": str(shim),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def ask(self, request: Request) -> Answer:
        """Run one request in a process of its own."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(dataclasses.asdict(request)) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the driver has ended"
        return Answer(**json.loads(line))


@dataclasses.dataclass
class Bench:
    """Everything that a run of cases needs, and what it has seen already."""

    driver: Driver
    world: World
    folder: Path
    hard_links: bool = True
    """Whether the disk of the cases has them."""
    recoveries: int = 0
    """How many times a recovery was run or cut off."""
    _other: Bench | None = None
    _cut_off: set[str] = dataclasses.field(default_factory=set)

    def __post_init__(self) -> None:
        scratch = self.folder / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        self.judge = Judge(self.world, scratch)
        self.root = self.folder / "case"

    def on_disk_of(self, case: Case) -> Bench:
        """This bench, or the one like it whose disk is that of the case."""
        if case.hard_links == self.hard_links:
            return self
        if self._other is None:
            self._other = Bench(self.driver, self.world, self.folder / "other", hard_links=case.hard_links)
        return self._other

    def run(self, operation: str, tree: Tree | None, **faults: Any) -> tuple[Answer, dict[str, Entry]]:
        """Run an operation on a tree, or on the current files (`None`). Return its answer and the tree after it."""
        if tree is not None:
            lay_out(tree, self.root)
        faults = {"watch": str(self.root), "hard_links": self.hard_links, **faults}
        answer = self.driver.ask(Request(operation, str(self.root), **faults))
        return answer, take(self.root)

    def record(
        self, operation: str, tree: Tree | None, *, killed: tuple[str, str, int] | None = None, database: bool = False
    ) -> tuple[Answer, Iterator[tuple[str, bool, Tree]]]:
        """Run an operation to its end. Yield the trees that a power cut during or after it can leave.

        `tree` is `None` for the current files. `killed` is an operation that runs before it, and the call at which it is
        killed: its unsynced changes may still be lost. With `database`, changes of the live database may be lost too.
        """
        if tree is not None:
            lay_out(tree, self.root)
        watch = Path() if database else STORE
        watched, prefix = self.root / watch, "" if database else f"{watch}/"
        start = {name.removeprefix(prefix): entry for name, entry in take(self.root).items() if name.startswith(prefix)}
        disk = Disk(start, str(LIVE.parent) if database else "", hard_links=self.hard_links)
        for path in (watched, *watched.rglob("*")):
            disk.know("" if path == watched else str(path.relative_to(watched)), path.lstat().st_ino)
        journal, earlier = self.folder / "journal", self.folder / "earlier"
        earlier.write_bytes(b"")
        if killed:
            first = Request(killed[0], str(self.root), str(watched), *killed[1:], "kill", str(earlier), self.hard_links)
            assert self.driver.ask(first).ended == "killed"
        request = Request(
            operation, str(self.root), watch=str(watched), journal=str(journal), hard_links=self.hard_links
        )
        answer = self.driver.ask(request)
        others = {name: entry for name, entry in take(self.root).items() if not name.startswith(prefix)}
        cuts = (
            (when, done, {**others, **{prefix + name: entry for name, entry in stored.items()}})
            for when, done, stored in power_cuts(disk, journal.read_bytes(), earlier.read_bytes())
        )
        return answer, cuts

    def cuts_after_kill(self, case: Case) -> Iterator[tuple[str, bool, list[str]]]:
        """Power cuts in the recovery of an operation that was killed before or after each call that renames or syncs.

        A word about each, whether recovery had ended by then, and what is wrong.
        """
        for call in ("rename", "fsync"):
            number = 0
            while True:
                number += 1
                start = case.start(self.world)
                faults = {"watch": str(self.root / STORE), "call": call, "number": number, "fault": "kill"}
                if not self.run(case.operation, start, **faults)[0].fired:
                    break
                _, cuts = self.record("recover", start, killed=(case.operation, call, number))
                for when, done, tree in cuts:
                    found = self.look(case, tree, None)
                    yield f"killed at {call} {number}, power cut {when}", done, found

    def look(
        self, case: Case, tree: Tree, answer: Answer | None, fault: str = "", *, lies_there: bool = False
    ) -> list[str]:
        """Check all conditions of a tree after a fault: before recovery, after it, and after another.

        `answer` is `None` if the operation was interrupted. With `lies_there` the tree is already on the disk.
        """
        if str(BACKUPS) not in tree:
            gone = ["it said it was done, but the folder is gone"] if answer and answer.ended == "done" else []
            return [*gone, *self.judge.live(tree)]
        first, recovered = self.run("look and recover", None if lies_there else tree)
        second, again = self.run("look and recover", None)
        self.recoveries += 2
        if (first.ended, second.ended) != ("done", "done"):
            return [f"recovery {first.ended}: {first.said}; again: {second.ended}: {second.said}"]
        wrong = self.judge.after_fault(case, tree, first.result["listed"], answer, fault)
        if second.result["recovered"] != [] or digest(again) != digest(recovered):
            wrong.append(f"a second recovery found {second.result['recovered']}")
        return [
            *wrong,
            *self.judge.after_recovery(case, recovered, second.result["listed"]),
            *self.judge.live(recovered),
        ]

    def sweep(self, case: Case, call: str, fault: str) -> Iterator[tuple[Answer, list[str]]]:
        """Throw a fault at the first, second, third ... call of a kind until there is no more; what is wrong then."""
        start = case.start(self.world)
        number = 0
        while True:
            number += 1
            answer, tree = self.run(case.operation, start, watch=str(self.root), call=call, number=number, fault=fault)
            if not answer.fired:
                return
            killed = answer.ended == "killed"
            found = self.look(case, tree, None if killed else answer, fault, lies_there=True)
            if killed:
                found += self.cut_off_recovery(case, tree)
            yield answer, [f"{fault} at {call} {number}: {sentence}" for sentence in found]

    def cut_off_recovery(self, case: Case, tree: Tree) -> list[str]:
        """Kill recovery at each of its steps, and the next one at each of its own, and so on until nothing is new."""
        wrong: list[str] = []
        pending = [tree] if str(BACKUPS) in tree else []
        while pending:
            state = pending.pop()
            key = f"{case.name} {digest(store_of(state))}"
            if key in self._cut_off:
                continue
            self._cut_off.add(key)
            number = 0
            killed = True
            while killed:
                number += 1
                answer, after = self.run(
                    "recover", state, watch=str(self.root / STORE), call="any", number=number, fault="kill"
                )
                self.recoveries += 1
                killed = answer.ended == "killed"
                listed = self.driver.ask(Request("list", str(self.root))).result
                if killed:
                    wrong += self.judge.after_fault(case, after, listed, None)
                    pending.append(after)
                else:
                    wrong += self.judge.after_recovery(case, after, listed)
        return wrong


def store_of(tree: Tree) -> dict[str, Entry]:
    """Return the part of a tree with the backup folder and its parent."""
    return {name: entry for name, entry in tree.items() if name.startswith(str(STORE))}
