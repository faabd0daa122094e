"""Uploads of backups: straight to the backup folder, within limits, and without remains if they are refused."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import shutil
import socket
import sqlite3
import stat
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.files.uploadhandler import MemoryFileUploadHandler, TemporaryFileUploadHandler
from rest_framework.test import APIClient

from tests.api.backup_parts import BACKUPS, archives_open, client_of, make, present, problem, raw
from tests.backups.makers import (
    changed,
    died_in_wal_mode,
    ours,
    settled,
    tvarrs,
    tvarrs_new_backup,
    tvarrs_old_backup,
    with_ballast,
)
from tests.factories import UserFactory
from tests.installation import Installation
from tests.operations.elsewhere import running
from tests.processes import wait_until
from tests.ups import Up, free_port, start_up
from tvarr_backup import conf
from tvarr_backup.backups.catalogue import find_backup, protect_backup, read_folder
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.errors import NoRoom
from tvarr_backup.operations.models import Operation
from tvarr_backup.operations.run import run_here
from tvarr_backup.transfer import uploads

pytestmark = pytest.mark.django_db

ADDRESS = f"{BACKUPS}/upload"
BOUNDARY = "two-lighthouses"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"

Part = tuple[str, str | None, bytes]
"""Name, file name, content."""


def form(*parts: Part, end: str = f"--{BOUNDARY}--\r\n") -> bytes:
    """Return a form as browsers send it."""
    body = b""
    for name, filename, content in parts:
        file = "" if filename is None else f'; filename="{filename}"'
        body += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
        body += content + b"\r\n"
    return body + end.encode()


def send(client: APIClient, *parts: Part, **environment: Any) -> Any:
    return raw(client, "POST", ADDRESS, form(*parts), CONTENT_TYPE, **environment)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    return prepare_folder(conf.backup_path())


@pytest.fixture(autouse=True)
def _do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_LEAST_PATIENCE_SECONDS", 0)


@pytest.fixture(autouse=True)
def _forbid_other_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if a file is received in memory or in the system's temporary folder."""

    def refuse(*_arguments: Any, **_named: Any) -> None:
        pytest.fail("the file was received elsewhere")

    for handler in (MemoryFileUploadHandler, TemporaryFileUploadHandler):
        monkeypatch.setattr(handler, "new_file", refuse)


@pytest.fixture
def client(db: None) -> APIClient:
    return client_of("create_backup")


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    """A folder with files from elsewhere."""
    return prepare_folder(tmp_path / "incoming")


@pytest.fixture
def copy(incoming: Path) -> Path:
    return settled(tvarrs(incoming / "copy.db"))


def left(folder: Path) -> list[str]:
    """Return everything in the folder except backups."""
    work = folder / ".work"
    found = [str(path.relative_to(work)) for path in work.rglob("*")] if work.exists() else []
    return found + list(read_folder(folder).foreign)


def refused(folder: Path, response: Any, status: int, code: str) -> str:
    """Return the detail of an error answer, after which nothing must be left."""
    detail = problem(response, status, code)
    assert left(folder) == []
    assert present(folder) == []
    return detail


# --- Accepted --------------------------------------------------------------------------------------------------------


def test_a_download_brings_its_metadata_back_once(
    client: APIClient, folder: Path, incoming: Path, settings: Any
) -> None:
    made = protect_backup(incoming, make(incoming, note="last good one").filename, protected=True)
    settings.BACKUP_DIRECTORY = incoming
    content = client_of("download_backup").get(f"{BACKUPS}/{made.filename}/download").getvalue()
    settings.BACKUP_DIRECTORY = folder
    body = send(client, ("file", "renamed.gz", content)).json()
    assert (body["note"], body["protected"], body["original_kind"]) == ("last good one", True, "manual")
    assert (body["filename"], body["checksum"]) == (made.filename, made.sidecar.checksum)
    again = send(client, ("file", "renamed.gz", content))
    problem(again, 409, "backup_present")
    assert again.json()["backup"] == made.filename
    assert present(folder) == [made.filename]


