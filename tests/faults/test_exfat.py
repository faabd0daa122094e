"""Backups on a real exFAT disk, which has no hard links, interrupted at each call that changes something."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.driver import BACKUPS, LIVE, OLD, REQUIRED, STORE, Answer, Request
from tests.faults.figures import Figures
from tests.faults.harness import Driver
from tests.faults.trees import lay_out
from tests.faults.world import World
from tvarr_backup.backups.catalogue import read_folder
from tvarr_backup.backups.verify import verify_backup

pytestmark = pytest.mark.long

_TOOLS = ("losetup", "mkfs.exfat", "mount.exfat-fuse", "umount")
_OPERATIONS = ("create", "adopt", "protect", "delete", "prune")
_LINK = str(BACKUPS / "link")


@contextmanager
def exfat_at(place: Path, image: Path) -> Iterator[None]:
    """An exFAT disk of 64 MiB, mounted by a program of its own: the kernel need not know exFAT."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing or os.geteuid() != 0 or not Path("/dev/fuse").exists():
        pytest.skip(
            "An exFAT disk can only be mounted by root, with /dev/fuse and "
            f"{', '.join(_TOOLS)} (Debian: apt-get install exfat-fuse exfatprogs)."
        )
    with image.open("wb") as file:
        file.truncate(64 * 2**20)
    subprocess.run(["mkfs.exfat", str(image)], check=True, capture_output=True)
    loop = subprocess.run(["losetup", "-f", "--show", str(image)], check=True, capture_output=True, text=True)
    device = loop.stdout.strip()
    try:
        subprocess.run(["mount.exfat-fuse", device, str(place)], check=True, capture_output=True)
        yield
        subprocess.run(["umount", str(place)], check=True, capture_output=True)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=False, capture_output=True)
        subprocess.run(["losetup", "-d", device], check=False, capture_output=True)


class Exfat:
    """A case whose backup folder is on exFAT."""

    def __init__(self, driver: Driver, world: World, root: Path) -> None:
        self._driver, self._world, self.root = driver, world, root
        self.folder = root / BACKUPS

    def begin(self) -> None:
        """The older backups, and files of other people's; exFAT has no links."""
        for path in (self.root / STORE).iterdir():
            shutil.rmtree(path)
        for name, entry in self._world.clean.items():
            if name.startswith(str(BACKUPS)) and not entry.target:
                path = self.root / name
                path.mkdir() if entry.data is None else path.write_bytes(entry.data)

    def run(self, operation: str, number: int = 0) -> Answer:
        """Run an operation, killed at this call."""
        fault = "kill" if number else ""
        return self._driver.ask(Request(operation, str(self.root), str(self.root / STORE), "any", number, fault))

    def wrong(self, operation: str) -> list[str]:
        """What is not as it must be once recovery has run."""
        answer = self.run("recover")
        wrong = [] if answer.ended == "done" else [f"recovery {answer.ended}: {answer.said}"]
        listing = read_folder(self.folder)
        listed = [backup.filename for backup in listing.backups]
        may_go = {"delete": {OLD[1]}, "prune": {*OLD[:2]}}.get(operation, set())
        wrong += [f"{name} is missing" for name in OLD if name not in listed and name not in may_go]
        wrong += [f"{name} has changed" for name in OLD if name in listed and self._is_changed(name)]
        new = [name for name in listed if name not in OLD]
        if len(new) > (operation in ("create", "adopt")):
            wrong.append(f"there are new backups: {new}")
        for name in new:
            wrong += verify_backup(self.folder, name, REQUIRED).problems
        known = {file for name in listed for file in (name, name.replace(".db.gz", ".meta.json"))}
        known |= {path.removeprefix(f"{BACKUPS}/").split("/")[0] for path in self._world.clean if path != _LINK}
        left = {path.name for path in self.folder.iterdir()} - known - {".lock", ".work"}
        return wrong + [f"left over: {name}" for name in [*left, *os.listdir(self.folder / ".work")]]  # noqa: PTH208

    def _is_changed(self, name: str) -> bool:
        return (self.folder / name).read_bytes() != self._world.old[name][0]


@pytest.fixture
def exfat(shim: Path, world: World, tmp_path: Path) -> Iterator[Exfat]:
    root = tmp_path / "case"
    lay_out({name: entry for name, entry in world.clean.items() if not name.startswith(str(STORE))}, root)
    (root / STORE).mkdir()
    with exfat_at(root / STORE, tmp_path / "disk"), Driver(shim) as driver:
        yield Exfat(driver, world, root)


def test_the_disk_has_no_hard_links(exfat: Exfat) -> None:
    exfat.begin()
    with pytest.raises(PermissionError):
        os.link(exfat.folder / OLD[0], exfat.folder / "link")
    assert (exfat.root / LIVE).exists()


@pytest.mark.parametrize("operation", _OPERATIONS)
def test_an_operation_is_done_or_killed_anywhere_and_recovered(operation: str, exfat: Exfat, figures: Figures) -> None:
    wrong, number, killed = [], 0, True
    while killed:
        number += 1
        exfat.begin()
        answer = exfat.run(operation, number)
        killed = answer.ended == "killed"
        found = exfat.wrong(operation)
        wrong += [f"kill at {number}: {sentence}" for sentence in found]
        figures.count("kills on exFAT", operation, points=int(killed), violations=len(found))
    assert answer.ended == "done", answer.said
    assert not wrong, "\n".join(wrong)
