"""Observes both databases, the backup folder, and the recorded operations, for the health checks.

Writes nothing, takes no lock of the backup folder, and waits two seconds for a locked database. Problems become
sentences with advice, and are never raised. tvarr's database is read through SQLite alone: with `mode=rw` if no program
has it open, because a reader would leave a `-wal` and a `-shm` there, and with `mode=ro` next to a journal, which
belongs to its owner.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.models import Count, F, Q

from tvarr_backup import conf, schema, tvarr_database
from tvarr_backup.backups.catalogue import Listing, read_folder
from tvarr_backup.backups.folder import WORK_NAME, free_bytes
from tvarr_backup.backups.live import why_not_restorable
from tvarr_backup.backups.offline import require_replaceable
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
from tvarr_backup.operations.alert_models import (
    PING,
    AlertSettings,
    MessageState,
    OutboxMessage,
    Receiver,
    ReceiverState,
)
from tvarr_backup.operations.app_database import require_app_database
from tvarr_backup.operations.disk import Probe, backup_folder, last_probe
from tvarr_backup.operations.heartbeat import sender_seems_alive, worker_seems_alive
from tvarr_backup.operations.models import (
    OPEN_STATES,
    BackupSettings,
    Location,
    LocationState,
    Operation,
    OperationKind,
    OperationState,
    Origin,
    Rehearsal,
)
from tvarr_backup.operations.restores import rows_now
from tvarr_backup.operations.sightings import SchemaChange, recent_change
from tvarr_backup.permissions import explain
from tvarr_backup.sentences import NOTHING, Advice, Sentence
from tvarr_backup.way_out import with_way_out

logger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class ObservedLocation:
    """A location, as its row describes it. `since` is when its state began, or `None` if that is unknown.

    `damaged` counts the copies whose last check found a problem.
    """

    name: str
    state: LocationState
    since: datetime | None
    in_sync_at: datetime | None
    problem: Sentence
    copies: int
    damaged: int
    is_tested: bool = True


@dataclass(frozen=True)
class ObservedReceiver:
    """A receiver, as its row describes it."""

    name: str
    state: ReceiverState
    failing_since: datetime | None
    problem: Sentence


RECEIVER_LATE = timedelta(hours=1)
"""A receiver that has been failing for longer than this needs a user's attention."""


@dataclass(frozen=True)
class ObservedAlerts:
    """The receivers, by name, without that of the pings, and how many messages wait."""

    receivers: tuple[ObservedReceiver, ...] = ()
    waiting: int = 0
    has_ping: bool = False
    is_advice_dismissed: bool = False

    @property
    def needs_advice(self) -> bool:
        """Whether to advise to add a receiver: there is none, and no user has dismissed the advice."""
        return not self.receivers and not self.is_advice_dismissed

    @property
    def silent(self) -> int:
        """How many receivers are paused, or have not been tried."""
        return sum(one.state in {ReceiverState.PAUSED, ReceiverState.UNTRIED} for one in self.receivers)

    def failing(self, at: datetime) -> list[ObservedReceiver]:
        """Return the receivers that have been failing for long."""
        return [one for one in self.receivers if one.failing_since and abs(at - one.failing_since) > RECEIVER_LATE]


@dataclass(frozen=True)
class ObservedRehearsal:
    """The last rehearsal of a place: the name of a location, or "" for the backup folder. `code` is empty if it succeeded."""

    location: str
    filename: str
    ended_at: datetime
    seconds: float
    code: str
    problem: Sentence


@dataclass(frozen=True)
class Records:
    """The contents of our own database. `due` is when the next automatic backup is due, or was, if one is planned."""

    settings: BackupSettings
    due: datetime | None
    open_operations: tuple[Operation, ...]
    """Oldest first."""
    last_scheduled: Operation | None
    has_made_backups: bool
    schema_change: SchemaChange | None
    locations: tuple[ObservedLocation, ...] = ()
    """By name. No location is opened."""
    alerts: ObservedAlerts = ObservedAlerts()
    rehearsals: tuple[ObservedRehearsal, ...] = ()
    """That of the backup folder first, then by the names of the locations."""


@dataclass(frozen=True)
class Live:
    """tvarr's database: what it is, and the bytes in use (`None` if it is not SQLite). `missing` are columns."""

    what: str
    used: int | None
    schema: str = ""
    missing: tuple[str, ...] = ()
    is_wal: bool = True
    page_size: int = 0


@dataclass(frozen=True)
class Folder:
    """The backup folder: its problem, contents, unfinished restore, and free bytes.

    Without a listing it cannot be read or, if there is no problem, does not exist yet.
    """

    path: Path
    problem: Sentence
    code: str = ""
    """The code of the problem, if it has one."""
    listing: Listing | None = None
    unfinished: Unfinished | None = None
    free: int | None = None
    probe: Probe | None = None
    """The worker's last test of it, if that is recent."""

    @property
    def is_closed(self) -> bool:
        """Whether it cannot be read."""
        return self.listing is None and bool(self.problem)


