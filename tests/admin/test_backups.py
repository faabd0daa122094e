"""Backups, operations and backup settings in the admin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from tests.admin.pages import change_url, delete_url, list_url, messages_of, run_action, text_of
from tests.factories import UserFactory
from tvarr_backup import conf
from tvarr_backup.backups import catalogue
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.folder import prepare_folder, work_in
from tvarr_backup.backups.lock import backup_lock
from tvarr_backup.backups.sidecar import BackupKind, DateSource, encode_sidecar
from tvarr_backup.operations.models import Backup, BackupSettings, Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.track import create_operation

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    """The backup folder of a test."""
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    return prepare_folder(conf.backup_path())


def make(folder: Path, *, kind: BackupKind = BackupKind.MANUAL, note: str = "") -> Backup:
    """A backup of the test database, and its row in the index (not stored)."""
    made = create_backup(conf.live_database(), folder, conf.required_schema(), kind=kind, note=note)
    return Backup(pk=made.filename)


def present(folder: Path) -> list[str]:
    return [backup.filename for backup in catalogue.read_folder(folder).backups]


@pytest.fixture
def person(client: Client) -> Any:
    """Return a function that signs in a user with only these permissions."""

    def sign_in(*permissions: str) -> Client:
        user = UserFactory.create(is_superuser=False)
        user.user_permissions.set(
            Permission.objects.filter(content_type__app_label="operations", codename__in=permissions)
        )
        client.force_login(user)
        return client

    return sign_in


# --- Looking ---------------------------------------------------------------------------------------------------------


def test_the_list_is_the_folder_as_it_is_now(admin_client: Client, folder: Path) -> None:
    first = make(folder, note="before the new provider")
    assert "before the new provider" in text_of(admin_client.get(list_url(Backup)))
    (folder / first.filename).unlink()
    (folder / "holiday.jpg").write_bytes(b"")
    text = text_of(admin_client.get(list_url(Backup)))
    assert "Broken" in text
    assert "1 other file there, never changed or deleted." in text


def test_a_search_finds_notes_in_any_letter_case(admin_client: Client, folder: Path) -> None:
    make(folder, note="Перед обновлением")
    make(folder, note="other")
    assert admin_client.get(list_url(Backup), {"q": "ПЕРЕД"}).context["cl"].result_count == 1


def test_an_unknown_date_is_shown_as_unknown(admin_client: Client, folder: Path) -> None:
    row = make(folder)
    found = catalogue.find_backup(folder, row.pk)
    newest = datetime(2026, 3, 1, 12, tzinfo=UTC)
    unknown = found.sidecar.with_changes(created_at_source=DateSource.NEWEST_ROW, newest_row_at=newest)
    (folder / found.name.sidecar).write_bytes(encode_sidecar(unknown))
    assert "date unknown, newest row 1 Mar 2026, 12:00" in text_of(admin_client.get(list_url(Backup)))


def test_a_backup_leads_to_its_page(admin_client: Client, folder: Path) -> None:
    row = make(folder)
    assert admin_client.get(change_url(row))["Location"] == reverse("backup", args=[row.filename])


@pytest.mark.parametrize("path", ["../x", "..%2f..%2fetc%2fpasswd", "tvarr-backup-2026-01-01T00-00-00.db.gz", "x"])
def test_what_is_not_there_is_not_found(admin_client: Client, folder: Path, path: str) -> None:
    response = admin_client.get(f"{list_url(Backup)}{path}/change/", follow=True)
    assert response.status_code == 404


def test_a_folder_that_cannot_be_used_is_told_on_the_page(admin_client: Client, settings: Any, tmp_path: Path) -> None:
    settings.BACKUP_DIRECTORY = tmp_path / "missing" / "backups"
    response = admin_client.get(list_url(Backup))
    assert response.status_code == 200
    assert "backups cannot be used: No such file or directory" in text_of(response)


# --- Backing up ------------------------------------------------------------------------------------------------------


def test_back_up_now_is_the_form_of_the_pages(admin_client: Client, folder: Path) -> None:
    page = admin_client.get(list_url(Backup)).content.decode()
    assert f'<form class="back-up-now" method="post" action="{reverse("create-backup")}">' in page


# --- Actions ---------------------------------------------------------------------------------------------------------


def test_several_are_verified_in_one_operation(admin_client: Client, folder: Path) -> None:
    rows = [make(folder), make(folder)]
    admin_client.get(list_url(Backup))
    response = run_action(admin_client, "verify", *rows)
    operation = Operation.objects.get()
    assert operation.kind == OperationKind.VERIFY
    assert response["Location"] == reverse("operation", args=[operation.pk])
    assert sorted(operation.arguments["filenames"]) == sorted(row.filename for row in rows)


def test_protection_is_set_and_lifted(admin_client: Client, folder: Path) -> None:
    row = make(folder)
    admin_client.get(list_url(Backup))
    assert messages_of(run_action(admin_client, "protect", row)) == ["1 backup protected."]
    assert catalogue.find_backup(folder, row.filename).sidecar.protected
    run_action(admin_client, "unprotect", row)
    assert not catalogue.find_backup(folder, row.filename).sidecar.protected


@pytest.mark.parametrize("may_delete", [False, True])
def test_only_who_may_delete_unprotects_a_safety_backup(person: Any, folder: Path, *, may_delete: bool) -> None:
    safety, other = make(folder, kind=BackupKind.PRE_RESTORE), make(folder)
    for row in (safety, other):
        catalogue.protect_backup(folder, row.filename, protected=True)
    client = person("view_backup", "protect_backup", *(["delete_backup"] if may_delete else []))
    client.get(list_url(Backup))
    told = messages_of(run_action(client, "unprotect", safety, other))
    assert any("is still protected" in message for message in told) is not may_delete
    assert catalogue.find_backup(folder, safety.filename).sidecar.protected is not may_delete
    assert not catalogue.find_backup(folder, other.filename).sidecar.protected


def protect_for(folder: Path, row: Backup, hours: int) -> None:
    """Protect a backup for some hours, as a restore does with its safety backup."""
    end = datetime.now(UTC) + timedelta(hours=hours)
    with work_in(folder) as work:
        made = catalogue.find_backup(folder, row.filename)
        catalogue.rewrite_sidecar(folder, work, made, protected=True, protected_until=end)


def test_a_protection_with_an_end_is_shown_with_it_and_over_after_it(admin_client: Client, folder: Path) -> None:
    row = make(folder)
    for hours in (1, -1):
        protect_for(folder, row, hours)
        assert ("protected until" in text_of(admin_client.get(list_url(Backup)))) is (hours > 0)


def test_a_download_leads_to_the_address_of_the_pages(admin_client: Client, folder: Path) -> None:
    row = make(folder)
    admin_client.get(list_url(Backup))
    address = reverse("download-backup", args=[row.filename])
    assert run_action(admin_client, "download", row)["Location"] == address


def test_two_are_not_downloaded_at_a_time(admin_client: Client, folder: Path) -> None:
    rows = [make(folder), make(folder)]
    admin_client.get(list_url(Backup))
    assert "Select exactly one backup." in messages_of(run_action(admin_client, "download", *rows))[0]


def test_a_deletion_leads_to_the_page_that_asks_first(admin_client: Client, folder: Path) -> None:
    row, other = make(folder), make(folder)
    admin_client.get(list_url(Backup))
    for response, rows in (
        (run_action(admin_client, "delete_selected", row, other), (other, row)),
        (admin_client.get(delete_url(row)), (row,)),
    ):
        names = "&".join(f"name={one.filename}" for one in rows)
        assert response["Location"] == f"{reverse('delete-backups')}?{names}"
        assert "Delete" in text_of(admin_client.get(response["Location"]))
    assert len(present(folder)) == 2


def test_what_the_lock_refuses_is_told(admin_client: Client, folder: Path) -> None:
    row = make(folder)
    admin_client.get(list_url(Backup))
    with backup_lock(folder):
        response = run_action(admin_client, "protect", row)
    assert "is using the backup folder" in messages_of(response)[0]


# --- Restoring -------------------------------------------------------------------------------------------------------


def test_a_restore_leads_to_the_page_that_tells_what_it_would_do(admin_client: Client, folder: Path) -> None:
    row = make(folder)
    admin_client.get(list_url(Backup))
    page = reverse("restore", args=[row.filename])
    assert run_action(admin_client, "restore", row)["Location"] == page
    assert Operation.objects.count() == 0


def test_two_are_not_restored_at_a_time(admin_client: Client, folder: Path) -> None:
    rows = [make(folder), make(folder)]
    admin_client.get(list_url(Backup))
    assert messages_of(run_action(admin_client, "restore", *rows)) == ["Select exactly one backup."]


def test_a_completed_restore_names_its_safety_backup(admin_client: Client, folder: Path) -> None:
    was, copy = make(folder), make(folder)
    operation = create_operation(OperationKind.RESTORE, origin=Origin.WEB, state=OperationState.RUNNING)
    operation.state = OperationState.SUCCEEDED
    operation.result = {"filename": was.filename, "pre_restore_backup": {"filename": copy.filename}}
    operation.save()
    answer = admin_client.get(change_url(operation))
    for text in (f"{was.filename} restored.", copy.filename, "View on site"):
        assert text in text_of(answer)
    assert reverse("operation", args=[operation.pk]) in answer.content.decode()


# --- Who may do what -------------------------------------------------------------------------------------------------

ACTIONS = {
    "verify": "verify_backup",
    "restore": "restore_backup",
    "protect": "protect_backup",
    "unprotect": "protect_backup",
    "download": "download_backup",
    "delete_selected": "delete_backup",
}


@pytest.mark.parametrize(("action", "permission"), ACTIONS.items())
def test_an_action_needs_its_permission(person: Any, folder: Path, action: str, permission: str) -> None:
    row = make(folder)
    client = person("view_backup")
    assert f'value="{action}"' not in client.get(list_url(Backup)).content.decode()
    run_action(client, action, row, post="yes")
    assert Operation.objects.count() == 0
    assert not catalogue.find_backup(folder, row.filename).sidecar.protected
    assert f'value="{action}"' in person("view_backup", permission).get(list_url(Backup)).content.decode()


def test_who_may_only_look_sees_no_button_and_gets_nothing(person: Any, folder: Path) -> None:
    row = make(folder)
    client = person("view_backup", "view_operation")
    assert b"Back up now" not in client.get(list_url(Backup)).content
    assert client.post(delete_url(row), {"post": "yes"}).status_code == 403
    assert present(folder) == [row.filename]


def test_nothing_is_shown_to_who_may_not_look(person: Any, folder: Path) -> None:
    client = person()
    for model in (Backup, Operation):
        assert client.get(list_url(model)).status_code == 403
    assert client.get(list_url(BackupSettings), follow=True).status_code == 403


# --- Operations ------------------------------------------------------------------------------------------------------


def test_operations_are_only_looked_at(admin_client: Client, folder: Path) -> None:
    operation = create_operation(OperationKind.PRUNE, origin=Origin.WEB, state=OperationState.QUEUED)
    Operation.objects.update(state=OperationState.FAILED, error="The disk is full.", finished_at=datetime.now(UTC))
    assert "The disk is full." in text_of(admin_client.get(list_url(Operation)))
    assert "The disk is full." in text_of(admin_client.get(change_url(operation)))
    for address in (change_url(operation), delete_url(operation), reverse("admin:operations_operation_add")):
        assert admin_client.post(address, {"post": "yes"}).status_code == 403


def test_a_queued_operation_can_be_canceled_once(admin_client: Client, folder: Path) -> None:
    operation = create_operation(OperationKind.BACKUP, origin=Origin.WEB, state=OperationState.QUEUED)
    assert messages_of(run_action(admin_client, "cancel", operation))[-1] == "Backup canceled."
    assert "cannot be canceled" in messages_of(run_action(admin_client, "cancel", operation))[-1]
    operation.refresh_from_db()
    assert operation.state == OperationState.CANCELLED


def test_a_running_operation_shows_its_progress(admin_client: Client, folder: Path) -> None:
    operation = create_operation(OperationKind.BACKUP, origin=Origin.COMMAND, state=OperationState.RUNNING)
    Operation.objects.update(phase="copy", done_bytes=50_000_000, total_bytes=200_000_000, percent=12)
    assert "12 %" in text_of(admin_client.get(list_url(Operation)))
    response = run_action(admin_client, "cancel", operation)
    assert messages_of(response)[-1] == "Backup is being canceled."


# --- Settings --------------------------------------------------------------------------------------------------------


def test_settings_lead_to_their_page(admin_client: Client, folder: Path) -> None:
    for address in (list_url(BackupSettings), change_url(BackupSettings(pk=1))):
        for response in (admin_client.get(address), admin_client.post(address, {"keep": "3"})):
            assert (response.status_code, response["Location"]) == (302, reverse("settings"))
    assert not BackupSettings.objects.exists()
