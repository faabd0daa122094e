"""The drill: an installation with data is lost, and comes back from its location by the guide alone.

`DRILL_MB=1000` makes the database so much larger.
"""

from __future__ import annotations

import gzip
import os
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.backups.makers import with_ballast
from tests.installation import Installation
from tests.locations.rebuilding import KEY, add_location, copy_now, digest, identifier, run_python, save_identity
from tests.test_guides import REBUILD, follow, program
from tests.tvarr_own import build_tvarr_database
from tvarr_backup.file_types import GZIP
from tvarr_backup.locations.addresses import Address, LocationKind
from tvarr_backup.locations.stores import open_store

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
    """A location: its address with credentials, and the variables by which an empty machine gets these."""

    address: Address
    variables: dict[str, str] = field(default_factory=dict)

    def objects(self) -> dict[str, bytes]:
        """Return the objects there, by `folder/name`."""
        with open_store(self.address) as store:
            names = [f"{folder}/{one.name}" for folder in store.list_folders() for one in store.list_objects(folder)]
            return {name: b"".join(store.read(name)) for name in names}


@pytest.fixture(params=LocationKind)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    kind = LocationKind(request.param)
    address: Address = request.getfixturevalue(f"{kind}_place").address
    variables = {}
    for name, secret in address.secrets.items():
        path = tmp_path / name
        path.write_text(secret)
        path.chmod(0o600)
        variables[f"TVARR_BACKUP_LOCATION_{name.upper()}_FILE"] = str(path)
    return Place(address, variables)


def fill(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(_ROWS)


def objects_with(words: str, objects: dict[str, bytes]) -> list[str]:
    return [name for name, content in objects.items() if words.encode() in content]


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """An installation next to tvarr's own database, with rows, a user and two backups."""
    database = build_tvarr_database(tmp_path / "tvarr.db")
    fill(database)
    if megabytes := int(os.environ.get("DRILL_MB", "0")):
        with_ballast(database, megabytes)
    lost = Installation(tmp_path / "lost", {"TVARR_DATABASE_DSN": str(database)}).prepared()
    lost.ok("user", "create", "marit", "--role", "operator", stdin=f"{_PASSWORD}\n")
    lost.ok("schedule", "set", "--cron", "30 4 * * *", "--keep", "9", "--yes")
    lost.ok("backup", "create", "--note", "the last but one")
    lost.ok("backup", "create", "--note", "the last one")
    return lost


def test_everything_comes_back(
    place: Place, installation: Installation, program: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_location(installation, place.address.url, options=place.address.secrets)
    assert len(copy_now(installation)["copied"]) == 2
    tables = digest(tmp_path / "tvarr.db")
    known, own = identifier(installation), installation.data / "secret-key"
    key = own.read_text()
    shutil.rmtree(installation.data)
    for path in tmp_path.glob("tvarr.db*"):
        path.unlink()

    work = tmp_path / "empty"
    work.mkdir()
    save_identity(work / "identity.txt")
    where = {"LOCATION": place.address.url, "TVARR_DATABASE_DSN": str(work / "tvarr" / "tvarr.db")}
    new = Installation(work / "storage", where | place.variables)
    begun = time.monotonic()
    follow(REBUILD, program, work, new.variables())
    seconds = time.monotonic() - begun

    assert digest(work / "tvarr" / "tvarr.db") == tables
    assert (identifier(new), (new.data / "secret-key").read_text()) == (known, key)
    assert run_python(new, _SIGN_IN.format(password=_PASSWORD)).strip() == "marit"
    assert new.json("schedule", "show", "--json")["cron"] == "30 4 * * *"
    assert len(copy_now(new)["copied"]) == 1
    assert {name.partition("/")[0] for name in place.objects()} == {f"tvarr-backup-{known}"}
    with capsys.disabled():
        size = (work / "tvarr" / "tvarr.db").stat().st_size / 1e6
        print(f"\n{place.address.kind}: {size:.0f} MB back from nothing in {seconds:.1f} s")  # noqa: T201  # the result


def test_nothing_in_an_encrypted_location_is_plain_text(place: Place, installation: Installation) -> None:
    add_location(installation, place.address.url, options=place.address.secrets)
    copy_now(installation)
    secrets = [_MARKER, "SQLite format 3", "stream_sources", "the last one", "marit", "filters", "app.db"]
    secrets.append((installation.data / "secret-key").read_text().strip())
    objects = place.objects()
    assert {words: objects_with(words, objects) for words in secrets} == {words: [] for words in secrets}
    assert all(content[:2] != GZIP[:2] for content in objects.values())


def test_the_reference_program_decrypts_everything(place: Place, installation: Installation, tmp_path: Path) -> None:
    identity = save_identity(tmp_path / "identity.txt")
    add_location(installation, place.address.url, options=place.address.secrets)
    copy_now(installation)
    contents = {
        name: decrypted(content, identity) for name, content in place.objects().items() if name.endswith(".age")
    }
    databases = [gzip.decompress(content) for name, content in contents.items() if name.endswith(".db.gz.age")]
    assert len(databases) == 2
    for content in databases:
        (tmp_path / "decrypted.db").write_bytes(content)
        assert digest(tmp_path / "decrypted.db") == digest(tmp_path / "tvarr.db")
    (settings,) = [content for name, content in contents.items() if "settings" in name]
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "--extract", "--gzip"], input=settings, cwd=unpacked, check=True)
    assert sorted(os.listdir(unpacked)) == ["app.db", "metadata.json", "secret-key"]  # noqa: PTH208  # names
    assert (unpacked / "secret-key").read_bytes() == (installation.data / "secret-key").read_bytes()


def decrypted(content: bytes, identity: Path) -> bytes:
    command = ["age", "--decrypt", "--identity", str(identity)]
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout


def test_the_identity_is_not_on_the_server(place: Place, installation: Installation) -> None:
    add_location(installation, place.address.url, options=place.address.secrets)
    copy_now(installation)
    files = {str(path): path.read_bytes() for path in installation.data.rglob("*") if path.is_file()}
    assert objects_with(KEY.identity, files | place.objects()) == []
