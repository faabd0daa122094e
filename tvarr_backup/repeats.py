"""Log a lasting failure, such as a full disk, once a minute instead of for every request."""

from __future__ import annotations

import time

_SECONDS_BETWEEN = 60.0


class Repeats:
    def __init__(self) -> None:
        self._logged_at: dict[str, float] = {}

    def is_due(self, sentence: str) -> bool:
        """Return whether to log the sentence now. It is not due within a minute of the last time."""
        now = time.monotonic()
        self._logged_at = {text: at for text, at in self._logged_at.items() if now - at < _SECONDS_BETWEEN}
        if sentence in self._logged_at:
            return False
        self._logged_at[sentence] = now
        return True
