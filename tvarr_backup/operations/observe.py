"""Observation of both databases, the backup folder, and what our own database has recorded of operations.

Nothing is written, and no lock but those of the databases is waited for. What cannot be seen becomes a sentence, with what to
do about it, and is never raised.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from django.db import DEFAULT_DB_ALIAS, Error, connections

from tvarr_backup import conf, schema, tvarr_database
from tvarr_backup.backups.catalogue import Listing, read_folder
from tvarr_backup.backups.folder import WORK_NAME, free_bytes
from tvarr_backup.backups.live import why_not_restorable
from tvarr_backup.backups.restore import require_room_for_restore
from tvarr_backup.backups.restore_journal import Unfinished, read_journal
from tvarr_backup.backups.room import require_room_for_backup
from tvarr_backup.backups.sqlite import measure
from tvarr_backup.errors import (
    BackupFolderMissing,
    BackupFolderUnmounted,
    BackupFolderUnusable,
    BackupUnsupported,
    DatabaseForeign,
    DatabaseMissing,
    DatabaseNotPrepared,
    DatabaseUnusable,
    NoRoom,
)
from tvarr_backup.operations import app_database, reserve, schedule
from tvarr_backup.operations.app_database import require_app_database
from tvarr_backup.operations.disk import Probe, backup_folder, last_probe
from tvarr_backup.operations.heartbeat import worker_seems_alive
from tvarr_backup.operations.models import OPEN_STATES, BackupSettings, Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.restores import rows_now
from tvarr_backup.operations.sightings import SchemaChange, recent_change
from tvarr_backup.permissions import explain
from tvarr_backup.sentences import NOTHING, Advice, Sentence
from tvarr_backup.way_out import with_way_out

logger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Records:
    """What our own database says. `due` is when the next scheduled backup is, or was, to begin, if one is planned."""

    settings: BackupSettings
    due: datetime | None
    open_operations: tuple[Operation, ...]
    """The oldest first."""
    last_scheduled: Operation | None
    has_made_backups: bool
    schema_change: SchemaChange | None


@dataclass(frozen=True)
class Live:
    """tvarr's database: in a word what it is, and how many bytes of it are in use (`None` where it is not SQLite).

    `schema` is as metadata files record it; `missing` are the columns of our models that it lacks.
    """

    what: str
    used: int | None
    schema: str = ""
    missing: tuple[str, ...] = ()
    is_wal: bool = True
    page_size: int = 0


@dataclass(frozen=True)
class Folder:
    """The backup folder: what is wrong with it, its contents, what a restore has left there, and the free bytes.

    Without a listing it cannot be read, or, where nothing is wrong, is still to be made.
    """

    path: Path
    problem: Sentence
    code: str = ""
    """Of the problem, where it is an error of ours."""
    listing: Listing | None = None
    unfinished: Unfinished | None = None
    free: int | None = None
    probe: Probe | None = None
    """The worker's last trial of it, if that is recent."""

    @property
    def is_closed(self) -> bool:
        """Whether its contents cannot be read."""
        return self.listing is None and bool(self.problem)


@dataclass(frozen=True)
class Observation:
    """What was seen at one moment; a database that cannot be used is `None`, and has its `problem`.

    `unsupported` says why no backups can be made of tvarr's database, where that is so.
    """

    at: datetime
    records: Records | None
    records_problem: Sentence
    is_disk_short: bool
    """Whether the disk of our own database has next to no room left."""
    live: Live | None
    live_problem: Sentence
    obstacle: Sentence
    """Why no backup can be restored into tvarr's database, although it can be read."""
    unsupported: Sentence
    worker_is_alive: bool
    folder: Folder
    free_beside_live: int | None

    @property
    def running(self) -> Operation | None:
        return next((one for one in self.open_operations if one.state == OperationState.RUNNING), None)

    @property
    def queued(self) -> tuple[Operation, ...]:
        return tuple(one for one in self.open_operations if one.state == OperationState.QUEUED)

    @property
    def open_operations(self) -> tuple[Operation, ...]:
        return self.records.open_operations if self.records else ()


