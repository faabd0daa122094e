"""tvarr's times: text with an offset."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tvarr_backup.ranges import known_moment

_GO_LONG_FORM = re.compile(r"(.+ [+-]\d{4}) [A-Z+-][A-Za-z0-9+-]*( m=[+-][\d.]+)?")


def read_timestamp(text: object) -> datetime | None:
    """Return a time in one of tvarr's forms as aware UTC; None for NULL, other text, and times out of range."""
    if not isinstance(text, str):
        return None
    long_form = _GO_LONG_FORM.fullmatch(text)
    plain = long_form[1].replace(" +", "+").replace(" -", "-") if long_form else text
    try:
        return known_moment(datetime.fromisoformat(plain))
    except ValueError:
        return None


def write_timestamp(moment: datetime) -> str:
    """Return a time in tvarr's form in UTC: no trailing zeros in the fraction, and no fraction of zero."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    text = utc.isoformat(" ")  # not strftime, which writes the year 1 of Go's zero time as “1”
    return f"{text.rstrip('0') if utc.microsecond else text}+00:00"
