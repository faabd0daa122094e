"""The drill: an installation with data is lost, and comes back from its location by the guide alone."""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.installation import Installation
from tests.locations.rebuilding import KEY, add_location, copy_now, dump, identifier, run_python, save_identity
from tests.test_guides import REBUILD, follow, program
from tests.tvarr_own import build_tvarr_database
from tvarr_backup.file_types import GZIP
from tvarr_backup.locations.addresses import LocationKind

__all__ = ["program"]
pytestmark = pytest.mark.long

_MARKER = "Harbour Sports of the drill"
_PASSWORD = "correct horse battery"
_ROWS = f"""
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
    INSERT INTO channels (id, created_at, updated_at, source_id, ext_id, channel_name, stream_url)
    SELECT printf('01KXQ3V7E8R9T0Y1Z2A3B%05d', i), '2026-11-01 10:00:00', '2026-11-01 10:00:00',
        (SELECT id FROM stream_sources LIMIT 1), i, '{_MARKER} ' || i, 'http://example.com/' || i FROM n;
    UPDATE filters SET name = '{_MARKER}' WHERE rowid = 1;
"""
_SIGN_IN = """
from django.contrib.auth import authenticate
from django.test import RequestFactory
print(authenticate(RequestFactory().get("/"), username="marit", password="{password}"))
"""


@dataclass(frozen=True)
class Place:
    """A location: its URL, and the folder in which its server keeps the objects."""

    url: str
    folder: Path


@contextmanager
def folder_place(path: Path) -> Iterator[Place]:
    path.mkdir()
    yield Place(f"folder:{path}", path)


PLACES = {LocationKind.FOLDER: folder_place}


def fill(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(_ROWS)


def files_with(folder: Path, words: bytes) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and words in path.read_bytes()]


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """An installation next to tvarr's own database, with rows, a user and two backups."""
    database = build_tvarr_database(tmp_path / "tvarr.db")
    fill(database)
    lost = Installation(tmp_path / "lost", {"TVARR_DATABASE_DSN": str(database)}).prepared()
    lost.ok("user", "create", "marit", "--role", "operator", stdin=f"{_PASSWORD}\n")
    lost.ok("schedule", "set", "--cron", "30 4 * * *", "--keep", "9", "--yes")
    lost.ok("backup", "create", "--note", "the last but one")
    lost.ok("backup", "create", "--note", "the last one")
    return lost


@pytest.mark.parametrize("kind", PLACES)
def test_everything_comes_back(
    kind: LocationKind, installation: Installation, program: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with PLACES[kind](tmp_path / "away") as place:
        add_location(installation, place.url)
        assert len(copy_now(installation)["copied"]) == 2
        tables = dump(tmp_path / "tvarr.db")
        known, own = identifier(installation), installation.data / "secret-key"
        key = own.read_text()
        shutil.rmtree(installation.data)
        for path in tmp_path.glob("tvarr.db*"):
            path.unlink()

        work = tmp_path / "empty"
        work.mkdir()
        save_identity(work / "identity.txt")
        new = Installation(
            work / "storage", {"LOCATION": place.url, "TVARR_DATABASE_DSN": str(work / "tvarr" / "tvarr.db")}
        )
        begun = time.monotonic()
        follow(REBUILD, program, work, new.variables())
        seconds = time.monotonic() - begun

        assert dump(work / "tvarr" / "tvarr.db") == tables
        assert (identifier(new), (new.data / "secret-key").read_text()) == (known, key)
        assert run_python(new, _SIGN_IN.format(password=_PASSWORD)).strip() == "marit"
        assert new.json("schedule", "show", "--json")["cron"] == "30 4 * * *"
        assert len(copy_now(new)["copied"]) == 1
        assert [path.name for path in place.folder.iterdir()] == [f"tvarr-backup-{known}"]
    with capsys.disabled():
        print(f"\n{kind}: back from nothing in {seconds:.1f} s")  # noqa: T201  # the result of the drill


@pytest.mark.parametrize("kind", PLACES)
def test_nothing_in_an_encrypted_location_is_plain_text(
    kind: LocationKind, installation: Installation, tmp_path: Path
) -> None:
    with PLACES[kind](tmp_path / "away") as place:
        add_location(installation, place.url)
        copy_now(installation)
        secrets = [_MARKER, "SQLite format 3", "stream_sources", "the last one", "marit", "filters", "app.db"]
        secrets.append((installation.data / "secret-key").read_text().strip())
        assert {words: files_with(place.folder, words.encode()) for words in secrets} == {
            words: [] for words in secrets
        }
        starts = [path.read_bytes()[:2] for path in place.folder.rglob("*") if path.is_file()]
    assert GZIP[:2] not in starts


@pytest.mark.parametrize("kind", PLACES)
def test_the_reference_program_decrypts_everything(
    kind: LocationKind, installation: Installation, tmp_path: Path
) -> None:
    identity = save_identity(tmp_path / "identity.txt")
    with PLACES[kind](tmp_path / "away") as place:
        add_location(installation, place.url)
        copy_now(installation)
        encrypted = sorted(place.folder.rglob("*.age"))
    contents = {path.name: decrypted(path, identity) for path in encrypted}
    databases = [gzip.decompress(content) for name, content in contents.items() if name.endswith(".db.gz.age")]
    assert len(databases) == 2
    for content in databases:
        (tmp_path / "decrypted.db").write_bytes(content)
        assert dump(tmp_path / "decrypted.db") == dump(tmp_path / "tvarr.db")
    (settings,) = [content for name, content in contents.items() if "settings" in name]
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "--extract", "--gzip"], input=settings, cwd=unpacked, check=True)
    assert sorted(os.listdir(unpacked)) == ["app.db", "metadata.json", "secret-key"]  # noqa: PTH208  # names
    assert (unpacked / "secret-key").read_bytes() == (installation.data / "secret-key").read_bytes()


def decrypted(path: Path, identity: Path) -> bytes:
    command = ["age", "--decrypt", "--identity", str(identity), str(path)]
    return subprocess.run(command, capture_output=True, check=True).stdout


def test_the_identity_is_not_on_the_server(installation: Installation, tmp_path: Path) -> None:
    with folder_place(tmp_path / "away") as place:
        add_location(installation, place.url)
        copy_now(installation)
    assert files_with(tmp_path, KEY.identity.encode()) == []
