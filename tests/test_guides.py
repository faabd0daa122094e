"""The commands of the guides work in the order in which they are written."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.installation import ROOT, Installation
from tests.locations.rebuilding import add_location, copy_now, save_identity

REBUILD = "back-from-nothing"
"""A guide for an empty machine and a location."""
GUIDES = ("backup-and-restore", "history", "import-and-export", "monitoring", "move", "schedule")
"""Guides with commands for an installation. `tests/api/test_docs.py` runs those of the API's guide."""

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands_of(guide: str) -> str:
    return "".join(_BLOCK.findall((ROOT / "docs" / "guides" / f"{guide}.md").read_text(encoding="utf-8")))


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A folder with the command `tvarr-backup`, for PATH."""
    command = tmp_path / "bin" / "tvarr-backup"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, str(ROOT / "manage.py")])} "$@"\n')
    command.chmod(0o755)
    return command.parent


@pytest.mark.parametrize("guide", GUIDES)
def test_the_commands_of_a_guide_work(guide: str, prepared: Installation, program: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    follow(guide, program, work, prepared.variables() | {"EXAMPLES": str(ROOT / "docs/examples")})


def follow(guide: str, program: Path, work: Path, environment: Mapping[str, str]) -> str:
    """Run the commands of a guide in a folder, and return what they print."""
    done = subprocess.run(
        ["bash", "-e", "-x", "-c", commands_of(guide)],
        cwd=work,
        env={**environment, "PATH": f"{program}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_everything_comes_back_from_nothing(prepared: Installation, program: Path, tmp_path: Path) -> None:
    nas, work = tmp_path / "nas", tmp_path / "work"
    for folder in (nas, work):
        folder.mkdir()
    prepared.ok("user", "create", "marit", "--role", "operator", stdin="correct horse battery\n")
    prepared.ok("backup", "create")
    add_location(prepared, f"folder:{nas}")
    copy_now(prepared)
    shutil.rmtree(prepared.data)
    save_identity(work / "identity.txt")
    new = Installation(
        work / "storage", {"LOCATION": f"folder:{nas}", "TVARR_DATABASE_DSN": str(work / "tvarr/tvarr.db")}
    )

    printed = follow(REBUILD, program, work, new.variables())

    assert "One-time password" not in printed
    assert len(new.json("backup", "list", "--json")["backups"]) == 1
    assert len(copy_now(new)["copied"]) == 1
    assert len(list(nas.iterdir())) == 1


def test_every_guide_with_commands_is_run() -> None:
    guides = {path.stem for path in (ROOT / "docs" / "guides").glob("*.md")}

    assert {guide for guide in guides if commands_of(guide)} == {*GUIDES, REBUILD, "api"}
