"""The world of a cell: tvarr's database, app.db and a backup folder with a history."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connections
from django.db.utils import load_backend
from django.test import Client

import config.settings as real_settings
from tests.matrix.apart import apart
from tests.matrix.entrances import Done, command
from tests.tvarr_own import FILTER_ID, MAPPING_ID, PROFILE_ID, RULE_ID, build_tvarr_database
from tvarr_backup.backups.sidecar import BackupKind, Sidecar, encode_sidecar
from tvarr_backup.operations.process import this_process

KINDS = {
    "filters": FILTER_ID,
    "data_mapping_rules": MAPPING_ID,
    "client_detection_rules": RULE_ID,
    "encoding_profiles": PROFILE_ID,
}
"""Each kind, with the id of a row that a user has made."""

Contents = Mapping[str, list[tuple[Any, ...]]] | str
"""The rows of each table; a checksum if SQLite cannot read the file, and empty if there is none."""


@dataclass
class World:
    """The files of a cell, and what is known about them."""

    root: Path
    manual: str = ""
    """A backup made here, with other contents than the live database."""
    safety: str = ""
    """The safety backup of a restore."""
    scheduled: tuple[str, ...] = ()
    """Automatic backups, oldest first; in a cell, retention keeps one."""
    session: str = ""
    known: dict[str, Contents] = field(default_factory=dict)
    """The contents of each backup."""
    target: str = ""
    """The backup that is verified and restored: the manual one, or one made in the state."""
    elsewhere: str = "elsewhere.db"
    """A copy of a database that a user wants to add."""
    server: str = ""
    """The address of tvarr's database if it is on PostgreSQL."""
    retention: int = 100
    """How many automatic backups are kept."""
    patience: float = 0.4
    """How many seconds to wait for a locked database."""
    wal_bytes: int = 8 * 2**20
    """The size of a large write-ahead log."""
    is_on_real_disks: bool = False
    """Whether to mount disks for states that can also be created without."""
    backups: int = 300
    """How many "thousands of backups" are."""

    @property
    def live(self) -> Path:
        return self.root / "tvarr" / "tvarr.db"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def app(self) -> Path:
        return self.data / "app.db"

    @property
    def folder(self) -> Path:
        return self.root / "disk" / "backups"

    @property
    def names(self) -> set[str]:
        return set(self.known)

    def copy_to(self, root: Path) -> World:
        """Copy the world to another place, with the paths that app.db has recorded."""
        shutil.copytree(self.root, root)
        with closing(sqlite3.connect(root / "data" / "app.db")) as connection, connection:
            connection.execute(
                "UPDATE operations_operation SET arguments = replace(arguments, ?, ?), database = replace(database, "
                "?, ?)",
                (str(self.root), str(root)) * 2,
            )
        return replace(self, root=root, known=dict(self.known), retention=1)

    def enter(self) -> None:
        """Configure this process for the installation in this world."""
        os.environ |= {
            "TVARR_STORAGE_BASE_DIR": str(self.data),
            "DATABASE_URL": f"sqlite:///{self.app}",
            "TVARR_DATABASE_DSN": self.server or str(self.live),
        }
        values = {
            "STORAGE_BASE_DIR": self.data,
            "BACKUP_DIRECTORY": self.folder,
            "BACKUP_RETENTION": self.retention,
            "BACKUP_SCHEDULE_ENABLED": False,
            "TVARR_DATABASE_NAMED": True,
            "SECRET_KEY_PATH": self.data / "secret-key",
            "INITIAL_PASSWORD_PATH": self.data / "initial-password",
            "SECRET_KEY_IS_NEW": False,
            "SERVER_PORT": 0,
        }
        for name, value in values.items():
            setattr(settings, name, value)
        databases = connections.configure_settings(
            {"default": real_settings._default_database(), "tvarr": real_settings._tvarr_database()}
        )
        connections.__dict__["settings"] = databases
        for alias, entry in databases.items():
            if entry["ENGINE"].endswith("sqlite3"):
                entry["OPTIONS"] = {**entry["OPTIONS"], "timeout": self.patience}
            setattr(connections._connections, alias, load_backend(entry["ENGINE"]).DatabaseWrapper(entry, alias))  # type: ignore[attr-defined]

    def client(self) -> Client:
        """Return the browser of an administrator who is signed in."""
        client = Client()
        client.cookies[settings.SESSION_COOKIE_NAME] = self.session
        return client

    def beat(self) -> None:
        """Write a worker's heartbeat."""
        (self.data / "worker").write_text(json.dumps(asdict(this_process())))

    def copy_elsewhere(self) -> None:
        """Copy tvarr's database with SQLite: completely, and without a journal."""
        shutil.copyfile(self.live, self.root / self.elsewhere)
        change(self.root / self.elsewhere, "PRAGMA journal_mode=DELETE")

    def add_backup(self, database: Path, name: str, **changes: Any) -> str:
        """Add a backup of a database to the folder, as if it had been made here before. Return its name."""
        archive = self.folder / f"tvarr-backup-{name}.db.gz"
        content = database.read_bytes()
        archive.write_bytes(gzip.compress(content, 1, mtime=0))
        members: dict[str, Any] = {
            "created_at": datetime.now(UTC) - timedelta(hours=1),
            "kind": BackupKind.MANUAL,
            "seq": 100,
            "schema": _schema(database),
            "sqlite_version": sqlite3.sqlite_version,
        }
        sidecar = Sidecar(
            database_size=len(content),
            compressed_size=archive.stat().st_size,
            checksum=_checksum(archive.read_bytes()),
            database_checksum=_checksum(content),
            **members | changes,
        )
        sidecar_of(archive).write_bytes(encode_sidecar(sidecar))
        self.known[archive.name] = contents(database)
        return archive.name