def observe() -> Observation:
    """Observe everything now."""
    now = datetime.now(UTC)
    records, records_problem = _observe_default()
    live, live_problem = _observe_live()
    unsupported = _why_unsupported()
    folder = _observe_folder(records, live)
    return Observation(
        at=now,
        records=records,
        records_problem=records_problem,
        is_disk_short=reserve.is_missing(),
        live=live,
        live_problem=live_problem,
        obstacle=_why_not_restorable(live, folder),
        unsupported=unsupported,
        worker_is_alive=_worker_is_alive(),
        folder=folder,
        free_beside_live=None if unsupported else _free(_live_folder()),
    )


# --- Databases -------------------------------------------------------------------------------------------------------


def _observe_default() -> tuple[Records | None, Sentence]:
    try:
        require_app_database()
        return _read_records(), NOTHING
    except DatabaseUnusable as problem:
        return None, problem.sentence
    except Error as problem:
        return None, _log_problem("This program's own database cannot be used", problem)


def _read_records() -> Records:
    backups = Operation.objects.filter(kind=OperationKind.BACKUP).only("state", "created_at", "error", "message")
    return Records(
        settings=BackupSettings.load(),
        due=schedule.planned_run(),
        open_operations=tuple(sorted(Operation.open_ones(), key=lambda operation: operation.created_at)),
        last_scheduled=backups.filter(origin=Origin.SCHEDULE).exclude(state__in=OPEN_STATES).first(),
        has_made_backups=backups.filter(state__in=(OperationState.SUCCEEDED, OperationState.ATTENTION)).exists(),
        schema_change=recent_change(datetime.now(UTC)),
    )


def _observe_live() -> tuple[Live | None, Sentence]:
    try:
        return require_live(), NOTHING
    except DatabaseUnusable as problem:
        return None, problem.sentence


def require_live() -> Live:
    """Return what tvarr's database is. Raises `DatabaseUnusable` with advice where it cannot be used."""
    return _ask_live(_judge_file)


def require_tvarrs() -> Live:
    """Do the same for an action that needs a few of its tables: others may be damaged."""
    return _ask_live(_identify_file)


def _ask_live(question: Callable[[Path, sqlite3.Connection], Live]) -> Live:
    alias = conf.tvarr_alias()
    try:
        if not conf.is_file(alias):
            return _judge_server(alias)
        path = conf.database_path(alias)
        if os.path.realpath(path) == os.path.realpath(conf.database_path(DEFAULT_DB_ALIAS)):
            raise DatabaseForeign(
                "DATABASE_URL and TVARR_DATABASE_DSN are the same file, {path}; allowed are two files.", path=path
            )
        return tvarr_database.query_cached(path, question, timeout_seconds=app_database.PATIENCE_SECONDS)
    except DatabaseUnusable as problem:
        if isinstance(problem.__cause__, Error):
            raise type(problem)(_log_problem("tvarr's database does not answer", problem.__cause__)) from problem
        raise with_way_out(problem) from problem
    except Error as problem:
        raise DatabaseUnusable(_log_problem("tvarr's database does not answer", problem)) from problem


def _why_not_restorable(live: Live | None, folder: Folder) -> Sentence:
    """Why a restore of the newest backup would be refused now, as the restore itself finds it; "" where it would not."""
    if live is None or live.used is None:
        return NOTHING
    path, listing = conf.live_database(), folder.listing
    obstacle = why_not_restorable(path, is_wal=live.is_wal)
    if obstacle or not listing or not listing.backups:
        return obstacle
    size = listing.backups[0].sidecar.database_size
    try:
        require_room_for_restore(path, folder.path, listing, used=live.used, page_size=live.page_size, size=size)
    except NoRoom as problem:
        return problem.sentence
    except OSError:  # another check says what is wrong there
        return NOTHING
    return NOTHING


def count_live_rows() -> tuple[dict[str, int], Sentence]:
    """Return the rows of tvarr's tables, as far as they can be counted, and what is wrong with the database."""
    return rows_now(), _observe_live()[1]


def _judge_file(path: Path, connection: sqlite3.Connection) -> Live:
    """Return the same after reading from each of its tables."""
    live = _identify_file(path, connection)
    tables = schema.table_names(connection) & tvarr_database.required_schema().columns.keys()
    for table in tables:
        connection.execute(f'SELECT 1 FROM "{table}" NOT INDEXED LIMIT 1').fetchone()  # noqa: S608  # our models' names
    return live


