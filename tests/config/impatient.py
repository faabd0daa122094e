"""A small application, and our worker class with short timeouts, for tests of the web server."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from config.gunicorn_worker import Worker

LARGE = 16 * 2**20


class Impatient(Worker):
    request_seconds = 4
    silence_seconds = 2


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer with the path and the size of the body; at `/large`, with more than the socket buffers hold."""
    if environ["PATH_INFO"] == "/large":
        start_response("200 OK", [("Content-Length", str(LARGE))])
        return (bytes(2**16) for _ in range(LARGE // 2**16))
    said = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']} {len(environ['wsgi.input'].read())}".encode()
    start_response("200 OK", [("Content-Length", str(len(said)))])
    return [said]
