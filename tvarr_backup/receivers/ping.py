"""Pings to monitors such as Healthchecks and Uptime Kuma, which raise the alarm when no ping comes."""

from __future__ import annotations

from enum import StrEnum

TIMEOUT_SECONDS = 10.0


class PingKind(StrEnum):
    """What a ping says about an automatic backup."""

    START = "start"
    SUCCESS = "success"
    FAILURE = "failure"


def check_ping_url(url: str) -> str:
    """Return the address as it can be displayed, without its path. Raises `ReceiverInvalid`."""
    raise NotImplementedError


def ping(url: str, kind: PingKind, reason: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> str:
    """Call the address of a monitor and return its answer in one line.

    `reason` is a sentence such as "Backup succeeded." Raises `ReceiverFailed`, without the address, which is a secret.
    """
    raise NotImplementedError
