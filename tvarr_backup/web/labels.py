"""Labels and view models for backups and operations."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from django.urls import reverse

from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.retention import KeptReason, Period, Policy, Rule
from tvarr_backup.backups.sidecar import Sidecar
from tvarr_backup.errors import InternalError, OperationTimedOut, RestoreUnsettled
from tvarr_backup.formatting import format_count, format_date, format_time
from tvarr_backup.operations.history import KindCount
from tvarr_backup.operations.kinds import KINDS, PHASE_LABELS, current_step
from tvarr_backup.operations.models import (
    KIND_LABELS,
    BackupState,
    ImportRecord,
    Location,
    LocationCopy,
    Operation,
    OperationKind,
    OperationState,
)
from tvarr_backup.operations.report import SAME_NUMBER_OF_ROWS
from tvarr_backup.portable import kinds as portable_kinds
from tvarr_backup.portable.envelope import BUNDLE
from tvarr_backup.portable.kinds import Kind, Slug, kind_named
from tvarr_backup.portable.states import ChangeType, ItemChange
from tvarr_backup.portable.undo import KEPT_BECAUSE, KeptBecause, UndoAction
from tvarr_backup.quoting import name_some

_FATES = {
    KeptReason.PROTECTED: "Kept: protected",
    KeptReason.PROTECTED_FOR_NOW: "Kept: protected for seven days after the restore",
    KeptReason.NOT_AUTOMATIC: "Kept: cleanup deletes only automatic backups",
    KeptReason.NEWEST_GOOD: "Kept: newest good backup",
    KeptReason.WITHIN_LIMITS: "Kept: within the retention",
    None: "Will be deleted",
}
_STATE_ICONS = {BackupState.CHECKED: "check-circle", BackupState.NOT_CHECKED: "info-circle"}


def describe_fate(reason: KeptReason | None, rules: Iterable[Rule], policy: Policy) -> str:
    """Return what the next cleanup does with a backup, such as "Kept: newest 7; weekly, week 45 of 2026"."""
    if reason is KeptReason.WITHIN_LIMITS and policy.keep is not None:
        return f"Kept: {'; '.join(_describe_rule(rule, policy.keep) for rule in rules)}"
    return _FATES[reason]


def describe_periods(rules: Sequence[Rule]) -> str:
    """Return the periods that keep a backup that is not among the newest. Empty for all others."""
    is_older = bool(rules) and all(rule.period for rule in rules)
    return f"Kept: {'; '.join(_describe_rule(rule) for rule in rules)}" if is_older else ""


def _describe_rule(rule: Rule, keep: int = 0) -> str:
    day = rule.first_day
    if rule.period is None or day is None:
        return f"newest {keep}"
    week = day.isocalendar()
    dates = {
        Period.DAILY: format_date(day),
        Period.WEEKLY: f"week {week.week} of {week.year}",
        Period.MONTHLY: f"{day:%B %Y}",
        Period.YEARLY: f"{day:%Y}",
    }
    return f"{rule.period}, {dates[rule.period]}"


def format_made(sidecar: Sidecar) -> str:
    """Return when a backup was created, for phrases such as "Restore backup of ..."."""
    if sidecar.is_dated:
        return format_time(sidecar.created_at)
    newest = sidecar.newest_row_at
    return f"unknown date (newest row {format_time(newest)})" if newest else "unknown date"


@dataclass(frozen=True)
class BackupRow:
    backup: Backup
    state: BackupState
    will_be_deleted: bool = False
    kept: str = ""
    """The periods that keep it, from `describe_periods`."""
    copies: Sequence[LocationCopy] = ()
    """Its copies in locations."""
    may_change_protection: bool = False

    @property
    def sidecar(self) -> Sidecar:
        return self.backup.sidecar

    @cached_property
    def address(self) -> str:
        """The path of its page, with which the paths of its actions begin."""
        return reverse("backup", args=[self.backup.filename])

    @cached_property
    def made(self) -> str:
        return format_made(self.sidecar)

    @cached_property
    def is_protected(self) -> bool:
        return self.sidecar.is_protected(datetime.now(UTC))

    @property
    def kind(self) -> str:
        label, original = KIND_LABELS[self.sidecar.kind], self.sidecar.original_kind
        if original is None or original is self.sidecar.kind:
            return label
        return f"{label} ({KIND_LABELS[original].lower()})"

    @property
    def state_icon(self) -> str:
        return _STATE_ICONS.get(self.state, "exclamation-triangle")

    @property
    def copied_to(self) -> str:
        """The names of the locations that have a copy."""
        return ", ".join(copy.location.name for copy in self.copies)

    @property
    def version(self) -> str:
        return self.sidecar.tvarr_version or "unknown"


_TABLES_OF_KINDS = [kind.model._meta.db_table for kind in portable_kinds.KINDS.values()]


@dataclass(frozen=True)
class TableChange:
    """Row counts of a table before and after. None is a missing table or, unless `is_known`, an unknown number."""

    name: str
    before: int | None
    after: int | None
    is_known: bool = True

    @property
    def numbers(self) -> tuple[str, ...]:
        missing = "missing" if self.is_known else "unknown"
        return tuple(missing if number is None else f"{number:,}" for number in (self.before, self.after))

    @property
    def is_different(self) -> bool:
        """Whether the numbers differ. Equal numbers do not mean equal contents."""
        return self.is_known and self.before != self.after

    @property
    def difference(self) -> str:
        if not self.is_known:
            return "unknown"
        if self.before == self.after:
            return SAME_NUMBER_OF_ROWS
        if self.before is None:
            return "only in the backup"
        if self.after is None:
            return "not in the backup"
        more = self.after - self.before
        return f"{more:+,} {'row' if abs(more) == 1 else 'rows'}"


def table_changes(before: Mapping[str, int], after: Mapping[str, int]) -> list[TableChange]:
    """Compare row counts: kinds first, then other tables that have rows. An empty mapping means unknown counts."""
    tables = sorted({*before, *after}, key=lambda table: (table not in _TABLES_OF_KINDS, table))
    return [
        TableChange(table.replace("_", " "), before.get(table), after.get(table), is_known=bool(before and after))
        for table in tables
        if table in _TABLES_OF_KINDS or before.get(table) or after.get(table)
    ]


_UNFINISHED = {
    OperationState.FAILED: "failed",
    OperationState.CANCELLED: "canceled",
    OperationState.INTERRUPTED: "interrupted",
}
_LEVELS = {
    OperationState.SUCCEEDED: "success",
    OperationState.ATTENTION: "warning",
    OperationState.FAILED: "danger",
    OperationState.CANCELLED: "secondary",
    OperationState.INTERRUPTED: "danger",
}
NAMED_AT_MOST = 3
_DOUBTFUL = (RestoreUnsettled.code, InternalError.code, OperationTimedOut.code)
"""Error codes that leave open which data is live."""


def operation_title(operation: Operation) -> str:
    """Return the operation's heading, such as "Restored" or "Backup: packing"."""
    kind, state = OperationKind(operation.kind), OperationState(operation.state)
    label, done = operation.get_kind_display(), KINDS[kind].done
    if operation.is_open:
        phase = next((label.lower() for phase, label in PHASE_LABELS.items() if phase == operation.phase), "starting")
        return f"{label}: {'queued' if state == OperationState.QUEUED else phase}"
    if state == OperationState.SUCCEEDED:
        return done
    if state == OperationState.ATTENTION:
        number = len(operation.message.splitlines())
        if kind == OperationKind.VERIFY:
            return f"Verification found {format_count(number, 'problem')}"
        return f"{done} with {format_count(number, 'warning')}"
    return _unfinished_title(operation, kind, state)


