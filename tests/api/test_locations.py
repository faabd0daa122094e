"""`/locations`: setting up, testing and copying, the keys, and that no answer has a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from rest_framework.test import APIClient

from tests.backups.makers import backup
from tests.events import told
from tvarr_backup import conf
from tvarr_backup.api.locations import LOCATION_EXAMPLE, LocationSerializer
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.locations.encryption import new_key
from tvarr_backup.operations.copying import open_address
from tvarr_backup.operations.models import Location, Operation, OperationKind, OperationState
from tvarr_backup.tasks import run_operation

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]

ADDRESS = "/api/v1/locations"
SECRET = "tide-table-1912"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDg"
SFTP = {"name": "nas", "url": "sftp://marit@nas.example.com/srv", "options": {"password": SECRET}}


@pytest.fixture(autouse=True)
def nas(tmp_path: Path, settings: Any) -> Path:
    """A folder outside the backup folder."""
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    prepare_folder(conf.backup_path())
    folder = tmp_path / "nas"
    folder.mkdir()
    return folder


def post(client: APIClient, path: str = "", body: Any = None) -> Any:
    return client.post(f"{ADDRESS}{path}", {} if body is None else body, format="json")


def patch(client: APIClient, body: Any) -> Any:
    return client.patch(f"{ADDRESS}/nas", body, format="json")


def add_folder(client: APIClient, nas: Path, **members: Any) -> Any:
    body = {"name": "nas", "kind": "folder", "options": {"path": str(nas)}} | members
    response = post(client, body=body)
    assert response.status_code == 201, response.json()
    return response.json()


def stored() -> Location:
    return Location.objects.get(name="nas")


def perform(response: Any) -> Operation:
    """Run the operation of an answer as a worker does."""
    assert response.status_code == 202, response.json()
    key = response.json()["operation"]["id"]
    run_operation(key)
    return Operation.objects.get(pk=key)


# --- Setting up ------------------------------------------------------------------------------------------------------


def test_a_location_is_added_and_shown(administrator: APIClient, nas: Path) -> None:
    response = post(administrator, body={"name": "nas", "kind": "folder", "options": {"path": str(nas)}, "keep": 5})
    assert (response.status_code, response["Location"]) == (201, f"{ADDRESS}/nas")
    shown = administrator.get(response["Location"]).json()
    assert shown == response.json()
    assert (shown["url"], shown["keep"], shown["state"]) == (f"folder:{nas}", 5, "untested")


def test_an_answer_has_the_documented_members(administrator: APIClient, nas: Path) -> None:
    members = list(add_folder(administrator, nas))
    assert members == list(LocationSerializer().fields) == list(LOCATION_EXAMPLE)


def test_the_list_has_pages(administrator: APIClient, nas: Path) -> None:
    add_folder(administrator, nas)
    add_folder(administrator, nas / "attic", name="attic")
    found = administrator.get(f"{ADDRESS}?page_size=1").json()
    assert (found["count"], [one["name"] for one in found["results"]]) == (2, ["attic"])


def test_an_address_may_be_a_url(administrator: APIClient) -> None:
    assert post(administrator, body=SFTP).status_code == 201
    assert open_address(stored()).options["password"] == SECRET


def test_members_that_are_left_out_stay(administrator: APIClient) -> None:
    post(administrator, body=SFTP)
    changed = patch(administrator, {"options": {"port": "2222"}, "monthly": 12, "enabled": False}).json()
    assert (changed["options"]["port"], changed["options"]["host"]) == ("2222", "nas.example.com")
    assert (changed["monthly"], changed["keep"], changed["state"]) == (12, 30, "paused")
    assert open_address(stored()).options["password"] == SECRET


def test_null_removes_a_secret(administrator: APIClient) -> None:
    post(administrator, body=SFTP)
    patch(administrator, {"options": {"passphrase": "of the key", "private_key": "PEM"}})
    changed = patch(administrator, {"options": {"passphrase": None, "password": None}}).json()
    assert changed["has_secrets"] == ["private_key"]


def test_null_does_not_remove_the_last_credential(administrator: APIClient) -> None:
    post(administrator, body=SFTP)
    assert patch(administrator, {"options": {"password": None}}).json()["code"] == "location_invalid"
    assert open_address(stored()).options["password"] == SECRET


def test_null_keeps_all_copies(administrator: APIClient, nas: Path) -> None:
    add_folder(administrator, nas)
    assert patch(administrator, {"keep": None, "max_age": "none"}).json()["keep"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"name": "nas", "kind": "folder", "options": {"path": "relative"}},
        {"name": "nas", "kind": "folder", "options": {"bucket": "x", "path": "/mnt"}},
        {"name": "nas", "kind": "folder"},
        {"name": "nas", "url": "nonsense"},
        {"name": "No name", "url": "folder:/mnt"},
        {"name": "nas", "url": "folder:/mnt", "recipient": "age1wrong"},
    ],
)
def test_an_invalid_location_is_refused(administrator: APIClient, body: Any) -> None:
    response = post(administrator, body=body)
    assert (response.status_code, response.json()["code"]) in {(400, "location_invalid"), (400, "recipient_invalid")}
    assert not Location.objects.exists()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": "nas"}, "/kind"),
        ({"name": "nas", "kind": "attic"}, "/kind"),
        ({"name": "nas", "kind": "s3", "url": "folder:/mnt"}, "/url"),
        ({"name": "nas", "url": "folder:/mnt", "keep": 0}, "/keep"),
        ({"name": "nas", "url": "folder:/mnt", "max_age": "soon"}, "/max_age"),
        ({"name": "nas", "url": "folder:/mnt", "password": SECRET}, "/password"),
    ],
)
def test_an_invalid_member_is_refused_with_its_pointer(administrator: APIClient, body: Any, pointer: str) -> None:
    response = post(administrator, body=body)
    assert response.json()["code"] == "invalid"
    assert pointer in [error["pointer"] for error in response.json()["errors"]]


def test_a_name_is_used_once(administrator: APIClient, nas: Path) -> None:
    add_folder(administrator, nas)
    assert post(administrator, body={"name": "nas", "url": "folder:/mnt"}).json()["code"] == "location_invalid"


def test_an_unknown_location_is_not_found(administrator: APIClient) -> None:
    for response in (
        administrator.get(f"{ADDRESS}/nowhere"),
        administrator.delete(f"{ADDRESS}/nowhere"),
        post(administrator, "/nowhere/test"),
        post(administrator, "/nowhere/key"),
    ):
        assert (response.status_code, response.json()["code"]) == (404, "location_not_found")


def test_a_removed_location_leaves_its_copies(administrator: APIClient, nas: Path) -> None:
    add_folder(administrator, nas)
    perform(post(administrator, "/nas/test"))
    there = sorted(nas.rglob("*"))
    assert administrator.delete(f"{ADDRESS}/nas").status_code == 204
    assert (Location.objects.count(), sorted(nas.rglob("*"))) == (0, there)


def test_a_location_in_use_is_not_removed(administrator: APIClient, nas: Path) -> None:
    add_folder(administrator, nas)
    post(administrator, "/nas/test")
    response = administrator.delete(f"{ADDRESS}/nas")
    assert (response.status_code, response.json()["code"]) == (409, "location_busy")


@pytest.mark.parametrize("who", ["viewer", "operator"])
def test_only_administrators_see_locations(who: str, request: pytest.FixtureRequest) -> None:
    client = request.getfixturevalue(who)
    assert client.get(ADDRESS).status_code == 403
    assert post(client, body=SFTP).status_code == 403


# --- Operations ------------------------------------------------------------------------------------------------------


def test_backups_are_copied_and_checked(administrator: APIClient, nas: Path) -> None:
    made = backup(conf.live_database(), conf.backup_path())
    add_folder(administrator, nas)
    assert perform(post(administrator, "/nas/test")).result == {"copies": 0}
    assert (perform(post(administrator, "/nas/sync")).result or {})["copied"] == [made.filename]
    assert perform(post(administrator, "/nas/check")).result == {"checked": [made.filename]}
    shown = administrator.get(f"{ADDRESS}/nas").json()
    assert (shown["state"], shown["copies"], shown["last_copy"]) == ("in_sync", 1, made.filename)
    assert shown["bytes"] == made.sidecar.compressed_size


@pytest.mark.parametrize("agreed", ["", "*"])
def test_a_shorter_retention_asks_before_copies_are_deleted(administrator: APIClient, nas: Path, agreed: str) -> None:
    live, folder = conf.live_database(), conf.backup_path()
    oldest, *_ = [backup(live, folder, kind=BackupKind.SCHEDULED) for _ in range(3)]
    add_folder(administrator, nas)
    perform(post(administrator, "/nas/test"))
    perform(post(administrator, "/nas/sync"))
    refusal = patch(administrator, {"keep": 2, "monthly": 0})
    assert (refusal.status_code, refusal.json()["code"]) == (400, "confirmation_required")
    assert refusal.json()["deletions"] == [oldest.filename]
    assert patch(administrator, {"keep": 1, "agreed": refusal.json()["agreed"]}).status_code == 400  # more than these
    assert stored().keep == 30
    assert patch(administrator, {"keep": 2, "agreed": agreed or refusal.json()["agreed"]}).status_code == 200
    assert stored().keep == 2


def test_an_emptied_location_is_accepted(administrator: APIClient, nas: Path) -> None:
    add_folder(administrator, nas)
    perform(post(administrator, "/nas/test"))
    for path in sorted(nas.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert perform(post(administrator, "/nas/sync", {"accept_empty": True})).state == OperationState.SUCCEEDED


def test_a_failure_has_its_code_and_a_reason_without_paths(administrator: APIClient, nas: Path) -> None:
    add_folder(administrator, nas)
    nas.rmdir()
    assert perform(post(administrator, "/nas/test")).state == OperationState.FAILED
    shown = administrator.get(f"{ADDRESS}/nas").json()
    assert (shown["state"], shown["error_code"], bool(shown["reason"])) == ("failing", "object_missing", True)


@pytest.mark.parametrize("path", ["sync", "check"])
def test_a_location_that_is_not_ready_is_refused(administrator: APIClient, nas: Path, path: str) -> None:
    add_folder(administrator, nas)
    response = post(administrator, f"/nas/{path}")
    assert (response.status_code, response.json()["code"]) == (409, "location_not_ready")


def test_one_operation_of_a_location_is_open(administrator: APIClient, nas: Path) -> None:
    add_folder(administrator, nas)
    post(administrator, "/nas/test")
    response = post(administrator, "/nas/test")
    assert (response.status_code, response.json()["code"]) == (409, "location_busy")


def test_operations_are_filtered_by_kind(administrator: APIClient, nas: Path) -> None:
    add_folder(administrator, nas)
    post(administrator, "/nas/test")
    found = administrator.get(f"/api/v1/operations?kind={OperationKind.TEST_LOCATION}").json()
    assert [one["kind"] for one in found["results"]] == ["test_location"]
    assert administrator.get(f"/api/v1/operations?kind={OperationKind.COPY}").json()["count"] == 0


# --- Keys ------------------------------------------------------------------------------------------------------------


def test_an_offered_host_key_is_confirmed(administrator: APIClient) -> None:
    post(administrator, body=SFTP)
    Location.objects.update(offered_host_key=HOST_KEY)
    assert administrator.get(f"{ADDRESS}/nas").json()["offered_host_key"] == HOST_KEY
    shown = post(administrator, "/nas/host-key", {"host_key": HOST_KEY}).json()
    assert (shown["options"]["host_key"], shown["offered_host_key"]) == (HOST_KEY, "")


def test_another_host_key_is_refused(administrator: APIClient) -> None:
    post(administrator, body=SFTP)
    response = post(administrator, "/nas/host-key", {"host_key": HOST_KEY})
    assert (response.status_code, response.json()["code"]) == (400, "location_invalid")


def test_a_key_is_answered_once_and_confirmed(administrator: APIClient, nas: Path) -> None:
    add_folder(administrator, nas)
    key = post(administrator, "/nas/key").json()
    shown = administrator.get(f"{ADDRESS}/nas").json()
    assert (shown["recipient"], shown["key_saved"]) == (key["recipient"], False)
    assert post(administrator, "/nas/key/confirm", {"identity": key["identity"]}).json()["key_saved"] is True


def test_a_key_is_confirmed_without_the_identity(administrator: APIClient, nas: Path) -> None:
    add_folder(administrator, nas, recipient=new_key().recipient)
    assert post(administrator, "/nas/key/confirm", {"key_saved": True}).json()["key_saved"] is True


def test_a_key_is_confirmed_when_the_location_is_added(administrator: APIClient, nas: Path) -> None:
    assert add_folder(administrator, nas, recipient=new_key().recipient, key_saved=True)["key_saved"] is True


def test_another_identity_is_refused(administrator: APIClient, nas: Path) -> None:
    add_folder(administrator, nas, recipient=new_key().recipient)
    for identity, code in ((new_key().identity, "identity_wrong"), ("nonsense", "identity_invalid")):
        response = post(administrator, "/nas/key/confirm", {"identity": identity})
        assert (response.status_code, response.json()["code"]) == (400, code)


def test_without_encryption_there_is_no_key_to_confirm(administrator: APIClient, nas: Path) -> None:
    add_folder(administrator, nas)
    assert post(administrator, "/nas/key/confirm", {"key_saved": True}).json()["code"] == "location_invalid"


@pytest.mark.parametrize("body", [{}, {"key_saved": False}, {"key_saved": True, "identity": "x"}])
def test_one_way_of_confirming_is_chosen(administrator: APIClient, nas: Path, body: Any) -> None:
    add_folder(administrator, nas)
    assert post(administrator, "/nas/key/confirm", body).json()["code"] == "invalid"


# --- Secrets stay secret ---------------------------------------------------------------------------------------------


def test_no_answer_event_or_record_has_a_secret(
    administrator: APIClient, admin_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    identity = new_key().identity
    unreachable = {"name": "nas", "url": "sftp://marit@127.0.0.1:9/srv", "options": {"password": SECRET}}
    answers = [
        post(administrator, body=unreachable),
        post(administrator, body=unreachable),
        post(administrator, body=SFTP | {"name": SECRET.upper(), "url": f"sftp://marit:{SECRET}@nas/srv"}),
        post(administrator, body=SFTP | {"options": {"password": [SECRET]}}),
        post(administrator, body=SFTP | {"options": [SECRET]}),
        post(administrator, body=SFTP | {"options": {"password": f"{SECRET}\0"}}),
        post(administrator, body=SFTP | {"recipient": identity}),
        patch(administrator, {"options": {"password": SECRET, "port": "0"}}),
        patch(administrator, {"options": {"password": SECRET, "port": "9"}}),
        administrator.get(ADDRESS),
        administrator.get(f"{ADDRESS}/nas"),
        post(administrator, "/nas/key/confirm", {"identity": identity}),
        post(administrator, "/nas/key/confirm", {"identity": [identity]}),
        post(administrator, "/nas/key/confirm", {"identity": identity[:-1]}),
        post(administrator, "/nas/host-key", {"host_key": HOST_KEY}),
    ]
    operation = perform(post(administrator, "/nas/test"))
    assert operation.state == OperationState.FAILED
    answers += [
        administrator.get(f"{ADDRESS}/nas"),
        administrator.get(f"/api/v1/operations/{operation.pk}"),
        admin_client.get("/admin/operations/operation/"),
        admin_client.get(f"/admin/operations/operation/{operation.pk}/change/"),
        admin_client.get(f"/operations/{operation.pk}/"),
        administrator.delete(f"{ADDRESS}/nas"),
    ]
    said = "".join(answer.content.decode() for answer in answers)
    said += caplog.text + str(told(caplog)) + repr(Operation.objects.values()) + repr(Location.objects.values())
    assert "location.added" in said
    assert SECRET not in said
    assert identity.rstrip()[:-1] not in said


def test_no_representation_has_a_secret(administrator: APIClient) -> None:
    post(administrator, body=SFTP)
    location = stored()
    assert SECRET not in repr((location, location.__dict__, open_address(location), new_key()))


def test_a_new_identity_is_stored_nowhere(
    administrator: APIClient, nas: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    add_folder(administrator, nas)
    identity = post(administrator, "/nas/key").json()["identity"]
    dump = tmp_path / "dump.json"
    call_command("dumpdata", "operations", output=str(dump))
    assert User.objects.exists()
    assert identity not in dump.read_text() + caplog.text
