"""`up`: prepare, then serve, in a real process on a real port."""

from __future__ import annotations

import http.cookiejar
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.installation import ROOT, Installation


def free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def start(installation: Installation, port: int, log: Path) -> subprocess.Popen[bytes]:
    """Start `up`; what it prints goes to `log`."""
    installation.environment["TVARR_SERVER_PORT"] = str(port)
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "up"],
            env=installation.variables(),
            cwd=installation.data.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("it does not listen: " + log.read_text())


def wait_for_workers(process: subprocess.Popen[bytes], log: Path) -> list[psutil.Process]:
    """Both of gunicorn's workers, once they run."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        children = psutil.Process(process.pid).children(recursive=True)
        if len(children) == 2 and log.read_text().count("Booting worker") == 2:
            return children
        time.sleep(0.05)
    pytest.fail("there are no two workers: " + log.read_text())


@pytest.fixture
def served(installation: Installation, tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes], Path]]:
    """The address of a running service, its process and its log."""
    port, log = free_port(), tmp_path / "up.log"
    process = start(installation, port, log)
    try:
        wait_until_it_listens(process, port, log)
        yield f"http://127.0.0.1:{port}", process, log
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_a_person_signs_in_with_the_printed_password(served: tuple[str, subprocess.Popen[bytes], Path]) -> None:
    address, _process, log = served
    password = re.findall(r"One-time password: (\S+)", log.read_text())[0]
    cookies = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
    with browser.open(f"{address}/", timeout=10) as page:
        assert "/admin/login/" in page.url
        assert "default-src 'self'" in page.headers["Content-Security-Policy"]
        token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.read().decode())[0]
    form = {"username": "admin", "password": password, "csrfmiddlewaretoken": token, "next": "/admin/"}
    with browser.open(f"{address}/admin/login/", urllib.parse.urlencode(form).encode(), timeout=10) as page:
        text = page.read().decode()
    assert page.url == f"{address}/admin/"
    assert "Encoding profiles" in text


def test_its_style_sheets_are_served(served: tuple[str, subprocess.Popen[bytes], Path]) -> None:
    address, _process, _log = served
    for name in ("css/admin.css", "admin/css/base.css"):
        with urllib.request.urlopen(f"{address}/static/{name}", timeout=10) as answer:
            assert (answer.status, answer.headers.get_content_type()) == (200, "text/css")


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told_and_leaves_nothing_behind(
    served: tuple[str, subprocess.Popen[bytes], Path], signal_number: int
) -> None:
    _address, process, log = served
    children = wait_for_workers(process, log)
    process.send_signal(signal_number)
    assert process.wait(timeout=15) == 0
    assert psutil.wait_procs(children, timeout=5)[1] == []


def test_a_port_that_is_taken_ends_it_in_words(installation: Installation, tmp_path: Path) -> None:
    installation.prepared()
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        log = tmp_path / "up.log"
        process = start(installation, taken.getsockname()[1], log)
        assert process.wait(timeout=60) != 0
    assert "Address already in use" in log.read_text() or "Connection in use" in log.read_text()


def test_a_foreign_database_ends_it_before_it_listens(installation: Installation, tmp_path: Path) -> None:
    foreign = tmp_path / "notes.txt"
    foreign.write_text("not a database " * 100)
    installation.environment["TVARR_DATABASE_DSN"] = str(foreign)
    log = tmp_path / "up.log"
    process = start(installation, free_port(), log)
    assert process.wait(timeout=30) == 1
    assert log.read_text() == f"CommandError: TVARR_DATABASE_DSN: {foreign} is not an SQLite database.\n"
