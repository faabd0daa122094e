"""Answers to a preview: what to do with each item whose name is taken."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tvarr_backup.errors import AnswerInvalid
from tvarr_backup.portable.envelope import Item
from tvarr_backup.quoting import format_choices, quoted


class Resolution(StrEnum):
    SKIP = "skip"
    RENAME = "rename"
    OVERWRITE = "overwrite"


@dataclass(frozen=True)
class Answer:
    """The answer for one item. Only a rename has a `new_name`."""

    resolution: Resolution | None = None
    new_name: str | None = None


NO_ANSWER = Answer()


@dataclass(frozen=True)
class Answers:
    """Answers by position (`#3`), by source type and name (`epg:News`), or by name, for all items of that name.

    The most specific one counts, and a new name alone means rename. `bulk` is for all other items that differ or have a built-in
    row's name. `references` maps a missing reference to an existing name. `like_tvarr` applies answers by name to names that the
    file contains twice as tvarr does (`portable.repeats`).
    """

    resolutions: Mapping[str, Resolution] = field(default_factory=dict)
    bulk: Resolution | None = None
    new_names: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    like_tvarr: bool = False

    def by_position(self, items: Sequence[Item]) -> Mapping[int, Answer]:
        """Return the answer of each item. Raise `AnswerInvalid` for one without an item, or with a needless new name."""
        if not self.resolutions and not self.new_names:
            return {}
        typed = {str(item.identity) for item in items if item.identity.source_type}
        known = typed | {item.name for item in items} | {f"#{item.position}" for item in items}
        for key in (*self.resolutions, *self.new_names):
            if key not in known:
                raise _unknown_item(key, items)
        for key in self.new_names.keys() & self.resolutions.keys():
            if self.resolutions[key] is not Resolution.RENAME:
                sentence = 'Expected "rename" for {item}, which has a new name, got "{answer}".'
                raise AnswerInvalid(sentence, item=quoted(key), answer=self.resolutions[key])
        return {item.position: self._answer(list(_keys_of(item, typed))) for item in items}

    def _answer(self, keys: Sequence[str]) -> Answer:
        """Return the answer of the first key that has one. The new name may come from a later key."""
        for key in keys:
            if key in self.resolutions or key in self.new_names:
                name = next((self.new_names[each] for each in keys if each in self.new_names), None)
                return Answer(self.resolutions.get(key, Resolution.RENAME), name)
        return NO_ANSWER


def _keys_of(item: Item, typed: Collection[str]) -> Iterator[str]:
    yield f"#{item.position}"
    if item.identity.source_type:
        yield str(item.identity)
    if item.name not in typed:  # "epg:News" is the type and name of another item
        yield item.name


def _unknown_item(key: str, items: Sequence[Item]) -> AnswerInvalid:
    names = "a name, stream:NAME, epg:NAME" if any(item.identity.source_type for item in items) else "a name"
    sentence = "The file has no item {item}. Expected {names}, or a position such as #1."
    return AnswerInvalid(sentence, item=quoted(key), names=names)


def missing_row(target: str, name: str, missing: str) -> AnswerInvalid:
    """Return the error for an answer to a missing reference whose row does not exist."""
    sentence = "There is no {target} {name} to use instead of {missing}."
    return AnswerInvalid(sentence, target=target, name=quoted(name), missing=quoted(missing))


def read_answers(
    resolutions: Mapping[str, str],
    bulk: str | None = None,
    new_names: Mapping[str, str] | None = None,
    references: Mapping[str, str] | None = None,
) -> Answers:
    """Return answers given as text. Raise `AnswerInvalid` for an unknown resolution."""
    return Answers(
        resolutions={key: read_resolution(text, quoted(key)) for key, text in resolutions.items()},
        bulk=None if bulk is None else read_resolution(bulk, "all other items"),
        new_names=dict(new_names or {}),
        references=dict(references or {}),
    )


def read_resolution(text: str, items: str) -> Resolution:
    """Return the resolution for `items`, which the error names. Raise `AnswerInvalid`."""
    try:
        return Resolution(text)
    except ValueError:
        facts = {"expected": format_choices(Resolution), "items": items, "answer": quoted(text)}
        raise AnswerInvalid("Expected {expected} for {items}, got {answer}.", **facts) from None
