"""gunicorn's log and error responses in our format."""

from __future__ import annotations

import json
import re
import socket
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.utils.log import configure_logging
from gunicorn import util
from gunicorn.glogging import Logger as GunicornLogger

_UNREADABLE = re.compile(r"(Invalid request from ip=\S+: [^'\"]*).*", re.DOTALL)
REFUSALS = {
    HTTPStatus.BAD_REQUEST: ("bad_request", "The request is not valid HTTP."),
    HTTPStatus.FORBIDDEN: ("permission_denied", "This proxy is not one of FORWARDED_ALLOW_IPS."),
    HTTPStatus.REQUEST_URI_TOO_LONG: ("uri_too_long", "The address is too long. Expected at most 4,094 bytes."),
    HTTPStatus.EXPECTATION_FAILED: ("expectation_failed", 'Expected "100-continue" or nothing in the header Expect.'),
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
        "headers_too_large",
        "The headers are too large. Expected at most 100, of at most 8,190 bytes each.",
    ),
    HTTPStatus.NOT_IMPLEMENTED: ("not_implemented", "This Transfer-Encoding is not supported. Send Content-Length."),
}
_FAILED = ("internal_error", "The server could not answer this request. Its log has the reason.")


class Logger(GunicornLogger):  # type: ignore[misc]  # it has no types
    """Used with `--logger-class`. There is no access log, because `config.requests` logs requests without secrets."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)

    def warning(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log only the reason for an invalid request: the rest may contain a token."""
        super().warning(_UNREADABLE.sub(r"\1...", msg), *args, **kwargs)

    def exception(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Leave out queries, which may contain a token."""
        super().exception(msg, *(str(arg).partition("?")[0] for arg in args), **kwargs)


def write_error(sock: socket.socket, status_int: int, _reason: str, _message: str) -> None:
    """Write an error response instead of gunicorn's page, which quotes the request."""
    from tvarr_backup.api.errors import CONTENT_TYPE, problem  # noqa: PLC0415  # needs Django, which only workers have

    code, sentence = REFUSALS.get(HTTPStatus(status_int), _FAILED)
    body = json.dumps(problem(status_int, code, sentence)).encode()
    head = [
        f"HTTP/1.1 {status_int} {HTTPStatus(status_int).phrase}",
        "Connection: close",
        f"Content-Type: {CONTENT_TYPE}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
    ]
    util.write_nonblock(sock, "\r\n".join([*head, "", ""]).encode() + body)
