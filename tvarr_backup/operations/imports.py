"""Records of imports: files that are uploaded, previewed, applied and undone, and the history.

Each request plans a pending import again, so reload, a second tab and another device all see the same state. Choices
are merged into the stored ones under a row lock. If an item has changed since it was shown, only its choice is dropped.
An import compares the fingerprint in its transaction, so applying it twice does not import twice.
"""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import structlog
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, OperationalError, transaction
from django.db.models import Q
from django.db.models.functions import Length

from tvarr_backup.errors import AnswerInvalid, DatabaseBusy, ImportNotFound, PlanStale, UndoRefused
from tvarr_backup.operations import history
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.models import HistoryEventKind, ImportRecord, ImportState, Origin, delete_oldest
from tvarr_backup.portable.answers import Answers, Resolution
from tvarr_backup.portable.apply import BundleResult, ImportResult, ResultLine, apply_bundle
from tvarr_backup.portable.bundles import BundlePlan, BundlePlanner
from tvarr_backup.portable.choices import Change, Choices, find_changed_items, join_fingerprints, read_choices
from tvarr_backup.portable.envelope import BUNDLE, Bundle, Envelope, bundle_of, correct_envelope, read_bundle
from tvarr_backup.portable.kinds import Kind, Slug
from tvarr_backup.portable.steps import ItemAction, Plan
from tvarr_backup.portable.tvarr_memory import RELOAD_ADVICE
from tvarr_backup.portable.undo import ChangeLog, UndoAction, UndoPlan, UndoResult, apply_undo, plan_undo
from tvarr_backup.quoting import quoted

logger = structlog.stdlib.get_logger(__name__)

KEPT = 5000
"""Number of applied imports in the history."""
PENDING_FOR = timedelta(days=1)
MOST_PENDING = 20
"""For each user; a new upload deletes the oldest ones beyond."""
MOST_PENDING_BYTES = 64 * 2**20
"""For each user, of the compressed files."""
RESULTS_FOR = timedelta(days=30)
"""How long the result lists its items."""
_MOST_LINES = 1_000
_LONGEST_NAME = 255


def import_file(
    envelope: Envelope,
    answers: Answers | None,
    fingerprint: str | None,
    *,
    requested_by: Any,
    origin: Origin,
    file_name: str = "",
    record: ImportRecord | None = None,
) -> ImportResult:
    """Do what `import_bundle` does, for a file with one kind."""
    done = import_bundle(
        bundle_of(envelope),
        {envelope.kind.slug: answers or Answers()},
        fingerprint,
        requested_by=requested_by,
        origin=origin,
        file_name=file_name,
        record=record,
    )
    return done.only


def import_bundle(
    bundle: Bundle,
    answers: Mapping[Slug, Answers],
    fingerprint: str | None,
    *,
    requested_by: Any,
    origin: Origin,
    file_name: str = "",
    record: ImportRecord | None = None,
) -> BundleResult:
    """Apply an import and record it, in `record` if it was pending.

    Raises what `apply_bundle` raises, and `DatabaseBusy`, with nothing imported, if it could not be recorded. If
    recording fails after the import, that is only logged.
    """
    _require_writable()
    history.record_outside()
    done = apply_bundle(bundle, answers, fingerprint)
    record = record or ImportRecord(file_name=file_name[:_LONGEST_NAME], created_at=datetime.now(UTC))
    try:
        _record(record, done, requested_by=requested_by, origin=origin)
    except DatabaseError:
        logger.exception("import.unrecorded", kind=done.kind)
        return done
    history.record_import(HistoryEventKind.IMPORT, record.pk, _rows_in(done.log), user=requested_by, origin=origin)
    return replace(done, record_id=record.pk)


def _rows_in(log: ChangeLog) -> dict[Slug, set[str]]:
    """Return the ids of the rows that a log is about."""
    rows: dict[Slug, set[str]] = defaultdict(set)
    for change in log.changes:
        rows[change.kind.slug].add(change.row_id)
    return dict(rows)


def _require_writable() -> None:
    """Raise `DatabaseBusy` if our own database is locked."""
    try:
        with transaction.atomic(using=DEFAULT_DB_ALIAS):
            pass
    except OperationalError as problem:
        raise DatabaseBusy(
            "Nothing was changed, because another program has locked this program's own database. Try again."
        ) from problem


