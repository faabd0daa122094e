"""Planning of an import: what would happen to each item, before anything is written.

A plan needs at most four queries. Most of the time for 90,000 filters is spent parsing expressions.
"""

from __future__ import annotations

import copy
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from tvarr_backup.columns import require_columns
from tvarr_backup.errors import AnswerInvalid
from tvarr_backup.expressions import limited_regexes
from tvarr_backup.portable.answers import NO_ANSWER, Answer, Answers, Resolution, missing_row
from tvarr_backup.portable.drafts import Context, draft_item, duplicate_name, with_suggestion
from tvarr_backup.portable.envelope import Envelope
from tvarr_backup.portable.findings import Finding, validate_row
from tvarr_backup.portable.kinds import Identity, Kind
from tvarr_backup.portable.matching import CurrentRows, TakenNames, find_namesakes, match_items, name_for_deleted
from tvarr_backup.portable.references import References
from tvarr_backup.portable.repeats import answer_repeats, find_repeats
from tvarr_backup.portable.steps import Draft, ItemAction, ItemState, MissingReference, Plan, PlannedItem
from tvarr_backup.quoting import quoted


def plan_import(envelope: Envelope, answers: Answers | None = None) -> Plan:
    """Plan the import of a file. Raise `AnswerInvalid`, `DatabaseIncomplete` or `DatabaseNewer`."""
    return Planner(envelope).plan(answers or Answers())


