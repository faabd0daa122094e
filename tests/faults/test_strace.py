"""A sample of the sweep with strace, which cannot miss a call.

strace kills the process at a call of its choice, and counts: what touches the folder of a case must be exactly what the
shim has counted, or the sweep would have holes.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.faults.driver import Answer
from tests.faults.figures import Figures
from tests.faults.harness import HERE, Bench, require_tool
from tests.faults.trees import lay_out, take
from tests.faults.world import CASES, Case
from tests.installation import ROOT

pytestmark = pytest.mark.long

# The kernel's names of what the shim counts; opening a folder is an open as well.
NAMES = {
    "open": "open",
    "openat": "open",
    "write": "write",
    "pwrite64": "pwrite",
    "fsync": "fsync",
    "fdatasync": "fdatasync",
    "ftruncate": "ftruncate",
    "link": "link",
    "linkat": "link",
    "unlink": "unlink",
    "unlinkat": "unlink",
    "rename": "rename",
    "renameat": "rename",
    "renameat2": "rename",
    "mkdir": "mkdir",
    "mkdirat": "mkdir",
    "rmdir": "rmdir",
}
POINTS = 5
"""At the most, for each call of each operation."""

_CALL = re.compile(r"(?P<thread>\d+) +(?P<name>\w+)\((?P<rest>.*)")
_LINKED = [case for case in CASES if case.hard_links]
"""A disk without hard links is the shim's own doing."""
_SAMPLED = [case for case in CASES if case.name in ("create", "prune", "delete", "adopt an archive", "verify")]


def traced(case: Case, bench: Bench, *options: str) -> tuple[Answer | None, list[re.Match[str]]]:
    """Run an operation under strace. Return its answer (`None`: killed) and the calls."""
    lay_out(case.start(bench.world), bench.root)
    log = bench.folder / "strace"
    command = [require_tool("strace"), "-f", "-y", "-qq", "-s", "1", "-o", str(log), *options]
    done = subprocess.run(
        [*command, sys.executable, str(HERE / "driver.py"), case.operation, str(bench.root)],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if "PTRACE" in done.stderr or "ptrace" in done.stderr:
        pytest.fail(f"The fault tests need strace, and it may not trace here: {done.stderr.strip()}", pytrace=False)
    calls = [match for match in map(_CALL.match, log.read_text(errors="replace").splitlines()) if match]
    return (Answer(**json.loads(done.stdout)) if done.stdout else None), calls


def touches(call: re.Match[str], root: Path) -> bool:
    names = (
        call["rest"].partition(">, ")[0] if call["name"] == "write" else call["rest"]
    )  # what is written may name it, too
    return f'"{root}' in names or f"<{root}" in names


def all_calls(case: Case, bench: Bench) -> list[re.Match[str]]:
    """The calls of an operation, without those of the process that examines a file from elsewhere.

    That works on a copy in `.work` and publishes nothing; its end by a signal is tested in `tests/backups/test_hostile.py`.
    """
    answer, calls = traced(case, bench, "-e", f"trace={','.join(NAMES)}", "-s", "4096")
    assert answer is not None
    assert answer.ended == "done", answer.said
    apart = {call["thread"] for call in calls if "apart_tasks" in call["rest"]}
    return [call for call in calls if call["thread"] not in apart]


@pytest.mark.parametrize("case", _LINKED, ids=lambda case: case.name)
def test_the_sweep_has_seen_every_call(case: Case, bench: Bench, figures: Figures) -> None:
    kernel = Counter(NAMES[call["name"]] for call in all_calls(case, bench) if touches(call, bench.root))
    answer, _ = bench.run(case.operation, case.start(bench.world), watch=str(bench.root))
    shim = Counter({name: answer.counts[name] for name in set(NAMES.values()) if answer.counts[name]})
    shim["open"] += answer.counts["opendir"]
    for each in (kernel, shim):
        del each["fdatasync"]  # as many as there is time for: a large copy is written back while it grows
    figures.count("calls by strace and by the shim", case.name, strace=kernel.total(), shim=shim.total())
    assert kernel == shim


def chosen(numbers: Iterable[int]) -> list[int]:
    """A few of them, the first and the last in any case."""
    every = sorted(set(numbers))
    if len(every) <= POINTS:
        return every
    return sorted({every[round(step * (len(every) - 1) / (POINTS - 1))] for step in range(POINTS)})


@pytest.mark.parametrize("case", _SAMPLED, ids=lambda case: case.name)
def test_a_kill_by_the_kernel_leaves_all_or_nothing(case: Case, bench: Bench, figures: Figures) -> None:
    seen: Counter[tuple[str, str]] = Counter()
    places = defaultdict(list)
    for call in all_calls(case, bench):
        seen[call["thread"], call["name"]] += 1  # strace counts for each thread by itself
        if touches(call, bench.root):
            places[call["name"]].append(seen[call["thread"], call["name"]])
    wrong = []
    for name, numbers in places.items():
        for number in chosen(numbers):
            inject = f"inject={name}:signal=KILL:when={number}"
            answer, _ = traced(case, bench, "-e", f"trace={name}", "-e", inject)
            tree = take(bench.root)
            found = bench.look(case, tree, answer, lies_there=True)
            wrong += [f"kill at {name} {number}: {sentence}" for sentence in found]
            figures.count("kills by strace", case.name, points=1, killed=int(answer is None), violations=len(found))
    assert not wrong, "\n".join(wrong)
