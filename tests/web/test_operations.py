"""An operation as it goes and as it ended, and the history of all."""

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


def shown(client: Client, operation: Operation) -> str:
    return text_of(client.get(page_of(operation)))


# --- Under way -------------------------------------------------------------------------------------------------------


def test_it_names_its_steps_and_says_how_far_it_is(client: Client) -> None:
    text = shown(client, running(OperationKind.BACKUP, phase="pack", done_bytes=50, total_bytes=200, percent=60))
    assert "Copy the database (done) Pack and verify the copy (now) Save to the backup folder Clean up" in text
    assert "60 %" in text
    assert "You can leave this page: the work goes on." in text


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
    assert now in shown(client, running(OperationKind.RESTORE, **changes))


def test_without_a_worker_it_asks_whether_one_runs(client: Client) -> None:
    client.post(reverse("create-backup"))
    assert "It waits for the worker: is it running?" in shown(client, Operation.objects.get())


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


def test_one_that_waits_is_cancelled(client: Client) -> None:
    client.post(reverse("create-backup"))
    operation = Operation.objects.get()
    response = client.post(reverse("cancel-operation", args=[operation.pk]))
    assert messages_on(client, response) == "It is cancelled."
    assert "Not backed up (cancelled)" in shown(client, operation)


def test_one_that_runs_is_asked_to_end_and_the_button_goes(client: Client) -> None:
    operation = running(OperationKind.BACKUP, phase="copy")
    client.post(reverse("cancel-operation", args=[operation.pk]))
    text = shown(client, operation)
    assert "It was asked to end." in text
    assert "Cancel" not in text


def test_a_second_click_on_cancel_says_that_it_has_ended(client: Client) -> None:
    operation = ended(OperationKind.BACKUP, OperationState.SUCCEEDED)
    response = client.post(reverse("cancel-operation", args=[operation.pk]))
    assert "cannot be canceled because it has already ended" in messages_on(client, response)


def test_who_may_only_look_cannot_cancel(client: Client) -> None:
    operation = running(OperationKind.BACKUP, phase="copy")
    viewer = client_of("view_operation")
    assert "Cancel" not in shown(viewer, operation)
    assert viewer.post(reverse("cancel-operation", args=[operation.pk])).status_code == 403


# --- Ended -----------------------------------------------------------------------------------------------------------


def test_a_backup_leads_to_what_was_made_and_names_what_was_removed(client: Client, folder: Path) -> None:
    made = backup_as_data(make(folder))
    result = {"backup": made, "removed": ["an-old-one"]}
    operation = ended(OperationKind.BACKUP, OperationState.SUCCEEDED, result=result)
    assert "Backed up" in shown(client, operation)
    assert "The clean-up after it removed 1: an-old-one." in shown(client, operation)
    assert reverse("backup", args=[made["filename"]]) in client.get(page_of(operation)).content.decode()


def test_of_many_that_were_removed_the_first_are_named(client: Client) -> None:
    result = {"removed": ["one", "two", "three", "four", "five"]}
    operation = ended(OperationKind.PRUNE, OperationState.SUCCEEDED, result=result)
    assert "Removed: one, two, three and 2 more." in shown(client, operation)


def test_a_check_that_found_something_is_not_called_well(client: Client) -> None:
    operation = ended(OperationKind.VERIFY, OperationState.ATTENTION, message="An old one: a page is torn.")
    assert "Not all is well, 1 thing needs attention" in shown(client, operation)


def restored(
    folder: Path, state: OperationState, *, restart_required: bool = False, **changes: Any
) -> tuple[Operation, str]:
    """A restore that is done, and the name of its safety copy."""
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


def test_a_restore_says_what_was_there_before_and_how_to_go_back(client: Client, folder: Path) -> None:
    operation, copy = restored(folder, OperationState.SUCCEEDED)
    text = shown(client, operation)
    assert " Restored " in text
    assert f"What was there before is kept as a protected backup, {copy} ." in text
    assert "Undo: go back to before the restore" in text
    assert "You can start tvarr again" not in text
    assert "filters 9 8 -1 row" in text
    assert reverse("restore", args=[copy]) in client.get(page_of(operation)).content.decode()


@pytest.mark.parametrize("required", [False, True])
def test_a_restore_says_when_tvarr_must_reload(client: Client, folder: Path, *, required: bool) -> None:
    operation, _ = restored(folder, OperationState.SUCCEEDED, restart_required=required)
    assert (RELOAD_ADVICE in shown(client, operation)) is required
    assert "channels 7 7 same number of rows" in shown(client, operation)


