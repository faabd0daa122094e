"""Undo of imports: rows get back what they had before, unless they have been changed since.

An import records each row it writes: the columns before, and a digest of the columns after. Undoing it records the same, so
an undo is undone in the same way.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import structlog
from django.db import connections, router

from tvarr_backup.errors import PlanStale, UndoRefused
from tvarr_backup.models import ClientDetectionRule, EncodingProfile, PortableRow
from tvarr_backup.portable.kinds import KINDS, Kind, Slug
from tvarr_backup.portable.models import HeldReference
from tvarr_backup.portable.stored_rows import (
    StoredRow,
    delete_rows,
    find_columns,
    find_ids_by_name,
    find_referring,
    insert_row,
    read_rows,
    update_row,
)
from tvarr_backup.portable.tvarr_memory import needs_reload
from tvarr_backup.portable.writing import explained_writes
from tvarr_backup.tvarr_database import write_transaction

logger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row that was written: its columns before (None if it was created) and a digest of those after (None if it was deleted)."""

    kind: Kind
    row_id: str
    name: str
    source_type: str
    before: StoredRow | None
    after: str | None


@dataclass(frozen=True)
class ChangeLog:
    """The rows that an import or an undo has written, with the columns that are recorded, by kind.

    `restore_id` is that of the database at that time. `held` are references that waited for their target before.
    """

    changes: tuple[RowChange, ...] = ()
    columns: Mapping[Slug, tuple[str, ...]] = field(default_factory=dict)
    restore_id: int = 0
    held: tuple[HeldReference, ...] = ()

    def pack(self) -> bytes:
        """Return the log as compressed JSON, or nothing if no row was written."""
        if not self.changes:
            return b""
        data = {
            "restore_id": self.restore_id,
            "columns": self.columns,
            "rows": [
                [
                    change.kind.slug,
                    change.row_id,
                    change.name,
                    change.source_type,
                    None if change.before is None else list(change.before.values()),
                    change.after,
                ]
                for change in self.changes
            ],
            "held": [[held.kind, held.row_id, held.member, held.value, _moment(held)] for held in self.held],
        }
        return zlib.compress(json.dumps(data, separators=(",", ":")).encode())

    @classmethod
    def unpack(cls, packed: bytes) -> ChangeLog:
        data = json.loads(zlib.decompress(packed))
        columns = {Slug(slug): tuple(names) for slug, names in data["columns"].items()}
        return cls(
            changes=tuple(_read_change(columns, row) for row in data["rows"]),
            columns=columns,
            restore_id=data["restore_id"],
            held=tuple(_read_held(*held) for held in data["held"]),
        )


def _read_change(columns: Mapping[Slug, tuple[str, ...]], row: Sequence[Any]) -> RowChange:
    slug, row_id, name, source_type, values, after = row
    before = None if values is None else dict(zip(columns[Slug(slug)], values, strict=True))
    return RowChange(KINDS[Slug(slug)], row_id, name, source_type, before, after)


def _moment(held: HeldReference) -> str | None:
    return held.row_updated_at.isoformat() if held.row_updated_at else None


def _read_held(kind: str, row_id: str, member: str, value: str, moment: str | None) -> HeldReference:
    updated_at: Any = datetime.fromisoformat(moment) if moment else None
    return HeldReference(kind=kind, row_id=row_id, member=member, value=value, row_updated_at=updated_at)


