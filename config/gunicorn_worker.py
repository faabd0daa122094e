"""Web server worker processes that slow clients cannot block: a connection takes a thread when its request is complete.

With 40 slow connections of each kind (`tests/test_slow_clients.py`), other clients wait 0.005 s at most, and over 15 s with
gunicorn's gthread or waitress. Half a body keeps a thread of granian or cheroot, and bodies fill the memory of hypercorn or bjoern.
"""

from __future__ import annotations

import errno
import re
import selectors
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

SMALL_BODY_BYTES = 2**16
"""Bodies up to this size, which is nearly all of them, are received before their request gets a thread."""

HEAD_BYTES = 2**16
_READ_BYTES = 2**16
_HEAD_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect:", re.IGNORECASE)
_CLOSE_SECONDS = 2


class Incoming:
    """The received part of a request. gunicorn parses it when it is ready."""

    def __init__(self, received: bytes) -> None:
        self.received = bytearray()
        self._searched = 0
        self._needed: int | None = None
        self.is_partial = False
        """Whether more of the body follows after the request is ready."""
        self.add(received)

    def add(self, received: bytes) -> None:
        """Append received bytes. Empty lines before a request are dropped (RFC 9112, 2.2)."""
        self.received += received if self.received else received.lstrip(b"\r\n")

    def is_ready(self) -> bool:
        """Return whether the head is complete, and also the body if it is small and sent without `Expect`."""
        if self._needed is None:
            end = self.received.find(b"\r\n\r\n", max(0, self._searched - 3))
            self._searched = len(self.received)
            if end < 0:
                return False
            body_bytes, self.is_partial = _measure_body(bytes(self.received[: end + 2]))
            self._needed = end + 4 + body_bytes
        return len(self.received) >= self._needed

    def has_head(self) -> bool:
        return self._needed is not None

    def is_too_large(self) -> bool:
        return self._needed is None and len(self.received) > HEAD_BYTES


def _measure_body(head: bytes) -> tuple[int, bool]:
    """Return how many bytes of the body to wait for, and whether more follow."""
    length = _LENGTH.search(head)
    if length is None:
        return 0, _CHUNKED.search(head) is not None
    if int(length[1]) > SMALL_BODY_BYTES or _EXPECT.search(head):
        return 0, True
    return int(length[1]), False


class Worker(ThreadWorker):  # type: ignore[misc]  # it has no types
    """gunicorn's threads, with the poller receiving requests and closing connections.

    gunicorn's own worker receives the head in a thread without a time limit, and waits up to 2 s for each client to close a
    connection, in the one thread that accepts connections.
    """

    request_seconds = 20
    """How long to wait for the rest of a request: the head, and a small body."""
    silence_seconds = 60
    """How long a thread waits for a client that neither sends nor reads anything."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._closing: deque[Any] = deque()
        self._receiving: set[Any] = set()
        self._queued: deque[Any] = deque()

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection. At the limit, close the one that has waited longest."""
        super().accept(listener)
        if self.nr_conns >= self.worker_connections:
            waiting = self.keepalived_conns or self.pending_conns
            if waiting:
                self._close(waiting[0], waiting)

    def enqueue_req(self, conn: Any) -> None:
        """Give the connection a thread when its request is ready. gunicorn calls this for connections that may have one."""
        conn.init()
        _limit_silence(conn.sock, self.silence_seconds)
        incoming = Incoming(conn.parser.unreader.take_buffered())
        if incoming.is_ready():
            self._start(conn, incoming)
        else:
            self._watch(conn, self.pending_conns, self.request_seconds, partial(self._read_more, conn, incoming))

    def _read_more(self, conn: Any, incoming: Incoming, sock: socket.socket) -> None:
        received = _read(sock)
        if received is None:
            return
        incoming.add(received)
        if not received and not incoming.has_head():
            self._close(conn, self.pending_conns)
        elif not received or incoming.is_ready():  # Django refuses an incomplete body
            self._unwatch(conn, self.pending_conns)
            self._start(conn, incoming)
        elif incoming.is_too_large():
            self._unwatch(conn, self.pending_conns)
            sock.send(_HEAD_TOO_LARGE)
            self._close_gracefully(conn)

    def _start(self, conn: Any, incoming: Incoming) -> None:
        """Start a request. Large bodies get at most three quarters of the threads."""
        conn.parser.unreader.unread(bytes(incoming.received))
        if not incoming.is_partial:
            super().enqueue_req(conn)
        elif len(self._receiving) < self.cfg.threads * 3 // 4:
            self._receive(conn)
        else:
            conn.timeout = time.monotonic() + self.silence_seconds
            self._queued.append(conn)

    def _receive(self, conn: Any) -> None:
        self._receiving.add(conn)
        super().enqueue_req(conn)

    def handle_request(self, req: Any, conn: Any) -> Any:
        try:
            return super().handle_request(req, conn)
        except BlockingIOError as silent:
            raise ConnectionResetError(errno.ECONNRESET, "The client is silent.") from silent

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        """Keep the connection for the next request, or close it without waiting for the client."""
        if conn in self._receiving:
            self._receiving.remove(conn)
            if self._queued:
                self._receive(self._queued.popleft())
        if fs.cancelled() or fs.exception() or fs.result():
            super().finish_request(conn, fs)
        else:
            self._close_gracefully(conn)

    def _close_gracefully(self, conn: Any) -> None:
        """Close our end now, and the connection when the client has closed its end. Otherwise the response might be lost."""
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.nr_conns -= 1
            conn.close()
            return
        self._watch(conn, self._closing, _CLOSE_SECONDS, partial(self._discard, conn))

    def _discard(self, conn: Any, sock: socket.socket) -> None:
        if _read(sock) == b"":
            self._close(conn, self._closing)

    def murder_pending(self) -> None:
        """Close connections that have waited too long. gunicorn calls this once a second."""
        now = time.monotonic()
        for waiting in (self.pending_conns, self._closing):
            while waiting and waiting[0].timeout <= now:
                self._close(waiting[0], waiting)
        while self._queued and self._queued[0].timeout <= now:
            self.nr_conns -= 1
            self._queued.popleft().close()

    def _cap_keepalive(self, deadline: float) -> None:
        """During a stop, wait for the rest of a request no longer than for the next request."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def _watch(self, conn: Any, waiting: deque[Any], seconds: float, then: Callable[[Any], None]) -> None:
        conn.sock.setblocking(False)  # noqa: FBT003
        conn.timeout = time.monotonic() + seconds
        waiting.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, then)

    def _unwatch(self, conn: Any, waiting: deque[Any]) -> None:
        self.poller.unregister(conn.sock)
        waiting.remove(conn)

    def _close(self, conn: Any, waiting: deque[Any]) -> None:
        self._unwatch(conn, waiting)
        self.nr_conns -= 1
        conn.close()


def _limit_silence(sock: socket.socket, seconds: int) -> None:
    """Limit each wait for the client. Python's own timeout would limit the whole response."""
    limit = struct.pack("ll", seconds, 0)
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        sock.setsockopt(socket.SOL_SOCKET, option, limit)


def _read(sock: socket.socket) -> bytes | None:
    """Return received bytes, b"" at the end of the connection, or None if there are none yet."""
    try:
        return sock.recv(_READ_BYTES)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        return b""