def test_a_restore_across_versions_says_what_tvarr_will_do(client: Client, folder: Path) -> None:
    operation, _ = restored(folder, OperationState.SUCCEEDED)
    facts = ["This backup was made by tvarr 024; tvarr 029 is running.", "Restart tvarr after the restore."]
    Operation.objects.update(result={**(operation.result or {}), "facts": facts})
    assert " ".join(facts) in shown(client, operation)


def test_on_the_page_of_the_backups_a_restore_is_told_in_brief(client: Client, folder: Path) -> None:
    operation, _ = restored(folder, OperationState.SUCCEEDED)
    Operation.objects.update(requested_by=client.session["_auth_user_id"])
    response = client.get("/")
    assert "Undo: go back to before the restore" in text_of(response)
    assert "filters 9 8" not in text_of(response)
    assert f'href="{page_of(operation)}">What has changed' in response.content.decode()


def test_undo_is_not_offered_where_the_copy_is_gone_or_one_may_not(client: Client, folder: Path) -> None:
    operation, copy = restored(folder, OperationState.SUCCEEDED)
    assert "Undo" not in shown(client_of("view_operation"), operation)
    (folder / copy).unlink()
    assert "Undo" not in shown(client, operation)


def test_undo_is_not_offered_where_the_copy_is_of_what_was_damaged(client: Client, folder: Path) -> None:
    operation, copy = restored(folder, OperationState.ATTENTION, message="It was damaged.")
    problems = Checked(CheckLevel.FULL, datetime.now(UTC), ("A page is torn.",))
    described(folder, find_backup(folder, copy), checked=problems)
    text = shown(client, operation)
    assert f"is kept as a protected backup, {copy} ." in text
    assert "Undo" not in text
    assert "Undo" not in text_of(client.get(reverse("history")))


def test_a_restore_with_attention_counts_what_needs_it(client: Client, folder: Path) -> None:
    operation, _ = restored(folder, OperationState.ATTENTION, message="The journal is large.\nA reader stays.")
    text = shown(client, operation)
    assert "Restored, 2 things need attention" in text
    assert "The journal is large. A reader stays." in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"error_code": RestoreFailed.code, "error": "It was locked.", "phase": "replace"},
            "Not restored, your data is unchanged At the step “Replace the data”: It was locked.",
        ),
        (
            {"error_code": RestoreFailed.code, "error": "It is damaged.", "phase": "", "started_at": datetime.now(UTC)},
            "At the step “Verify the backup and copy the current data”: It is damaged.",
        ),
        (
            {"error_code": RestoreUnsettled.code, "error": "It is kept."},
            "The restore did not end well: read what to do",
        ),
        ({"error_code": "internal_error", "error": "A fault."}, "The restore did not end well: read what to do"),
    ],
)
def test_a_restore_that_failed_says_where_why_and_whether_the_data_is_as_it_was(
    client: Client, changes: dict[str, Any], words: str
) -> None:
    assert words in shown(client, ended(OperationKind.RESTORE, OperationState.FAILED, **changes))


def test_of_a_restore_that_was_interrupted_nothing_is_claimed(client: Client) -> None:
    operation = ended(OperationKind.RESTORE, OperationState.INTERRUPTED, message="Its process is gone.")
    assert "Not restored (interrupted)" not in shown(client, operation)
    assert "Restore: interrupted" in shown(client, operation)
    assert "unchanged" not in shown(client, operation)


def test_a_verification_lists_its_checks(client: Client, folder: Path) -> None:
    made = make(folder)
    operation = run_here(OperationKind.VERIFY, origin=Origin.WEB, arguments={"filenames": [made.filename]})
    text = shown(client, operation)
    assert "Verified" in text
    assert "Archive checksum: well" in text


@pytest.mark.parametrize("pk", ["01JZZZZZZZZZZZZZZZZZZZZZZZ", "x", "a" * 200])
def test_one_that_never_was_is_not_found(client: Client, pk: str) -> None:
    assert client.get(f"/operations/{pk}/").status_code == 404
    assert client.post(f"/operations/{pk}/cancel/").status_code in (302, 404)
    assert client.post(f"/operations/{pk}/dismiss/").status_code in (302, 404)


# --- History ---------------------------------------------------------------------------------------------------------


def test_the_history_has_who_when_what_and_the_result(client: Client, folder: Path) -> None:
    _, copy = restored(folder, OperationState.SUCCEEDED)
    ended(OperationKind.BACKUP, OperationState.FAILED, error="The disk is full.")
    response = client.get(reverse("history"))
    assert "Backup Web Not backed up The disk is full." in text_of(response)
    assert "Restored Undo this restore" in text_of(response)
    assert reverse("restore", args=[copy]) in response.content.decode()


def test_an_empty_history_says_so(client: Client) -> None:
    assert "Nothing was done yet." in text_of(client.get(reverse("history")))


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
