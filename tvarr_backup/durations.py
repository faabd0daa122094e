"""Durations as people write them: `30d`, `12h`, `1w2d`."""

import re
from datetime import timedelta

_DURATION = re.compile(
    r"(?:(?P<weeks>[0-9]{1,4})w)?(?:(?P<days>[0-9]{1,5})d)?(?:(?P<hours>[0-9]{1,6})h)?", re.ASCII | re.IGNORECASE
)
ALLOWED_DURATIONS = "whole weeks, days and hours in this order and each at most once, such as 30d, 12h or 1w2d"
_LONGEST = timedelta(weeks=9999)


def parse_duration(text: str) -> timedelta:
    """The duration that a text names, at least one hour and at most 9999 weeks; raises `ValueError` for every other."""
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError(f"{text!r} is no duration; allowed are {ALLOWED_DURATIONS}.")
    duration = timedelta(**{unit: int(number) for unit, number in match.groupdict().items() if number})
    if not timedelta(0) < duration <= _LONGEST:
        raise ValueError(f"{text!r} is too {'long' if duration else 'short'}; allowed are 1h to 9999w.")
    return duration


def format_duration(duration: timedelta) -> str:
    """A duration of whole hours as `parse_duration` reads it, in days and hours: `30d`, `1d12h`."""
    days, hours = duration.days, duration.seconds // 3600
    return (f"{days}d" if days else "") + (f"{hours}h" if hours else "")
