"""Names that a file contains twice, answered as tvarr's client expects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from tvarr_backup.portable.answers import NO_ANSWER, Answer, Answers, Resolution
from tvarr_backup.portable.kinds import Identity
from tvarr_backup.portable.steps import Draft, ItemState


def find_repeats(drafts: Iterable[Draft], namesakes: Mapping[Identity, Sequence[int]]) -> frozenset[int]:
    """Return the positions of items that have the name of an earlier item, and no row of their own to be compared with."""
    groups: dict[Identity, list[Draft]] = defaultdict(list)
    for draft in drafts:
        if draft.item.identity in namesakes:
            groups[draft.item.identity].append(draft)
    return frozenset(position for group in groups.values() for position in _find_in_group(group))


def _find_in_group(group: Sequence[Draft]) -> Iterable[int]:
    has_row = any(draft.existing is not None for draft in group)
    compared: set[str] = set()
    for number, draft in enumerate(group):
        row = draft.existing.id if draft.existing is not None else None
        if row in compared or (row is None and (has_row or number > 0)):
            yield draft.item.position
        if row is not None:
            compared.add(row)


def answer_repeats(
    own: Mapping[int, Answer],
    answers: Answers,
    drafts: Iterable[Draft],
    repeats: AbstractSet[int],
    namesakes: Mapping[Identity, Sequence[int]],
) -> dict[int, Answer]:
    """Return the answers by position, with those for a name as tvarr applies them: a new item is stored in any case, and its
    repeats are skipped or renamed. Unlike tvarr, the first one counts if the answer is to overwrite.
    """
    changed = dict(own)
    for draft in drafts:
        position, given = draft.item.position, own.get(draft.item.position, NO_ANSWER)
        if position in repeats:
            bulk = None if draft.state is ItemState.IDENTICAL else answers.bulk
            if (given.resolution or bulk) is not Resolution.RENAME:
                changed[position] = Answer(Resolution.SKIP)
        elif (
            draft.state is ItemState.NEW
            and draft.item.identity in namesakes
            and _skips_by_name(position, given, answers)
        ):
            changed[position] = NO_ANSWER
    return changed


def _skips_by_name(position: int, given: Answer, answers: Answers) -> bool:
    return given.resolution is Resolution.SKIP and f"#{position}" not in answers.resolutions
