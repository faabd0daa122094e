"""Planning of an import: what would happen to each item, before anything is written."""

from __future__ import annotations

import copy
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tvarr_backup.columns import require_columns
from tvarr_backup.errors import AnswerInvalid
from tvarr_backup.expressions import limited_regexes
from tvarr_backup.portable.answers import NO_ANSWER, Answer, Answers, Resolution
from tvarr_backup.portable.drafts import Here, draft_item, duplicate_name, with_suggestion
from tvarr_backup.portable.envelope import Envelope
from tvarr_backup.portable.judge import Finding, judge
from tvarr_backup.portable.kinds import Identity, Kind
from tvarr_backup.portable.present import Present, TakenNames, find_namesakes, pair, retired_name
from tvarr_backup.portable.references import References
from tvarr_backup.portable.steps import Draft, ItemAction, ItemState, MissingReference, Plan, PlannedItem
from tvarr_backup.quoting import quoted


def plan_import(envelope: Envelope, answers: Answers | None = None) -> Plan:
    """Plan the import of a file; only reads, with a fixed number of queries.

    Raises `AnswerInvalid` for answers that fit nothing in the file or the database, and `DatabaseIncomplete` or `DatabaseNewer`
    where the table of the kind cannot take an import.
    """
    return Planner(envelope).plan(answers or Answers())


