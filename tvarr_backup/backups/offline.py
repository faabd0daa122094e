"""Replace the file of a live database that SQLite cannot write, while no program uses it.

    new database copied next to the live file -> owner and mode, WAL mode, full check, fsync, folder synced
    -> locks on the old file -> safety copy, if SQLite can read the old files -> journal: ready, durable
    -> -wal, -shm and -journal renamed aside, the old file linked or renamed aside -> folder synced
    -> new database renamed to the live name -> folder synced

Before *ready*, recovery removes the new database; from then on it finishes the restore. After a kill or a power cut there
are the old files or the new database, and never an old -wal or -journal that SQLite would write into the new database. An
unreadable file is never opened for writing, because SQLite would write the -wal into it and delete the -wal.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tvarr_backup.backups.durable import create_private, sync_file, sync_folder
from tvarr_backup.backups.in_use import ENDINGS, locked_out
from tvarr_backup.backups.live import becomes_wal, has_shared_memory, holds, problems_of
from tvarr_backup.backups.progress import Phase, Progress
from tvarr_backup.backups.restore_journal import Replacement, Unfinished
from tvarr_backup.backups.sqlite import remove_database
from tvarr_backup.errors import DatabaseInUse, DatabaseUnusable, NoRoom, RestoreFailed, RestoreUnsettled
from tvarr_backup.sentences import Advice, Sentence, join

STOP_IT = "An offline restore needs every program that uses the database to be stopped. Stop tvarr, then try again."
_BLOCK_BYTES = 2**20
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


@dataclass(frozen=True)
class Ownership:
    """The owner and mode of the new database file."""

    uid: int
    gid: int
    mode: int


def require_replaceable(live: Path) -> Ownership:
    """Return the owner and mode of the live file, or its folder's owner and 0600 if there is no file.

    Raises `DatabaseUnusable` if this user cannot create such a file.
    """
    of_folder = live.parent.stat()
    found = Ownership(of_folder.st_uid, of_folder.st_gid, 0o600)
    with contextlib.suppress(FileNotFoundError):
        of_file = live.stat()
        found = Ownership(of_file.st_uid, of_file.st_gid, stat.S_IMODE(of_file.st_mode))
    if os.geteuid() not in (0, found.uid):
        raise DatabaseUnusable(
            "{live} belongs to the user with uid {owner}, and this program runs as uid {user}, which cannot create such a file. "
            "Nothing was changed. Run the offline restore as uid {owner}, or as root.",
            live=live,
            owner=found.uid,
            user=os.geteuid(),
        )
    return found


def plan_replacement(live: Path, now: datetime) -> Replacement:
    """Choose free names next to the live file."""
    stamp = f"{now:%Y-%m-%dT%H-%M-%S}"
    taken = os.listdir(live.parent)  # noqa: PTH208  # names only
    number, ending = 1, stamp
    while any(name.startswith((f"{live.name}.set-aside-{ending}", f"{live.name}.incoming-{ending}")) for name in taken):
        number += 1
        ending = f"{stamp}.{number}"
    return Replacement(f"{live}.incoming-{ending}", f"{live}.set-aside-{ending}")


def complete_incoming(
    staged: Path, replacement: Replacement, restore_id: int, owner: Ownership, progress: Progress
) -> bool:
    """Copy the staged database next to the live file, check it there, and sync it. Return whether it is in WAL mode.

    tvarr and normal restores need WAL mode, which works unless the file system has no shared memory. Raises `NoRoom`,
    `RestoreFailed`, or what `progress` raises.
    """
    incoming = Path(replacement.incoming)
    with explaining(incoming.parent):
        _copy(staged, incoming, owner, progress)
        is_wal = has_shared_memory(_probe(replacement)) and becomes_wal(incoming)
        problems = problems_of(incoming, restore_id, progress)
        if problems:
            raise RestoreFailed(
                "The new database next to the live file failed verification ({problems}). Nothing was restored. Your data is "
                "unchanged. Check the disk.",
                problems=join(problems, "; "),
            )
        _require_settled(incoming)
        with incoming.open("rb") as file:
            sync_file(file.fileno())
        sync_folder(incoming.parent)
    return is_wal


def _require_settled(incoming: Path) -> None:
    """Remove SQLite's files next to the database. Raises `OSError` if SQLite could not empty its journal."""
    for ending in ENDINGS:
        left = Path(f"{incoming}{ending}")
        with contextlib.suppress(FileNotFoundError):
            if left.stat().st_size and ending != "-shm":
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            left.unlink()


def _probe(replacement: Replacement) -> Path:
    return Path(f"{replacement.incoming}.probe")


def _copy(staged: Path, incoming: Path, owner: Ownership, progress: Progress) -> None:
    size = staged.stat().st_size
    with staged.open("rb") as source, os.fdopen(create_private(incoming), "wb") as target:
        while block := source.read(_BLOCK_BYTES):
            target.write(block)
            progress(Phase.REPLACE, target.tell(), size)
        target.flush()
        if os.geteuid() == 0 or owner.gid != os.getegid():
            os.fchown(target.fileno(), owner.uid, owner.gid)
        os.fchmod(target.fileno(), owner.mode)
        sync_file(target.fileno())


def discard_incoming(replacement: Replacement) -> None:
    """Remove an incomplete new database, durably."""
    incoming = Path(replacement.incoming)
    if not incoming.parent.is_dir():
        return
    with explaining(incoming.parent):
        remove_database(_probe(replacement))
        remove_database(incoming)
        sync_folder(incoming.parent)


