"""Apply an import: all of it or nothing, in one transaction on tvarr's database.

It is planned again inside the transaction, so a second click, or one after a crash, imports nothing twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import structlog

from tvarr_backup.errors import ImportBlocked, PlanStale
from tvarr_backup.models import PortableRow
from tvarr_backup.portable.answers import Answers
from tvarr_backup.portable.bundles import BundlePlan, placeholders, plan_bundle
from tvarr_backup.portable.envelope import BUNDLE, Bundle, Envelope, bundle_of
from tvarr_backup.portable.findings import Finding
from tvarr_backup.portable.kinds import Kind, Slug
from tvarr_backup.portable.references import CompletedReference, complete_references, remember_references
from tvarr_backup.portable.steps import ItemAction, ItemState, Plan, PlannedItem
from tvarr_backup.portable.tvarr_memory import RELOAD_ADVICE, needs_reload
from tvarr_backup.portable.undo import ChangeLog, Recorder
from tvarr_backup.portable.writing import explained_writes
from tvarr_backup.quoting import quoted
from tvarr_backup.sentences import Sentence
from tvarr_backup.tvarr_database import write_transaction

logger = structlog.stdlib.get_logger(__name__)

_MAX_LINES = 20


@dataclass(frozen=True)
class ResultLine:
    """What happened to one item. `row_id` is the row that was written, or the existing row of that name."""

    position: int
    original_name: str
    source_type: str
    final_name: str
    action: ItemAction
    state: ItemState
    row_id: str | None
    warnings: tuple[Finding, ...]


@dataclass(frozen=True)
class ImportResult:
    """What an import did, with sentences about it in `notes`. If `restart_required`, a running tvarr must reload.

    `log` undoes it. `record_id` is its record, or "" if it could not be recorded.
    """

    kind: Kind
    lines: tuple[ResultLine, ...]
    notes: tuple[str, ...]
    restart_required: bool = False
    log: ChangeLog = field(default_factory=ChangeLog)
    record_id: str = ""

    def count(self, action: ItemAction) -> int:
        return sum(line.action is action for line in self.lines)

    @property
    def unchanged(self) -> int:
        """The number of items that already exist with the same values."""
        return sum(line.state is ItemState.IDENTICAL and line.action is ItemAction.SKIP for line in self.lines)

    @property
    def skipped(self) -> int:
        """The number of items that differ and were skipped."""
        return self.count(ItemAction.SKIP) - self.unchanged


@dataclass(frozen=True)
class BundleResult:
    """What an import did, with a result for each kind. The other members are as in `ImportResult`."""

    results: tuple[ImportResult, ...]
    notes: tuple[str, ...]
    restart_required: bool = False
    log: ChangeLog = field(default_factory=ChangeLog)
    record_id: str = ""

    @property
    def only(self) -> ImportResult:
        """The result of a file with one kind."""
        (result,) = self.results
        return replace(
            result,
            notes=self.notes,
            restart_required=self.restart_required,
            log=self.log,
            record_id=self.record_id,
        )

    @property
    def kind(self) -> str:
        """The `export_type` of the file."""
        return self.results[0].kind.slug if len(self.results) == 1 else BUNDLE

    def count(self, action: ItemAction) -> int:
        return sum(result.count(action) for result in self.results)

    @property
    def unchanged(self) -> int:
        return sum(result.unchanged for result in self.results)

    @property
    def skipped(self) -> int:
        return sum(result.skipped for result in self.results)


def apply_import(envelope: Envelope, answers: Answers | None = None, fingerprint: str | None = None) -> ImportResult:
    """Do what `apply_bundle` does, for a file with one kind."""
    return apply_bundle(bundle_of(envelope), {envelope.kind.slug: answers or Answers()}, fingerprint).only


def apply_bundle(
    bundle: Bundle, answers: Mapping[Slug, Answers] = MappingProxyType({}), fingerprint: str | None = None
) -> BundleResult:
    """Plan the import again with the database locked, and write every item of every kind.

    Raises `ImportBlocked`, `PlanStale`, `DatabaseBusy` (after 20 s), `DatabaseUnusable` or `AnswerInvalid`, and writes nothing.
    """
    began = time.monotonic()
    with explained_writes("Nothing was imported"), write_transaction():
        planned = plan_bundle(bundle, answers)
        if fingerprint is not None and fingerprint != planned.fingerprint:
            raise PlanStale(
                "The data has changed since the preview. Nothing was imported. Check the new preview.",
                plan=_shown(planned),
            )
        if planned.blocked:
            raise ImportBlocked(*_describe_blocked(planned), plan=_shown(planned))
        recorder, stored = Recorder(), dict[str, str]()
        recorder.note_waiting()
        written = []
        for plan in planned.plans:
            rows = _build_rows(plan, stored)
            recorder.note(plan.kind, _find_written(plan, rows))
            _write(plan, rows)
            stored.update(placeholders(plan, {position: row.pk for position, row in rows.items()}))
            written.append((plan, rows))
        completed = complete_references()
        log = recorder.finish()
    changed = (row for plan, rows in written for row in _changed_rows(plan, rows, completed))
    restart_required = needs_reload(changed)
    advice = [RELOAD_ADVICE] if restart_required else []
    notes = (*planned.warnings, *map(_describe_completed, completed), *advice)
    results = tuple(_describe(plan, rows) for plan, rows in written)
    seconds = round(time.monotonic() - began, 3)
    for result in results:
        logger.info(
            "import.applied",
            kind=result.kind.slug.value,
            items=len(result.lines),
            created=result.count(ItemAction.CREATE),
            renamed=result.count(ItemAction.RENAME),
            overwritten=result.count(ItemAction.OVERWRITE),
            unchanged=result.unchanged,
            skipped=result.skipped,
            seconds=seconds,
        )
    return BundleResult(results, notes, restart_required, log)


def _shown(planned: BundlePlan) -> Plan | BundlePlan:
    return planned.plans[0] if len(planned.plans) == 1 else planned


def _build_rows(plan: Plan, stored: Mapping[str, str]) -> dict[int, PortableRow]:
    """Return the rows to write by position, with the ids of profiles that this import has stored."""
    rows = {step.position: step.build_row() for step in plan.steps if step.writes}
    if plan.kind.reference is not None:
        column = plan.kind.reference.column
        for row in rows.values():
            row_id = getattr(row, column)
            setattr(row, column, stored.get(row_id, row_id))
    return rows


def _describe(plan: Plan, rows: Mapping[int, PortableRow]) -> ImportResult:
    return ImportResult(plan.kind, tuple(_line(step, rows.get(step.position)) for step in plan.steps), ())


def _write(plan: Plan, rows: Mapping[int, PortableRow]) -> None:
    model = plan.kind.model
    for step in plan.steps:
        if step.renamed_row is not None:
            step.renamed_row.save(update_fields=["name"])
    created = [step for step in plan.steps if step.action in (ItemAction.CREATE, ItemAction.RENAME)]
    overwritten = [step for step in plan.steps if step.action is ItemAction.OVERWRITE]
    model.objects.bulk_create(_rows_of(created, rows))
    # An upsert updates many rows with one statement, but only the listed columns. All of these rows exist.
    readable = [step for step in overwritten if not rows[step.position].unreadable]
    columns = _columns_of(
        plan.kind, (name for name in plan.kind.by_name if name not in {"name", *plan.kind.not_imported})
    )
    model.objects.bulk_create(
        _rows_of(readable, rows), update_conflicts=True, unique_fields=["id"], update_fields=columns
    )
    for step in overwritten:
        row = rows[step.position]
        if row.unreadable:  # its unreadable values must not be replaced by what stands for them
            row.save(update_fields=_columns_of(plan.kind, (difference.field for difference in step.differences)))
    written = [*created, *overwritten]
    unresolved = {str(rows[step.position].pk): step.unresolved for step in written if step.unresolved}
    remember_references(plan.kind, _rows_of(written, rows), unresolved)


def _find_written(plan: Plan, rows: Mapping[int, PortableRow]) -> list[str]:
    """Return the ids of the rows that `_write` writes."""
    freed = [step.renamed_row.id for step in plan.steps if step.renamed_row is not None]
    return [*freed, *(row.id for row in rows.values())]


def _rows_of(steps: Iterable[PlannedItem], rows: Mapping[int, PortableRow]) -> list[Any]:
    return [rows[step.position] for step in steps]


def _columns_of(kind: Kind, members: Iterable[str]) -> list[str]:
    reference = kind.reference
    names = [reference.field if reference and name == reference.member else name for name in members]
    return [*names, "updated_at"]


def _line(step: PlannedItem, row: PortableRow | None) -> ResultLine:
    written = step.existing_id if row is None else row.pk
    return ResultLine(
        position=step.position,
        original_name=step.name,
        source_type=step.source_type,
        final_name=step.final_name,
        action=step.action,
        state=step.state,
        row_id=written,
        warnings=step.warnings,
    )


def _describe_completed(reference: CompletedReference) -> Sentence:
    facts = {"name": quoted(reference.row.name), "kind": reference.kind.label, "target": quoted(reference.value)}
    return Sentence("{name} ({kind}) now refers to {target}, which did not exist when it was imported.", **facts)


def _changed_rows(
    plan: Plan, rows: Mapping[int, PortableRow], completed: list[CompletedReference]
) -> Iterator[PortableRow]:
    """Yield every written row, and its previous state if the import enabled or disabled it."""
    for step in plan.steps:
        row = rows.get(step.position)
        if row is None:
            continue
        yield row
        for difference in step.differences:
            if difference.field == "is_enabled":
                before: Any = copy(row)
                before.is_enabled = difference.now
                yield before
    yield from (reference.row for reference in completed)


def _describe_blocked(planned: BundlePlan) -> list[str]:
    is_one_kind = len(planned.plans) == 1
    lines = [
        f"{'' if is_one_kind else f'{kind.label} '}#{step.position} {quoted(step.name)}, {problem.field}: {problem.message}"
        for kind, step in planned.blocked
        for problem in step.problems
    ]
    more = [f"And {len(lines) - _MAX_LINES} more."] if len(lines) > _MAX_LINES else []
    return ["Nothing was imported. Fix or skip these items:", *lines[:_MAX_LINES], *more]
