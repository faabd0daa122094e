"""Metrics for Prometheus, computed at each scrape, so that all web processes agree."""

from __future__ import annotations

import platform
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from django.db.models import Count, Max
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from tvarr_backup import __version__
from tvarr_backup.backups.catalogue import Listing
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.operations.alert_models import ReceiverState
from tvarr_backup.operations.health import Health, HealthState, Subject, check_health
from tvarr_backup.operations.models import LocationState, Operation, OperationKind, OperationState
from tvarr_backup.operations.observe import Observation, ObservedLocation, ObservedRehearsal, Records

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_DONE = (OperationState.SUCCEEDED, OperationState.ATTENTION)


def metrics() -> bytes:
    return generate_latest(_registry)


class _HealthCollector(Collector):
    """Compute all metrics. An unknown value has no sample."""

    def collect(self) -> Iterator[Metric]:
        health = check_health()
        yield InfoMetricFamily(
            "tvarr_backup_build",
            "Versions of this program, Python and SQLite.",
            {"version": __version__, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version},
        )
        yield from _collect_health(health)
        yield from _collect_backups(health.observation.folder.listing)
        yield from _collect_locations(health.observation.records)
        yield from _collect_alerts(health.observation)
        yield from _collect_rehearsals(health.observation.records)
        if health.checks[Subject.DEFAULT].state is HealthState.OK:
            yield from _collect_operations()


_registry = CollectorRegistry(auto_describe=False)
_registry.register(_HealthCollector())


def _collect_health(health: Health) -> Iterator[Metric]:
    states = {subject: check.state for subject, check in health.checks.items()}
    observation, expected = health.observation, health.expected
    yield _table(
        "check_state",
        "1 for the present state of a check, 0 for the others.",
        ("check", "state"),
        {(subject, state): float(states[subject] is state) for subject in Subject for state in HealthState},
    )
    yield _gauge("worker_alive", "Whether a worker is running.", states[Subject.WORKER] is HealthState.OK)
    yield _gauge(
        "last_good_backup_timestamp_seconds",
        "When the last good backup was made.",
        _timestamp(health.last_good.sidecar.created_at if health.last_good else None),
    )
    yield _gauge(
        "last_good_backup_max_age_seconds",
        "How old the last good backup may be; absent while no backup is expected.",
        expected.max_age.total_seconds() if expected.max_age else None,
    )
    yield _gauge(
        "next_run_timestamp_seconds",
        "When the next automatic backup is due, or was due if it has not started.",
        _timestamp(expected.next_run),
    )
    yield _gauge("overdue", "Whether an automatic backup was due more than five minutes ago.", expected.is_overdue)
    yield _gauge("queued_operations", "Operations that are queued.", len(observation.queued))
    oldest = min((operation.created_at for operation in observation.queued), default=observation.at)
    yield _gauge(
        "queued_operations_oldest_age_seconds",
        "Age of the oldest queued operation, or 0.",
        max(0.0, (observation.at - oldest).total_seconds()),
    )
    yield _table(
        "free_bytes",
        "Free space next to the backups and next to tvarr's database.",
        ("place",),
        {("backup_folder",): observation.folder.free, ("tvarr_database",): observation.free_beside_live},
    )


def _collect_backups(listing: Listing | None) -> Iterator[Metric]:
    if listing is None:
        return
    numbers: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for backup in listing.backups:
        numbers[backup.sidecar.kind] += 1
        sizes[backup.sidecar.kind] += backup.sidecar.compressed_size
    yield _table("backups", "Number of backups.", ("kind",), {(kind,): numbers[kind] for kind in BackupKind})
    yield _table("backups_bytes", "Size of the backups.", ("kind",), {(kind,): sizes[kind] for kind in BackupKind})
    damaged = sum(bool(backup.sidecar.problems) for backup in listing.backups)
    yield _gauge("damaged_backups", "Backups with problems in their last verification.", damaged)
    yield _gauge("broken_backups", "Backups without a readable archive or metadata file.", len(listing.broken))