def put_in_place(live: Path, replacement: Replacement) -> None:
    """Set the old files aside, then give the new database the live name, while the caller locks out all other programs.

    Safe to interrupt and repeat. The old files' new names are on disk before the new database gets the live name, because an
    old -wal that came back after a power cut would be written into it.
    """
    incoming, set_aside = Path(replacement.incoming), Path(replacement.set_aside)
    for ending in ENDINGS:
        old = Path(f"{live}{ending}")
        if os.path.lexists(old):
            old.rename(_free_name(f"{set_aside}{ending}"))
    if os.path.lexists(live) and not os.path.lexists(set_aside):
        _link_or_rename(live, set_aside)  # so that there is a file at every moment
    sync_folder(live.parent)
    if os.path.lexists(live):
        incoming.rename(live)
    else:
        _give_free_name(incoming, live)
    sync_folder(live.parent)


def _link_or_rename(path: Path, name: Path) -> bool:
    """Give a file a second name, or rename it if there are no hard links. Return whether it has two names now."""
    try:
        os.link(path, name, follow_symlinks=False)
    except OSError as problem:
        if problem.errno not in _NO_LINKS:
            raise
        path.rename(name)
        return False
    return True


def _give_free_name(incoming: Path, live: Path) -> None:
    """Rename a file. With hard links, never replace a file that another program has just created."""
    if _link_or_rename(incoming, live):
        sync_folder(live.parent)  # first the new name: after a power cut there could be neither
        incoming.unlink()


def _free_name(name: str) -> Path:
    found, number = Path(name), 1
    while os.path.lexists(found):
        number += 1
        found = Path(f"{name}.{number}")
    return found


def files_set_aside(replacement: Replacement) -> tuple[str, ...]:
    """Return the current paths of the old files, or their common beginning if the folder cannot be read."""
    base = Path(replacement.set_aside)
    try:
        names = os.listdir(base.parent)  # noqa: PTH208  # names only
    except OSError:
        return (replacement.set_aside,)
    return tuple(
        str(base.with_name(name)) for name in sorted(names) if name == base.name or name.startswith(f"{base.name}-")
    )


def finish_replacement(unfinished: Unfinished, replacement: Replacement) -> bool:
    """Settle an interrupted offline restore. Return whether the new database is live.

    A new database that was not ready is removed. One that was ready is put in place, unless a user removed it. Raises
    `RestoreUnsettled` and changes nothing if another program has the database open or changed it, or if it cannot be used.
    """
    if not replacement.is_ready:
        discard_incoming(replacement)
        return False
    live, incoming = Path(unfinished.live), Path(replacement.incoming)
    if os.path.lexists(incoming):
        try:
            with locked_out(live, STOP_IT) as found:
                _finish_in_place(live, incoming, unfinished, replacement, found)
        except (DatabaseInUse, DatabaseUnusable) as problem:
            raise unsettled(unfinished, replacement, problem.sentence) from problem
        except OSError as problem:
            raise unsettled(
                unfinished,
                replacement,
                Sentence("{folder}: {reason}.", folder=live.parent, reason=problem.strerror or problem),
            ) from problem
    happened = holds(live, unfinished.restore_id)
    if happened is None:
        raise unsettled(unfinished, replacement, Sentence("{live} cannot be used now.", live=live))
    return happened


def _finish_in_place(live: Path, incoming: Path, unfinished: Unfinished, replacement: Replacement, found: str) -> None:
    if found and live.samefile(incoming):  # interrupted after it got the live name, before it lost its first name
        sync_folder(live.parent)
        incoming.unlink()
        sync_folder(live.parent)
    elif found in ("", replacement.old):
        put_in_place(live, replacement)
    else:
        raise RestoreUnsettled(
            "The offline restore of {backup} was interrupted, and another program has created or changed {live} since. Nothing "
            "was changed. To finish the restore, stop that program, move {live} and its -wal, -shm and -journal files to another "
            "folder, then run {advice}. To keep {live} as it is, delete {incoming}, then run {advice}.",
            backup=unfinished.backup,
            live=live,
            advice=Advice.RECOVER,
            incoming=incoming,
        )


def unsettled(unfinished: Unfinished, replacement: Replacement, reason: Sentence) -> RestoreUnsettled:
    """Return the error for an offline restore that cannot be finished now, although its new database is complete."""
    return RestoreUnsettled(
        "The offline restore of {backup} is not finished: {reason} The new database is complete, and the old files are kept as "
        "{live} or {set_aside}. Remove the cause, then run {advice} to finish the restore.",
        backup=unfinished.backup,
        reason=reason,
        live=Path(unfinished.live),
        set_aside=Path(replacement.set_aside),
        advice=Advice.RECOVER,
    )


@contextlib.contextmanager
def explaining(folder: Path) -> Iterator[None]:
    """Turn an `OSError` next to the live file into an error about that folder."""
    try:
        yield
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(folder).free
            raise NoRoom(
                "The disk of {folder} is full ({free:MB} free). Nothing was restored. Your data is unchanged. {advice}",
                folder=folder,
                free=free,
                advice=Advice.FREE_SPACE,
            ) from problem
        raise RestoreFailed(
            "The folder {folder} cannot be used: {reason}. Nothing was restored. Your data is unchanged.",
            folder=folder,
            reason=problem.strerror or problem,
        ) from problem
