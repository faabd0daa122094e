"""Free names for items whose own name is taken."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable

from tvarr_backup.portable.kinds import Identity

_NUMBERED = re.compile(r"(?P<stem>.*\S) \((?P<number>[0-9]{1,9})\)", re.ASCII | re.DOTALL)


def free_name(name: str, taken: Container[str], limit: int, *, after: int = 0) -> str:
    """Return the first of `Name (1)`, `Name (2)`, ... that is not taken; `Name (4)` continues with `Name (5)`.

    The stem is cut to keep within `limit` characters. Numbers up to `after` are not tried.
    """
    stem, number = _divided(name)
    number = max(number, after)
    while True:
        number += 1
        ending = f" ({number})"
        candidate = stem[: limit - len(ending)].rstrip() + ending
        if candidate not in taken:
            return candidate


def _divided(name: str) -> tuple[str, int]:
    numbered = _NUMBERED.fullmatch(name)
    return (numbered["stem"], int(numbered["number"])) if numbered else (name, 0)


class TakenNames:
    """Taken names, each within its source type."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._names: dict[str, set[str]] = defaultdict(set)
        self._tried: dict[Identity, int] = {}
        """How far the numbers after a name have been tried, so that many copies of one name take no longer each."""

    def __contains__(self, identity: Identity) -> bool:
        return identity.name in self._names[identity.source_type]

    def add(self, identity: Identity) -> None:
        self._names[identity.source_type].add(identity.name)

    def update(self, identities: Iterable[Identity]) -> None:
        for identity in identities:
            self.add(identity)

    def take_free(self, identity: Identity) -> str:
        """Take and return the first free numbered name of this source type."""
        taken = self._names[identity.source_type]
        name = free_name(identity.name, taken, self._limit, after=self._tried.get(identity, 0))
        self._tried[identity] = _divided(name)[1]
        taken.add(name)
        return name


def retired_name(name: str, row_id: str, limit: int) -> str:
    """Return a new name for a row marked as deleted whose name is needed."""
    ending = f" (deleted {row_id})"
    return name[: limit - len(ending)].rstrip() + ending
