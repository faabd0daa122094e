"""Free names for items whose own name is taken."""

import re
from collections.abc import Container

_NUMBERED = re.compile(r"(?P<stem>.*\S) \((?P<number>[0-9]{1,9})\)", re.ASCII | re.DOTALL)


def free_name(name: str, taken: Container[str], limit: int) -> str:
    """The first of `Name (1)`, `Name (2)`, ... that is not taken; `Name (4)` goes on with `Name (5)`.

    The stem is cut where the whole would be longer than `limit` characters.
    """
    numbered = _NUMBERED.fullmatch(name)
    stem, number = (numbered["stem"], int(numbered["number"])) if numbered else (name, 0)
    while True:
        number += 1
        ending = f" ({number})"
        candidate = stem[: limit - len(ending)].rstrip() + ending
        if candidate not in taken:
            return candidate


def retired_name(name: str, row_id: str, limit: int) -> str:
    """What a row that is marked as deleted is called when its name is needed."""
    ending = f" (deleted {row_id})"
    return name[: limit - len(ending)].rstrip() + ending
