"""The choices of a user in the preview of an import."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from tvarr_backup.errors import AnswerInvalid
from tvarr_backup.portable.answers import Answers, Resolution, read_answers
from tvarr_backup.portable.envelope import Envelope, Item
from tvarr_backup.portable.steps import ItemState, Plan
from tvarr_backup.quoting import quoted

SKIP_ITEMS = "-"
"""The answer to a missing reference that skips the items with it."""
SKIP_INVALID = "skip-problems"
"""The choice for all invalid items at once."""
_MARK_LENGTH = 10


@dataclass(frozen=True)
class Choice:
    """The choice for one item: a resolution, or "" for the default. `name` is for a copy; None is the suggested one."""

    answer: str = ""
    name: str | None = None
    is_manual: bool = False

    def means(self, other: Choice) -> bool:
        return self.answer == other.answer and (self.answer != Resolution.RENAME or self.name == other.name)


@dataclass(frozen=True)
class Change:
    """One change of choices. `rows` are by position.

    `references` are by what is missing: `=Name` for what to use instead, `SKIP_ITEMS`, or "" for neither. `bulk` is a resolution
    for all items that differ, or `SKIP_INVALID`.
    """

    rows: Mapping[int, Choice] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    bulk: str = ""
    include_manual: bool = False


@dataclass(frozen=True)
class Choices:
    """All choices for one file. `changed` are items that changed since the preview and have no new choice."""

    rows: Mapping[int, Choice] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    changed: frozenset[int] = frozenset()

    def as_json(self) -> str:
        rows = {position: [choice.answer, choice.name, choice.is_manual] for position, choice in self.rows.items()}
        return json.dumps([rows, dict(self.references), sorted(self.changed)], separators=(",", ":"))

    def for_item(self, item: Item, member: str | None) -> Choice:
        """Return the item's own choice, else the one for what it refers to."""
        own = self.rows.get(item.position)
        if own is None and member and self.references.get(item.values[member]) == SKIP_ITEMS:
            return Choice(Resolution.SKIP)
        return own or Choice()

    def answers(self, envelope: Envelope) -> Answers:
        member = reference_member(envelope)
        resolutions, new_names = {}, {}
        for item in envelope.items:
            choice = self.for_item(item, member)
            if choice.answer:
                resolutions[f"#{item.position}"] = choice.answer
            if choice.answer == Resolution.RENAME and choice.name is not None:
                new_names[f"#{item.position}"] = choice.name
        references = {value: word[1:] for value, word in self.references.items() if word.startswith("=")}
        return read_answers(resolutions, None, new_names, references)

    def with_change(self, change: Change, envelope: Envelope, plan: Plan) -> Choices:
        """Apply a change that was made while this plan was shown. Raise `AnswerInvalid`."""
        member = reference_member(envelope)
        rows, changed = dict(self.rows), set(self.changed)
        for position, choice in change.rows.items():
            chosen = _checked(position, choice, plan)
            if not chosen.means(self.for_item(envelope.items[position - 1], member)):
                rows[position] = chosen
                changed.discard(position)
        for position in _in_bulk(change.bulk, plan):
            before = rows.get(position)
            if change.include_manual or before is None or not before.is_manual:
                rows[position] = Choice(Resolution.SKIP if change.bulk == SKIP_INVALID else change.bulk)
                changed.discard(position)
        _require_offered(change.references, plan)
        references = {**self.references, **change.references}
        return Choices(rows, {value: word for value, word in references.items() if word}, frozenset(changed))

    def without_changed(self, changed: Collection[int]) -> Choices:
        """Drop the choices for items that changed since the preview, and remember these items."""
        rows = {position: choice for position, choice in self.rows.items() if position not in changed}
        return replace(self, rows=rows, changed=self.changed | frozenset(changed))

    def without_lost(self, plan: Plan) -> Choices:
        """Drop the names for references that are no longer here."""
        offered = {missing.value: missing.names for missing in plan.missing_references}
        references = {
            value: word
            for value, word in self.references.items()
            if word == SKIP_ITEMS or word[1:] in offered.get(value, ())
        }
        return replace(self, references=references)


def read_choices(text: str) -> Choices:
    """Return choices from `Choices.as_json`."""
    rows, references, changed = json.loads(text)
    return Choices(
        {int(position): Choice(word, name, is_manual) for position, (word, name, is_manual) in rows.items()},
        references,
        frozenset(changed),
    )


def reference_member(envelope: Envelope) -> str | None:
    """Return the member by which the file's items refer to others."""
    return envelope.kind.reference.member if envelope.kind.reference else None


def _checked(position: int, choice: Choice, plan: Plan) -> Choice:
    """Return the choice, with None for the suggested name."""
    if choice.answer not in ("", *Resolution):
        word = quoted(choice.answer)
        raise AnswerInvalid(f"The answer for “#{position}” is {word}. Expected {', '.join(Resolution)}.")
    return replace(choice, name=None) if choice.name == plan.steps[position - 1].suggested_name else choice


def _in_bulk(bulk: str, plan: Plan) -> list[int]:
    if not bulk:
        return []
    if bulk == SKIP_INVALID:
        return [step.position for step in plan.blocked]
    if bulk not in list(Resolution):
        raise AnswerInvalid(f"The answer for all is {quoted(bulk)}. Expected {', '.join(Resolution)}.")
    return [step.position for step in plan.steps if step.state is ItemState.DIFFERENT]


def _require_offered(references: Mapping[str, str], plan: Plan) -> None:
    offered = {missing.value: missing.names for missing in plan.missing_references}
    for value, word in references.items():
        if word not in ("", SKIP_ITEMS) and not (word.startswith("=") and word[1:] in offered.get(value, ())):
            raise AnswerInvalid(f"{quoted(word.removeprefix('='))} is not here to stand for {quoted(value)}.")


# --- What was shown ---------------------------------------------------------------------------------------------------


def join_fingerprints(plan: Plan) -> str:
    """Return the short marks of all items, for `changed_items`."""
    return "".join(step.fingerprint[:_MARK_LENGTH] for step in plan.steps)


def find_changed_items(plan: Plan, marks: str) -> frozenset[int]:
    """Return the positions of items that have other marks now; none without marks."""
    if not marks:
        return frozenset()
    ends = [(step.position - 1) * _MARK_LENGTH for step in plan.steps]
    return frozenset(
        step.position
        for step, at in zip(plan.steps, ends, strict=True)
        if step.fingerprint[:_MARK_LENGTH] != marks[at : at + _MARK_LENGTH]
    )
