"""The wheel, as strangers use it: installed away from the checkout, started in a folder of their own."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import subprocess
import sys
import sysconfig
import tarfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backups.makers import query
from tests.installation import ROOT, Installation
from tests.processes import family, none_is_left, wait_until
from tests.ups import Up, free_port, start_up
from tvarr_backup import __version__

PASSWORD = "quay-lantern-52-gull"


def run(*command: str | Path, folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, folder=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (wheel,) = built.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def bin_folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of an environment with the wheel in it; libraries are those of the tests, the checkout is not in sight."""
    environment = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", environment, folder=environment)
    uv = Path(sys.executable).with_name("uv")
    run(uv, "pip", "install", "--no-deps", "--offline", "--python", environment, wheel, folder=environment)
    (packages,) = environment.glob("lib/python3*/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment / "bin"


@pytest.fixture
def installed(bin_folder: Path, tmp_path: Path) -> Installation:
    """In an empty folder."""
    return installation_of(bin_folder, tmp_path)


def installation_of(bin_folder: Path, folder: Path) -> Installation:
    environment = {"TVARR_STORAGE_BASE_DIR": "", "TVARR_ADMIN_PASSWORD": PASSWORD}
    return Installation(folder / "data", environment, program=(str(bin_folder / "tvarr-backup"),))


@contextlib.contextmanager
def serving(installation: Installation, port: int | None = None) -> Iterator[Up]:
    """A complete `up`; it ends with 0 when told to, and leaves nothing behind."""
    running = start_up(installation, port or free_port())
    try:
        wait_until(lambda: running.process.poll() is not None or running.is_complete(), "it is complete", seconds=60)
        assert running.process.poll() is None, running.log
        yield running
    finally:
        processes = family(running.process.pid)
        running.process.terminate()
        status = running.process.wait(timeout=30)
    assert status == 0, running.log
    none_is_left(processes)


def call(up: Up, method: str, path: str, body: Any = None) -> Any:
    """The JSON that the API answers to the administrator."""
    secret = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
    headers = {"Authorization": f"Basic {secret}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{up.address}/api/v1/{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def result_of(up: Up, accepted: Any) -> Any:
    """The result of the operation that a call began."""
    path = f"operations/{accepted['operation']['id']}"
    ended = wait_until(lambda: (now := call(up, "GET", path))["finished_at"] and now, "the operation ends")
    assert ended["state"] == "succeeded", ended
    return ended["result"]


def back_up_change_and_restore(up: Up, database: Path) -> None:
    result_of(up, call(up, "POST", "backups", {"note": "as a stranger"}))
    (backup,) = call(up, "GET", "backups")["backups"]
    change = {"name": "Harbour", "source_type": "stream", "expression": 'group_title == "Port"'}
    made = call(up, "POST", "filters", change)
    count = f"SELECT COUNT(*) FROM filters WHERE id = '{made['id']}'"
    assert query(database, count) == 1
    result_of(up, call(up, "POST", f"backups/{backup['filename']}/restore?confirm=true"))
    assert query(database, count) == 0


def in_git(*folders: str) -> set[str]:
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *folders],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {line for line in done.stdout.splitlines() if (ROOT / line).exists()}


def test_the_wheel_holds_all_that_runs_and_nothing_else(wheel: Path) -> None:
    bundled = {f"tvarr_backup/assets/{name}" for name in in_git("templates", "static", "docs")}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == in_git("config", "tvarr_backup") | bundled
    assert {"tvarr_backup/py.typed", "tvarr_backup/expressions/grammar.lark"} < held


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (about,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        text = archive.read(about).decode()
        assert any(name.endswith("/licenses/LICENSE") for name in archive.namelist())
    for line in (f"Version: {__version__}", "License-Expression: MIT", "Provides-Extra: postgres"):
        assert line in text.splitlines()


def test_the_source_archive_holds_no_tests_and_no_data(built: Path) -> None:
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        folders = {Path(name).parts[1] for name in archive.getnames()}
    assert {"config", "tvarr_backup", "templates", "static", "docs", "LICENSE"} < folders
    assert not folders & {"tests", "benchmarks", "data", ".venv"}


def test_help_names_the_program_and_its_commands(installed: Installation) -> None:
    words = installed.ok("--help")
    assert words.startswith("Usage: tvarr-backup COMMAND")
    assert installed.ok("--version") == f"tvarr-backup {__version__}\n"
    assert {"prepare", "up", "worker", "backup", "portable", "expression", "token"} <= set(words.split())
    assert "demo_data" not in words
    assert "usage: tvarr-backup backup " in installed.ok("backup", "--help")


def test_hints_name_the_program_that_is_installed(installed: Installation) -> None:
    assert "`tvarr-backup prepare` creates an empty one" in installed.refused("backup", "create")


def test_it_can_be_run_as_a_module(installed: Installation) -> None:
    installed.program = (str(Path(installed.program[0]).with_name("python")), "-m", "tvarr_backup")
    assert installed.ok("--help").startswith("Usage: tvarr-backup COMMAND")


def test_only_what_is_installed_is_used(installed: Installation) -> None:
    where = "import config, tvarr_backup; print(config.__path__, tvarr_backup.__path__)"
    assert str(ROOT) not in installed.ok("shell", "--no-imports", "--command", where)


def test_templates_and_static_files_are_found_where_they_are(
    installed: Installation, installation: Installation
) -> None:
    show = "from django.conf import settings; print(settings.TEMPLATES[0]['DIRS'][0], settings.STATICFILES_DIRS[0])"
    package = next(Path(installed.program[0]).parent.parent.glob("lib/python3*/site-packages/tvarr_backup"))
    for place, folder in ((installed, package / "assets"), (installation, ROOT)):
        assert place.ok("shell", "--no-imports", "--command", show).split() == [
            f"{folder}/templates",
            f"{folder}/static",
        ]


def test_it_serves_backs_up_and_restores_in_an_empty_folder(installed: Installation) -> None:
    with serving(installed) as up:
        with urllib.request.urlopen(f"{up.address}/sign-in/", timeout=10) as page:
            files = re.findall(r'(?:href|src)="(/static/[^"]+)"', page.read().decode())
        assert {Path(file).name for file in files} >= {"bootstrap.min.css", "app.css", "theme.js", "htmx-2.min.js"}
        for file in (*files, "/docs/", "/docs/guides/install", "/docs/screenshots/restore-wide.webp"):
            with urllib.request.urlopen(f"{up.address}{file}", timeout=10) as answer:
                assert answer.status == 200
        back_up_change_and_restore(up, installed.data / "tvarr.db")


def test_an_installation_that_cannot_be_written_serves_and_stays_as_it_is(installed: Installation) -> None:
    environment = Path(installed.program[0]).parent.parent
    before = {path: path.lstat().st_mode for path in environment.rglob("*") if not path.is_symlink()}
    moment = time.time_ns()
    installed.heeds_modes = True
    try:
        for path, mode in before.items():
            path.chmod(mode & ~0o222)
        with serving(installed) as up:
            assert up.answers()
        assert [path for path in environment.rglob("*") if path.lstat().st_mtime_ns > moment] == []
    finally:
        for path, mode in before.items():
            path.chmod(mode)


def test_nothing_in_the_working_directory_stands_in_for_a_module_of_ours(installed: Installation) -> None:
    for name in ("config", "tvarr_backup", "secrets", "gunicorn", "gunicorn.conf"):
        (installed.data.parent / f"{name}.py").write_text(f"raise SystemExit('{name}.py of a stranger was run')\n")
    with serving(installed) as up:
        assert up.answers()


@pytest.mark.long
def test_installed_from_the_lock_it_serves_backs_up_and_restores(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", environment, folder=tmp_path)
    pip = (environment / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
    run(*pip, "--require-hashes", "-r", ROOT / "requirements/run.txt", folder=tmp_path)
    run(*pip, wheel, folder=tmp_path)
    folder = tmp_path / "empty"
    folder.mkdir()
    stranger = installation_of(environment / "bin", folder)
    with serving(stranger) as up:
        back_up_change_and_restore(up, stranger.data / "tvarr.db")
