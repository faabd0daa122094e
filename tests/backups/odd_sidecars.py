"""Metadata files with any value that JSON allows."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

ODD_TIMES = (
    *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "0000-00-00T00:00:00Z", "1677-09-21T00:12:43Z"),
    *("1969-12-31T23:59:59Z", "9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59-14:00", "10000-01-01T00:00:00Z"),
    *("3000-01-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00", "+292277026596-12-04T15:30:08Z", ""),
)
_TIMES = (
    st.sampled_from(ODD_TIMES)
    | st.datetimes().map(lambda moment: moment.isoformat() + "Z")
    | st.tuples(st.datetimes(), st.sampled_from(["+14:00", "-12:00", "+00:00"])).map(
        lambda pair: pair[0].isoformat() + pair[1]
    )
)
_NUMBERS = st.integers() | st.sampled_from(
    [-1, 0, 2**31, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64, 10**400, 1e308, 0.5, float("inf"), float("nan")]
)
_TEXTS = st.text(max_size=40) | st.sampled_from(
    ["x" * 3_000, "\0", "\ud800", "\x1b[2J\r", "<script>", "\u202e", "tvarr 999", "tvarr-backup x"]
)
_ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS | _TIMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=6,
)
_LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "created_at": _TIMES,
    "protected_until": _TIMES | st.none(),
    "newest_row_at": _TIMES | st.none(),
    "seq": _NUMBERS,
    "database_size": _NUMBERS,
    "table_counts": st.dictionaries(_TEXTS, _NUMBERS, max_size=4),
    "note": _TEXTS,
    "tvarr_version": _TEXTS,
    "app_version": _TEXTS,
    "sqlite_version": _TEXTS,
    "schema": _TEXTS,
    "restored_from": _TEXTS,
    "protected": st.booleans(),
    "imported": st.booleans(),
    "kind": st.sampled_from(["manual", "scheduled", "pre_restore", "uploaded", "tvarr"]),
    "original_kind": st.none() | st.sampled_from(["manual", "uploaded"]),
    "created_at_source": st.sampled_from(["metadata", "name", "newest_row", "arrival"]),
    "wal_missing": st.booleans(),
    "accepted_code": st.lists(_TEXTS, max_size=3),
    "checked": st.none()
    | st.fixed_dictionaries(
        {
            "level": st.sampled_from(["quick", "full"]),
            "at": _TIMES,
            "problems": st.lists(_TEXTS, max_size=2),
            "warnings": st.lists(_TEXTS, max_size=2),
        }
    ),
    "format": st.just(1),
}


def odd_members(*, likely: bool) -> st.SearchStrategy[dict[str, Any]]:
    """Members to put over those of a good sidecar: of the type that belongs there, or of any."""
    if likely:
        return st.fixed_dictionaries({}, optional=_LIKELY)
    return st.dictionaries(st.sampled_from([*_LIKELY, "checksum", "x"]), _ANYTHING, max_size=3)


def as_bytes(sidecar: dict[str, Any]) -> bytes:
    """The file; half a character is written as its escape."""
    return json.dumps(sidecar).encode()
