"""The queue of django-q2, in its table or on Redis. A task in it only wakes a worker up: the operations' rows say what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

from django.db import DEFAULT_DB_ALIAS, transaction
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.tasks import async_task

from tvarr_backup.errors import QueueUnreachable
from tvarr_backup.operations.models import Operation, OperationState

RUN_OPERATION = "tvarr_backup.tasks.run_operation"

GRACE = timedelta(seconds=10)
"""An operation that is queued for longer than this, while the queue is empty, has lost its task."""


def require_reachable() -> None:
    """Raise `QueueUnreachable` where no worker could be woken up for a new operation now."""
    if Conf.ORM:
        return
    from redis import RedisError  # noqa: PLC0415  # an extra

    try:
        get_broker().ping()
    except RedisError as problem:
        raise QueueUnreachable(
            "The queue's server (REDIS_URL) cannot be reached, and nothing was asked for; try again. It says: {problem}",
            problem=problem,
        ) from problem


def wake_worker(operation: Operation) -> None:
    """Put the task of a new operation into the queue. Call it in the transaction that stores the row.

    A queue in the same database is written in that transaction: both are stored, or neither is. Redis gets the task after
    the commit, since a worker must find the row. If that fails, it is logged, and a worker finds the operation without it.
    """
    send = partial(async_task, RUN_OPERATION, operation.pk, task_name=str(operation.pk))
    if Conf.ORM:
        send()
    else:
        transaction.on_commit(send, using=DEFAULT_DB_ALIAS, robust=True)


def find_forgotten() -> Operation | None:
    """Return a queued operation older than `GRACE`, for a worker that found the queue empty.

    Its task was lost with the queue, was taken by a worker that died, or was signed with another key. If
    another worker has just taken it, that is harmless, because an operation is begun once.
    """
    now = datetime.now(UTC)  # a clock that was put back leaves operations of the future
    queued = Operation.objects.filter(state=OperationState.QUEUED).exclude(created_at__range=(now - GRACE, now + GRACE))
    return queued.select_related("requested_by").order_by("created_at").first()
