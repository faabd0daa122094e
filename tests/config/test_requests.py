"""The log of requests: all events of a request have its user, including those of streams."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from structlog.contextvars import get_contextvars

from config.logs import logging_settings
from config.requests import RequestLog
from tests.events import told
from tests.factories import FilterFactory, UserFactory

pytestmark = pytest.mark.django_db


def members(event: dict[str, Any]) -> dict[str, Any]:
    """Call members that are functions."""
    return {name: value() if callable(value) else value for name, value in event.items()}


def test_events_of_a_stream_have_the_user_of_the_request(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client.force_login(UserFactory.create(username="marit"))
    caplog.set_level("INFO")
    FilterFactory.create()
    answer: Any = client.get("/api/v1/filters/export?all=true")
    assert answer.status_code == 200
    assert b"Harbour" in b"".join(answer.streaming_content)
    (event,) = told(caplog, "export.made")
    assert (event["origin"], event["user"]()) == ("api", "marit")


def test_requests_of_the_admin_are_logged_with_the_user(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client.force_login(UserFactory.create(username="marit"))
    caplog.set_level("DEBUG", "config.requests")
    client.get(reverse("admin:index"), query_params={"token": "hunter2"})
    event = members(told(caplog, "request.answered")[0])
    assert 0 < event.pop("seconds") < 30
    assert event == {
        "level": "debug",
        "event": "request.answered",
        "origin": "web",
        "user": "marit",
        "method": "GET",
        "path": "/admin/",
        "status": 200,
    }


def test_the_log_needs_no_query_for_the_user(caplog: pytest.LogCaptureFixture, django_assert_num_queries: Any) -> None:
    caplog.set_level("DEBUG", "config.requests")
    with django_assert_num_queries(0):
        Client().get("/nothing")
        assert members(told(caplog, "request.answered")[0])["user"] is None


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/status.svg"])
def test_health_checks_are_not_logged(path: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "config.requests")
    Client().get(path)
    assert told(caplog, "request.answered") == []


def test_no_value_of_a_request_stays_bound() -> None:
    Client().get("/nothing")
    assert get_contextvars() == {}


def test_requests_are_not_logged_by_default() -> None:
    assert logging_settings("INFO", "text")["root"]["level"] == "INFO"
    assert not logging.getLogger(RequestLog.__module__).isEnabledFor(logging.DEBUG)
