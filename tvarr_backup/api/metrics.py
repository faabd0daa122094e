"""What one look at everything finds, in numbers, as Prometheus reads them.

Nothing is counted in the processes that serve: each scrape looks anew, so it does not matter which of them answers.
"""

from __future__ import annotations

import platform
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

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
    """All metrics as they are now, in Prometheus's text format."""
    return generate_latest(_registry)


class _Look(Collector):
    """Computes everything at the scrape. What cannot be told now has no sample."""

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
_registry.register(_Look())


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
        expected.may_be_old.total_seconds() if expected.may_be_old else None,
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
    yield _table(
        "last_operation_timestamp_seconds",
        "When the last operation of the kind was done.",
        ("kind",),
        {(kind,): _timestamp(one.finished_at) for kind, one in last.items()},
    )
    yield _table(
        "last_operation_duration_seconds",
        "How long it took.",
        ("kind",),
        {(kind,): _duration(one) for kind, one in last.items()},
    )
    yield _table(
        "last_operation_bytes",
        "The size of the archives that it made, took in or checked.",
        ("kind",),
        {(kind,): _size(one.result or {}) for kind, one in last.items()},
    )


def _duration(operation: Operation) -> float | None:
    if operation.started_at is None or operation.finished_at is None:
        return None
    return max(0.0, (operation.finished_at - operation.started_at).total_seconds())  # the clock may have been set


def _size(result: Mapping[str, Any]) -> float | None:
    """What `operations.run` says of archives in the result of an operation; nothing where it is about none."""
    if "backup" in result:
        return float(result["backup"]["file_size"])
    if "verified" in result:
        return float(sum(verified["backup"]["file_size"] for verified in result["verified"]))
    return None


def _timestamp(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _gauge(name: str, words: str, value: float | None) -> Metric:
    return _table(name, words, (), {(): value})


def _table(name: str, words: str, labels: Iterable[str], values: Mapping[tuple[str, ...], float | None]) -> Metric:
    family = GaugeMetricFamily(f"tvarr_backup_{name}", words, labels=tuple(labels))
    for key, value in values.items():
        if value is not None:
            family.add_metric([str(part) for part in key], float(value))
    return family
