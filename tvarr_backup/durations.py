"""Durations as text, such as `30d`, `12h` or `1w2d`."""

import re
from datetime import timedelta

from tvarr_backup.quoting import quoted

_DURATION = re.compile(
    r"(?:(?P<weeks>[0-9]{1,4})w)?(?:(?P<days>[0-9]{1,5})d)?(?:(?P<hours>[0-9]{1,6})h)?", re.ASCII | re.IGNORECASE
)
ALLOWED_DURATIONS = 'a duration such as "30d", "12h" or "1w2d"'
"""Completes "Expected ..."."""
_LONGEST = timedelta(weeks=9999)


def parse_duration(text: str) -> timedelta:
    """Return a duration from one hour to 9999 weeks: weeks, days and hours, in this order. Raise `ValueError`."""
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError(f"Expected {ALLOWED_DURATIONS}, got {quoted(text)}.")
    duration = timedelta(**{unit: int(number) for unit, number in match.groupdict().items() if number})
    if not timedelta(0) < duration <= _LONGEST:
        raise ValueError(f"Expected a duration from 1h to 9999w, got {quoted(text)}.")
    return duration


def format_duration(duration: timedelta) -> str:
    """Return a duration of whole hours as text that `parse_duration` reads, such as `1d12h`."""
    days, hours = duration.days, duration.seconds // 3600
    return (f"{days}d" if days else "") + (f"{hours}h" if hours else "")
