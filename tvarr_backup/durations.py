"""Durations as text: `30d`, `12h`, `1w2d`."""

import re
from datetime import timedelta

from tvarr_backup.quoting import cut

_DURATION = re.compile(
    r"(?:(?P<weeks>[0-9]{1,4})w)?(?:(?P<days>[0-9]{1,5})d)?(?:(?P<hours>[0-9]{1,6})h)?", re.ASCII | re.IGNORECASE
)
ALLOWED_DURATIONS = "whole weeks, days and hours in this order and each at most once, such as 30d, 12h or 1w2d"
_LONGEST = timedelta(weeks=9999)


def parse_duration(text: str) -> timedelta:
    """Return a duration from one hour to 9999 weeks. Raise `ValueError`."""
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError(f"{cut(text)!r} is no duration; allowed are {ALLOWED_DURATIONS}.")
    duration = timedelta(**{unit: int(number) for unit, number in match.groupdict().items() if number})
    if not timedelta(0) < duration <= _LONGEST:
        raise ValueError(f"{cut(text)!r} is too {'long' if duration else 'short'}; allowed are 1h to 9999w.")
    return duration


def format_duration(duration: timedelta) -> str:
    """Return whole hours in days and hours, for `parse_duration`: `30d`, `1d12h`."""
    days, hours = duration.days, duration.seconds // 3600
    return (f"{days}d" if days else "") + (f"{hours}h" if hours else "")
