"""What one look sees of both databases, the backup folder, and what our own database keeps of operations.

Nothing is written, and no lock but those of the databases is waited for. What cannot be seen is told in a sentence, with
what to do about it, and never raised.
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
from django_q.models import Schedule

from tvarr_backup import conf, schema, tvarr_database
from tvarr_backup.backups.catalogue import Listing, read_folder
from tvarr_backup.backups.examine import live_rows
from tvarr_backup.backups.folder import WORK_NAME, free_bytes, why_read_only
from tvarr_backup.backups.live import why_not_restorable
from tvarr_backup.backups.restore import require_room_for_restore
from tvarr_backup.backups.retention import Policy
from tvarr_backup.backups.room import require_room_for_backup
from tvarr_backup.backups.sqlite import measure
from tvarr_backup.backups.unfinished import Unfinished, remembered
from tvarr_backup.cron import Timetable
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
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.heartbeat import worker_seems_alive
from tvarr_backup.operations.models import OPEN_STATES, BackupSettings, Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.probe import Probe, last_probe
from tvarr_backup.operations.sightings import SchemaChange, recent_change
from tvarr_backup.sentences import NOTHING, Advice, Sentence
from tvarr_backup.way_out import with_way_out

logger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Kept:
    """What our own database says. `due` is when the next scheduled backup is, or was, to begin, if one is armed."""

    is_scheduled: bool
    timetable: Timetable
    due: datetime | None
    running: Operation | None
    queued: tuple[Operation, ...]
    last_scheduled: Operation | None
    has_made_backups: bool
    policy: Policy
    setting_problems: tuple[str, ...]
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
    """The backup folder: what is wrong with it, what lies in it, what a restore has left there, how many bytes are free.

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
        """Whether nobody can see what lies in it."""
        return self.listing is None and bool(self.problem)


@dataclass(frozen=True)
class Seen:
    """What was seen at one moment; a database that cannot be used is `None`, and has its `problem`.

    `unsupported` says why no backups can be made of tvarr's database, where that is so.
    """

    at: datetime
    kept: Kept | None
    kept_problem: Sentence
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


