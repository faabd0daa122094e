"""Databases, archives and folders for the tests of backups, and small disks to fill."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import io
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.installation import _HEED_MODES, ROOT
from tests.tvarr_own import build_tvarr_database
from tvarr_backup import tvarr_database
from tvarr_backup.backups.catalogue import Backup, read_folder
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.progress import Phase, Progress
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.schema import RequiredSchema

NOW = datetime(2026, 6, 15, 12, 30, 0, 123_000, tzinfo=UTC)
FOREIGN = "tvarr-backup-2020-01-01T00-00-00.db.gz"
"""A name as our archives have it, of a file that somebody put there without a sidecar."""


def required() -> RequiredSchema:
    """What the models need, as the real doors ask for it."""
    return tvarr_database.required_schema()


@cache
def _tvarrs_bytes() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return build_tvarr_database(Path(folder) / "tvarr.db").read_bytes()


def tvarrs(path: Path, *statements: str) -> Path:
    """A database of tvarr's in WAL mode, which nobody has open, after these statements."""
    path.write_bytes(_tvarrs_bytes())
    return changed(path, *statements)


def ours(path: Path, *further_migrations: str, statements: Sequence[str] = ()) -> Path:
    """A database as our own migrations leave it, as far as anything here looks at it."""
    names = [*sorted(required().migrations), *further_migrations]
    return tvarrs(
        path,
        "DROP TABLE schema_migrations",
        "CREATE TABLE django_migrations (id integer PRIMARY KEY AUTOINCREMENT, app, name, applied)",
        *(f"INSERT INTO django_migrations (app, name) VALUES ('tvarr_backup', '{name}')" for name in names),
        *statements,
    )


def changed(path: Path, *statements: str) -> Path:
    """Run statements, each committed by itself and with foreign keys unchecked."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def query(path: Path, text: str) -> Any:
    """The first value of the first row."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(text).fetchone()[0]


def settled(path: Path) -> Path:
    """The same database with the rollback journal, as `VACUUM INTO` writes one."""
    return changed(path, "PRAGMA journal_mode=DELETE")


def with_ballast(path: Path, mebibytes: int) -> Path:
    """Some size, so that every phase of the work is seen, in bytes that do not compress."""
    return changed(
        path,
        "CREATE TABLE ballast (data)",
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {mebibytes * 128}) "
        "INSERT INTO ballast SELECT randomblob(8000) FROM n",
    )


_KILLED = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    connection.execute(statement).fetchall()
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_after(path: Path, *statements: str) -> Path:
    """Run statements in a program that is killed while it has the database open, and leaves its journal there."""
    done = subprocess.run([sys.executable, "-c", _KILLED, path, *statements], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    return path


def died_in_wal_mode(path: Path, mebibytes: int = 0) -> Path:
    """The files of a machine that died with a third filter, and so much more, in the -wal alone."""
    killed_after(
        tvarrs(path),
        "PRAGMA wal_autocheckpoint=0",
        "INSERT INTO filters (id, name, source_type, expression) VALUES ('01KA0000000000000000000000', 'n', 'stream', 'e')",
        "CREATE TABLE ballast (data)",
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= {mebibytes * 128}) "
        "INSERT INTO ballast SELECT randomblob(8000) FROM n",
    )
    assert path.with_name(f"{path.name}-wal").stat().st_size > mebibytes * 2**20
    return path


def died_while_writing(path: Path) -> bytes:
    """The files of a machine that died in a transaction with the rollback journal; what the database was before it."""
    before = settled(with_ballast(tvarrs(path), 1)).read_bytes()
    killed_after(path, "PRAGMA cache_size=1", "BEGIN", "UPDATE ballast SET data = randomblob(8000)")
    assert path.with_name(f"{path.name}-journal").stat().st_size > 0
    assert path.read_bytes() != before
    return before


def slow_to_check(path: Path) -> Path:
    """Rows whose check takes about half a second, so that it is still at work when the packing is done."""
    return changed(
        path,
        "PRAGMA ignore_check_constraints=ON",
        "CREATE TABLE slow (a CHECK (length(hex(zeroblob(500000 + a))) > a))",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250) INSERT INTO slow SELECT i FROM n",
    )


def backup(live: Path, folder: Path, **changes: Any) -> Backup:
    """One more backup."""
    return create_backup(live, folder, required(), **{"kind": BackupKind.MANUAL} | changes)


def packed(path: Path, database: Path | bytes) -> Path:
    """The gzip of a database or of any other content, with no sidecar."""
    content = database if isinstance(database, bytes) else database.read_bytes()
    path.write_bytes(gzip.compress(content, 1, mtime=0))
    return path


