"""Heartbeat of the worker: a small file in the storage folder, which the worker locks and touches every ten seconds.

If `default` is on a server, which several machines may share, the worker also updates a row there (`WorkerSign`). On
one machine, a row would only cost a write of SQLite every ten seconds.
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
from tvarr_backup.errors import TvarrBackupError, WorkerRunning
from tvarr_backup.operations.models import WorkerSign
from tvarr_backup.operations.process import ProcessIdentity, start_of, this_boot, this_host, this_process

BEAT_SECONDS = 10
"""More often would keep the disk of an idle machine awake."""
_SILENT_SECONDS = 60
_FORGOTTEN = timedelta(days=1)


class Heartbeat:
    """The lock of the one worker of a storage folder; a second one gets `WorkerRunning`. The file is never deleted."""

    leaves_work = False
    """Whether the database or the backup folder is not on this machine, and another worker can see both."""

    def __enter__(self) -> Self:
        path = _path()
        try:
            self._descriptor = lock_file(path)
        except BlockingIOError:
            holder = _read(path)
            who = f"process {holder.pid} on {holder.host}" if holder else "another process"
            raise WorkerRunning("A worker is already running: {path} is locked by {who}.", path=path, who=who) from None
        self._identity = asdict(this_process())
        self._write(json.dumps(self._identity))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write("")
        os.close(self._descriptor)
        if _is_shared():
            with contextlib.suppress(Error):  # otherwise it expires
                WorkerSign.objects.filter(**self._identity).delete()

    def beat(self) -> None:
        """Report that the worker is alive."""
        os.utime(self._descriptor)
        if _is_shared():
            sees = _sees_database()
            WorkerSign.objects.update_or_create(**self._identity, defaults={"sees_database": sees, "seen_at": Now()})
            WorkerSign.objects.filter(seen_at__lt=Now() - _FORGOTTEN).delete()
            self.leaves_work = not sees and any(sign.sees_database for sign in _living_signs())

    def close_in_child(self) -> None:
        """Close the file in a forked child, which must not keep the lock when the worker ends."""
        os.close(self._descriptor)

    def _write(self, text: str) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)


def worker_seems_alive() -> bool:
    """Return whether a worker has reported within a minute and, if it is on this machine, still exists."""
    return _is_file_recent() or (_is_shared() and bool(_living_signs()))


def _is_file_recent() -> bool:
    path = _path()
    holder = _read(path)
    if holder is None or time.time() - path.stat().st_mtime >= _SILENT_SECONDS:
        return False
    return holder.host != this_host() or (holder.boot == this_boot() and _exists(holder))


def _living_signs() -> list[WorkerSign]:
    signs = WorkerSign.objects.filter(seen_at__gt=Now() - timedelta(seconds=_SILENT_SECONDS))
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


def _path() -> Path:
    return conf.storage_folder() / "worker"


def _read(path: Path) -> ProcessIdentity | None:
    """Return the process that wrote the file; `None` if there is none."""
    try:
        return ProcessIdentity(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
