"""Run operations of `tvarr_backup.backups` under the requested faults, each in a process of its own.

A program, and no Django in it: started once, it has everything imported, and forks for each request. A request is one
line of JSON on its standard input, the answer one line on its standard output. With arguments (`driver.py create
FOLDER`) it runs that operation once in its own process, for strace. The package it imports is whichever its path names,
so that spoiled copies of it can be put to the same tests.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tvarr_backup.backups.adopt import adopt_backup
from tvarr_backup.backups.catalogue import delete_backup, protect_backup, read_folder
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.folder import prepare_folder, recover
from tvarr_backup.backups.progress import Phase
from tvarr_backup.backups.restore import finish_restore, restore_backup
from tvarr_backup.backups.retention import Policy, prune
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.backups.verify import NOT_SAVED_FULL, verify_backup
from tvarr_backup.errors import BackupBusy, NoRoom, ObjectExists, TvarrBackupError
from tvarr_backup.locations.addresses import LocationKind, read_address
from tvarr_backup.locations.folder_store import FolderStore
from tvarr_backup.locations.stores import BytesSource
from tvarr_backup.schema import RequiredSchema

# Paths in the folder of a case.
LIVE = Path("live/live.db")
STORE = Path("store")
"""Only what is below it is watched where a power loss is the subject."""
BACKUPS = STORE / "backups"
SHARE = STORE / "share"
"""A location."""
UPLOADED_GZIP = Path("upload/uploaded.db.gz")
UPLOADED_DATABASE = Path("upload/copied.db")
UPLOADED_TAR = Path("upload/tvarr.tar.gz")
UPLOADED_DEAD = Path("upload/dead.db")
"""With its -wal."""

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
OLD = tuple(f"tvarr-backup-2026-06-1{day}T12-00-00.db.gz" for day in range(5))
"""The backups that are there before: four scheduled ones and, the newest, a manual one."""
KEPT = 2
ADOPTED = "tvarr-backup-2026-06-13T08-00-00.db.gz"
OLD_COPY, NEW_COPY = "old.age", "new.age"
COPIED = bytes(range(1, 256)) * 40_500
"""More than a store writes between two syncs; without zeros, which are what a power cut leaves."""
HUNG_AFTER_SECONDS = 60
REQUIRED = RequiredSchema(
    columns={
        "channels": frozenset({"id", "channel_name", "deleted_at"}),
        "filters": frozenset({"id", "name"}),
    },
    app_label="tvarr_backup",
    migrations=frozenset({"0001_initial"}),
)


def _create(case: Path) -> Any:
    made = create_backup(case / LIVE, case / BACKUPS, REQUIRED, kind=BackupKind.SCHEDULED, note="new", now=NOW)
    return made.filename


def _adopt(uploaded: Path) -> Callable[[Path], Any]:
    return lambda case: adopt_backup(case / uploaded, case / BACKUPS, REQUIRED, filename=ADOPTED).filename


def _first(case: Path) -> Any:
    return create_backup(
        case / LIVE, prepare_folder(case / BACKUPS), REQUIRED, kind=BackupKind.SCHEDULED, now=NOW
    ).filename


def _prune(case: Path) -> Any:
    return [backup.filename for backup in prune(case / BACKUPS, Policy(KEPT), now=NOW)]


def _verify(case: Path) -> Any:
    found = verify_backup(case / BACKUPS, OLD[1], REQUIRED)
    if NOT_SAVED_FULL in found.warnings:
        raise NoRoom(str(NOT_SAVED_FULL))  # verified, but the result was not saved: not done
    return list(found.problems)


def _protect(case: Path) -> Any:
    return protect_backup(case / BACKUPS, OLD[1], protected=True, note="kept").filename


def _listed(case: Path) -> Any:
    listing = read_folder(case / BACKUPS)
    return {
        "backups": {
            backup.filename: {
                "checksum": backup.sidecar.checksum,
                "database_checksum": backup.sidecar.database_checksum,
                "compressed_size": backup.sidecar.compressed_size,
                "database_size": backup.sidecar.database_size,
                "table_counts": dict(backup.sidecar.table_counts),
                "note": backup.sidecar.note,
                "protected": backup.sidecar.protected,
                "checked": backup.sidecar.checked and backup.sidecar.checked.level,
                "problems": backup.sidecar.checked and backup.sidecar.checked.problems,
                "seq": backup.sidecar.seq,
                "kind": backup.sidecar.kind,
            }
            for backup in listing.backups
        },
        "broken": sorted(broken.filename for broken in listing.broken),
        "foreign": sorted(listing.foreign),
    }


def _restore(case: Path) -> Any:
    safety = restore_backup(case / LIVE, case / BACKUPS, OLD[1], REQUIRED).safety
    return safety and safety.filename


def _restore_offline(case: Path) -> Any:
    done = restore_backup(case / LIVE, case / BACKUPS, OLD[1], REQUIRED, offline=True)
    return {"safety": done.safety and done.safety.filename, "set_aside": [Path(path).name for path in done.set_aside]}


def _restore_offline_without_links(case: Path) -> Any:
    """On a file system that has no hard links next to the live file."""
    link = os.link

    def refuse(source: Any, target: Any, **options: Any) -> None:
        if Path(target).parent == (case / LIVE).parent:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        link(source, target, **options)

    os.link = refuse  # type: ignore[assignment]
    return _restore_offline(case)


def _restore_disturbed(case: Path) -> Any:
    """Ask for the folder during each phase. Return the phases in which that succeeded and failed."""
    asked: dict[str, set[str]] = {"let in": set(), "kept out": set()}

    def ask(phase: Phase, _done: int, _total: int) -> None:
        try:
            recover(case / BACKUPS)
        except BackupBusy:
            asked["kept out"].add(phase)
        else:
            asked["let in"].add(phase)

    restore_backup(case / LIVE, case / BACKUPS, OLD[1], REQUIRED, progress=ask)
    return {word: sorted(phases) for word, phases in asked.items()}


# Nothing but SQLite opens the live file in a process that has a connection to it.
_SPOIL = """
import contextlib, sqlite3, sys
with contextlib.closing(sqlite3.connect(sys.argv[1])) as connection:
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'channel_names'").fetchone()
with open(sys.argv[1], "r+b") as file:
    file.seek((page - 1) * 4096)
    file.write(bytes(4096))
