"""Backups can be deleted on a completely full disk: on pages, through the API and with commands."""

from __future__ import annotations

import base64
import http.cookiejar
import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.installation import Installation
from tests.processes import wait_until
from tests.ups import Up, free_port, start_up

PASSWORD = "tide-table-1912"
SIZE = "96m"


class OnSmallDisk(Installation):
    """An installation whose storage folder is a small disk in memory, visible to its own processes."""

    holder: subprocess.Popen[bytes]

    def mount(self) -> None:
        """Mount the disk until `holder` ends."""
        self.data.mkdir()
        script = 'mount -t tmpfs -o size="$1" tmpfs "$2" && chmod 700 "$2" && echo mounted && exec sleep 600'
        command = ["unshare", "-rm", "bash", "-c", script, "bash", SIZE, str(self.data)]
        self.holder = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline() == b"mounted\n"

    def command(self, *arguments: str) -> list[str]:
        return [
            "nsenter",
            "-t",
            str(self.holder.pid),
            "-U",
            "-m",
            "--preserve-credentials",
            *super().command(*arguments),
        ]

    @property
    def disk(self) -> Path:
        """The disk as a path of this process."""
        return Path(f"/proc/{self.holder.pid}/root{self.data}")

    @property
    def reserve(self) -> Path:
        return self.disk / "app.db.reserve"

    def fill(self) -> None:
        """Fill the disk in one step. Several would also fill the reserved space, because it is released in between."""
        with (self.disk / "film.mkv").open("ab") as file:
            disk = os.statvfs(self.disk)
            os.posix_fallocate(file.fileno(), file.tell(), disk.f_bavail * disk.f_frsize)

    def backups(self) -> list[str]:
        return sorted(path.name for path in (self.disk / "backups").glob("*.db.gz"))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[OnSmallDisk]:
    """An installation on a small disk, with three backups."""
    installation = OnSmallDisk(tmp_path / "data", {"TVARR_ADMIN_PASSWORD": PASSWORD})
    installation.mount()
    try:
        installation.prepared()
        for _ in range(3):
            installation.ok("backup", "create")
        yield installation
    finally:
        installation.holder.kill()
        installation.holder.wait()
        assert installation.holder.stdout is not None
        installation.holder.stdout.close()


@pytest.fixture
def up(small: OnSmallDisk) -> Iterator[Up]:
    running = start_up(small, free_port())
    wait_until(running.answers, "it answers", seconds=60)
    yield running
    os.killpg(running.process.pid, signal.SIGTERM)
    running.process.wait(timeout=30)


class Browser:
    """A user who signs in and selects buttons."""

    def __init__(self, up: Up) -> None:
        self._address = up.address
        self._cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._cookies))

    def get(self, path: str) -> str:
        with self._opener.open(f"{self._address}{path}", timeout=60) as page:
            return str(page.read().decode())

    def post(self, path: str, page: str, **fields: str) -> str:
        token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(page))[0]
        form = urllib.parse.urlencode(fields | {"csrfmiddlewaretoken": token}).encode()
        with self._opener.open(f"{self._address}{path}", form, timeout=60) as answer:
            return str(answer.read().decode())

    def sign_in(self) -> str:
        return self.post("/sign-in/", "/sign-in/", username="admin", password=PASSWORD, next="/")


def delete_by_api(up: Up, name: str) -> int:
    credentials = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
    request = urllib.request.Request(
        f"{up.address}/api/v1/backups/{name}", headers={"Authorization": f"Basic {credentials}"}, method="DELETE"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return int(answer.status)


def test_prepare_reserves_space_if_there_is_enough(small: OnSmallDisk) -> None:
    assert small.reserve.stat().st_size == 4 * 2**20
    small.reserve.unlink()
    with (small.disk / "film.mkv").open("wb") as file:
        file.truncate(0)
        os.posix_fallocate(file.fileno(), 0, os.statvfs(small.disk).f_bavail * 4096 - 20 * 2**20)
    small.ok("prepare")
    assert not small.reserve.exists()
    (small.disk / "film.mkv").unlink()
    small.ok("prepare")
    assert small.reserve.stat().st_size == 4 * 2**20


def test_a_user_signs_in_and_deletes_backups_on_a_page_and_through_the_api(small: OnSmallDisk, up: Up) -> None:
    first, second, third = small.backups()
    small.fill()
    browser = Browser(up)
    assert "Sign out" in browser.sign_in()
    browser.post("/backups/delete/", f"/backups/delete/?name={first}", name=first)
    assert small.backups() == [second, third]
    assert delete_by_api(up, second) == 200
    assert small.backups() == [third]
    assert up.log.count("reserve.released") == 1
    assert "Traceback" not in up.log


@pytest.mark.long
def test_started_on_a_full_disk_it_does_the_same(small: OnSmallDisk) -> None:
    first, second, third = small.backups()
    small.fill()
    up = start_up(small, free_port())
    try:
        wait_until(up.answers, "it answers", seconds=60)
        browser = Browser(up)
        browser.sign_in()
        browser.post("/backups/delete/", f"/backups/delete/?name={first}", name=first)
        assert small.backups() == [second, third]
    finally:
        os.killpg(up.process.pid, signal.SIGTERM)
        up.process.wait(timeout=30)


def test_a_command_deletes_a_backup_and_records_it(small: OnSmallDisk) -> None:
    first, second, third = small.backups()
    small.fill()
    done = small.run("backup", "delete", first, "--yes")
    assert (done.returncode, done.stdout) == (0, f"Deleted {first}\n")
    assert "could not be recorded in the history" not in done.stderr
    assert small.backups() == [second, third]


@pytest.mark.long
def test_without_reserved_space_a_command_still_deletes_it(small: OnSmallDisk) -> None:
    first, second, third = small.backups()
    small.reserve.unlink()
    small.fill()
    done = small.run("backup", "delete", first, "--yes")
    assert (done.returncode, done.stdout) == (0, f"Deleted {first}\n"), done.stderr
    assert small.backups() == [second, third]
    assert json.loads(small.ok("backup", "list", "--json"))["broken"] == []


@pytest.mark.long
def test_space_is_reserved_again_when_there_is_enough(small: OnSmallDisk, up: Up) -> None:
    small.fill()
    Browser(up).get("/sign-in/")
    assert not small.reserve.exists()
    (small.disk / "film.mkv").unlink()
    wait_until(small.reserve.exists, "the worker makes it again", seconds=90)
