"""Find out what is behind the alias `tvarr`, in a file or on a server, without changing it.

Missing or empty: our migrations create it. Ours: migrated forward. Attached (tvarr made it): no table is ever created or
changed. A file that nobody has open is read with `mode=rw`, because a reader would leave a -wal and a -shm next to it. Text that
is not UTF-8 is decoded with replacement characters.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from django.apps import apps
from django.db import DatabaseError, connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

from tvarr_backup import program, schema
from tvarr_backup.errors import DatabaseForeign, DatabaseMissing, DatabaseUnusable
from tvarr_backup.fields import read_codec_list, read_text
from tvarr_backup.models import PortableRow
from tvarr_backup.permissions import explain, is_mounted_read_only
from tvarr_backup.schema import TVARRS_OWN_TABLE, DatabaseState, RequiredSchema, table_names
from tvarr_backup.sentences import Sentence
from tvarr_backup.sqlite_codes import primary_code
from tvarr_backup.sqlite_uri import uri_of

T = TypeVar("T")

APP_LABEL = PortableRow._meta.app_label
_SETTLED_SECONDS = 2.0


def inspect(path: Path) -> DatabaseState:
    """Return the state of a file, without leaving files next to it.

    Only SQLite opens it, because closing it otherwise would drop the locks of this process's SQLite connections (POSIX).
    Raises `DatabaseForeign` or, if it cannot be read, `DatabaseUnusable`.
    """
    with _explained(path):
        return _judge_file(path, judge) if _is_there(path) else DatabaseState.MISSING


def query_database(path: Path, query: Callable[[Path, sqlite3.Connection], T], *, timeout_seconds: float) -> T:
    """Return the result of `query`, waiting this long for locks. Raises what `inspect` raises, or `DatabaseMissing`."""
    with _explained(path):
        if not _is_there(path):
            raise DatabaseMissing("{path} does not exist.", path=path)
        with _connect(uri_of(path, "rw" if _is_at_rest(path) else "ro"), timeout_seconds) as connection:
            return query(path, connection)


def query_cached(path: Path, query: Callable[[Path, sqlite3.Connection], T], *, timeout_seconds: float) -> T:
    """Do what `query_database` does, and keep the result (not an error) while the files of the database are unchanged."""
    files = fingerprint_files(path)
    if not files:
        return query_database(path, query, timeout_seconds=timeout_seconds)
    result: T = _cached_result(path, files, query, timeout_seconds)
    return result


@lru_cache(maxsize=8)
def _cached_result(
    path: Path, _files: tuple[object, ...], query: Callable[[Path, sqlite3.Connection], Any], timeout_seconds: float
) -> Any:
    return query_database(path, query, timeout_seconds=timeout_seconds)


def judge(path: Path, connection: sqlite3.Connection) -> DatabaseState:
    """Return the state of an open file. Raises `DatabaseForeign`."""
    state = schema.judge_sqlite(connection, required_schema(), path)
    if state is DatabaseState.EMPTY:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        if pages == 0 and path.stat().st_size > 0:  # SQLite takes any file of a few bytes for an empty database
            raise DatabaseForeign("{path} is not an SQLite database.", path=path)
    return state


def inspect_server(alias: str, name: str) -> DatabaseState:
    """Return the state of a database on a server. Raises `DatabaseForeign` or `DatabaseUnusable`."""
    try:
        return judge_connected(alias, name)
    except DatabaseError as problem:
        reason = " ".join(str(problem).split())
        raise DatabaseUnusable("{name} cannot be read: {reason}", name=name, reason=reason) from problem


def judge_connected(alias: str, name: Path | str) -> DatabaseState:
    """Return the state of the database that Django is connected to. Raises `DatabaseForeign` or `DatabaseError`."""
    tables = set(connections[alias].introspection.table_names())
    return schema.judge(tables, MigrationRecorder(connections[alias]).applied_migrations, required_schema(), name)


def is_tvarrs_own(path: Path) -> bool:
    """Return whether tvarr made the file. Return False for a file that is missing or not a database."""
    try:
        return path.is_file() and _judge_file(
            path, lambda _path, connection: TVARRS_OWN_TABLE in table_names(connection)
        )
    except (OSError, sqlite3.DatabaseError, UnicodeDecodeError):
        return False


def fingerprint_files(path: Path) -> tuple[object, ...]:
    """Return a fingerprint of a database's files, or () within two seconds of a change, when times may not differ yet."""
    now = time.time()
    files: list[tuple[int, ...] | None] = []
    for ending in ("", "-wal", "-journal"):
        try:
            status = os.stat(f"{path}{ending}")  # noqa: PTH116  # faster, for every page that shows backups
        except OSError:
            files.append(None)
            continue
        # As root, SQLite sets the owner of a -wal whenever it opens it, which changes the ctime.
        written = max(status.st_mtime_ns, 0 if ending else status.st_ctime_ns)
        if abs(now - written / 1e9) < _SETTLED_SECONDS:
            return ()
        files.append((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, written))
    return tuple(files)


