"""Backups over the API: the folder as it is now, and what can be done with it, in tvarr's shapes."""

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


def test_the_list_is_the_folder_as_it_is_now_with_the_newest_first(folder: Path) -> None:
    first, second = make(folder, note="first"), make(folder, kind=BackupKind.SCHEDULED)
    (folder / "holiday.jpg").touch()
    (folder / NO_BACKUP).write_bytes(b"half")
    body = client_of("view_backup").get(BACKUPS).json()
    assert [backup["filename"] for backup in body["backups"]] == [second.filename, first.filename]
    assert body["broken"] == [
        {"filename": NO_BACKUP, "reason": "its description tvarr-backup-2026-01-01T00-00-00.meta.json is missing"}
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


def test_the_schedule_is_told_as_its_own_address_tells_it() -> None:
    schedule = client_of("view_backup").get(BACKUPS).json()["schedule"]
    assert {"enabled", "cron", "retention"} <= schedule.keys()
    assert schedule == administrator().get(f"{BACKUPS}/schedule").json()


def test_where_the_folder_lies_is_told_to_administrators_only(folder: Path) -> None:
    made = make(folder)
    for client in (administrator(), client_of("view_backup", "restore_backup")):
        body = client.get(BACKUPS).json()
        assert body["backup_directory"] == str(folder)
        assert body["backups"][0]["file_path"] == str(folder / made.filename)
    everything_else = ("create_backup", "download_backup", "verify_backup", "protect_backup", "delete_backup")
    response = client_of("view_backup", *everything_else).get(BACKUPS)
    assert response.json()["backup_directory"] is response.json()["backups"][0]["file_path"] is None
    assert str(folder) not in response.content.decode()


def test_no_query_and_no_look_at_the_folder_is_made_for_each_backup(
    folder: Path, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of("view_backup")
    made = make(folder)
    looks: list[str] = []
    monkeypatch.setattr(os, "listdir", _watched(os.listdir, folder.parent, looks))
    for number in (1, 500):
        for one in range(1, number):
            name = f"tvarr-backup-2026-01-01T00-{one // 60:02}-{one % 60:02}.db.gz"
            os.link(folder / made.filename, folder / name)
            os.link(folder / made.name.sidecar, folder / name.replace(".db.gz", ".meta.json"))
        looks.clear()
        # session, user, 2 of permissions, open operations, schemas seen, the disk of the last backup; of the schedule:
        # settings, 2 of its row, 3 of what it has done
        with django_assert_num_queries(13):
            assert len(client.get(BACKUPS).json()["backups"]) == number
        assert looks == [str(folder)]


def test_an_empty_folder_is_an_empty_list() -> None:
    body = client_of("view_backup").get(f"{BACKUPS}/").json()
    assert (body["backups"], body["broken"]) == ([], [])


def test_a_folder_that_cannot_be_used_is_told_without_its_place(settings: Any, tmp_path: Path) -> None:
    settings.BACKUP_DIRECTORY = tmp_path / "missing" / "backups"
    words = problem(client_of("view_backup").get(BACKUPS), 503, "backup_folder_unusable")
    assert words.startswith("The backup folder backups cannot be used: No such file or directory.")


# --- Making one ------------------------------------------------------------------------------------------------------


def test_a_new_one_is_asked_for_and_can_be_followed(folder: Path) -> None:
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


def test_a_second_one_is_told_which_operation_is_in_the_way() -> None:
    client = client_of("create_backup")
    first = client.post(BACKUPS).json()["operation"]["id"]
    response = client.post(BACKUPS)
    assert problem(response, 409, "operation_running").startswith("A backup has been queued since ")
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
def test_a_body_that_makes_no_sense_is_refused(body: Any, code: str, pointer: str | None) -> None:
    response = client_of("create_backup").post(BACKUPS, body)
    problem(response, 400, code)
    assert [found["pointer"] for found in response.json()["errors"]] == ([] if pointer is None else [pointer])
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    "body", [b"{", b"\xff\xfe", b'{"note": "\\ud800"}', b'{"note": "\\u0000"}', b'{"note": NaN}', b"[" * 9999]
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    response = raw(client_of("create_backup"), "POST", BACKUPS, body, "application/json")
    assert response.status_code == 400, response.content
    assert not Operation.objects.exists()


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", "application/xml"])
def test_another_content_type_is_refused(content_type: str) -> None:
    response = raw(client_of("create_backup"), "POST", BACKUPS, b"note=x", content_type)
    problem(response, 415, "unsupported_media_type")


# --- One -------------------------------------------------------------------------------------------------------------


def test_one_is_shown_as_the_list_shows_it(folder: Path) -> None:
    made = make(folder)
    client = client_of("view_backup")
    response = client.get(f"{BACKUPS}/{made.filename}")
    assert response.json() == client.get(BACKUPS).json()["backups"][0]
    assert response["ETag"] == f'"{made.etag}"'


def test_one_that_tvarr_made_is_shown(folder: Path, tvarr_own: Path) -> None:
    archive = tvarrs_new_backup(folder, tvarr_own)
    body = client_of("view_backup").get(f"{BACKUPS}/{archive.name}").json()
    assert (body["kind"], body["state"], body["checked"]) == ("tvarr", "not_checked", None)
    assert body["created_at"].endswith("Z")


@pytest.mark.parametrize("method", ["get", "patch", "delete"])
def test_one_that_is_not_there_is_not_found(folder: Path, method: str) -> None:
    response = getattr(administrator(), method)(f"{BACKUPS}/{NO_BACKUP}")
    assert problem(response, 404, "backup_not_found") == f"There is no backup “{NO_BACKUP}”."
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    ("what", "words"),
    [("archive", "its description tvarr-backup-2026-01-01T00-00-00.meta.json is missing"), ("folder", "no regular")],
)
def test_what_is_broken_is_said_to_be_so(folder: Path, what: str, words: str) -> None:
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
def test_a_name_that_is_none_is_not_found_before_the_disk_is_touched(
    name: str, what: str, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    (folder / NO_BACKUP).write_bytes(b"untouched")
    method = {"": "GET", "/download": "GET", "/protection": "PATCH"}.get(what, "POST")
    client = administrator()
    touched: list[str] = []
    for name_of_call in ("open", "lstat", "stat"):
        monkeypatch.setattr(os, name_of_call, _watched(getattr(os, name_of_call), folder, touched))
    path = quote(f"{BACKUPS}/{name}{what}", safe="/%?=")
    body = b'{"protected": true}' if what == "/protection" else b"{}"
    response = raw(client, method, path, body, "application/json")
    assert response.status_code == 404, response.content
    assert response.json()["code"] in {"backup_not_found", "not_found"}
    assert touched == []
    assert (folder / NO_BACKUP).read_bytes() == b"untouched"
    assert len(response.content) < 600


def _watched(call: Callable[..., Any], folder: Path, touched: list[str]) -> Callable[..., Any]:
    """The same call, which notes what is touched in the folder."""

    def watched(path: Any, *arguments: Any, **named: Any) -> Any:
        if folder in Path(str(path)).parents:
            touched.append(str(path))
        return call(path, *arguments, **named)

    return watched


# --- Changing --------------------------------------------------------------------------------------------------------


def test_protection_and_note_are_changed_at_once(folder: Path) -> None:
    made = make(folder, note="old")
    client = client_of("protect_backup")
    response = client.patch(f"{BACKUPS}/{made.filename}", {"protected": True, "note": " new "})
    assert response.status_code == 200
    now = find_backup(folder, made.filename)
    assert (now.sidecar.protected, now.sidecar.note) == (True, "new")
    assert (response.json()["protected"], response.json()["note"]) == (True, "new")
    assert response["ETag"] == f'"{now.etag}"' != f'"{made.etag}"'


@pytest.mark.parametrize("hours", [1, -1])
def test_a_protection_with_an_end_is_told_with_it(folder: Path, hours: int) -> None:
    made = make(folder)
    end = datetime.now(UTC) + timedelta(hours=hours)
    with work_in(folder) as work:
        rewrite_sidecar(folder, work, made, protected=True, protected_until=end)
    body = client_of("view_backup").get(f"{BACKUPS}/{made.filename}").json()
    until = end.isoformat().replace("+00:00", "Z")
    assert (body["protected"], body["protected_until"]) == ((True, until) if hours > 0 else (False, None))


def test_what_is_left_out_stays(folder: Path) -> None:
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
def test_the_protection_of_a_safety_backup_is_lifted_by_who_may_delete(folder: Path, what: str) -> None:
    safety = make(folder, kind=BackupKind.PRE_RESTORE)
    protect_backup(folder, safety.filename, protected=True)
    address, wish = f"{BACKUPS}/{safety.filename}{what}", {"protected": False}
    refused = client_of("protect_backup").patch(address, wish)
    assert "is still protected" in problem(refused, 403, "unprotect_denied")
    assert find_backup(folder, safety.filename).sidecar.protected
    assert client_of("protect_backup", "delete_backup").patch(address, wish).json()["protected"] is False


def test_tvarrs_address_sets_the_protection_alone(folder: Path) -> None:
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
def test_a_change_that_makes_no_sense_is_refused_and_changes_nothing(
    folder: Path, what: str, body: Any, pointer: str
) -> None:
    made = make(folder)
    before = only_sidecar(folder, made.filename)
    response = client_of("protect_backup").patch(f"{BACKUPS}/{made.filename}{what}", body)
    problem(response, 400, "invalid")
    assert [found["pointer"] for found in response.json()["errors"]] == [pointer]
    assert only_sidecar(folder, made.filename) == before


@pytest.mark.parametrize(("note", "words"), [("x" * 501, "501 characters"), ("a\tb", "one line of text")])
def test_a_note_that_cannot_be_kept_is_refused(folder: Path, note: str, words: str) -> None:
    made = make(folder)
    response = client_of("protect_backup").patch(f"{BACKUPS}/{made.filename}", {"note": note})
    assert words in problem(response, 400, "note_invalid")


def test_one_that_tvarr_made_cannot_be_changed(folder: Path, tvarr_own: Path) -> None:
    archive = tvarrs_new_backup(folder, tvarr_own)
    response = client_of("protect_backup").patch(f"{BACKUPS}/{archive.name}", {"protected": True})
    assert "is an archive that tvarr made" in problem(response, 409, "backup_foreign")


def test_while_somebody_is_at_work_in_the_folder_a_change_is_refused(folder: Path) -> None:
    made = make(folder)
    with backup_lock(folder):
        response = client_of("protect_backup").patch(f"{BACKUPS}/{made.filename}", {"protected": True})
    assert problem(response, 409, "backup_busy").endswith(" is at work in backups; try again when it is done.")


def test_of_two_writers_the_second_is_told_that_it_has_changed(folder: Path) -> None:
    made = make(folder)
    first, second = client_of("protect_backup"), client_of("protect_backup")
    address, seen = f"{BACKUPS}/{made.filename}", f'"{made.etag}"'
    assert first.patch(address, {"note": "first"}, headers={"If-Match": seen}).status_code == 200
    response = second.patch(address, {"note": "second"}, headers={"If-Match": seen})
    problem(response, 412, "precondition_failed")
    assert find_backup(folder, made.filename).sidecar.note == "first"
    now = first.patch(address, {}).headers["ETag"]
    assert second.patch(address, {"note": "second"}, headers={"If-Match": f'"old", {now}'}).status_code == 200


@pytest.mark.parametrize(("header", "status"), [("*", 200), ('W/"{mark}"', 412), ("nonsense", 412), ("", 412)])
def test_other_marks(folder: Path, header: str, status: int) -> None:
    made = make(folder)
    headers = {"If-Match": header.format(mark=made.etag)}
    for what, body in [("", {"note": "x"}), ("/protection", {"protected": True})]:
        headers = {"If-Match": header.format(mark=find_backup(folder, made.filename).etag)}
        response = client_of("protect_backup").patch(f"{BACKUPS}/{made.filename}{what}", body, headers=headers)
        assert response.status_code == status


# --- Deleting --------------------------------------------------------------------------------------------------------


def test_one_is_deleted_and_the_deletion_recorded(folder: Path) -> None:
    made = make(folder)
    response = client_of("delete_backup").delete(f"{BACKUPS}/{made.filename}")
    assert (response.status_code, response.json()) == (200, {"message": f"{made.filename} is deleted."})
    assert present(folder) == []
    operation = Operation.objects.get()
    assert (operation.kind, operation.state, operation.origin) == ("delete", "succeeded", "api")


def test_a_protected_one_is_refused(folder: Path) -> None:
    made = make(folder)
    protect_backup(folder, made.filename, protected=True)
    response = client_of("delete_backup").delete(f"{BACKUPS}/{made.filename}")
    problem(response, 409, "backup_protected")
    assert present(folder) == [made.filename]


@pytest.mark.parametrize("what", ["archive", "description"])
def test_what_is_broken_is_deleted_too(folder: Path, what: str) -> None:
    name = NO_BACKUP if what == "archive" else NO_BACKUP.replace(".db.gz", ".meta.json")
    (folder / name).write_bytes(b"half")
    assert client_of("delete_backup").delete(f"{BACKUPS}/{NO_BACKUP}").status_code == 200
    assert not (folder / name).exists()


def test_an_archive_of_tvarrs_is_not_found_because_another_has_its_description(folder: Path) -> None:
    (folder / NO_BACKUP.replace(".db.gz", ".meta.json")).write_bytes(b"half")
    response = client_of("delete_backup").delete(f"{BACKUPS}/{NO_BACKUP.replace('.db.gz', '.tar.gz')}")
    problem(response, 404, "backup_not_found")


def test_while_an_operation_is_open_none_is_deleted(folder: Path) -> None:
    made = make(folder)
    operation = running(OperationKind.RESTORE)
    response = client_of("delete_backup").delete(f"{BACKUPS}/{made.filename}")
    problem(response, 409, "operation_running")
    assert response.json()["operation"] == operation.pk
    assert present(folder) == [made.filename]


def test_one_that_has_changed_is_not_deleted(folder: Path) -> None:
    made = make(folder)
    protect_backup(folder, made.filename, note="changed")
    address = f"{BACKUPS}/{made.filename}"
    client = client_of("delete_backup")
    problem(client.delete(address, headers={"If-Match": f'"{made.etag}"'}), 412, "precondition_failed")
    assert present(folder) == [made.filename]
    now = find_backup(folder, made.filename).etag
    assert client.delete(address, headers={"If-Match": f'"{now}"'}).status_code == 200


# --- Checking and restoring ------------------------------------------------------------------------------------------


def test_a_check_is_asked_for(folder: Path) -> None:
    made = make(folder)
    response = client_of("verify_backup").post(f"{BACKUPS}/{made.filename}/verify")
    operation = Operation.objects.get()
    assert (response.status_code, response["Location"]) == (202, f"{OPERATIONS}/{operation.pk}")
    assert (operation.kind, operation.arguments) == ("verify", {"filenames": [made.filename]})
    assert response.json()["operation"]["id"] == operation.pk


def test_another_method_is_refused_as_such_whatever_parameters_it_has(folder: Path) -> None:
    answer = administrator().generic("TRACE", f"{BACKUPS}/{make(folder).filename}/restore?confirm=true")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


def test_a_restore_is_asked_for(folder: Path) -> None:
    made = make(folder)
    response = client_of("restore_backup").post(f"{BACKUPS}/{made.filename}/restore?confirm=true")
    operation = Operation.objects.get()
    assert (response.status_code, response["Location"]) == (202, f"{OPERATIONS}/{operation.pk}")
    assert (operation.kind, operation.arguments) == ("restore", {"filename": made.filename})
    assert (response.json()["status"], response.json()["restart_required"]) == ("started", False)


@pytest.mark.usefixtures("attached")
def test_a_newer_schema_needs_a_word_and_facts_are_told(folder: Path) -> None:
    made = make(folder)
    described(folder, made, schema="tvarr 999")
    client, address = client_of("restore_backup"), f"{BACKUPS}/{made.filename}/restore?confirm=true"
    assert "accept_newer in a request" in problem(client.post(address), 400, "confirmation_required")
    body = client.post(address, {"accept_newer": True}, format="json").json()
    assert body["facts"][0] == "This backup was made by tvarr 999; tvarr 029 is running."
    assert Operation.objects.get().arguments == {"filename": made.filename, "accept_newer": True}


@pytest.mark.usefixtures("attached")
def test_after_a_restore_an_attached_tvarr_should_be_started_again(folder: Path) -> None:
    made = make(folder)
    body = client_of("restore_backup").post(f"{BACKUPS}/{made.filename}/restore?confirm=true").json()
    assert body["restart_required"] is True


def test_what_is_live_is_looked_at_before_a_restore_is_promised(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, missing = make(folder), tmp_path_factory.mktemp("live") / "missing.db"
    monkeypatch.setattr(conf, "live_database", lambda: missing)
    response = client_of("restore_backup").post(f"{BACKUPS}/{made.filename}/restore?confirm=true")
    told = response.json()
    assert (response.status_code, told["code"]) == (409, "offline_restore_required")
    assert "missing.db does not exist, so a backup can be restored only while tvarr is stopped." in told["detail"]
    assert not Operation.objects.exists()


def test_an_offline_restore_is_asked_for_by_a_member(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, client = make(folder), client_of("restore_backup")
    address = f"{BACKUPS}/{made.filename}/restore?confirm=true"
    refusal = client.post(address, {"offline": True}, content_type="application/json")
    assert "so an offline restore is not needed" in problem(refusal, 409, "restore_refused")
    monkeypatch.setattr(conf, "live_database", lambda: tmp_path / "missing.db")
    assert client.post(address, {"offline": True}, content_type="application/json").status_code == 202
    assert Operation.objects.get().arguments == {"filename": made.filename, "offline": True}


@pytest.mark.parametrize("query", ["", "?confirm=false"])
def test_a_restore_needs_its_word(folder: Path, query: str) -> None:
    made = make(folder)
    response = client_of("restore_backup").post(f"{BACKUPS}/{made.filename}/restore{query}")
    assert "confirm=true" in problem(response, 400, "confirmation_required")
    assert not Operation.objects.exists()


@pytest.mark.parametrize("query", ["?confirm=yes", "?confirm=", "?confirm=TRUE", "?confirm=true&confirm=false"])
def test_another_word_is_refused(folder: Path, query: str) -> None:
    made = make(folder)
    response = client_of("restore_backup").post(f"{BACKUPS}/{made.filename}/restore{query}")
    assert problem(response, 400, "invalid") == "Allowed is true."
    assert response.json()["errors"][0]["pointer"] == "/confirm"
    assert not Operation.objects.exists()


@pytest.mark.parametrize("what", ["verify", "restore?confirm=true"])
def test_neither_takes_anything_else(folder: Path, what: str) -> None:
    made = make(folder)
    response = administrator().post(f"{BACKUPS}/{made.filename}/{what}", {"force": True})
    problem(response, 400, "invalid")
    assert response.json()["errors"][0]["pointer"] == "/force"


@pytest.mark.parametrize("what", ["verify", "restore?confirm=true"])
def test_of_what_is_not_there_nothing_is_asked(folder: Path, what: str) -> None:
    problem(administrator().post(f"{BACKUPS}/{NO_BACKUP}/{what}"), 404, "backup_not_found")
    assert not Operation.objects.exists()


@pytest.mark.parametrize("what", ["verify", "restore?confirm=true"])
def test_while_an_operation_is_open_both_are_refused(folder: Path, what: str) -> None:
    made = make(folder)
    operation = running()
    response = administrator().post(f"{BACKUPS}/{made.filename}/{what}")
    problem(response, 409, "operation_running")
    assert response.json()["operation"] == operation.pk


# --- Who may, and where ----------------------------------------------------------------------------------------------

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
def test_each_call_needs_its_permission(method: str, what: str, permission: str) -> None:
    def status(client: APIClient) -> int:
        body = b'{"protected": true}' if what.endswith("/protection") else b""
        return int(raw(client, method, BACKUPS + what, body, "application/json" if body else "").status_code)

    everything = {permission for _method, _what, permission in CALLS}
    assert status(APIClient()) == 401
    assert status(client_of(*(everything - {permission}))) == 403
    assert status(client_of(permission)) not in {401, 403}


@pytest.mark.parametrize(("method", "what", "permission"), CALLS)
def test_parameters_that_are_not_known_are_refused(method: str, what: str, permission: str) -> None:
    address = BACKUPS + what + ("&" if "?" in what else "?") + "force=true"
    response = raw(client_of(permission), method, address)
    assert response.status_code == 400
    if method != "HEAD":
        assert "“force” is no parameter of this call" in problem(response, 400, "invalid")


# --- All together ----------------------------------------------------------------------------------------------------


@pytest.fixture
def up(prepared: Installation) -> Iterator[Up]:
    running = start_up(prepared, free_port())
    wait_until(running.is_complete, "it is complete", seconds=60)
    yield running
    running.process.terminate()
    running.process.wait(timeout=30)


def test_from_a_backup_to_its_restore_with_a_real_worker(prepared: Installation, up: Up) -> None:
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
    """tvarr's clients ask for all. Where there are hundreds, the newest come, and the address of the others."""

    @pytest.fixture
    def names(self, folder: Path) -> list[str]:
        """Of 502 backups, the newest first, which share one archive."""
        made = make(folder)
        for number in range(501):
            stem = f"tvarr-backup-2025-01-01T00-{number // 60:02}-{number % 60:02}"
            (folder / f"{stem}.db.gz").hardlink_to(folder / made.filename)
            sidecar = made.sidecar.with_changes(seq=number + 2)
            (folder / f"{stem}.meta.json").write_bytes(encode_sidecar(sidecar))
        return present(folder)

    def test_without_parameters_the_newest_five_hundred_come_in_tvarrs_shape(self, names: list[str]) -> None:
        client = client_of("view_backup")
        answer = client.get(BACKUPS)

        first = answer.json()
        assert len(answer.content) < 700_000
        assert [backup["filename"] for backup in first["backups"]] == names[:500]
        assert (first["count"], first["previous"], first["broken_count"]) == (502, None, 0)
        rest = client.get(first["next"]).json()
        assert [backup["filename"] for backup in rest["backups"]] == names[500:]
        assert rest["next"] is None

    def test_smaller_pages_can_be_asked_for(self, names: list[str]) -> None:
        answer = client_of("view_backup").get(BACKUPS, {"page": 2, "page_size": 3}).json()
        assert [backup["filename"] for backup in answer["backups"]] == names[3:6]

    @pytest.mark.parametrize("query", [{"page": 0}, {"page_size": 501}, {"limit": 1}])
    def test_other_parameters_are_refused(self, query: dict[str, int]) -> None:
        assert client_of("view_backup").get(BACKUPS, query).status_code == 400

    def test_a_page_beyond_the_last_is_not_there(self) -> None:
        problem(client_of("view_backup").get(BACKUPS, {"page": 2}), 404, "not_found")

    def test_what_is_no_page_has_no_such_parameters(self) -> None:
        assert client_of("create_backup").post(f"{BACKUPS}?page=1", {}).status_code == 400
