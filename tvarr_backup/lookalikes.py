"""Comparison of names that look the same. tvarr compares names exactly."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection
from enum import StrEnum

from tvarr_backup.texts import HIDDEN

_SPACES = re.compile(r"([\s\u2800]+)")  # U+2800 is an empty Braille pattern


class NameDifference(StrEnum):
    """In what two names can differ and still look the same."""

    CASE = "letter case"
    SPACES = "spaces"
    HIDDEN = "invisible characters"
    FORM = "Unicode form"


def normalize_appearance(name: str) -> str:
    """Return a key that is equal for names that look the same. It is not for display."""
    if name.isascii() and name.isprintable():  # the fast way for most names
        return " ".join(name.split()).casefold()
    return _normalize(name, NameDifference)


def find_differences(one: str, other: str) -> list[NameDifference]:
    """Return the fewest differences that explain why two similar names are not equal."""
    found = list(NameDifference)
    for each in NameDifference:
        others = [difference for difference in found if difference is not each]
        if _normalize(one, others) == _normalize(other, others):
            found = others
    return found


def _normalize_spaces(name: str) -> str:
    return _SPACES.sub(" ", name).strip()


def _remove_hidden(name: str) -> str:
    return HIDDEN.sub(lambda found: found[0] if found[0].isspace() else "", name)


def _normalize_form(name: str) -> str:
    """Apply NFKC, but not to spaces, which are another difference."""
    return "".join(
        part if _SPACES.fullmatch(part) else unicodedata.normalize("NFKC", part) for part in _SPACES.split(name)
    )


_NORMALIZERS: dict[NameDifference, Callable[[str], str]] = {
    NameDifference.HIDDEN: _remove_hidden,
    NameDifference.FORM: _normalize_form,
    NameDifference.CASE: str.casefold,
    NameDifference.SPACES: _normalize_spaces,
}


def _normalize(name: str, differences: Collection[NameDifference]) -> str:
    for difference, normalize in _NORMALIZERS.items():
        if difference in differences:
            name = normalize(name)
    return name
