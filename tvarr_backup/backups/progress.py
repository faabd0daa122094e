"""What a caller is told while a backup is made, checked, adopted or cleaned up."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Phase(StrEnum):
    """The steps that take time, by the word that a person is shown."""

    COPY = "copy"
    RECEIVE = "receive"
    UNPACK = "unpack"
    PACK = "pack"
    CHECK = "check"
    PUBLISH = "publish"
    PRUNE = "prune"
    SAFETY = "safety copy"
    REPLACE = "replace"


Progress = Callable[[Phase, int, int], None]
"""Told the phase, bytes (or backups) done and in all, several times a second, always in the caller's thread.

It may raise to cancel: then what was begun is undone, nothing of it is left, and its exception goes on to the caller.
"""


def no_progress(_phase: Phase, _done: int, _total: int) -> None:
    """For callers who need not be told."""