def _collect_locations(records: Records | None) -> Iterator[Metric]:
    locations = records.locations if records else ()
    measures: Sequence[tuple[str, str, Callable[[ObservedLocation], float | None]]] = (
        ("in_sync", "Whether the location has all copies.", lambda one: one.state is LocationState.IN_SYNC),
        ("failing", "Whether the last attempt in the location failed.", lambda one: one.state is LocationState.FAILING),
        ("copies", "Number of copies in the location.", lambda one: one.copies),
        ("last_sync_timestamp_seconds", "When the location had all copies.", lambda one: _timestamp(one.in_sync_at)),
    )
    for name, description, measure in measures:
        yield _table(f"location_{name}", description, ("location",), {(one.name,): measure(one) for one in locations})


def _collect_alerts(observation: Observation) -> Iterator[Metric]:
    alerts = observation.records.alerts if observation.records else None
    yield _gauge(
        "sender_alive", "Whether the process that sends alerts is running.", float(observation.sender_is_alive)
    )
    yield _gauge("waiting_messages", "Messages that have not been sent yet.", alerts.waiting if alerts else None)
    yield _table(
        "receiver_failing",
        "Whether the last message to the receiver was not accepted.",
        ("receiver",),
        {(one.name,): float(one.state is ReceiverState.FAILING) for one in (alerts.receivers if alerts else ())},
    )


def _collect_rehearsals(records: Records | None) -> Iterator[Metric]:
    rehearsals = {(one.location or "backup_folder",): one for one in (records.rehearsals if records else ())}
    measures: Sequence[tuple[str, str, Callable[[ObservedRehearsal], float | None]]] = (
        ("ok", "Whether the last rehearsal of a restore succeeded.", lambda one: not one.code),
        ("timestamp_seconds", "When the last rehearsal ended.", lambda one: _timestamp(one.ended_at)),
        ("duration_seconds", "Duration of the last rehearsal.", lambda one: one.seconds),
    )
    for name, description, measure in measures:
        yield _table(
            f"rehearsal_{name}", description, ("place",), {place: measure(one) for place, one in rehearsals.items()}
        )


def _collect_operations() -> Iterator[Metric]:
    counted = {
        (row["kind"], row["state"]): row["number"]
        for row in Operation.objects.order_by().values("kind", "state").annotate(number=Count("pk"))
    }
    yield _table(
        "operations",
        "Recorded operations.",
        ("kind", "state"),
        {(kind, state): counted.get((kind, state), 0) for kind in OperationKind for state in OperationState},
    )
    done = Operation.objects.order_by().filter(state__in=_DONE)
    last = {
        one.kind: one
        for one in Operation.objects.filter(pk__in=done.values("kind").annotate(last=Max("pk")).values("last"))
    }
    measures: Sequence[tuple[str, str, Callable[[Operation], float | None]]] = (
        ("timestamp_seconds", "When the last operation of the kind finished.", _finished),
        ("duration_seconds", "Duration of the last operation of the kind.", _duration),
        ("bytes", "Size of the archives that the last operation of the kind made, added or verified.", _size),
    )
    for name, description, measure in measures:
        yield _table(
            f"last_operation_{name}", description, ("kind",), {(kind,): measure(one) for kind, one in last.items()}
        )


def _finished(operation: Operation) -> float | None:
    return _timestamp(operation.finished_at)


def _duration(operation: Operation) -> float | None:
    if operation.started_at is None or operation.finished_at is None:
        return None
    return max(0.0, (operation.finished_at - operation.started_at).total_seconds())  # the clock may have been changed


def _size(operation: Operation) -> float | None:
    """Return the size of the archives in an operation's result, or None if it has none."""
    result = operation.result or {}
    if "backup" in result:
        return float(result["backup"]["file_size"])
    if "verified" in result:
        return float(sum(verified["backup"]["file_size"] for verified in result["verified"]))
    return None


def _timestamp(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _gauge(name: str, description: str, value: float | None) -> Metric:
    return _table(name, description, (), {(): value})


def _table(
    name: str, description: str, labels: Iterable[str], values: Mapping[tuple[str, ...], float | None]
) -> Metric:
    family = GaugeMetricFamily(f"tvarr_backup_{name}", description, labels=tuple(labels))
    for key, value in values.items():
        if value is not None:
            family.add_metric([str(part) for part in key], float(value))
    return family
