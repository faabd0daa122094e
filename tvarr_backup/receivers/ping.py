"""Pings to monitors such as Healthchecks and Uptime Kuma, which raise the alarm when no ping comes."""

from __future__ import annotations

import re
from enum import StrEnum
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from tvarr_backup.errors import ReceiverFailed
from tvarr_backup.quoting import cut, quoted
from tvarr_backup.receivers.addresses import check_ping_url
from tvarr_backup.receivers.web_requests import WebAnswer, request
from tvarr_backup.texts import escape_hidden

TIMEOUT_SECONDS = 30.0
"""A slow monitor has this long to answer. It delays no backup, because the process that sends alerts calls it."""
MOST_OF_REASON = 2_000
_MOST_OF_REASON_IN_URL = 250
_KUMA = re.compile(r"/api/push/[^/]+/?$")


class PingKind(StrEnum):
    """What a ping says about an automatic backup. A test says nothing about any, where the monitor has a signal for tests."""

    START = "start"
    SUCCESS = "success"
    FAILURE = "failure"
    TEST = "test"


def ping(url: str, kind: PingKind, reason: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> str:
    """Call the address of a monitor and return its answer in one line.

    `reason` is a sentence such as "Backup succeeded." Uptime Kuma has no signal for a start, so nothing is sent, and "" is
    returned. It has none for a test either, so a test counts as a success there. Raises `ReceiverFailed`, and `ReceiverInvalid` if the address is not valid. Neither contains the address, which is a
    secret. A ping may be repeated after a failure.
    """
    check_ping_url(url)
    split = urlsplit(url)._replace(fragment="")
    reason = cut(escape_hidden(reason, keep="\n"), MOST_OF_REASON)
    if not _KUMA.search(split.path):
        return _ping_healthchecks(split, kind, reason, timeout_seconds)
    if kind is PingKind.START:
        return ""
    return _ping_kuma(split, kind, reason, timeout_seconds)


_ENDINGS = {PingKind.START: "/start", PingKind.SUCCESS: "", PingKind.FAILURE: "/fail", PingKind.TEST: "/log"}


def _ping_healthchecks(split: SplitResult, kind: PingKind, reason: str, seconds: float) -> str:
    """Post the reason (https://healthchecks.io/docs/http_api/)."""
    address = split._replace(path=split.path.rstrip("/") + _ENDINGS[kind]).geturl()
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    answer = request("POST", address, body=reason.encode(), headers=headers, timeout_seconds=seconds)
    return _require_known(split, answer)


def _require_known(split: SplitResult, answer: WebAnswer) -> str:
    """Healthchecks answers "OK (not found)" or "OK (rate limited)", with status 200, to pings that it ignores."""
    if answer.body.startswith(b"OK ("):
        raise ReceiverFailed(
            "{host} ignored the ping: {answer:clause}. Check the address.",
            status=answer.status,
            answer=answer.line,
            host=quoted(split.hostname),
        )
    return answer.line


def _ping_kuma(split: SplitResult, kind: PingKind, reason: str, seconds: float) -> str:
    """Call the push address (`server/routers/api-router.js` of Uptime Kuma)."""
    status = "down" if kind is PingKind.FAILURE else "up"
    own = {"status": status, "msg": cut(" ".join(reason.split()), _MOST_OF_REASON_IN_URL), "ping": ""}
    others = {name: value for name, value in parse_qsl(split.query, keep_blank_values=True) if name not in own}
    address = split._replace(query=urlencode(others | own)).geturl()
    return request("GET", address, timeout_seconds=seconds).line
