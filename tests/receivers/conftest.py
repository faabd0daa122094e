"""Certificates and broken servers for tests of receivers."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.locations.certificates import Authority
from tests.locations.sshd import find_free_port
from tests.locations.webdav_server import silent_server

MakeContext = Callable[..., ssl.SSLContext]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def make_context(authority: Authority) -> MakeContext:
    """Returns the context of a server with a certificate for a host name, by default "127.0.0.1"."""

    def make(host: str = "127.0.0.1", age_days: int = 1) -> ssl.SSLContext:
        certificate = authority.certify(host, age_days=age_days)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.chain, certificate.key)
        return context

    return make


@pytest.fixture
def _trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine trusts the authority of the tests."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))


@pytest.fixture
def free_port() -> int:
    return find_free_port()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """The port of a server that accepts connections and never answers."""
    with silent_server() as port:
        yield port


def _serve_each(listener: socket.socket, talk: Callable[[socket.socket], None]) -> None:
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                talk(connection)


@contextmanager
def talking_server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does `talk` with one connection after another. Yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve_each, args=(listener, talk), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture
def trickling_port() -> Iterator[int]:
    """The port of a server that sends a byte of its answer every 10 ms, forever."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            connection.sendall(b"X")
            time.sleep(0.01)

    with talking_server(talk) as port:
        yield port


@pytest.fixture
def mail_banner_port() -> Iterator[int]:
    """The port of a server that greets as a mail server, and repeats what it reads."""

    def talk(connection: socket.socket) -> None:
        asked = connection.recv(2**16)
        connection.sendall(b"220 mail.example " + asked)

    with talking_server(talk) as port:
        yield port


@pytest.fixture
def closing_port() -> Iterator[int]:
    """The port of a server that closes each connection."""
    with talking_server(lambda _connection: None) as port:
        yield port


@pytest.fixture
def web_port() -> Iterator[int]:
    """The port of a server that speaks HTTP before it is asked."""
    with talking_server(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        yield port
