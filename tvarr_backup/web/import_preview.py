"""The preview of an import: reads the choices from its forms, and prepares its items for display."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.core.paginator import Page, Paginator
from django.http import QueryDict
from django.utils.functional import cached_property

from tvarr_backup.formatting import format_count
from tvarr_backup.matches.items import WITH_EXPRESSIONS
from tvarr_backup.operations.imports import OpenImport, totals_of
from tvarr_backup.portable.answers import Resolution
from tvarr_backup.portable.bundles import BundlePlan
from tvarr_backup.portable.choices import SKIP_ITEMS, Change, Choice, reference_member
from tvarr_backup.portable.envelope import Envelope, Item
from tvarr_backup.portable.findings import INVALID_EXPRESSION
from tvarr_backup.portable.kinds import Kind
from tvarr_backup.portable.steps import ItemAction, ItemState, MissingReference, Plan, PlannedItem
from tvarr_backup.quoting import MOST_OF_NAME, MOST_OF_TEXT, cut
from tvarr_backup.texts import escape_hidden
from tvarr_backup.timestamps import read_timestamp
from tvarr_backup.web.differences import mark_differences
from tvarr_backup.web.templatetags.formatting import item_value

ROWS_ON_A_PAGE = 50
LIVE_ROWS = 1_000
"""Largest number of items for which each choice updates the totals immediately."""

_MOST_MISSING = 50
_MOST_DIGITS = 8


def read_change(form: QueryDict, envelope: Envelope) -> Change:
    """Return the changes of a form.

    `action-3` and `name-3` are for the third item, `reference-3` for the reference of the third item. `fix-3-expression`
    corrects the expression of the third item.
    """
    member, rows, references = reference_member(envelope), {}, {}
    corrections: dict[int, dict[str, str]] = {}
    for field, value in form.dict().items():
        part, _, number = field.partition("-")
        number, _, corrected = number.partition("-")
        position = read_number(number, 0)
        if not 1 <= position <= len(envelope.items):
            continue
        if part == "action":
            rows[position] = Choice(str(value), form.get(f"name-{position}"), is_manual=True)
        elif part == "reference" and member:
            references[str(envelope.items[position - 1].values[member])] = str(value)
        elif part == "fix" and corrected in envelope.kind.correctable:
            corrections.setdefault(position, {})[corrected] = str(value).replace("\r\n", "\n")
    return Change(rows, references, corrections, form.get("bulk", ""), include_manual="also-by-hand" in form)


def read_number(text: str | None, default: int) -> int:
    """Return a number from an address or a form, or the default for anything else."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < _MOST_DIGITS else default


_STATE_LABELS = {
    ItemState.NEW: "New",
    ItemState.DIFFERENT: "Changed",
    ItemState.IDENTICAL: "Unchanged",
    ItemState.SYSTEM: "Built-in",
    ItemState.INVALID: "Invalid",
}
_CHOICE_LABELS = {
    Resolution.SKIP: "Skip",
    Resolution.RENAME: "Rename",
    Resolution.OVERWRITE: "Overwrite",
}


@dataclass(frozen=True)
class MemberLine:
    """A member of an item: its current value and the one in the file, as HTML that marks differences."""

    field: str
    now: str
    in_file: str


@dataclass(frozen=True)
class Correction:
    """A member of an item that the user can correct."""

    member: str
    value: str


@dataclass(frozen=True)
class ItemRow:
    """View model of an item. `label` is its name, with the source type if other items have the same name."""

    step: PlannedItem
    item: Item
    choice: Choice
    has_changed: bool
    name: str
    label: str
    corrected: Collection[str] = ()
    """Members that the user has corrected."""

    @property
    def corrections(self) -> list[Correction]:
        """The invalid members that can be corrected, and those that were corrected."""
        invalid = [*self.step.problems, *(each for each in self.step.warnings if each.code == INVALID_EXPRESSION)]
        wrong = {finding.field for finding in invalid} | set(self.corrected)
        return [
            Correction(member, str(value))
            for member, value in self.item.values.items()
            if member in wrong and member in self.item.kind.correctable
        ]

    @property
    def position(self) -> str:
        """Its position in the file, for names of form fields."""
        return str(self.step.position)

    @property
    def source_type(self) -> str:
        return self.item.identity.source_type

    @property
    def state(self) -> str:
        return _STATE_LABELS[self.step.state]

    @property
    def options(self) -> list[tuple[str, str]]:
        """Possible choices with labels. The first is the default."""
        step = self.step
        planned = {ItemState.NEW: "Import", ItemState.INVALID: "Undecided"}.get(step.state)
        options = [("", planned)] if planned else []
        skips = planned or self.choice.answer == Resolution.SKIP
        options.append((Resolution.SKIP if skips else "", _CHOICE_LABELS[Resolution.SKIP]))
        if step.suggested_name:
            options.append((Resolution.RENAME, _CHOICE_LABELS[Resolution.RENAME]))
        if step.existing_id and step.differences and step.state is not ItemState.SYSTEM:
            options.append((Resolution.OVERWRITE, _CHOICE_LABELS[Resolution.OVERWRITE]))
        answer = self.choice.answer
        if answer in _CHOICE_LABELS and answer not in dict(options):
            options.append((answer, _CHOICE_LABELS[Resolution(answer)]))
        return options

    @property
    def new_name(self) -> str:
        return self.step.suggested_name if self.choice.name is None else self.choice.name

    @property
    def fields(self) -> str:
        return ", ".join(difference.field for difference in self.step.differences)

    @property
    def lines(self) -> list[MemberLine]:
        """The differences, or all members of a new item, or nothing for an unchanged one."""
        if self.step.differences:
            return [MemberLine(each.field, *mark_differences(each.now, each.in_file)) for each in self.step.differences]
        if self.step.existing_id:
            return []
        members = self.item.values.items()
        given = {name: value for name, value in members if value not in ("", [], ()) and name != "name"}
        return [MemberLine(name, "", cut(item_value(value), MOST_OF_TEXT)) for name, value in given.items()]


