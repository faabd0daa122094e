"""Requests as Django reads them: addresses without the base path, text as UTF-8, and chunked bodies with a length."""

from __future__ import annotations

import io
from typing import IO, Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from gunicorn.http.errors import ParseException


class Utf8Request(WSGIRequest):
    """Reads addresses and forms as UTF-8. Django would use any codec that the request names."""

    @property
    def encoding(self) -> None:
        return None

    @encoding.setter
    def encoding(self, value: str | None) -> None:
        """Ignore the charset of the request."""


class Handler(WSGIHandler):
    request_class = Utf8Request

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        environ["PATH_INFO"] = remove_base_path(environ.get("PATH_INFO", ""))
        if "HTTP_TRANSFER_ENCODING" in environ:
            measure_body(environ)
        return super().__call__(environ, start_response)


def remove_base_path(path: str) -> str:
    """Return the path without the base path. Some proxies remove it, others keep it, and health checks do not know it."""
    base: str = settings.BASE_PATH
    return path.removeprefix(base) if path == base or path.startswith(f"{base}/") else path


def measure_body(environ: dict[str, Any]) -> None:
    """Read a chunked body of at most the size of a form, so that it has a length. Leave a longer one to uploads.

    Django itself takes a chunked body for an empty one.
    """
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    body = _Chunks(environ["wsgi.input"])
    try:
        start = body.read(most + 1)
        length = len(start)
    except BlockingIOError:  # the client is silent
        raise
    except OSError:  # what is shorter than its length is refused as incomplete
        start, length = b"", 1
    if length > most:
        body.start = start
        environ["wsgi.input"] = body
        return
    del environ["HTTP_TRANSFER_ENCODING"]
    environ |= {"CONTENT_LENGTH": str(length), "wsgi.input": io.BytesIO(start)}


class _Chunks(io.RawIOBase):
    """A chunked body, of which `start` has been read. Invalid chunks raise `OSError`, as an early end does."""

    start = b""

    def __init__(self, body: IO[bytes]) -> None:
        self._body = body

    def read(self, size: int = -1) -> bytes:
        data, self.start = self.start[:size], self.start[size:]
        try:
            return data or self._body.read(size)
        except ParseException as problem:
            raise OSError(str(problem)) from problem
