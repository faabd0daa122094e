"""What waits is done some day, whatever becomes of its task in the queue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django_q.models import OrmQ

from tests.events import told
from tests.operations.elsewhere import queued
from tvarr_backup.operations.models import Operation, OperationKind, Origin
from tvarr_backup.operations.queue import find_forgotten
from tvarr_backup.operations.run import submit
from tvarr_backup.operations.track import begin, cancel
from tvarr_backup.worker import Worker

pytestmark = pytest.mark.django_db


def aged(operation: Operation, seconds: float) -> Operation:
    operation.created_at = datetime.now(UTC) - timedelta(seconds=seconds)
    operation.save(update_fields=["created_at"])
    return operation


@pytest.mark.parametrize(("seconds", "is_forgotten"), [(9, False), (11, True), (-9, False), (-11, True)])
def test_what_has_just_been_asked_for_is_given_a_moment(seconds: float, *, is_forgotten: bool) -> None:
    aged(queued(), seconds)
    assert (find_forgotten() is not None) == is_forgotten


@pytest.mark.parametrize("then", [lambda operation: begin(operation.pk), cancel])
def test_what_is_begun_or_ended_is_not_forgotten(then: Any) -> None:
    then(aged(queued(), 60))
    assert find_forgotten() is None


def test_it_asks_one_question(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert find_forgotten() is None


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> tuple[Worker, list[Any]]:
    """A worker that is not started, and the arguments of the tasks that it would do."""
    worker, done = Worker(), []
    monkeypatch.setattr(worker, "_perform", lambda task: done.append((task["func"], task["args"])))
    return worker, done


def test_an_operation_that_lost_its_task_is_done_without_one(
    idle: tuple[Worker, list[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    worker, done = idle
    operation = aged(submit(OperationKind.BACKUP, requested_by=None, origin=Origin.WEB), 60)
    OrmQ.objects.all().delete()
    worker._perform_forgotten()
    assert done == [("tvarr_backup.tasks.run_operation", (operation.pk,))]
    assert [event["operation"] for event in told(caplog, "task.redelivered")] == [str(operation.pk)]
    assert not OrmQ.objects.exists()


def test_as_long_as_something_waits_in_the_queue_no_operation_is_taken_for_forgotten(
    idle: tuple[Worker, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, done = idle
    worker._chores = [chore for chore in worker._chores if chore.name == "lost tasks"]
    monkeypatch.setattr(worker, "_can_work", lambda: True)
    monkeypatch.setattr("tvarr_backup.worker.close_old_connections", lambda: None)
    operation = aged(queued(), 60)
    worker._do_chores()
    assert done == []
    worker._is_idle = True
    worker._do_chores()
    assert done == [("tvarr_backup.tasks.run_operation", (operation.pk,))]
    assert not worker._is_idle
