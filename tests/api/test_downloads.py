"""Downloads of archives: whole, in ranges, resumed, and to clients that disconnect."""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest
from rest_framework.test import APIClient

from tests.api.backup_parts import BACKUPS, archives_open, client_of, make, problem
from tests.backups.makers import settled, tvarrs, tvarrs_new_backup, with_ballast
from tests.installation import Installation
from tests.processes import wait_until
from tests.ups import Up, free_port, start_up
from tvarr_backup import conf
from tvarr_backup.backups.archive_header import HEADER_BYTES, add_metadata, split_metadata
from tvarr_backup.backups.catalogue import Backup, delete_backup, find_backup, protect_backup
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.backups.sidecar import decode_sidecar

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    return prepare_folder(conf.backup_path())


@pytest.fixture
def backup(folder: Path) -> Backup:
    return make(folder)


@pytest.fixture
def stored(folder: Path, backup: Backup) -> bytes:
    return (folder / backup.filename).read_bytes()


def with_metadata(stored: bytes, backup: Backup) -> bytes:
    return add_metadata(stored[:HEADER_BYTES], backup.sidecar) + stored[HEADER_BYTES:]


@pytest.fixture
def content(stored: bytes, backup: Backup) -> bytes:
    """The stored archive with the metadata in its header."""
    return with_metadata(stored, backup)


@pytest.fixture
def etag(client: APIClient, address: str) -> str:
    return str(client.head(address)["ETag"]).strip('"')


@pytest.fixture
def address(backup: Backup) -> str:
    return f"{BACKUPS}/{backup.filename}/download"


@pytest.fixture
def client(db: None) -> APIClient:
    return client_of("download_backup")


def received(response: Any) -> bytes:
    assert response.streaming
    return bytes(response.getvalue())


# --- Whole -----------------------------------------------------------------------------------------------------------


def test_a_download_is_the_archive_with_its_metadata(
    client: APIClient, address: str, backup: Backup, content: bytes
) -> None:
    response = client.get(address)
    assert response.status_code == 200
    assert received(response) == content
    assert response["Content-Type"] == "application/gzip"
    assert response["Content-Length"] == str(len(content))
    assert response["Content-Disposition"] == f'attachment; filename="{backup.filename}"'
    assert response["Accept-Ranges"] == "bytes"


def test_the_stored_archive_is_in_it(client: APIClient, address: str, backup: Backup, stored: bytes) -> None:
    archive, metadata = split_metadata(io.BytesIO(received(client.get(address))))
    assert archive.read(2**24) == stored
    assert metadata is not None
    assert decode_sidecar(metadata) == backup.sidecar


def test_one_of_tvarrs_is_sent_as_it_is(client: APIClient, folder: Path, tmp_path: Path) -> None:
    archive = tvarrs_new_backup(folder, settled(tvarrs(tmp_path / "copy.db")))
    assert received(client.get(f"{BACKUPS}/{archive.name}/download")) == archive.read_bytes()


def test_head_has_the_headers_of_the_archive(client: APIClient, address: str, content: bytes) -> None:
    response = client.head(address, headers={"Range": "bytes=0-1"})
    assert (response.status_code, response["Content-Length"], response.content) == (200, str(len(content)), b"")
    assert response["Accept-Ranges"] == "bytes"


def test_accept_selects_the_archive_or_its_metadata(address: str, content: bytes, backup: Backup) -> None:
    own = address.removesuffix("/download")
    client = client_of("view_backup", "download_backup")
    assert received(client.get(own, headers={"Accept": "application/gzip"})) == content
    assert client.get(own, headers={"Accept": "application/json"}).json()["filename"] == backup.filename
    assert client.get(own).json()["filename"] == backup.filename


def test_an_archive_by_accept_requires_the_permission_to_download(address: str) -> None:
    response = client_of("view_backup").get(address.removesuffix("/download"), headers={"Accept": "application/gzip"})
    problem(response, 403, "permission_denied")


@pytest.mark.parametrize("accept", ["text/html,*/*;q=0.8", "application/octet-stream", "application/gzip", "x"])
def test_a_download_ignores_accept(client: APIClient, address: str, content: bytes, accept: str) -> None:
    assert received(client.get(address, headers={"Accept": accept})) == content


