"""Heartbeats of the worker and of the sending process: small files in the storage folder, locked and touched every ten seconds.

If `default` is on a server, which several machines may share, they also update rows there (`WorkerSign`, `SenderSign`). On one
machine, a row would only cost a write of SQLite every ten seconds.
"""

import contextlib
import json
import os
import time
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from django.db import DEFAULT_DB_ALIAS, Error
from django.db.models.functions import Now

from tvarr_backup import conf
from tvarr_backup.backups.lock import lock_file
from tvarr_backup.errors import SenderRunning, TvarrBackupError, WorkerRunning
from tvarr_backup.operations.alert_models import SenderSign
from tvarr_backup.operations.models import WorkerSign
from tvarr_backup.operations.process import ProcessIdentity, start_of, this_boot, this_host, this_process

BEAT_SECONDS = 10
"""More often would keep the disk of an idle machine awake."""
_SILENT_SECONDS = 60
_SILENT = timedelta(seconds=_SILENT_SECONDS)
_FORGOTTEN = timedelta(days=1)
_WORKER, _SENDER = "worker", "sender"
"""Names of the files."""


class _SignFile:
    """A file that its process keeps locked, and that has the identity of this process. It is never deleted."""

    def __init__(self, path: Path) -> None:
        """Lock the file. Raises `BlockingIOError` if another process has."""
        self._descriptor = lock_file(path)
        self._write(json.dumps(asdict(this_process())))

    def touch(self) -> None:
        os.utime(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)

    def clear(self) -> None:
        """Remove the identity, and unlock the file."""
        self._write("")
        self.close()

    def _write(self, text: str) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)


def _describe_holder(path: Path) -> str:
    holder = _read(path)
    return f"process {holder.pid} on {holder.host}" if holder else "another process"


class Heartbeat:
    """The lock of the one worker of a storage folder; a second one gets `WorkerRunning`."""

    leaves_work = False
    """Whether the database or the backup folder is not on this machine, and another worker can see both."""

    def __enter__(self) -> Self:
        path = _path(_WORKER)
        try:
            self._file = _SignFile(path)
        except BlockingIOError:
            who = _describe_holder(path)
            raise WorkerRunning("A worker is already running: {path} is locked by {who}.", path=path, who=who) from None
        self._identity = asdict(this_process())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.clear()
        if _is_shared():
            with contextlib.suppress(Error):  # otherwise it expires
                WorkerSign.objects.filter(**self._identity).delete()

    def beat(self) -> None:
        """Report that the worker is alive."""
        self._file.touch()
        if _is_shared():
            sees = _sees_database()
            WorkerSign.objects.update_or_create(**self._identity, defaults={"sees_database": sees, "seen_at": Now()})
            WorkerSign.objects.filter(seen_at__lt=Now() - _FORGOTTEN).delete()
            self.leaves_work = not sees and any(sign.sees_database for sign in _living_signs())

    def close_in_child(self) -> None:
        """Close the file in a forked child, which must not keep the lock when the worker ends."""
        self._file.close()


class SenderHeartbeat:
    """The lock of the one sending process of a storage folder; a second one gets `SenderRunning`.

    On a server, only one process of all machines watches and sends at a time, because they may see different folders.
    """

    def __enter__(self) -> Self:
        path = _path(_SENDER)
        try:
            self._file = _SignFile(path)
        except BlockingIOError:
            who = _describe_holder(path)
            raise SenderRunning(
                "A process that sends alerts is already running: {path} is locked by {who}.", path=path, who=who
            ) from None
        self._identity = asdict(this_process())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.clear()
        if _is_shared():
            with contextlib.suppress(Error):  # otherwise it expires
                SenderSign.objects.filter(**self._identity).delete()

    def beat(self) -> bool:
        """Report that the process is alive. Return whether it is the one that watches and sends."""
        self._file.touch()
        return self._take_turn() if _is_shared() else True

    def _take_turn(self) -> bool:
        """Renew the row if it is this process's, or take it over if the other process has been silent."""
        row = SenderSign.objects.filter(pk=1)
        if row.filter(**self._identity).update(seen_at=Now()):
            return True
        if row.filter(seen_at__lte=Now() - _SILENT).update(**self._identity, seen_at=Now()):
            return True
        _row, is_made = SenderSign.objects.get_or_create(pk=1, defaults={**self._identity, "seen_at": Now()})
        return is_made


def worker_seems_alive() -> bool:
    """Return whether a worker has reported within a minute and, if it is on this machine, still exists."""
    return _is_file_recent(_WORKER) or (_is_shared() and bool(_living_signs()))


def sender_seems_alive() -> bool:
    """Return the same about the process that sends alerts."""
    if _is_file_recent(_SENDER):
        return True
    return _is_shared() and SenderSign.objects.filter(seen_at__gt=Now() - _SILENT).exists()


def _is_file_recent(name: str) -> bool:
    path = _path(name)
    holder = _read(path)
    if holder is None or time.time() - path.stat().st_mtime >= _SILENT_SECONDS:
        return False
    return holder.host != this_host() or (holder.boot == this_boot() and _exists(holder))


def _living_signs() -> list[WorkerSign]:
    signs = WorkerSign.objects.filter(seen_at__gt=Now() - _SILENT)
    here = (this_host(), this_boot())
    return [sign for sign in signs if (sign.host, sign.boot) != here or _exists(sign)]


def _exists(process: ProcessIdentity | WorkerSign) -> bool:
    """Return whether a process of this machine and boot still runs."""
    return start_of(process.pid) == process.process_started


def _is_shared() -> bool:
    """Return whether there may be workers on other machines."""
    return not conf.is_file(DEFAULT_DB_ALIAS)


def _sees_database() -> bool:
    try:
        folder = conf.backup_folder()
        return conf.live_database().is_file() and (folder.is_dir() or folder.parent.is_dir())
    except (TvarrBackupError, OSError):
        return False


def _path(name: str) -> Path:
    return conf.storage_folder() / name


def _read(path: Path) -> ProcessIdentity | None:
    """Return the process that wrote the file; `None` if there is none."""
    try:
        return ProcessIdentity(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
