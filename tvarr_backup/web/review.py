"""The preview of an import: the choices that its forms send, and its rows as they are shown."""

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

from tvarr_backup.operations.imports import OpenImport, expires_at, promise_of
from tvarr_backup.operations.models import ImportRecord
from tvarr_backup.portable.answers import Resolution
from tvarr_backup.portable.choices import SKIP_ITEMS, Change, Choice, Choices, reference_member
from tvarr_backup.portable.envelope import Envelope, Item
from tvarr_backup.portable.steps import Action, Difference, MissingReference, Plan, State, Step
from tvarr_backup.quoting import MOST_OF_NAME, MOST_OF_TEXT, cut
from tvarr_backup.texts import escape_hidden
from tvarr_backup.timestamps import read_timestamp
from tvarr_backup.web.templatetags.shown import value_in_words

ROWS_ON_A_PAGE = 50
LIVE_ROWS = 1_000
"""Up to so many items the totals follow each choice at once."""

_MOST_WORDS = 600
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
            rows[position] = Choice(str(value), form.get(f"name-{position}"), by_hand=True)
        elif what == "reference" and member:
            references[str(envelope.items[position - 1].values[member])] = str(value)
    return Change(rows, references, form.get("bulk", ""), also_by_hand="also-by-hand" in form)


