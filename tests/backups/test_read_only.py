"""A read-only backup folder: what works, what is refused, and the way out that is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.backups.makers import backup, on_small_disk, python

_ACT = """
import json, os, subprocess, sys
from pathlib import Path
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
import django
django.setup()
from tests.backups.makers import backup, query, required, state
from tvarr_backup.backups.adopt import adopt_backup
from tvarr_backup.backups.catalogue import delete_backup, find_backup, protect_backup, read_folder
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.backups.restore import restore_backup
from tvarr_backup.backups.verify import verify_backup
from tvarr_backup.errors import TvarrBackupError
disk, live, scratch = map(Path, sys.argv[1:4])
folder = disk / "backups"
def refusal(act):
    try:
        act()
    except TvarrBackupError as problem:
        return [problem.code, str(problem)]
    return ["done", ""]
def look():
    before = state(folder)
    name = read_folder(folder).backups[0].filename
    archive = folder / name
    found = verify_backup(folder, name, required(), scratch=scratch)
    refused = {
        "create": refusal(lambda: backup(live, folder)),
        "adopt": refusal(lambda: adopt_backup(archive, folder, required())),
        "delete": refusal(lambda: delete_backup(folder, name)),
        "protect": refusal(lambda: protect_backup(folder, name, protected=True)),
        "restore": refusal(lambda: restore_backup(live, folder, name, required())),
        "verify without another place": refusal(lambda: verify_backup(folder, name, required())),
    }
    other = prepare_folder(live.parent / "other")
    adopted = adopt_backup(archive, other, required()).filename
    restored = restore_backup(live, other, adopted, required())
    print(json.dumps({
        "name": name, "problems": found.problems, "warnings": [str(one) for one in found.warnings], "refused": refused,
        "restored": restored.filename == adopted and restored.safety is not None,
        "untouched": state(folder) == before, "left": sorted(p.name for p in scratch.rglob("*")),
        "stat": [os.geteuid(), os.getegid()],
    }))
"""
_MOUNTED = """
prepare_folder(folder)
backup(live, folder)
subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
look()
"""


def _require_all(found: dict[str, object], reason: str) -> None:
    assert found["problems"] == []
    assert found["warnings"] == [
        "The result could not be saved with the backup because the backup folder is read-only."
    ]
    refused = found["refused"]
    assert isinstance(refused, dict)
    for code, message in refused.values():
        assert code == "backup_folder_read_only"
        assert reason in message
        assert "set TVARR_BACKUP_DIRECTORY to a writable folder" in message
    assert (found["restored"], found["untouched"], found["left"]) == (True, True, [".lock", ".work"])


def test_on_a_disk_that_is_mounted_read_only(live: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    found = on_small_disk(_ACT + _MOUNTED, disk, live, tmp_path / "scratch" / "work")
    _require_all(
        found, f"Its disk is mounted read-only. To mount it for writing, run as root: mount -o remount,rw {disk}."
    )


def test_in_a_folder_without_the_right_to_write(live: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    backup(live, folder)
    folder.chmod(0o500)
    found = python(_ACT + "look()\n", tmp_path, live, tmp_path / "scratch", heeds_modes=True)
    folder.chmod(0o700)
    _require_all(found, f"(uid {os.geteuid()}). Run: chmod u+rwx {folder}.")


@pytest.mark.skipif(os.geteuid() != 0, reason="Only root can give a folder away.")
def test_a_folder_of_another_owner_names_both_and_the_command(live: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    backup(live, folder)
    os.chown(folder, 12345, 12345)
    folder.chmod(0o755)
    found = python(_ACT + "look()\n", tmp_path, live, tmp_path / "scratch", heeds_modes=True)
    message = found["refused"]["create"][1]
    assert "It belongs to uid 12345 with mode 0755, and this program runs as root (uid 0). " in message
    assert f"Run as root: chown -R 0:0 {folder}." in message


@pytest.mark.skipif(os.geteuid() != 0, reason="Only root can give a folder away.")
def test_one_that_is_closed_to_this_user_is_not_called_empty(live: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    name = backup(live, folder).filename
    os.chown(folder, 12345, 12345)
    folder.chmod(0o700)
    code = (
        _ACT
        + "print(json.dumps([refusal(lambda: find_backup(folder, sys.argv[4])), refusal(lambda: read_folder(folder))]))"
    )
    for code_of_error, message in python(code, tmp_path, live, tmp_path / "scratch", name, heeds_modes=True):
        assert code_of_error == "backup_folder_unusable"
        assert "It belongs to uid 12345 with mode 0700, and this program runs as root (uid 0). " in message
        assert f"Run as root: chown -R 0:0 {folder}." in message


@pytest.mark.skipif(os.geteuid() != 0, reason="Only root can give a file away.")
def test_one_file_of_another_user_is_named(live: Path, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    name = backup(live, folder).filename
    os.chown(folder / name, 12345, 12345)
    (folder / name).chmod(0o600)
    code = _ACT + "print(json.dumps(refusal(lambda: verify_backup(folder, sys.argv[4], required()))))"
    _, message = python(code, tmp_path, live, tmp_path / "scratch", name, heeds_modes=True)
    assert f"{name} belongs to uid 12345 with mode 0600" in message
    assert f"Run as root: chown -R 0:0 {folder}." in message
