"""Progress of backups, verifications, uploads, cleanups, restores and copies."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Phase(StrEnum):
    """The phases that take time."""

    COPY = "copy"
    RECEIVE = "receive"
    UNPACK = "unpack"
    PACK = "pack"
    CHECK = "check"
    PUBLISH = "publish"
    PRUNE = "prune"
    SAFETY = "safety copy"
    REPLACE = "replace"
    SEND = "send"
    COMPARE = "compare"


Progress = Callable[[Phase, int, int], None]
"""Called several times a second in the caller's thread, with the phase, and the bytes (or backups) done and in total.

It may raise to cancel: the operation is undone, and the exception reaches the caller.
"""


def no_progress(_phase: Phase, _done: int, _total: int) -> None:
    """Ignore progress."""
