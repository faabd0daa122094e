"""A web server in tests that records what it receives and answers what a test says."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """`pieces` are sent one after another, without a length, instead of `body`."""

    status: int = 200
    body: bytes = b"ok"
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Iterable[bytes] | None = None


class WebReceiver:
    def __init__(self, answer: Callable[[Received], Reply], context: ssl.SSLContext | None, host: str) -> None:
        self.received: list[Received] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(2**16)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                received = Received(self.command, self.path, dict(self.headers), body)
                receiver.received.append(received)
                self._send(answer(received))

            def _send(self, reply: Reply) -> None:
                self.send_response(reply.status)
                length = {} if reply.pieces else {"Content-Length": str(len(reply.body))}
                for name, value in (length | dict(reply.headers)).items():
                    self.send_header(name, value)
                self.end_headers()
                with suppress(OSError):  # the sender has given up
                    for piece in reply.pieces or (reply.body,):
                        self.wfile.write(piece)
                self.close_connection = True

            def log_message(self, *_parts: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

            def handle_error(self, *_parts: Any) -> None:
                pass

            def finish_request(self, request: Any, client_address: Any) -> None:
                if context is None:
                    super().finish_request(request, client_address)
                    return
                with context.wrap_socket(request, server_side=True) as secure:
                    super().finish_request(secure, client_address)

        self.server = Server((host, 0), Handler)
        self.port: int = self.server.server_address[1]
        place = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if context else 'http'}://{place}:{self.port}"


@contextmanager
def running_receiver(
    answer: Callable[[Received], Reply] = lambda _received: Reply(),
    *,
    context: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
) -> Iterator[WebReceiver]:
    receiver = WebReceiver(answer, context, host)
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        thread.join()
        receiver.server.server_close()
