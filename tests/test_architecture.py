"""The map of the house holds, and its check can fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.installation import ROOT


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([program, "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the program that may be spoiled."""
    for name in ("config", "tvarr_backup"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_nobody_imports_upward(copy: Path) -> None:
    done = lint_imports(copy)
    assert done.returncode == 0, done.stdout
    assert "3 kept, 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("tvarr_backup/models.py", "import tvarr_backup.portable.kinds", "Layers import downward only"),
        pytest.param(
            "tvarr_backup/portable/plan.py",
            "import tvarr_backup.conf",
            "Layers import downward only",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "tvarr_backup/admin/kinds.py",
            "import tvarr_backup.management.commands.up",
            "Layers import downward only",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "tvarr_backup/errors.py",
            "import tvarr_backup.expressions",
            "Layers import downward only",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "tvarr_backup/expressions/check.py",
            "import django",
            "Expressions, backups, locations and receivers do not import Django",
            marks=pytest.mark.long,
        ),
        (
            "tvarr_backup/backups/sqlite.py",
            "import django",
            "Expressions, backups, locations and receivers do not import Django",
        ),
        pytest.param(
            "tvarr_backup/backups/sqlite.py",
            "import tvarr_backup.portable",
            "Layers import downward only",
            marks=pytest.mark.long,
        ),
    ],
)
def test_an_import_upward_is_found(copy: Path, module: str, line: str, contract: str) -> None:
    file = copy / module
    file.write_text(f"{file.read_text()}\n{line}\n")
    done = lint_imports(copy)
    assert done.returncode == 1
    assert f"{contract} BROKEN" in done.stdout


def test_every_command_has_its_tests() -> None:
    commands = {path.stem for path in (ROOT / "tvarr_backup/management/commands").glob("[a-z]*.py")}
    tested = {
        path.stem.removeprefix("test_").removesuffix("_command") for path in (ROOT / "tests/management").glob("*.py")
    }
    assert commands
    assert commands <= tested
