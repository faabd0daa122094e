"""The upload page: files are received straight into the backup folder, and refused ones leave nothing behind."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.test import Client
from django.urls import reverse

from tests.backups.makers import changed, died_in_wal_mode, settled, tvarrs
from tests.web.backup_parts import administrator, client_of, make, messages_on, present, text_of
from tvarr_backup import conf
from tvarr_backup.backups.catalogue import find_backup, protect_backup, read_folder
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.errors import NoRoom
from tvarr_backup.operations.models import Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.report import code_refused_in
from tvarr_backup.operations.track import create_operation
from tvarr_backup.transfer import uploads

pytestmark = pytest.mark.django_db

HERE = "/backups/upload/"
BOUNDARY = "two-lighthouses"
EXPORT = b'{"version": "1.0", "export_type": "filters", "items": []}'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    return prepare_folder(conf.backup_path())


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_LEAST_PATIENCE_SECONDS", 0)


@pytest.fixture(autouse=True)
def _nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of a form is kept in memory."""
    monkeypatch.setattr(MemoryFileUploadHandler, "new_file", lambda *_: pytest.fail("the file was received elsewhere"))


@pytest.fixture
def client(db: None) -> Client:
    return administrator()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return settled(tvarrs(tmp_path / "copy.db"))


def send(client: Client, content: bytes = b"", name: str = "copy.db", **fields: Any) -> Any:
    return client.post(HERE, {**fields, "file": SimpleUploadedFile(name, content)})


def left(folder: Path) -> list[str]:
    """Working files in the backup folder."""
    work = folder / ".work"
    return [str(path) for path in work.rglob("*")] if work.exists() else []


def refusal(client: Client, folder: Path, response: Any) -> str:
    """The text of the page after a refused upload, which has saved nothing."""
    text = text_of(client.get(response["Location"]))
    assert present(folder) == []
    assert left(folder) == []
    return text


# --- Accepted --------------------------------------------------------------------------------------------------------


def test_a_backup_with_its_description_and_a_note_is_taken_in(client: Client, folder: Path, tmp_path: Path) -> None:
    incoming = prepare_folder(tmp_path / "incoming")
    theirs = make(incoming, note="from the attic")
    meta = SimpleUploadedFile("x.meta.json", (incoming / theirs.name.sidecar).read_bytes())
    response = send(client, (incoming / theirs.filename).read_bytes(), theirs.filename, meta=meta, note="mine")
    taken = find_backup(folder, theirs.filename).sidecar
    assert (taken.note, taken.protected, taken.imported) == ("mine", False, True)
    text = text_of(client.get(response["Location"]))
    assert "Uploaded" in text
    assert theirs.filename in text
    operation = Operation.objects.get()
    assert (operation.kind, operation.state, operation.origin) == ("adopt", "succeeded", "web")


def test_a_download_brings_its_metadata_back(client: Client, folder: Path, tmp_path: Path, settings: Any) -> None:
    made = protect_backup(folder, make(folder, note="last good one").filename, protected=True)
    downloaded: Any = client.get(reverse("download-backup", args=[made.filename]))
    content = b"".join(downloaded.streaming_content)
    settings.BACKUP_DIRECTORY = tmp_path / "fresh"
    send(client, content, "renamed.gz")
    there = find_backup(prepare_folder(conf.backup_path()), made.filename)
    for member in ("note", "tvarr_version", "created_at", "protected", "protected_until", "checksum"):
        assert getattr(there.sidecar, member) == getattr(made.sidecar, member), member
    text = text_of(client.get(reverse("backup", args=[made.filename])))
    assert "Uploaded (manual)" in text


def test_a_backup_that_is_present_is_named(client: Client, folder: Path) -> None:
    made = make(folder)
    downloaded: Any = client.get(reverse("download-backup", args=[made.filename]))
    send(client, b"".join(downloaded.streaming_content), "again.gz")
    operation = Operation.objects.get()
    assert (operation.error_code, operation.state) == ("backup_present", "failed")
    assert present(folder) == [made.filename]


def test_a_plain_copy_is_taken_in(client: Client, folder: Path, copy: Path) -> None:
    send(client, copy.read_bytes())
    assert len(present(folder)) == 1
    assert left(folder) == []


def test_a_script_is_told_where_to_go(client: Client, copy: Path) -> None:
    form = {"file": SimpleUploadedFile("copy.db", copy.read_bytes())}
    response = client.post(HERE, form, headers={"HX-Request": "true"})
    assert response.status_code == 200
    assert response["HX-Redirect"] == f"/operations/{Operation.objects.get().pk}/"


def test_broken_references_are_taken_in_where_that_is_ticked(client: Client, folder: Path, copy: Path) -> None:
    changed(copy, "UPDATE channels SET source_id = '01JZZZZZZZZZZZZZZZZZZZZZZZ'")
    assert "broken references" in refusal(client, folder, send(client, copy.read_bytes()))
    send(client, copy.read_bytes(), accept_broken_references="true")
    assert len(present(folder)) == 1


