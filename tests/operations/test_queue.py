"""What waits is done some day, whatever becomes of its task in the queue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django_q.conf import Conf
from django_q.models import OrmQ

from tests.events import told
from tests.operations.elsewhere import queued
from tvarr_backup.operations.models import Operation, OperationKind, Origin
from tvarr_backup.operations.queue import deliver_again, waiting_tasks
from tvarr_backup.operations.run import submit
from tvarr_backup.operations.track import begin, cancel

pytestmark = pytest.mark.django_db


def submitted() -> Operation:
    """An operation that was asked for a minute ago."""
    operation = submit(OperationKind.BACKUP, requested_by=None, origin=Origin.WEB)
    return aged(operation, 60)


def aged(operation: Operation, seconds: float) -> Operation:
    operation.created_at = datetime.now(UTC) - timedelta(seconds=seconds)
    operation.save(update_fields=["created_at"])
    return operation


def take_its_task() -> None:
    """As a worker leaves it that is killed before it begins."""
    OrmQ.objects.update(lock=datetime.now(UTC) + timedelta(seconds=Conf.RETRY))


def tasks() -> list[tuple[Any, ...]]:
    """The arguments of those that would be delivered now."""
    return [row.args() for row in OrmQ.objects.filter(lock__lte=datetime.now(UTC)).order_by("pk")]


def test_what_waits_with_its_task_is_left_alone() -> None:
    operation = submitted()
    assert deliver_again() == []
    assert tasks() == [(operation.pk,)]


@pytest.mark.parametrize("lose", [OrmQ.objects.all().delete, take_its_task])
def test_what_lost_its_task_gets_another(lose: Any, caplog: pytest.LogCaptureFixture) -> None:
    operation = submitted()
    lose()
    assert deliver_again() == [operation]
    assert tasks() == [(operation.pk,)]
    assert OrmQ.objects.count() == 1
    assert [event["operation"] for event in told(caplog, "task.redelivered")] == [str(operation.pk)]
    assert deliver_again() == []


def test_what_never_had_a_task_gets_one() -> None:
    operation = aged(queued(), 11)
    assert deliver_again() == [operation]
    assert tasks() == [(operation.pk,)]


def test_a_task_that_another_key_has_signed_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    operation = submitted()
    monkeypatch.setattr(Conf, "SECRET_KEY", "another one")
    assert deliver_again() == [operation]
    assert tasks()[-1] == (operation.pk,)


@pytest.mark.parametrize(("seconds", "sent"), [(9, 0), (11, 1), (-9, 0), (-11, 1)])
def test_what_has_just_been_asked_for_is_given_a_moment(seconds: float, sent: int) -> None:
    aged(queued(), seconds)
    assert len(deliver_again()) == sent


@pytest.mark.parametrize("then", [begin, cancel])
def test_what_is_begun_or_ended_is_not_delivered_again(then: Any) -> None:
    then(submitted().pk)
    OrmQ.objects.all().delete()
    assert deliver_again() == []
    assert tasks() == []


def test_with_nothing_queued_it_asks_one_question(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert deliver_again() == []


def test_a_task_is_known_with_whether_it_is_taken() -> None:
    operation = submitted()
    assert waiting_tasks() == {operation.queue_task: False}
    take_its_task()
    assert waiting_tasks() == {operation.queue_task: True}
