"""django-q2's table of waiting tasks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django_q.conf import Conf
from django_q.models import OrmQ


def waiting_tasks() -> Iterator[tuple[str, OrmQ]]:
    """Every row of the queue, claimed ones included, with the id of its task.

    The id lies in the signed payload; a row that was signed with another key gives an id that no task has.
    """
    for row in OrmQ.objects.all():
        yield str(row.task_id()), row


def delete_task(task_id: str) -> bool:
    """Take a task out of the queue so that it is never delivered (again); whether it was there."""
    pks = [row.pk for waiting, row in waiting_tasks() if task_id and waiting == task_id]
    return bool(OrmQ.objects.filter(pk__in=pks).delete()[0])


def release_claim(row: OrmQ, now: datetime, unstarted_for: timedelta) -> bool:
    """Let a task be delivered again that a worker claimed so long ago; whether it was.

    A worker claims a task by locking its row for the time of a retry, a day, and hands it on in memory: killed in
    between, it leaves a task that nobody begins. A row that would have been locked in the future is one that was queued, or
    claimed, before the clock was put back.
    """
    if row.lock is None or row.lock <= now or now - unstarted_for < row.lock - timedelta(seconds=Conf.RETRY) <= now:
        return False
    return bool(OrmQ.objects.filter(pk=row.pk, lock=row.lock).update(lock=now))
