"""`up`: prepare, then serve and work."""

import contextlib
import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections

from tvarr_backup import conf, program
from tvarr_backup.backups.lock import lock_file
from tvarr_backup.management.commands.prepare import NotReady
from tvarr_backup.management.terminal import TerminalCommand
from tvarr_backup.supervisor import GRACE_SECONDS, Program, Supervisor

_BACKLOG = 2048  # gunicorn's own
_SECONDS_FOR_PORT = 5
_THREADS = 64
"""For each process. They are started when they are needed: by slow uploads and downloads, one for each."""
_CONNECTIONS = 500
"""For each process, with the files of their threads fewer than the 1,024 descriptors that many systems allow."""


class Command(TerminalCommand):
    """Looks after the web server and the worker, each with processes of its own. Told to stop, it ends with 0."""

    help = "Prepare both databases, then run the web server and the worker until stopped."

    def handle(self, *_args: Any, **_options: Any) -> None:
        """The listening socket is ours: it outlives a web server that dies, and no request is refused meanwhile."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))  # until the supervisor has handlers of its own
        self._prepare()
        with _alone_on(conf.storage_folder()):
            self._serve()

    def _prepare(self) -> None:
        """What is not ready keeps nobody from starting: the pages say what is wrong, or one page does."""
        try:
            call_command("prepare")
        except NotReady as problem:
            self.message("Starting all the same, though not everything is ready:")
            for sentence in str(problem).splitlines():
                self.message(sentence)
            self.stderr.flush()
        connections.close_all()

    def _serve(self) -> None:
        host, port = settings.SERVER_HOST, settings.SERVER_PORT
        with _listen(host, port) as listener:
            self.line(f"Serving http://{f'[{host}]' if ':' in host else host}:{port}/")
            self.stdout.flush()
            Supervisor([_web_server(listener), _worker()]).run()


@contextlib.contextmanager
def _alone_on(folder: Path) -> Iterator[None]:
    """Hold the lock of a storage folder, which is gone with this process however that ends.

    One that is just ending is waited for a little. Where the folder cannot be written, nobody else can work in it either.
    """
    path = folder / "up.lock"
    try:
        descriptor = lock_file(path, patience_seconds=_SECONDS_FOR_PORT)
    except BlockingIOError:
        holder = path.read_text(errors="replace").strip()
        raise CommandError(
            f"`{program.NAME} up` is running already on the storage folder {path.parent}, as process {holder or 'unknown'}. "
            "Stop that one first, or name another folder in TVARR_STORAGE_BASE_DIR."
        ) from None
    except OSError:
        yield
        return
    try:
        with contextlib.suppress(OSError):  # a full disk: then a second one cannot name this one
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _web_server(listener: socket.socket) -> Program:
    command = [sys.executable, "-P", "-m", "gunicorn", "config.wsgi", "--bind", f"fd://{listener.fileno()}"]
    command += ["--config", str(program.ROOT / "config" / "gunicorn_conf.py")]  # whatever the working directory is
    command += ["--forwarded-allow-ips", ",".join(settings.FORWARDED_ALLOW_IPS)]
    command += ["--worker-class", "config.gunicorn_worker.Worker", "--workers", "2", "--threads", str(_THREADS)]
    command += ["--worker-connections", str(_CONNECTIONS), "--no-control-socket"]
    command += ["--no-sendfile"]  # it would wait without end for a client that takes nothing
    command += ["--graceful-timeout", str(GRACE_SECONDS - 1)]
    command += ["--logger-class", "config.gunicorn.Logger"]
    return Program("web server", command, passed_descriptors=[listener.fileno()], must_start=True)


def _worker() -> Program:
    return Program("worker", [*program.COMMAND, "worker"])


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; a port that is taken is waited for a little: another `up` may just be ending there."""
    give_up = time.monotonic() + _SECONDS_FOR_PORT
    while True:
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(_BACKLOG)
        except OSError as problem:
            listener.close()
            if problem.errno != errno.EADDRINUSE or time.monotonic() > give_up:
                raise CommandError(
                    f"TVARR_SERVER_HOST is {host!r} and TVARR_SERVER_PORT is {port}, and nothing can listen there: "
                    f"{problem.strerror or problem}."
                ) from problem
            time.sleep(0.25)
        else:
            return listener