def _record(record: ImportRecord, done: BundleResult, *, requested_by: Any, origin: Origin) -> None:
    """Store an applied import, even if its record was discarded or deleted in the meantime."""
    record.state = ImportState.APPLIED
    record.kind, record.requested_by, record.origin = done.kind, requested_by, origin
    record.file, record.choices, record.fingerprint, record.marks = b"", "", "", ""
    record.added = done.count(ItemAction.CREATE)
    record.overwritten = done.count(ItemAction.OVERWRITE)
    record.copied = done.count(ItemAction.RENAME)
    record.skipped, record.unchanged = done.skipped, done.unchanged
    record.result = _result_as_json(done) if origin == Origin.WEB else ""
    _store_log(record, done.log)
    record.finished_at = datetime.now(UTC)
    record.save()
    delete_old_imports()


def delete_old_imports() -> None:
    """Delete expired pending imports, the oldest applied ones, the items of old results, and what undoing old ones needs."""
    now, applied = datetime.now(UTC), Q(state=ImportState.APPLIED)
    ImportRecord.objects.filter(~applied, created_at__lt=now - PENDING_FOR).delete()
    ImportRecord.objects.filter(applied, finished_at__lt=now - RESULTS_FOR).exclude(result="").update(result="")
    delete_oldest(ImportRecord.objects.filter(applied), KEPT)
    _delete_old_logs(now)


def _store_log(record: ImportRecord, log: ChangeLog) -> None:
    record.log = log.pack() if settings.UNDO_DAYS else b""
    record.log_bytes = len(record.log)


def _delete_old_logs(now: datetime) -> None:
    logs = ImportRecord.objects.filter(log_bytes__gt=0).order_by("-finished_at", "-id")
    size, deleted = 0, []
    for key, finished_at, stored in logs.values_list("pk", "finished_at", "log_bytes"):
        size += stored
        if size > settings.UNDO_BYTES or (finished_at or now) < now - timedelta(days=settings.UNDO_DAYS):
            deleted.append(key)
    ImportRecord.objects.filter(pk__in=deleted).update(log=b"", log_bytes=0)


# --- Pending imports --------------------------------------------------------------------------------------------------


def keep_import(content: bytes, *, file_name: str, user: Any) -> ImportRecord:
    """Read a file and store it as a pending import of this user. Raises `FileRefused`."""
    bundle = read_bundle(BytesIO(content))
    packed = zlib.compress(content)
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        delete_old_imports()
        _make_room(user, len(packed))
        return ImportRecord.objects.create(
            state=ImportState.PENDING,
            kind=bundle.parts[0].kind.slug if len(bundle.parts) == 1 else BUNDLE,
            file_name=file_name[:_LONGEST_NAME],
            requested_by=user,
            origin=Origin.WEB,
            file=packed,
            choices=_choices_as_json({}),
            created_at=datetime.now(UTC),
        )


def choose_overwriting(record: ImportRecord) -> None:
    """Choose to overwrite each changed item of a new pending import."""
    for plan in open_import(record).whole.plans:
        record.refresh_from_db()
        change_choices(open_import(record, plan.kind.slug), Change(bulk=Resolution.OVERWRITE))


def _make_room(user: Any, size: int) -> None:
    """Delete the user's oldest pending imports that exceed the limits together with a new one of this size."""
    pending = ImportRecord.objects.filter(state=ImportState.PENDING, requested_by=user)
    deleted = []
    for number, (key, stored) in enumerate(pending.values_list("pk", Length("file")), start=2):
        size += stored
        if number > MOST_PENDING or size > MOST_PENDING_BYTES:
            deleted.append(key)
    pending.filter(pk__in=deleted).delete()


def find_import(key: str, user: Any) -> ImportRecord:
    """Return an import of the user, or any for an administrator. Raises `DoesNotExist`, also if it has expired."""
    found = ImportRecord.objects.get(pk=key)
    is_expired = found.state == ImportState.PENDING and expires_at(found) < datetime.now(UTC)
    if is_expired or not may_open_import(found, user):
        raise ImportRecord.DoesNotExist
    return found


