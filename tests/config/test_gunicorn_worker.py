"""Slow, silent and fragmented connections to a real server with short timeouts."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from config.gunicorn_worker import HEAD_BYTES, SMALL_BODY_BYTES, Incoming
from tests.config.impatient import LARGE, Impatient
from tests.installation import ROOT
from tests.processes import wait_until
from tests.ups import free_port

HEAD = b"POST /form HTTP/1.1\r\nHost: localhost\r\n"
THREADS, CONNECTIONS = 4, 12


@dataclass
class Server:
    """A server with one process, few threads and few connections."""

    port: int
    log_path: Path
    process: subprocess.Popen[bytes]

    def connect(self, begun: bytes = b"") -> socket.socket:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect(("127.0.0.1", self.port))
        client.sendall(begun)
        return client

    def answers(self) -> bool:
        with closing(self.connect(b"GET /alive HTTP/1.0\r\n\r\n")) as client:
            return everything(client).endswith(b"GET /alive 0")


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    port, log_path = free_port(), folder / "log"
    command = [sys.executable, "-m", "gunicorn", "tests.config.impatient", "--bind", f"127.0.0.1:{port}"]
    command += ["--worker-class", "tests.config.impatient.Impatient", "--threads", str(THREADS), "--no-control-socket"]
    command += ["--worker-connections", str(CONNECTIONS), "--keep-alive", "30", "--graceful-timeout", "30"]
    with log_path.open("wb") as log, subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log) as process:
        try:
            wait_until(lambda: "Booting worker" in log_path.read_text(), "the web server")
            yield Server(port, log_path, process)
        finally:
            process.terminate()
    assert "Traceback" not in log_path.read_text()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("server")) as running:
        yield running


def everything(client: socket.socket) -> bytes:
    """Return everything until the server closes the connection."""
    received = b""
    while block := client.recv(2**16):
        received += block
    return received


@pytest.mark.parametrize("size", [1, 7, 50])
def test_a_request_can_arrive_in_pieces(server: Server, size: int) -> None:
    whole = b"\r\n" + HEAD + b"Content-Length: 5\r\nConnection: close\r\n\r\nhello"
    with closing(server.connect()) as client:
        for start in range(0, len(whole), size):
            client.sendall(whole[start : start + size])
            time.sleep(0.001)
        assert everything(client).endswith(b"POST /form 5")


@pytest.mark.parametrize("length", [SMALL_BODY_BYTES, SMALL_BODY_BYTES + 1, 5 * 2**20])
def test_a_body_of_any_size_is_received_completely(server: Server, length: int) -> None:
    with closing(server.connect(HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % length)) as client:
        client.sendall(bytes(length))
        assert everything(client).endswith(b"POST /form %d" % length)


def test_a_chunked_body_is_received_completely(server: Server) -> None:
    chunks = b"5\r\nhello\r\n0\r\n\r\n"
    with closing(server.connect(HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)) as client:
        assert everything(client).endswith(b"POST /form 5")


def test_expect_100_continue_is_answered(server: Server) -> None:
    head = HEAD + b"Connection: close\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    with closing(server.connect(head)) as client:
        assert client.recv(100).startswith(b"HTTP/1.1 100 Continue")
        client.sendall(b"hello")
        assert everything(client).endswith(b"POST /form 5")


def test_requests_can_be_pipelined(server: Server) -> None:
    asked = b"GET /one HTTP/1.1\r\nHost: x\r\n\r\nGET /two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with closing(server.connect(asked)) as client:
        answered = everything(client)
    assert answered.index(b"GET /one 0") < answered.index(b"GET /two 0")


SLOW = {
    "idle": b"",
    "half a head": HEAD,
    "half a small body": HEAD + b"Content-Length: 1000\r\n\r\nhalf",
    "half a large body": HEAD + b"Content-Length: 100000\r\n\r\nhalf",
    "half a chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\n100\r\nhalf",
    "an answer that is not taken": b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n",
}


def test_a_connection_that_stops_halfway_is_closed(tmp_path: Path) -> None:
    with serving(tmp_path) as server, ExitStack() as stack:
        clients = {kind: stack.enter_context(closing(server.connect(begun))) for kind, begun in SLOW.items()}
        time.sleep(6 * Impatient.silence_seconds + 2)  # each part of a block that is taken begins the limit again
        not_taken = clients.pop("an answer that is not taken")
        for client in clients.values():
            with suppress(ConnectionResetError):
                everything(client)
        # What a server has handed over before it closes may still arrive; its end may not, where nothing was taken.
        not_taken.settimeout(3)
        arrived = 0
        with suppress(ConnectionResetError, TimeoutError):
            while block := not_taken.recv(2**16):
                arrived += len(block)
        assert arrived < LARGE


@pytest.mark.parametrize("kind", ["idle", "half a head", "half a small body", "half a large body", "half a chunk"])
def test_many_slow_clients_leave_a_thread_for_others(server: Server, kind: str) -> None:
    with ExitStack() as stack:
        for _ in range(2 * THREADS):
            stack.enter_context(closing(server.connect(SLOW[kind])))
        began = time.monotonic()
        assert server.answers()
        assert time.monotonic() - began < 0.75 * Impatient.request_seconds


def test_too_many_connections_do_not_block_new_ones(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(3 * CONNECTIONS):
            stack.enter_context(closing(server.connect()))
        began = time.monotonic()
        assert server.answers()
        assert time.monotonic() - began < 0.75 * Impatient.request_seconds


def test_large_bodies_wait_for_each_other(server: Server) -> None:
    with ExitStack() as stack:
        begun = [stack.enter_context(closing(server.connect(SLOW["half a large body"]))) for _ in range(THREADS)]
        whole = HEAD + b"Connection: close\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000)
        last = stack.enter_context(closing(server.connect(whole)))
        for client in begun[:2]:
            client.close()
        assert everything(last).endswith(b"POST /form 100000")


def test_clients_that_do_not_close_their_end_block_nobody(server: Server) -> None:
    with ExitStack() as stack:
        for _ in range(THREADS):
            client = stack.enter_context(closing(server.connect(b"GET / HTTP/1.0\r\n\r\n")))
            assert everything(client)
        began = time.monotonic()
        assert server.answers()
        assert time.monotonic() - began < 1.5  # gunicorn's own worker waits 2 s for each


def test_a_head_without_an_end_is_refused(server: Server) -> None:
    with closing(server.connect(HEAD + b"X-Long: " + b"x" * HEAD_BYTES)) as client:
        assert everything(client).startswith(b"HTTP/1.1 431 ")


def test_an_invalid_request_is_refused(server: Server) -> None:
    with closing(server.connect(b"this is\r\n\r\n")) as client:
        assert everything(client).startswith(b"HTTP/1.1 400 ")


def test_a_stop_does_not_wait_for_slow_clients(tmp_path: Path) -> None:
    with serving(tmp_path) as server, ExitStack() as stack:
        for kind in ("idle", "half a head", "half a small body"):
            stack.enter_context(closing(server.connect(SLOW[kind])))
        assert server.answers()
        server.process.terminate()
        wait_until(lambda: "Worker exiting" in server.log_path.read_text(), "its end", seconds=15)


@pytest.mark.parametrize(
    ("received", "ready"),
    [
        (b"", False),
        (b"\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\n\r", False),
        (b"GET / HTTP/1.1\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", False),
        (b"POST / HTTP/1.1\r\ncontent-length:3\r\n\r\nabc", True),
        (b"POST / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nContent-Length: none\r\n\r\n", True),
        (b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", True),
    ],
)
def test_a_request_is_ready_when_it_can_be_read_without_waiting(received: bytes, ready: bool) -> None:
    assert Incoming(received).is_ready() is ready
    byte_by_byte = Incoming(b"")
    found = [byte_by_byte.is_ready() for byte in received if byte_by_byte.add(bytes([byte])) is None]  # type: ignore[func-returns-value]
    assert found[-1:] == [ready] if received else not found