def test_the_journal_of_a_database_is_applied(client: Client, folder: Path, tmp_path: Path) -> None:
    source = died_in_wal_mode(tmp_path / "tvarr.db")
    wal = SimpleUploadedFile("tvarr.db-wal", source.with_name("tvarr.db-wal").read_bytes())
    response = send(client, source.read_bytes(), "tvarr.db", wal=wal)
    taken = find_backup(folder, present(folder)[0]).sidecar
    assert (taken.table_counts["filters"], taken.wal_missing) == (3, False)
    assert "missing" not in text_of(client.get(response["Location"]))
    assert left(folder) == []


def test_without_its_journal_the_page_warns_of_what_may_be_missing(
    client: Client, folder: Path, tmp_path: Path
) -> None:
    response = send(client, died_in_wal_mode(tmp_path / "tvarr.db").read_bytes(), "tvarr.db")
    assert "came without its -wal file" in text_of(client.get(response["Location"]))
    page = text_of(client.get(f"/backups/{present(folder)[0]}/"))
    assert "The last verification found warnings:" in page
    assert "the newest changes are missing" in page


def test_the_name_that_a_browser_has_changed_tells_the_date(client: Client, folder: Path, copy: Path) -> None:
    send(client, copy.read_bytes(), "tvarr-backup-2026-03-02T02-00-00 (1).db")
    assert present(folder) == ["tvarr-backup-2026-03-02T02-00-00.db.gz"]


# --- Refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (EXPORT, "filters.json", "This file is not a backup. It looks like an export of filters"),
        (b"\x89PNG\r\n\x1a\n" + bytes(500), "holiday.png", "This file is not a backup. It looks like an image"),
        (b"", "empty.db.gz", "This file is not a backup. It looks like an empty file"),
        (b"\x1f\x8b\x08" + bytes(100), "half.db.gz", "half.db.gz was not added."),
        (b"#EXTM3U\n", "list.m3u", "a channel list"),
    ],
)
def test_what_is_no_backup_is_refused_in_its_own_words(
    client: Client, folder: Path, content: bytes, name: str, words: str
) -> None:
    text = refusal(client, folder, send(client, content, name))
    assert words in text
    assert "Upload rejected" in text
    assert "Your existing backups are unchanged." in text


def test_one_with_a_view_needs_its_box(client: Client, folder: Path, copy: Path) -> None:
    changed(copy, "CREATE VIEW channel_count AS SELECT 1")
    assert 'contains the view "channel_count"' in refusal(client, folder, send(client, copy.read_bytes()))
    (view,) = code_refused_in(Operation.objects.get())
    assert view["sql"] == "CREATE VIEW channel_count AS SELECT 1"
    send(client, copy.read_bytes(), **{f"accept_code_{view['identity']}": "true"})
    (added,) = read_folder(folder).backups
    assert added.sidecar.accepted_code == ("view “channel_count”",)


def test_the_page_shows_the_sql_of_what_was_refused_with_a_box_beneath_each(client: Client, copy: Path) -> None:
    changed(
        copy,
        "CREATE VIEW channel_count AS SELECT 1",
        "CREATE VIEW <script> AS SELECT '<b>'".replace("<script>", '"<script>"'),
    )
    answer = client.get(send(client, copy.read_bytes())["Location"])
    refused = Operation.objects.get()
    assert "CREATE VIEW channel_count AS SELECT 1" in text_of(answer)
    page = client.get(HERE, {"refused": refused.pk})
    for view in code_refused_in(refused):
        assert f'name="accept_code_{view["identity"]}"'.encode() in page.content
    assert f'href="{HERE}?refused={refused.pk}"'.encode() in answer.content
    assert b"<b>" not in page.content


def test_a_box_accepts_only_the_sql_that_it_was_beneath(client: Client, folder: Path, copy: Path) -> None:
    changed(copy, "CREATE VIEW channel_count AS SELECT 1")
    send(client, copy.read_bytes())
    (view,) = code_refused_in(Operation.objects.get())
    changed(copy, "DROP VIEW channel_count", "CREATE VIEW channel_count AS SELECT 2")
    response = send(client, copy.read_bytes(), **{f"accept_code_{view['identity']}": "true"})
    assert 'contains the view "channel_count"' in refusal(client, folder, response)


def test_only_administrators_accept_code(folder: Path, copy: Path) -> None:
    client = client_of("create_backup", "view_operation", "view_backup")
    changed(copy, "CREATE VIEW channel_count AS SELECT 1")
    send(client, copy.read_bytes())
    refused = Operation.objects.get()
    (view,) = code_refused_in(refused)
    assert b"accept_code_" not in client.get(HERE, {"refused": refused.pk}).content
    response = send(client, copy.read_bytes(), **{f"accept_code_{view['identity']}": "true"})
    assert "requires the right to restore backups" in messages_on(client, response)
    assert present(folder) == []


def test_a_refusal_without_its_operation_shows_the_plain_form(client: Client) -> None:
    for given in ("nonsense", "01ZZZZZZZZZZZZZZZZZZZZZZZZ", "../x", ""):
        assert client.get(HERE, {"refused": given}).status_code == 200