@dataclass(frozen=True)
class Observation:
    """Everything that the health checks need. A database that cannot be used is `None`, and its `problem` says why.

    `unsupported` says why tvarr's database cannot be backed up; empty if it can.
    """

    at: datetime
    records: Records | None
    records_problem: Sentence
    is_disk_short: bool
    """Whether the disk of our own database is nearly full."""
    live: Live | None
    live_problem: Sentence
    obstacle: Sentence
    """Why no backup can be restored, although tvarr's database can be read."""
    restore_notes: tuple[Sentence, ...]
    """What a restore would do or need in a way that a user may not expect."""
    unsupported: Sentence
    worker_is_alive: bool
    sender_is_alive: bool
    folder: Folder
    free_beside_live: int | None

    @property
    def running(self) -> Operation | None:
        """The running operation that others wait for. Operations of locations and rehearsals run beside it."""
        return next((one for one in self._in_line if one.state == OperationState.RUNNING), None)

    @property
    def queued(self) -> tuple[Operation, ...]:
        """The queued operations that must start soon. Those of locations may wait for long copies to other locations."""
        return tuple(one for one in self._in_line if one.state == OperationState.QUEUED)

    @property
    def _in_line(self) -> tuple[Operation, ...]:
        return tuple(one for one in self.open_operations if not one.is_beside)

    @property
    def open_operations(self) -> tuple[Operation, ...]:
        return self.records.open_operations if self.records else ()


def observe() -> Observation:
    """Observe everything."""
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
        restore_notes=tuple(_note_on_restores(live)),
        unsupported=unsupported,
        worker_is_alive=_is_alive(worker_seems_alive),
        sender_is_alive=_is_alive(sender_seems_alive),
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
        locations=tuple(_observe_locations()),
        rehearsals=tuple(_observe_rehearsals()),
        alerts=_observe_alerts(),
    )


def _observe_alerts() -> ObservedAlerts:
    rows = list(Receiver.objects.order_by("name"))
    receivers = [
        ObservedReceiver(row.name, row.state, row.failing_since if row.is_enabled else None, row.problem)
        for row in rows
        if row.kind != PING
    ]
    return ObservedAlerts(
        receivers=tuple(receivers),
        waiting=OutboxMessage.objects.filter(state=MessageState.WAITING).count() if rows else 0,
        has_ping=len(receivers) < len(rows),
        is_advice_dismissed=AlertSettings.objects.filter(is_advice_dismissed=True).exists(),
    )


def _observe_rehearsals() -> Iterator[ObservedRehearsal]:
    rows = Rehearsal.objects.select_related("location").order_by(F("location__name").asc(nulls_first=True))
    for row in rows:
        yield ObservedRehearsal(
            location=row.location.name if row.location else "",
            filename=row.filename,
            ended_at=row.ended_at,
            seconds=row.seconds,
            code=row.error_code,
            problem=row.problem,
        )


def _observe_locations() -> Iterator[ObservedLocation]:
    damaged = Count("copies", filter=~Q(copies__problem=""))
    for location in Location.objects.annotate(number=Count("copies"), damaged=damaged).order_by("name"):
        yield ObservedLocation(
            name=location.name,
            state=location.state,
            since=location.since,
            in_sync_at=location.in_sync_at,
            problem=location.problem,
            copies=location.number,
            damaged=location.damaged,
            is_tested=location.tested_at is not None,
        )


def _observe_live() -> tuple[Live | None, Sentence]:
    try:
        return require_live(), NOTHING
    except DatabaseUnusable as problem:
        return None, problem.sentence


def require_live() -> Live:
    """Return tvarr's database, after reading from each table. Raises `DatabaseUnusable` with advice."""
    return _ask_live(_judge_file)


def require_tvarrs() -> Live:
    """Return the same without reading the tables, for actions that need only some of them."""
    return _ask_live(_identify_file)


def _ask_live(question: Callable[[Path, sqlite3.Connection], Live]) -> Live:
    alias = conf.tvarr_alias()
    try:
        if not conf.is_file(alias):
            return _judge_server(alias)
        path = conf.database_path(alias)
        if os.path.realpath(path) == os.path.realpath(conf.database_path(DEFAULT_DB_ALIAS)):
            raise DatabaseForeign(
                "DATABASE_URL and TVARR_DATABASE_DSN name the same file, {path}. Set them to two files.", path=path
            )
        return tvarr_database.query_cached(path, question, timeout_seconds=app_database.PATIENCE_SECONDS)
    except DatabaseUnusable as problem:
        if isinstance(problem.__cause__, Error):
            raise type(problem)(_log_problem("tvarr's database does not answer", problem.__cause__)) from problem
        raise with_way_out(problem) from problem
    except Error as problem:
        raise DatabaseUnusable(_log_problem("tvarr's database does not answer", problem)) from problem


def _why_not_restorable(live: Live | None, folder: Folder) -> Sentence:
    """Return why a restore of the newest backup would be refused now; empty if it would not be."""
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
    except OSError:  # reported by the check of the folder
        return NOTHING
    return NOTHING


