"""Answers to a preview: what to do with each item whose name is taken."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tvarr_backup.errors import AnswerInvalid
from tvarr_backup.portable.envelope import Item
from tvarr_backup.quoting import quoted


class Resolution(StrEnum):
    SKIP = "skip"
    RENAME = "rename"
    OVERWRITE = "overwrite"


@dataclass(frozen=True)
class Answer:
    """The answer for one item; `new_name` is for a rename only."""

    resolution: Resolution | None = None
    new_name: str | None = None


NO_ANSWER = Answer()


@dataclass(frozen=True)
class Answers:
    """Answers by item: by its position in the file (`#3`), its source type and name (`epg:News`), or its name alone.

    A name alone means all items of that name. The narrowest of several answers for an item counts, and a new name alone asks
    for a rename. `bulk` is for all other items that differ or have the name of a built-in row. `references` maps what the file
    refers to onto the name of something that is here.
    """

    resolutions: Mapping[str, Resolution] = field(default_factory=dict)
    bulk: Resolution | None = None
    new_names: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)

    def by_position(self, items: Sequence[Item]) -> Mapping[int, Answer]:
        """Return the answer of each item. Raise `AnswerInvalid` for one that fits no item or contradicts another."""
        if not self.resolutions and not self.new_names:
            return {}
        typed = {str(item.identity) for item in items if item.identity.source_type}
        known = typed | {item.name for item in items} | {f"#{item.position}" for item in items}
        for key in (*self.resolutions, *self.new_names):
            if key not in known:
                raise AnswerInvalid(_fits_nothing(key, items))
        for key in self.new_names.keys() & self.resolutions.keys():
            if self.resolutions[key] is not Resolution.RENAME:
                raise AnswerInvalid(
                    f"{quoted(key)} has a new name, but its answer is {self.resolutions[key]}. Expected rename."
                )
        return {item.position: self._answer(list(_keys_of(item, typed))) for item in items}

    def _answer(self, keys: Sequence[str]) -> Answer:
        """Return the answer of the first key that has one; the new name may be given by a wider key."""
        for key in keys:
            if key in self.resolutions or key in self.new_names:
                name = next((self.new_names[each] for each in keys if each in self.new_names), None)
                return Answer(self.resolutions.get(key, Resolution.RENAME), name)
        return NO_ANSWER


def _keys_of(item: Item, typed: Collection[str]) -> Iterator[str]:
    """Yield the keys of an item in answers, the narrowest first."""
    yield f"#{item.position}"
    if item.identity.source_type:
        yield str(item.identity)
    if item.name not in typed:  # a name such as “epg:News” means the item News first
        yield item.name


def _fits_nothing(key: str, items: Sequence[Item]) -> str:
    with_type = any(item.identity.source_type for item in items)
    typed = ", stream:NAME or epg:NAME for one source type" if with_type else ""
    return (
        f"There is no item {quoted(key)} in the file. Expected the name of an item{typed}, or its place as #1, #2, ..."
    )


def read_answers(
    resolutions: Mapping[str, str],
    bulk: str | None = None,
    new_names: Mapping[str, str] | None = None,
    references: Mapping[str, str] | None = None,
) -> Answers:
    """Return answers given as text. Raise `AnswerInvalid` for an unknown resolution."""
    return Answers(
        resolutions={key: _resolution(word, f"The answer for {quoted(key)}") for key, word in resolutions.items()},
        bulk=None if bulk is None else _resolution(bulk, "The answer for all others"),
        new_names=dict(new_names or {}),
        references=dict(references or {}),
    )


def _resolution(word: str, what: str) -> Resolution:
    try:
        return Resolution(word)
    except ValueError:
        raise AnswerInvalid(f"{what} is {quoted(word)}; allowed are {', '.join(Resolution)}.") from None