def _unfinished_title(operation: Operation, kind: OperationKind, state: OperationState) -> str:
    if kind == OperationKind.ADOPT and state == OperationState.FAILED:
        return "Upload rejected"
    title = f"{operation.get_kind_display()} {_UNFINISHED[state]}"
    if kind == OperationKind.RESTORE and operation.error_code in _DOUBTFUL:
        return "Restore failed: action needed"
    is_unchanged = kind == OperationKind.RESTORE and state != OperationState.INTERRUPTED
    return f"{title}: your data is unchanged" if is_unchanged else title


def operation_level(operation: Operation) -> str:
    return _LEVELS.get(OperationState(operation.state), "info")


def operation_subject(operation: Operation, names: Mapping[str, str] | None = None) -> str:
    """Return the backup of an operation, or the number of backups, or its location, or nothing.

    `names` are those of the locations by their keys, if they are known already.
    """
    if operation.location_key:
        return _location_subject(operation, location_names() if names is None else names)
    result, arguments = operation.result or {}, operation.arguments
    made = (result.get("backup") or {}).get("filename")
    filenames: list[str] = arguments.get("filenames") or []
    found = made or arguments.get("filename") or (filenames[0] if len(filenames) == 1 else "")
    return str(found) or (f"{len(filenames)} backups" if filenames else "")


