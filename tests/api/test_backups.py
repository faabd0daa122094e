"""Backups over the API, with tvarr's members and ours."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from rest_framework.test import APIClient

from tests.api.backup_parts import BACKUPS, NO_BACKUP, OPERATIONS, administrator, client_of, make, present, problem, raw
from tests.backups.makers import tvarrs_new_backup
from tests.installation import Installation
from tests.operations.elsewhere import running
from tests.processes import wait_until
from tests.ups import Up, free_port, start_up
from tests.web.backup_parts import described
from tvarr_backup import conf
from tvarr_backup.api.backups.serializers import BACKUP_EXAMPLE
from tvarr_backup.backups.catalogue import find_backup, protect_backup, rewrite_sidecar
from tvarr_backup.backups.folder import prepare_folder, work_in
from tvarr_backup.backups.lock import backup_lock
from tvarr_backup.backups.sidecar import BackupKind, encode_sidecar
from tvarr_backup.operations.models import Operation, OperationKind

pytestmark = pytest.mark.django_db

TVARRS_MEMBERS = {
    "filename",
    "file_path",
    "created_at",
    "file_size",
    "checksum",
    "tvarr_version",
    "database_size",
    "compressed_size",
    "table_counts",
    "protected",
    "imported",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    return prepare_folder(conf.backup_path())


def only_sidecar(folder: Path, filename: str) -> bytes:
    return (folder / filename.replace(".db.gz", ".meta.json")).read_bytes()


# --- The list --------------------------------------------------------------------------------------------------------


def test_backups_are_listed_newest_first_with_broken_ones(folder: Path) -> None:
    first, second = make(folder, note="first"), make(folder, kind=BackupKind.SCHEDULED)
    (folder / "holiday.jpg").touch()
    (folder / NO_BACKUP).write_bytes(b"half")
    body = client_of("view_backup").get(BACKUPS).json()
    assert [backup["filename"] for backup in body["backups"]] == [second.filename, first.filename]
    assert body["broken"] == [
        {"filename": NO_BACKUP, "reason": "its metadata file tvarr-backup-2026-01-01T00-00-00.meta.json is missing"}
    ]


def test_a_backup_has_tvarrs_members_and_ours(folder: Path) -> None:
    made = make(folder, note="before the harbour fair")
    (backup,) = client_of("view_backup").get(BACKUPS).json()["backups"]
    assert backup.keys() >= TVARRS_MEMBERS
    assert set(backup) == set(BACKUP_EXAMPLE)
    assert (backup["kind"], backup["note"], backup["state"]) == ("manual", "before the harbour fair", "checked")
    assert backup["file_size"] == backup["compressed_size"] == (folder / made.filename).stat().st_size
    assert backup["table_counts"]["filters"] == 8
    assert (backup["protected"], backup["imported"], backup["checked"]["problems"]) == (False, False, [])


def test_the_list_has_the_schedule() -> None:
    schedule = client_of("view_backup").get(BACKUPS).json()["schedule"]
    assert {"enabled", "cron", "retention"} <= schedule.keys()
    assert schedule == administrator().get(f"{BACKUPS}/schedule").json()


def test_only_administrators_see_paths(folder: Path) -> None:
    made = make(folder)
    for client in (administrator(), client_of("view_backup", "restore_backup")):
        body = client.get(BACKUPS).json()
        assert body["backup_directory"] == str(folder)
        assert body["backups"][0]["file_path"] == str(folder / made.filename)
    others = ("create_backup", "download_backup", "verify_backup", "protect_backup", "delete_backup")
    response = client_of("view_backup", *others).get(BACKUPS)
    assert response.json()["backup_directory"] is response.json()["backups"][0]["file_path"] is None
    assert str(folder) not in response.content.decode()


def test_the_number_of_queries_and_of_reads_of_the_folder_is_fixed(
    folder: Path, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of("view_backup")
    made = make(folder)
    reads: list[str] = []
    monkeypatch.setattr(os, "listdir", _record_calls(os.listdir, folder.parent, reads))
    for number in (1, 500):
        for one in range(1, number):
            name = f"tvarr-backup-2026-01-01T00-{one // 60:02}-{one % 60:02}.db.gz"
            os.link(folder / made.filename, folder / name)
            os.link(folder / made.name.sidecar, folder / name.replace(".db.gz", ".meta.json"))
        reads.clear()
        # session, user, 2 for permissions, open operations, known schemas, the disk of the last backup; for the schedule:
        # settings, 2 for its row, 3 for its last runs
        with django_assert_num_queries(13):
            assert len(client.get(BACKUPS).json()["backups"]) == number
        assert reads == [str(folder)]


def test_an_empty_folder_is_an_empty_list() -> None:
    body = client_of("view_backup").get(f"{BACKUPS}/").json()
    assert (body["backups"], body["broken"]) == ([], [])


def test_an_unusable_folder_is_reported_without_its_path(settings: Any, tmp_path: Path) -> None:
    settings.BACKUP_DIRECTORY = tmp_path / "missing" / "backups"
    words = problem(client_of("view_backup").get(BACKUPS), 503, "backup_folder_unusable")
    assert words.startswith("The backup folder backups cannot be used: No such file or directory.")


# --- Create ----------------------------------------------------------------------------------------------------------


def test_a_new_backup_is_queued_with_the_address_of_its_operation(folder: Path) -> None:
    client = client_of("create_backup", "view_operation")
    response = client.post(BACKUPS, {"note": " before the harbour fair "})
    body = response.json()
    assert (response.status_code, body["status"]) == (202, "started")
    operation = Operation.objects.get()
    assert (operation.kind, operation.state, operation.origin) == ("backup", "queued", "api")
    assert operation.arguments == {"note": "before the harbour fair", "accept_folder": False}
    assert operation.requested_by is not None
    assert response["Location"] == f"{OPERATIONS}/{operation.pk}"
    assert body["operation"] == client.get(response["Location"]).json()


def test_tvarrs_clients_send_no_body() -> None:
    assert client_of("create_backup").post(BACKUPS).status_code == 202


def test_a_second_backup_is_refused_with_the_running_operation() -> None:
    client = client_of("create_backup")
    first = client.post(BACKUPS).json()["operation"]["id"]
    response = client.post(BACKUPS)
    problem(response, 409, "operation_running")
    assert response.json()["operation"] == first
    assert Operation.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({"note": 5}, "invalid", "/note"),
        ({"note": None}, "invalid", "/note"),
        ({"notes": "x"}, "invalid", "/notes"),
        ([], "invalid", ""),
        ("text", "invalid", ""),
        ({"note": "x" * 501}, "note_invalid", None),
        ({"note": "two\nlines"}, "note_invalid", None),
    ],
)
def test_an_invalid_body_is_refused(body: Any, code: str, pointer: str | None) -> None:
    response = client_of("create_backup").post(BACKUPS, body)
    problem(response, 400, code)
    assert [found["pointer"] for found in response.json()["errors"]] == ([] if pointer is None else [pointer])
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    "body", [b"{", b"\xff\xfe", b'{"note": "\\ud800"}', b'{"note": "\\u0000"}', b'{"note": NaN}', b"[" * 9999]
)
def test_a_body_must_be_json(body: bytes) -> None:
    response = raw(client_of("create_backup"), "POST", BACKUPS, body, "application/json")
    assert response.status_code == 400, response.content
    assert not Operation.objects.exists()


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", "application/xml"])
def test_another_content_type_is_refused(content_type: str) -> None:
    response = raw(client_of("create_backup"), "POST", BACKUPS, b"note=x", content_type)
    problem(response, 415, "unsupported_media_type")


# --- Show ------------------------------------------------------------------------------------------------------------


def test_a_backup_is_shown_as_in_the_list(folder: Path) -> None:
    made = make(folder)
    client = client_of("view_backup")
    response = client.get(f"{BACKUPS}/{made.filename}")
    assert response.json() == client.get(BACKUPS).json()["backups"][0]
    assert response["ETag"] == f'"{made.etag}"'


def test_a_backup_of_tvarr_is_shown(folder: Path, tvarr_own: Path) -> None:
    archive = tvarrs_new_backup(folder, tvarr_own)
    body = client_of("view_backup").get(f"{BACKUPS}/{archive.name}").json()
    assert (body["kind"], body["state"], body["checked"]) == ("tvarr", "not_checked", None)
    assert body["created_at"].endswith("Z")


@pytest.mark.parametrize("name", ["latest", "latest~0", "{start}"])
def test_a_backup_has_several_names(folder: Path, name: str) -> None:
    make(folder)
    made = make(folder)
    client, address = administrator(), f"{BACKUPS}/{name.format(start=made.filename[:-3])}"
    assert client.get(address).json()["filename"] == made.filename
    download = client.get(f"{address}/download")
    assert download.getvalue()  # closes the file
    assert made.filename in download["Content-Disposition"]
    assert client.patch(address, {"note": "x"}).json()["filename"] == made.filename
    assert client.patch(f"{address}/protection", {"protected": True}).json()["filename"] == made.filename
    started = client.post(f"{address}/verify").json()
    assert Operation.objects.get().arguments == {"filenames": [made.filename]}
    assert made.filename in started["message"]


def test_a_restore_remembers_the_name_that_latest_had(folder: Path) -> None:
    made = make(folder)
    started = administrator().post(f"{BACKUPS}/latest/restore?confirm=true").json()
    assert Operation.objects.get().arguments["filename"] == made.filename
    assert made.filename in started["message"]


def test_a_deletion_needs_the_complete_name(folder: Path) -> None:
    made = make(folder)
    for name in ("latest", "latest~0", made.filename[:-3], "1"):
        problem(administrator().delete(f"{BACKUPS}/{name}"), 404, "backup_not_found")
    assert (folder / made.filename).exists()


def test_a_number_names_no_backup(folder: Path) -> None:
    make(folder)
    problem(administrator().get(f"{BACKUPS}/1"), 404, "backup_not_found")


def test_a_start_of_several_names_is_refused_with_some_of_them(folder: Path) -> None:
    made = [make(folder).filename for _ in range(2)]
    detail = problem(administrator().get(f"{BACKUPS}/tvarr-backup-2"), 409, "backup_ambiguous")
    assert all(name in detail for name in made)


def test_names_are_found_only_for_users_with_the_permission(folder: Path) -> None:
    make(folder)
    client = client_of("view_operation")
    for name in ("latest", "nothing", "tvarr-backup-2"):
        problem(client.get(f"{BACKUPS}/{name}/download"), 403, "permission_denied")
        problem(client.post(f"{BACKUPS}/{name}/verify"), 403, "permission_denied")


@pytest.mark.parametrize("method", ["get", "patch", "delete"])
def test_a_missing_backup_is_not_found(folder: Path, method: str) -> None:
    response = getattr(administrator(), method)(f"{BACKUPS}/{NO_BACKUP}")
    assert NO_BACKUP in problem(response, 404, "backup_not_found")
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("archive", "its metadata file tvarr-backup-2026-01-01T00-00-00.meta.json is missing"),
        ("folder", "not a regular"),
    ],
)
def test_a_broken_backup_is_reported(folder: Path, what: str, words: str) -> None:
    (folder / NO_BACKUP).mkdir() if what == "folder" else (folder / NO_BACKUP).write_bytes(b"half")
    client = administrator()
    address = f"{BACKUPS}/{NO_BACKUP}"
    for response in (
        client.get(address),
        client.get(f"{address}/download"),
        client.patch(address, {"note": "x"}),
        client.post(f"{address}/verify"),
        client.post(f"{address}/restore?confirm=true"),
    ):
        assert words in problem(response, 409, "backup_broken")


NAMES = [
    "x",
    "..",
    "../app.db",
    "..%2fapp.db",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%5c..%5cetc%5cpasswd",
    "%252e%252e%252fetc%252fpasswd",
    "..%c0%af..%c0%afetc",
    "%uff0e%uff0e/etc",
    "．．/etc",
    "%2fetc%2fpasswd",
    "%00",
    "%ff%fe",
    ".lock",
    ".work",
    ".work%2fuploads",
    "tvarr-backup-2026-01-01T00-00-00.meta.json",
    "TVARR-BACKUP-2026-01-01T00-00-00.db.gz",
    NO_BACKUP + "%00",
    NO_BACKUP + "%0a",
    NO_BACKUP + "%20",
    NO_BACKUP + ".gz",
    NO_BACKUP + "%2f..%2fapp.db",
    "%2f" + NO_BACKUP,
    ".%2f" + NO_BACKUP,
    "backups%2f" + NO_BACKUP,
    "tvarr-backup-2026-13-01T00-00-00.db.gz",
    "tvarr-backup-2026-01-01T00-00-00.1.db.gz",
    "tvarr-backup-٢٠٢٦-01-01T00-00-00.db.gz",
    "tvarr-backup-2026-01-01T00-00-00.db.gz/..",
    "x" * 300,
    "%s%n%x",
    "'; DROP TABLE backups; --",
    "*",
    "~",
    "$(id)",
]


@pytest.mark.parametrize("what", ["", "/download", "/verify", "/restore?confirm=true", "/protection"])
@pytest.mark.parametrize("name", NAMES)
def test_an_invalid_name_is_not_found_before_the_disk_is_read(
    name: str, what: str, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    (folder / NO_BACKUP).write_bytes(b"untouched")
    method = {"": "GET", "/download": "GET", "/protection": "PATCH"}.get(what, "POST")
    client = administrator()
    touched: list[str] = []
    for name_of_call in ("open", "lstat", "stat"):
        monkeypatch.setattr(os, name_of_call, _record_calls(getattr(os, name_of_call), folder, touched))
    path = quote(f"{BACKUPS}/{name}{what}", safe="/%?=")
    body = b'{"protected": true}' if what == "/protection" else b"{}"
    response = raw(client, method, path, body, "application/json")
    assert response.status_code == 404, response.content
    assert response.json()["code"] in {"backup_not_found", "not_found"}
    assert touched == []
    assert (folder / NO_BACKUP).read_bytes() == b"untouched"
    assert len(response.content) < 600


def _record_calls(call: Callable[..., Any], folder: Path, touched: list[str]) -> Callable[..., Any]:
    """Wrap a call to record paths in the folder."""

    def record(path: Any, *arguments: Any, **named: Any) -> Any:
        if folder in Path(str(path)).parents:
            touched.append(str(path))
        return call(path, *arguments, **named)

    return record


# --- Change ----------------------------------------------------------------------------------------------------------


def test_protection_and_note_are_changed(folder: Path) -> None:
    made = make(folder, note="old")
    client = client_of("protect_backup")
    response = client.patch(f"{BACKUPS}/{made.filename}", {"protected": True, "note": " new "})
    assert response.status_code == 200
    now = find_backup(folder, made.filename)
    assert (now.sidecar.protected, now.sidecar.note) == (True, "new")
    assert (response.json()["protected"], response.json()["note"]) == (True, "new")
    assert response["ETag"] == f'"{now.etag}"' != f'"{made.etag}"'


@pytest.mark.parametrize("hours", [1, -1])
def test_the_end_of_a_protection_is_shown(folder: Path, hours: int) -> None:
    made = make(folder)
    end = datetime.now(UTC) + timedelta(hours=hours)
    with work_in(folder) as work:
        rewrite_sidecar(folder, work, made, protected=True, protected_until=end)
    body = client_of("view_backup").get(f"{BACKUPS}/{made.filename}").json()
    until = end.isoformat().replace("+00:00", "Z")
    assert (body["protected"], body["protected_until"]) == ((True, until) if hours > 0 else (False, None))


def test_missing_members_stay(folder: Path) -> None:
    made = make(folder, note="old")
    client = client_of("protect_backup")
    for body, wanted in [
        ({"protected": True}, (True, "old")),
        ({"note": ""}, (True, "")),
        ({}, (True, "")),
        ({"protected": False}, (False, "")),
    ]:
        client.patch(f"{BACKUPS}/{made.filename}", body)
        now = find_backup(folder, made.filename).sidecar
        assert (now.protected, now.note) == wanted


@pytest.mark.parametrize("what", ["", "/protection"])
def test_unprotecting_a_safety_backup_requires_the_permission_to_delete(folder: Path, what: str) -> None:
    safety = make(folder, kind=BackupKind.PRE_RESTORE)
    protect_backup(folder, safety.filename, protected=True)
    address, body = f"{BACKUPS}/{safety.filename}{what}", {"protected": False}
    refused = client_of("protect_backup").patch(address, body)
    problem(refused, 403, "unprotect_denied")
    assert find_backup(folder, safety.filename).sidecar.protected
    assert client_of("protect_backup", "delete_backup").patch(address, body).json()["protected"] is False


def test_tvarrs_address_changes_only_the_protection(folder: Path) -> None:
    made = make(folder, note="stays")
    client = client_of("protect_backup")
    for protected in (True, False):
        response = client.patch(f"{BACKUPS}/{made.filename}/protection", {"protected": protected})
        assert (response.status_code, response.json()["protected"]) == (200, protected)
        assert find_backup(folder, made.filename).sidecar.protected is protected
        assert response["ETag"]
    assert find_backup(folder, made.filename).sidecar.note == "stays"


@pytest.mark.parametrize(
    ("what", "body", "pointer"),
    [
        ("", {"protected": "yes"}, "/protected"),
        ("", {"protected": None}, "/protected"),
        ("", {"note": 5}, "/note"),
        ("", {"kind": "manual"}, "/kind"),
        ("", {"protected": True, "filename": "x"}, "/filename"),
        ("", [], ""),
        ("/protection", {}, "/protected"),
        ("/protection", {"protected": 1}, "/protected"),
        ("/protection", {"protected": True, "note": "x"}, "/note"),
    ],
)
def test_an_invalid_change_is_refused(folder: Path, what: str, body: Any, pointer: str) -> None:
    made = make(folder)
    before = only_sidecar(folder, made.filename)
    response = client_of("protect_backup").patch(f"{BACKUPS}/{made.filename}{what}", body)
    problem(response, 400, "invalid")
    assert [found["pointer"] for found in response.json()["errors"]] == [pointer]
    assert only_sidecar(folder, made.filename) == before


@pytest.mark.parametrize("note", ["x" * 501, "a\tb"])
def test_an_invalid_note_is_refused(folder: Path, note: str) -> None:
    made = make(folder)
    response = client_of("protect_backup").patch(f"{BACKUPS}/{made.filename}", {"note": note})
    problem(response, 400, "note_invalid")


def test_a_backup_of_tvarr_cannot_be_changed(folder: Path, tvarr_own: Path) -> None:
    archive = tvarrs_new_backup(folder, tvarr_own)
    response = client_of("protect_backup").patch(f"{BACKUPS}/{archive.name}", {"protected": True})
    problem(response, 409, "backup_foreign")


def test_a_change_is_refused_while_the_folder_is_locked(folder: Path) -> None:
    made = make(folder)
    with backup_lock(folder):
        response = client_of("protect_backup").patch(f"{BACKUPS}/{made.filename}", {"protected": True})
    problem(response, 409, "backup_busy")


def test_the_second_of_two_concurrent_changes_is_refused(folder: Path) -> None:
    made = make(folder)
    first, second = client_of("protect_backup"), client_of("protect_backup")
    address, etag = f"{BACKUPS}/{made.filename}", f'"{made.etag}"'
    assert first.patch(address, {"note": "first"}, headers={"If-Match": etag}).status_code == 200
    response = second.patch(address, {"note": "second"}, headers={"If-Match": etag})
    problem(response, 412, "precondition_failed")
    assert find_backup(folder, made.filename).sidecar.note == "first"
    now = first.patch(address, {}).headers["ETag"]
    assert second.patch(address, {"note": "second"}, headers={"If-Match": f'"old", {now}'}).status_code == 200


@pytest.mark.parametrize(("header", "status"), [("*", 200), ('W/"{etag}"', 412), ("nonsense", 412), ("", 412)])
def test_if_match_is_compared_strongly(folder: Path, header: str, status: int) -> None:
    made = make(folder)
    headers = {"If-Match": header.format(etag=made.etag)}
    for what, body in [("", {"note": "x"}), ("/protection", {"protected": True})]:
        headers = {"If-Match": header.format(etag=find_backup(folder, made.filename).etag)}
        response = client_of("protect_backup").patch(f"{BACKUPS}/{made.filename}{what}", body, headers=headers)
        assert response.status_code == status


# --- Delete ----------------------------------------------------------------------------------------------------------


def test_a_backup_is_deleted_and_the_deletion_recorded(folder: Path) -> None:
    made = make(folder)
    response = client_of("delete_backup").delete(f"{BACKUPS}/{made.filename}")
    assert (response.status_code, response.json()) == (200, {"message": f"{made.filename} is deleted."})
    assert present(folder) == []
    operation = Operation.objects.get()
    assert (operation.kind, operation.state, operation.origin) == ("delete", "succeeded", "api")


def test_a_protected_backup_is_not_deleted(folder: Path) -> None:
    made = make(folder)
    protect_backup(folder, made.filename, protected=True)
    response = client_of("delete_backup").delete(f"{BACKUPS}/{made.filename}")
    problem(response, 409, "backup_protected")
    assert present(folder) == [made.filename]


@pytest.mark.parametrize("what", ["archive", "metadata file"])
def test_a_broken_backup_is_deleted(folder: Path, what: str) -> None:
    name = NO_BACKUP if what == "archive" else NO_BACKUP.replace(".db.gz", ".meta.json")
    (folder / name).write_bytes(b"half")
    assert client_of("delete_backup").delete(f"{BACKUPS}/{NO_BACKUP}").status_code == 200
    assert not (folder / name).exists()


def test_the_metadata_file_of_another_archive_is_not_enough(folder: Path) -> None:
    (folder / NO_BACKUP.replace(".db.gz", ".meta.json")).write_bytes(b"half")
    response = client_of("delete_backup").delete(f"{BACKUPS}/{NO_BACKUP.replace('.db.gz', '.tar.gz')}")
    problem(response, 404, "backup_not_found")


def test_no_backup_is_deleted_during_an_operation(folder: Path) -> None:
    made = make(folder)
    operation = running(OperationKind.RESTORE)
    response = client_of("delete_backup").delete(f"{BACKUPS}/{made.filename}")
    problem(response, 409, "operation_running")
    assert response.json()["operation"] == operation.pk
    assert present(folder) == [made.filename]


def test_a_changed_backup_is_not_deleted(folder: Path) -> None:
    made = make(folder)
    protect_backup(folder, made.filename, note="changed")
    address = f"{BACKUPS}/{made.filename}"
    client = client_of("delete_backup")
    problem(client.delete(address, headers={"If-Match": f'"{made.etag}"'}), 412, "precondition_failed")
    assert present(folder) == [made.filename]
    now = find_backup(folder, made.filename).etag
    assert client.delete(address, headers={"If-Match": f'"{now}"'}).status_code == 200


# --- Verify and restore ----------------------------------------------------------------------------------------------


def test_a_verification_is_queued(folder: Path) -> None:
    made = make(folder)
    response = client_of("verify_backup").post(f"{BACKUPS}/{made.filename}/verify")
    operation = Operation.objects.get()
    assert (response.status_code, response["Location"]) == (202, f"{OPERATIONS}/{operation.pk}")
    assert (operation.kind, operation.arguments) == ("verify", {"filenames": [made.filename]})
    assert response.json()["operation"]["id"] == operation.pk


def test_another_method_is_refused_despite_parameters(folder: Path) -> None:
    answer = administrator().generic("TRACE", f"{BACKUPS}/{make(folder).filename}/restore?confirm=true")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


def test_a_restore_is_queued(folder: Path) -> None:
    made = make(folder)
    response = client_of("restore_backup").post(f"{BACKUPS}/{made.filename}/restore?confirm=true")
    operation = Operation.objects.get()
    assert (response.status_code, response["Location"]) == (202, f"{OPERATIONS}/{operation.pk}")
    assert (operation.kind, operation.arguments) == ("restore", {"filename": made.filename})
    assert (response.json()["status"], response.json()["restart_required"]) == ("started", False)


@pytest.mark.usefixtures("attached")
def test_a_newer_schema_needs_a_confirmation(folder: Path) -> None:
    made = make(folder)
    described(folder, made, schema="tvarr 999")
    client, address = client_of("restore_backup"), f"{BACKUPS}/{made.filename}/restore?confirm=true"
    assert "accept_newer in a request" in problem(client.post(address), 400, "confirmation_required")
    body = client.post(address, {"accept_newer": True}, format="json").json()
    assert body["facts"][0] == "This backup has the schema tvarr 999. The current database has the schema tvarr 029."
    assert Operation.objects.get().arguments == {"filename": made.filename, "accept_newer": True}


@pytest.mark.usefixtures("attached")
def test_a_restore_of_an_attached_database_requires_a_restart(folder: Path) -> None:
    made = make(folder)
    body = client_of("restore_backup").post(f"{BACKUPS}/{made.filename}/restore?confirm=true").json()
    assert body["restart_required"] is True


def test_a_missing_live_database_needs_an_offline_restore(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, missing = make(folder), tmp_path_factory.mktemp("live") / "missing.db"
    monkeypatch.setattr(conf, "live_database", lambda: missing)
    response = client_of("restore_backup").post(f"{BACKUPS}/{made.filename}/restore?confirm=true")
    problem(response, 409, "offline_restore_required")
    assert not Operation.objects.exists()


def test_an_offline_restore_is_queued_only_if_it_is_needed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, client = make(folder), client_of("restore_backup")
    address = f"{BACKUPS}/{made.filename}/restore?confirm=true"
    refusal = client.post(address, {"offline": True}, content_type="application/json")
    problem(refusal, 409, "restore_refused")
    monkeypatch.setattr(conf, "live_database", lambda: tmp_path / "missing.db")
    assert client.post(address, {"offline": True}, content_type="application/json").status_code == 202
    assert Operation.objects.get().arguments == {"filename": made.filename, "offline": True}


@pytest.mark.parametrize("query", ["", "?confirm=false"])
def test_a_restore_needs_a_confirmation(folder: Path, query: str) -> None:
    made = make(folder)
    response = client_of("restore_backup").post(f"{BACKUPS}/{made.filename}/restore{query}")
    assert "confirm=true" in problem(response, 400, "confirmation_required")
    assert not Operation.objects.exists()


@pytest.mark.parametrize("query", ["?confirm=yes", "?confirm=", "?confirm=TRUE", "?confirm=true&confirm=false"])
def test_another_confirmation_is_refused(folder: Path, query: str) -> None:
    made = make(folder)
    response = client_of("restore_backup").post(f"{BACKUPS}/{made.filename}/restore{query}")
    assert problem(response, 400, "invalid").startswith('Expected "true", got ')
    assert response.json()["errors"][0]["pointer"] == "/confirm"
    assert not Operation.objects.exists()


@pytest.mark.parametrize("what", ["verify", "restore?confirm=true"])
def test_an_unknown_member_is_refused(folder: Path, what: str) -> None:
    made = make(folder)
    response = administrator().post(f"{BACKUPS}/{made.filename}/{what}", {"force": True})
    problem(response, 400, "invalid")
    assert response.json()["errors"][0]["pointer"] == "/force"


@pytest.mark.parametrize("what", ["verify", "restore?confirm=true"])
def test_a_missing_backup_is_neither_verified_nor_restored(folder: Path, what: str) -> None:
    problem(administrator().post(f"{BACKUPS}/{NO_BACKUP}/{what}"), 404, "backup_not_found")
    assert not Operation.objects.exists()


@pytest.mark.parametrize("what", ["verify", "restore?confirm=true"])
def test_no_backup_is_verified_or_restored_during_an_operation(folder: Path, what: str) -> None:
    made = make(folder)
    operation = running()
    response = administrator().post(f"{BACKUPS}/{made.filename}/{what}")
    problem(response, 409, "operation_running")
    assert response.json()["operation"] == operation.pk


# --- Permissions and parameters --------------------------------------------------------------------------------------

CALLS = [
    ("GET", "", "view_backup"),
    ("POST", "", "create_backup"),
    ("POST", "/upload", "create_backup"),
    ("GET", f"/{NO_BACKUP}", "view_backup"),
    ("HEAD", f"/{NO_BACKUP}", "view_backup"),
    ("PATCH", f"/{NO_BACKUP}", "protect_backup"),
    ("DELETE", f"/{NO_BACKUP}", "delete_backup"),
    ("PATCH", f"/{NO_BACKUP}/protection", "protect_backup"),
    ("GET", f"/{NO_BACKUP}/download", "download_backup"),
    ("HEAD", f"/{NO_BACKUP}/download", "download_backup"),
    ("POST", f"/{NO_BACKUP}/verify", "verify_backup"),
    ("POST", f"/{NO_BACKUP}/restore?confirm=true", "restore_backup"),
]


@pytest.mark.parametrize(("method", "what", "permission"), CALLS)
def test_each_call_requires_its_permission(method: str, what: str, permission: str) -> None:
    def status(client: APIClient) -> int:
        body = b'{"protected": true}' if what.endswith("/protection") else b""
        return int(raw(client, method, BACKUPS + what, body, "application/json" if body else "").status_code)

    everything = {permission for _method, _what, permission in CALLS}
    assert status(APIClient()) == 401
    assert status(client_of(*(everything - {permission}))) == 403
    assert status(client_of(permission)) not in {401, 403}


@pytest.mark.parametrize(("method", "what", "permission"), CALLS)
def test_unknown_parameters_are_refused(method: str, what: str, permission: str) -> None:
    address = BACKUPS + what + ("&" if "?" in what else "?") + "force=true"
    response = raw(client_of(permission), method, address)
    assert response.status_code == 400
    if method != "HEAD":
        problem(response, 400, "invalid")
        assert response.json()["errors"][0]["pointer"] == "/force"


# --- With a worker ---------------------------------------------------------------------------------------------------


@pytest.fixture
def up(prepared: Installation) -> Iterator[Up]:
    running = start_up(prepared, free_port())
    wait_until(running.is_complete, "it is complete", seconds=60)
    yield running
    running.process.terminate()
    running.process.wait(timeout=30)


def test_a_backup_is_created_verified_and_restored(prepared: Installation, up: Up) -> None:
    token = prepared.json("token", "create", "test", "--user", "admin", "--json")["token"]

    def call(method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            up.address + path,
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.headers, json.load(response)

    def finished(headers: Any) -> Any:
        def look() -> Any:
            _, operation = call("GET", headers["Location"])
            return operation if operation["finished_at"] else None

        return wait_until(look, "it is finished", seconds=60)

    made = finished(call("POST", BACKUPS, {"note": "all together"})[0])
    assert (made["state"], made["requested_by"], made["origin"]) == ("succeeded", "admin", "api")
    filename = made["result"]["backup"]["filename"]
    verified = finished(call("POST", f"{BACKUPS}/{filename}/verify")[0])
    assert verified["result"]["verified"][0]["problems"] == []
    restored = finished(call("POST", f"{BACKUPS}/{filename}/restore?confirm=true")[0])
    assert (restored["state"], restored["result"]["outcome"]) == ("succeeded", "restored")
    safety = restored["result"]["pre_restore_backup"]
    assert (safety["kind"], safety["restored_from"], safety["protected"]) == ("pre_restore", filename, True)
    _, listed = call("GET", BACKUPS)
    assert [backup["filename"] for backup in listed["backups"]] == [safety["filename"], filename]


class TestPages:
    """tvarr's clients expect all backups. With more than 500, the newest are listed, and the address of the others."""

    @pytest.fixture
    def names(self, folder: Path) -> list[str]:
        """Names of 502 backups with the same archive, newest first."""
        made = make(folder)
        for number in range(501):
            stem = f"tvarr-backup-2025-01-01T00-{number // 60:02}-{number % 60:02}"
            (folder / f"{stem}.db.gz").hardlink_to(folder / made.filename)
            sidecar = made.sidecar.with_changes(seq=number + 2)
            (folder / f"{stem}.meta.json").write_bytes(encode_sidecar(sidecar))
        return present(folder)

    def test_without_parameters_the_newest_500_are_listed(self, names: list[str]) -> None:
        client = client_of("view_backup")
        answer = client.get(BACKUPS)

        first = answer.json()
        assert len(answer.content) < 700_000
        assert [backup["filename"] for backup in first["backups"]] == names[:500]
        assert (first["count"], first["previous"], first["broken_count"]) == (502, None, 0)
        rest = client.get(first["next"]).json()
        assert [backup["filename"] for backup in rest["backups"]] == names[500:]
        assert rest["next"] is None

    def test_smaller_pages_can_be_selected(self, names: list[str]) -> None:
        answer = client_of("view_backup").get(BACKUPS, {"page": 2, "page_size": 3}).json()
        assert [backup["filename"] for backup in answer["backups"]] == names[3:6]

    @pytest.mark.parametrize("query", [{"page": 0}, {"page_size": 501}, {"limit": 1}])
    def test_invalid_parameters_are_refused(self, query: dict[str, int]) -> None:
        assert client_of("view_backup").get(BACKUPS, query).status_code == 400

    def test_a_missing_page_is_not_found(self) -> None:
        problem(client_of("view_backup").get(BACKUPS, {"page": 2}), 404, "not_found")

    def test_other_calls_have_no_pages(self) -> None:
        assert client_of("create_backup").post(f"{BACKUPS}?page=1", {}).status_code == 400
