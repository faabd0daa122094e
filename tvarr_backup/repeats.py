"""Failures that last, such as a full disk, are logged when they begin and then once a minute, not for every request."""

from __future__ import annotations

import time

_SECONDS_BETWEEN = 60.0


class Repeats:
    def __init__(self) -> None:
        self._logged_at: dict[str, float] = {}

    def is_due(self, sentence: str) -> bool:
        """Return whether to log a sentence now: it is new, or a minute has passed."""
        now = time.monotonic()
        self._logged_at = {one: at for one, at in self._logged_at.items() if now - at < _SECONDS_BETWEEN}
        if sentence in self._logged_at:
            return False
        self._logged_at[sentence] = now
        return True
