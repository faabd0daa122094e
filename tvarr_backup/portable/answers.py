"""What the person or the caller answers to a preview: what becomes of each item whose name is taken."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from tvarr_backup.errors import AnswerInvalid
from tvarr_backup.portable.envelope import Item


class Resolution(StrEnum):
    """What can be answered."""

    SKIP = "skip"
    RENAME = "rename"
    OVERWRITE = "overwrite"


@dataclass(frozen=True)
class Answers:
    """Answers by item: by its name, or by its place in the file as `#3`, which wins and tells equal names apart.

    `bulk` stands for every item of another content, or with the name of a system row, that has no answer of its own.
    A new name asks for a rename. `references` maps what a file refers to onto the name of something that is here.
    """

    resolutions: Mapping[str, Resolution] = field(default_factory=dict)
    bulk: Resolution | None = None
    new_names: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)

    def resolution_for(self, item: Item) -> Resolution | None:
        """The item's own answer."""
        if not self.resolutions and not self.new_names:
            return None
        given = self.resolutions.get(f"#{item.position}") or self.resolutions.get(item.name)
        return given or (Resolution.RENAME if self.new_name_for(item) is not None else None)

    def new_name_for(self, item: Item) -> str | None:
        """The name that was chosen for the item."""
        by_place = self.new_names.get(f"#{item.position}")
        return self.new_names.get(item.name) if by_place is None else by_place

    def require_known(self, items: Collection[Item], references: Collection[str]) -> None:
        """Raise `AnswerInvalid` for an answer that fits no item, or that contradicts another one."""
        known = {item.name for item in items} | {f"#{item.position}" for item in items}
        for key in (*self.resolutions, *self.new_names):
            if key not in known:
                raise AnswerInvalid(
                    f"There is no item “{key[:80]}” in the file; allowed are names of items, or #1, #2, ..."
                )
        for key in self.new_names.keys() & self.resolutions.keys():
            if self.resolutions[key] is not Resolution.RENAME:
                raise AnswerInvalid(
                    f"“{key}” has a new name, but its answer is {self.resolutions[key]}; allowed is rename."
                )
        for value in self.references:
            if value not in references:
                raise AnswerInvalid(f"No item of the file refers to “{value[:80]}”.")


def read_answers(
    resolutions: Mapping[str, str],
    bulk: str | None = None,
    new_names: Mapping[str, str] | None = None,
    references: Mapping[str, str] | None = None,
) -> Answers:
    """Answers from words; raises `AnswerInvalid` for a word that is none of the allowed ones."""
    return Answers(
        resolutions={key: _resolution(word, f"The answer for “{key[:80]}”") for key, word in resolutions.items()},
        bulk=None if bulk is None else _resolution(bulk, "The answer for all others"),
        new_names=dict(new_names or {}),
        references=dict(references or {}),
    )


def _resolution(word: str, what: str) -> Resolution:
    try:
        return Resolution(word)
    except ValueError:
        raise AnswerInvalid(f"{what} is “{word[:80]}”; allowed are {', '.join(Resolution)}.") from None