def test_one_of_our_backups_with_its_metadata_file_is_added(client: APIClient, folder: Path, incoming: Path) -> None:
    theirs = make(incoming, note="from the attic")
    archive, meta = incoming / theirs.filename, incoming / theirs.name.sidecar
    response = send(client, ("file", theirs.filename, archive.read_bytes()), ("meta", meta.name, meta.read_bytes()))
    assert response.status_code == 201, response.content
    body = response.json()
    assert (body["filename"], body["note"], body["kind"]) == (theirs.filename, "from the attic", "uploaded")
    assert (body["protected"], body["imported"], body["file_path"]) == (False, True, None)
    assert body["original_kind"] == "manual"
    assert response["Location"] == f"{BACKUPS}/{theirs.filename}"
    assert find_backup(folder, theirs.filename).sidecar.kind is BackupKind.UPLOADED
    assert left(folder) == []
    operation = Operation.objects.get()
    assert (operation.kind, operation.state, operation.origin) == ("adopt", "succeeded", "api")
    assert operation.requested_by is not None


def test_the_answer_is_the_added_backup(client: APIClient, incoming: Path) -> None:
    theirs = make(incoming)
    response = send(client, ("file", theirs.filename, (incoming / theirs.filename).read_bytes()))
    assert client_of("view_backup").get(response["Location"]).json() == response.json()


def test_backups_of_tvarr_and_plain_copies_are_added(
    client: APIClient, folder: Path, incoming: Path, copy: Path
) -> None:
    old = tvarrs_old_backup(incoming, copy)
    new = tvarrs_new_backup(incoming, changed(copy, "UPDATE filters SET name = 'newer'"))
    changed(copy, "UPDATE filters SET name = 'newest'")
    for path, filename in [
        (old, "tvarr-backup-2025-12-14T10-30-00.db.gz"),
        (new, "tvarr-backup-2026-01-14T10-30-00.db.gz"),
        (copy, None),
    ]:
        response = send(client, ("file", path.name, path.read_bytes()))
        assert response.status_code == 201, response.content
        assert filename in (None, response.json()["filename"])
    assert len(present(folder)) == 3


def test_the_note_of_the_form_replaces_that_of_the_metadata_file(client: APIClient, incoming: Path) -> None:
    theirs = make(incoming, note="theirs")
    meta = (incoming / theirs.name.sidecar).read_bytes()
    archive = (incoming / theirs.filename).read_bytes()
    response = send(client, ("note", None, b" mine "), ("meta", "x", meta), ("file", "x.db.gz", archive))
    assert response.json()["note"] == "mine"


def test_the_journal_of_a_database_is_applied(client: APIClient, folder: Path, incoming: Path) -> None:
    source = died_in_wal_mode(incoming / "tvarr.db")
    wal = source.with_name("tvarr.db-wal").read_bytes()
    body = send(client, ("wal", "tvarr.db-wal", wal), ("file", "tvarr.db", source.read_bytes())).json()
    assert (body["table_counts"]["filters"], body["wal_missing"], body["checked"]["warnings"]) == (3, False, [])
    assert left(folder) == []


def test_a_database_without_its_journal_is_added_with_a_warning(client: APIClient, incoming: Path) -> None:
    source = died_in_wal_mode(incoming / "tvarr.db")
    response = send(client, ("file", "tvarr.db", source.read_bytes()))
    assert response.status_code == 201
    codes = [warning["code"] for warning in response.json()["checked"]["warning_details"]]
    assert (response.json()["wal_missing"], codes) == (True, ["wal_missing"])
    assert Operation.objects.get().state == "attention"


def test_the_journal_of_another_database_is_refused(client: APIClient, folder: Path, copy: Path) -> None:
    response = send(client, ("file", "tvarr.db", copy.read_bytes()), ("wal", "tvarr.db-wal", bytes(99)))
    refused(folder, response, 422, "journal_unusable")


