"""The connection that a long request runs over."""

from __future__ import annotations

from django.http import HttpRequest

SILENCE_SECONDS = 60


def limit_silence(request: HttpRequest) -> None:
    """Let a peer that sends nothing, or takes nothing, for so long count as gone: `OSError` from then on.

    The web server waits for ever. It sets its own limits again when it waits for the next request. Of other servers than
    gunicorn nothing is known here.
    """
    connection = request.META.get("gunicorn.socket")
    if connection is not None:
        connection.settimeout(SILENCE_SECONDS)