def may_open_import(record: ImportRecord, user: Any) -> bool:
    """Return whether the user may see an import: its uploader or an administrator."""
    return bool(Actor(user, Origin.WEB).is_administrator or record.requested_by_id == user.pk)


def expires_at(record: ImportRecord) -> datetime:
    """Return when a pending import expires."""
    return record.created_at + PENDING_FOR


@dataclass(frozen=True)
class OpenImport:
    """A pending import, planned against the current data, of which the items of one kind (`slug`) are shown.

    `all_newly_changed` are the items that changed since they were shown last; their choices are dropped. `problem` says why
    another answer was dropped. The bundle has the user's corrections.
    """

    record: ImportRecord
    bundle: Bundle
    planner: BundlePlanner
    all_choices: Mapping[Slug, Choices]
    whole: BundlePlan
    slug: Slug
    all_newly_changed: Mapping[Slug, frozenset[int]]
    problem: str = ""

    @property
    def envelope(self) -> Envelope:
        return next(part for part in self.bundle.parts if part.kind.slug == self.slug)

    @property
    def choices(self) -> Choices:
        return self.all_choices[self.slug]

    @property
    def plan(self) -> Plan:
        return self.whole.plan_of(self.slug)

    @property
    def newly_changed(self) -> frozenset[int]:
        return self.all_newly_changed[self.slug]


def open_import(record: ImportRecord, slug: str = "") -> OpenImport:
    """Plan a pending import with its choices. Drop choices that no longer fit, also from the record.

    Items of the kind `slug` are shown, or of the first kind that has some.
    """
    as_sent, problem = read_bundle(BytesIO(zlib.decompress(record.file))), ""
    slugs = [part.kind.slug for part in as_sent.parts]
    choices = _read_choices(record, record.choices, slugs)
    bundle = _correct(as_sent, choices)
    planner = BundlePlanner(bundle)
    try:
        whole = planner.plan(_answers(bundle, choices))
    except AnswerInvalid as refusal:
        whole, problem = planner.plan(), str(refusal)
    marks = _read_marks(record)
    changed = {plan.kind.slug: find_changed_items(plan, marks.get(plan.kind.slug, "")) for plan in whole.plans}
    if any(changed.values()) or problem or not record.marks:
        first = whole

        def drop(slug: Slug, stored: Choices) -> Choices:
            kept = stored.without_lost(first.plan_of(slug)) if problem else stored
            return kept.without_changed(changed[slug])

        fresh = {plan.kind.slug: join_fingerprints(plan) for plan in whole.plans}
        choices = _store(record, slugs, drop, fingerprint=whole.fingerprint, marks=json.dumps(fresh))
        whole = planner.plan(_answers(bundle, choices))
    with_items = [part.kind.slug for part in bundle.parts if part.items]
    shown = next((each for each in slugs if each == slug), (with_items or slugs)[0])
    return OpenImport(record, bundle, planner, choices, whole, shown, changed, problem)


def _correct(bundle: Bundle, choices: Mapping[Slug, Choices]) -> Bundle:
    parts = (correct_envelope(part, choices[part.kind.slug].corrections) for part in bundle.parts)
    return replace(bundle, parts=tuple(parts))


def _answers(bundle: Bundle, choices: Mapping[Slug, Choices]) -> dict[Slug, Answers]:
    return {part.kind.slug: choices[part.kind.slug].answers(part) for part in bundle.parts}


def change_choices(opened: OpenImport, change: Change) -> OpenImport:
    """Store changed choices, except for items that changed since they were shown. Raises `AnswerInvalid`."""
    rows = {position: choice for position, choice in change.rows.items() if position not in opened.newly_changed}
    wanted = replace(change, rows=rows, references={} if opened.problem else change.references)
    # A corrected item has another fingerprint, so a correction also empties the marks, and the import is opened again.
    columns = {"fingerprint": "", "marks": ""} if change.corrections else {}

    def merge(slug: Slug, stored: Choices) -> Choices:
        return stored.with_change(wanted, opened.envelope, opened.plan) if slug == opened.slug else stored

    choices = _store(opened.record, list(opened.all_choices), merge, **columns)
    if not change.corrections:
        whole = opened.planner.plan(_answers(opened.bundle, choices))
        return replace(opened, all_choices=choices, whole=whole)
    opened.record.choices = _choices_as_json(choices)
    reopened = open_import(opened.record, opened.slug)
    return replace(reopened, all_newly_changed=opened.all_newly_changed, problem=opened.problem or reopened.problem)


