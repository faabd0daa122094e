"""The page of an operation, and the history."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.web.backup_parts import administrator, client_of, described, make, messages_on, text_of
from tvarr_backup import conf
from tvarr_backup.backups.catalogue import find_backup
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.backups.sidecar import Checked, CheckLevel
from tvarr_backup.errors import RestoreFailed, RestoreUnsettled
from tvarr_backup.formatting import format_size
from tvarr_backup.operations.models import Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.report import backup_as_data
from tvarr_backup.operations.run import run_here
from tvarr_backup.operations.track import create_operation
from tvarr_backup.portable.tvarr_memory import RELOAD_ADVICE

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    return prepare_folder(conf.backup_path())


@pytest.fixture
def client(db: None) -> Client:
    return administrator()


def running(kind: OperationKind, **changes: Any) -> Operation:
    operation = create_operation(kind, origin=Origin.WEB, state=OperationState.RUNNING)
    Operation.objects.update(**changes)
    return operation


def ended(kind: OperationKind, state: OperationState, **changes: Any) -> Operation:
    operation = create_operation(kind, origin=Origin.WEB, state=OperationState.RUNNING)
    Operation.objects.filter(pk=operation.pk).update(state=state, finished_at=datetime.now(UTC), **changes)
    return operation


def page_of(operation: Operation) -> str:
    return reverse("operation", args=[operation.pk])


def page_text(client: Client, operation: Operation) -> str:
    return text_of(client.get(page_of(operation)))


def test_the_result_of_a_backup_shows_its_size_and_all_deleted_backups(client: Client, folder: Path) -> None:
    made, names = make(folder), [f"tvarr-backup-2026-01-0{day}T00-00-00.db.gz" for day in range(1, 6)]
    result = {"backup": backup_as_data(made), "removed": names}
    text = page_text(client, ended(OperationKind.BACKUP, OperationState.SUCCEEDED, result=result))
    assert f"Size: {format_size(made.sidecar.compressed_size)}." in text
    assert "Deleted backups (5)" in text
    assert all(name in text for name in names)


# --- Running ---------------------------------------------------------------------------------------------------------


def test_a_running_operation_shows_its_steps_and_progress(client: Client) -> None:
    text = page_text(client, running(OperationKind.BACKUP, phase="pack", done_bytes=50, total_bytes=200, percent=60))
    assert "Copy the database (done) Pack and verify the copy (now) Save to the backup folder Clean up" in text
    assert "60 %" in text
    assert "You can leave this page. The operation continues in the background." in text


@pytest.mark.parametrize(
    ("changes", "now"),
    [
        ({"phase": "unpack"}, "Verify the backup and copy the current data (now)"),
        ({"phase": "check", "percent": 32}, "Verify the backup and copy the current data (now)"),
        ({"phase": "replace"}, "Replace the data (now)"),
        ({"phase": "check", "percent": 70}, "Verify the result and save the safety backup (now)"),
        ({"phase": "pack", "total_bytes": 100}, "Verify the result and save the safety backup (now)"),
    ],
)
def test_a_restore_tells_its_two_checks_apart(client: Client, changes: dict[str, Any], now: str) -> None:
    assert now in page_text(client, running(OperationKind.RESTORE, **changes))


def test_a_queued_operation_without_a_worker_says_how_to_start_one(client: Client) -> None:
    client.post(reverse("create-backup"))
    assert "No worker is running. Start one with manage.py worker ." in page_text(client, Operation.objects.get())


def test_who_looks_again_gets_the_middle_alone_and_is_told_the_end(client: Client) -> None:
    operation = running(OperationKind.BACKUP, phase="copy")
    again = {"HX-Request": "true", "HX-Target": "operation"}
    first = client.get(page_of(operation), headers=again)
    assert b"<html" not in first.content
    assert "HX-Trigger" not in first
    Operation.objects.update(state=OperationState.SUCCEEDED, finished_at=datetime.now(UTC))
    last = client.get(page_of(operation), headers=again)
    assert list(json.loads(last["HX-Trigger"])) == ["operation-ended"]
    assert b"every 1s" not in last.content


def test_a_queued_operation_is_canceled_immediately(client: Client) -> None:
    client.post(reverse("create-backup"))
    operation = Operation.objects.get()
    response = client.post(reverse("cancel-operation", args=[operation.pk]))
    assert messages_on(client, response) == "Operation canceled."
    assert "Backup canceled" in page_text(client, operation)


def test_a_running_operation_is_canceled_without_a_second_button(client: Client) -> None:
    operation = running(OperationKind.BACKUP, phase="copy")
    client.post(reverse("cancel-operation", args=[operation.pk]))
    response = client.get(page_of(operation))
    assert "Canceling..." in text_of(response)
    assert b"cancel-operation" not in response.content


def test_a_second_click_on_cancel_says_that_it_has_ended(client: Client) -> None:
    operation = ended(OperationKind.BACKUP, OperationState.SUCCEEDED)
    response = client.post(reverse("cancel-operation", args=[operation.pk]))
    assert "cannot be canceled because it has already ended" in messages_on(client, response)


def test_who_may_only_look_cannot_cancel(client: Client) -> None:
    operation = running(OperationKind.BACKUP, phase="copy")
    viewer = client_of("view_operation")
    assert "Cancel" not in page_text(viewer, operation)
    assert viewer.post(reverse("cancel-operation", args=[operation.pk])).status_code == 403


# --- Ended -----------------------------------------------------------------------------------------------------------


def test_a_backup_links_to_its_page_and_names_deleted_backups(client: Client, folder: Path) -> None:
    made = backup_as_data(make(folder))
    result = {"backup": made, "removed": ["an-old-one"]}
    operation = ended(OperationKind.BACKUP, OperationState.SUCCEEDED, result=result)
    assert "Backed up" in page_text(client, operation)
    assert "Cleanup deleted 1 backup: an-old-one." in page_text(client, operation)
    assert reverse("backup", args=[made["filename"]]) in client.get(page_of(operation)).content.decode()


def test_a_cleanup_names_the_first_deleted_backups(client: Client) -> None:
    result = {"removed": ["one", "two", "three", "four", "five"]}
    operation = ended(OperationKind.PRUNE, OperationState.SUCCEEDED, result=result)
    assert "Deleted: one, two, three and 2 more." in page_text(client, operation)


def test_a_verification_counts_its_problems(client: Client) -> None:
    operation = ended(OperationKind.VERIFY, OperationState.ATTENTION, message="An old one: a page is torn.")
    assert "Verification found 1 problem" in page_text(client, operation)


def restored(
    folder: Path, state: OperationState, *, restart_required: bool = False, **changes: Any
) -> tuple[Operation, str]:
    """A completed restore, and the name of its safety backup."""
    was, copy = make(folder), make(folder)
    result = {
        "outcome": "restored",
        "filename": was.filename,
        "pre_restore_backup": backup_as_data(copy),
        "before": {"filters": 9, "channels": 7},
        "after": {"filters": 8, "channels": 7},
        "restart_required": restart_required,
    }
    return ended(OperationKind.RESTORE, state, result=result, **changes), copy.filename


def test_a_restore_links_to_its_safety_backup_and_offers_undo(client: Client, folder: Path) -> None:
    operation, copy = restored(folder, OperationState.SUCCEEDED)
    text = page_text(client, operation)
    assert " Restored " in text
    assert f"Your previous data is in the safety backup {copy} ." in text
    assert "Undo restore" in text
    assert "You can start tvarr again" not in text
    assert "filters 9 8 -1 row" in text
    assert reverse("restore", args=[copy]) in client.get(page_of(operation)).content.decode()


@pytest.mark.parametrize("required", [False, True])
def test_a_restore_says_when_tvarr_must_reload(client: Client, folder: Path, *, required: bool) -> None:
    operation, _ = restored(folder, OperationState.SUCCEEDED, restart_required=required)
    assert (RELOAD_ADVICE in page_text(client, operation)) is required
    assert "channels 7 7 same number of rows" in page_text(client, operation)


def test_a_restore_across_versions_says_what_tvarr_will_do(client: Client, folder: Path) -> None:
    operation, _ = restored(folder, OperationState.SUCCEEDED)
    facts = ["This backup was made by tvarr 024; tvarr 029 is running.", "Restart tvarr after the restore."]
    Operation.objects.update(result={**(operation.result or {}), "facts": facts})
    assert " ".join(facts) in page_text(client, operation)


def test_the_backups_page_shows_a_restore_in_brief(client: Client, folder: Path) -> None:
    operation, _ = restored(folder, OperationState.SUCCEEDED)
    Operation.objects.update(requested_by=client.session["_auth_user_id"])
    response = client.get("/")
    assert "Undo restore" in text_of(response)
    assert "filters 9 8" not in text_of(response)
    assert f'href="{page_of(operation)}">Changes' in response.content.decode()


def test_undo_needs_the_safety_backup_and_the_permission(client: Client, folder: Path) -> None:
    operation, copy = restored(folder, OperationState.SUCCEEDED)
    assert "Undo" not in page_text(client_of("view_operation"), operation)
    (folder / copy).unlink()
    assert "Undo" not in page_text(client, operation)


def test_undo_is_not_offered_for_a_safety_backup_of_damaged_data(client: Client, folder: Path) -> None:
    operation, copy = restored(folder, OperationState.ATTENTION, message="It was damaged.")
    problems = Checked(CheckLevel.FULL, datetime.now(UTC), ("A page is torn.",))
    described(folder, find_backup(folder, copy), checked=problems)
    text = page_text(client, operation)
    assert f"safety backup {copy} ." in text
    assert "Undo" not in text
    assert "Undo" not in text_of(client.get(reverse("history")))


def test_a_restore_counts_its_warnings(client: Client, folder: Path) -> None:
    operation, _ = restored(folder, OperationState.ATTENTION, message="The journal is large.\nA reader stays.")
    text = page_text(client, operation)
    assert "Restored with 2 warnings" in text
    assert "The journal is large. A reader stays." in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"error_code": RestoreFailed.code, "error": "It was locked.", "phase": "replace"},
            "Restore failed: your data is unchanged Step: Replace the data It was locked.",
        ),
        (
            {"error_code": RestoreFailed.code, "error": "It is damaged.", "phase": "", "started_at": datetime.now(UTC)},
            "Step: Verify the backup and copy the current data It is damaged.",
        ),
        (
            {"error_code": RestoreUnsettled.code, "error": "It is kept."},
            "Restore failed: action needed",
        ),
        ({"error_code": "internal_error", "error": "A fault."}, "Restore failed: action needed"),
    ],
)
def test_a_failed_restore_shows_its_step_and_whether_the_data_is_unchanged(
    client: Client, changes: dict[str, Any], words: str
) -> None:
    assert words in page_text(client, ended(OperationKind.RESTORE, OperationState.FAILED, **changes))


def test_an_interrupted_restore_claims_nothing_about_the_data(client: Client) -> None:
    operation = ended(OperationKind.RESTORE, OperationState.INTERRUPTED, message="Its process is gone.")
    assert "Restore interrupted" in page_text(client, operation)
    assert "unchanged" not in page_text(client, operation)


def test_a_verification_lists_its_checks(client: Client, folder: Path) -> None:
    made = make(folder)
    operation = run_here(OperationKind.VERIFY, origin=Origin.WEB, arguments={"filenames": [made.filename]})
    text = page_text(client, operation)
    assert "Verified" in text
    assert "Archive checksum: OK" in text


@pytest.mark.parametrize("pk", ["01JZZZZZZZZZZZZZZZZZZZZZZZ", "x", "a" * 200])
def test_one_that_never_was_is_not_found(client: Client, pk: str) -> None:
    assert client.get(f"/operations/{pk}/").status_code == 404
    assert client.post(f"/operations/{pk}/cancel/").status_code in (302, 404)
    assert client.post(f"/operations/{pk}/dismiss/").status_code in (302, 404)


# --- History ---------------------------------------------------------------------------------------------------------


def test_the_history_has_operation_user_and_result(client: Client, folder: Path) -> None:
    _, copy = restored(folder, OperationState.SUCCEEDED)
    ended(OperationKind.BACKUP, OperationState.FAILED, error="The disk is full.")
    response = client.get(reverse("history"))
    assert "Backup Web Backup failed The disk is full." in text_of(response)
    assert "Restored Undo restore" in text_of(response)
    assert reverse("restore", args=[copy]) in response.content.decode()


def test_an_empty_history_says_so(client: Client) -> None:
    assert "No activity yet." in text_of(client.get(reverse("history")))


def test_the_number_of_queries_does_not_grow_with_the_history(client: Client) -> None:
    ended(OperationKind.PRUNE, OperationState.SUCCEEDED, result={"removed": []})
    with CaptureQueriesContext(connection) as few:
        client.get(reverse("history"))
    for _ in range(60):
        ended(OperationKind.PRUNE, OperationState.SUCCEEDED, result={"removed": []})
    with CaptureQueriesContext(connection) as more:
        response = client.get(reverse("history"))
    assert len(more) == len(few) == 7, [query["sql"] for query in few]
    assert "Page 1 of 3" in text_of(response)


def test_a_history_that_cannot_be_read_is_answered_as_a_failure() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE operations_importrecord RENAME TO elsewhere")
    response = administrator(raise_request_exception=False).get(reverse("history"))
    assert response.status_code >= 500
    assert "<html" in response.content.decode()
