"""The disk of the backup folder, mounted and unmounted in a mount namespace."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from tests.installation import Installation
from tvarr_backup import conf
from tvarr_backup.errors import BackupFolderMissing, BackupFolderUnmounted
from tvarr_backup.operations.disk import backup_folder, folder_for_new_backup, place_of
from tvarr_backup.operations.models import Operation, OperationKind, OperationState, Origin

_STEPS = """
import json, os, subprocess, sys
disk, program, steps = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
def run(*words):
    done = subprocess.run([*program, *words], capture_output=True, text=True)
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr}
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", disk], check=True)
found = []
for step in steps:
    if step[0] in ("mount", "umount"):
        done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk] if step[0] == "mount" else ["umount", disk])
        assert done.returncode == 0
    elif step == ["files"]:
        found.append(sorted(os.listdir(disk)))
    else:
        found.append(run(*step))
print(json.dumps(found))
"""


def in_a_namespace(installation: Installation, disk: Path, *steps: list[str]) -> list[Any]:
    """Return the output of each step, run one after another with a disk that is mounted at first."""
    command = ["unshare", "-rm", sys.executable, "-c", _STEPS, str(disk), json.dumps(installation.command())]
    done = subprocess.run(
        [*command, json.dumps(steps)], env=installation.variables(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("place", ["", "backups"])
def test_every_action_and_health_miss_a_disk_that_is_not_mounted(
    prepared: Installation, tmp_path: Path, place: str
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    prepared.environment["TVARR_BACKUP_DIRECTORY"] = str(disk / place)
    name = "tvarr-backup-2026-01-01T00-00-00.db.gz"
    made, *refused, health, files = in_a_namespace(
        prepared,
        disk,
        ["backup", "create"],
        ["umount"],
        ["backup", "list"],
        ["backup", "show", name],
        ["backup", "verify", "--all"],
        ["backup", "create"],
        ["backup", "protect", name],
        ["backup", "delete", name, "--yes"],
        ["backup", "prune"],
        ["backup", "restore", name, "--yes"],
        ["status", "--json"],
        ["files"],
    )
    assert made["code"] == 0, made
    for one in refused:
        assert one["code"] == 1
        assert f"is not mounted at {disk}, where it was when the last backup was made." in one["err"], one
    (check,) = [check for check in json.loads(health["out"])["checks"] if check["name"] == "backup_folder"]
    assert check["state"] == "sick"
    assert "backup create --accept-folder" in check["message"]
    assert files == []


def test_a_folder_that_is_accepted_without_its_disk_is_the_new_place(prepared: Installation, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    prepared.environment["TVARR_BACKUP_DIRECTORY"] = str(disk)
    first, accepted, again, listed = in_a_namespace(
        prepared,
        disk,
        ["backup", "create"],
        ["umount"],
        ["backup", "create", "--accept-folder"],
        ["backup", "create"],
        ["backup", "list", "--json"],
    )
    assert [first["code"], accepted["code"], again["code"]] == [0, 0, 0]
    assert "cleanup failed" not in accepted["err"]
    assert len(json.loads(listed["out"])["backups"]) == 2


def test_a_disk_that_is_mounted_again_is_as_before(prepared: Installation, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    prepared.environment["TVARR_BACKUP_DIRECTORY"] = str(disk)
    *_, made = in_a_namespace(
        prepared, disk, ["backup", "create"], ["umount"], ["backup", "create"], ["mount"], ["backup", "create"]
    )
    assert made["code"] == 0, made


@pytest.mark.django_db
@pytest.mark.usefixtures("attached")
class TestGate:
    """The disk that the operations have recorded."""

    @pytest.fixture
    def folder(self, folder: Path) -> Path:
        self.record(**place_of(folder))
        return folder

    def record(self, **arguments: str) -> None:
        Operation.objects.create(
            kind=OperationKind.BACKUP,
            origin=Origin.COMMAND,
            state=OperationState.SUCCEEDED,
            arguments=arguments,
            database=str(conf.live_database()),
            created_at="2026-01-01T00:00:00Z",
        )

    def test_a_folder_on_its_recorded_disk_is_used(self, folder: Path) -> None:
        assert backup_folder() == folder_for_new_backup(accept_folder=False) == folder

    def test_the_newest_record_counts(self, folder: Path) -> None:
        self.record(folder=str(folder), disk=str(folder))  # which is not a mount point
        with pytest.raises(BackupFolderUnmounted):
            backup_folder()
        with pytest.raises(BackupFolderUnmounted):
            folder_for_new_backup(accept_folder=False)
        assert folder_for_new_backup(accept_folder=True) == folder

    def test_another_folder_is_not_affected(self, folder: Path, settings: Any) -> None:
        self.record(folder=str(folder), disk=str(folder))
        settings.BACKUP_DIRECTORY = folder.parent / "other"
        assert not backup_folder().exists()
        assert folder_for_new_backup(accept_folder=False).is_dir()

    def test_a_folder_that_was_removed_is_missed_and_only_a_new_backup_creates_it(self, folder: Path) -> None:
        folder.rmdir()
        with pytest.raises(BackupFolderMissing, match="does not exist any more, although backups were made in it"):
            backup_folder()
        assert not folder.exists()
        assert folder_for_new_backup(accept_folder=False).is_dir()


def test_without_a_database_of_our_own_nothing_is_known(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections["default"].settings_dict, "NAME", str(tmp_path / "app.db"))
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    assert backup_folder() == tmp_path / "backups"
    assert not (tmp_path / "app.db").exists()
