"""Names that look the same but differ: tvarr compares names exactly, and people by their looks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection
from enum import StrEnum

from tvarr_backup.texts import HIDDEN

_SPACES = re.compile(r"([\s\u2800]+)")  # and a pattern of Braille without dots


class Difference(StrEnum):
    CASE = "letter case"
    SPACES = "spaces"
    HIDDEN = "invisible characters"
    FORM = "Unicode form"


def appearance_of(name: str) -> str:
    """Return a text that is equal for names that look the same; not for display."""
    if name.isascii() and name.isprintable():  # most are
        return " ".join(name.split()).casefold()
    return _apply(name, Difference)


def differences_between(one: str, other: str) -> list[Difference]:
    """Return the fewest differences that explain why two similar names differ."""
    found = list(Difference)
    for each in Difference:
        others = [difference for difference in found if difference is not each]
        if _apply(one, others) == _apply(other, others):
            found = others
    return found


def _without_differences_of_space(name: str) -> str:
    return _SPACES.sub(" ", name).strip()


def _without_hidden(name: str) -> str:
    return HIDDEN.sub(lambda found: found[0] if found[0].isspace() else "", name)


def _in_one_form(name: str) -> str:
    """Apply NFKC, but not to spaces, which it would make equal too."""
    return "".join(
        part if _SPACES.fullmatch(part) else unicodedata.normalize("NFKC", part) for part in _SPACES.split(name)
    )


_STEPS: dict[Difference, Callable[[str], str]] = {
    Difference.HIDDEN: _without_hidden,
    Difference.FORM: _in_one_form,
    Difference.CASE: str.casefold,
    Difference.SPACES: _without_differences_of_space,
}


def _apply(name: str, differences: Collection[Difference]) -> str:
    for difference, step in _STEPS.items():
        if difference in differences:
            name = step(name)
    return name
