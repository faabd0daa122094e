"""Limits of an evaluation: memory and time of regular expressions, time of a whole run, and canceling."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tvarr_backup.errors import EvaluationTooSlow

CHECK_SECONDS = 0.1
"""A run asks this often whether it was canceled."""


class EvaluationCanceled(Exception):  # it is not an error
    """The user canceled a run and does not wait for an answer."""


@dataclass
class Budget:
    """Processor time and memory for the regular expressions of one or several programs."""

    seconds: float = 2.0
    memory_bytes: int = 64 * 2**20


@dataclass
class Limit:
    """Time of one run, and a function that says whether it was canceled. The clock starts with the object."""

    seconds: float = float("inf")
    is_canceled: Callable[[], bool] | None = None
    _began: float = field(default_factory=time.monotonic)
    _next_check: float = 0.0

    def check(self) -> None:
        """Raise `EvaluationTooSlow` or `EvaluationCanceled`. Cheap enough for each row."""
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + CHECK_SECONDS
        if now - self._began > self.seconds:
            raise EvaluationTooSlow(self.seconds)
        if self.is_canceled is not None and self.is_canceled():
            raise EvaluationCanceled
