"""The review of an import: what a person has chosen for each item, kept in the page, and the rows as they are shown."""

from __future__ import annotations

import base64
import binascii
import difflib
import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.core.paginator import Page, Paginator
from django.http import QueryDict
from django.utils.functional import cached_property
from django.utils.html import escape
from django.utils.safestring import SafeString

from tvarr_backup.errors import FileTooLarge, PageIncomplete
from tvarr_backup.portable.answers import Answers, Resolution, read_answers
from tvarr_backup.portable.envelope import MAX_ITEMS, Envelope, Item
from tvarr_backup.portable.json_events import MAX_BYTES
from tvarr_backup.portable.steps import Action, Difference, MissingReference, Plan, State, Step
from tvarr_backup.texts import escape_hidden
from tvarr_backup.timestamps import read_timestamp
from tvarr_backup.web.templatetags.shown import value_in_words

ROWS_ON_A_PAGE = 50
LIVE_ROWS = 1_000
"""Up to so many items the totals follow each choice at once."""

_SKIP_THEM = "-"
_MOST_WORDS = 600
_MOST_MISSING = 50
_WORD = re.compile(r"\w+|\s+|[^\w\s]")

# --- What is kept in the page ----------------------------------------------------------------------------------------


def pack(content: bytes) -> str:
    """Bytes for a hidden field: small, and of characters that a form sends as they are."""
    return base64.urlsafe_b64encode(zlib.compress(content)).decode()


def unpack(text: str) -> bytes:
    """Raises `PageIncomplete` for what `pack` has not made, `FileTooLarge` for what no page holds."""
    try:
        packed = base64.b64decode(text, altchars=b"-_", validate=True)
        unpacking = zlib.decompressobj()
        content = unpacking.decompress(packed, MAX_BYTES + 1)
    except (binascii.Error, ValueError, zlib.error) as problem:
        raise PageIncomplete(_INCOMPLETE) from problem
    if len(content) > MAX_BYTES:
        raise FileTooLarge(f"The file is larger than {MAX_BYTES // 2**20} MiB, which is the most that is read.")
    if not unpacking.eof:
        raise PageIncomplete(_INCOMPLETE)
    return content


_INCOMPLETE = "The page did not send back the file that it held; nothing was imported. Choose the file once more."


@dataclass(frozen=True)
class Choice:
    """What was chosen for one item: a resolution or "" for what is planned anyway; the name counts for a copy only."""

    word: str = ""
    name: str | None = None
    by_hand: bool = False

    def means(self, other: Choice) -> bool:
        """Whether the two lead to the same."""
        return self.word == other.word and (self.word != Resolution.RENAME or self.name == other.name)


@dataclass(frozen=True)
class Choices:
    """Everything that the person has chosen so far, and the plan that was shown for it (`fingerprint`, `marks`)."""

    rows: Mapping[int, Choice] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    """By what is missing: `=Name` for what is meant instead, `-` to skip its items."""
    fingerprint: str = ""
    marks: tuple[str, ...] = ()
    show: str = ""
    page: int = 1

    def packed(self) -> str:
        rows = {position: [choice.word, choice.name, choice.by_hand] for position, choice in self.rows.items()}
        kept = [rows, dict(self.references), self.fingerprint, self.marks, self.show, self.page]
        return pack(json.dumps(kept, separators=(",", ":")).encode())

    def shown_for(self, item: Item, member: str | None) -> Choice:
        """The item's own choice, else that for what it refers to."""
        own = self.rows.get(item.position)
        if own is None and member and self.references.get(item.values[member]) == _SKIP_THEM:
            return Choice(Resolution.SKIP)
        return own or Choice()

    def answers(self, envelope: Envelope) -> Answers:
        """For the plan. Raises `AnswerInvalid`."""
        member = envelope.kind.reference.member if envelope.kind.reference else None
        resolutions, new_names = {}, {}
        for item in envelope.items:
            choice = self.shown_for(item, member)
            if choice.word:
                resolutions[f"#{item.position}"] = choice.word
            if choice.word == Resolution.RENAME and choice.name is not None:
                new_names[f"#{item.position}"] = choice.name
        references = {value: word[1:] for value, word in self.references.items() if word.startswith("=")}
        return read_answers(resolutions, None, new_names, references)

    def mark_of(self, position: int) -> str:
        """The mark under which the item was shown; "" if it never was."""
        return self.marks[position - 1] if position <= len(self.marks) else ""


def read_choices(text: str) -> Choices:
    """What `Choices.packed` has put into the page; raises `PageIncomplete` for anything else."""
    try:
        rows, references, fingerprint, marks, show, page = json.loads(unpack(text))
        return Choices(
            rows={
                int(position): Choice(str(word), None if name is None else str(name), bool(by))
                for position, (word, name, by) in rows.items()
            },
            references={str(value): str(word) for value, word in references.items()},
            fingerprint=str(fingerprint),
            marks=tuple(map(str, marks)),
            show=str(show),
            page=int(page),
        )
    except (ValueError, TypeError, AttributeError, RecursionError) as problem:
        raise PageIncomplete(_INCOMPLETE) from problem