@dataclass(frozen=True)
class Description:
    """The schema of a database as metadata files record it, and its sorted pairs of table and column."""

    schema: str
    columns: tuple[tuple[str, str], ...]


_COLUMNS = """
    SELECT tables.name, columns.name FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns
    WHERE tables.type = 'table' AND tables.rootpage > 0 AND tables.name NOT LIKE 'sqlite#_%' ESCAPE '#'
    ORDER BY 1, 2
"""
_COLUMNS_ON_SERVER = """
    SELECT table_name, column_name FROM information_schema.columns
    WHERE table_schema = ANY (current_schemas(false)) ORDER BY 1, 2
"""


def describe(path: Path, *, timeout_seconds: float) -> Description:
    """Return the schema and columns of a database, cached while it is unchanged. Raises what `query_database` raises."""
    return query_cached(path, _describe, timeout_seconds=timeout_seconds)


def _describe(_path: Path, connection: sqlite3.Connection) -> Description:
    found = schema.schema_of(connection, required_schema())
    return Description(found, tuple(connection.execute(_COLUMNS).fetchall()))


def describe_server(alias: str) -> Description:
    """Describe tvarr's own database on a server. The description of any other is empty. Raises `DatabaseError`."""
    if not is_attached(alias):
        return Description("", ())
    with connections[alias].cursor() as cursor:
        cursor.execute(_COLUMNS_ON_SERVER)
        return Description(schema_connected(alias), tuple(cursor.fetchall()))


def schema_connected(alias: str) -> str:
    """Return the schema of tvarr's own database that Django is connected to, such as "tvarr 029", or "" for any other."""
    if not is_attached(alias):
        return ""
    with connections[alias].cursor() as cursor:
        cursor.execute(f"SELECT max(version) FROM {TVARRS_OWN_TABLE}")  # noqa: S608  # a constant
        (newest,) = cursor.fetchone()
    return f"tvarr {newest}" if newest else ""


def is_attached(alias: str) -> bool:
    """Return whether Django is connected to tvarr's own database."""
    return TVARRS_OWN_TABLE in connections[alias].introspection.table_names()


@contextlib.contextmanager
def write_transaction() -> Iterator[None]:
    """Open a transaction on tvarr's database in which nobody else, not even tvarr, can write rows of the kinds.

    On SQLite the transaction is IMMEDIATE anyway. On a server the tables are locked, but can still be read.
    """
    alias = router.db_for_write(PortableRow)
    with transaction.atomic(using=alias):
        connection = connections[alias]
        if connection.vendor == "postgresql":
            kinds = [model for model in apps.get_models() if issubclass(model, PortableRow)]
            tables = ", ".join(connection.ops.quote_name(model._meta.db_table) for model in kinds)
            with connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE")
        yield


_BUSY = {"55P03", "40P01", "40001"}
"""PostgreSQL's codes for a lock timeout, a deadlock, and a serialization failure."""


def is_busy(problem: DatabaseError) -> bool:
    """Return whether a lock of another program caused this error, so that trying again can help."""
    cause = problem.__cause__
    if isinstance(cause, sqlite3.Error):
        return primary_code(cause) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return getattr(cause, "sqlstate", None) in _BUSY