class Recorder:
    """Records what a transaction on tvarr's database does to rows. Note each row before it is written."""

    def __init__(self) -> None:
        self._columns: dict[Slug, tuple[str, ...]] = {}
        self._before: dict[Slug, dict[str, StoredRow | None]] = {}
        self._held: list[HeldReference] = []
        self._restore_id = restore_id_now()

    def note(self, kind: Kind, ids: Iterable[str]) -> None:
        """Remember the columns of these rows, and the references that wait. A row that does not exist is about to be created."""
        noted = self._before.setdefault(kind.slug, {})
        new = [row_id for row_id in ids if row_id not in noted]
        columns = self._columns.setdefault(kind.slug, find_columns(kind.model)) if new else ()
        rows = read_rows(kind.model, new, columns)
        noted.update((row_id, rows.get(row_id)) for row_id in new)
        if kind.reference is not None:
            self._held += [held for held in HeldReference.objects.filter(kind=kind.slug) if held.row_id in set(new)]

    def note_waiting(self) -> None:
        """Remember the rows whose reference waits, because it may be completed."""
        waiting: dict[str, list[str]] = {}
        for kind, row_id in HeldReference.objects.values_list("kind", "row_id"):
            waiting.setdefault(kind, []).append(row_id)
        for slug, ids in waiting.items():
            self.note(KINDS[Slug(slug)], ids)

    def finish(self) -> ChangeLog:
        """Return what has changed in the rows since they were noted."""
        changes = [change for slug in self._before for change in self._changes_of(KINDS[slug])]
        return ChangeLog(tuple(changes), self._columns, self._restore_id, tuple(self._held))

    def _changes_of(self, kind: Kind) -> Iterator[RowChange]:
        noted = self._before[kind.slug]
        rows = read_rows(kind.model, noted, self._columns.get(kind.slug, ()))
        for row_id, before in noted.items():
            after = rows.get(row_id)
            if before != after:
                shown = after or before or {}
                name, source_type = (_read(shown.get(column)) for column in ("name", "source_type"))
                yield RowChange(kind, row_id, name, source_type, before, _digest(after))


def _read(stored: Any) -> str:
    """Return a stored text for display. Bytes that are not UTF-8 become U+FFFD."""
    return "" if stored is None else str(stored).encode(errors="surrogateescape").decode(errors="replace")


def restore_id_now() -> int:
    """Return what changes with each restore (`user_version`), or 0 on a server, where there are none."""
    connection = connections[router.db_for_write(PortableRow)]
    if connection.vendor != "sqlite":
        return 0
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA user_version")
        return int(cursor.fetchone()[0])


def _digest(row: StoredRow | None) -> str | None:
    if row is None:
        return None
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:24]


# --- Plans ------------------------------------------------------------------------------------------------------------


class UndoAction(StrEnum):
    """What an undo does with a row."""

    REMOVE = "remove"
    """Delete the row that was created."""
    PUT_BACK = "put_back"
    """Give the row all columns that it had."""
    ADD_BACK = "add_back"
    """Insert the row that was deleted."""
    KEEP = "keep"


class KeptBecause(StrEnum):
    """Why a row is kept as it is."""

    CHANGED = "changed"
    DELETED = "deleted"
    """Deleted since, so there is nothing to remove, or nothing to put back to."""
    IN_USE = "in_use"
    NAME_TAKEN = "name_taken"


KEPT_BECAUSE = {
    KeptBecause.CHANGED: "changed since",
    KeptBecause.DELETED: "deleted since",
    KeptBecause.IN_USE: "in use",
    KeptBecause.NAME_TAKEN: "another item has its former name",
}


@dataclass(frozen=True, slots=True)
class UndoStep:
    change: RowChange
    action: UndoAction
    current: StoredRow | None
    reason: KeptBecause | None = None

    @property
    def may_be_included(self) -> bool:
        """Whether the user can undo the row in spite of the reason."""
        was_changed = self.reason in (KeptBecause.CHANGED, KeptBecause.DELETED)
        return was_changed and (self.current is not None or self.change.before is not None)


@dataclass(frozen=True)
class UndoPlan:
    """What an undo would do. The fingerprint covers the rows as they are now, not what the user includes."""

    steps: tuple[UndoStep, ...]
    fingerprint: str

    def count(self, action: UndoAction) -> int:
        return sum(step.action is action for step in self.steps)

    @property
    def writes(self) -> bool:
        return any(step.action is not UndoAction.KEEP for step in self.steps)

    def with_action(self, action: UndoAction) -> list[UndoStep]:
        return [step for step in self.steps if step.action is action]


