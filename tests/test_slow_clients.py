"""Forty connections that are idle, half-sent or slow delay nobody else: the whole service, over a real port."""

from __future__ import annotations

import shutil
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.backups.makers import with_ballast
from tests.installation import Installation
from tests.processes import wait_until
from tests.ups import Up, free_port, start_up

MANY = 40
PATIENCE_SECONDS = 5
"""Far more than it takes, and less than the server waits for any of the slow ones."""


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    prepared = Installation(tmp_path_factory.mktemp("slow") / "data").prepared()
    with_ballast(prepared.data / "tvarr.db", 20)
    prepared.ok("backup", "create")
    yield prepared
    shutil.rmtree(prepared.data)  # pytest keeps the folders of the last runs


@pytest.fixture(scope="module")
def up(installation: Installation) -> Iterator[Up]:
    running = start_up(installation, free_port())
    try:
        wait_until(running.is_complete, "it is complete", seconds=90)
        yield running
    finally:
        running.process.terminate()
        running.process.wait(timeout=30)


@pytest.fixture(scope="module")
def head(installation: Installation) -> str:
    """The lines that all have in common, with a key that may do everything and a mark of our pages."""
    token = installation.json("token", "create", "slow", "--user", "admin", "--json")["token"]
    cookie = f"{installation.cookie_name('CSRF_COOKIE_NAME')}={'t' * 32}"
    return f"Host: localhost\r\nX-Api-Key: {token}\r\nCookie: {cookie}\r\n"


def archive_in(installation: Installation) -> str:
    (archive,) = Path(installation.data / "backups").glob("*.db.gz")
    return archive.name


KINDS: dict[str, str] = {
    "idle": "",
    "half a head": "GET /sign-in/ HTTP/1.1\r\nHost: local",
    "idle after an answer": "GET /healthz HTTP/1.1\r\n{head}\r\n",
    "half a form": (
        "POST /sign-in/ HTTP/1.1\r\n{head}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 99\r\n\r\nus"
    ),
    "half a large form": (
        "POST /sign-in/ HTTP/1.1\r\n{head}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 99999\r\n\r\nus"
    ),
    "half a call": (
        'POST /api/v1/filters HTTP/1.1\r\n{head}Content-Type: application/json\r\nContent-Length: 99999\r\n\r\n{{"name": '
    ),
    "half an upload": (
        "POST /api/v1/backups/upload HTTP/1.1\r\n{head}Content-Type: multipart/form-data; boundary=x\r\n"
        'Content-Length: 99999999\r\n\r\n--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc'
    ),
    "an answer that is not taken": "GET /api/v1/backups/{archive}/download HTTP/1.1\r\n{head}\r\n",
    "an end that is not closed": "GET /sign-in/ HTTP/1.0\r\n{head}\r\n",
}


def connect(up: Up, begun: bytes) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(30)
    client.connect(("127.0.0.1", up.port))
    client.sendall(begun)
    return client


def seconds_of_a_page(up: Up) -> float:
    began = time.monotonic()
    with urllib.request.urlopen(f"{up.address}/sign-in/", timeout=60) as page:
        assert page.status == 200
        page.read()
    return time.monotonic() - began


@pytest.mark.parametrize("kind", KINDS)
def test_forty_slow_connections_delay_nobody(kind: str, up: Up, installation: Installation, head: str) -> None:
    begun = KINDS[kind].format(head=head, archive=archive_in(installation)).encode()
    with ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(closing(connect(up, begun)))
        time.sleep(1)  # they are all where they stop
        slowest = max(seconds_of_a_page(up) for _ in range(8))
    assert slowest < PATIENCE_SECONDS


def test_the_log_has_no_fault_of_ours(up: Up) -> None:
    assert "Traceback" not in up.log
