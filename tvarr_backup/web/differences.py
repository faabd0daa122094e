"""Marks the words in which two values differ."""

from __future__ import annotations

import difflib
import re
from typing import Any

from django.utils.html import escape
from django.utils.safestring import SafeString

from tvarr_backup.quoting import MOST_OF_TEXT, cut
from tvarr_backup.web.templatetags.formatting import item_value

_MOST_COMPARED = 600
_WORD = re.compile(r"\w+|\s+|[^\w\s]")


def mark_differences(before: Any, after: Any) -> tuple[str, str]:
    """Return two values of a member as HTML, with `del` and `ins` around what differs. Long texts are marked as a whole."""
    texts = [cut(item_value(value), MOST_OF_TEXT) for value in (before, after)]
    old, new = map(_WORD.findall, texts)
    if max(len(old), len(new)) > _MOST_COMPARED:
        return _wrap("del", texts[0]), _wrap("ins", texts[1])
    opcodes = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return (
        SafeString("".join(_wrap("del" if tag != "equal" else "", "".join(old[a:b])) for tag, a, b, _, _ in opcodes)),
        SafeString("".join(_wrap("ins" if tag != "equal" else "", "".join(new[a:b])) for tag, _, _, a, b in opcodes)),
    )


def _wrap(element: str, text: str) -> SafeString:
    return SafeString(f"<{element}>{escape(text)}</{element}>" if element and text else escape(text))
