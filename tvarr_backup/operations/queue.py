"""The queue of django-q2, in its table or on Redis: it wakes a worker up. What is to be done, the operations' rows say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from django.db import DEFAULT_DB_ALIAS, transaction
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.signing import BadSignature, SignedPackage
from django_q.tasks import async_task

from tvarr_backup.errors import QueueUnreachable
from tvarr_backup.operations.models import Operation, OperationState

_TASK = "tvarr_backup.tasks.run_operation"

GRACE = timedelta(seconds=10)
"""For so long an operation may be queued without a task that waits for a worker."""

CLAIM_WITHOUT_BEGIN = timedelta(seconds=60)
"""For so long a task of the schedule may be claimed without being begun."""

logger = structlog.stdlib.get_logger(__name__)


def require_reachable() -> None:
    """Raise `QueueUnreachable` where nobody could be told of a new operation now."""
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


def hand_over(operation: Operation) -> None:
    """Queue the task of a new operation; call it in the transaction that stores the row.

    A queue in the same database is written in that transaction: both are stored, or neither is. Redis is told after the
    commit, since a worker must find the row. Where that fails, it is logged and the operation waits: `deliver_again`.
    """
    if Conf.ORM:
        send(operation)
    else:
        transaction.on_commit(partial(send, operation), using=DEFAULT_DB_ALIAS, robust=True)


def send(operation: Operation) -> None:
    """Put a task for it into the queue, and write down which; twice in the queue is harmless."""
    operation.queue_task = async_task(_TASK, operation.pk, task_name=str(operation.pk))
    Operation.objects.filter(pk=operation.pk, state=OperationState.QUEUED).update(queue_task=operation.queue_task)


def deliver_again() -> list[Operation]:
    """Send the queued operations once more whose task does not wait for a worker; those.

    It was lost with the queue, or was taken by a worker that was killed before it began, or its signature was refused. A
    task that is sent though another worker is just beginning costs nothing: an operation is begun once.
    """
    queued = Operation.objects.filter(state=OperationState.QUEUED).select_related("requested_by")
    due = [operation for operation in queued if abs(datetime.now(UTC) - operation.created_at) > GRACE]
    if not due:
        return []
    tasks = waiting_tasks()
    lost = [operation for operation in due if tasks.get(operation.queue_task) is not False]
    for operation in lost:
        logger.warning("task.redelivered", **operation.as_context())
        old = operation.queue_task
        send(operation)
        delete_task(old)
    return lost


def waiting_tasks() -> dict[str, bool]:
    """The tasks in the queue by id, and whether a worker has taken one and is not done with it.

    Redis forgets what is taken. One that is signed with another key has an id that no task has.
    """
    if Conf.ORM:
        now = timezone.now()
        return {str(row.task_id()): row.lock is not None and row.lock > now for row in OrmQ.objects.all()}
    broker = get_broker()
    return dict.fromkeys(map(_task_id, broker.connection.lrange(broker.list_key, 0, -1)), False)


def delete_task(task_id: str) -> bool:
    """Take a task out of the queue's table, so that it is never delivered (again); whether it was there.

    On Redis it stays: who takes it finds nothing to do.
    """
    if not Conf.ORM:
        return False
    pks = [row.pk for row in OrmQ.objects.all() if task_id and row.task_id() == task_id]
    return bool(OrmQ.objects.filter(pk__in=pks).delete()[0])


def release_claim(task_id: str, now: datetime, unstarted_for: timedelta) -> bool:
    """Let a task in the queue's table be delivered again that a worker claimed so long ago; whether it was.

    A worker claims a task by locking its row for the time of a retry, a day, and hands it on in memory: killed in
    between, it leaves a task that nobody begins. A row that would have been locked in the future is one that was queued, or
    claimed, before the clock was put back.
    """
    if not Conf.ORM:
        return False
    for row in OrmQ.objects.filter(lock__gt=now):
        claimed = row.lock - timedelta(seconds=Conf.RETRY)
        if str(row.task_id()) == task_id and not now - unstarted_for < claimed <= now:
            return bool(OrmQ.objects.filter(pk=row.pk, lock=row.lock).update(lock=now))
    return False


def _task_id(payload: bytes) -> str:
    try:
        return str(SignedPackage.loads(payload)["id"])
    except (TypeError, BadSignature):
        return "*"
