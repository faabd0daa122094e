"""HTTP requests to the addresses that an administrator entered, and to no others.

Only the standard library is used. A request connects to an address that was checked, follows redirects on the same server only,
and does not use a proxy, which would hide where it goes.
"""

from __future__ import annotations

import base64
import http.client
import io
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from tvarr_backup.errors import ReceiverDenied, ReceiverFailed, ReceiverRedirected
from tvarr_backup.quoting import quoted
from tvarr_backup.receivers.connections import (
    Deadline,
    TimedReader,
    connect,
    find_addresses,
    leave_out_forbidden,
    raise_connection_lost,
    secure,
)
from tvarr_backup.receivers.redaction import find_secrets, hide_secrets

_MOST_OF_BODY = 2**16
_MOST_REDIRECTS = 3
_REDIRECTS = {301, 302, 303, 307, 308}
_REPEATING = {307, 308}
"""Redirects that keep method and body (RFC 9110, 15.4)."""
_REFUSED_FOREVER = {400, 405, 410, 413, 415, 422}
"""The receiver rejects this message. Others, such as 404 while a service is down behind its proxy, may go away."""
_DENIED = {401, 403, 407}
_UNRESERVED = "%/:=&?~#+!$,;'@()*[]"


@dataclass(frozen=True)
class WebAnswer:
    """An answer with a status of 200 to 299. `line` has the status and the first part of the body, without secrets."""

    status: int
    line: str
    body: bytes


def request(
    method: str, url: str, *, timeout_seconds: float, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> WebAnswer:
    """Send a request. Raises `ReceiverFailed` for every other answer. `url` must have been checked with `describe_url`."""
    deadline = Deadline(timeout_seconds)
    for _redirect in range(_MOST_REDIRECTS):
        response = _exchange(_Request(method, urlsplit(url), body, headers or {}), deadline)
        if response.status not in _REDIRECTS:
            return _judge(url, response)
        url = _follow(method, url, response)
    raise ReceiverRedirected("{host} redirects in a circle. Check the address.", host=quoted(_origin(urlsplit(url))))


@dataclass(frozen=True)
class _Request:
    method: str
    split: SplitResult
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class _Response:
    status: int
    reason: str
    location: str
    is_html: bool
    body: bytes


def _exchange(asked: _Request, deadline: Deadline) -> _Response:
    host, port = asked.split.hostname or "", _port(asked.split)
    sock: socket.socket = connect(host, port, leave_out_forbidden(host, find_addresses(host, port)), deadline)
    try:
        if asked.split.scheme == "https":
            sock = secure(sock, host, port, deadline)
        return _talk(asked, _TimedSocket(sock, deadline))
    except OSError as problem:
        raise_connection_lost(host, port, problem, deadline)
    except http.client.HTTPException:  # its text may repeat the request
        raise ReceiverFailed(
            "{host} on port {port} did not answer as a web server. Check the address.", host=quoted(host), port=port
        ) from None
    finally:
        sock.close()


def _talk(asked: _Request, sock: _TimedSocket) -> _Response:
    connection = http.client.HTTPConnection(asked.split.hostname or "")
    connection.sock = sock
    headers = {**_standard_headers(asked.split), **asked.headers}
    connection.request(asked.method, _path(asked.split), asked.body or None, headers)
    with connection.getresponse() as response:
        return _Response(
            response.status,
            response.reason,
            response.headers.get("Location", ""),
            response.headers.get_content_type() == "text/html",
            response.read(_MOST_OF_BODY),
        )


class _TimedSocket:
    """What `http.client` needs of a socket."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock, self._deadline = sock, deadline

    def sendall(self, data: Any) -> None:
        self._sock.settimeout(self._deadline.remaining())
        self._sock.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(TimedReader(self._sock, self._deadline))

    def close(self) -> None:
        """Leave the socket to its owner."""


def _standard_headers(split: SplitResult) -> dict[str, str]:
    host = split.netloc.rpartition("@")[2]
    found = {"Host": host, "User-Agent": "tvarr-backup", "Accept-Encoding": "identity", "Connection": "close"}
    if split.username is not None:
        credentials = f"{unquote(split.username)}:{unquote(split.password or '')}"
        found["Authorization"] = f"Basic {base64.b64encode(credentials.encode()).decode()}"
    return found


def _path(split: SplitResult) -> str:
    query = f"?{split.query}" if split.query else ""
    return quote((split.path or "/") + query, safe=_UNRESERVED)


def _judge(url: str, response: _Response) -> WebAnswer:
    host, secrets = quoted(_origin(urlsplit(url))), find_secrets(url)
    body = "" if response.is_html else response.body.decode("utf-8", "replace")
    text = f"{response.status} {response.reason}".strip() + (f": {body}" if body.strip() else "")
    answer = hide_secrets(text, secrets)
    if 200 <= response.status < 300:
        return WebAnswer(response.status, answer, response.body)
    if response.status in _DENIED:
        raise ReceiverDenied(
            "{host} refused the request: {answer:clause}. Check the address and its password or token.",
            status=response.status,
            answer=answer,
            host=host,
        )
    raise ReceiverFailed(
        "{host} did not accept the request: {answer:clause}.",
        is_permanent=response.status in _REFUSED_FOREVER,
        status=response.status,
        answer=answer,
        host=host,
    )


def _follow(method: str, url: str, response: _Response) -> str:
    """Return where a redirect leads, if it is on the same server and repeats the request."""
    asked = urlsplit(url)
    try:
        target = urljoin(url, response.location)
        found = _origin(urlsplit(target))
    except ValueError:
        target, found = "", "an invalid address"
    if found != _origin(asked):
        raise ReceiverRedirected(
            "{host} redirects to {target}. Nothing was sent there. If that is the right server, enter its address.",
            status=response.status,
            host=quoted(_origin(asked)),
            target=quoted(hide_secrets(found, find_secrets(url))),
        )
    if method != "GET" and response.status not in _REPEATING:
        raise ReceiverRedirected(
            "{host} redirects to another path with status {status}. Enter the address that it redirects to.",
            status=response.status,
            host=quoted(_origin(asked)),
        )
    credentials, at, _host = asked.netloc.rpartition("@")
    new = urlsplit(target)
    return new._replace(netloc=f"{credentials}{at}{new.netloc.rpartition('@')[2]}", fragment="").geturl()


def _port(split: SplitResult) -> int:
    return split.port or {"http": 80, "https": 443}[split.scheme]


def _origin(split: SplitResult) -> str:
    host = f"[{split.hostname}]" if ":" in (split.hostname or "") else split.hostname
    standard = {"http": 80, "https": 443}.get(split.scheme)
    port = "" if split.port in {None, standard} else f":{split.port}"
    return f"{split.scheme}://{host}{port}"
