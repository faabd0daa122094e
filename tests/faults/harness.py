"""Builds the shim, keeps the driver running under it, and runs one case at a time."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.faults.driver import BACKUPS, STORE, Answer, Request
from tests.faults.trees import Entry, Tree, digest, lay_out, take
from tests.faults.world import Case, Judge, Listed, World
from tests.installation import ROOT

HERE = Path(__file__).resolve().parent


def require_tool(name: str) -> str:
    """The path of a program that the fault tests need; they fail in one sentence where it is not there."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(
            f"The fault tests need {name}; `make test-long` installs it where it may (Debian, as root: `apt-get install "
            "gcc libc6-dev strace`).",
            pytrace=False,
        )
    return found


def build_shim(folder: Path) -> Path:
    """Compile `shim.c`."""
    target = folder / "shim.so"
    command = [require_tool("gcc"), "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o", str(target)]
    done = subprocess.run([*command, str(HERE / "shim.c"), "-ldl"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"gcc could not compile the shim: {done.stderr[:2000]}", pytrace=False)
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
    _recovered: dict[str, Tree] = dataclasses.field(default_factory=dict)
    recoveries: int = 0
    """How many times a recovery was cut off or run."""

    def __post_init__(self) -> None:
        scratch = self.folder / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        self.judge = Judge(self.world, scratch)
        self.root = self.folder / "case"

    def run(self, operation: str, tree: Tree, **faults: Any) -> tuple[Answer, dict[str, Entry]]:
        """Run an operation on a tree; its end and the tree after it."""
        lay_out(tree, self.root)
        answer = self.driver.ask(Request(operation, str(self.root), **faults))
        return answer, take(self.root)

    def listed(self, tree: Tree) -> Listed:
        """What the program itself lists in a tree."""
        if str(BACKUPS) not in tree:
            return {"backups": {}, "broken": [], "foreign": []}
        answer, after = self.run("list", tree)
        assert answer.ended == "done", answer.said
        assert digest(after) == digest(tree), "looking has changed something"
        result: Listed = answer.result
        return result

    def recovered(self, tree: Tree) -> tuple[Tree, list[str]]:
        """A tree after recovery, and what is wrong with that."""
        if str(BACKUPS) not in tree:
            return tree, []
        answer, after = self.run("recover", tree)
        self.recoveries += 1
        if answer.ended != "done":
            return after, [f"recovery {answer.ended}: {answer.said}"]
        again, unchanged = self.run("recover", after)
        wrong = []
        if again.result != [] or digest(unchanged) != digest(after):
            wrong.append(f"a second recovery found {again.result}")
        return after, wrong

    def look(self, case: Case, tree: Tree, answer: Answer | None, fault: str = "") -> list[str]:
        """Everything that must be true of a tree after a fault, before recovery and after it."""
        wrong = self.judge.after_fault(case, tree, self.listed(tree), answer, fault)
        after, found = self.recovered(tree)
        return [*wrong, *found, *self.judge.after_recovery(case, after, self.listed(after)), *self.judge.live(after)]

    def recovery_cut_off(self, case: Case, tree: Tree) -> list[str]:
        """Kill recovery at each of its steps, and the next one at each of its own, and so on until nothing is new."""
        wrong: list[str] = []
        pending = [tree] if str(BACKUPS) in tree else []
        while pending:
            state = pending.pop()
            key = f"{case.name} {digest(store_of(state))}"
            if key in self._recovered:
                continue
            self._recovered[key] = state
            number = 0
            while True:
                number += 1
                answer, after = self.run(
                    "recover", state, watch=str(self.root / STORE), call="any", number=number, fault="kill"
                )
                self.recoveries += 1
                if answer.ended != "killed":
                    wrong += self.judge.after_recovery(case, after, self.listed(after))
                    break
                wrong += self.judge.after_fault(case, after, self.listed(after), None)
                pending.append(after)
        return wrong


def store_of(tree: Tree) -> dict[str, Entry]:
    """The part of a tree that is the backup folder and what it lies in."""
    return {name: entry for name, entry in tree.items() if name.startswith(str(STORE))}
