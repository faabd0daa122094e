"""What is said of backups and operations: one place for the words, whichever page shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from django.urls import reverse

from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.retention import KeptReason
from tvarr_backup.errors import InternalError, OperationTimedOut, RestoreUnsettled
from tvarr_backup.operations.kinds import KINDS, current_step
from tvarr_backup.operations.models import (
    KIND_LABELS,
    BackupState,
    ImportRecord,
    Operation,
    OperationKind,
    OperationState,
)
from tvarr_backup.operations.report import SAME_NUMBER_OF_ROWS
from tvarr_backup.portable import kinds as portable_kinds
from tvarr_backup.portable.kinds import kind_named
from tvarr_backup.web.templatetags.shown import short_made

FATES = {
    KeptReason.PROTECTED: "Kept: protected",
    KeptReason.PROTECTED_FOR_NOW: "Kept: protected for seven days after the restore",
    KeptReason.NOT_AUTOMATIC: "Kept: clean-ups remove automatic backups only",
    KeptReason.NEWEST_GOOD: "Kept: the newest good backup is never removed",
    KeptReason.WITHIN_LIMITS: "Kept: within the limits of the schedule",
    None: "Will be removed by the next clean-up",
}


# --- Rows of tables --------------------------------------------------------------------------------------------------

_FIRST = [kind.model._meta.db_table for kind in portable_kinds.KINDS.values()]


@dataclass(frozen=True)
class Change:
    """The rows of one table, before and after; `None` where the table is not there, or, unless `is_known`, not known."""

    name: str
    before: int | None
    after: int | None
    is_known: bool = True

    @property
    def numbers(self) -> tuple[str, str]:
        """Both in words."""
        missing = "not there" if self.is_known else "unknown"
        before, after = (missing if number is None else f"{number:,}" for number in (self.before, self.after))
        return before, after

    @property
    def is_different(self) -> bool:
        """Whether the numbers are known to differ. Contents may differ although they do not."""
        return self.is_known and self.before != self.after

    @property
    def difference(self) -> str:
        """Return the difference between the two numbers as a phrase."""
        if not self.is_known:
            return "unknown"
        if self.before == self.after:
            return SAME_NUMBER_OF_ROWS
        if self.before is None:
            return "not there now"
        if self.after is None:
            return "not in the backup"
        more = self.after - self.before
        return f"{more:+,} {'row' if abs(more) == 1 else 'rows'}"


def changes(before: Mapping[str, int], after: Mapping[str, int]) -> list[Change]:
    """The kinds first, then the other tables that have rows on either side; an empty side is not known."""
    tables = sorted({*before, *after}, key=lambda table: (table not in _FIRST, table))
    return [
        Change(table.replace("_", " "), before.get(table), after.get(table), is_known=bool(before) and bool(after))
        for table in tables
        if table in _FIRST or before.get(table) or after.get(table)
    ]


# --- Operations ------------------------------------------------------------------------------------------------------

_STATES = {
    OperationState.QUEUED: "waiting for the worker",
    OperationState.CANCELLED: "cancelled",
    OperationState.INTERRUPTED: "interrupted",
}
_LEVELS = {
    OperationState.SUCCEEDED: "success",
    OperationState.ATTENTION: "warning",
    OperationState.FAILED: "danger",
    OperationState.CANCELLED: "secondary",
    OperationState.INTERRUPTED: "danger",
}
_NAMED_AT_MOST = 3
_DOUBTFUL = (RestoreUnsettled.code, InternalError.code, OperationTimedOut.code)
"""After these nobody knows by the operation alone what is live."""


def title(operation: Operation) -> str:
    """How it ended, or that it has not."""
    kind, state = OperationKind(operation.kind), OperationState(operation.state)
    done = KINDS[kind].done
    if state == OperationState.SUCCEEDED:
        return done
    if state == OperationState.ATTENTION:
        number = len(operation.message.splitlines())
        done = "Not all is well" if kind == OperationKind.VERIFY else done
        return f"{done}, {number} {'thing needs' if number == 1 else 'things need'} attention"
    if operation.is_open:
        return f"{operation.get_kind_display()}: {_STATES.get(state, 'running')}"
    missed = f"Not {done[0].lower()}{done[1:]}"
    if kind == OperationKind.RESTORE:
        if operation.error_code in _DOUBTFUL:
            return "The restore did not end well: read what to do"
        if state == OperationState.INTERRUPTED:
            return "Restore: interrupted"
        missed += ", your data is unchanged"
    return f"{missed} ({_STATES[state]})" if state in _STATES else missed


def level(operation: Operation) -> str:
    """Bootstrap's word for it."""
    return _LEVELS.get(OperationState(operation.state), "info")