class Planner:
    """Plans one file for several sets of answers. It is compared with the current data only once."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        kind = envelope.kind
        require_columns(kind.model, adds_rows=True)
        current, references = CurrentRows(kind, {item.identity for item in envelope.items}), References(kind)
        matches = match_items(envelope.items, kind, current, references)
        self._context = Context(current, references, matches, find_namesakes(envelope.items))
        self._compared: dict[tuple[frozenset[tuple[str, str]], ...], list[Draft]] = {}

    def plan(self, answers: Answers, coming: Mapping[str, str] = MappingProxyType({})) -> Plan:
        """Return the plan for these answers. Raise `AnswerInvalid`.

        `coming` has the profiles that the same import stores, by their name in the file (`References.with_coming`).
        """
        envelope = self._envelope
        context = replace(self._context, references=self._context.references.with_coming(coming))
        own = answers.by_position(envelope.items)
        _require_references_fit(envelope, answers, context.references)
        drafts, repeats = self._drafts(answers, context, coming), frozenset[int]()
        if answers.like_tvarr:
            repeats = find_repeats(drafts, context.namesakes)
            own = answer_repeats(own, answers, drafts, repeats, context.namesakes)
        facts = envelope.kind.slug.encode() + b"".join(draft.digest for draft in drafts)
        return Plan(
            kind=envelope.kind,
            steps=tuple(
                replace(step, is_repeated=True) if step.position in repeats else step
                for step in _Decider(envelope.kind, own, answers.bulk, context, drafts).steps()
            ),
            warnings=envelope.warnings,
            fingerprint="sha256:" + hashlib.sha256(facts).hexdigest(),
            missing_references=tuple(_missing_references(drafts, context.references)),
        )

    def _drafts(self, answers: Answers, context: Context, coming: Mapping[str, str]) -> list[Draft]:
        """Return the drafts. Of the answers, they depend only on those for missing references."""
        known = (frozenset(answers.references.items()), frozenset(coming.items()))
        if known not in self._compared:
            with limited_regexes():
                self._compared[known] = list(self._compare(answers, context))
        return self._compared[known]

    def _compare(self, answers: Answers, context: Context) -> Iterator[Draft]:
        """Yield the draft of each item, with a suggested name, free and unique, if it may be stored as a copy."""
        taken = _collect_taken(self._envelope, context)
        for item in self._envelope.items:
            draft, identity, name = draft_item(item, answers, context), item.identity, ""
            is_later_one = identity in context.namesakes and context.namesakes[identity][0] != item.position
            if identity in context.current.taken or draft.problems or is_later_one:
                name = taken.take_free(Identity(identity.name.strip() or "Unnamed", identity.source_type))
            yield with_suggestion(draft, name, self._context)


def _require_references_fit(envelope: Envelope, answers: Answers, references: References) -> None:
    reference = envelope.kind.reference
    used = {item.values[reference.member]: item for item in envelope.items} if reference else {}
    for value, name in answers.references.items():
        if value not in used:
            raise AnswerInvalid("No item of the file refers to {missing}.", missing=quoted(value))
        if references.resolve(value, used[value].identity.source_type, name).row_id is None:
            raise missing_row(reference.target if reference else "", name, value)


def _collect_taken(envelope: Envelope, context: Context) -> TakenNames:
    """Return the names that a copy cannot have: those of rows, items, and deleted rows."""
    taken = TakenNames(envelope.kind.name_limit)
    taken.update(context.current.taken)
    taken.update(Identity(name) for name in context.current.deleted)
    taken.update(item.identity for item in envelope.items)
    return taken


def _missing_references(drafts: list[Draft], references: References) -> Iterator[MissingReference]:
    by_value: dict[str, list[Draft]] = defaultdict(list)
    for draft in drafts:
        if draft.resolved_unmapped.unresolved:
            by_value[draft.resolved_unmapped.unresolved].append(draft)
    for value, users in by_value.items():
        # The last item's source type counts, as it does when the answer is looked up.
        names = references.names_for(users[-1].item.identity.source_type)
        yield MissingReference(value, tuple(draft.item.position for draft in users), names)


class _Decider:
    """Turns drafts and answers into planned items."""

    def __init__(
        self, kind: Kind, own: Mapping[int, Answer], bulk: Resolution | None, context: Context, drafts: list[Draft]
    ) -> None:
        self._kind = kind
        self._own = own
        self._bulk = bulk
        self._context = context
        self._drafts = drafts
        self._taken = TakenNames(kind.name_limit)
        self._taken.update(context.current.taken)
        self._taken.update(draft.item.identity for draft in drafts)
        self._taken.update(
            Identity(draft.suggested_name, draft.item.identity.source_type) for draft in drafts if draft.suggested_name
        )
        self._keeping = self._find_keeping()

    def steps(self) -> Iterator[PlannedItem]:
        for draft in self._drafts:
            keeping = self._keeping.get(draft.item.identity, [])
            if self._own_answer(draft).resolution is Resolution.SKIP:
                yield _plan_item(draft, ItemAction.SKIP)
            elif self._answer(draft) is Resolution.RENAME and draft.item.position not in keeping:
                yield self._copy(draft)
            elif self._kind.unique_names and len(keeping) > 1:
                yield _block(draft, [duplicate_name(draft, keeping)])
            else:
                yield self._keep_name(draft)

    def _own_answer(self, draft: Draft) -> Answer:
        return self._own.get(draft.item.position, NO_ANSWER)

    def _answer(self, draft: Draft) -> Resolution | None:
        """Return the item's own answer, or the bulk answer if the item differs from its row."""
        own = self._own_answer(draft).resolution
        return own or (None if draft.state is ItemState.IDENTICAL else self._bulk)

    def _find_keeping(self) -> dict[Identity, list[int]]:
        """Return the positions of items that keep their own name, by identity.

        Items that are not renamed are listed if others have the same name, items to rename if their name is free.
        """
        keeping: dict[Identity, list[int]] = defaultdict(list)
        renamed: dict[Identity, Draft] = {}
        for draft in self._drafts:
            answer, identity = self._answer(draft), draft.item.identity
            if answer is Resolution.RENAME:
                if identity not in self._context.current.taken and not draft.problems:
                    renamed.setdefault(identity, draft)
            elif identity in self._context.namesakes and self._own_answer(draft).resolution is not Resolution.SKIP:
                keeping[identity].append(draft.item.position)
        for identity, draft in renamed.items():
            if identity not in keeping and self._own_answer(draft).new_name is None:
                keeping[identity] = [draft.item.position]
        return keeping

    def _copy(self, draft: Draft) -> PlannedItem:
        chosen, source_type = self._own_answer(draft).new_name, draft.item.identity.source_type
        problems: list[Finding] = []
        if chosen is not None and chosen != draft.suggested_name and Identity(chosen, source_type) in self._taken:
            message = f"The name {quoted(chosen)} is already used here or in the file. Choose another name."
            problems.append(Finding("name", "name_taken", message, chosen))
        name = chosen
        if name is None:
            name = draft.suggested_name or self._taken.take_free(draft.item.identity)
        self._taken.add(Identity(name, source_type))
        step = replace(_plan_item(draft, ItemAction.RENAME), final_name=name)
        strict_fields = frozenset() if chosen is None else {"name"}
        problems += validate_row(step.build_row(), draft.item.missing - {"name"}, strict_fields=strict_fields).problems
        return _block(draft, problems) if problems else self._free_its_name(step)

    def _keep_name(self, draft: Draft) -> PlannedItem:
        answer = self._answer(draft)
        if draft.problems:
            return _block(draft, draft.problems)
        if draft.state is ItemState.NEW:
            return self._free_its_name(_plan_item(draft, ItemAction.CREATE))
        if draft.state is ItemState.SYSTEM and self._own_answer(draft).resolution is Resolution.OVERWRITE:
            return _block(draft, [_built_in_row(draft, self._kind)])
        if draft.state is ItemState.DIFFERENT and answer is Resolution.OVERWRITE:
            return _plan_item(draft, ItemAction.OVERWRITE)
        return _plan_item(draft, ItemAction.SKIP)

    def _free_its_name(self, step: PlannedItem) -> PlannedItem:
        deleted = self._context.current.deleted.get(step.final_name)
        if deleted is None:
            return step
        renamed = copy.copy(deleted)
        renamed.name = name_for_deleted(step.final_name, deleted.id, self._kind.name_limit)
        message = (
            f"A deleted row still has the name {quoted(step.final_name)}. It is renamed to {quoted(renamed.name)}."
        )
        freed = Finding("name", "name_freed", message, step.final_name)
        return replace(step, renamed_row=renamed, warnings=(*step.warnings, freed))


def _plan_item(draft: Draft, action: ItemAction) -> PlannedItem:
    return PlannedItem(draft, action, draft.item.name, draft.problems, draft.warnings)


def _block(draft: Draft, problems: Sequence[Finding]) -> PlannedItem:
    return replace(_plan_item(draft, ItemAction.BLOCKED), problems=tuple(problems))


def _built_in_row(draft: Draft, kind: Kind) -> Finding:
    message = f"{quoted(draft.item.name)} is one of tvarr's built-in {kind.label} and cannot be overwritten. Skip or rename it."
    return Finding("name", "system_row", message, draft.item.name)