def test_an_unsupported_accept_is_refused_in_json(address: str) -> None:
    response = client_of("view_backup").get(address.removesuffix("/download"), headers={"Accept": "image/png"})
    problem(response, 406, "not_acceptable")


def test_a_deletion_does_not_end_a_running_download(
    client: APIClient, address: str, content: bytes, folder: Path, backup: Backup
) -> None:
    response = client.get(address)
    delete_backup(folder, backup.filename)
    assert received(response) == content


def test_an_archive_that_is_deleted_before_it_is_opened_is_not_found(
    client: APIClient, address: str, folder: Path, backup: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_folder: Path, _filename: str) -> Backup:
        (folder / backup.filename).unlink()
        return backup

    monkeypatch.setattr("tvarr_backup.operations.actions.find_backup", gone)
    problem(client.get(address), 404, "backup_not_found")


def test_a_symbolic_link_is_not_followed(
    client: APIClient, address: str, folder: Path, backup: Backup, stored: bytes
) -> None:
    (folder / "elsewhere").write_bytes(stored)
    (folder / backup.filename).unlink()
    (folder / backup.filename).symlink_to(folder / "elsewhere")
    problem(client.get(address), 409, "backup_broken")


def test_a_truncated_archive_ends_the_connection(client: APIClient, address: str, folder: Path, backup: Backup) -> None:
    response = client.get(address)
    with (folder / backup.filename).open("r+b") as file:
        file.truncate(100)
    with pytest.raises(OSError, match="became shorter while it was being sent"):
        received(response)


# --- Entity tags -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tags", ['"{}"', 'W/"{}"', '"other", "{}"', "*"])
@pytest.mark.parametrize("method", ["get", "head"])
def test_an_unchanged_archive_is_not_sent_again(
    client: APIClient, address: str, etag: str, tags: str, method: str
) -> None:
    response = getattr(client, method)(address, headers={"If-None-Match": tags.format(etag)})
    assert (response.status_code, response.content, response["ETag"]) == (304, b"", f'"{etag}"')


@pytest.mark.parametrize("tags", ['"other"', "nonsense", ""])
def test_an_archive_with_another_tag_is_sent(client: APIClient, address: str, content: bytes, tags: str) -> None:
    assert received(client.get(address, headers={"If-None-Match": tags})) == content


def test_the_tag_changes_with_the_metadata(
    client: APIClient, address: str, etag: str, folder: Path, backup: Backup
) -> None:
    protect_backup(folder, backup.filename, note="other")
    response = client.get(address, headers={"Range": "bytes=5-9", "If-Range": f'"{etag}"'})
    assert response.status_code == 200
    assert response["ETag"] != f'"{etag}"'
    received(response)


@pytest.mark.parametrize(("tags", "status"), [('"{}"', 200), ("*", 200), ('W/"{}"', 412), ('"other"', 412)])
def test_if_match_must_name_the_archive(client: APIClient, address: str, etag: str, tags: str, status: int) -> None:
    response = client.get(address, headers={"If-Match": tags.format(etag)})
    assert response.status_code == status
    if status == 412:
        problem(response, 412, "precondition_failed")
    response.close()


# --- Ranges ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=100-", 100, -1),
        ("bytes=-1", -1, -1),
        ("bytes=-100", -100, -1),
        ("bytes=0-", 0, -1),
        ("bytes=5-99999999999", 5, -1),
        ("bytes=5-" + "9" * 999, 5, -1),
        ("bytes=-99999999999", 0, -1),
        ("BYTES=1-2", 1, 2),
        ("bytes= 1-2 ", 1, 2),
        ("bytes=0001-0002", 1, 2),
    ],
)
def test_a_range_is_sent(client: APIClient, address: str, content: bytes, asked: str, first: int, last: int) -> None:
    size = len(content)
    first, last = first % size, last % size
    response = client.get(address, headers={"Range": asked})
    assert response.status_code == 206
    assert received(response) == content[first : last + 1]
    assert response["Content-Range"] == f"bytes {first}-{last}/{size}"
    assert response["Content-Length"] == str(last - first + 1)
    assert response["ETag"]


