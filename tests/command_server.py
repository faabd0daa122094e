"""Runs `manage.py` in forks of a process that has imported Django already: starting Python takes most of a command's time.

A fork is a process of its own, with its own environment, folder, standard streams and exit status. The server imports
only what can be imported without settings, so each fork reads its settings like any start does.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import pickle
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_READ_AT_THE_START = ("PYTHON", "LANG", "LC_", "COV", "LD_")
"""How the names of variables begin that are read when Python starts, before any command does."""
_SHARED = ("PATH", "HOME", "LANG")


def can_run(variables: Mapping[str, str]) -> bool:
    """Whether a fork does what a new process with these variables would do."""
    names = {name for name in variables if name.startswith(_READ_AT_THE_START)}
    return all(name in _SHARED and variables[name] == os.environ.get(name) for name in names)


class CommandServer:
    """The server, which ends with the process that has started it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tvarr-backup-commands-")
        self._address = f"{self._folder.name}/socket"
        self._process = subprocess.Popen(
            [sys.executable, __file__, self._address],
            env={name: os.environ[name] for name in _SHARED if name in os.environ},
            cwd=self._folder.name,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        atexit.register(self._end)

    def run(
        self, arguments: list[str], *, cwd: Path, env: Mapping[str, str], stdin: str | None, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run `manage.py` to its end, as `subprocess.run` does. Raises `TimeoutExpired` after killing it."""
        request = pickle.dumps((list(map(str, arguments)), str(cwd), dict(env)))
        ends = [os.pipe() for _ in range(3)]
        ours, theirs = [ends[0][1], ends[1][0], ends[2][0]], [ends[0][0], ends[1][1], ends[2][1]]
        with contextlib.closing(self._connect()) as connection:
            socket.send_fds(connection, [len(request).to_bytes(4, "big")], theirs)
            connection.sendall(request)
            for descriptor in theirs:
                os.close(descriptor)
            texts = ["", "", ""]
            threads = [threading.Thread(target=_write, args=(ours[0], stdin or ""))]
            threads += [threading.Thread(target=_read, args=(ours[number], texts, number)) for number in (1, 2)]
            for thread in threads:
                thread.start()
            pid = int.from_bytes(connection.recv(4), "big")
            connection.settimeout(timeout)
            try:
                status = int.from_bytes(connection.recv(4), "big", signed=True)
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(arguments, timeout) from None
            finally:
                for thread in threads:
                    thread.join()
        return subprocess.CompletedProcess(arguments, status, texts[1], texts[2])

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        while True:
            try:
                connection.connect(self._address)
            except OSError:
                assert self._process.poll() is None, "the server of commands has ended"
                time.sleep(0.02)
            else:
                return connection

    def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()


def _write(descriptor: int, text: str) -> None:
    with contextlib.suppress(BrokenPipeError), open(descriptor, "w") as stream:
        stream.write(text)


def _read(descriptor: int, texts: list[str], number: int) -> None:
    with open(descriptor) as stream:
        texts[number] = stream.read()


# --- The server's own process ----------------------------------------------------------------------------------------


def _main(address: str) -> None:
    sys.path[0] = str(_ROOT)
    _import_what_needs_no_settings()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:  # the process that runs the tests has ended
            os._exit(0)
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _become_command(connection)
            return
        connection.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _import_what_needs_no_settings() -> None:
    """Import what a start of Django imports; what asks for settings at that moment fails, and each command imports it."""
    for name in _imported_by_a_start():
        if not name.startswith(("__main__", "config")):
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def _imported_by_a_start() -> list[str]:
    """Return the names of all modules that Django and our commands import, as a process of its own finds them."""
    read, write = os.pipe()
    if os.fork() == 0:
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
        importlib.import_module("django").setup()
        for path in (_ROOT / "tvarr_backup" / "management" / "commands").glob("[a-z]*.py"):
            importlib.import_module(f"tvarr_backup.management.commands.{path.stem}")
        importlib.import_module("config.urls")
        with open(write, "wb") as stream:  # noqa: PTH123  # a number
            stream.write(pickle.dumps(list(sys.modules)))
        os._exit(0)
    os.close(write)
    with open(read, "rb") as stream:  # noqa: PTH123
        names: list[str] = pickle.loads(stream.read())
    os.wait()
    return names


def _become_command(connection: socket.socket) -> None:
    """Become a command in a further fork, and return; this one sends the command's number, then its exit status."""
    size, streams, _, _ = socket.recv_fds(connection, 4, 3)
    request = connection.makefile("rb").read(int.from_bytes(size, "big"))
    pid = os.fork()
    if pid == 0:
        connection.close()
        _be_as_started(streams, *pickle.loads(request))
        return
    for descriptor in streams:
        os.close(descriptor)
    connection.sendall(pid.to_bytes(4, "big"))
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(OSError):
        connection.sendall(status.to_bytes(4, "big", signed=True))
    os._exit(0)


def _be_as_started(streams: list[int], arguments: list[str], cwd: str, env: dict[str, str]) -> None:
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    random.seed()
    sys.argv = [str(_ROOT / "manage.py"), *arguments]


if __name__ == "__main__":
    _main(sys.argv[1])
    importlib.import_module("tvarr_backup.__main__").main()