def create_empty(path: Path) -> None:
    """Create an empty database in WAL mode that only its owner can read, because it will contain passwords."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")


def _judge_file(path: Path, judge: Callable[[Path, sqlite3.Connection], T]) -> T:
    """Judge a file, opened as immutable if nobody uses it: reading a WAL database would leave a -wal and a -shm next to it.

    If a writer appears at this moment, the file is judged again under SQLite's locks.
    """
    uri = f"file:{quote(str(path))}?mode=ro"
    written_at = path.stat().st_mtime_ns
    if _is_at_rest(path):
        try:
            with _connect(uri + "&immutable=1") as connection:
                return judge(path, connection)
        except sqlite3.DatabaseError:
            if _is_at_rest(path) and path.stat().st_mtime_ns == written_at:
                raise
    with _connect(uri) as connection:
        return judge(path, connection)


def _is_at_rest(path: Path) -> bool:
    return not any(path.with_name(path.name + ending).exists() for ending in ("-wal", "-journal"))


def _connect(uri: str, timeout_seconds: float = 20) -> closing[sqlite3.Connection]:
    connection = sqlite3.connect(uri, uri=True, timeout=timeout_seconds)
    connection.text_factory = read_text
    return closing(connection)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise DatabaseUnusable("{path} cannot be read: {reason}.", path=path, reason=problem.strerror) from problem
    except sqlite3.DatabaseError as problem:
        code = primary_code(problem)
        if code == sqlite3.SQLITE_NOTADB:
            raise DatabaseForeign("{path} is not an SQLite database.", path=path) from problem
        if code == sqlite3.SQLITE_BUSY:
            raise DatabaseUnusable(
                "{path} cannot be read, because another program has locked it. Try again when it has finished.",
                path=path,
            ) from problem
        if code == sqlite3.SQLITE_CANTOPEN and is_mounted_read_only(path):
            raise DatabaseUnusable(
                "{path} cannot be read, because {name}-wal contains changes. {way_out}",
                path=path,
                name=path.name,
                way_out=_explain_copying(path),
            ) from problem
        raise DatabaseUnusable("{path} cannot be read: {problem}.", path=path, problem=problem) from problem
    except UnicodeDecodeError as problem:  # Python cannot decode SQLite's message, which quotes the damaged text
        raise DatabaseUnusable("{path} cannot be read: its schema contains invalid text.", path=path) from problem


def _explain_copying(path: Path) -> Sentence:
    return Sentence(
        "{explanation}. Or copy {name} and {name}-wal to a folder on another disk and run `{program} backup add COPY`. That "
        "backup contains the changes.",
        explanation=explain(path),
        name=path.name,
        program=program.NAME,
    )


IS_UTF8 = "tvarr_backup_is_utf8"
"""An SQL function on Django's connections to tvarr's database: whether these bytes are UTF-8."""

IS_CODEC_LIST = "tvarr_backup_is_codec_list"
"""An SQL function on the same connections: whether a stored text is a list of codecs or NULL."""


def make_readable(connection: BaseDatabaseWrapper, **_kwargs: object) -> None:
    """Let Django's new connection to tvarr's SQLite file read any text; a receiver of `connection_created`."""
    if connection.alias == router.db_for_read(PortableRow) and connection.vendor == "sqlite":
        connection.connection.text_factory = read_text
        connection.connection.create_function(IS_UTF8, 1, _is_utf8, deterministic=True)
        connection.connection.create_function(IS_CODEC_LIST, 1, _is_codec_list, deterministic=True)


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_codec_list(raw: bytes | None) -> bool:
    return isinstance(read_codec_list(None if raw is None else raw.decode(errors="replace")), list)


def _is_there(path: Path) -> bool:
    if not path.exists():
        return False
    if not path.is_file():
        raise DatabaseForeign("{path} is not a file. Expected the path of an SQLite database.", path=path)
    if not os.access(path, os.R_OK, effective_ids=True):
        raise DatabaseUnusable("{path} cannot be read. {explanation}.", path=path, explanation=explain(path))
    return True


@cache
def required_schema() -> RequiredSchema:
    """Return the schema of our models, without any observed history."""
    models = list(apps.get_app_config(APP_LABEL).get_models())
    return RequiredSchema(
        columns={
            model._meta.db_table: frozenset(field.column for field in model._meta.concrete_fields) for model in models
        },
        app_label=APP_LABEL,
        migrations=known_migrations(),
        configuration=frozenset(model._meta.db_table for model in models if issubclass(model, PortableRow)),
    )


def known_migrations() -> frozenset[str]:
    """Return the names of our migrations of tvarr's tables."""
    folder = Path(__file__).with_name("migrations")
    return frozenset(file.stem for file in folder.glob("[0-9]*.py"))
