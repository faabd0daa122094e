"""Ranges for values in files from elsewhere. Values outside could break pages or databases, and count as unknown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""Earlier values, such as Go's zero time, mean that there is no time."""
LATEST = datetime(2999, 12, 31, tzinfo=UTC)
MOST = 2**53 - 1
"""The largest whole number that every JSON parser keeps exactly."""
_MORE = "…"


def known_moment(moment: datetime) -> datetime | None:
    """Return a time as aware UTC, or None if it is out of range. A time without an offset counts as UTC."""
    try:
        utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:  # in UTC it would be before the year 1 or after 9999
        return None
    return utc if EARLIEST <= utc <= LATEST else None


def known_file_time(seconds: float) -> datetime | None:
    """Return the time of a file, given in seconds since 1970, or None if it is out of range."""
    try:
        return known_moment(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds))
    except (OverflowError, ValueError):
        return None


def known_number(number: int) -> int | None:
    """Return a count or size, or None if it is out of range."""
    return number if 0 <= number <= MOST else None


def known_text(text: str, most: int) -> str:
    """Return a text that databases can store, without NUL and cut to `most` characters."""
    if len(text) <= most and "\0" not in text:
        return text
    return (text if len(text) <= most else text[: most - 1] + _MORE).replace("\0", "\N{REPLACEMENT CHARACTER}")


def known_texts(texts: Sequence[str], most_texts: int, most: int) -> tuple[str, ...]:
    """Return the first texts, each cut, and a sentence with the number of the others."""
    known = tuple(known_text(text, most) for text in texts[:most_texts])
    more = len(texts) - most_texts
    return (*known, f"And {more:,} more.") if more > 0 else known
