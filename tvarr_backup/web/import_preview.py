"""The preview of an import: the choices that its forms send, and its items as they are shown."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.core.paginator import Page, Paginator
from django.http import QueryDict
from django.utils.functional import cached_property
from django.utils.html import escape
from django.utils.safestring import SafeString

from tvarr_backup.operations.imports import OpenImport, totals_of
from tvarr_backup.portable.answers import Resolution
from tvarr_backup.portable.choices import SKIP_ITEMS, Change, Choice, reference_member
from tvarr_backup.portable.envelope import Envelope, Item
from tvarr_backup.portable.steps import Difference, ItemAction, ItemState, MissingReference, Plan, PlannedItem
from tvarr_backup.quoting import MOST_OF_NAME, MOST_OF_TEXT, cut
from tvarr_backup.texts import escape_hidden
from tvarr_backup.timestamps import read_timestamp
from tvarr_backup.web.templatetags.formatting import item_value

ROWS_ON_A_PAGE = 50
LIVE_ROWS = 1_000
"""Up to so many items the totals follow each choice immediately."""

_MOST_COMPARED = 600
_MOST_MISSING = 50
_MOST_DIGITS = 8
_WORD = re.compile(r"\w+|\s+|[^\w\s]")

# --- What is sent -----------------------------------------------------------------------------------------------------


def read_change(form: QueryDict, envelope: Envelope) -> Change:
    """Return what a form changes.

    `action-3` and `name-3` are for the third item, `reference-3` is for what the third item refers to.
    """
    member, rows, references = reference_member(envelope), {}, {}
    for field, value in form.dict().items():
        what, _, number = field.partition("-")
        position = read_number(number, 0)
        if not 1 <= position <= len(envelope.items):
            continue
        if what == "action":
            rows[position] = Choice(str(value), form.get(f"name-{position}"), is_manual=True)
        elif what == "reference" and member:
            references[str(envelope.items[position - 1].values[member])] = str(value)
    return Change(rows, references, form.get("bulk", ""), include_manual="also-by-hand" in form)


def read_number(text: str | None, default: int) -> int:
    """Return a number from an address or a form; the default for anything else."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < _MOST_DIGITS else default


# --- What is shown ---------------------------------------------------------------------------------------------------

_STATE_LABELS = {
    ItemState.NEW: "New",
    ItemState.DIFFERENT: "Different",
    ItemState.IDENTICAL: "Same",
    ItemState.SYSTEM: "Built in",
    ItemState.INVALID: "Problem",
}
_CHOICE_LABELS = {
    Resolution.SKIP: "Skip",
    Resolution.RENAME: "Import as",
    Resolution.OVERWRITE: "Overwrite",
}


@dataclass(frozen=True)
class MemberLine:
    """A member of an item: its value here and in the file, as HTML that marks the differences."""

    field: str
    now: str
    in_file: str