def location_names() -> dict[str, str]:
    """Return the names of all locations, by their keys."""
    return {str(key): name for key, name in Location.objects.values_list("pk", "name")}


def _location_subject(operation: Operation, names: Mapping[str, str]) -> str:
    name = names.get(operation.location_key, "a removed location")
    has_file = operation.kind in (OperationKind.CHECK_COPY, OperationKind.REHEARSE)
    filename = operation.arguments.get("filename") if has_file else ""
    return " in ".join(filter(None, (filename, name)))


def operation_details(operation: Operation) -> str:
    """Return details of an outcome, one sentence per line. Empty if the title says everything."""
    result = operation.result or {}
    sentences = [operation.outcome.for_page()]
    removed = result.get("removed") or []
    named = name_some(removed, NAMED_AT_MOST)
    if operation.kind == OperationKind.BACKUP and removed:
        sentences.append(f"Cleanup deleted {format_count(len(removed), 'backup')}: {named}.")
    if operation.kind == OperationKind.PRUNE and operation.state == OperationState.SUCCEEDED:
        sentences.append(f"Deleted: {named}." if removed else "Nothing to delete.")
    if operation.kind == OperationKind.REHEARSE and result:
        sentences += _rehearsal_details(result)
    elif operation.location and result:
        sentences += _location_details(operation, result)
    return "\n".join(sentence for sentence in sentences if sentence)


def _rehearsal_details(result: Mapping[str, Any]) -> list[str]:
    rows, items = sum(result["rows"].values()), result["items"]
    lines = [
        f"{format_count(rows, 'row')} in {format_count(len(result['rows']), 'table')} restored into a scratch copy."
    ]
    if items is None:
        return [*lines, "Its metadata has no configuration to compare with."]
    return [*lines, f"{format_count(sum(items.values()), 'item')} exported, equal to the metadata of the backup."]


def _location_details(operation: Operation, result: Mapping[str, Any]) -> list[str]:
    if operation.kind == OperationKind.TEST_LOCATION:
        return [f"It has {_count_copies(result['copies'])} of this installation."]
    if operation.kind == OperationKind.CHECK_COPY:
        return [] if result["checked"] else ["There is no copy to check."]
    lines = []
    if result["copied"]:
        lines.append(f"Copied: {name_some(result['copied'], NAMED_AT_MOST)}.")
    if result["updated"]:
        lines.append(f"Metadata updated: {name_some(result['updated'], NAMED_AT_MOST)}.")
    if result["removed"]:
        lines.append(f"Cleanup deleted {_count_copies(len(result['removed']))} there.")
    return lines or ["There was nothing to copy."]


def _count_copies(number: int) -> str:
    return "1 copy" if number == 1 else f"{number} copies"


@dataclass(frozen=True)
class ListedStep:
    """A step of an operation. `progress` is `done`, `now` or `to come`."""

    label: str
    progress: str


def operation_steps(operation: Operation) -> list[ListedStep]:
    """Return the steps of an open or failed operation, or nothing if there is only one."""
    kind = OperationKind(operation.kind)
    if len(KINDS[kind].steps) < 2:
        return []
    is_queued = operation.state == OperationState.QUEUED
    now = -1 if is_queued else current_step(kind, operation.phase, operation.percent)
    return [
        ListedStep(step.label, "done" if number < now else "now" if number == now else "to come")
        for number, step in enumerate(KINDS[kind].steps)
    ]


def step_reached(operation: Operation) -> str:
    """Return the label of the step at which an operation ended. Empty if it had not started."""
    has_started = bool(operation.phase or operation.started_at)
    return next((step.label for step in operation_steps(operation) if has_started and step.progress == "now"), "")


