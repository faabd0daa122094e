"""Actions of mapping and client detection rules."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from tvarr_backup.expressions.columns import dynamic_column, find_column
from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.failures import EvaluationFailed, FailureCode
from tvarr_backup.expressions.patterns import Captures
from tvarr_backup.expressions.rows import Texts, find_slot
from tvarr_backup.expressions.tree import (
    Action,
    ActionValue,
    Capture,
    DynamicValue,
    FieldValue,
    LegacyValue,
    Verb,
    Word,
)
from tvarr_backup.expressions.values import join, remove

NOW = "@time:now"
_HELPER = "@time:"
_GROUP = re.compile(r"\$([0-9]+)")
_LONGEST_INDEX = 18


@dataclass(frozen=True, slots=True)
class Assignment:
    """An assignment that was carried out: the target as written, and its new text."""

    target: str
    verb: Verb
    value: str


@dataclass(slots=True)
class _Run:
    """The state of one rule: the columns of the row, and what it has assigned, under exactly the names that it used.

    In mapping, other names of a column read what was assigned under its own name, but not the other way round.
    """

    domain: Domain
    texts: Texts
    captures: Captures | None
    now: Callable[[], datetime]
    assigned: dict[str, str]

    def read(self, name: str) -> str:
        if name in self.assigned:
            return self.assigned[name]
        column = find_column(name, self.domain)
        if column is None:
            return ""
        if self.domain.is_mapping and column in self.assigned:
            return self.assigned[column]
        return str(self.texts[find_slot(column, self.domain)])


def run_actions(
    actions: tuple[Action, ...],
    domain: Domain,
    texts: Texts,
    captures: Captures | None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> tuple[Assignment, ...]:
    """Return the assignments of a rule that has matched, in order. Raise `EvaluationFailed`, and then nothing counts."""
    run = _Run(domain, texts, captures, now, {})
    return tuple(_run(actions, run))


def _run(actions: tuple[Action, ...], run: _Run) -> Iterator[Assignment]:
    for action in actions:
        target = action.target.text
        current = run.read(target)
        if action.verb is Verb.SET_IF_EMPTY and current:
            continue
        new = _new_value(action, current, run)
        run.assigned[target] = new
        yield Assignment(target, action.verb, new)


def _new_value(action: Action, current: str, run: _Run) -> str:
    if action.value is None:
        return ""
    value = _resolve(action.value, run)
    match action.verb:
        case Verb.APPEND:
            return join(current, value)
        case Verb.REMOVE:
            return remove(current, value)
        case _:
            return value


def _resolve(value: ActionValue, run: _Run) -> str:
    match value:
        case Word(text=text):
            return _helped(_fill_in(text, run.captures), run)
        case Capture(index=index):
            return run.captures[index] if run.captures is not None and index < len(run.captures) else ""
        case FieldValue(name=name):
            return run.read(name)
        case DynamicValue(path=path, key=key):
            column = dynamic_column(path, key)
        case LegacyValue():
            column = None
    if run.domain is not Domain.CLIENT_DETECTION:
        raise EvaluationFailed(FailureCode.NO_REQUEST)
    return str(run.texts[find_slot(column, run.domain)])


def _fill_in(text: str, captures: Captures | None) -> str:
    """Replace `$1` with its capture. References without one stay."""
    if captures is None or "$" not in text:
        return text
    parts: list[str] = []
    end = 0
    for reference in _GROUP.finditer(text):
        digits = reference[1].lstrip("0") or "0"
        index = int(digits) if len(digits) <= _LONGEST_INDEX else len(captures)
        parts += (text[end : reference.start()], captures[index] if index < len(captures) else reference[0])
        end = reference.end()
    return join(*parts, text[end:])


def _helped(text: str, run: _Run) -> str:
    """Run the helper that a finished text calls. Other helpers than the time stay as they are for a later stage."""
    if not text.startswith(_HELPER):
        return text
    if text == NOW:
        return run.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    raise EvaluationFailed(FailureCode.TIME_HELPER)
