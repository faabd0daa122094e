"""The rows of the matrix: each state of the world, really created in the process of the cell."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from django.core.management import call_command
from django.db import connections

from tests.installation import ROOT
from tests.matrix.apart import CannotRun, fill, heeding_modes, make_read_only, own_mounts, small_disk
from tests.matrix.entrances import command
from tests.matrix.world import World, change, sidecar_of
from tests.tvarr_own import WRITTEN

Build = Callable[[World], contextlib.AbstractContextManager[object]]
TVARR, APP, FOLDER = "tvarr's database", "app.db", "the backup folder"
POSTGRESQL = "on PostgreSQL"
APP_ON_FULL_DISK = "app.db on a full disk"
_OTHER_USER = 65534  # "nobody", on every Linux


@dataclass(frozen=True)
class State:
    """A row of the matrix: its name, its subject, and how to create the state."""

    name: str
    of: str
    build: Build


STATES: dict[str, State] = {}


def state(name: str, of: str) -> Callable[[Callable[[World], Iterator[None]]], Callable[[World], Iterator[None]]]:
    """Register a state under the name of its row."""

    def register(build: Callable[[World], Iterator[None]]) -> Callable[[World], Iterator[None]]:
        STATES[name] = State(name, of, contextmanager(build))
        return build

    return register


@contextmanager
def other_program(database: Path, *statements: str) -> Iterator[None]:
    """Run statements in another program, which keeps its locks until the end."""
    script = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "for statement in sys.argv[2:]: connection.execute(statement).fetchone()\n"
        "print('holding', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-S", "-c", script, str(database), *statements]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "holding\n"
    try:
        yield
    finally:
        process.communicate()


def _own_backup(world: World) -> None:
    """Verify and restore a backup made in this state, and add a copy of its database."""
    world.target = world.add_backup(world.live, "2026-11-02T02-00-00")
    world.copy_elsewhere()


def _overwrite(database: Path, offset: int, content: bytes) -> None:
    with database.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def _garbage(size: int) -> bytes:
    return random.Random(7).randbytes(size)


# --- tvarr's database ------------------------------------------------------------------------------------------------


@state("healthy", TVARR)
def _healthy(_world: World) -> Iterator[None]:
    yield


@state("rollback-journal mode", TVARR)
def _rollback_journal(world: World) -> Iterator[None]:
    change(world.live, "PRAGMA journal_mode=DELETE")
    yield


@state("rollback-journal mode, open in another program", TVARR)
def _rollback_journal_in_use(world: World) -> Iterator[None]:
    change(world.live, "PRAGMA journal_mode=DELETE")
    with other_program(world.live, "SELECT count(*) FROM filters"):
        yield


@state("locked for minutes", TVARR)
def _locked(world: World) -> Iterator[None]:
    with other_program(world.live, "BEGIN IMMEDIATE"):
        yield


@state("read by another program for minutes", TVARR)
def _read_for_minutes(world: World) -> Iterator[None]:
    with other_program(world.live, "BEGIN", "SELECT count(*) FROM filters"):
        change(world.live, "UPDATE filters SET description = 'after the reader'")
        yield


@state("damaged page", TVARR)
def _damaged_page(world: World) -> Iterator[None]:
    with closing(sqlite3.connect(world.live)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'epg_programs'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    _overwrite(world.live, (page - 1) * size, _garbage(size))
    yield


@state("damaged header", TVARR)
def _damaged_header(world: World) -> Iterator[None]:
    _overwrite(world.live, 0, _garbage(65536))
    yield


@state("truncated", TVARR)
def _truncated(world: World) -> Iterator[None]:
    os.truncate(world.live, world.live.stat().st_size // 2)
    yield


@state("first page zeroed", TVARR)
def _zeroed(world: World) -> Iterator[None]:
    _overwrite(world.live, 0, bytes(4096))
    yield


@state("0 bytes", TVARR)
def _empty(world: World) -> Iterator[None]:
    os.truncate(world.live, 0)
    yield


@state("missing", TVARR)
def _missing(world: World) -> Iterator[None]:
    world.live.unlink()
    yield


@state("not SQLite", TVARR)
def _not_sqlite(world: World) -> Iterator[None]:
    world.live.write_text("Dear diary, today I saved a text under the name of a database.\n" * 100)
    yield


@state("another program's database", TVARR)
def _foreign(world: World) -> Iterator[None]:
    world.live.unlink()
    change(
        world.live, "CREATE TABLE recipes (id INTEGER PRIMARY KEY, name TEXT)", "INSERT INTO recipes VALUES (1, 'Soup')"
    )
    yield


@state("older tvarr (024)", TVARR)
def _older(world: World) -> Iterator[None]:
    newer = ("date", "star_rating", "season_number", "episode_number", "program_id", "previously_shown")
    columns = [f"ALTER TABLE epg_programs DROP COLUMN {name}" for name in newer]
    change(world.live, *columns, "DELETE FROM schema_migrations WHERE version > '024'")
    _own_backup(world)
    yield


_NEWER = f"INSERT INTO schema_migrations VALUES ('030', 'of a tvarr to come', '{WRITTEN}')"


@state("newer tvarr: a column more", TVARR)
def _column_more(world: World) -> Iterator[None]:
    change(world.live, _NEWER, "ALTER TABLE filters ADD COLUMN color TEXT DEFAULT 'blue'")
    _own_backup(world)
    yield


@state("newer tvarr: a table more", TVARR)
def _table_more(world: World) -> Iterator[None]:
    change(world.live, _NEWER, "CREATE TABLE recordings (id varchar(26) PRIMARY KEY, title TEXT NOT NULL)")
    _own_backup(world)
    yield


@state("newer tvarr: a required column more", TVARR)
def _required_column_more(world: World) -> Iterator[None]:
    with closing(sqlite3.connect(world.live)) as connection:
        (made,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'filters'").fetchone()
    made = made.replace("CREATE TABLE filters (", "CREATE TABLE newer (").replace(
        "PRIMARY KEY (id)", "scope TEXT NOT NULL, PRIMARY KEY (id)"
    )
    rest = (
        "INSERT INTO newer SELECT *, 'all' FROM filters",
        "DROP TABLE filters",
        "ALTER TABLE newer RENAME TO filters",
    )
    change(world.live, _NEWER, made, *rest)
    _own_backup(world)
    yield


@state("newer tvarr: a column less that no kind has", TVARR)
def _column_less(world: World) -> Iterator[None]:
    change(world.live, _NEWER, "ALTER TABLE epg_programs DROP COLUMN credits")
    _own_backup(world)
    yield


@state("newer tvarr: a column of filters less", TVARR)
def _kinds_column_less(world: World) -> Iterator[None]:
    change(world.live, _NEWER, "ALTER TABLE filters DROP COLUMN action")
    _own_backup(world)
    yield


def _with(name: str, *statements: str) -> None:
    """Register a state that statements create."""

    def build(world: World) -> Iterator[None]:
        change(world.live, *statements)
        _own_backup(world)
        yield

    state(name, TVARR)(build)


_with("a view of the user's own", "CREATE VIEW channel_count AS SELECT group_title, count(*) FROM channels GROUP BY 1")
_with(
    "a trigger of the user's own",
    "CREATE TRIGGER touched AFTER INSERT ON channels BEGIN UPDATE channels SET language = 'en' WHERE id = new.id; END",
)
_with(
    "an FTS5 table of the user's own",
    "CREATE VIRTUAL TABLE guide USING fts5(title)",
    "INSERT INTO guide SELECT title FROM epg_programs",
)
_with(
    "a STRICT table of the user's own",
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT) STRICT",
    "INSERT INTO notes VALUES (1, 'Call the provider')",
)
_with(
    "a WITHOUT ROWID table of the user's own",
    "CREATE TABLE favorites (channel TEXT PRIMARY KEY) WITHOUT ROWID",
    "INSERT INTO favorites VALUES ('Harbour 0 HD')",
)
_with(
    "texts that are not UTF-8",
    "UPDATE channels SET group_title = CAST(X'46E96520' AS TEXT)",
    "INSERT INTO filters(id,created_at,updated_at,name,source_type,action,expression,is_system) VALUES("
    "'01KA31S5HE6Q4M3D68ZS9W6C00','2026-03-01 10:00:00+00:00','2026-03-01 10:00:00+00:00',CAST(X'436166E9' AS TEXT),"
    "'stream','include','group_title equals \"x\"',0)",
)


@state("read-only file", TVARR)
def _read_only_file(world: World) -> Iterator[None]:
    world.live.chmod(0o444)
    with heeding_modes():
        yield


@state("read-only mount", TVARR)
def _read_only_mount(world: World) -> Iterator[None]:
    own_mounts()
    make_read_only(world.live.parent)
    yield


@state("wrong owner", TVARR)
def _wrong_owner(world: World) -> Iterator[None]:
    world.live.chmod(0o600)
    _give_away(world.live)
    with heeding_modes():
        yield


def _give_away(*paths: Path) -> None:
    if os.geteuid() != 0:
        raise CannotRun("only root can give files to another user")
    for path in paths:
        os.chown(path, _OTHER_USER, _OTHER_USER)


@state("pages of 64 KiB", TVARR)
def _large_pages(world: World) -> Iterator[None]:
    change(world.live, "PRAGMA journal_mode=DELETE", "PRAGMA page_size=65536", "VACUUM", "PRAGMA journal_mode=WAL")
    _own_backup(world)
    yield


@state("a large write-ahead log", TVARR)
def _large_wal(world: World) -> Iterator[None]:
    rows = world.wal_bytes // 8192
    numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
    ballast = (
        "PRAGMA wal_autocheckpoint=0",
        "CREATE TABLE ballast (bytes BLOB)",
        f"{numbers} INSERT INTO ballast SELECT zeroblob(8000) FROM n",
        "DELETE FROM ballast",
    )
    with other_program(world.live, *ballast):
        assert world.live.with_name("tvarr.db-wal").stat().st_size > rows * 8000
        yield


@state(POSTGRESQL, TVARR)
def _on_postgresql(world: World) -> Iterator[None]:
    """The world has the address of the database."""
    world.live.unlink()
    yield


# --- app.db ----------------------------------------------------------------------------------------------------------


@state("app.db missing", APP)
def _app_missing(world: World) -> Iterator[None]:
    world.app.unlink()
    yield


@state("app.db damaged", APP)
def _app_damaged(world: World) -> Iterator[None]:
    _overwrite(world.app, 0, _garbage(65536))
    yield


@state("app.db locked", APP)
def _app_locked(world: World) -> Iterator[None]:
    with other_program(world.app, "BEGIN IMMEDIATE"):
        yield


@state("app.db of an older version", APP)
def _app_older(world: World) -> Iterator[None]:
    folder = ROOT / "tvarr_backup" / "operations" / "migrations"
    before = sorted(path.stem for path in folder.glob("0*.py"))[-2]
    world.enter()
    call_command("migrate", "operations", before, database="default", verbosity=0)
    connections.close_all()
    yield


@state("app.db of a newer version", APP)
def _app_newer(world: World) -> Iterator[None]:
    change(
        world.app,
        "INSERT INTO django_migrations (app, name, applied) VALUES ('operations', '0099_to_come', '2027-01-01 "
        "00:00:00')",
        "ALTER TABLE operations_operation ADD COLUMN color TEXT DEFAULT 'blue'",
    )
    yield


@state(APP_ON_FULL_DISK, APP)
def _app_on_full_disk(world: World) -> Iterator[None]:
    own_mounts()
    _on_small_disk(world.data)
    yield


def _on_small_disk(place: Path) -> None:
    """Move a folder to a mounted disk, which is filled to the last byte."""
    size = 2**20 + sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    aside = place.with_name(f"{place.name}-aside")
    place.rename(aside)
    place.mkdir()
    small_disk(place, size)
    shutil.copytree(aside, place, dirs_exist_ok=True)
    fill(place)


# --- The backup folder -----------------------------------------------------------------------------------------------


@state("disk full", FOLDER)
def _folder_full(world: World) -> Iterator[None]:
    own_mounts()
    _on_small_disk(world.folder)
    yield


@state("read-only", FOLDER)
def _folder_read_only(world: World) -> Iterator[None]:
    own_mounts()
    make_read_only(world.folder)
    yield


@state("folder missing", FOLDER)
def _folder_missing(world: World) -> Iterator[None]:
    shutil.rmtree(world.folder)
    world.known = {}
    yield


@state("disk not mounted", FOLDER)
def _folder_not_mounted(world: World) -> Iterator[None]:
    """A backup was made on a disk, and the disk was unmounted, which leaves the empty folder below it."""
    if world.is_on_real_disks:
        _unmount_after_backup(world)
        yield
        return
    shutil.rmtree(world.folder)
    with closing(sqlite3.connect(world.app)) as connection, connection:
        found = connection.execute("SELECT id, arguments FROM operations_operation WHERE kind = 'backup'").fetchall()
        for pk, arguments in found:
            remembered = json.dumps(json.loads(arguments) | {"disk": str(world.folder.parent)})
            connection.execute("UPDATE operations_operation SET arguments = ? WHERE id = ?", (remembered, pk))
    yield


def _unmount_after_backup(world: World) -> None:
    own_mounts()
    disk = world.folder.parent
    disk.rename(disk.with_name("aside"))
    disk.mkdir()
    small_disk(disk, 128 * 2**20)
    shutil.copytree(disk.with_name("aside"), disk, dirs_exist_ok=True)
    world.enter()
    done = command("backup", "create", "--json")
    assert not done.problem, done.problem
    connections.close_all()
    subprocess.run(["umount", str(disk)], check=True)


@state("folder of another user", FOLDER)
def _folder_wrong_owner(world: World) -> Iterator[None]:
    _give_away(world.folder, *world.folder.iterdir())
    world.folder.chmod(0o700)
    with heeding_modes():
        yield


@state("no hard links", FOLDER)
def _no_hard_links(world: World) -> Iterator[None]:
    """Refuse links as exFAT does; the long tests mount an exFAT disk."""
    if world.is_on_real_disks:
        with _on_exfat(world):
            yield
        return

    def link(source: Any, *_others: Any, **_options: Any) -> None:
        if str(world.folder) in str(source):
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(source))

    with patch("os.link", link):
        yield


@contextmanager
def _on_exfat(world: World) -> Iterator[None]:
    """Move the backup folder to an exFAT disk in a file."""
    own_mounts()
    image, disk = world.root / "exfat.img", world.folder.parent
    disk.rename(disk.with_name("aside"))
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(128 * 2**20)
    _run_or_give_up("mkfs.exfat", str(image))
    device = _run_or_give_up("losetup", "--find", "--show", str(image)).strip()
    try:
        try:
            _run_or_give_up("mount", "-t", "exfat", device, str(disk))
        except CannotRun:  # the kernel may not know it, where FUSE does
            _run_or_give_up("mount.exfat-fuse", device, str(disk))
        shutil.copytree(disk.with_name("aside"), disk, dirs_exist_ok=True, copy_function=shutil.copyfile)
        yield
        connections.close_all()
        subprocess.run(["umount", str(disk)], check=False)
    finally:
        subprocess.run(["losetup", "--detach", device], check=False)


def _run_or_give_up(*words: str) -> str:
    try:
        ended = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError as problem:
        raise CannotRun(f"{words[0]} is not installed") from problem
    if ended.returncode:
        raise CannotRun(f"{words[0]}: {' '.join(ended.stderr.split())}")
    return ended.stdout


@state("odd names", FOLDER)
def _odd_names(world: World) -> Iterator[None]:
    folder = os.fsencode(world.folder)
    (world.folder / "tvarr-backup-2026-01-01T00-00-00.db.gz").mkdir()
    os.mkfifo(world.folder / "tvarr-backup-2026-01-02T00-00-00.db.gz")
    os.mkfifo(world.folder / f"{world.manual}.part")
    (world.folder / "tvarr-backup-2026-01-03T00-00-00.db.gz").symlink_to(world.folder / world.manual)
    (world.folder / "tvarr-backup-2026-01-04T00-00-00.db.gz").symlink_to("/nowhere")
    with open(folder + b"/caf\xe9.db.gz", "wb") as file:  # noqa: PTH123  # bytes
        file.write(b"x")
    with open(folder + b"/tvarr-backup-2026-01-05T00-00-00.db.gz.\xff", "wb") as file:  # noqa: PTH123
        file.write(b"x")
    yield


@state("thousands of backups", FOLDER)
def _thousands(world: World) -> Iterator[None]:
    """Only their metadata is read, so their archives are empty files of the right size."""
    metadata = json.loads(sidecar_of(world.folder / world.manual).read_text())
    for count in range(world.backups):
        name = f"tvarr-backup-2025-{count // 600 % 12 + 1:02}-{count // 24 % 25 + 1:02}T{count % 24:02}-{count // 7200:02}-00.db.gz"
        archive = world.folder / name
        archive.touch()
        os.truncate(archive, metadata["compressed_size"])
        sidecar_of(archive).write_text(json.dumps(metadata | {"seq": 1, "kind": "manual"}))
        world.known[name] = ""
    yield
