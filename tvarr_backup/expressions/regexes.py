"""Checking of regular expressions with RE2. Without the package google-re2, none is checked.

RE2 can take tens of milliseconds for a short pattern, so patterns within `limited_regexes` share one second.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from tvarr_backup.expressions.problems import printable
from tvarr_backup.expressions.tree import Always, Comparison, Condition, Connective, Group, Operator

try:
    import re2
except ModuleNotFoundError:  # optional; without it there are no warnings about regular expressions
    re2 = None

_MAX_MEMORY_BYTES = 1024 * 1024
_SECONDS = 1.0
_NO_MATCH = -1
_UNKNOWN = 10**18
_GROUP = re.compile(r"\$([0-9]{1,18})")

GroupCounts = frozenset[int]


class Outcome(Enum):
    UNCHECKED = "unchecked"


@dataclass
class _Budget:
    seconds: float = _SECONDS


_budget: ContextVar[_Budget | None] = ContextVar("regexes", default=None)


@contextmanager
def limited_regexes() -> Iterator[None]:
    """Limit all regular expressions together to one second of processor time, or to what an outer limit has left."""
    if _budget.get() is not None:
        yield
        return
    token = _budget.set(_Budget())
    try:
        yield
    finally:
        _budget.reset(token)


def find_refusal(pattern: str) -> str | Literal[Outcome.UNCHECKED] | None:
    """Return RE2's message if it rejects a pattern; None if it accepts it, or the pattern is too large to check."""
    reason = _compile(pattern)
    return None if isinstance(reason, int) else reason


def unreachable_groups(text: str, counts: GroupCounts) -> list[str]:
    """Return the references to groups (`$1`) in a text that no match can fill, by the condition's `group_counts`."""
    most = max(counts, default=_NO_MATCH)
    return [found[0] for found in _GROUP.finditer(text) if int(found[1]) > most]


def group_counts(condition: Condition) -> GroupCounts:
    """Return how many groups there can be when the condition matches; -1 for no regular expression.

    tvarr keeps those of one: in an AND of the last member that has any, in an OR of the first that matches.
    """
    match condition:
        case Comparison(operator=Operator.MATCHES, value=value):
            compiled = _compile(value.text)
            return frozenset({compiled if isinstance(compiled, int) else _UNKNOWN})
        case Group(connective=Connective.OR, members=members):
            return frozenset().union(*map(group_counts, members))
        case Group(members=members):
            return _last_counts(members)
        case Comparison() | Always():
            return frozenset({_NO_MATCH})


def _last_counts(members: tuple[Condition, ...]) -> GroupCounts:
    counts: GroupCounts = frozenset({_NO_MATCH})
    for member in members:
        latest = group_counts(member)
        counts = latest | counts if _NO_MATCH in latest else latest
    return counts


def _compile(pattern: str) -> int | str | Literal[Outcome.UNCHECKED] | None:
    """Return the number of groups, RE2's message if it rejects the pattern, or None if that is unknown."""
    if re2 is None:
        return None
    budget = _budget.get() or _Budget()
    if budget.seconds <= 0:
        return Outcome.UNCHECKED
    began = time.thread_time()
    try:
        compiled = compile_with_re2(pattern, _MAX_MEMORY_BYTES)
        return compiled if compiled is None or isinstance(compiled, str) else int(compiled.groups)
    finally:
        budget.seconds -= time.thread_time() - began


def compile_with_re2(pattern: str, memory_bytes: int) -> Any | str | None:
    """Return RE2's object, its message if it rejects the pattern, or None if the pattern needs more memory."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = memory_bytes
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0]
        reason = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        # RE2 gives Python no error codes, so its message is read, and only here.
        return None if "too large" in reason else printable(reason)
