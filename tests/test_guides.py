"""The commands of the guides work in the order in which they are written."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.installation import ROOT, Installation

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
    done = subprocess.run(
        ["bash", "-e", "-x", "-c", commands_of(guide)],
        cwd=work,
        env=prepared.variables() | {"PATH": f"{program}:{os.environ['PATH']}", "EXAMPLES": str(ROOT / "docs/examples")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_every_guide_with_commands_is_run() -> None:
    guides = {path.stem for path in (ROOT / "docs" / "guides").glob("*.md")}

    assert {guide for guide in guides if commands_of(guide)} == {*GUIDES, "api"}