@dataclass(frozen=True)
class ItemRow:
    """An item as it is shown. `called` is its name, with the source type if other items have the same name."""

    step: PlannedItem
    item: Item
    choice: Choice
    has_changed: bool
    name: str
    called: str

    @property
    def position(self) -> str:
        """Its place in the file, as it is part of names of fields."""
        return str(self.step.position)

    @property
    def source_type(self) -> str:
        return self.item.identity.source_type

    @property
    def state(self) -> str:
        return _STATE_LABELS[self.step.state]

    @property
    def options(self) -> list[tuple[str, str]]:
        """What can be chosen, with labels; the first is what is planned anyway."""
        step = self.step
        planned = {ItemState.NEW: "Import", ItemState.INVALID: "Not decided"}.get(step.state)
        options = [("", planned)] if planned else []
        skips = planned or self.choice.answer == Resolution.SKIP
        options.append((Resolution.SKIP if skips else "", _CHOICE_LABELS[Resolution.SKIP]))
        if step.suggested_name:
            options.append((Resolution.RENAME, _CHOICE_LABELS[Resolution.RENAME]))
        if step.existing_id and step.differences and step.state is not ItemState.SYSTEM:
            options.append((Resolution.OVERWRITE, _CHOICE_LABELS[Resolution.OVERWRITE]))
        chosen = self.choice.answer
        if chosen in _CHOICE_LABELS and chosen not in dict(options):
            options.append((chosen, _CHOICE_LABELS[Resolution(chosen)]))
        return options

    @property
    def new_name(self) -> str:
        return self.step.suggested_name if self.choice.name is None else self.choice.name

    @property
    def fields(self) -> str:
        return ", ".join(difference.field for difference in self.step.differences)

    @property
    def lines(self) -> list[MemberLine]:
        """What differs, or all members of a new item; nothing for an item that is the same."""
        if self.step.differences:
            return [_compare(difference) for difference in self.step.differences]
        if self.step.existing_id:
            return []
        members = self.item.values.items()
        given = {name: value for name, value in members if value not in ("", [], ()) and name != "name"}
        return [MemberLine(name, "", cut(item_value(value), MOST_OF_TEXT)) for name, value in given.items()]


@dataclass(frozen=True)
class Tile:
    """A state with the number of its items; pressing it shows these alone."""

    show: str
    label: str
    number: int
    is_chosen: bool


@dataclass(frozen=True)
class Missing:
    """A reference that was not found, and the answer to it."""

    reference: MissingReference
    chosen: str

    @property
    def position(self) -> int:
        """The first item that has it."""
        return self.reference.positions[0]

    @property
    def options(self) -> list[tuple[str, str]]:
        items = "its item" if len(self.reference.positions) == 1 else f"its {len(self.reference.positions)} items"
        names = [(f"={name}", f"Use “{escape_hidden(name)}”") for name in self.reference.names]
        return [("", "Import without it"), (SKIP_ITEMS, f"Skip {items}"), *names]


