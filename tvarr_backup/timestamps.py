"""Reading and writing of tvarr's times, which are text with an offset."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tvarr_backup.ranges import known_moment

_GO_LONG_FORM = re.compile(r"(.+ [+-]\d{4}) [A-Z+-][A-Za-z0-9+-]*( m=[+-][\d.]+)?")


def read_timestamp(text: object) -> datetime | None:
    """Return a time as aware UTC, cut to microseconds; None for other text and times out of range.

    tvarr writes an offset or none (UTC), up to nine digits, `T` or a space, `Z`, minutes or a date only, and Go's long form.
    """
    if not isinstance(text, str):
        return None
    long_form = _GO_LONG_FORM.fullmatch(text)
    plain = long_form[1].replace(" +", "+").replace(" -", "-") if long_form else text
    try:
        return known_moment(datetime.fromisoformat(plain))
    except ValueError:
        return None


def write_timestamp(moment: datetime) -> str:
    """Return a time as tvarr writes it, in UTC, without trailing zeros in the fraction."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    text = utc.isoformat(" ")  # strftime would write the year of Go's zero time as "1" instead of "0001"
    return f"{text.rstrip('0') if utc.microsecond else text}+00:00"
