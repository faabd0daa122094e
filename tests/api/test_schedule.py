"""`/backups/schedule`: who may see it, who may change it, and what a change does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django_q.models import Schedule
from rest_framework.test import APIClient

from tests.factories import UserFactory
from tvarr_backup.api.schedule import ScheduledRunSerializer, ScheduleSerializer
from tvarr_backup.backups.retention import Period
from tvarr_backup.operations.models import (
    BackupSettings,
    Operation,
    OperationKind,
    OperationState,
    Origin,
    sentence_columns,
)
from tvarr_backup.operations.schedule import plan_next_run, schedule_as_data
from tvarr_backup.operations.track import create_operation
from tvarr_backup.sentences import Sentence

pytestmark = pytest.mark.django_db

ADDRESS = "/api/v1/backups/schedule"


def client_of(*permissions: str) -> APIClient:
    """Return a client of a user with only these permissions."""
    user = UserFactory.create(is_superuser=False, is_staff=False)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="operations", codename__in=permissions))
    client = APIClient()
    client.force_login(user)
    return client


@pytest.fixture
def viewer() -> APIClient:
    return client_of("view_backupsettings")


@pytest.fixture
def keeper() -> APIClient:
    return client_of("view_backupsettings", "change_backupsettings")


def change(client: APIClient, body: Any) -> Any:
    return client.put(ADDRESS, body, format="json")


def test_it_is_shown_with_tvarrs_members_first(viewer: APIClient) -> None:
    response = viewer.get(ADDRESS)
    assert response.status_code == 200
    body = response.json()
    assert list(body.items())[:3] == [("enabled", True), ("cron", "0 0 2 * * *"), ("retention", 7)]
    assert (body["timezone"], body["max_age"]) == ("UTC", "none")
    assert body["description"] == "Every day at 02:00 (UTC)"
    assert [time[11:] for time in body["next_runs"]] == ["02:00:00+00:00"] * 3


def test_the_last_run_is_shown_without_paths(viewer: APIClient, settings: Any) -> None:
    assert viewer.get(ADDRESS).json()["last_run"] is None
    operation = create_operation(OperationKind.BACKUP, origin=Origin.SCHEDULE, state=OperationState.RUNNING)
    sentence = Sentence("{folder} cannot be used.", folder=Path(settings.BACKUP_DIRECTORY))
    Operation.objects.update(state=OperationState.FAILED, **sentence_columns(error=sentence))
    last = viewer.get(ADDRESS).json()["last_run"]
    assert (last["operation"], last["state"], last["filename"]) == (str(operation.pk), "failed", None)
    assert last["message"] == "backups cannot be used."


def test_an_overdue_backup_is_shown(viewer: APIClient) -> None:
    assert viewer.get(ADDRESS).json()["overdue_since"] is None
    plan_next_run()
    Schedule.objects.update(next_run="2026-01-01T02:00:00Z")
    assert viewer.get(ADDRESS).json()["overdue_since"] == "2026-01-01T02:00:00+00:00"


def test_the_answer_has_the_documented_members(viewer: APIClient) -> None:
    create_operation(OperationKind.BACKUP, origin=Origin.SCHEDULE, state=OperationState.RUNNING)
    body = viewer.get(ADDRESS).json()
    assert list(body) == list(ScheduleSerializer().fields)
    assert list(body["last_run"]) == list(ScheduledRunSerializer().fields)


def test_a_slash_at_the_end_is_ignored(viewer: APIClient) -> None:
    assert viewer.get(f"{ADDRESS}/").json() == viewer.get(ADDRESS).json()


def test_all_members_can_be_changed_together(keeper: APIClient) -> None:
    response = change(
        keeper,
        {
            "enabled": True,
            "cron": "30 4 * * SUN",
            "timezone": "Asia/Tokyo",
            "retention": 3,
            "max_age": "30d",
            "retention_daily": 7,
            "retention_weekly": 4,
            "retention_monthly": 12,
            "retention_yearly": 1,
        },
    )
    assert response.status_code == 200
    body = response.json()
    assert (body["cron"], body["timezone"], body["retention"], body["max_age"]) == (
        "0 30 4 * * SUN",
        "Asia/Tokyo",
        3,
        "30d",
    )
    assert [body[f"retention_{period}"] for period in Period] == [7, 4, 12, 1]
    assert body["description"] == "Every Sunday at 04:30 (Asia/Tokyo)"
    assert body == keeper.get(ADDRESS).json()
    assert Schedule.objects.get().next_run.isoformat()[11:] == "19:30:00+00:00"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        *[
            ("enabled", False),
            ("cron", "0 0 3 * * *"),
            ("timezone", "Asia/Tokyo"),
            ("retention", 1),
            ("max_age", "12h"),
        ],
        *[("retention_daily", 7), ("retention_weekly", 4), ("retention_monthly", 12), ("retention_yearly", 1)],
    ],
)
def test_a_member_can_be_changed_alone_and_null_resets_it(keeper: APIClient, member: str, value: Any) -> None:
    before = keeper.get(ADDRESS).json()
    changed = change(keeper, {member: value}).json()
    assert {name for name in before["defaults"] if changed[name] != before[name]} == {member}
    assert changed[member] == value
    assert change(keeper, {}).json() == changed
    assert change(keeper, {member: None}).json() == before


def test_retention_zero_keeps_all(keeper: APIClient) -> None:
    change(keeper, {"retention": 3})
    assert change(keeper, {"retention": 0}).json()["retention"] == 0
    assert BackupSettings.load().policy().keep is None
    assert change(keeper, {"retention": 5}).json()["retention"] == 5
    assert BackupSettings.load().policy().keep == 5


@pytest.mark.parametrize("period", Period)
def test_zero_keeps_no_backup_for_a_period_whatever_the_environment_says(
    keeper: APIClient, settings: Any, period: Period
) -> None:
    setattr(settings, f"BACKUP_RETENTION_{period.upper()}", 5)
    member = f"retention_{period}"
    assert keeper.get(ADDRESS).json()[member] == 5
    assert change(keeper, {member: 0}).json()[member] == 0
    assert change(keeper, {member: None}).json()[member] == 5


def test_none_is_no_maximum_age(keeper: APIClient, settings: Any) -> None:
    change(keeper, {"max_age": "none"})
    assert BackupSettings.load().policy().max_age is None


def test_tvarrs_client_sends_six_fields_and_its_own_member(keeper: APIClient) -> None:
    body = {"$schema": "https://tvarr.example/schemas/Schedule.json", "enabled": True, "cron": "0 0 3 * * *"}
    assert change(keeper, body).json()["cron"] == "0 0 3 * * *"


def test_an_answer_can_be_sent_back(keeper: APIClient) -> None:
    body = change(keeper, {"cron": "*/7 3 * * 1-5", "retention": 0, "max_age": "1w2d"}).json()
    values = {name: body[name] for name in body["defaults"]}
    assert change(keeper, values).json() == body


def test_two_users_can_change_different_members(keeper: APIClient) -> None:
    other = client_of("change_backupsettings")
    keeper.get(ADDRESS)
    change(other, {"cron": "0 5 * * *"})
    body = change(keeper, {"retention": 2}).json()
    assert (body["cron"], body["retention"]) == ("0 0 5 * * *", 2)


@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        ("enabled", "yes", "invalid"),
        ("enabled", 1, "invalid"),
        ("cron", "x y z a b c", "invalid_cron"),
        ("cron", "60 0 2 * * *", "invalid_cron"),
        ("cron", "@daily", "invalid_cron"),
        ("cron", "0 0 31 2 *", "invalid_cron"),
        ("cron", "", "blank"),
        ("cron", 5, "invalid"),
        ("timezone", "Mars/Base", "invalid_time_zone"),
        ("timezone", "../../etc/passwd", "invalid_time_zone"),
        ("timezone", "", "blank"),
        ("retention", -1, "min_value"),
        ("retention", 100_001, "max_value"),
        ("retention", 10**400, "max_value"),
        ("retention", True, "invalid"),
        ("retention", "7", "invalid"),
        ("retention", 7.5, "invalid"),
        ("retention_daily", -1, "min_value"),
        ("retention_yearly", 100_001, "max_value"),
        ("retention_weekly", True, "invalid"),
        ("retention_monthly", "4", "invalid"),
        ("max_age", "soon", "invalid_duration"),
        ("max_age", "0d", "invalid_duration"),
        ("max_age", "", "blank"),
        ("seconds", 5, "unknown_member"),
        ("next_runs", [], "unknown_member"),
    ],
)
def test_an_invalid_member_is_named_and_the_schedule_stays(
    keeper: APIClient, member: str, value: Any, code: str
) -> None:
    change(keeper, {"cron": "0 3 * * *", "timezone": "Asia/Tokyo", "retention": 3})
    before = (schedule_as_data(), Schedule.objects.values().get())
    response = change(keeper, {"enabled": False, "cron": "0 4 * * *", member: value})
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    (found,) = response.json()["errors"]
    assert (found["pointer"], found["code"]) == (f"/{member}", code)
    assert len(found["detail"]) < 400
    assert (schedule_as_data(), Schedule.objects.values().get()) == before


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (-1, "Expected a number from 1 to 100000, 0 to keep all, or null, got -1."),
        (10**400, f"Expected a number from 1 to 100000, 0 to keep all, or null, got 1{'0' * 19}."),
        (True, "Expected a whole number, got true."),
        (7.5, "Expected a whole number, got 7.5."),
        ([7], "Expected a whole number, got a list."),
    ],
)
def test_an_invalid_retention_is_refused_with_what_is_expected(keeper: APIClient, value: Any, sentence: str) -> None:
    (found,) = change(keeper, {"retention": value}).json()["errors"]
    assert found["detail"] == sentence


@pytest.mark.parametrize("value", [-1, 100_001])
def test_an_invalid_number_of_a_period_is_refused_with_what_is_expected(keeper: APIClient, value: int) -> None:
    (found,) = change(keeper, {"retention_weekly": value}).json()["errors"]
    assert found["detail"] == f"Expected a number from 0 to 100000, or null, got {value}."


def test_all_errors_are_listed(keeper: APIClient) -> None:
    response = change(keeper, {"cron": "x", "retention": -1, "seconds": 1})
    assert {found["pointer"] for found in response.json()["errors"]} == {"/cron", "/retention", "/seconds"}


@pytest.mark.parametrize("member", ["cron", "timezone", "max_age"])
def test_a_text_with_nul_is_refused(keeper: APIClient, member: str) -> None:
    response = change(keeper, {member: "0 2 * * *\0"})
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
    assert not BackupSettings.objects.exists()


@pytest.mark.parametrize("body", [b"[]", b'"0 2 * * *"', b"5", b"null"])
def test_a_body_must_be_an_object(keeper: APIClient, body: bytes) -> None:
    response = keeper.put(ADDRESS, body, content_type="application/json")
    assert (response.status_code, response.json()["code"]) == (400, "invalid")


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b'{"cron": ', 400),
        ("application/json", b'{"cron": "\xff"}', 400),
        ("text/plain", b"cron", 415),
        ("application/x-www-form-urlencoded", b"cron=1", 415),
    ],
)
def test_a_body_must_be_json(keeper: APIClient, content_type: str, body: bytes, status: int) -> None:
    assert keeper.put(ADDRESS, body, content_type=content_type).status_code == status
    assert not BackupSettings.objects.exists()


def test_a_viewer_cannot_change_it(viewer: APIClient) -> None:
    assert change(viewer, {"enabled": False}).status_code == 403
    assert not BackupSettings.objects.exists()


def test_it_requires_its_own_permission() -> None:
    assert client_of("change_backupsettings", "view_backup").get(ADDRESS).status_code == 403
    assert APIClient().get(ADDRESS).status_code == 401
    assert change(APIClient(), {"enabled": False}).status_code == 401


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_other_methods_are_refused(keeper: APIClient, method: str) -> None:
    assert keeper.generic(method, ADDRESS).status_code in {403, 405}


@pytest.mark.parametrize(
    "body", [rb'{"cron": "\ud800"}', rb'{"timezone": "\ud800"}', rb'{"max_age": "\ud800"}', rb'{"\ud800": 1}']
)
def test_half_a_surrogate_pair_is_refused(keeper: APIClient, body: bytes) -> None:
    response = keeper.put(ADDRESS, body, content_type="application/json")
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
