"""A user's choices in the preview of an import. A change is merged into them, so two tabs keep each other's changes."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from tvarr_backup.portable.answers import Answers, Resolution, missing_row, read_answers, read_resolution
from tvarr_backup.portable.envelope import Envelope, Item
from tvarr_backup.portable.steps import ItemState, Plan

SKIP_ITEMS = "-"
"""The answer to a missing reference that skips all items with it."""
SKIP_INVALID = "skip-problems"
"""The bulk answer that skips all invalid items."""
_FINGERPRINT_LENGTH = 10


@dataclass(frozen=True)
class Choice:
    """The choice for one item: a resolution, or "" for the default. `name` is for a copy; None is the suggested one."""

    answer: str = ""
    name: str | None = None
    is_manual: bool = False

    def is_equivalent(self, other: Choice) -> bool:
        return self.answer == other.answer and (self.answer != Resolution.RENAME or self.name == other.name)


@dataclass(frozen=True)
class Change:
    """One change of choices: `rows` by position, and `bulk` (a resolution or `SKIP_INVALID`) for all items that differ.

    `references` has, for each missing reference, `=Name` of the row to use instead, `SKIP_ITEMS`, or "" for neither.
    `corrections` are other values of members, by position.
    """

    rows: Mapping[int, Choice] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    corrections: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    bulk: str = ""
    include_manual: bool = False


@dataclass(frozen=True)
class Choices:
    """All choices for one file. `changed` are the items that changed since the preview and have no new choice."""

    rows: Mapping[int, Choice] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    changed: frozenset[int] = frozenset()
    corrections: Mapping[int, Mapping[str, str]] = field(default_factory=dict)

    def as_json(self) -> str:
        rows = {position: [choice.answer, choice.name, choice.is_manual] for position, choice in self.rows.items()}
        corrections = {position: dict(texts) for position, texts in self.corrections.items()}
        return json.dumps([rows, dict(self.references), sorted(self.changed), corrections], separators=(",", ":"))

    def for_item(self, item: Item, member: str | None) -> Choice:
        """Return the item's own choice, or the one for its missing reference."""
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
        references = {value: answer[1:] for value, answer in self.references.items() if answer.startswith("=")}
        return read_answers(resolutions, None, new_names, references)

    def with_change(self, change: Change, envelope: Envelope, plan: Plan) -> Choices:
        """Apply a change that a user made in the preview of this plan. Raise `AnswerInvalid`."""
        member = reference_member(envelope)
        rows, changed = dict(self.rows), set(self.changed)
        for position, choice in change.rows.items():
            chosen = _checked(position, choice, plan)
            if not chosen.is_equivalent(self.for_item(envelope.items[position - 1], member)):
                rows[position] = chosen
                changed.discard(position)
        for position in _positions_in_bulk(change.bulk, plan):
            before = rows.get(position)
            if change.include_manual or before is None or not before.is_manual:
                rows[position] = Choice(Resolution.SKIP if change.bulk == SKIP_INVALID else change.bulk)
                changed.discard(position)
        _require_offered(change.references, plan)
        references = {**self.references, **change.references}
        return Choices(
            rows,
            {value: answer for value, answer in references.items() if answer},
            frozenset(changed),
            self._merge_corrections(change.corrections, envelope),
        )

    def _merge_corrections(
        self, added: Mapping[int, Mapping[str, str]], envelope: Envelope
    ) -> Mapping[int, Mapping[str, str]]:
        """Add corrections that differ from the values of the envelope, which has the previous ones."""
        merged = dict(self.corrections)
        for position, texts in added.items():
            values = envelope.items[position - 1].values
            differing = {name: text for name, text in texts.items() if text != _lines(values[name])}
            if differing:
                merged[position] = {**merged.get(position, {}), **differing}
        return merged

    def without_changed(self, changed: Collection[int]) -> Choices:
        """Drop the choices for items that changed since the preview, and add the items to `changed`."""
        rows = {position: choice for position, choice in self.rows.items() if position not in changed}
        return replace(self, rows=rows, changed=self.changed | frozenset(changed))

    def without_lost(self, plan: Plan) -> Choices:
        """Drop the answers to missing references whose chosen row no longer exists."""
        offered = {missing.value: missing.names for missing in plan.missing_references}
        references = {
            value: answer
            for value, answer in self.references.items()
            if answer == SKIP_ITEMS or answer[1:] in offered.get(value, ())
        }
        return replace(self, references=references)


def _lines(value: object) -> str:
    """Return a value as a form sends it back."""
    return str(value).replace("\r\n", "\n")


def read_choices(text: str) -> Choices:
    """Return choices from `Choices.as_json`."""
    rows, references, changed, *later = json.loads(text)
    return Choices(
        {int(position): Choice(answer, name, is_manual) for position, (answer, name, is_manual) in rows.items()},
        references,
        frozenset(changed),
        {int(position): texts for position, texts in (later[0] if later else {}).items()},
    )


def reference_member(envelope: Envelope) -> str | None:
    """Return the member by which the file's items refer to others."""
    return envelope.kind.reference.member if envelope.kind.reference else None


def _checked(position: int, choice: Choice, plan: Plan) -> Choice:
    """Return the choice, with None for the suggested name."""
    if choice.answer:
        read_resolution(choice.answer, f"#{position}")
    return replace(choice, name=None) if choice.name == plan.steps[position - 1].suggested_name else choice


def _positions_in_bulk(bulk: str, plan: Plan) -> list[int]:
    if not bulk:
        return []
    if bulk == SKIP_INVALID:
        return [step.position for step in plan.blocked]
    read_resolution(bulk, "all items")
    return [step.position for step in plan.steps if step.state is ItemState.DIFFERENT]


def _require_offered(references: Mapping[str, str], plan: Plan) -> None:
    offered = {missing.value: missing.names for missing in plan.missing_references}
    for value, answer in references.items():
        if answer not in ("", SKIP_ITEMS) and not (answer.startswith("=") and answer[1:] in offered.get(value, ())):
            target = plan.kind.reference.target if plan.kind.reference else ""
            raise missing_row(target, answer.removeprefix("="), value)


# --- Items that changed since the preview -----------------------------------------------------------------------------


def join_fingerprints(plan: Plan) -> str:
    """Return the shortened fingerprints of all items, for `find_changed_items`."""
    return "".join(step.fingerprint[:_FINGERPRINT_LENGTH] for step in plan.steps)


def find_changed_items(plan: Plan, fingerprints: str) -> frozenset[int]:
    """Return the positions of the items whose fingerprint has changed; none if `fingerprints` is empty."""
    if not fingerprints:
        return frozenset()
    starts = [(step.position - 1) * _FINGERPRINT_LENGTH for step in plan.steps]
    return frozenset(
        step.position
        for step, start in zip(plan.steps, starts, strict=True)
        if step.fingerprint[:_FINGERPRINT_LENGTH] != fingerprints[start : start + _FINGERPRINT_LENGTH]
    )
