"""Watches for changes of state, and stores them together with their messages.

Each step is one transaction that excludes other watchers and reads everything again, so that two processes do not report the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

import structlog
from django.db import DEFAULT_DB_ALIAS, connections, transaction

from tvarr_backup import conf
from tvarr_backup.operations.alert_models import PING, Alert, AlertEvent, MessageState, Receiver
from tvarr_backup.operations.alert_problems import look_at
from tvarr_backup.operations.alert_texts import write_change, write_reminder
from tvarr_backup.operations.alerts import Change, ChangeKind, Ending, Found, Held, Look, find_changes
from tvarr_backup.operations.endings import ending_of, ending_of_undo
from tvarr_backup.operations.health import Health
from tvarr_backup.operations.models import (
    COMPLETED_STATES,
    OPEN_STATES,
    ImportRecord,
    Operation,
    OperationKind,
    OperationState,
    Origin,
)
from tvarr_backup.operations.outbox import Content, queue_message
from tvarr_backup.sentences import Sentence

logger = structlog.stdlib.get_logger(__name__)

_MOST_AT_ONCE = 200
"""Ends of operations that are noticed in one step."""
_LOCK = 0x616C_6572_74  # "alert", for PostgreSQL's advisory locks


class Noticed(NamedTuple):
    """Operations that have ended and undone imports, of which nobody has taken note, oldest first."""

    operations: Sequence[Operation]
    undos: Sequence[ImportRecord]

    @property
    def endings(self) -> list[Ending]:
        found = [ending_of(operation) for operation in self.operations]
        found += [ending_of_undo(record) for record in self.undos]
        return sorted((one for one in found if one), key=lambda one: (one.at, one.cause))


class Watcher:
    """Finds and stores changes. Keeps in memory which problems were found but are not reported yet."""

    def __init__(self) -> None:
        self._pending: Mapping[str, int] = {}

    def judge(self, health: Health, now: datetime | None = None) -> list[Change]:
        """Take note of the health and of everything that has ended. Return the changes."""
        return self._step(look_at(health), now or datetime.now(UTC))

    def notice_endings(self, now: datetime | None = None) -> list[Change]:
        """Take note of everything that has ended, and of automatic backups that have started. Return the changes."""
        moment = now or datetime.now(UTC)
        _announce_starts(moment)
        return self._step(Look(), moment)

    def _step(self, look: Look, now: datetime) -> list[Change]:
        noticed = _find_unnoticed()
        found = find_changes(_read_held(), look, noticed.endings, self._pending, now)
        if any(noticed) or found.changes or found.reminders:
            with _exclusive_transaction():
                noticed = _find_unnoticed()
                found = find_changes(_read_held(), look, noticed.endings, self._pending, now)
                _store(found, noticed, now)
        self._pending = found.pending
        for change in found.changes:
            logger.info(
                "alert.changed",
                key=change.key,
                alert=change.event,
                change=str(change.kind),
                reason=str(change.message),
            )
        return list(found.changes)


def _find_unnoticed() -> Noticed:
    operations = Operation.objects.filter(is_noticed=False).exclude(state__in=OPEN_STATES)
    undos = ImportRecord.objects.filter(is_noticed=False).select_related("requested_by", "undoes").defer("file", "log")
    return Noticed(
        list(operations.select_related("requested_by").order_by("finished_at", "pk")[:_MOST_AT_ONCE]),
        list(undos.order_by("created_at")[:_MOST_AT_ONCE]),
    )


def _read_held() -> list[Held]:
    return [
        Held(row.key, row.event, row.message, row.since, row.reminded_at, frozenset(row.members), str(row.pk))
        for row in Alert.objects.all()
    ]


@contextmanager
def _exclusive_transaction() -> Iterator[None]:
    """Open a transaction that excludes others of its kind. SQLite's are all exclusive; PostgreSQL needs a lock."""
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        if not conf.is_file(DEFAULT_DB_ALIAS):
            with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        yield


# --- Storing ---------------------------------------------------------------------------------------------------------


def _store(found: Found, noticed: Noticed, now: datetime) -> None:
    receivers = list(Receiver.objects.filter(is_enabled=True).exclude(kind=PING))
    for change in found.changes:
        cause = _store_alert(change)
        content = replace(write_change(change, now), cause=cause)
        for receiver in receivers:
            if change.event != AlertEvent.RECEIVER_FAILING or receiver.name not in change.members:
                queue_message(receiver, content, now)
    if found.reminders:
        Alert.objects.update(reminded_at=now)
        for receiver in receivers:
            if receiver.reminds_daily:
                queue_message(receiver, write_reminder(found.reminders, now), now)
    Operation.objects.filter(pk__in=[one.pk for one in noticed.operations]).update(is_noticed=True)
    ImportRecord.objects.filter(pk__in=[one.pk for one in noticed.undos]).update(is_noticed=True)
    for operation in noticed.operations:
        _announce_end(operation, now)


def _store_alert(change: Change) -> str:
    """Store the present state of the problem. Return what identifies the change."""
    rows = Alert.objects.filter(key=change.key)
    if change.kind is ChangeKind.HAPPENED:
        return change.cause
    if change.kind is ChangeKind.OVER:
        ids = list(rows.values_list("pk", flat=True))
        rows.delete()
        return f"{ids[0]}:over"
    values = {"event": change.event, "sentence": change.message.as_data(), "members": sorted(change.members)}
    if change.kind is ChangeKind.WORSE:
        rows.update(**values)
        members = hashlib.sha256("\n".join(values["members"]).encode()).hexdigest()[:16]
        return f"{rows.get().pk}:{members}"
    made = Alert.objects.create(key=change.key, since=change.at, reminded_at=change.at, **values)
    return change.cause or str(made.pk)


# --- Pings -----------------------------------------------------------------------------------------------------------


def _announce_starts(now: datetime) -> None:
    """Store a ping for each automatic backup that runs and has none."""
    monitor = Receiver.objects.filter(kind=PING, is_enabled=True).first()
    if monitor is None:
        return
    running = Operation.objects.filter(kind=OperationKind.BACKUP, origin=Origin.SCHEDULE, state=OperationState.RUNNING)
    for operation in running:
        _queue_ping(monitor, operation, AlertEvent.BACKUP_STARTED, Sentence("The automatic backup has started."), now)


def _announce_end(operation: Operation, now: datetime) -> None:
    if operation.kind != OperationKind.BACKUP or operation.origin != Origin.SCHEDULE:
        return
    monitor = Receiver.objects.filter(kind=PING, is_enabled=True).first()
    if monitor is None:
        return
    is_good = operation.state in COMPLETED_STATES
    event = AlertEvent.BACKUP_SUCCEEDED if is_good else AlertEvent.BACKUP_FAILED
    reason = operation.outcome or Sentence("The automatic backup succeeded.")
    _queue_ping(monitor, operation, event, reason, now)


def _queue_ping(monitor: Receiver, operation: Operation, event: str, reason: Sentence, now: datetime) -> None:
    """Store a ping, and drop those of other backups that still wait: only the present one is news."""
    key = f"{PING}:{operation.pk}"
    waiting = monitor.messages.filter(state=MessageState.WAITING, key__startswith=f"{PING}:")
    waiting.exclude(key=key).update(state=MessageState.DROPPED)
    content = Content(
        event=event,
        key=key,
        subject="Ping of an automatic backup",
        text=str(reason),
        cause=f"{operation.pk}:{event}",
        data={"operation": str(operation.pk)},
    )
    queue_message(monitor, content, now)