def contents(database: Path) -> Contents:
    """Return everything in a database, read from a copy, because SQLite must not open the file itself here."""
    if not database.exists():
        return ""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "copy.db"
        for ending in ("", "-wal", "-journal"):
            if (file := database.with_name(database.name + ending)).exists():
                shutil.copyfile(file, copy.with_name(copy.name + ending))
        try:
            return dict(_rows(copy))
        except sqlite3.DatabaseError:
            return _checksum(database.read_bytes())


def _rows(database: Path) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    with closing(sqlite3.connect(database)) as connection:
        connection.text_factory = bytes
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        if not tables:
            raise sqlite3.DatabaseError
        for (name,) in tables:
            yield name.decode(), sorted(connection.execute(f'SELECT * FROM "{name.decode()}"').fetchall(), key=repr)


def packed_contents(archive: Path) -> Contents:
    """Return everything in a backup."""
    with tempfile.TemporaryDirectory() as scratch:
        database = Path(scratch) / "unpacked.db"
        database.write_bytes(gzip.decompress(archive.read_bytes()))
        return contents(database)


def sidecars(folder: Path) -> dict[str, Any]:
    """Return the metadata files of a folder by the names of their archives."""
    archives = (path for path in folder.glob("*.db.gz") if sidecar_of(path).is_file())
    return {path.name: json.loads(sidecar_of(path).read_bytes()) for path in archives}


def sidecar_of(archive: Path) -> Path:
    """Return the path of an archive's metadata file."""
    return archive.with_name(f"{archive.name.removesuffix('.db.gz')}.meta.json")


def change(database: Path, *statements: str) -> None:
    """Run statements, and empty the journal."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def build_base(root: Path) -> World:
    """Return a world with backups, a restore, and changes since then."""
    world = World(root)
    for folder in (world.live.parent, world.data, world.folder.parent):
        folder.mkdir(parents=True)
    build_tvarr_database(world.live)
    _describe(world, "first")
    world.session = apart(lambda: _with_account(world), root.parent)
    world.manual = _made(world)
    _describe(world, "second")
    apart(lambda: _in(world, "backup", "restore", world.manual, "--yes", "--json"), root.parent)
    world.safety = next(name for name, metadata in sidecars(world.folder).items() if metadata["kind"] == "pre_restore")
    _describe(world, "third")
    world.scheduled = tuple(_made(world, "scheduled") for _ in range(3))
    _describe(world, "fourth")
    world.known = {name: packed_contents(world.folder / name) for name in sidecars(world.folder)}
    world.target = world.manual
    world.copy_elsewhere()
    _write_imports(world)
    return world


def _describe(world: World, text: str) -> None:
    change(world.live, f"UPDATE filters SET description = '{text}' WHERE id = '{FILTER_ID}'")


def _in(world: World, *arguments: str) -> Done:
    world.enter()
    done = command(*arguments)
    assert not done.problem, done.problem
    connections.close_all()
    return done


def _with_account(world: World) -> str:
    _in(world, "prepare")
    user = get_user_model().objects.get(is_superuser=True)
    client = Client()
    client.force_login(user)
    connections.close_all()
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def _made(world: World, kind: str = "") -> str:
    name: str = apart(lambda: _in(world, "backup", "create", "--json").data["filename"], world.root.parent)
    if kind:
        path = sidecar_of(world.folder / name)
        path.write_text(json.dumps(json.loads(path.read_text()) | {"kind": kind}, indent=2) + "\n")
    return name


def _write_imports(world: World) -> None:
    """Write a file to import for each kind: the user's items under other names."""

    def export() -> None:
        for kind in KINDS:
            _in(world, "portable", "export", kind, "--all", "--output", str(world.root / f"{kind}.json"))

    apart(export, world.root.parent)
    for kind in KINDS:
        path = world.root / f"{kind}.json"
        value = json.loads(path.read_text())
        for item in value["items"]:
            item["name"] = f"Imported {item['name']}"
        path.write_text(json.dumps(value))


@contextmanager
def reading(database: Path) -> Iterator[sqlite3.Connection]:
    """Open a copy of a database."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "copy.db"
        for ending in ("", "-wal"):
            if (file := database.with_name(database.name + ending)).exists():
                shutil.copyfile(file, copy.with_name(copy.name + ending))
        with closing(sqlite3.connect(copy)) as connection:
            yield connection


def _schema(database: Path) -> str:
    with reading(database) as connection:
        (newest,) = connection.execute("SELECT max(version) FROM schema_migrations").fetchone()
    return f"tvarr {newest}"


def _checksum(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
