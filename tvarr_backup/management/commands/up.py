"""`up`: prepare, then serve and work."""

import errno
import signal
import socket
import sys
import time
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from tvarr_backup import program
from tvarr_backup.errors import ProgramNotStarted
from tvarr_backup.supervisor import GRACE_SECONDS, Program, Supervisor

_BACKLOG = 2048  # gunicorn's own
_SECONDS_FOR_PORT = 5


class Command(BaseCommand):
    """Looks after the web server and the worker, each with processes of its own. Told to stop, it ends with 0."""

    help = "Prepare both databases, then run the web server and the worker until stopped."
    requires_system_checks = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        """The listening socket is ours: it outlives a web server that dies, and no request is refused meanwhile."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(0))  # until the supervisor has handlers of its own
        call_command("prepare")
        connections.close_all()
        host, port = settings.SERVER_HOST, settings.SERVER_PORT
        with _listen(host, port) as listener:
            self.stdout.write(f"Serving http://{f'[{host}]' if ':' in host else host}:{port}/")
            self.stdout.flush()
            try:
                Supervisor([_web_server(listener), _worker()]).run()
            except ProgramNotStarted as problem:
                raise CommandError(str(problem)) from problem


def _web_server(listener: socket.socket) -> Program:
    command = [sys.executable, "-P", "-m", "gunicorn", "config.wsgi", "--bind", f"fd://{listener.fileno()}"]
    command += ["--config", str(program.ROOT / "config" / "gunicorn_conf.py")]  # whatever the working directory is
    command += ["--forwarded-allow-ips", ",".join(settings.FORWARDED_ALLOW_IPS)]
    command += ["--worker-class", "gthread", "--workers", "2", "--threads", "4", "--no-control-socket"]
    command += ["--graceful-timeout", str(GRACE_SECONDS - 1)]
    command += ["--logger-class", "config.gunicorn.Logger"]
    return Program("The web server", command, passed_descriptors=[listener.fileno()], must_start=True)


def _worker() -> Program:
    return Program("The worker", [*program.COMMAND, "worker"])


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