"""


def _restore_spoilt(times: int) -> Callable[[Path], Any]:
    """An index of the live database is spoilt whenever something has been put there, so often, before it is checked."""

    def run(case: Path) -> Any:
        replaced = spoilt = 0

        def spoil(phase: Phase, _done: int, _total: int) -> None:
            nonlocal replaced, spoilt
            if phase is Phase.REPLACE:
                replaced = spoilt + 1
            elif phase is Phase.CHECK and spoilt < min(replaced, times):
                spoilt += 1
                subprocess.run([sys.executable, "-c", _SPOIL, str(case / LIVE)], check=True)

        safety = restore_backup(case / LIVE, case / BACKUPS, OLD[1], REQUIRED, progress=spoil).safety
        return safety and safety.filename

    return run


def _settle(case: Path) -> Any:
    """What every start does after a crash."""
    settled = finish_restore(case / BACKUPS, REQUIRED)
    return {"settled": settled and settled.safety and settled.safety.filename, "listed": _listed(case)}


@dataclasses.dataclass(frozen=True)
class _Copied(BytesSource):
    tag: str = "the copy"


def _share(case: Path) -> FolderStore:
    return FolderStore(read_address(LocationKind.FOLDER, {"path": str(case / SHARE)}))


def _copy(case: Path) -> Any:
    _share(case).write(f"mine/{NEW_COPY}", _Copied(COPIED))


def _copy_once_more(case: Path) -> Any:
    with contextlib.suppress(ObjectExists):
        _copy(case)


def _replace_copy(case: Path) -> Any:
    _share(case).write(f"mine/{OLD_COPY}", _Copied(COPIED), replace=True)


def _list_copies(case: Path) -> Any:
    share = _share(case)
    return {
        entry.name: hashlib.sha256(b"".join(share.read(f"mine/{entry.name}"))).hexdigest()
        for entry in share.list_objects("mine")
    }


def _look_and_recover(case: Path) -> Any:
    return {"listed": _listed(case), "recovered": recover(case / BACKUPS)}


OPERATIONS: dict[str, Callable[[Path], Any]] = {
    "create": _create,
    "first create": _first,
    "prune": _prune,
    "delete": lambda case: delete_backup(case / BACKUPS, OLD[1]),
    "verify": _verify,
    "protect": _protect,
    "adopt": _adopt(UPLOADED_GZIP),
    "adopt a database": _adopt(UPLOADED_DATABASE),
    "adopt tvarr's": _adopt(UPLOADED_TAR),
    "adopt a dead machine's": _adopt(UPLOADED_DEAD),
    "recover": lambda case: recover(case / BACKUPS),
    "restore": _restore,
    "restore offline": _restore_offline,
    "restore offline, without links": _restore_offline_without_links,
    "restore, disturbed": _restore_disturbed,
    "restore, spoilt once": _restore_spoilt(1),
    "restore, spoilt twice": _restore_spoilt(2),
    "settle": _settle,
    "list": _listed,
    "copy": _copy,
    "copy once more": _copy_once_more,
    "replace a copy": _replace_copy,
    "list copies": _list_copies,
    "delete unfinished copies": lambda case: _share(case).delete_unfinished("mine"),
    "look and recover": _look_and_recover,
}


@dataclasses.dataclass(frozen=True)
class Request:
    """What to run on which folder (`case`), and what befalls it.

    The `number`th `call` of those on paths below `watch` meets `fault`; `journal` is a file for all that changes there.
    Without `hard_links` every link below `watch` is refused, as exFAT does.
    """

    operation: str
    case: str
    watch: str = ""
    call: str = ""
    number: int = 0
    fault: str = ""
    journal: str = ""
    hard_links: bool = True


@dataclasses.dataclass(frozen=True)
class Answer:
    """The end of an operation: done, refused (with a sentence), crashed (with a traceback), killed or hung."""

    ended: str
    result: Any = None
    said: str = ""
    fired: bool = False
    counts: dict[str, int] = dataclasses.field(default_factory=dict)


# As in shim.c; “any” are all those that may change something.
COUNTED = (
    "open",
    "opendir",
    "read",
    "pread",
    "write",
    "pwrite",
    "fsync",
    "fdatasync",
    "ftruncate",
    "link",
    "unlink",
    "rename",
    "mkdir",
    "rmdir",
    "any",
)


def perform(operation: str, case: Path) -> Answer:
    """Run an operation in this process."""
    try:
        return Answer("done", OPERATIONS[operation](case))
    except TvarrBackupError as problem:
        return Answer("refused", type(problem).__name__, str(problem))
    except Exception:  # noqa: BLE001  # whatever else it is, it is what the tests look for
        return Answer("crashed", said=traceback.format_exc())


def _perform_under(request: Request) -> Answer:
    if not request.watch:
        return perform(request.operation, Path(request.case))
    shim = ctypes.CDLL(None)
    if request.journal:
        shim.fault_record(os.open(request.journal, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    shim.fault_watch(os.fsencode(request.watch))
    if not request.hard_links:
        shim.fault_refuse_links()
    if request.fault:
        armed = shim.fault_arm(request.call.encode(), ctypes.c_long(request.number), request.fault.encode())
        assert armed, request
    answer = perform(request.operation, Path(request.case))
    fired = bool(shim.fault_fired())
    shim.fault_count.restype = ctypes.c_long
    counts = {name: shim.fault_count(name.encode()) for name in COUNTED}
    return dataclasses.replace(answer, fired=fired, counts=counts)


def _answer(request: Request) -> Answer:
    """In a process of its own, which may be killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.alarm(HUNG_AFTER_SECONDS)
        answer = _perform_under(request)
        with os.fdopen(writing, "w") as pipe:
            json.dump(dataclasses.asdict(answer), pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        killed = os.WTERMSIG(status) == signal.SIGKILL
        return Answer("killed" if killed else "hung", said=f"signal {os.WTERMSIG(status)}", fired=killed)
    return Answer(**json.loads(text)) if text else Answer("crashed", said="no answer")


def main() -> None:
    """Answer requests until standard input ends, or run the one operation of the arguments."""
    if len(sys.argv) == 3:
        answer = perform(sys.argv[1], Path(sys.argv[2]))
        print(json.dumps(dataclasses.asdict(answer)))  # noqa: T201
        return
    for line in sys.stdin:
        answer = _answer(Request(**json.loads(line)))
        sys.stdout.write(json.dumps(dataclasses.asdict(answer)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