@pytest.mark.parametrize(
    ("name", "source", "created_at"),
    [
        ("tvarr-backup-2026-03-02T02-00-00.db (1).gz", "name", "2026-03-02T02:00:00Z"),
        ("tvarr.db", "newest_row", "2026-03-01T15:00:00Z"),
    ],
)
def test_the_source_of_the_date_is_shown(
    client: APIClient, copy: Path, name: str, source: str, created_at: str
) -> None:
    body = send(client, ("file", name, copy.read_bytes())).json()
    assert (body["created_at"], body["created_at_source"]) == (created_at, source)
    assert body["newest_row_at"] == "2026-03-01T15:00:00.123456Z"


@pytest.mark.parametrize("word", [None, b"false", b"true"])
def test_broken_references_must_be_accepted(client: APIClient, folder: Path, copy: Path, word: bytes) -> None:
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("DELETE FROM stream_sources")
    parts: list[Part] = [("file", "copy.db", copy.read_bytes())]
    if word:
        parts.append(("accept_broken_references", None, word))
    response = send(client, *parts)
    if word == b"true":
        assert response.status_code == 201
    else:
        assert "accept_broken_references in a request" in refused(folder, response, 422, "upload_refused")


@pytest.mark.parametrize("word", [b"false", b"true"])
def test_a_view_must_be_accepted(client: APIClient, folder: Path, copy: Path, word: bytes) -> None:
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("CREATE VIEW channel_count AS SELECT 1")
    if word == b"true":
        client = client_of("create_backup", "restore_backup")
    response = send(client, ("file", "copy.db", copy.read_bytes()), ("accept_code", None, word))
    if word == b"true":
        assert response.json()["accepted_code"] == ["view “channel_count”"]
    else:
        assert "accept_code in a request" in refused(folder, response, 422, "code_not_accepted")
        (view,) = response.json()["refused_code"]
        assert (view["kind"], view["name"], view["sql"]) == (
            "view",
            "channel_count",
            "CREATE VIEW channel_count AS SELECT 1",
        )


def test_only_users_who_may_restore_accept_a_view(client: APIClient, folder: Path, copy: Path) -> None:
    response = send(client, ("file", "copy.db", copy.read_bytes()), ("accept_code", None, b"true"))
    assert "the right to restore backups" in refused(folder, response, 403, "accept_code_denied")


@pytest.mark.parametrize("encoding", ["binary", "base64"])
def test_other_encodings_of_forms_are_accepted(client: APIClient, copy: Path, encoding: str) -> None:
    content = copy.read_bytes() if encoding == "binary" else base64.encodebytes(copy.read_bytes())
    head = (
        f'preamble\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="copy.db"\r\n'
        f"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    )
    body = head.encode() + content + f"\r\n--{BOUNDARY}--\r\nepilogue".encode()
    response = raw(client, "POST", ADDRESS, body, CONTENT_TYPE)
    assert response.status_code == 201, response.content


def test_a_file_is_private_while_it_is_received(
    client: APIClient, folder: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []

    def record(*arguments: Any, **named: Any) -> Any:
        source = Path(named["arguments"]["source"])
        found.append((source.relative_to(folder).parts[:2], stat.S_IMODE(source.stat().st_mode)))
        return run_here(*arguments, **named)

    monkeypatch.setattr(uploads, "run_here", record)
    assert send(client, ("file", "copy.db", copy.read_bytes())).status_code == 201
    assert found == [((".work", "uploads"), 0o600)]


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "..\\\\..\\\\windows",
        "/etc/passwd",
        "%2e%2e%2fapp.db",
        "a\0b",
        ".lock",
        "x" * 5000,
        "&#46;&#46;&#47;app.db",
        "a/../b",
        "name with blanks \u202e gz.bd",
        "../tvarr-backup-2026-01-01T00-00-00.db.gz",
        "tvarr-backup-2026-01-01T00-00-00.db.gz/..",
    ],
)
def test_a_file_name_is_not_used_as_a_path(client: APIClient, folder: Path, copy: Path, name: str) -> None:
    """Django's parser ends at a part with very long headers, which is refused."""
    before = sorted(folder.parent.rglob("*"))
    response = send(client, ("file", name, copy.read_bytes()))
    if response.status_code == 201:
        made = response.json()["filename"]
        expected = {folder / made, folder / made.replace(".db.gz", ".meta.json"), folder / ".lock", folder / ".work"}
        assert set(folder.parent.rglob("*")) - set(before) <= expected
    else:
        assert response.status_code == 400
        assert left(folder) == []