def observe() -> Seen:
    """Look at everything now."""
    now = datetime.now(UTC)
    kept, kept_problem = _look_at_default()
    live, live_problem = _look_at_live()
    unsupported = _why_unsupported()
    folder = _look_at_folder(kept, live)
    return Seen(
        at=now,
        kept=kept,
        kept_problem=kept_problem,
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


def _look_at_default() -> tuple[Kept | None, Sentence]:
    try:
        require_app_database()
        return _what_is_kept(), NOTHING
    except DatabaseUnusable as problem:
        return None, problem.sentence
    except Error as problem:
        return None, _logged("This program's own database cannot be used", problem)


def _what_is_kept() -> Kept:
    stored = BackupSettings.load()
    open_ones = sorted(Operation.open_ones(), key=lambda operation: operation.created_at)
    armed = Schedule.objects.filter(name=schedule.NAME).values_list("next_run", flat=True)
    backups = Operation.objects.filter(kind=OperationKind.BACKUP).only("state", "created_at", "error", "message")
    return Kept(
        is_scheduled=stored.is_scheduled(),
        timetable=stored.timetable(),
        due=armed.first(),
        running=next((one for one in open_ones if one.state == OperationState.RUNNING), None),
        queued=tuple(one for one in open_ones if one.state == OperationState.QUEUED),
        last_scheduled=backups.filter(origin=Origin.SCHEDULE).exclude(state__in=OPEN_STATES).first(),
        has_made_backups=backups.filter(state__in=(OperationState.SUCCEEDED, OperationState.ATTENTION)).exists(),
        policy=stored.policy(),
        setting_problems=tuple(stored.problems()),
        schema_change=recent_change(datetime.now(UTC)),
    )


def _look_at_live() -> tuple[Live | None, Sentence]:
    try:
        return require_live(), NOTHING
    except DatabaseUnusable as problem:
        return None, problem.sentence


def require_live() -> Live:
    """What tvarr's database is. Raises `DatabaseUnusable` where it cannot be used; the sentence names the way out."""
    return _answered_by_live(_judged)


def require_tvarrs() -> Live:
    """The same for an action that needs a few of its tables: others may be damaged."""
    return _answered_by_live(_identified)


def _answered_by_live(question: Callable[[Path, sqlite3.Connection], Live]) -> Live:
    alias = conf.tvarr_alias()
    try:
        if not conf.is_file(alias):
            return _judged_on_server(alias)
        path = conf.database_path(alias)
        if os.path.realpath(path) == os.path.realpath(conf.database_path(DEFAULT_DB_ALIAS)):
            raise DatabaseForeign(
                "DATABASE_URL and TVARR_DATABASE_DSN are the same file, {path}; allowed are two files.", path=path
            )
        return tvarr_database.ask_again(path, question, timeout_seconds=app_database.PATIENCE_SECONDS)
    except DatabaseUnusable as problem:
        if isinstance(problem.__cause__, Error):
            raise type(problem)(_logged("tvarr's database does not answer", problem.__cause__)) from problem
        raise with_way_out(problem) from problem
    except Error as problem:
        raise DatabaseUnusable(_logged("tvarr's database does not answer", problem)) from problem


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
    """Rows of tvarr's tables now, as far as they can be counted, and what is wrong with the database, if anything."""
    try:
        rows = live_rows(conf.live_database(), timeout_seconds=app_database.PATIENCE_SECONDS)
    except (sqlite3.Error, UnicodeDecodeError):
        rows = {}
    return rows, _look_at_live()[1]


def _judged(path: Path, connection: sqlite3.Connection) -> Live:
    """What the database is, after each of its tables could be read from."""
    live = _identified(path, connection)
    tables = schema.SqliteTables(connection).names() & tvarr_database.required_schema().columns.keys()
    for table in tables:
        connection.execute(f'SELECT 1 FROM "{table}" NOT INDEXED LIMIT 1').fetchone()  # noqa: S608  # our models' names
    return live


def _identified(path: Path, connection: sqlite3.Connection) -> Live:
    """Whose it is, and how many bytes are in use."""
    state, required = tvarr_database.judge(path, connection), tvarr_database.required_schema()
    if state is schema.State.EMPTY:
        raise DatabaseMissing("{path} is empty.", path=path)
    found = schema.schema_of(connection, required)
    if schema.is_older(found, required):
        raise DatabaseNotPrepared(
            "{path} is not up to date with this version; run {advice}.", path=path, advice=Advice.PREPARE
        )
    whose = "tvarr's own, attached" if state is schema.State.ATTACHED else "one of our own"
    (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    missing = schema.missing_columns(schema.SqliteTables(connection), required)
    return Live(whose, measure(connection).used, found, missing, journal == "wal", page_size)


def _judged_on_server(alias: str) -> Live:
    name = conf.database_name(alias)
    state = conf.tvarr_state()
    if state is schema.State.EMPTY:
        raise DatabaseMissing("{name} is empty.", name=name)
    if state is schema.State.OURS and not conf.is_up_to_date(alias):
        raise DatabaseNotPrepared(
            "{name} is not up to date with this version; run {advice}.", name=name, advice=Advice.PREPARE
        )
    whose = "tvarr's own, attached" if state is schema.State.ATTACHED else "one of our own"
    return Live(f"{whose}, on {connections[alias].display_name}", None)


def _logged(sentence: str, problem: Error) -> Sentence:
    """What a server says may name hosts and users, which not everybody who may look is to see."""
    logger.warning("database.unusable", reason=f"{sentence}: {problem}")
    return Sentence("{sentence}; the log says why.", sentence=sentence)


def _why_unsupported() -> Sentence:
    if conf.is_file(conf.tvarr_alias()):
        return NOTHING
    try:
        conf.live_database()
    except BackupUnsupported as problem:
        return problem.sentence
    raise AssertionError


def _worker_is_alive() -> bool:
    try:
        return worker_seems_alive()
    except (OSError, Error):  # its file went away between two looks, or the server that knows of others is gone
        return False


# --- The folder ------------------------------------------------------------------------------------------------------


def _look_at_folder(kept: Kept | None, live: Live | None) -> Folder:
    path = conf.backup_path()
    try:
        if kept is not None:
            backup_folder()
    except (BackupFolderUnmounted, BackupFolderMissing) as problem:
        return Folder(path, problem.sentence, problem.code)
    except BackupFolderUnusable:  # as is said below
        pass
    if not os.path.lexists(path):
        return Folder(path, _why_missing(path, has_made_backups=kept is not None and kept.has_made_backups))
    try:
        folder = Path(os.path.realpath(path, strict=True))
        listing, unfinished = read_folder(folder), remembered(folder / WORK_NAME)
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
            explanation=why_read_only(folder),
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