def try_corrections(opened: OpenImport, change: Change) -> OpenImport:
    """Return the import with the corrections of a change, without storing them."""
    choices = {**opened.all_choices, opened.slug: opened.choices.with_change(change, opened.envelope, opened.plan)}
    bundle = _correct(opened.bundle, choices)
    planner = BundlePlanner(bundle)
    whole = planner.plan(_answers(bundle, choices))
    return replace(opened, bundle=bundle, planner=planner, all_choices=choices, whole=whole)


def _store(
    record: ImportRecord, slugs: Sequence[Slug], change: Callable[[Slug, Choices], Choices], **columns: str
) -> dict[Slug, Choices]:
    """Change the stored choices, which another tab may have changed. Raises `DoesNotExist` if not pending."""
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        stored = ImportRecord.objects.select_for_update().values_list("choices", flat=True)
        before = _read_choices(record, stored.get(pk=record.pk, state=ImportState.PENDING), slugs)
        choices = {slug: change(slug, each) for slug, each in before.items()}
        ImportRecord.objects.filter(pk=record.pk).update(choices=_choices_as_json(choices), **columns)
    for name, value in columns.items():
        setattr(record, name, value)
    return choices


def _choices_as_json(choices: Mapping[Slug, Choices]) -> str:
    return json.dumps({slug: each.as_json() for slug, each in choices.items()})


def _read_choices(record: ImportRecord, text: str, slugs: Sequence[Slug]) -> dict[Slug, Choices]:
    """Return the choices of each kind. An import that an earlier version has stored has those of its only kind."""
    stored = json.loads(text)
    texts = stored if isinstance(stored, dict) else {record.kind: text}
    return {slug: read_choices(texts[slug]) if slug in texts else Choices() for slug in slugs}


def _read_marks(record: ImportRecord) -> dict[str, str]:
    """Return the marks of each kind, as `_read_choices` the choices."""
    if not record.marks.startswith("{"):
        return {record.kind: record.marks}
    marks: dict[str, str] = json.loads(record.marks)
    return marks


def totals_of(plan: BundlePlan) -> str:
    """Return how many items an import would add, overwrite and copy, as the button to import shows and sends them."""
    return ",".join(str(plan.count(action)) for action in (ItemAction.CREATE, ItemAction.OVERWRITE, ItemAction.RENAME))


def apply_pending(opened: OpenImport, shown_totals: str, *, user: Any) -> BundleResult:
    """Apply a pending import. Raises `PlanStale` if items or totals have changed since the user saw them."""
    if any(opened.all_newly_changed.values()):
        raise PlanStale("Nothing was imported because items have changed since the preview.", plan=opened.whole)
    if shown_totals != totals_of(opened.whole):
        raise PlanStale(
            "Nothing was imported because your last choices changed the totals. Check them and import again.",
            plan=opened.whole,
        )
    return import_bundle(
        opened.bundle,
        _answers(opened.bundle, opened.all_choices),
        opened.record.fingerprint,
        requested_by=user,
        origin=Origin.WEB,
        record=opened.record,
    )


def discard_import(record: ImportRecord) -> None:
    """Discard an import and its file if it is pending."""
    emptied = {"file": b"", "choices": "", "fingerprint": "", "marks": ""}
    pending = ImportRecord.objects.filter(pk=record.pk, state=ImportState.PENDING)
    pending.update(state=ImportState.DISCARDED, finished_at=datetime.now(UTC), **emptied)


# --- Undo -------------------------------------------------------------------------------------------------------------


def find_applied_import(key: str, user: Any) -> ImportRecord:
    """Return an applied import of the user, or any for an administrator. Raises `ImportNotFound`."""
    try:
        found = find_import(key.upper(), user)
    except ImportRecord.DoesNotExist:
        found = None
    if found is None or found.state != ImportState.APPLIED:
        raise ImportNotFound("There is no import {key}.", key=quoted(key))
    return found


def undoable_until(record: ImportRecord, undos: Container[str]) -> datetime | None:
    """Return until when an undo is offered, or None if it is not. What it can do depends on the current rows.

    `undos` is what `find_undos` returns.
    """
    if not record.log_bytes or record.pk in undos:
        return None
    return (record.finished_at or record.created_at) + timedelta(days=settings.UNDO_DAYS)


