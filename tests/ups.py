"""`up` in tests, as real processes on a real port."""

import re
import socket
import subprocess
import urllib.error
import urllib.request
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.installation import Installation
from tests.processes import family, wait_until


def free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass
class Up:
    """A running `up`, in a process group of its own."""

    process: subprocess.Popen[bytes]
    port: int
    log_path: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.address}/sign-in/", timeout=10) as page:
                return bool(page.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def is_complete(self) -> bool:
        """Whether all that belongs to it runs: itself, gunicorn with two workers, our worker, and the process that sends alerts."""
        ready = self.log.count(" worker.started ") == self.starts("worker")
        ready = ready and self.log.count(" sender.started ") == self.starts("alerts")
        return ready and len(family(self.process.pid)) == 6 and self.answers()

    def starts(self, word: str) -> int:
        """How often the log says that one of the programs was started."""
        return len(re.findall(rf' program\.started program="?{word}"? pid=', self.log))

    def program(self, word: str) -> psutil.Process:
        """The main process of one of the programs, found by a word of its command."""

        def found() -> psutil.Process | None:
            children = psutil.Process(self.process.pid).children()
            return next((child for child in children if word in child.cmdline()), None)

        process: psutil.Process | None = wait_until(found, f"the {word}")
        assert process is not None
        return process


def start_up(installation: Installation, port: int, *, apart: bool = False) -> Up:
    """Start it; what it prints goes to a log, and with `apart` only what it prints on standard error."""
    installation.environment["TVARR_SERVER_PORT"] = str(port)
    log = installation.data.parent / "up.log"
    with log.open("wb") as output, log.with_suffix(".out").open("wb") as results:
        process = subprocess.Popen(
            installation.command("up"),
            env=installation.variables(),
            cwd=installation.data.parent,
            stdout=results if apart else output,
            stderr=output,
            start_new_session=True,
        )
    return Up(process, port, log)
