"""Parts of pages that are rendered once for as long as all that they show is the same: the rows of long tables."""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache

from django.template.loader import render_to_string
from django.urls import get_script_prefix, reverse
from django.utils.safestring import SafeString

_REMEMBERED = 1000


@lru_cache(maxsize=_REMEMBERED)
def rendered(template: str, **shown: Hashable) -> SafeString:
    """The template with just these values, which are all that it depends on.

    A row takes a tenth of a millisecond, and the page of the backups has 25 of them.
    """
    return render_to_string(template, shown)


def address_of(name: str, what: str) -> str:
    """Of the page about one thing."""
    return _address(name, what, get_script_prefix())


@lru_cache(maxsize=_REMEMBERED)
def _address(name: str, what: str, _prefix: str) -> str:
    return reverse(name, args=[what])
