"""Alerts while this program's own database cannot be used: they are sent without it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.processes import wait_until
from tests.receivers.web_receiver import Reply, WebReceiver, running_receiver
from tvarr_backup.errors import DatabaseUnusable
from tvarr_backup.operations.database_alerts import DatabaseAlerts
from tvarr_backup.operations.models import Installation
from tvarr_backup.operations.receivers import add_receiver, store_environment
from tvarr_backup.receivers.addresses import parse_receiver

PROBLEM = DatabaseUnusable("The file is damaged.")


@pytest.fixture
def web() -> Iterator[WebReceiver]:
    with running_receiver() as receiver:
        yield receiver


def received(web: WebReceiver, count: int) -> list[dict[str, Any]]:
    wait_until(lambda: len(web.received) >= count, f"{count} messages")
    return [json.loads(each.body) for each in web.received]


def test_an_outage_is_reported_once_and_so_is_its_end(db: None, web: WebReceiver) -> None:
    add_receiver("hook", f"webhook+{web.url}/wharf-lantern")
    alerts = DatabaseAlerts(after_seconds=0)
    alerts.report_use()
    alerts.report_problem(PROBLEM)
    alerts.report_problem(PROBLEM)
    (message,) = received(web, 1)
    assert (message["event"], message["is_over"]) == ("own_database", False)
    assert "damaged" in message["text"]
    assert message["data"] == {"installation_id": Installation.load()}
    alerts.report_use()
    alerts.report_use()
    assert [each["is_over"] for each in received(web, 2)] == [False, True]


def test_a_short_outage_is_not_reported(db: None, web: WebReceiver) -> None:
    add_receiver("hook", f"webhook+{web.url}/wharf-lantern")
    alerts = DatabaseAlerts(after_seconds=60)
    alerts.report_use()
    alerts.report_problem(PROBLEM)
    alerts.report_use()
    assert web.received == []


def test_before_the_database_was_ever_usable_the_receivers_of_the_environment_get_the_message(
    web: WebReceiver, settings: Any
) -> None:
    settings.NOTIFY_ADDRESSES = (parse_receiver(f"webhook+{web.url}/wharf-lantern"),)
    DatabaseAlerts(after_seconds=0).report_problem(PROBLEM)
    assert [each["event"] for each in received(web, 1)] == ["own_database"]


def test_paused_receivers_and_monitors_get_nothing(db: None, web: WebReceiver, settings: Any) -> None:
    add_receiver("hook", f"webhook+{web.url}/paused", is_enabled=False)
    add_receiver("other", f"webhook+{web.url}/enabled")
    settings.PING_URL = f"{web.url}/ping"
    store_environment()
    alerts = DatabaseAlerts(after_seconds=0)
    alerts.report_use()
    alerts.report_problem(PROBLEM)
    received(web, 1)
    assert {each.path for each in web.received} == {"/enabled"}


def test_a_receiver_that_is_down_keeps_no_other_from_its_message(
    db: None, web: WebReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    with running_receiver(lambda _received: Reply(500)) as down:
        add_receiver("down", f"webhook+{down.url}/wharf-lantern")
        add_receiver("hook", f"webhook+{web.url}/hook")
        alerts = DatabaseAlerts(after_seconds=0)
        alerts.report_use()
        alerts.report_problem(PROBLEM)
        received(web, 1)
        wait_until(lambda: "message.unsent" in caplog.text, "the failure is logged")
    assert "wharf-lantern" not in caplog.text
