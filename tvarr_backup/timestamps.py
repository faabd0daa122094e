"""Points in time as tvarr stores them: text with an offset."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_GO_LONG_FORM = re.compile(r"(.+ [+-]\d{4}) [A-Z+-][A-Za-z0-9+-]*( m=[+-][\d.]+)?")


def read_timestamp(text: object) -> datetime | None:
    """Aware UTC from one of tvarr's textual forms; `None` for NULL and for what is none of them."""
    if not isinstance(text, str):
        return None
    long_form = _GO_LONG_FORM.fullmatch(text)
    plain = long_form[1].replace(" +", "+").replace(" -", "-") if long_form else text
    try:
        moment = datetime.fromisoformat(plain)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # the last: in UTC it would lie before the year 1 or after 9999
        return None


def write_timestamp(moment: datetime) -> str:
    """tvarr's form in UTC: no trailing zeros in the fraction, and none at all where it is zero."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    text = utc.isoformat(" ")  # not strftime, which writes the year 1 of Go's zero time as “1”
    return f"{text.rstrip('0') if utc.microsecond else text}+00:00"
