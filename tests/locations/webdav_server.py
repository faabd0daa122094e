"""WebDAV servers in tests: wsgidav with a temporary folder, and one that answers what a test says."""

import json
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.locations.sshd import find_free_port, wait_for_port
from tvarr_backup.locations.addresses import Address, LocationKind, read_address

USER, PASSWORD = "operator", "s3cret-word"
_PROGRAM = Path(__file__).with_name("webdav_program.py")
_PYTHON = Path(__file__).parents[2] / ".venv-servers/bin/python"


class SignIn(StrEnum):
    NONE = "none"
    BASIC = "basic"
    DIGEST = "digest"


class WebDAV:
    """`folder` is the root of the address."""

    def __init__(self, base: Path, sign_in: SignIn) -> None:
        self.folder = base / "backups"
        self.folder.mkdir()
        self.port = find_free_port()
        self._base, self._sign_in = base, sign_in
        self._process: subprocess.Popen[bytes] | None = None
        self.heal()

    @property
    def address(self) -> Address:
        options = {"url": f"http://127.0.0.1:{self.port}/dav"}
        if self._sign_in is not SignIn.NONE:
            options |= {"user": USER, "password": PASSWORD}
        return read_address(LocationKind.WEBDAV, options)

    def heal(self) -> None:
        self.change()

    def change(
        self,
        *,
        space: int | None = None,
        most: int | None = None,
        ignore_range: bool = False,
        refuse: Mapping[str, str] | None = None,
    ) -> None:
        """Change what the server does.

        A PUT of more than `space` bytes is answered with 507, one of more than `most` bytes with 413. `refuse` has the answer
        to methods, such as "403 Forbidden" to PUT.
        """
        quirks = {"space": space, "most": most, "ignore_range": ignore_range, "refuse": dict(refuse or {})}
        new = self._base / "quirks.new"
        new.write_text(json.dumps(quirks))
        new.replace(self._base / "quirks.json")

    def make_read_only(self) -> None:
        self.change(refuse=dict.fromkeys(("PUT", "MKCOL", "MOVE", "DELETE"), "403 Forbidden"))

    def start(self) -> None:
        if not _PYTHON.exists():
            pytest.exit("The servers of the tests are not installed. Run `make servers`.")
        command = [str(_PYTHON), str(_PROGRAM), str(self.folder), str(self.port), str(self._base / "quirks.json")]
        with (self._base / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig=KILL", "--", *command, self._sign_in], stdout=log, stderr=log
            )
        wait_for_port(self.port, self._process, self._base / "log")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running_webdav(sign_in: SignIn = SignIn.BASIC) -> Iterator[WebDAV]:
    with tempfile.TemporaryDirectory(prefix="tvarr-backup-webdav-") as base:
        server = WebDAV(Path(base), sign_in)
        server.start()
        try:
            yield server
        finally:
            server.stop()


# --- Scripted answers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """`headers` have a Content-Length unless they say otherwise."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]


class Scripted:
    """A server that answers with what `answer` returns, and remembers what it was asked."""

    def __init__(self, answer: Callable[[Asked], Answer], context: ssl.SSLContext | None) -> None:
        self.asked: list[Asked] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked = Asked(self.command, self.path, dict(self.headers))
                outer.asked.append(asked)
                found = answer(asked)
                self.send_response(found.status)
                for name, value in {"Content-Length": str(len(found.body)), **found.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(found.body)

            def log_message(self, *_parts: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_parts: Any) -> None:
                pass

            def finish_request(self, request: Any, client_address: Any) -> None:
                if context is None:
                    super().finish_request(request, client_address)
                    return
                with context.wrap_socket(request, server_side=True) as secure:
                    super().finish_request(secure, client_address)

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self.server.server_address[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}/dav"

    @property
    def address(self) -> Address:
        return read_address(LocationKind.WEBDAV, {"url": self.url, "user": USER, "password": PASSWORD})


@contextmanager
def running_scripted(answer: Callable[[Asked], Answer], context: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    scripted = Scripted(answer, context)
    thread = threading.Thread(target=scripted.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield scripted
    finally:
        scripted.server.shutdown()
        thread.join()
        scripted.server.server_close()


def multistatus(*hrefs: str, size: int = 1) -> Answer:
    """A listing of `/dav/` with these members; those that end with "/" are folders."""
    responses = "".join(
        f"<d:response><d:href>{href}</d:href><d:propstat><d:prop>"
        + (
            "<d:resourcetype><d:collection/></d:resourcetype>"
            if href.endswith("/")
            else f"<d:resourcetype/><d:getcontentlength>{size}</d:getcontentlength>"
        )
        + "</d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
        for href in ("/dav/", *hrefs)
    )
    return Answer(207, f'<?xml version="1.0"?><d:multistatus xmlns:d="DAV:">{responses}</d:multistatus>'.encode())


@contextmanager
def silent_server() -> Iterator[int]:
    """Accepts connections and never answers. Yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]