# --- Refused ---------------------------------------------------------------------------------------------------------


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("sonarr.db", b"x")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (json.dumps({"metadata": {"export_type": "filters"}}).encode(), "an export of filters"),
        (zipped(), "a zip archive, perhaps another program's backup"),
        (b"#EXTM3U\n", "a channel list"),
        (b"\x1f\x8b damaged", "was not added"),
        (b"SQLite format 3\0" + bytes(4096), "was not added"),
    ],
)
def test_a_file_that_is_not_a_backup_is_refused_with_what_it_looks_like(
    client: APIClient, folder: Path, content: bytes, words: str
) -> None:
    sentence = refused(folder, send(client, ("file", "offered.bin", content)), 422, "upload_refused")
    assert sentence.startswith("offered.bin was not added.")
    assert words in sentence


def test_one_of_a_newer_version_is_added(client: APIClient, incoming: Path) -> None:
    newer = settled(ours(incoming / "newer.db", "0999_from_the_future"))
    body = send(client, ("file", "newer.db", newer.read_bytes())).json()
    assert (body["state"], body["checked"]["problems"]) == ("newer", [])


@pytest.mark.parametrize("meta", [b"", b"{", b"[]", b'{"format": 9}', b"\xff"])
def test_an_invalid_metadata_file_is_refused(client: APIClient, folder: Path, copy: Path, meta: bytes) -> None:
    response = send(client, ("file", "copy.db", copy.read_bytes()), ("meta", "x.meta.json", meta))
    assert "meta: " in refused(folder, response, 422, "upload_refused")


def test_the_metadata_file_of_another_backup_is_refused(client: APIClient, folder: Path, incoming: Path) -> None:
    first, second = make(incoming), make(incoming, note="x" * 400)
    archive = incoming / first.filename
    meta = json.loads((incoming / second.name.sidecar).read_bytes()) | {"checksum": "sha256:" + "0" * 64}
    response = send(client, ("file", first.filename, archive.read_bytes()), ("meta", "x", json.dumps(meta).encode()))
    refused(folder, response, 422, "upload_refused")


@pytest.mark.parametrize(
    ("parts", "pointer", "code"),
    [
        ([], "/file", "required"),
        ([("note", None, b"x")], "/file", "required"),
        ([("meta", "x", b"{}")], "/file", "required"),
        ([("file", None, b"a field")], "/file", "required"),
        ([("file", "", b"no name")], "/file", "required"),
        ([("file", "a", b"x"), ("file", "b", b"y")], "/file", "repeated"),
        ([("file", "a", b"x"), ("meta", "b", b"y"), ("meta", "c", b"z")], "/meta", "repeated"),
        ([("document", "a", b"x")], "/document", "unknown_member"),
        ([("file", "a", b"x"), ("other", "b", b"y")], "/other", "unknown_member"),
        ([("file", "a", b"x"), ("kind", None, b"manual")], "/kind", "unknown_member"),
        ([("file", "a", b"x"), ("note", None, b"a"), ("note", None, b"b")], "/note", "repeated"),
        ([("file", "a", b"x"), ("accept_broken_references", None, b"yes")], "/accept_broken_references", None),
        ([("file", "a", b"x"), ("meta", None, b"{}")], "/meta", None),
        ([("n" * 5000 + "/~", "a", b"x")], None, None),
        ([("file", "a", b"x"), ("note", None, b"a\0b")], "/note", None),
    ],
)
def test_unexpected_fields_are_refused(
    client: APIClient, folder: Path, parts: list[Part], pointer: str | None, code: str | None
) -> None:
    response = send(client, *parts)
    assert response.status_code == 400
    assert left(folder) == []
    assert len(response.content) < 1000
    if pointer is not None:
        refused(folder, response, 400, "invalid")
        (found,) = response.json()["errors"]
        assert found["pointer"] == pointer
        assert code in (None, found["code"])
    assert not Operation.objects.exists()