def import_title(record: ImportRecord) -> str:
    """Return how many items an import changed, such as "Imported 3 filters"."""
    written = record.added + record.overwritten + record.copied + record.removed
    if not written:
        return "Nothing was changed"
    if record.kind == BUNDLE:
        items = format_count(written, "item")
    else:
        names = kind_named(record.kind).model._meta
        items = f"{written:,} {names.verbose_name if written == 1 else names.verbose_name_plural}"
    return f"Undone: {items}" if record.is_undo else f"Imported {items}"


def describe_counts(counts: Iterable[KindCount]) -> list[str]:
    """Return what an event changed, such as "2 filters changed: Harbour, Quay", a line for each kind and way."""
    order = {slug: number for number, slug in enumerate(portable_kinds.KINDS)}
    lines = []
    for each in sorted(counts, key=lambda each: (order[each.kind], each.change)):
        names = ", ".join(name or "(no name)" for name in each.names)
        rest = each.count - len(each.names)
        more = f" and {rest:,} more" if rest else ""
        lines.append(f"{_summarize(portable_kinds.KINDS[each.kind], {each.change: each.count})}: {names}{more}")
    return lines


def summarize_changes(changes: Iterable[ItemChange]) -> list[str]:
    """Return how many items of each kind were added, changed and removed, such as "15 filters changed, 2 removed"."""
    counts: dict[Slug, Counter[ChangeType]] = defaultdict(Counter)
    for change in changes:
        counts[change.item.kind.slug][change.type] += 1
    return [_summarize(kind, counts[kind.slug]) for kind in portable_kinds.KINDS.values() if kind.slug in counts]


_MOST_NAMED = 200


@dataclass(frozen=True)
class KindChanges:
    """The changes of one kind: a summary, and the names of each change, of which the first ones are listed."""

    summary: str
    names: list[tuple[str, str]]
    more: int


def list_changes(changes: Iterable[ItemChange]) -> list[KindChanges]:
    """Return the changes of each kind, with the names of items and what changed in each."""
    listed = list(changes)
    found = []
    for kind in portable_kinds.KINDS.values():
        own = [change for change in listed if change.item.kind is kind]
        if own:
            names = [(change.item.name, str(change.type)) for change in own[:_MOST_NAMED]]
            found.append(KindChanges(summarize_changes(own)[0], names, len(own) - len(names)))
    return found


def _summarize(kind: Kind, counts: Mapping[ChangeType, int]) -> str:
    order = (ChangeType.CHANGED, ChangeType.ADDED, ChangeType.REMOVED)
    (first, number), *others = [(each, counts[each]) for each in order if counts.get(each)]
    names = kind.model._meta
    parts = [f"{number:,} {names.verbose_name if number == 1 else names.verbose_name_plural} {first}"]
    return ", ".join([*parts, *(f"{number:,} {each}" for each, number in others)])


UNDO_ACTIONS = {
    UndoAction.REMOVE: "Will be removed",
    UndoAction.PUT_BACK: "Will be put back",
    UndoAction.ADD_BACK: "Will be added back",
    UndoAction.KEEP: "Will be kept as they are",
}
_UNDONE = {
    UndoAction.REMOVE: "Removed",
    UndoAction.PUT_BACK: "Put back",
    UndoAction.ADD_BACK: "Added back",
    UndoAction.KEEP: "Kept",
}


def undo_line(action: str, reason: str | None) -> str:
    """Return what an undo did with a row, such as "Kept (in use)"."""
    because = f" ({KEPT_BECAUSE[KeptBecause(reason)]})" if reason else ""
    return f"{_UNDONE[UndoAction(action)]}{because}"


def import_details(record: ImportRecord) -> str:
    """Return what an import did with its items, such as "3 added, 1 skipped."."""
    if record.is_undo:
        counts = {
            "removed": record.removed,
            "put back": record.overwritten,
            "added back": record.added,
            "kept": record.skipped,
        }
    else:
        counts = {
            "added": record.added,
            "overwritten": record.overwritten,
            "renamed": record.copied,
            "skipped": record.skipped,
            "unchanged": record.unchanged,
        }
    text = ", ".join(f"{number:,} {label}" for label, number in counts.items() if number)
    return f"{text}." if text else "" if record.is_undo else "The file had no items."
