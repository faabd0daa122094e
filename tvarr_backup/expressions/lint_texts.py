"""Warnings about what happens to the characters of an expression before their meaning is looked at."""

import re
from collections.abc import Iterator
from itertools import zip_longest

from lark import Token

from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.parse import Parsed
from tvarr_backup.expressions.problems import printable
from tvarr_backup.expressions.reading import Reading
from tvarr_backup.expressions.warned import Warned, WarningCode

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_KNOWN_ESCAPES = "ntr\\\"'"


def warn_about_texts(parsed: Parsed, domain: Domain) -> Iterator[Warned]:
    """One warning of each kind per quoted text, at the first place that is concerned."""
    for token in parsed.tokens:
        if token.type == "STRING":
            yield from _dropped_backslash(token, parsed.reading)
            yield from _rewritten_text(token, parsed.reading, domain)


def _dropped_backslash(token: Token, reading: Reading) -> Iterator[Warned]:
    for escape in _ESCAPE.finditer(token):
        if escape[1] not in _KNOWN_ESCAPES:
            shown = printable(escape[1])
            message = f"tvarr drops the backslash and reads {shown}; write \\\\{shown} to keep it."
            column = reading.column((token.start_pos or 0) + escape.start())
            yield Warned(WarningCode.DROPPED_BACKSLASH, column, message)
            return


def _rewritten_text(token: Token, reading: Reading, domain: Domain) -> Iterator[Warned]:
    start, end = token.start_pos or 0, token.end_pos or 0
    first = reading.origins[start]
    written = reading.written[first : reading.origins[end - 1] + 1]
    if token == written:
        return
    pairs = enumerate(zip_longest(token, written))
    same = next(index for index, (read, meant) in pairs if read != meant)
    consequence = ""
    if domain.is_filter and token.lower() == written.lower():
        consequence = ", which changes nothing as long as the filter ignores case"
    message = f"tvarr rewrites this text before it looks at quotes, and reads {printable(token)}{consequence}."
    yield Warned(WarningCode.REWRITTEN_TEXT, first + same + 1, message)


def warn_about_moved_not(parsed: Parsed) -> Iterator[Warned]:
    """Where a leading `not` went into parentheses that hold more than one condition."""
    moved = parsed.reading.moved_not
    if moved is None or not _opens_with_compound_group(parsed.tokens):
        return
    message = "tvarr moves this not into the parentheses, where it covers the first condition only."
    yield Warned(WarningCode.MOVED_NOT, moved + 1, message)


def _opens_with_compound_group(tokens: tuple[Token, ...]) -> bool:
    depth = 0
    for token in tokens:
        depth += {"_LPAR": 1, "_RPAR": -1}.get(token.type, 0)
        if depth == 0:
            return False
        if token.type in {"_AND", "_OR"}:
            return True
    return False
