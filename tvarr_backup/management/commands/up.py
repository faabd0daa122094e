"""The command `up`."""

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

_BACKLOG = 2048  # gunicorn's default
_PATIENCE_SECONDS = 5
"""How long to wait for another `up` that is just stopping."""
_THREADS = 64
"""Per process, started on demand. Each large upload or download takes one."""
_CONNECTIONS = 500
"""Per process. Together with open files they stay below the usual limit of 1,024 descriptors."""


class Command(TerminalCommand):
    """Supervises the web server, the worker and the process that sends alerts. Exits with 0 after a signal."""

    help = "Prepare both databases, then run web server, worker and alerts until stopped."

    def handle(self, *_args: Any, **_options: Any) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))  # until the supervisor sets its own handlers
        self._prepare()
        with _lock_storage(conf.storage_folder()):
            self._serve()

    def _prepare(self) -> None:
        """Prepare both databases. Problems do not stop the start, because the pages show them."""
        try:
            call_command("prepare")
        except NotReady as problem:
            self.message("Starting with problems:")
            for sentence in str(problem).splitlines():
                self.message(sentence)
            self.stderr.flush()
        connections.close_all()

    def _serve(self) -> None:
        """Run the programs. This process holds the socket, so requests wait while the web server restarts."""
        host, port = settings.SERVER_HOST, settings.SERVER_PORT
        if "TZ" not in settings.SET_VARIABLES:
            os.environ.pop("TZ", None)  # Django sets it, and the programs show which variables are set
        with _listen(host, port) as listener:
            self.line(f"Serving http://{f'[{host}]' if ':' in host else host}:{port}{settings.BASE_PATH}/")
            self.stdout.flush()
            Supervisor([_web_server(listener), _worker(), _sender()]).run()


@contextlib.contextmanager
def _lock_storage(folder: Path) -> Iterator[None]:
    """Lock the storage folder against a second `up`. A folder that cannot be written to needs no lock."""
    path = folder / "up.lock"
    try:
        descriptor = lock_file(path, patience_seconds=_PATIENCE_SECONDS)
    except BlockingIOError:
        holder = path.read_text(errors="replace").strip()
        raise CommandError(
            f"`{program.NAME} up` is already running with the storage folder {path.parent}, as process "
            f"{holder or 'unknown'}. Stop it first, or set TVARR_STORAGE_BASE_DIR to another folder."
        ) from None
    except OSError:
        yield
        return
    try:
        with contextlib.suppress(OSError):  # on a full disk, a second `up` cannot name this process
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _web_server(listener: socket.socket) -> Program:
    command = [sys.executable, "-P", "-m", "gunicorn", "config.wsgi", "--bind", f"fd://{listener.fileno()}"]
    command += ["--config", str(program.ROOT / "config" / "gunicorn_conf.py")]  # not one in the working directory
    # No proxy names our base path or a header with an underscore, whatever GUNICORN_CMD_ARGS says.
    command += ["--forwarder-headers", "", "--header-map", "drop"]
    command += ["--forwarded-allow-ips", ",".join(settings.FORWARDED_ALLOW_IPS)]
    command += ["--worker-class", "config.gunicorn_worker.Worker", "--workers", "2", "--threads", str(_THREADS)]
    command += ["--worker-connections", str(_CONNECTIONS), "--no-control-socket"]
    command += ["--no-sendfile"]  # sendfile would wait forever for a client that reads nothing
    command += ["--graceful-timeout", str(GRACE_SECONDS - 1)]
    command += ["--logger-class", "config.gunicorn.Logger"]
    return Program("web server", command, passed_descriptors=[listener.fileno()], must_start=True)


def _worker() -> Program:
    return Program("worker", [*program.COMMAND, "worker"])


def _sender() -> Program:
    return Program("alerts", [*program.COMMAND, "notify"])


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Wait a few seconds for a port in use."""
    give_up = time.monotonic() + _PATIENCE_SECONDS
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
                    f"The web server cannot listen on TVARR_SERVER_HOST={host}, TVARR_SERVER_PORT={port}: "
                    f"{problem.strerror or problem}."
                ) from problem
            time.sleep(0.25)
        else:
            return listener