def choose(choices: Choices, envelope: Envelope, form: QueryDict) -> Choices:
    """The choices with those of the form's rows on top; what differs from what was shown was set by hand."""
    member = envelope.kind.reference.member if envelope.kind.reference else None
    rows = dict(choices.rows)
    for item in envelope.items:
        word = form.get(f"action-{item.position}")
        if word is None:
            continue
        chosen = Choice(word, form.get(f"name-{item.position}"), by_hand=True)
        if not chosen.means(choices.shown_for(item, member)):
            rows[item.position] = chosen
    references = dict(choices.references)
    for number, value in enumerate(form.getlist("missing")):
        references[value] = form.get(f"reference-{number}", "")
    return replace(
        choices,
        rows=rows,
        references={value: word for value, word in references.items() if word},
        show=form.get("show", choices.show),
        page=_number(form.get("page"), 1 if "show" in form else choices.page),
    )


def choose_for_all(choices: Choices, plan: Plan, what: str, *, also_by_hand: bool) -> Choices:
    """The same choice for all items that differ, or to skip all with a problem; rows set by hand only if asked."""
    if what == "skip-problems":
        word, steps = Resolution.SKIP.value, plan.blocked
    else:
        word, steps = what, [step for step in plan.steps if step.state is State.DIFFERENT]
    rows = dict(choices.rows)
    for step in steps:
        before = rows.get(step.position)
        if also_by_hand or before is None or not before.by_hand:
            rows[step.position] = Choice(word)
    return replace(choices, rows=rows)


def without_changed(choices: Choices, plan: Plan) -> tuple[Choices, frozenset[int]]:
    """The choices without those for items that are not as they were shown, and which these are."""
    if not choices.marks:
        return choices, frozenset()
    changed = frozenset(step.position for step in plan.steps if step.mark[:_MARK] != choices.mark_of(step.position))
    rows = {position: choice for position, choice in choices.rows.items() if position not in changed}
    return replace(choices, rows=rows), changed


def without_lost(choices: Choices, plan: Plan) -> Choices:
    """The choices without names for references that are no longer here."""
    offered = {missing.value: missing.names for missing in plan.missing_references}
    kept = {
        value: word
        for value, word in choices.references.items()
        if word == _SKIP_THEM or word[1:] in offered.get(value, ())
    }
    return replace(choices, references=kept)


_MARK = 10


def as_shown(choices: Choices, plan: Plan) -> Choices:
    """The choices to keep in the page with this plan: with its marks, and with the names that copies get in it."""
    rows = dict(choices.rows)
    for step in plan.steps:
        choice = rows.get(step.position)
        if choice is not None and choice.word == Resolution.RENAME and choice.name is None:
            rows[step.position] = replace(choice, name=step.suggested_name or step.final_name)
    marks = tuple(step.mark[:_MARK] for step in plan.steps)
    return replace(choices, rows=rows, fingerprint=plan.fingerprint, marks=marks)


def mark_of_import(choices: Choices) -> str:
    """The same for two presses of one button."""
    return hashlib.sha256(choices.packed().encode()).hexdigest()[:20]


def _number(text: str | None, otherwise: int) -> int:
    return min(int(text), MAX_ITEMS) if text and text.isascii() and text.isdigit() and len(text) < 8 else otherwise


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
        return self.item.name

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
        return [Line(name, "", value_in_words(value)) for name, value in said.items()]


@dataclass(frozen=True)
class Tile:
    """A state with the number of its items; pressing it shows these alone."""

    show: str
    label: str
    number: int
    is_chosen: bool


@dataclass(frozen=True)
class Missing:
    """A reference that was not found, and what is to be done about it."""

    reference: MissingReference
    chosen: str

    @property
    def options(self) -> list[tuple[str, str]]:
        items = "its item" if len(self.reference.positions) == 1 else f"its {len(self.reference.positions)} items"
        names = [(f"={name}", f"Use “{escape_hidden(name)}”") for name in self.reference.names]
        return [("", "Import without it"), (_SKIP_THEM, f"Skip {items}"), *names]


@dataclass(frozen=True)
class Review:
    """A plan as it is shown."""

    envelope: Envelope
    plan: Plan
    choices: Choices
    changed: frozenset[int] = frozenset()

    @cached_property
    def page(self) -> Page[Step]:
        steps = [step for step in self.plan.steps if self._is_shown(step)]
        return Paginator(steps, ROWS_ON_A_PAGE).get_page(self.choices.page)

    def _is_shown(self, step: Step) -> bool:
        if self.choices.show == "changed":
            return step.position in self.changed
        return self.choices.show in ("", step.state)

    @cached_property
    def rows(self) -> list[Row]:
        member = self.envelope.kind.reference.member if self.envelope.kind.reference else None
        items = self.envelope.items
        return [
            Row(
                step,
                items[step.position - 1],
                self.choices.shown_for(items[step.position - 1], member),
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
        tiles = [Tile("", "All", len(states), self.choices.show == "")]
        for state, label in STATE_WORDS.items():
            if number := states.count(state):
                tiles.append(Tile(state, label, number, self.choices.show == state))
        if self.changed:
            tiles.append(Tile("changed", "Changed here", len(self.changed), self.choices.show == "changed"))
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

    @property
    def kept(self) -> str:
        return self.choices.packed()

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
        """What the button stands for; sent back, it tells whether the person has seen these totals."""
        return ",".join(str(self.plan.count(action)) for action in (Action.CREATE, Action.OVERWRITE, Action.RENAME))

    @property
    def can_import(self) -> bool:
        return self.plan.writes and not self.plan.blocked


def _number_of(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _line(difference: Difference) -> Line:
    now, in_file = value_in_words(difference.now), value_in_words(difference.in_file)
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
