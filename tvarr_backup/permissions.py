"""Check whether this process may read and write files, and name the command that makes it possible.

No file is opened, because closing a database file would drop the locks that SQLite holds on it.
"""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from tvarr_backup.sentences import NOTHING, Sentence

_JOURNALS = ("-wal", "-shm", "-journal")


def why_unwritable(database: Path) -> Sentence:
    """Return why this process cannot write a database or next to it, with the command that helps, or "" if it can."""
    if not os.access(database.parent, os.W_OK | os.X_OK, effective_ids=True):
        return Sentence(
            "The folder {folder} cannot be written. {explanation}",
            folder=database.parent,
            explanation=explain(database.parent),
        )
    for file in (database, *(Path(f"{database}{ending}") for ending in _JOURNALS)):
        if os.path.lexists(file) and not os.access(file, os.R_OK | os.W_OK, effective_ids=True):
            return Sentence("{file} cannot be written. {explanation}", file=file, explanation=explain(file))
    return NOTHING


def explain(path: Path, *, whole: Path | None = None) -> Sentence:
    """Return why this process cannot use a path, followed by a command that fixes it, as `explain_owner` does."""
    if not is_mounted_read_only(path):
        return explain_owner(path, whole=whole)
    return Sentence(
        "Its disk is mounted read-only. To mount it for writing, run as root: mount -o remount,rw {disk}",
        disk=disk_of(path),
    )


def explain_owner(path: Path, *, whole: Path | None = None) -> Sentence:
    """Return who owns a path, followed by a command that makes it, or the whole folder `whole`, usable."""
    status, user = path.stat(), os.geteuid()
    if status.st_uid == user:
        command = Sentence("Run: chmod {mode} {path}", mode="u+rwx" if path.is_dir() else "u+rw", path=path)
    else:
        command = Sentence(
            "Run as root: chown -R {user}:{group} {path}"
            if whole
            else "Run this program as that user, or run as root: chown {user}:{group} {path}",
            user=user,
            group=os.getegid(),
            path=whole or path,
        )
    return Sentence(
        "{what} belongs to {owner} with mode {mode:04o}, and this program runs as {user}. {command}",
        what="It" if whole in (None, path) else path.name,
        owner=name_user(status.st_uid),
        mode=stat.S_IMODE(status.st_mode),
        user=name_user(user),
        command=command,
    )


def disk_of(path: Path) -> Path:
    """Return the mount point of a real path."""
    return next(place for place in (path, *path.parents) if place.is_mount())


def is_mounted_read_only(path: Path) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def name_user(user: int) -> str:
    try:
        return f"{pwd.getpwuid(user).pw_name} (uid {user})"
    except KeyError:
        return f"uid {user}"
