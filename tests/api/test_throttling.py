"""The limit on writes per user."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.factories import UserFactory
from tvarr_backup.api.throttling import WriteThrottle

pytestmark = pytest.mark.django_db

ADDRESS = "/api/v1/expressions/validate"


@pytest.fixture(autouse=True)
def _limit_to_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WriteThrottle, "THROTTLE_RATES", {"writes": "2/min"})


def client() -> APIClient:
    made = APIClient()
    made.force_login(UserFactory.create())
    return made


def write(by: APIClient) -> Any:
    return by.post(ADDRESS, {"expression": "", "domain": "stream_filter"})


def test_writes_beyond_the_limit_are_refused_with_the_time_to_wait() -> None:
    keeper = client()
    assert [write(keeper).status_code for _ in range(2)] == [200, 200]
    refused = write(keeper)

    assert (refused.status_code, refused.json()["code"]) == (429, "throttled")
    assert refused["Content-Type"] == "application/problem+json"
    assert 1 <= int(refused["Retry-After"]) <= 60


def test_each_user_has_a_limit() -> None:
    one, other = client(), client()
    assert [write(one).status_code for _ in range(3)] == [200, 200, 429]

    assert write(other).status_code == 200


def test_reads_are_not_counted() -> None:
    keeper = client()
    assert [write(keeper).status_code for _ in range(3)] == [200, 200, 429]

    assert {keeper.get("/api/v1/filters").status_code for _ in range(5)} == {200}


def test_credentials_are_checked_first() -> None:
    assert {APIClient().post(ADDRESS, {}).status_code for _ in range(5)} == {401}
