"""Points in time as tvarr stores them: text with an offset."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tvarr_backup.ranges import known_moment

_GO_LONG_FORM = re.compile(r"(.+ [+-]\d{4}) [A-Z+-][A-Za-z0-9+-]*( m=[+-][\d.]+)?")


def read_timestamp(text: object) -> datetime | None:
    """Aware UTC from one of tvarr's textual forms; `None` for NULL, for what is none of them, and for what is out of range."""
    if not isinstance(text, str):
        return None
    long_form = _GO_LONG_FORM.fullmatch(text)
    plain = long_form[1].replace(" +", "+").replace(" -", "-") if long_form else text
    try:
        return known_moment(datetime.fromisoformat(plain))
    except ValueError:
        return None


def write_timestamp(moment: datetime) -> str:
    """tvarr's form in UTC: no trailing zeros in the fraction, and none at all where it is zero."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    text = utc.isoformat(" ")  # not strftime, which writes the year 1 of Go's zero time as “1”
    return f"{text.rstrip('0') if utc.microsecond else text}+00:00"