def find_undos() -> dict[str, str]:
    """Return the key of the undo of each import that is undone. An undo that has itself been undone does not count."""
    undos: dict[str, list[str]] = defaultdict(list)
    for key, undone in ImportRecord.objects.filter(is_undo=True, undoes__isnull=False).values_list("pk", "undoes"):
        undos[str(undone)].append(key)

    def find(key: str) -> str | None:
        return next((undo for undo in undos.get(key, ()) if find(undo) is None), None)

    return {key: undo for key in undos if (undo := find(key)) is not None}


def plan_undo_of(record: ImportRecord, include: Collection[str] = ()) -> UndoPlan:
    """Return what undoing an import would do. Raises `UndoRefused`."""
    return plan_undo(_require_log(record), include)


def undo_import(
    record: ImportRecord,
    include: Collection[str],
    fingerprint: str | None,
    *,
    requested_by: Any,
    origin: Origin,
) -> UndoResult:
    """Undo an import, and record that as an import that can be undone. Raises what `apply_undo` raises."""
    log = _require_log(record)
    _require_writable()
    history.record_outside()
    done = apply_undo(log, include, fingerprint)
    undo = ImportRecord(
        state=ImportState.APPLIED,
        kind=record.kind,
        file_name=record.file_name,
        requested_by=requested_by,
        origin=origin,
        is_undo=True,
        is_noticed=False,
        undoes=record,
        added=done.plan.count(UndoAction.ADD_BACK),
        overwritten=done.plan.count(UndoAction.PUT_BACK),
        removed=done.plan.count(UndoAction.REMOVE),
        skipped=done.plan.count(UndoAction.KEEP),
        result=_undo_as_json(done) if origin == Origin.WEB else "",
        created_at=datetime.now(UTC),
        finished_at=datetime.now(UTC),
    )
    _store_log(undo, done.log)
    try:
        undo.save()
        delete_old_imports()
    except DatabaseError:
        logger.exception("import.unrecorded", kind=record.kind)
        return done
    history.record_import(HistoryEventKind.UNDO, undo.pk, _rows_in(done.log), user=requested_by, origin=origin)
    return replace(done, record_id=undo.pk)


def _require_log(record: ImportRecord) -> ChangeLog:
    if record.pk in find_undos():
        raise UndoRefused("This import has already been undone. Nothing was changed.")
    if record.log:
        return ChangeLog.unpack(bytes(record.log))
    if not record.added + record.overwritten + record.copied + record.removed:
        raise UndoRefused("This import changed nothing, so there is nothing to undo.")
    raise UndoRefused(
        "This import cannot be undone, because the previous values are not stored. They are kept for {days} days, and earlier versions "
        "of this program did not keep them. Nothing was changed.",
        days=settings.UNDO_DAYS,
    )


def _undo_as_json(done: UndoResult) -> str:
    lines = [
        {
            "action": step.action,
            "kind": step.change.kind.slug,
            "name": step.change.name,
            "source_type": step.change.source_type,
            "row_id": step.change.row_id,
            "reason": step.reason,
        }
        for step in done.plan.steps[:_MOST_LINES]
    ]
    more = max(0, len(done.plan.steps) - _MOST_LINES)
    notes = [RELOAD_ADVICE] if done.restart_required else []
    return json.dumps({"notes": notes, "lines": lines, "more": more}, separators=(",", ":"))


# --- Results ----------------------------------------------------------------------------------------------------------


def _result_as_json(done: BundleResult) -> str:
    all_lines = [_line(line, result.kind) for result in done.results for line in result.lines]
    lines, more = all_lines[:_MOST_LINES], max(0, len(all_lines) - _MOST_LINES)
    return json.dumps({"notes": list(done.notes), "lines": lines, "more": more}, separators=(",", ":"))


def _line(line: ResultLine, kind: Kind) -> dict[str, Any]:
    return {
        "kind": kind.slug,
        "action": line.action,
        "state": line.state,
        "original_name": line.original_name,
        "final_name": line.final_name,
        "row_id": line.row_id,
        "warnings": [[finding.field, finding.message] for finding in line.warnings],
    }
