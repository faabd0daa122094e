"""Quote and cut values for messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from tvarr_backup.texts import escape_hidden

MOST = 80
"""The maximum length of a value within a message."""
MOST_OF_MESSAGE = 1_000
MOST_OF_NAME = 300
"""Longer than any name that can be stored through forms, API or imports."""
MOST_OF_TEXT = 20_000
"""The maximum length of a value on its own, such as an expression in a comparison."""
_MORE = "…"


def cut(text: str, most: int = MOST) -> str:
    """Cut a text to at most `most` characters, with an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + _MORE


def cut_value(value: Any, most: int) -> Any:
    """Cut the texts in a JSON value."""
    if isinstance(value, str):
        return cut(value, most)
    return [cut_value(item, most) for item in value] if isinstance(value, list) else value


def quoted(value: object) -> str:
    """Return a value in quotation marks, on one line and cut."""
    return f'"{escape_hidden(cut(str(value)))}"'


def format_choices(values: Iterable[object]) -> str:
    """Return `"a", "b" or "c"`."""
    *most, last = [f'"{value}"' for value in values]
    return f"{', '.join(most)} or {last}" if most else last


def name_some(names: Sequence[object], most: int) -> str:
    named, others = ", ".join(map(str, names[:most])), len(names) - most
    return f"{named} and {others} more" if others > 0 else named


def format_value(value: object) -> str:
    """Return a JSON value for a message: texts quoted, numbers and literals as in JSON."""
    if isinstance(value, str):
        return quoted(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float, Decimal)):
        return _format_number(value)
    return "an object" if isinstance(value, dict) else "a list"


def _format_number(number: float | Decimal) -> str:
    try:
        return cut(str(number))
    except ValueError:  # more digits than Python writes
        return "a number with thousands of digits"
