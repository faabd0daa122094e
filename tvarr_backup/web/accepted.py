"""The boxes beneath the SQL of the code in a file from elsewhere (`web/_code.html`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

_PREFIX = "accept_code_"


def accepted_in(fields: Mapping[str, str]) -> Collection[str]:
    """Return the identities of the code that a form accepts; it is exactly what its user has seen."""
    return sorted(name.removeprefix(_PREFIX) for name, value in fields.items() if name.startswith(_PREFIX) and value)