def subject(operation: Operation) -> str:
    """What it was done to, as far as that is one thing."""
    result, arguments = operation.result or {}, operation.arguments
    made = (result.get("backup") or {}).get("filename")
    names: list[str] = arguments.get("filenames") or []
    found = made or arguments.get("filename") or (names[0] if len(names) == 1 else "")
    return str(found) or (f"{len(names)} backups" if names else "")


def told(operation: Operation) -> str:
    """What a person should know of it, one sentence a line; empty where the title says it all."""
    result = operation.result or {}
    sentences = [operation.outcome.for_page()]
    removed = result.get("removed") or []
    if operation.kind == OperationKind.BACKUP and removed:
        sentences.append(f"The clean-up after it removed {len(removed)}: {_some(removed)}.")
    if operation.kind == OperationKind.PRUNE and operation.state == OperationState.SUCCEEDED:
        sentences.append(f"Removed: {_some(removed)}." if removed else "There was nothing to remove.")
    return "\n".join(sentence for sentence in sentences if sentence)


def title_of_import(record: ImportRecord) -> str:
    """How many items of which kind it has written."""
    written = record.added + record.overwritten + record.copied
    if not written:
        return "Nothing was changed"
    names = kind_named(record.kind).model._meta
    return f"Imported {written:,} {names.verbose_name if written == 1 else names.verbose_name_plural}"


def told_of_import(record: ImportRecord) -> str:
    """What became of its items, in a sentence."""
    counts = {
        "added": record.added,
        "overwritten": record.overwritten,
        "copied": record.copied,
        "skipped": record.skipped,
        "the same": record.unchanged,
    }
    told = ", ".join(f"{words} {number:,}" for words, number in counts.items() if number)
    return f"{told[:1].upper()}{told[1:]}." if told else "The file held no items."


def _some(names: list[str]) -> str:
    """The first of many; the history of each day needs no more."""
    more = len(names) - _NAMED_AT_MOST
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:_NAMED_AT_MOST])} and {more} more"


@dataclass(frozen=True)
class ListedStep:
    """A step of an operation, and where it stands: `done`, `now` or `to come`."""

    label: str
    stands: str


def steps(operation: Operation) -> list[ListedStep]:
    """Return the steps of an operation that is open or has failed. Empty where there is only one."""
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
    """The part in which it ended; the first where it ended before it could tell of any, none where it had not begun."""
    has_begun = bool(operation.phase or operation.started_at)
    return next((step.label for step in steps(operation) if step.stands == "now"), "") if has_begun else ""


def checks(operation: Operation) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """Of a verification: each backup with its checks."""
    for verified in (operation.result or {}).get("verified") or ():
        yield verified["backup"]["filename"], verified["checks"]


# --- Backups ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A backup as lists and pages show it."""

    backup: Backup
    state: BackupState
    is_doomed: bool = False
    """Whether the next clean-up removes it."""
    may_change_protection: bool = False
    """Whether the user who looks may."""

    @cached_property
    def address(self) -> str:
        """Of its page; those of what can be done to it begin with it."""
        return reverse("backup", args=[self.backup.filename])

    @cached_property
    def moment(self) -> str:
        """When it was made, for names and sentences."""
        return short_made(self.backup.sidecar)

    @cached_property
    def is_protected(self) -> bool:
        return self.backup.sidecar.is_protected(datetime.now(UTC))

    @property
    def kind(self) -> str:
        return KIND_LABELS[self.backup.sidecar.kind]

    @property
    def state_words(self) -> str:
        return str(self.state.label)

    @property
    def state_icon(self) -> str:
        return _STATE_ICONS.get(self.state, "exclamation-triangle")

    @property
    def version(self) -> str:
        return self.backup.sidecar.tvarr_version or "unknown"

    @property
    def short_version(self) -> str:
        """Without the name of this program; another program keeps its name."""
        return self.version.removeprefix("tvarr-backup ")


_STATE_ICONS = {BackupState.CHECKED: "check-circle", BackupState.NOT_CHECKED: "info-circle"}