@pytest.mark.parametrize("note", ["x" * 501, "two\nlines"])
def test_an_invalid_note_is_refused(client: APIClient, folder: Path, copy: Path, note: str) -> None:
    response = send(client, ("file", "copy.db", copy.read_bytes()), ("note", None, note.encode()))
    refused(folder, response, 400, "note_invalid")
    assert not Operation.objects.exists()


WHOLE = form(("file", "a.db", b"content"))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (WHOLE, "multipart/form-data"),
        (WHOLE, "multipart/form-data; boundary="),
        (WHOLE, "multipart/form-data; boundary=other"),
        (WHOLE, "multipart/form-data; boundary=" + "x" * 300),
        (WHOLE, 'multipart/form-data; boundary="a\r\nb"'),
        (WHOLE[:-40], CONTENT_TYPE),
        (WHOLE[:-6], CONTENT_TYPE),
        (form(("file", "a.db", b"content"), end=""), CONTENT_TYPE),
        (form(("file", "a.db", b"content"), end=f"--{BOUNDARY}\r\n"), CONTENT_TYPE),
        (b"no form", CONTENT_TYPE),
        (b"\0" * 1000, CONTENT_TYPE),
        (f"--{BOUNDARY}--".encode(), CONTENT_TYPE),
        (form(*[(f"field-{number}", None, b"x") for number in range(2000)]), CONTENT_TYPE),
        (form(*[("file", "", b"x") for _ in range(2000)]), CONTENT_TYPE),
        (b"--two-lighthouses\r\n" + b"X: y\r\n" * 10_000 + WHOLE, CONTENT_TYPE),
    ],
)
def test_an_invalid_form_is_refused(client: APIClient, folder: Path, body: bytes, content_type: str) -> None:
    response = raw(client, "POST", ADDRESS, body, content_type)
    assert response.status_code == 400, response.content
    assert response.json()["code"] in {"parse_error", "invalid"}
    assert len(response.content) < 1000
    assert left(folder) == []
    assert not Operation.objects.exists()


@pytest.mark.parametrize("content_type", ["application/json", "application/gzip", "text/plain", "", "multipart/mixed"])
def test_another_content_type_is_refused(client: APIClient, folder: Path, content_type: str) -> None:
    refused(folder, raw(client, "POST", ADDRESS, WHOLE, content_type), 415, "unsupported_media_type")


class Untouched:
    """A body that must not be read."""

    def read(self, *_sizes: int) -> bytes:
        pytest.fail("the body was read")

    readline = read


class Broken:
    """A body that ends after some blocks, or with an exception."""

    def __init__(self, blocks: list[bytes], end: Exception | None = None) -> None:
        self._blocks = blocks
        self._end = end

    def read(self, size: int) -> bytes:
        if not self._blocks:
            if self._end is not None:
                raise self._end
            return b""
        block = self._blocks.pop(0)
        self._blocks[:0] = [block[size:]] if block[size:] else []
        return block[:size]

    def readline(self, *_sizes: int) -> bytes:
        pytest.fail("it was read by lines")


