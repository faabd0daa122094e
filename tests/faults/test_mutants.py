"""Each rule of the program is removed in a copy of it, and some test must fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.figures import Figures
from tests.faults.harness import Bench, Driver
from tests.faults.mutants import EQUIVALENT, MUTANTS, Mutant, Quick
from tests.faults.mutants_of_copies import MUTANTS_OF_COPIES
from tests.faults.mutants_of_offline import EQUIVALENT_IN_OFFLINE, MUTANTS_OF_OFFLINE
from tests.faults.mutants_of_restore import EQUIVALENT_IN_RESTORE, MUTANTS_OF_RESTORE
from tests.faults.world import World
from tests.installation import ROOT

pytestmark = pytest.mark.long

HANGS_AFTER_SECONDS = 60
COPIED = ("benchmarks", "config", "static", "templates", "tests", "tvarr_backup", "manage.py", "pyproject.toml")


@contextmanager
def mutated(mutant: Mutant, folder: Path) -> Iterator[Path]:
    """A copy of the project with the mutant in it."""
    copy = folder / "copy"
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    module = copy / "tvarr_backup" / "backups" / f"{mutant.module}.py"
    module.write_text(mutant.change(module.read_text()))
    yield copy
    shutil.rmtree(copy)


def first_red(mutant: Mutant, copy: Path, shim: Path, world: World, folder: Path) -> str:
    """What notices the mutant; empty where nothing does."""
    detector = mutant.noticed_by
    if isinstance(detector, Quick):
        return _failed_test(detector, copy)
    with Driver(shim, copy) as driver:
        return next(detector.reds(Bench(driver, world, folder / "bench")), "")


def _failed_test(quick: Quick, copy: Path) -> str:
    options = ["-x", "-q", "-p", "no:cacheprovider", "-o", f"faulthandler_timeout={HANGS_AFTER_SECONDS}"]
    command = [sys.executable, "-m", "pytest", *options, f"tests/backups/{quick.file}"]
    done = subprocess.run(
        [*command, *(["-k", quick.only] if quick.only else [])],
        cwd=copy,
        env={name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    if "Timeout (" in done.stderr:
        return f"a test of {quick.file} that hangs"
    return next((line.split(" ")[1] for line in done.stdout.splitlines() if line.startswith("FAILED ")), "")


@pytest.mark.parametrize(
    "mutant", [*MUTANTS, *MUTANTS_OF_RESTORE, *MUTANTS_OF_OFFLINE, *MUTANTS_OF_COPIES], ids=lambda mutant: mutant.name
)
def test_a_rule_that_is_taken_out_is_missed(
    mutant: Mutant, shim: Path, world: World, figures: Figures, tmp_path: Path
) -> None:
    with mutated(mutant, tmp_path) as copy:
        red = first_red(mutant, copy, shim, world, tmp_path)
    figures.count("mutants", mutant.name, noticed_by=red[:130].replace("\n", " ") or "NOBODY")
    assert red


@pytest.mark.parametrize(
    "mutant", [*EQUIVALENT, *EQUIVALENT_IN_RESTORE, *EQUIVALENT_IN_OFFLINE], ids=lambda mutant: mutant.name
)
def test_a_mutant_that_changes_nothing_of_weight_is_not_missed(
    mutant: Mutant, shim: Path, world: World, figures: Figures, tmp_path: Path
) -> None:
    with mutated(mutant, tmp_path) as copy:
        red = first_red(mutant, copy, shim, world, tmp_path)
    figures.count("mutants that change nothing of weight", mutant.name, why=mutant.equivalent)
    assert not red