class Planner:
    """Plans a file with several sets of answers: the comparison with the current data, which takes long, is made once."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        kind = envelope.kind
        require_columns(kind.model, adds_rows=True)
        present, references = Present(kind, {item.identity for item in envelope.items}), References(kind)
        met = pair(envelope.items, kind, present, references)
        self._here = Here(present, references, met, find_namesakes(envelope.items))
        self._compared: dict[frozenset[tuple[str, str]], list[Draft]] = {}

    def plan(self, answers: Answers) -> Plan:
        """Raises `AnswerInvalid` for answers that fit nothing in the file or the database."""
        envelope, here = self._envelope, self._here
        own = answers.by_position(envelope.items)
        _require_references_fit(envelope, answers, here.references)
        drafts = self._drafts(answers)
        facts = envelope.kind.slug.encode() + b"".join(draft.digest for draft in drafts)
        return Plan(
            kind=envelope.kind,
            steps=tuple(_Decider(envelope.kind, own, answers.bulk, here, drafts).steps()),
            warnings=envelope.warnings,
            fingerprint="sha256:" + hashlib.sha256(facts).hexdigest(),
            missing_references=tuple(_missing_references(drafts, here.references)),
        )

    def _drafts(self, answers: Answers) -> list[Draft]:
        """Return the drafts, which depend only on the answers for missing references."""
        known = frozenset(answers.references.items())
        if known not in self._compared:
            with limited_regexes():
                self._compared[known] = list(self._compare(answers))
        return self._compared[known]

    def _compare(self, answers: Answers) -> Iterator[Draft]:
        """Yield the draft of each item, with a name for every item that may be stored as a copy.

        Such a name is free in the database, in the file, and among the suggestions.
        """
        here, taken = self._here, _taken(self._envelope, self._here)
        for item in self._envelope.items:
            draft, identity, name = draft_item(item, answers, here), item.identity, ""
            is_later_one = identity in here.namesakes and here.namesakes[identity][0] != item.position
            if identity in here.present.taken or draft.problems or is_later_one:
                name = taken.take_free(Identity(identity.name.strip() or "Unnamed", identity.source_type))
            yield with_suggestion(draft, name, here)


def _require_references_fit(envelope: Envelope, answers: Answers, references: References) -> None:
    reference = envelope.kind.reference
    used = {item.values[reference.member]: item for item in envelope.items} if reference else {}
    for value, name in answers.references.items():
        if value not in used:
            raise AnswerInvalid(f"No item of the file refers to {quoted(value)}.")
        if references.resolve(value, used[value].identity.source_type, name).row_id is None:
            target = reference.target if reference else ""
            raise AnswerInvalid(f"There is no {target} {quoted(name)} here to stand for {quoted(value)}.")


def _taken(envelope: Envelope, here: Here) -> TakenNames:
    """Return the names that a copy cannot have: those of rows, items, and deleted rows."""
    taken = TakenNames(envelope.kind.name_limit)
    taken.update(here.present.taken)
    taken.update(Identity(name) for name in here.present.retired)
    taken.update(item.identity for item in envelope.items)
    return taken


def _missing_references(drafts: list[Draft], references: References) -> Iterator[MissingReference]:
    by_value: dict[str, list[Draft]] = defaultdict(list)
    for draft in drafts:
        if draft.resolved_unmapped.unresolved:
            by_value[draft.resolved_unmapped.unresolved].append(draft)
    for value, users in by_value.items():
        # An answer is looked up by the last item's source type, and so are the names that are offered.
        names = references.names_for(users[-1].item.identity.source_type)
        yield MissingReference(value, tuple(draft.item.position for draft in users), names)


class _Decider:
    """Turns drafts and answers into steps."""

    def __init__(
        self, kind: Kind, own: Mapping[int, Answer], bulk: Resolution | None, here: Here, drafts: list[Draft]
    ) -> None:
        self._kind = kind
        self._own = own
        self._bulk = bulk
        self._here = here
        self._drafts = drafts
        self._taken = TakenNames(kind.name_limit)
        self._taken.update(here.present.taken)
        self._taken.update(draft.item.identity for draft in drafts)
        self._taken.update(
            Identity(draft.suggested_name, draft.item.identity.source_type) for draft in drafts if draft.suggested_name
        )
        self._keeping = self._find_keeping()

    def steps(self) -> Iterator[PlannedItem]:
        for draft in self._drafts:
            keeping = self._keeping.get(draft.item.identity, [])
            if self._own_answer(draft).resolution is Resolution.SKIP:
                yield _step(draft, ItemAction.SKIP)
            elif self._answer(draft) is Resolution.RENAME and draft.item.position not in keeping:
                yield self._copy(draft)
            elif self._kind.unique_names and len(keeping) > 1:
                yield _blocked(draft, [duplicate_name(draft, keeping)])
            else:
                yield self._keep_name(draft)

    def _own_answer(self, draft: Draft) -> Answer:
        return self._own.get(draft.item.position, NO_ANSWER)

    def _answer(self, draft: Draft) -> Resolution | None:
        """Return the item's own answer, or the one for all others unless nothing differs."""
        own = self._own_answer(draft).resolution
        return own or (None if draft.state is ItemState.IDENTICAL else self._bulk)

    def _find_keeping(self) -> dict[Identity, list[int]]:
        """Return by identity the positions, in order, of the items that are stored under their own name.

        An item that keeps its name is listed only if others have the same one. An item to rename is listed if its name is free:
        no row has it, and no other item keeps it.
        """
        keeping: dict[Identity, list[int]] = defaultdict(list)
        renamed: dict[Identity, Draft] = {}
        for draft in self._drafts:
            answer, identity = self._answer(draft), draft.item.identity
            if answer is Resolution.RENAME:
                if identity not in self._here.present.taken and not draft.problems:
                    renamed.setdefault(identity, draft)
            elif identity in self._here.namesakes and self._own_answer(draft).resolution is not Resolution.SKIP:
                keeping[identity].append(draft.item.position)
        for identity, draft in renamed.items():
            if identity not in keeping and self._own_answer(draft).new_name is None:
                keeping[identity] = [draft.item.position]
        return keeping

    def _copy(self, draft: Draft) -> PlannedItem:
        """Store the item as a new row under another name."""
        chosen, source_type = self._own_answer(draft).new_name, draft.item.identity.source_type
        problems: list[Finding] = []
        if chosen is not None and chosen != draft.suggested_name and Identity(chosen, source_type) in self._taken:
            message = f"{quoted(chosen)} is taken, here or in the file; allowed is a name that is free."
            problems.append(Finding("name", "name_taken", message, chosen))
        name = chosen
        if name is None:
            name = draft.suggested_name or self._taken.take_free(draft.item.identity)
        self._taken.add(Identity(name, source_type))
        step = replace(_step(draft, ItemAction.RENAME), final_name=name)
        strictly = frozenset() if chosen is None else {"name"}
        problems += judge(step.build_row(), draft.item.missing - {"name"}, strictly=strictly).problems
        return _blocked(draft, problems) if problems else self._with_retired_row(step)

    def _keep_name(self, draft: Draft) -> PlannedItem:
        """Store the item under its own name, over an existing row if that is the answer, or skip it."""
        answer = self._answer(draft)
        if draft.problems:
            return _blocked(draft, draft.problems)
        if draft.state is ItemState.NEW:
            return self._with_retired_row(_step(draft, ItemAction.CREATE))
        if draft.state is ItemState.SYSTEM and self._own_answer(draft).resolution is Resolution.OVERWRITE:
            return _blocked(draft, [_system_row(draft, self._kind)])
        if draft.state is ItemState.DIFFERENT and answer is Resolution.OVERWRITE:
            return _step(draft, ItemAction.OVERWRITE)
        return _step(draft, ItemAction.SKIP)

    def _with_retired_row(self, step: PlannedItem) -> PlannedItem:
        retired = self._here.present.retired.get(step.final_name)
        if retired is None:
            return step
        renamed = copy.copy(retired)
        renamed.name = retired_name(step.final_name, retired.id, self._kind.name_limit)
        message = f"A deleted row still holds the name “{step.final_name}”; it is renamed to “{renamed.name}”."
        freed = Finding("name", "name_freed", message, step.final_name)
        return replace(step, retires=renamed, warnings=(*step.warnings, freed))


def _step(draft: Draft, action: ItemAction) -> PlannedItem:
    return PlannedItem(draft, action, draft.item.name, draft.problems, draft.warnings)


def _blocked(draft: Draft, problems: Sequence[Finding]) -> PlannedItem:
    return replace(_step(draft, ItemAction.BLOCKED), problems=tuple(problems))


def _system_row(draft: Draft, kind: Kind) -> Finding:
    message = f"“{draft.item.name}” is one of tvarr's own {kind.label}, which are never overwritten; allowed are skip and rename."
    return Finding("name", "system_row", message, draft.item.name)