@dataclass(frozen=True)
class Tile:
    """A button that shows only the items of one state, with their number."""

    show: str
    label: str
    number: int
    is_selected: bool


@dataclass(frozen=True)
class KindTab:
    """A link that shows the items of another kind, with their number and that of the invalid ones."""

    kind: Kind
    number: int
    invalid: int
    is_selected: bool


@dataclass(frozen=True)
class FirstBlocked:
    kind: Kind
    position: int


@dataclass(frozen=True)
class Missing:
    reference: MissingReference
    answer: str

    @property
    def position(self) -> int:
        """The first item with this reference."""
        return self.reference.positions[0]

    @property
    def options(self) -> list[tuple[str, str]]:
        items = "its item" if len(self.reference.positions) == 1 else f"its {len(self.reference.positions)} items"
        names = [(f"={name}", f'Use "{escape_hidden(name)}"') for name in self.reference.names]
        return [("", "Import without the link"), (SKIP_ITEMS, f"Skip {items}"), *names]


@dataclass(frozen=True)
class ImportPreview:
    """View model of a pending import: items of one state (`show`) or all, page by page."""

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
        return str(self.plan.kind.model._meta.verbose_name)

    @cached_property
    def page(self) -> Page[PlannedItem]:
        if self.show == "changed":
            steps = [step for step in self.plan.steps if step.position in self.changed]
        else:
            steps = [step for step in self.plan.steps if self.show in ("", step.state)]
            steps.sort(key=lambda step: step.state is not ItemState.INVALID)
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
            label=f"{name} ({item.identity.source_type})" if types_by_name[item.name] > 1 else name,
            corrected=tuple(choices.corrections.get(step.position, ())),
        )

    def row_at(self, position: int) -> ItemRow:
        return self._row(self.plan.steps[position - 1], Counter())

    def rows_that_differ(self, before: Plan) -> list[ItemRow]:
        """Return the rows of this page whose problems or warnings differ from those in the previous plan."""
        return [row for row in self.rows if _findings(row.step) != _findings(before.steps[row.step.position - 1])]

    @property
    def tiles(self) -> list[Tile]:
        numbers = Counter(step.state for step in self.plan.steps)
        tiles = [Tile("", "All", len(self.plan.steps), self.show == "")]
        tiles += [Tile(state, label, numbers[state], self.show == state) for state, label in _STATE_LABELS.items()]
        if self.changed:
            tiles.append(Tile("changed", "Changed since preview", len(self.changed), self.show == "changed"))
        return tiles

    @cached_property
    def changed_count(self) -> int:
        return sum(step.state is ItemState.DIFFERENT for step in self.plan.steps)

    @cached_property
    def missing(self) -> list[Missing]:
        """The missing references of most items."""
        answers = self.opened.choices.references
        most = sorted(self.plan.missing_references, key=lambda each: -len(each.positions))[:_MOST_MISSING]
        return [Missing(each, answers.get(each.value, "")) for each in most]

    @property
    def more_missing(self) -> int:
        return len(self.plan.missing_references) - len(self.missing)

    @property
    def whole(self) -> BundlePlan:
        return self.opened.whole

    @property
    def kinds(self) -> list[KindTab]:
        """The kinds of a file with several ones."""
        plans = self.whole.plans
        return (
            [KindTab(plan.kind, len(plan.steps), len(plan.blocked), plan.kind is self.plan.kind) for plan in plans]
            if len(plans) > 1
            else []
        )

    @property
    def first_blocked(self) -> FirstBlocked | None:
        """The first item that keeps the file from being imported, if possible one of the shown kind."""
        blocked = [(self.plan.kind, step) for step in self.plan.blocked] or self.whole.blocked
        return FirstBlocked(blocked[0][0], blocked[0][1].position) if blocked else None

    @property
    def has_expressions(self) -> bool:
        return any(part.kind.slug in WITH_EXPRESSIONS and part.steps for part in self.whole.plans)

    @property
    def totals(self) -> str:
        labels = {
            "add": ItemAction.CREATE,
            "overwrite": ItemAction.OVERWRITE,
            "rename": ItemAction.RENAME,
            "skip": ItemAction.SKIP,
        }
        counts = {label: self.whole.count(action) for label, action in labels.items()}
        parts = [f"{label} {number}" for label, number in counts.items() if number]
        planned = f"Will {', '.join(parts)}." if parts else ""
        blocked = self.whole.count(ItemAction.BLOCKED)
        if blocked:
            return f"{planned} Fix or skip {format_count(blocked, 'invalid item')} to continue.".strip()
        if not self.whole.steps:
            return "The file has no items."
        return planned if self.whole.writes else f"{planned} Nothing would change."

    @property
    def button(self) -> str:
        whole = self.whole
        written = len(whole.steps) - whole.count(ItemAction.SKIP) - whole.count(ItemAction.BLOCKED)
        overwritten = whole.count(ItemAction.OVERWRITE)
        return f"Import {format_count(written, 'item')}" + (f", overwrite {overwritten}" if overwritten else "")

    @property
    def promise(self) -> str:
        """What the button shows, in the form that `apply_pending` compares."""
        return totals_of(self.whole)

    @property
    def can_import(self) -> bool:
        return self.whole.writes and not self.whole.blocked


def _findings(step: PlannedItem) -> tuple[object, object]:
    return step.problems, step.warnings