def send_body(client: APIClient, body: Any, length: int | str | None) -> Any:
    """Send an object in place of the body."""
    announced = {} if length is None else {"CONTENT_LENGTH": str(length)}
    return raw(client, "POST", ADDRESS, b"x", CONTENT_TYPE, **{"wsgi.input": body, "CONTENT_LENGTH": ""} | announced)


def test_an_upload_that_is_announced_as_too_large_is_not_read(client: APIClient, folder: Path, settings: Any) -> None:
    assert "10.7 GB" in refused(folder, send_body(client, Untouched(), 11 * 2**30), 413, "upload_too_large")


@pytest.mark.parametrize("part", ["file", "meta"])
def test_a_file_that_turns_out_to_be_too_large_is_refused(
    client: APIClient, folder: Path, settings: Any, part: str
) -> None:
    settings.UPLOAD_BYTES = 2_000_000
    response = (
        send(client, ("file", "a", b"x"), ("meta", "b", bytes(3 * 2**19 + 1)))
        if part == "meta"
        else send(client, ("file", "a", bytes(2_000_001)))
    )
    assert part in refused(folder, response, 413, "upload_too_large")


def test_a_file_at_the_limit_is_not_too_large(client: APIClient, folder: Path, settings: Any) -> None:
    settings.UPLOAD_BYTES = 2_000_000
    refused(folder, send(client, ("file", "a", bytes(2_000_000))), 422, "upload_refused")


