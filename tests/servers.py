"""PostgreSQL and Redis in tests, and what proxies share with them: real servers in a folder of their own, reached by a socket there.

They are gone with the process that started them, however that ends (`setpriv --pdeathsig`).
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import psutil
import psycopg
import pytest
from redis import Redis, RedisError

_PLACES = "/usr/lib/postgresql/*/bin"  # Debian's, by version
_QUICK = ("fsync=off", "full_page_writes=off", "shared_buffers=64MB")


def _program(name: str) -> str:
    versions = sorted(Path("/").glob(f"{_PLACES[1:]}/{name}"), key=lambda path: float(path.parts[-3]))
    found = str(versions[-1]) if versions else shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.exit(
            f"{name} is not installed; `make test` installs it where it may (Debian: postgresql, redis-server, nginx, caddy, prometheus)."
        )
    return found


def _as_somebody(number: signal.Signals) -> list[str]:
    """Put before a command: it is not run as root, which PostgreSQL refuses, and dies of this signal with its parent."""
    who = ["--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", *who, f"--pdeathsig={number.name.removeprefix('SIG')}", "--"]


class _Server(ABC):
    """A program that can be stopped and started again at the same address."""

    end: signal.Signals

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @abstractmethod
    def command(self) -> list[str]:
        """What starts it; each kind has its own."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it takes connections."""

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*_as_somebody(self.end), *self.command()],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while not self.answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self, number: signal.Signals | None = None) -> None:
        if self._process is not None:
            self._process.send_signal(number or self.end)
            self._process.wait(timeout=30)
            self._process = None


class PostgreSQL(_Server):
    """Without any care for power cuts, which no test of ours is about; what was committed outlives SIGKILL."""

    end = signal.SIGINT  # at once, and in order

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        command = [_program("initdb"), "--pgdata", str(folder / "data"), "--username=postgres", "--auth=trust"]
        command += ["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        subprocess.run([*_as_somebody(signal.SIGKILL), *command], check=True, capture_output=True, cwd=folder)

    def command(self) -> list[str]:
        options = [word for option in _QUICK for word in ("-c", option)]
        folder = str(self.folder)
        return [_program("postgres"), "-D", f"{folder}/data", "-k", folder, "-c", "listen_addresses=", *options]

    def url(self, name: str = "postgres") -> str:
        return f"postgresql://postgres@{quote(str(self.folder), safe='')}/{name}"

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url()).close()
        except psycopg.OperationalError:
            return False
        return True

    def create(self, name: str) -> str:
        """A new, empty database; its address."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        return self.url(name)


class RedisServer(_Server):
    """In memory alone: what waits is gone when it ends, which is the worst that may happen."""

    end = signal.SIGTERM

    def command(self) -> list[str]:
        socket = str(self.folder / "redis.sock")
        return [_program("redis-server"), "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no"]

    @property
    def url(self) -> str:
        return f"unix://{self.folder}/redis.sock"

    def client(self) -> "Redis":
        return Redis.from_url(self.url)

    def answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except RedisError:
            return False


_Kind = TypeVar("_Kind", bound=_Server)


_FOLDERS = "tvarr-backup-servers-of-"


@contextmanager
def running(kind: Callable[[Path], _Kind]) -> Iterator[_Kind]:
    """A running server; nothing is left of it afterwards. Sockets want a short path, which pytest's folders have not.

    What a run has left that was killed goes with the next one.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{_FOLDERS}*"):
        if not psutil.pid_exists(int(left.name.split("-")[4])):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDERS}{os.getpid()}-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    try:
        server = kind(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)