@pytest.mark.parametrize("asked", ["bytes={size}-", "bytes={size}-{size}", "bytes=99999999999-", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused(client: APIClient, address: str, content: bytes, asked: str) -> None:
    response = client.get(address, headers={"Range": asked.format(size=len(content))})
    assert str(len(content)) in problem(response, 416, "range_not_satisfiable")
    assert response["Content-Range"] == f"bytes */{len(content)}"


@pytest.mark.parametrize(
    "asked",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=9-1",
        "bytes=a-b",
        "bytes=1-2,5-6",
        "bytes=1--2",
        "bytes=+1-2",
        "bytes=1.0-2",
        "bytes=0x1-0x2",
        "bytes=٣-٤",
        "bytes=" + "9" * 2000 + "-",
        "lines=1-2",
        "bytes 1-2",
    ],
)
def test_several_or_invalid_ranges_are_ignored(client: APIClient, address: str, content: bytes, asked: str) -> None:
    response = client.get(address, headers={"Range": asked})
    assert (response.status_code, received(response)) == (200, content)
    assert "Content-Range" not in response


@pytest.mark.parametrize(("condition", "status"), [('"{}"', 206), ('"other"', 200), ('W/"{}"', 200), ("x", 200)])
def test_if_range_of_another_archive_returns_the_whole_archive(
    client: APIClient, address: str, etag: str, condition: str, status: int
) -> None:
    headers = {"Range": "bytes=5-9", "If-Range": condition.format(etag)}
    response = client.get(address, headers=headers)
    assert response.status_code == status
    received(response)


def test_ranges_add_up_to_the_archive(client: APIClient, address: str, content: bytes) -> None:
    random, got = Random(1), b""
    while len(got) < len(content):
        step = random.randrange(1, len(content))
        response = client.get(address, headers={"Range": f"bytes={len(got)}-{len(got) + step}"})
        got += received(response)
    assert got == content


# --- A real server ---------------------------------------------------------------------------------------------------


@pytest.fixture
def up(prepared: Installation) -> Iterator[Up]:
    with_ballast(prepared.data / "tvarr.db", 30)
    prepared.ok("backup", "create")
    running = start_up(prepared, free_port())
    wait_until(running.is_complete, "it is complete", seconds=60)
    yield running
    running.process.terminate()
    running.process.wait(timeout=30)


def test_a_client_that_disconnects_leaves_no_open_file(prepared: Installation, up: Up) -> None:
    token = prepared.json("token", "create", "test", "--user", "admin", "--json")["token"]
    (archive,) = (prepared.data / "backups").glob("*.db.gz")
    content = with_metadata(archive.read_bytes(), find_backup(archive.parent, archive.name))
    lines = [f"GET {BACKUPS}/{archive.name}/download HTTP/1.1", "Host: localhost", f"X-Api-Key: {token}", "", ""]
    port = urlsplit(up.address).port
    assert port is not None

    def begin() -> socket.socket:
        client = socket.create_connection(("127.0.0.1", port), timeout=20)
        client.sendall("\r\n".join(lines).encode())
        assert client.recv(12) == b"HTTP/1.1 200"
        return client

    clients = [begin() for _ in range(4)]
    wait_until(lambda: len(archives_open(up)) == 4, "all are being sent")
    archive.unlink()
    for client in clients[1:]:
        client.close()
    wait_until(lambda: len(archives_open(up)) == 1, "three are closed")
    got = b""
    with closing(clients[0]) as last:
        while len(got) < len(content):
            got += last.recv(2**20)
    assert got.endswith(content[-1000:])
    wait_until(lambda: archives_open(up) == [], "the last is closed")
    assert up.answers()
    assert "Traceback" not in up.log


def test_an_interrupted_download_is_resumed(prepared: Installation, up: Up) -> None:
    token = prepared.json("token", "create", "test", "--user", "admin", "--json")["token"]
    (archive,) = (prepared.data / "backups").glob("*.db.gz")
    content = with_metadata(archive.read_bytes(), find_backup(archive.parent, archive.name))
    port = urlsplit(up.address).port
    assert port is not None

    def ask(server: http.client.HTTPConnection, **headers: str) -> http.client.HTTPResponse:
        server.request("GET", f"{BACKUPS}/{archive.name}/download", headers={"X-Api-Key": token, **headers})
        return server.getresponse()

    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as server, ask(server) as first:
        got, etag = first.read(10_000_000), str(first.headers["ETag"])
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as server:
        second = ask(server, **{"Range": f"bytes={len(got)}-", "If-Range": etag})
        assert second.status == 206
        assert got + second.read() == content
