"""Regular expressions as tvarr's engine runs them, with RE2 and the few differences between RE2 and Go."""

import re
import time
from collections.abc import Callable
from typing import Any

import re2

from tvarr_backup.errors import ExpressionTooLarge
from tvarr_backup.expressions.failures import EvaluationFailed, FailureCode
from tvarr_backup.expressions.limits import Budget
from tvarr_backup.expressions.regexes import compile_with_re2
from tvarr_backup.expressions.values import shown

Captures = tuple[str, ...]
"""The whole match, then each group; a group that took no part is empty."""

_MEMORY_STEPS = (128 * 2**10, 2**20)
_MOST_LEVELS = 1000
_PARTS = re.compile(
    r"""
      \\Q .*? (?: \\E | \Z )
    | (?P<escape> \\ . )
    | \[ \^? \]? (?: \\. | \[:\^?\w+:\] | [^\]\\] )* \]
    | \( \? P? < (?P<name> [^>=!]* ) >
    | (?P<open> \( (?! \? ) )
    | (?P<close> \) )
    """,
    re.VERBOSE | re.DOTALL,
)


class Pattern:
    """A compiled pattern. A pattern that Go refuses fails when it is used, as in tvarr.

    `weight` is 1 for an ordinary pattern and grows with the number of RE2's instructions.
    """

    def __init__(self, text: str, budget: Budget, *, ignore_case: bool) -> None:
        """Compile a pattern. Raise `ExpressionTooLarge` if the budget is used up."""
        self._regexp = None if _go_refuses(text) else _compile(f"(?i){text}" if ignore_case else text, budget)
        self.weight = 1 + (self._regexp.programsize if self._regexp else 0) // 100
        self._find = _bad_pattern if self._regexp is None else _finder(self._regexp)

    def is_in(self, text: str) -> bool:
        """Return whether the pattern is found anywhere in a text. Raise `EvaluationFailed` for a bad pattern."""
        try:
            seen = text.encode()
        except UnicodeEncodeError:
            seen = shown(text).encode()
        return self._find(seen) is not None

    def captures(self, text: str) -> Captures | None:
        """Return the first match, with the bytes of the text as they are. Raise `EvaluationFailed` for a bad pattern."""
        if self._regexp is None:
            raise EvaluationFailed(FailureCode.BAD_REGEX)
        match = self._regexp.search(shown(text))
        if match is None:
            return None
        spans = (match.span(group) for group in range(self._regexp.groups + 1))
        return tuple(text[start:end] if start >= 0 else "" for start, end in spans)


def _bad_pattern(_text: bytes) -> None:
    raise EvaluationFailed(FailureCode.BAD_REGEX)


def _finder(regexp: Any) -> Callable[[bytes], object]:
    """Return a function that returns None if a text does not contain the pattern.

    A set of one pattern takes half the time of `search`, which also finds where the match is. RE2 does not make a set that
    has too little memory to work.
    """
    try:
        patterns = re2.Set.SearchSet(regexp.options)
        patterns.Add(regexp.pattern)
        patterns.Compile()
    except re2.error:
        search: Callable[[bytes], object] = regexp.search
        return search
    find: Callable[[bytes], object] = patterns.Match
    return find


def _compile(pattern: str, budget: Budget) -> Any | None:
    """Return RE2's object, or None if it refuses the pattern. Most patterns need the first and smallest step of memory."""
    for memory_bytes in _MEMORY_STEPS:
        if budget.seconds <= 0 or memory_bytes > budget.memory_bytes:
            break
        began = time.thread_time()
        compiled = compile_with_re2(pattern, memory_bytes)
        budget.seconds -= time.thread_time() - began
        if isinstance(compiled, str):
            return None
        if compiled is not None:
            budget.memory_bytes -= memory_bytes
            return compiled
    raise ExpressionTooLarge


def _go_refuses(pattern: str) -> bool:
    r"""Return whether Go refuses what RE2 accepts: `\C`, names of groups that are not ASCII, and very deep nesting."""
    depth = 0
    for part in _PARTS.finditer(pattern):
        if part["escape"] == "\\C" or not (part["name"] or "").isascii():
            return True
        depth += (part["open"] or part["name"]) is not None
        depth -= part["close"] is not None
        if depth > _MOST_LEVELS:
            return True
    return False