def _identify_file(path: Path, connection: sqlite3.Connection) -> Live:
    """Return whose it is, and how many bytes are in use."""
    state, required = tvarr_database.judge(path, connection), tvarr_database.required_schema()
    if state is schema.DatabaseState.EMPTY:
        raise DatabaseMissing("{path} is empty.", path=path)
    found = schema.schema_of(connection, required)
    if schema.is_older(found, required):
        raise DatabaseNotPrepared(
            "{path} is not up to date with this version; run {advice}.", path=path, advice=Advice.PREPARE
        )
    whose = "tvarr's own, attached" if state is schema.DatabaseState.ATTACHED else "one of our own"
    (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    missing = schema.missing_columns(connection, required)
    return Live(whose, measure(connection).used, found, missing, journal == "wal", page_size)


def _judge_server(alias: str) -> Live:
    name = conf.database_name(alias)
    state = conf.tvarr_state()
    if state is schema.DatabaseState.EMPTY:
        raise DatabaseMissing("{name} is empty.", name=name)
    if state is schema.DatabaseState.OURS and not conf.is_up_to_date(alias):
        raise DatabaseNotPrepared(
            "{name} is not up to date with this version; run {advice}.", name=name, advice=Advice.PREPARE
        )
    whose = "tvarr's own, attached" if state is schema.DatabaseState.ATTACHED else "one of our own"
    return Live(f"{whose}, on {connections[alias].display_name}", None)


def _log_problem(sentence: str, problem: Error) -> Sentence:
    """Log what a server says, which may name hosts and users, and return a sentence without it."""
    logger.warning("database.unusable", reason=f"{sentence}: {problem}")
    return Sentence("{sentence}; the log says why.", sentence=sentence)


def _why_unsupported() -> Sentence:
    try:
        conf.live_database()
    except BackupUnsupported as problem:
        return problem.sentence
    return NOTHING


def _worker_is_alive() -> bool:
    try:
        return worker_seems_alive()
    except (OSError, Error):  # its file went away between two looks, or the server that knows of others is gone
        return False


# --- The folder ------------------------------------------------------------------------------------------------------


def _observe_folder(records: Records | None, live: Live | None) -> Folder:
    path = conf.backup_path()
    try:
        if records is not None:
            backup_folder()
    except (BackupFolderUnmounted, BackupFolderMissing) as problem:
        return Folder(path, problem.sentence, problem.code)
    except BackupFolderUnusable:  # as is said below
        pass
    if not os.path.lexists(path):
        return Folder(path, _why_missing(path, has_made_backups=records is not None and records.has_made_backups))
    try:
        folder = Path(os.path.realpath(path, strict=True))
        listing, unfinished = read_folder(folder), read_journal(folder / WORK_NAME)
    except BackupFolderUnusable as problem:
        return Folder(path, Sentence("{problem} Name another, or make it readable.", problem=problem))
    except OSError as problem:
        return Folder(
            path,
            Sentence(
                "The backup folder {path} cannot be used: {reason}. Name another, or make it readable.",
                path=path,
                reason=problem.strerror,
            ),
        )
    return Folder(
        folder, _why_closed(folder, live, listing), "", listing, unfinished, _free(folder), last_probe(folder)
    )


def _why_missing(path: Path, *, has_made_backups: bool) -> Sentence:
    if has_made_backups:
        return Sentence(
            "The backup folder {path} is not there any more, though backups were made. Is its disk mounted?", path=path
        )
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return Sentence(
            "The backup folder {path} cannot be made: the folder above it does not exist, or cannot be written to. Make that, "
            "or name another.",
            path=path,
        )
    return NOTHING


def _why_closed(folder: Path, live: Live | None, listing: Listing) -> Sentence:
    """Why the next backup would find no place there; empty where it would."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return Sentence(
            "The backup folder {folder} is read-only. {explanation}. Or name another folder.",
            folder=folder,
            explanation=explain(folder, whole=folder),
        )
    try:
        if live is not None and live.used is not None:
            require_room_for_backup(folder, live.used, listing)
    except NoRoom as problem:
        return Sentence("{problem} Make room, or name another folder.", problem=problem)
    except OSError as problem:
        return Sentence("The backup folder {folder} cannot be used: {reason}.", folder=folder, reason=problem.strerror)
    return NOTHING


def _live_folder() -> Path:
    return Path(os.path.realpath(conf.database_path(conf.tvarr_alias()))).parent


def _free(folder: Path) -> int | None:
    try:
        return free_bytes(folder)
    except OSError:
        return None
