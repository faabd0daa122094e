"""Metrics for Prometheus.

Each scrape computes them from the current state, so it does not matter which web process answers.
"""

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
from tvarr_backup.operations.health import Health, HealthState, Subject, check_health
from tvarr_backup.operations.models import Operation, OperationKind, OperationState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_DONE = (OperationState.SUCCEEDED, OperationState.ATTENTION)


def metrics() -> bytes:
    """Return all metrics in Prometheus's text format."""
    return generate_latest(_registry)


class _HealthCollector(Collector):
    """Compute all metrics at the scrape. What is unknown has no sample."""

    def collect(self) -> Iterator[Metric]:
        health = check_health()
        yield InfoMetricFamily(
            "tvarr_backup_build",
            "This program and what it runs on.",
            {"version": __version__, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version},
        )
        yield from _of_health(health)
        yield from _of_backups(health.observation.folder.listing)
        if health.checks[Subject.DEFAULT].state is HealthState.OK:
            yield from _of_operations()


_registry = CollectorRegistry(auto_describe=False)
_registry.register(_HealthCollector())


def _of_health(health: Health) -> Iterator[Metric]:
    states = {subject: check.state for subject, check in health.checks.items()}
    seen, expected = health.observation, health.expected
    yield _table(
        "check_state",
        "1 for the state in which a check of /readyz is, 0 for the others.",
        ("check", "state"),
        {(subject, state): float(states[subject] is state) for subject in Subject for state in HealthState},
    )
    yield _gauge("worker_alive", "Whether a worker has given a sign of life.", states[Subject.WORKER] is HealthState.OK)
    yield _gauge(
        "last_good_backup_timestamp_seconds",
        "When the newest backup of the live database was made that passed its last check.",
        _timestamp(health.last_good.sidecar.created_at if health.last_good else None),
    )
    yield _gauge(
        "last_good_backup_max_age_seconds",
        "How old that backup may be by the schedule; missing while scheduled backups are off.",
        expected.max_age.total_seconds() if expected.max_age else None,
    )
    yield _gauge(
        "next_run_timestamp_seconds",
        "When the next scheduled backup is due, or was due and has not begun.",
        _timestamp(expected.next_run),
    )
    yield _gauge("overdue", "Whether a scheduled backup was due and has not begun.", expected.is_overdue)
    yield _gauge("queued_operations", "Operations that wait for the worker.", len(seen.queued))
    oldest = min((operation.created_at for operation in seen.queued), default=seen.at)
    yield _gauge(
        "queued_operations_oldest_age_seconds",
        "For how long the oldest of them has waited; 0 where none does.",
        max(0.0, (seen.at - oldest).total_seconds()),
    )
    yield _table(
        "free_bytes",
        "Room that this program's user has left, beside the backups and beside tvarr's database.",
        ("place",),
        {("backup_folder",): seen.folder.free, ("tvarr_database",): seen.free_beside_live},
    )


def _of_backups(listing: Listing | None) -> Iterator[Metric]:
    if listing is None:
        return
    numbers: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for backup in listing.backups:
        numbers[backup.sidecar.kind] += 1
        sizes[backup.sidecar.kind] += backup.sidecar.compressed_size
    yield _table("backups", "Backups in the folder.", ("kind",), {(kind,): numbers[kind] for kind in BackupKind})
    yield _table("backups_bytes", "What they take there.", ("kind",), {(kind,): sizes[kind] for kind in BackupKind})
    damaged = sum(bool(backup.sidecar.problems) for backup in listing.backups)
    yield _gauge("damaged_backups", "Backups that did not pass their last check.", damaged)
    yield _gauge("broken_backups", "Files with a backup's name that are none.", len(listing.broken))


def _of_operations() -> Iterator[Metric]:
    counted = {
        (row["kind"], row["state"]): row["number"]
        for row in Operation.objects.order_by().values("kind", "state").annotate(number=Count("pk"))
    }
    yield _table(
        "operations",
        "Operations on record.",
        ("kind", "state"),
        {(kind, state): counted.get((kind, state), 0) for kind in OperationKind for state in OperationState},
    )
    done = Operation.objects.order_by().filter(state__in=_DONE)
    last = {
        one.kind: one
        for one in Operation.objects.filter(pk__in=done.values("kind").annotate(last=Max("pk")).values("last"))
    }
    measures: Sequence[tuple[str, str, Callable[[Operation], float | None]]] = (
        ("timestamp_seconds", "When the last operation of the kind was done.", _finished),
        ("duration_seconds", "How long it took.", _duration),
        ("bytes", "The size of the archives that it made, took in or checked.", _size),
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
    return max(0.0, (operation.finished_at - operation.started_at).total_seconds())  # the clock may have been set


def _size(operation: Operation) -> float | None:
    """What `operations.run` says of archives in the result of an operation; nothing where it is about none."""
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