def plan_undo(log: ChangeLog, include: Collection[str] = ()) -> UndoPlan:
    """Compare the rows with what the import left. Rows in `include` (ids) are undone even if they have changed since.

    Raises `UndoRefused` if the database has been restored since.
    """
    if log.restore_id != restore_id_now():
        raise UndoRefused(
            "The database has been restored since this import, so the import cannot be undone. Nothing was changed."
        )
    current = _read_current(log)
    steps = [_decide(change, current.get((change.kind.slug, change.row_id)), include) for change in log.changes]
    steps = _keep_used_rows(steps)
    steps = _keep_taken_names(steps)
    facts = "".join(f"{step.change.row_id}{_digest(step.current)}" for step in steps)
    return UndoPlan(tuple(steps), "sha256:" + hashlib.sha256(facts.encode()).hexdigest())


def _read_current(log: ChangeLog) -> dict[tuple[Slug, str], StoredRow]:
    found = {}
    for slug, recorded in log.columns.items():
        model = KINDS[slug].model
        columns = [name for name in find_columns(model) if name in recorded]
        ids = [change.row_id for change in log.changes if change.kind.slug == slug]
        found.update({(slug, row_id): row for row_id, row in read_rows(model, ids, columns).items()})
    return found


def _decide(change: RowChange, current: StoredRow | None, include: Collection[str]) -> UndoStep:
    is_included = change.row_id in include
    if current == change.before:
        reason = KeptBecause.DELETED if current is None else None
        return UndoStep(change, UndoAction.KEEP, current, reason)
    if _digest(current) != change.after and not is_included:
        return UndoStep(
            change, UndoAction.KEEP, current, KeptBecause.DELETED if current is None else KeptBecause.CHANGED
        )
    if change.before is None:
        return UndoStep(change, UndoAction.REMOVE, current)
    return UndoStep(change, UndoAction.ADD_BACK if current is None else UndoAction.PUT_BACK, current)


def _keep_used_rows(steps: list[UndoStep]) -> list[UndoStep]:
    """Keep rows to which others refer, except rows that this undo changes as well."""
    undone = {
        (step.change.kind.model._meta.db_table, step.change.row_id)
        for step in steps
        if step.action is not UndoAction.KEEP
    }
    users: dict[tuple[Slug, str], set[tuple[str, str]]] = {}
    for kind in KINDS.values():
        removed = [
            step.change.row_id for step in steps if step.action is UndoAction.REMOVE and step.change.kind is kind
        ]
        if removed:
            users |= {(kind.slug, row_id): found for row_id, found in find_referring(kind.model, removed).items()}
    return [
        replace(step, action=UndoAction.KEEP, reason=KeptBecause.IN_USE)
        if step.action is UndoAction.REMOVE and users.get((step.change.kind.slug, step.change.row_id), set()) - undone
        else step
        for step in steps
    ]


def _keep_taken_names(steps: list[UndoStep]) -> list[UndoStep]:
    """Keep rows whose former name another row has, if names are unique and that row does not give it up."""
    taken: set[str] = set()
    for kind in KINDS.values():
        if kind.unique_names:
            mine = [step for step in steps if step.change.kind is kind]
            renamed = {step.change.row_id: _name_before(step) for step in mine if _takes_a_name(step)}
            freed = {step.change.row_id for step in mine if step.action is UndoAction.REMOVE} | renamed.keys()
            names = find_ids_by_name(kind.model, filter(None, renamed.values()))
            others = {name for name, row_id in names if row_id not in freed}
            taken |= {row_id for row_id, name in renamed.items() if name in others}
    return [
        replace(step, action=UndoAction.KEEP, reason=KeptBecause.NAME_TAKEN) if step.change.row_id in taken else step
        for step in steps
    ]


def _takes_a_name(step: UndoStep) -> bool:
    if step.action not in (UndoAction.PUT_BACK, UndoAction.ADD_BACK):
        return False
    return step.current is None or step.current.get("name") != _name_before(step)


def _name_before(step: UndoStep) -> str | None:
    return None if step.change.before is None else str(step.change.before["name"])


