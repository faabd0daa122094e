"""The queue of django-q2, in its table or on Redis. A task only wakes a worker up; operations are rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

from django.db import DEFAULT_DB_ALIAS, transaction
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.tasks import async_task

from tvarr_backup.errors import QueueUnreachable
from tvarr_backup.operations.models import KINDS_BESIDE, Operation, OperationState

RUN_OPERATION = "tvarr_backup.tasks.run_operation"

GRACE = timedelta(seconds=10)
"""An operation that is queued for longer than this with an empty queue has lost its task: with the queue, to a worker
that died, or because another key has signed it."""


def require_reachable() -> None:
    """Raise `QueueUnreachable` if the queue cannot take a task now."""
    if Conf.ORM:
        return
    from redis import RedisError  # noqa: PLC0415  # an extra

    try:
        get_broker().ping()
    except RedisError as problem:
        raise QueueUnreachable(
            "Nothing was started because the queue (REDIS_URL) cannot be reached: {problem:clause}. Try again.",
            problem=problem,
        ) from problem


def wake_worker(operation: Operation) -> None:
    """Queue the task of a new operation. Call it in the transaction that stores the row.

    A queue in the same database is written in that transaction. Redis gets the task after the commit, because a worker
    must find the row; if that fails, it is logged, and a worker finds the operation without its task.
    """
    send = partial(async_task, RUN_OPERATION, operation.pk, task_name=str(operation.pk))
    if Conf.ORM:
        send()
    else:
        transaction.on_commit(send, using=DEFAULT_DB_ALIAS, robust=True)


def find_forgotten() -> Operation | None:
    """Return a queued operation older than `GRACE`, for a worker that found the queue empty. Only one can claim it."""
    now = datetime.now(UTC)  # after the clock was put back, `created_at` may be in the future
    queued = (
        Operation.objects.filter(state=OperationState.QUEUED)
        .exclude(kind__in=KINDS_BESIDE)
        .exclude(created_at__range=(now - GRACE, now + GRACE))
    )
    return queued.select_related("requested_by").order_by("created_at").first()