def tvarrs_sidecar(archive: Path, database: Path, **changes: Any) -> bytes:
    """What tvarr writes beside its older archives: no member of ours, counts of all rows, times to the nanosecond."""
    value = {
        "tvarr_version": "0.0.2",
        "database_size": database.stat().st_size,
        "compressed_size": archive.stat().st_size,
        "checksum": f"sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}",
        "created_at": "2025-12-14T05:30:00.123456789-05:00",
        "table_counts": {"filters": 900, "channels": 1},
        "protected": False,
        "imported": False,
    }
    return json.dumps(value | changes).encode()


def tvarrs_old_backup(folder: Path, database: Path, **changes: Any) -> Path:
    """tvarr's older form: a `.db.gz` with a sidecar."""
    archive = packed(folder / "tvarr-backup-2025-12-14T10-30-00.db.gz", database)
    archive.with_name("tvarr-backup-2025-12-14T10-30-00.meta.json").write_bytes(
        tvarrs_sidecar(archive, database, **changes)
    )
    return archive


def member(name: str, content: bytes = b"", /, **changes: Any) -> tuple[tarfile.TarInfo, bytes]:
    """One file of a tar."""
    header = tarfile.TarInfo(name)
    header.size = len(content)
    for attribute, value in changes.items():
        setattr(header, attribute, value)
    return header, content


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A tar of these files, not compressed."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for header, content in members:
            tar.addfile(header, io.BytesIO(content))
    return file.getvalue()


def metadata(database: Path, **changes: Any) -> bytes:
    """The `metadata.json` of tvarr's newer archives; its checksum and size are those of a first, thrown away archive."""
    value = {
        "tvarr_version": "0.0.30",
        "database_size": database.stat().st_size,
        "compressed_size": 4711,
        "checksum": "sha256:" + "5" * 64,
        "created_at": "2026-01-14T10:30:00.123456789Z",
        "table_counts": {"filters": 900},
        "protected": False,
        "imported": False,
    }
    return json.dumps(value | changes).encode()


def tvarrs_new_backup(folder: Path, database: Path, **changes: Any) -> Path:
    """tvarr's newer form: a gzipped tar of `metadata.json` and `database.db`."""
    content = tar_of(
        member("metadata.json", metadata(database, **changes)), member("database.db", database.read_bytes())
    )
    return packed(folder / "tvarr-backup-2026-01-14T10-30-00.123.tar.gz", content)


def state(folder: Path) -> dict[str, Any]:
    """Everything below a folder: kind and mode of each file, and its content or where it points to."""
    return {str(path.relative_to(folder)): _state(path) for path in sorted(folder.rglob("*"))}


def _state(path: Path) -> Any:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return oct(mode), path.readlink()
    return oct(mode), path.read_bytes() if stat.S_ISREG(mode) else b""


def filenames(folder: Path) -> list[str]:
    """The names of the backups, newest first."""
    return [found.filename for found in read_folder(folder).backups]


def raising_at(phase: Phase, error: BaseException, *, call: int = 1) -> Progress:
    """A progress that raises at the n-th word of a phase."""
    calls = 0

    def progress(now: Phase, _done: int, _total: int) -> None:
        nonlocal calls
        calls += now is phase
        if now is phase and calls == call:
            raise error

    return progress


@contextlib.contextmanager
def umask(mask: int) -> Iterator[None]:
    """Another umask for a while."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def refusing_links(code: int = errno.EPERM) -> Iterator[None]:
    """A system that answers every link with this error, as exFAT does with `EPERM`; 0 leaves it as it is."""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(code, os.strerror(code))

    with pytest.MonkeyPatch.context() as patch:
        if code:
            patch.setattr(os, "link", refuse)
        yield


def python(code: str, *arguments: object, heeds_modes: bool = False, timeout: float = 60) -> Any:
    """Run a program in a process of its own; what it prints last is JSON."""
    prefix = _HEED_MODES if heeds_modes and os.geteuid() == 0 else ()
    return _json_of([*prefix, sys.executable, "-c", code, *map(str, arguments)], timeout)


def on_small_disk(code: str, disk: Path, *arguments: object, options: str = "size=100m", timeout: float = 60) -> Any:
    """The same with a disk in memory at `disk`, which is there for that process alone; `options` are those of tmpfs."""
    mount = 'mount -t tmpfs -o "$1" tmpfs "$2" && shift && exec "${@:2}"'
    command = ["unshare", "-rm", "bash", "-c", mount, "bash", options, str(disk)]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.CalledProcessError) as problem:
        pytest.fail(f"A disk in memory cannot be mounted here (unshare -rm, util-linux), and is needed: {problem}")
    return _json_of([*command, sys.executable, "-c", code, str(disk), *map(str, arguments)], timeout)


def _json_of(command: list[str], timeout: float) -> Any:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