def test_fields_that_are_too_large_are_refused(client: APIClient, folder: Path, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    refused(folder, send(client, ("note", None, bytes(1001)), ("file", "a", b"x")), 413, "request_too_large")


@pytest.mark.parametrize("length", [None, "x"])
def test_an_upload_without_a_length_is_refused(client: APIClient, folder: Path, length: str | None) -> None:
    refused(folder, send_body(client, Untouched(), length), 411, "length_required")


@pytest.mark.parametrize("end", [None, TimeoutError("timed out"), ConnectionResetError("reset")])
def test_an_interrupted_upload_leaves_nothing(client: APIClient, folder: Path, end: Exception | None) -> None:
    body = form(("file", "copy.db", bytes(3 * 2**20)))
    response = send_body(client, Broken([body[: 2 * 2**20]], end), len(body))
    refused(folder, response, 400, "upload_incomplete")
    assert not Operation.objects.exists()


def test_an_upload_that_ends_after_its_file_is_not_complete(client: APIClient, folder: Path, copy: Path) -> None:
    body = form(("file", "copy.db", copy.read_bytes()), ("note", None, b"lost"))
    cut = body.index(b"\r\n--" + BOUNDARY.encode() + b"\r\n", 100) + 6
    refused(folder, send_body(client, Broken([body[:cut]]), len(body)), 400, "upload_incomplete")


def test_without_enough_room_an_upload_is_not_read(
    client: APIClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tvarr_backup.backups.room.free_bytes", lambda _folder: 1000)
    refused(folder, send_body(client, Untouched(), 10**9), 507, "no_room")


def test_an_upload_ends_when_there_is_no_room_left(
    client: APIClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def require_room(folder: Path, needed: int, what: str) -> None:
        asked.append(needed)
        if len(asked) == 3:
            raise NoRoom("There is no room.")

    monkeypatch.setattr(uploads, "require_room", require_room)
    monkeypatch.setattr(uploads, "_BYTES_BETWEEN_ROOM_CHECKS", 2**20)
    refused(folder, send(client, ("file", "a", bytes(9 * 2**20))), 507, "no_room")
    assert asked[1:] == [0, 0]


def test_a_full_disk_ends_an_upload(client: APIClient, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "create_private", lambda _path: os.open("/dev/full", os.O_WRONLY))
    refused(folder, send(client, ("file", "a", bytes(3 * 2**20))), 507, "no_room")


# --- Other operations and users --------------------------------------------------------------------------------------


def test_an_upload_is_refused_during_an_operation(client: APIClient, folder: Path, copy: Path) -> None:
    operation = running()
    response = send(client, ("file", "copy.db", copy.read_bytes()))
    refused(folder, response, 409, "operation_running")
    assert response.json()["operation"] == operation.pk


def test_an_upload_waits_for_an_operation_that_ends_soon(
    client: APIClient, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation, slept = running(), []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            Operation.objects.filter(pk=operation.pk).update(state="succeeded")

    monkeypatch.setattr(uploads, "_LEAST_PATIENCE_SECONDS", 5)
    monkeypatch.setattr("tvarr_backup.transfer.uploads.time.sleep", sleep)
    assert send(client, ("file", "copy.db", copy.read_bytes())).status_code == 201
    assert slept == [0.5] * 3


@pytest.mark.parametrize("who", ["nobody", "wrong password", "wrong token", "viewer", "no CSRF token"])
def test_an_upload_without_permission_is_not_read(folder: Path, who: str) -> None:
    headers, status = {}, 401
    client = APIClient(enforce_csrf_checks=True)
    match who:
        case "wrong password":
            UserFactory.create(username="keeper")
            headers = {"Authorization": "Basic " + base64.b64encode(b"keeper:wrong").decode()}
        case "wrong token":
            headers = {"X-Api-Key": "wrong"}
        case "viewer":
            status, client = 403, client_of("view_backup")
        case "no CSRF token":
            status = 403
            client.force_login(UserFactory.create())
    response = raw(
        client,
        "POST",
        ADDRESS,
        b"x",
        CONTENT_TYPE,
        headers=headers,
        **{"wsgi.input": Untouched(), "CONTENT_LENGTH": "10000"},
    )
    assert response.status_code == status
    assert left(folder) == []


def test_a_browser_sends_its_token_in_the_header(folder: Path, copy: Path) -> None:
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(UserFactory.create())
    client.cookies[django_settings.CSRF_COOKIE_NAME] = token = "t" * 32
    response = send(client, ("file", "copy.db", copy.read_bytes()), headers={"X-CSRFToken": token})
    assert response.status_code == 201, response.content
    assert get_user_model().objects.get() == Operation.objects.get().requested_by


# --- A real server ---------------------------------------------------------------------------------------------------


@pytest.fixture
def up(prepared: Installation) -> Iterator[Up]:
    running = start_up(prepared, free_port())
    wait_until(running.is_complete, "it is complete", seconds=60)
    yield running
    running.process.terminate()
    running.process.wait(timeout=30)
    shutil.rmtree(prepared.data)  # pytest keeps the folders of the last runs


@pytest.fixture
def token(prepared: Installation, up: Up) -> str:
    return str(prepared.json("token", "create", "test", "--user", "admin", "--json")["token"])


def begin(up: Up, token: str, length: int, start: bytes) -> socket.socket:
    """Start an upload of this length without its end."""
    port = urlsplit(up.address).port
    assert port is not None
    client = socket.create_connection(("127.0.0.1", port), timeout=60)
    lines = [f"POST {ADDRESS} HTTP/1.1", "Host: localhost", f"X-Api-Key: {token}", f"Content-Type: {CONTENT_TYPE}"]
    client.sendall("\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode() + start)
    return client


def answer(client: socket.socket) -> tuple[int, Any]:
    response = http.client.HTTPResponse(client)
    response.begin()
    return response.status, json.loads(response.read())


def incoming_files(prepared: Installation) -> list[Path]:
    return list((prepared.data / "backups" / ".work" / "uploads").glob("*/file"))


def test_an_upload_that_is_too_large_is_answered_immediately(up: Up, token: str) -> None:
    with closing(begin(up, token, 11 * 2**30, form(("file", "a", b"x"), end=""))) as client:
        status, body = answer(client)
    assert (status, body["code"]) == (413, "upload_too_large")


def test_a_client_that_disconnects_leaves_nothing(prepared: Installation, up: Up, token: str) -> None:
    client = begin(up, token, 10**8, form(("file", "a", bytes(5 * 2**20)), end=""))
    wait_until(lambda: incoming_files(prepared), "it comes in")
    client.close()
    wait_until(lambda: not incoming_files(prepared), "it is removed")
    wait_until(lambda: not archives_open(up), "all is closed")
    assert not (prepared.data / "backups" / ".work" / "uploads").exists()
    assert "Traceback" not in up.log


def test_the_next_operation_removes_what_a_killed_server_leaves(prepared: Installation, up: Up, token: str) -> None:
    with closing(begin(up, token, 10**8, form(("file", "a", bytes(5 * 2**20)), end=""))):
        wait_until(lambda: incoming_files(prepared), "it comes in")
        server = up.program("gunicorn")
        for process in server.children():
            process.kill()
        wait_until(lambda: len(server.children()) == 2, "others take their place")
        assert incoming_files(prepared)
        prepared.ok("backup", "create")
        assert incoming_files(prepared) == []


def test_a_backup_can_be_made_during_an_upload(prepared: Installation, up: Up, token: str, tmp_path: Path) -> None:
    copy = settled(with_ballast(tvarrs(tmp_path / "copy.db"), 5))
    body = form(("file", "copy.db", copy.read_bytes()))
    half = len(body) // 2
    with closing(begin(up, token, len(body), body[:half])) as client:
        wait_until(lambda: incoming_files(prepared), "it comes in")
        prepared.ok("backup", "create")
        (kept,) = incoming_files(prepared)
        prepared.ok("backup", "recover")
        assert kept.exists()
        client.sendall(body[half:])
        status, made = answer(client)
    assert (status, made["kind"], made["table_counts"]["filters"]) == (201, "uploaded", 2)
    assert len(prepared.json("backup", "list", "--json")["backups"]) == 2


def test_concurrent_uploads_are_all_added(prepared: Installation, up: Up, token: str, tmp_path: Path) -> None:
    def upload(number: int) -> int:
        copy = tvarrs(tmp_path / f"{number}.db", f"UPDATE filters SET name = 'f{number}'")
        body = form(("file", "copy.db", settled(copy).read_bytes()))
        with closing(begin(up, token, len(body), body)) as client:
            return answer(client)[0]

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(upload, range(4))) == [201] * 4
    assert len(prepared.json("backup", "list", "--json")["backups"]) == 4


def peak(process: psutil.Process) -> int:
    """Return the peak memory of a process, in bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))


def test_a_large_upload_needs_neither_memory_nor_another_folder(
    prepared: Installation, up: Up, token: str, tmp_path: Path
) -> None:
    copy = settled(with_ballast(tvarrs(tmp_path / "copy.db"), 200))
    frame = form(("file", "copy.db", b"\r\n"))
    length = len(frame) - 2 + copy.stat().st_size
    head, tail = frame.split(b"\r\n\r\n\r\n")
    servers = up.program("gunicorn").children()
    before = {process.pid: peak(process) for process in servers}
    written = set()
    with closing(begin(up, token, length, head + b"\r\n\r\n")) as client, copy.open("rb") as file:
        while block := file.read(2**20):
            client.sendall(block)
            if file.tell() % (50 * 2**20) == 0:
                time.sleep(0.2)
                found = {Path(one.path) for process in servers for one in process.open_files()}
                written |= {path for path in found if path.exists() and path.stat().st_size > 10 * 2**20}
        client.sendall(b"\r\n" + tail)
        status, made = answer(client)
    assert (status, made["database_size"] > 200 * 2**20) == (201, True)
    assert max(peak(process) - before[process.pid] for process in servers) < 50 * 2**20
    assert {path.relative_to(prepared.data).parts[:3] for path in written} == {("backups", ".work", "uploads")}
    copy.unlink()  # pytest keeps the folders of the last runs