def test_one_of_a_newer_version_is_added(client: Client, folder: Path, copy: Path) -> None:
    changed(copy, "UPDATE schema_migrations SET version = '999' WHERE version = '029'")
    send(client, copy.read_bytes())
    (added,) = read_folder(folder).backups
    assert added.sidecar.schema == "tvarr 999"


def test_one_that_is_damaged_is_refused(client: Client, folder: Path, tmp_path: Path) -> None:
    incoming = prepare_folder(tmp_path / "incoming")
    theirs = make(incoming)
    content = (incoming / theirs.filename).read_bytes()
    assert "was not added" in refusal(client, folder, send(client, content[:-100], theirs.filename))


def test_one_that_is_too_large_is_refused(client: Client, folder: Path, settings: Any) -> None:
    settings.UPLOAD_BYTES = 1000
    response = send(client, bytes(2000))
    assert response["Location"] == HERE
    assert "larger than the limit of 1.0 kB" in messages_on(client, response)
    settings.UPLOAD_BYTES = 1_000_000
    response = send(client, bytes(4_000_000))
    assert "The upload is larger than the limit of 1.0 MB" in refusal(client, folder, response)


def test_without_room_it_is_refused(client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path, needed: int, what: str) -> None:
        raise NoRoom(f"{what} needs about 340.0 MB; there are 120.0 MB.")

    monkeypatch.setattr(uploads, "require_room", full)
    assert "The upload needs about 340.0 MB; there are 120.0 MB." in refusal(client, folder, send(client, b"x"))


def test_a_file_is_required(client: Client, folder: Path) -> None:
    response = client.post(HERE, {"note": "nothing"})
    assert "No file was selected. Nothing was saved. Select a file." in refusal(client, folder, response)


def test_a_note_that_is_too_long_is_refused(client: Client, folder: Path, copy: Path) -> None:
    response = send(client, copy.read_bytes(), note="x" * 501)
    assert "Expected a note of at most 500 characters, got 501 characters." in refusal(client, folder, response)


def test_a_form_that_breaks_off_is_refused(client: Client, folder: Path) -> None:
    body = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nhalf'.encode()
    response = client.generic("POST", HERE, body, f"multipart/form-data; boundary={BOUNDARY}")
    assert "its end is missing" in refusal(client, folder, response)


def test_what_is_no_form_with_a_file_is_refused(client: Client, folder: Path) -> None:
    response = client.post(HERE, "note=x", content_type="application/x-www-form-urlencoded")
    assert "Expected a form of the type multipart/form-data." in refusal(client, folder, response)


def test_while_something_runs_it_is_refused(client: Client, folder: Path, copy: Path) -> None:
    create_operation(OperationKind.BACKUP, origin=Origin.COMMAND, state=OperationState.RUNNING)
    assert "A backup has been running since" in refusal(client, folder, send(client, copy.read_bytes()))


def test_the_page_names_the_limit(client: Client, settings: Any) -> None:
    settings.UPLOAD_BYTES = 12_300_000
    assert "At most 12.3 MB." in text_of(client.get(HERE))


# --- Before anything is read -----------------------------------------------------------------------------------------


class Untouched(io.BytesIO):
    """A body that must not be read any further than the token may reach."""

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert 0 <= size <= 1024 - self.tell(), "the file was read"
        return super().read(size)


def form(token: str) -> bytes:
    """As browsers send it, the token first."""
    return (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="csrfmiddlewaretoken"\r\n\r\n{token}\r\n'
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="x.db"\r\n\r\n'
    ).encode()


def raw(client: Client, body: io.BytesIO, size: int, **more: Any) -> Any:
    more |= {"CONTENT_TYPE": f"multipart/form-data; boundary={BOUNDARY}", "CONTENT_LENGTH": str(size)}
    return client.request(REQUEST_METHOD="POST", PATH_INFO=HERE, **{"wsgi.input": body, **more})


@pytest.mark.parametrize("token", ["", "wrong", "x" * 64])
def test_without_the_right_token_no_file_is_read(folder: Path, token: str) -> None:
    client = administrator(enforce_csrf_checks=True)
    client.get(HERE)
    content = form(token) + bytes(5000)
    assert raw(client, Untouched(content), len(content)).status_code == 403
    assert left(folder) == []


def test_the_token_of_the_form_or_of_a_header_is_enough(folder: Path, copy: Path) -> None:
    client = administrator(enforce_csrf_checks=True)
    token = client.get(HERE).context["csrf_token"]
    for sent, header in ((str(token), {}), ("", {"HTTP_X_CSRFTOKEN": str(token)})):
        content = form(sent) + copy.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode()
        response = raw(client, io.BytesIO(content), len(content), **header)
        assert response.status_code == 302, response.content
        changed(copy, "UPDATE filters SET name = 'newer'")
    assert len(present(folder)) == 2


def test_of_a_stranger_or_who_may_not_nothing_is_read(folder: Path) -> None:
    content = form("any") + bytes(5000)

    class Closed(io.BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            raise AssertionError("it was read")

    assert raw(Client(), Closed(content), len(content))["Location"].startswith("/sign-in/")
    assert raw(client_of("view_backup"), Closed(content), len(content)).status_code == 403