def _note_on_restores(live: Live | None) -> Iterator[Sentence]:
    if live is None or live.used is None:
        return
    path = conf.live_database()
    if not live.is_wal:
        yield Sentence("The database is in rollback-journal mode. A restore switches it to WAL mode, as tvarr does.")
    try:
        require_replaceable(path)
    except DatabaseUnusable as problem:
        yield Sentence(
            "An offline restore, which a damaged file needs, must run as uid {owner} or as root.",
            owner=problem.facts["owner"],
        )
    except OSError:  # reported by the check of the database
        return


def count_live_rows() -> tuple[dict[str, int], Sentence]:
    """Return the number of rows in each of tvarr's tables, as far as they can be read, and the database's problem."""
    return rows_now(), _observe_live()[1]


def _judge_file(path: Path, connection: sqlite3.Connection) -> Live:
    live = _identify_file(path, connection)
    tables = schema.table_names(connection) & tvarr_database.required_schema().columns.keys()
    for table in tables:
        connection.execute(f'SELECT 1 FROM "{table}" NOT INDEXED LIMIT 1').fetchone()  # noqa: S608  # our models' names
    return live


def _identify_file(path: Path, connection: sqlite3.Connection) -> Live:
    state, required = tvarr_database.judge(path, connection), tvarr_database.required_schema()
    if state is schema.DatabaseState.EMPTY:
        raise DatabaseMissing("{path} is empty.", path=path)
    found = schema.schema_of(connection, required)
    if schema.is_older(found, required):
        raise DatabaseNotPrepared(_NOT_PREPARED, database=path, advice=Advice.PREPARE)
    (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    missing = schema.missing_columns(connection, required)
    return Live(_creator(state), measure(connection).used, found, missing, journal == "wal", page_size)


def _judge_server(alias: str) -> Live:
    name = conf.database_name(alias)
    state = conf.tvarr_state()
    if state is schema.DatabaseState.EMPTY:
        raise DatabaseMissing("{name} is empty.", name=name)
    if state is schema.DatabaseState.OURS and not conf.is_up_to_date(alias):
        raise DatabaseNotPrepared(_NOT_PREPARED, database=name, advice=Advice.PREPARE)
    return Live(f"{_creator(state)}, on {connections[alias].display_name}", None)


_NOT_PREPARED = "{database} is not up to date with this version of tvarr-backup. Run {advice}."


def _creator(state: schema.DatabaseState) -> str:
    return "created by tvarr" if state is schema.DatabaseState.ATTACHED else "created by tvarr-backup"


def _log_problem(sentence: str, problem: Error) -> Sentence:
    """Log the server's message, which may name hosts and users, and return a sentence without it."""
    logger.warning("database.unusable", reason=f"{sentence}: {problem}")
    return Sentence("{sentence}. The log has the reason.", sentence=sentence)


def _why_unsupported() -> Sentence:
    try:
        conf.live_database()
    except BackupUnsupported as problem:
        return problem.sentence
    return NOTHING


def _is_alive(seems_alive: Callable[[], bool]) -> bool:
    try:
        return seems_alive()
    except (OSError, Error):  # the file has just been removed, or the server is down
        return False


# --- The folder ------------------------------------------------------------------------------------------------------


def _observe_folder(records: Records | None, live: Live | None) -> Folder:
    path = conf.backup_path()
    try:
        if records is not None:
            backup_folder()
    except (BackupFolderUnmounted, BackupFolderMissing) as problem:
        return Folder(path, problem.sentence, problem.code)
    except BackupFolderUnusable:  # reported below
        pass
    if not os.path.lexists(path):
        return Folder(path, _why_missing(path, has_made_backups=records is not None and records.has_made_backups))
    try:
        folder = Path(os.path.realpath(path, strict=True))
        listing, unfinished = read_folder(folder), read_journal(folder / WORK_NAME)
    except BackupFolderUnusable as problem:
        return Folder(path, Sentence("{problem} Make it readable, or use another folder.", problem=problem))
    except OSError as problem:
        return Folder(
            path,
            Sentence(
                "The backup folder {path} cannot be used: {reason}. Make it readable, or use another folder.",
                path=path,
                reason=problem.strerror,
            ),
        )
    return Folder(
        folder, _why_not_writable(folder, live, listing), "", listing, unfinished, _free(folder), last_probe(folder)
    )


def _why_missing(path: Path, *, has_made_backups: bool) -> Sentence:
    if has_made_backups:
        return Sentence(
            "The backup folder {path} does not exist any more, although backups were made. Check that its disk is "
            "mounted.",
            path=path,
        )
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return Sentence(
            "The backup folder {path} cannot be created because its parent folder does not exist or cannot be written "
            "to. Create the parent folder, or use another folder.",
            path=path,
        )
    return NOTHING


def _why_not_writable(folder: Path, live: Live | None, listing: Listing) -> Sentence:
    """Return why the next backup could not be written there; empty if it could."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return Sentence(
            "The backup folder {folder} is read-only. {explanation}. Or use another folder.",
            folder=folder,
            explanation=explain(folder, whole=folder),
        )
    try:
        if live is not None and live.used is not None:
            require_room_for_backup(folder, live.used, listing)
    except NoRoom as problem:
        return Sentence("{problem} Free some space, or use another folder.", problem=problem)
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