def read_number(text: str | None, default: int) -> int:
    """Return a number from an address or a form; the default for what is not one."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < _MOST_DIGITS else default


# --- What is shown ---------------------------------------------------------------------------------------------------

STATE_WORDS = {
    State.NEW: "New",
    State.DIFFERENT: "Different",
    State.IDENTICAL: "Same",
    State.SYSTEM: "Built in",
    State.INVALID: "Problem",
}
_TAKES = {
    Resolution.SKIP: "Skip",
    Resolution.RENAME: "Import as",
    Resolution.OVERWRITE: "Overwrite",
}


@dataclass(frozen=True)
class Line:
    """One member of an item: what is here, what is in the file; marked is what only one of them has."""

    field: str
    now: str
    in_file: str


@dataclass(frozen=True)
class Row:
    """One item as it is shown."""

    step: Step
    item: Item
    choice: Choice
    has_changed: bool
    is_one_of_several: bool
    """Whether other items of the file have the same name and another source type."""

    @property
    def source_type(self) -> str:
        """What it looks at; empty where its kind makes no difference."""
        return self.item.identity.source_type

    @property
    def called(self) -> str:
        """The name, and the source type where the name alone does not tell the item apart."""
        return f"{self.name} ({self.source_type})" if self.is_one_of_several else self.name

    @cached_property
    def position(self) -> str:
        """Its place in the file, as it stands in names of fields."""
        return str(self.step.position)

    @cached_property
    def name(self) -> str:
        return cut(self.item.name, MOST_OF_NAME)

    @property
    def state(self) -> str:
        return STATE_WORDS[self.step.state]

    @property
    def options(self) -> list[tuple[str, str]]:
        """What can be chosen, with its words; the first is what is planned anyway."""
        step = self.step
        planned = {State.NEW: "Import", State.INVALID: "Not decided"}.get(step.state)
        options = [("", planned)] if planned else []
        skips = planned or self.choice.word == Resolution.SKIP
        options.append((Resolution.SKIP if skips else "", _TAKES[Resolution.SKIP]))
        if step.suggested_name:
            options.append((Resolution.RENAME, _TAKES[Resolution.RENAME]))
        if step.existing_id and step.differences and step.state is not State.SYSTEM:
            options.append((Resolution.OVERWRITE, _TAKES[Resolution.OVERWRITE]))
        chosen = self.choice.word
        if chosen in _TAKES and chosen not in dict(options):
            options.append((chosen, _TAKES[Resolution(chosen)]))
        return options

    @property
    def has_findings(self) -> bool:
        return bool(self.step.problems or self.step.warnings)

    @property
    def new_name(self) -> str:
        return self.step.suggested_name if self.choice.name is None else self.choice.name

    @property
    def fields(self) -> str:
        return ", ".join(difference.field for difference in self.step.differences)

    @cached_property
    def lines(self) -> list[Line]:
        """Of an item that differs what differs; of a new one everything that it says."""
        if self.step.differences:
            return [_line(difference) for difference in self.step.differences]
        if self.step.existing_id:
            return []
        said = {name: value for name, value in self.item.values.items() if value not in ("", [], ()) and name != "name"}
        return [Line(name, "", cut(value_in_words(value), MOST_OF_TEXT)) for name, value in said.items()]


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
class Review:
    """A pending import as it is shown: items of one state or of all (`show`), page by page."""

    opened: OpenImport
    show: str = ""
    page_number: int = 1

    @property
    def record(self) -> ImportRecord:
        return self.opened.record

    @property
    def envelope(self) -> Envelope:
        return self.opened.envelope

    @property
    def plan(self) -> Plan:
        return self.opened.plan

    @property
    def choices(self) -> Choices:
        return self.opened.choices

    @property
    def changed(self) -> frozenset[int]:
        return self.choices.changed

    @property
    def expires_at(self) -> datetime:
        return expires_at(self.record)

    @cached_property
    def page(self) -> Page[Step]:
        steps = [step for step in self.plan.steps if self._is_shown(step)]
        return Paginator(steps, ROWS_ON_A_PAGE).get_page(self.page_number)

    def _is_shown(self, step: Step) -> bool:
        if self.show == "changed":
            return step.position in self.changed
        return self.show in ("", step.state)

    @cached_property
    def rows(self) -> list[Row]:
        member, items = reference_member(self.envelope), self.envelope.items
        return [
            Row(
                step,
                items[step.position - 1],
                self.choices.for_item(items[step.position - 1], member),
                has_changed=step.position in self.changed,
                is_one_of_several=self._types_by_name[items[step.position - 1].name] > 1,
            )
            for step in self.page
        ]

    @cached_property
    def _types_by_name(self) -> Mapping[str, int]:
        """How many source types the items of each name have."""
        return Counter(identity.name for identity in {item.identity for item in self.envelope.items})

    @property
    def exported_at(self) -> datetime | None:
        return read_timestamp(self.envelope.exported_at)

    @property
    def one(self) -> str:
        """The kind in words, singular."""
        return str(self.plan.kind.model._meta.verbose_name)

    @property
    def tiles(self) -> list[Tile]:
        states = [step.state for step in self.plan.steps]
        tiles = [Tile("", "All", len(states), self.show == "")]
        tiles += [Tile(state, label, states.count(state), self.show == state) for state, label in STATE_WORDS.items()]
        if self.changed:
            tiles.append(Tile("changed", "Changed here", len(self.changed), self.show == "changed"))
        return tiles

    @property
    def missing(self) -> list[Missing]:
        """What most items refer to in vain."""
        chosen = self.choices.references
        most = sorted(self.plan.missing_references, key=lambda each: -len(each.positions))[:_MOST_MISSING]
        return [Missing(each, chosen.get(each.value, "")) for each in most]

    @property
    def more_missing(self) -> int:
        return len(self.plan.missing_references) - len(self.missing)

    @property
    def different(self) -> int:
        return sum(step.state is State.DIFFERENT for step in self.plan.steps)

    @property
    def by_hand(self) -> int:
        """How many of the rows that differ were set by hand."""
        rows = self.choices.rows
        differ = (step.position for step in self.plan.steps if step.state is State.DIFFERENT)
        return sum(position in rows and rows[position].by_hand for position in differ)

    @property
    def is_live(self) -> bool:
        return len(self.plan.steps) <= LIVE_ROWS

    def rows_that_differ(self, before: Plan) -> list[Row]:
        """Return the rows of this page that have other findings than in the plan before."""
        return [row for row in self.rows if _findings(row.step) != _findings(before.steps[row.step.position - 1])]

    # --- Totals ---

    @property
    def totals(self) -> str:
        """What would happen, in a sentence."""
        count = self.plan.count
        parts = [
            f"{word} {count(action)}"
            for word, action in (
                ("add", Action.CREATE),
                ("overwrite", Action.OVERWRITE),
                ("copy", Action.RENAME),
                ("skip", Action.SKIP),
            )
            if count(action)
        ]
        planned = f"Will {', '.join(parts)}." if parts else ""
        blocked = count(Action.BLOCKED)
        if blocked:
            return f"{planned} {_number_of(blocked, 'problem')} first: mend the file, or skip or rename.".strip()
        if not self.plan.steps:
            return "The file has no items."
        return planned if self.plan.writes else f"{planned} Nothing would change."

    @property
    def promise(self) -> str:
        """What the button says."""
        written = len(self.plan.steps) - self.plan.count(Action.SKIP) - self.plan.count(Action.BLOCKED)
        overwritten = self.plan.count(Action.OVERWRITE)
        return f"Import {_number_of(written, 'item')}" + (f", overwrite {overwritten}" if overwritten else "")

    @property
    def agreed(self) -> str:
        """What the button stands for."""
        return promise_of(self.plan)

    @property
    def can_import(self) -> bool:
        return self.plan.writes and not self.plan.blocked


def _findings(step: Step) -> tuple[object, object]:
    return step.problems, step.warnings


def _number_of(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _line(difference: Difference) -> Line:
    now, in_file = (cut(value_in_words(value), MOST_OF_TEXT) for value in (difference.now, difference.in_file))
    return Line(difference.field, *_compared(now, in_file))


def _compared(now: str, in_file: str) -> tuple[SafeString, SafeString]:
    """Both texts with what only one of them has marked; texts too long to compare are marked as a whole."""
    words = _WORD.findall(now), _WORD.findall(in_file)
    if max(map(len, words)) > _MOST_WORDS:
        return _marked("del", now), _marked("ins", in_file)
    sides: tuple[list[str], list[str]] = ([], [])
    for tag, *(a, b, c, d) in difflib.SequenceMatcher(None, *words, autojunk=False).get_opcodes():
        for side, mark, text in zip(
            sides, ("del", "ins"), ("".join(words[0][a:b]), "".join(words[1][c:d])), strict=True
        ):
            side.append(escape(text) if tag == "equal" else _marked(mark, text))
    return SafeString("".join(sides[0])), SafeString("".join(sides[1]))


def _marked(mark: str, text: str) -> SafeString:
    return SafeString(f"<{mark}>{escape(text)}</{mark}>" if text else "")


def problem_lines(found: Iterable[tuple[str, str]]) -> Iterator[str]:
    """What is wrong in a file by its JSON pointers, for people who count items from 1."""
    for pointer, words in found:
        match = re.fullmatch(r"/items/(\d+)(?:/(.+))?", pointer)
        place = f"Item {int(match[1]) + 1}" + (f", {match[2]}" if match[2] else "") if match else pointer
        yield f"{place}: it {words}"
