"""Several watchers, as on machines that share a server, report each change once."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import connections

from tests.operations.alert_makers import NOON, ended, stored, webhook
from tests.receivers.web_receiver import running_receiver
from tvarr_backup.operations.alert_models import Alert, OutboxMessage
from tvarr_backup.operations.delivery import send_next
from tvarr_backup.operations.models import OperationState
from tvarr_backup.operations.outbox import queue_test
from tvarr_backup.operations.watch import Watcher

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_several_watchers_one_reports() -> None:
    webhook("phone")
    for _ in range(5):
        ended()
    at_the_same_time(lambda: Watcher().notice_endings(NOON))
    assert stored() == [("phone", "backup_failed", False)]
    assert Alert.objects.count() == 1
    ended(state=OperationState.SUCCEEDED)
    at_the_same_time(lambda: Watcher().notice_endings(NOON))
    assert stored()[1:] == [("phone", "backup_failed", True)]


def test_of_several_senders_one_sends() -> None:
    with running_receiver() as web:
        receiver = webhook("phone", web.url)
        queue_test(receiver)
        at_the_same_time(lambda: send_next(str(receiver.pk)))
        assert len(web.received) == 1
    assert OutboxMessage.objects.get().attempts == 1


def at_the_same_time(do: Callable[[], object]) -> None:
    barrier = threading.Barrier(4)

    def run() -> None:
        try:
            barrier.wait()
            do()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