@dataclass(frozen=True)
class ImportPreview:
    """A pending import as it is shown: items of one state or of all (`show`), page by page."""

    opened: OpenImport
    show: str = ""
    page_number: int = 1

    @property
    def plan(self) -> Plan:
        return self.opened.plan

    @property
    def changed(self) -> frozenset[int]:
        return self.opened.choices.changed

    @property
    def exported_at(self) -> datetime | None:
        return read_timestamp(self.opened.envelope.exported_at)

    @property
    def is_live(self) -> bool:
        return len(self.plan.steps) <= LIVE_ROWS

    @property
    def one(self) -> str:
        """The kind, singular."""
        return str(self.plan.kind.model._meta.verbose_name)

    @cached_property
    def page(self) -> Page[PlannedItem]:
        if self.show == "changed":
            steps = [step for step in self.plan.steps if step.position in self.changed]
        else:
            steps = [step for step in self.plan.steps if self.show in ("", step.state)]
        return Paginator(steps, ROWS_ON_A_PAGE).get_page(self.page_number)

    @cached_property
    def rows(self) -> list[ItemRow]:
        identities = {item.identity for item in self.opened.envelope.items}
        types_by_name = Counter(identity.name for identity in identities)
        return [self._row(step, types_by_name) for step in self.page]

    def _row(self, step: PlannedItem, types_by_name: Mapping[str, int]) -> ItemRow:
        envelope, choices = self.opened.envelope, self.opened.choices
        item = envelope.items[step.position - 1]
        name = cut(item.name, MOST_OF_NAME)
        return ItemRow(
            step,
            item,
            choices.for_item(item, reference_member(envelope)),
            has_changed=step.position in self.changed,
            name=name,
            called=f"{name} ({item.identity.source_type})" if types_by_name[item.name] > 1 else name,
        )

    def rows_that_differ(self, before: Plan) -> list[ItemRow]:
        """Return the rows of this page that have other findings than in the plan before."""
        return [row for row in self.rows if _findings(row.step) != _findings(before.steps[row.step.position - 1])]

    @property
    def tiles(self) -> list[Tile]:
        numbers = Counter(step.state for step in self.plan.steps)
        tiles = [Tile("", "All", len(self.plan.steps), self.show == "")]
        tiles += [Tile(state, label, numbers[state], self.show == state) for state, label in _STATE_LABELS.items()]
        if self.changed:
            tiles.append(Tile("changed", "Changed here", len(self.changed), self.show == "changed"))
        return tiles

    @cached_property
    def different(self) -> int:
        return sum(step.state is ItemState.DIFFERENT for step in self.plan.steps)

    @cached_property
    def missing(self) -> list[Missing]:
        """What most items refer to in vain."""
        chosen = self.opened.choices.references
        most = sorted(self.plan.missing_references, key=lambda each: -len(each.positions))[:_MOST_MISSING]
        return [Missing(each, chosen.get(each.value, "")) for each in most]

    @property
    def more_missing(self) -> int:
        return len(self.plan.missing_references) - len(self.missing)

    # --- Totals ---

    @property
    def totals(self) -> str:
        """What would happen, in a sentence."""
        labels = {
            "add": ItemAction.CREATE,
            "overwrite": ItemAction.OVERWRITE,
            "copy": ItemAction.RENAME,
            "skip": ItemAction.SKIP,
        }
        counts = {label: self.plan.count(action) for label, action in labels.items()}
        parts = [f"{label} {number}" for label, number in counts.items() if number]
        planned = f"Will {', '.join(parts)}." if parts else ""
        blocked = self.plan.count(ItemAction.BLOCKED)
        if blocked:
            return f"{planned} {_number_of(blocked, 'problem')} first: mend the file, or skip or rename.".strip()
        if not self.plan.steps:
            return "The file has no items."
        return planned if self.plan.writes else f"{planned} Nothing would change."

    @property
    def button(self) -> str:
        written = len(self.plan.steps) - self.plan.count(ItemAction.SKIP) - self.plan.count(ItemAction.BLOCKED)
        overwritten = self.plan.count(ItemAction.OVERWRITE)
        return f"Import {_number_of(written, 'item')}" + (f", overwrite {overwritten}" if overwritten else "")

    @property
    def promise(self) -> str:
        """What the button stands for, as `apply_pending` reads it."""
        return totals_of(self.plan)

    @property
    def can_import(self) -> bool:
        return self.plan.writes and not self.plan.blocked


def _findings(step: PlannedItem) -> tuple[object, object]:
    return step.problems, step.warnings


def _number_of(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _compare(difference: Difference) -> MemberLine:
    """Mark what only one of the two values has. Texts too long to compare are marked as a whole."""
    now, in_file = (cut(item_value(value), MOST_OF_TEXT) for value in (difference.now, difference.in_file))
    old, new = _WORD.findall(now), _WORD.findall(in_file)
    if max(len(old), len(new)) > _MOST_COMPARED:
        return MemberLine(difference.field, _mark("del", now), _mark("ins", in_file))
    opcodes = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return MemberLine(
        difference.field,
        SafeString("".join(_mark("del" if tag != "equal" else "", "".join(old[a:b])) for tag, a, b, _, _ in opcodes)),
        SafeString("".join(_mark("ins" if tag != "equal" else "", "".join(new[a:b])) for tag, _, _, a, b in opcodes)),
    )


def _mark(element: str, text: str) -> SafeString:
    return SafeString(f"<{element}>{escape(text)}</{element}>" if element and text else escape(text))


def problem_lines(found: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield what is wrong in a file, with JSON pointers as users count: the first item is 1."""
    for pointer, message in found:
        match = re.fullmatch(r"/items/(\d+)(?:/(.+))?", pointer)
        place = f"Item {int(match[1]) + 1}" + (f", {match[2]}" if match[2] else "") if match else pointer
        yield f"{place}: {message}"
