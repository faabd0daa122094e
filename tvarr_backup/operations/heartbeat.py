"""The worker's sign of life: one small file in the storage folder, locked by the worker and touched now and then."""

import fcntl
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tvarr_backup import conf
from tvarr_backup.errors import WorkerRunning

BEAT_SECONDS = 10
"""How often a worker touches the file; more often would keep the disk of an idle machine awake."""
_SILENT_SECONDS = 60


class Heartbeat:
    """Held by the one worker of a storage folder; a second one is refused with `WorkerRunning`.

    The lock is the kernel's: gone with its process, however that ends. The file is never deleted.
    """

    def __enter__(self) -> Self:
        path = _path()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            holder = _read(path)
            who = f"process {holder.pid} on {holder.host}" if holder else "another process"
            raise WorkerRunning(f"A worker is running already: {path} is locked by {who}.") from None
        self._write(json.dumps(asdict(_Holder(os.getpid(), socket.gethostname()))))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write("")
        os.close(self._descriptor)

    def beat(self) -> None:
        os.utime(self._descriptor)

    def let_go(self) -> None:
        """In a forked child: do not hold the lock beyond the life of the worker itself."""
        os.close(self._descriptor)

    def _write(self, text: str) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)


def worker_seems_alive() -> bool:
    """Whether a worker has given a sign of life within a minute, and, if it is on this machine, still exists."""
    path = _path()
    holder = _read(path)
    if holder is None:
        return False
    age = time.time() - path.stat().st_mtime
    return age < _SILENT_SECONDS and (holder.host != socket.gethostname() or psutil.pid_exists(holder.pid))


@dataclass(frozen=True)
class _Holder:
    pid: int
    host: str


def _path() -> Path:
    return conf.storage_folder() / "worker"


def _read(path: Path) -> _Holder | None:
    """Who has written the file; `None` where nobody has, or it says something else."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        pid, host = values["pid"], values["host"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return _Holder(pid, host) if isinstance(pid, int) and isinstance(host, str) else None
