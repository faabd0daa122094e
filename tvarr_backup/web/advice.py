"""What a page offers to do about a failure: its advice as buttons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from django.urls import reverse

from tvarr_backup.sentences import Advice


class Button(NamedTuple):
    """A link that looks like a button."""

    label: str
    address: str


_PAGES = {
    Advice.FREE_SPACE: ("Choose backups to delete", "home"),
    Advice.IMPORT: ("Import it", "import"),
    Advice.RESTORE: ("Choose a backup to restore", "home"),
    Advice.BRING_BACK: ("Choose a backup to restore", "home"),
}


def buttons_for(advice: Iterable[Advice]) -> list[Button]:
    """Return a button for each advice that a page can follow."""
    return [Button(label, reverse(name)) for label, name in (_PAGES[one] for one in advice if one in _PAGES)]