# --- Undo -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class UndoResult:
    """What an undo did, and the log that undoes it. `record_id` is its record, or "" if it could not be recorded."""

    plan: UndoPlan
    log: ChangeLog
    restart_required: bool
    record_id: str = ""


def apply_undo(log: ChangeLog, include: Collection[str] = (), fingerprint: str | None = None) -> UndoResult:
    """Undo the changes of a log in one transaction.

    Raises `UndoRefused`, `PlanStale`, `DatabaseBusy` (after 20 s) or `DatabaseUnusable`, and changes nothing.
    """
    with explained_writes("Nothing was changed"), write_transaction():
        plan = plan_undo(log, include)
        if fingerprint is not None and fingerprint != plan.fingerprint:
            raise PlanStale(
                "The data has changed since the preview. Nothing was changed. Check the new preview.", plan=plan
            )
        if not plan.writes:
            raise UndoRefused(
                "There is nothing to undo: each row has been changed or deleted since. Nothing was changed."
            )
        recorder = Recorder()
        undone = [step for step in plan.steps if step.action is not UndoAction.KEEP]
        for kind in KINDS.values():
            recorder.note(kind, [step.change.row_id for step in undone if step.change.kind is kind])
        before = _rows_in_memory(undone)
        _write(undone)
        _hold_again(log.held)
        restart_required = needs_reload([*before, *_rows_in_memory(undone)])
        made = recorder.finish()
    logger.info("import.undone", **{action.value: plan.count(action) for action in UndoAction})
    return UndoResult(plan, made, restart_required)


def _write(steps: list[UndoStep]) -> None:
    """Write in an order in which no name is used twice, and no row refers to one that is missing."""
    taken = {
        (kind.slug, name)
        for kind in KINDS.values()
        if kind.unique_names
        for name, _ in find_ids_by_name(
            kind.model, [_name_before(step) or "" for step in steps if _takes_a_name(step) and step.change.kind is kind]
        )
    }

    def waits_for_its_name(step: UndoStep) -> bool:
        return _takes_a_name(step) and (step.change.kind.slug, _name_before(step)) in taken

    renamed = [step for step in steps if step.action is UndoAction.PUT_BACK and _takes_a_name(step)]
    _update(step for step in renamed if not waits_for_its_name(step))
    _insert(step for step in steps if step.action is UndoAction.ADD_BACK and not waits_for_its_name(step))
    _update(step for step in steps if step.action is UndoAction.PUT_BACK and not _takes_a_name(step))
    for kind in KINDS.values():
        removed = [
            step.change.row_id for step in steps if step.action is UndoAction.REMOVE and step.change.kind is kind
        ]
        delete_rows(kind.model, removed)
    _update(step for step in renamed if waits_for_its_name(step))
    _insert(step for step in steps if step.action is UndoAction.ADD_BACK and waits_for_its_name(step))


def _insert(steps: Iterable[UndoStep]) -> None:
    for step in steps:
        if step.change.before is not None:
            insert_row(step.change.kind.model, step.change.before)


def _update(steps: Iterable[UndoStep]) -> None:
    for step in steps:
        if step.change.before is not None:
            known = {name: value for name, value in step.change.before.items() if name in (step.current or {})}
            update_row(step.change.kind.model, step.change.row_id, known)


def _hold_again(held: Iterable[HeldReference]) -> None:
    """Store references that waited before the import, and were forgotten with it."""
    for reference in held:
        HeldReference.objects.get_or_create(
            kind=reference.kind,
            row_id=reference.row_id,
            member=reference.member,
            row_updated_at=reference.row_updated_at,
            defaults={"value": reference.value},
        )


def _rows_in_memory(steps: list[UndoStep]) -> list[Any]:
    """Return the rows, as they are now, of the kinds that tvarr keeps in memory."""
    models = (ClientDetectionRule, EncodingProfile)
    return [
        row
        for model in models
        for row in model.all_rows.in_bulk(
            [step.change.row_id for step in steps if step.change.kind.model is model]
        ).values()
    ]
