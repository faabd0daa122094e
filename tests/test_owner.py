"""The user that a command runs as when root starts it in another user's storage folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.installation import Installation

OWNER = 12345
"""A user without a name."""


@pytest.fixture
def foreign() -> Iterator[Installation]:
    """An installation that belongs to another user, in a place where that user may go."""
    if os.geteuid() != 0:
        pytest.skip("Only root can become another user.")
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    (place / "data").mkdir()
    os.chown(place / "data", OWNER, OWNER)
    # Python itself may be where only root may read: a capability that survives the change stands in for a better place.
    installation = Installation(place / "data")
    yield replace(installation, program=("setpriv", "--securebits=+no_setuid_fixup", *installation.program))
    shutil.rmtree(place)


def owners(folder: Path) -> set[tuple[int, int]]:
    return {(path.lstat().st_uid, path.lstat().st_gid) for path in (folder, *folder.rglob("*"))}


def test_what_root_makes_there_belongs_to_the_owner(foreign: Installation) -> None:
    prepared = foreign.run("prepare")
    made = foreign.run("backup", "create")
    line = f"Continuing as user {OWNER} (uid {OWNER}), the owner of {foreign.data}, instead of root."
    assert prepared.stderr.splitlines()[0] == made.stderr.splitlines()[0] == line
    assert list((foreign.data / "backups").glob("*.db.gz"))
    assert owners(foreign.data) == {(OWNER, OWNER)}


def test_root_refuses_where_it_may_not_become_the_owner(foreign: Installation) -> None:
    command = ["setpriv", "--bounding-set=-setuid,-setgid", *foreign.command("prepare")]
    done = subprocess.run(command, env=foreign.variables(), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"belongs to user {OWNER} (uid {OWNER}), and root may not become that user here" in done.stderr
    assert list(foreign.data.iterdir()) == []


def test_in_a_folder_of_its_own_nothing_is_said(prepared: Installation) -> None:
    assert "Continuing as" not in prepared.run("backup", "list").stderr
