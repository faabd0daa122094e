"""Apply an import: all of it or nothing, in one transaction on tvarr's database."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import DatabaseError

from tvarr_backup.errors import DatabaseBusy, DatabaseUnusable, ImportBlocked, PlanStale
from tvarr_backup.models import PortableRow
from tvarr_backup.portable.answers import Answers
from tvarr_backup.portable.envelope import Envelope
from tvarr_backup.portable.judge import Finding
from tvarr_backup.portable.kinds import Kind
from tvarr_backup.portable.plan import plan_import
from tvarr_backup.portable.references import Settled, hold, settle
from tvarr_backup.portable.steps import Action, Plan, State, Step
from tvarr_backup.portable.tvarr_memory import RELOAD_ADVICE, needs_reload
from tvarr_backup.quoting import quoted
from tvarr_backup.texts import escape_hidden
from tvarr_backup.tvarr_database import is_busy, write_transaction

logger = structlog.stdlib.get_logger(__name__)

_MAX_LINES = 20


@dataclass(frozen=True)
class ResultLine:
    """What happened to one item; `row_id` is the row that was written, or the one that has the name of the item."""

    position: int
    original_name: str
    source_type: str
    final_name: str
    action: Action
    state: State
    row_id: str | None
    warnings: tuple[Finding, ...]


@dataclass(frozen=True)
class ImportResult:
    """What an import did. `notes` are sentences about the import as a whole.

    With `restart_required` a running tvarr must reload, and a note says how.
    """

    kind: Kind
    lines: tuple[ResultLine, ...]
    notes: tuple[str, ...]
    restart_required: bool = False

    def count(self, action: Action) -> int:
        return sum(line.action is action for line in self.lines)

    @property
    def unchanged(self) -> int:
        """The number of items that are here with the same values."""
        return sum(line.state is State.IDENTICAL and line.action is Action.SKIP for line in self.lines)

    @property
    def skipped(self) -> int:
        """The number of items that differ and were skipped."""
        return self.count(Action.SKIP) - self.unchanged


def apply_import(envelope: Envelope, answers: Answers | None = None, fingerprint: str | None = None) -> ImportResult:
    """Plan the import again with the database locked, then write every step.

    Raises `ImportBlocked` when an item cannot be stored, `PlanStale` when the new plan has another fingerprint than the given
    one (both with the new plan), `DatabaseBusy` when the database stays locked for 20 s, `DatabaseUnusable` when it cannot be
    written, or `AnswerInvalid`. In each case nothing was written.
    """
    began = time.monotonic()
    try:
        with write_transaction():
            plan = plan_import(envelope, answers)
            if fingerprint is not None and fingerprint != plan.fingerprint:
                raise PlanStale(
                    "What the preview showed has changed since; nothing was imported. Look again.", plan=plan
                )
            if plan.blocked:
                raise ImportBlocked(*_why_blocked(plan), plan=plan)
            rows = {step.position: step.build_row() for step in plan.steps if step.writes}
            _write(plan, rows)
            settled = settle()
    except DatabaseError as problem:
        if is_busy(problem):
            raise DatabaseBusy(
                "Another process is writing to the database; nothing was imported. Try again."
            ) from problem
        raise DatabaseUnusable(f"The database did not take the import, and nothing was stored: {problem}.") from problem
    lines = tuple(_line(step, rows.get(step.position)) for step in plan.steps)
    restart_required = needs_reload(_changed_rows(plan, rows, settled))
    advice = [RELOAD_ADVICE] if restart_required else []
    notes = (*plan.warnings, *map(escape_hidden, map(_completed, settled)), *advice)
    result = ImportResult(plan.kind, lines, notes, restart_required)
    logger.info(
        "import.applied",
        kind=plan.kind.slug.value,
        items=len(lines),
        created=result.count(Action.CREATE),
        renamed=result.count(Action.RENAME),
        overwritten=result.count(Action.OVERWRITE),
        unchanged=result.unchanged,
        skipped=result.skipped,
        seconds=round(time.monotonic() - began, 3),
    )
    return result


def _write(plan: Plan, rows: Mapping[int, PortableRow]) -> None:
    """Write the rows, which are given by the position of their items."""
    model = plan.kind.model
    for step in plan.steps:
        if step.retires is not None:
            step.retires.save(update_fields=["name"])
    created = [step for step in plan.steps if step.action in (Action.CREATE, Action.RENAME)]
    overwritten = [step for step in plan.steps if step.action is Action.OVERWRITE]
    model.objects.bulk_create(_rows_of(created, rows))
    # One statement per batch for rows that are all there: an update by way of the key. What is not listed is kept.
    whole = [step for step in overwritten if not rows[step.position].unreadable]
    columns = _columns_of(
        plan.kind, (name for name in plan.kind.by_name if name not in {"name", *plan.kind.not_imported})
    )
    model.objects.bulk_create(_rows_of(whole, rows), update_conflicts=True, unique_fields=["id"], update_fields=columns)
    for step in overwritten:
        row = rows[step.position]
        if row.unreadable:  # what is stored in its other columns must stay as it is
            row.save(update_fields=_columns_of(plan.kind, (difference.field for difference in step.differences)))
    written = [*created, *overwritten]
    unresolved = {str(rows[step.position].pk): step.unresolved for step in written if step.unresolved}
    hold(plan.kind, _rows_of(written, rows), unresolved)


def _rows_of(steps: Iterable[Step], rows: Mapping[int, PortableRow]) -> list[Any]:
    return [rows[step.position] for step in steps]


def _columns_of(kind: Kind, members: Iterable[str]) -> list[str]:
    """Return the model fields of members, and the time of the change."""
    reference = kind.reference
    names = [reference.field if reference and name == reference.member else name for name in members]
    return [*names, "updated_at"]


def _line(step: Step, row: PortableRow | None) -> ResultLine:
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


def _completed(done: Settled) -> str:
    return f"“{done.row.name}” ({done.kind.label}) now refers to “{done.value}”, as its file said."


def _changed_rows(plan: Plan, rows: Mapping[int, PortableRow], settled: list[Settled]) -> Iterator[PortableRow]:
    """Yield every written row, and also its previous state where the import disabled it."""
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
    yield from (done.row for done in settled)


def _why_blocked(plan: Plan) -> list[str]:
    lines = [
        f"#{step.position} {quoted(step.name)}, {problem.field}: {problem.message}"
        for step in plan.blocked
        for problem in step.problems
    ]
    more = [f"And {len(lines) - _MAX_LINES} more."] if len(lines) > _MAX_LINES else []
    return ["Nothing was imported; these items cannot be stored:", *lines[:_MAX_LINES], *more]
