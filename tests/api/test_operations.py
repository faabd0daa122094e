"""Operations over the API: list, show and cancel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from tests.api.backup_parts import OPERATIONS, administrator, client_of, problem
from tests.factories import UserFactory
from tests.operations.elsewhere import queued, running
from tvarr_backup.api.operations import OPERATION_EXAMPLE
from tvarr_backup.operations.kinds import KINDS
from tvarr_backup.operations.models import Operation, OperationKind, OperationState, Origin, sentence_columns
from tvarr_backup.operations.run import submit
from tvarr_backup.operations.track import create_operation, track
from tvarr_backup.sentences import Sentence

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    return tmp_path / "backups"


def ended(number: int = 1, **changes: Any) -> list[Operation]:
    """Operations that have succeeded."""
    made = []
    for _ in range(number):
        operation = running(**changes)
        with track(operation) as tracker:
            tracker.set_result({"removed": []})
        made.append(operation)
    return made


# --- List and show ---------------------------------------------------------------------------------------------------


def test_operations_are_listed_newest_first() -> None:
    made = ended(3)
    body = client_of("view_operation").get(OPERATIONS).json()
    assert body["count"] == 3
    assert [one["id"] for one in body["results"]] == [operation.pk for operation in reversed(made)]


def test_a_running_operation_is_shown() -> None:
    keeper = UserFactory.create(username="keeper")
    operation = create_operation(
        OperationKind.BACKUP, origin=Origin.WEB, state=OperationState.RUNNING, requested_by=keeper
    )
    Operation.objects.update(phase="pack", done_bytes=300, total_bytes=400, percent=80)
    body = client_of("view_operation").get(f"{OPERATIONS}/{operation.pk}").json()
    assert list(body) == list(OPERATION_EXAMPLE)
    assert (body["kind"], body["state"], body["phase"], body["percent"]) == ("backup", "running", "pack", 80)
    assert (body["requested_by"], body["origin"], body["result"]) == ("keeper", "web", None)
    assert body["created_at"].endswith("Z")
    assert body["finished_at"] is None


def test_a_finished_operation_is_shown() -> None:
    (operation,) = ended()
    body = client_of("view_operation").get(f"{OPERATIONS}/{operation.pk}").json()
    assert (body["state"], body["result"], body["error_code"]) == ("succeeded", {"removed": []}, "")
    assert body["finished_at"].endswith("Z")


def test_times_are_utc_in_every_time_zone(settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    (operation,) = ended()
    body = client_of("view_operation").get(f"{OPERATIONS}/{operation.pk}").json()
    assert body["created_at"] == operation.created_at.isoformat().replace("+00:00", "Z")


def test_a_failure_is_shown_without_paths() -> None:
    (operation,) = ended()
    folder = Path(django_settings.BACKUP_DIRECTORY)
    sentence = Sentence("The backup folder {folder} cannot be used: Permission denied.", folder=folder)
    Operation.objects.update(
        state="failed", error_code="backup_folder_unusable", **sentence_columns(error=sentence, message=sentence)
    )
    body = client_of("view_operation").get(f"{OPERATIONS}/{operation.pk}").json()
    assert body["error_code"] == "backup_folder_unusable"
    assert body["error"] == body["message"] == "The backup folder backups cannot be used: Permission denied."


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("kind=verify", 2),
        ("kind=verify&kind=backup", 3),
        ("state=queued", 1),
        ("state=queued&state=running", 1),
        ("kind=verify&state=queued", 0),
    ],
)
def test_operations_are_filtered_by_kind_and_state(query: str, number: int) -> None:
    ended(2, kind=OperationKind.VERIFY)
    queued()
    assert client_of("view_operation").get(f"{OPERATIONS}?{query}").json()["count"] == number


@pytest.mark.parametrize("name", ["kind", "state"])
def test_an_unknown_kind_or_state_is_refused(name: str) -> None:
    response = client_of("view_operation").get(f"{OPERATIONS}?{name}=odd")
    problem(response, 400, "invalid")
    assert [found["pointer"].split("/")[1] for found in response.json()["errors"]] == [name]


def test_the_list_has_pages() -> None:
    ended(3)
    body = client_of("view_operation").get(f"{OPERATIONS}?page_size=2&page=2").json()
    assert (body["count"], len(body["results"]), body["next"]) == (3, 1, None)


def test_a_missing_page_is_not_found() -> None:
    problem(client_of("view_operation").get(f"{OPERATIONS}?page=99"), 404, "not_found")


@pytest.mark.parametrize("page", ["0", "-1", "x"])
def test_an_invalid_page_is_refused(page: str) -> None:
    problem(client_of("view_operation").get(f"{OPERATIONS}?page={page}"), 400, "invalid")


def test_the_number_of_queries_does_not_grow(django_assert_num_queries: Any) -> None:
    client = client_of("view_operation")
    for number in (1, 40):
        ended(number)
        with django_assert_num_queries(7):  # session, user, 2 of permissions, reconcile, count, page with its users
            client.get(OPERATIONS)


@pytest.mark.parametrize("key", ["x", "01JQ4Z6V9M3N8W5X2Y7T1K0CDE", "%00", "ä" * 26, "%ff", "I" * 26, "-1", "x" * 200])
@pytest.mark.parametrize("what", ["", "/cancel"])
def test_a_missing_operation_is_not_found(key: str, what: str) -> None:
    client = client_of("view_operation")
    address = f"{OPERATIONS}/{key}{what}"
    response = client.post(address) if what else client.get(address)
    assert problem(response, 404, "operation_not_found").startswith("There is no operation ")
    assert len(response.json()["detail"]) < 350


def test_abandoned_operations_are_interrupted_first() -> None:
    """Their process belongs to an earlier boot."""
    operation = running()
    Operation.objects.update(host="elsewhere", heartbeat_at="2026-01-01T00:00:00Z")
    assert client_of("view_operation").get(f"{OPERATIONS}/{operation.pk}").json()["state"] == "interrupted"
    second = running()
    Operation.objects.filter(pk=second.pk).update(host="elsewhere", heartbeat_at="2026-01-01T00:00:00Z")
    states = [one["state"] for one in client_of("view_operation").get(OPERATIONS).json()["results"]]
    assert states == ["interrupted", "interrupted"]


def test_unknown_parameters_are_refused() -> None:
    client = client_of("view_operation", "create_backup")
    operation = queued()
    for address in (OPERATIONS, f"{OPERATIONS}/{operation.pk}"):
        problem(client.get(f"{address}?ordering=kind"), 400, "invalid")
    problem(client.post(f"{OPERATIONS}/{operation.pk}/cancel?force=true"), 400, "invalid")


def test_it_requires_its_permission() -> None:
    operation = queued()
    for address in (OPERATIONS, f"{OPERATIONS}/{operation.pk}"):
        problem(client_of("view_backup").get(address), 403, "permission_denied")
        assert client_of("view_operation").head(address).status_code == 200


# --- Cancel ----------------------------------------------------------------------------------------------------------


def test_a_queued_operation_is_canceled_immediately() -> None:
    operation = submit(OperationKind.BACKUP, requested_by=None, origin=Origin.API)
    response = client_of("view_operation", "create_backup").post(f"{OPERATIONS}/{operation.pk}/cancel")
    assert (response.status_code, response.json()["state"]) == (200, "cancelled")


def test_a_running_operation_is_asked_to_stop() -> None:
    operation = running()
    body = client_of("view_operation", "create_backup").post(f"{OPERATIONS}/{operation.pk}/cancel").json()
    assert (body["state"], body["cancel_requested"]) == ("running", True)


def test_a_finished_operation_cannot_be_canceled() -> None:
    (operation,) = ended()
    response = client_of("view_operation", "create_backup").post(f"{OPERATIONS}/{operation.pk}/cancel")
    assert "succeeded" in problem(response, 409, "operation_ended")


@pytest.mark.parametrize("kind", OperationKind)
def test_a_user_who_may_start_an_operation_may_cancel_it(kind: OperationKind) -> None:
    operation = running(kind)
    address = f"{OPERATIONS}/{operation.pk}/cancel"
    needed = KINDS[kind].permission.removeprefix("operations.")
    others = {"create_backup", "verify_backup", "restore_backup", "delete_backup"} - {needed}
    problem(client_of("view_operation", *others).post(address), 403, "permission_denied")
    assert client_of(needed).post(address).status_code == 200


def test_a_viewer_cannot_cancel() -> None:
    operation = running()
    problem(client_of("view_operation").post(f"{OPERATIONS}/{operation.pk}/cancel"), 403, "permission_denied")
    operation.refresh_from_db()
    assert not operation.cancel_requested


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_other_methods_are_refused(method: str) -> None:
    for address in (OPERATIONS, f"{OPERATIONS}/{queued().pk}"):
        Operation.objects.all().delete()
        problem(getattr(administrator(), method)(address), 405, "method_not_allowed")
