"""Start programs, restart them when they end, and stop them together."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import FrameType

import psutil
import structlog

from tvarr_backup.errors import ProgramNotStarted
from tvarr_backup.processes import adopt_orphans, die_with_parent

GRACE_SECONDS = 8
"""How long programs may take to stop. Docker kills everything after 10 s."""
_KILL_SECONDS = 5
_FIRST_DELAY_SECONDS = 1
_LONGEST_DELAY_SECONDS = 30
_LASTING_SECONDS = 60
"""A program that ran this long is restarted with the first delay."""
_START_SECONDS = 15
_POLL_SECONDS = 0.2

logger = structlog.stdlib.get_logger(__name__)


@dataclass
class Program:
    name: str
    command: Sequence[str]
    passed_descriptors: Sequence[int] = ()
    must_start: bool = False
    """Whether to give up if the very first start fails."""

    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    started: float = 0
    delay: int = 0
    due: float = 0

    def start(self) -> None:
        """Start the program in its own session, so that signals of the terminal reach only the supervisor."""
        parent = os.getpid()
        self.process = subprocess.Popen(  # noqa: S603  # our own programs, no shell
            self.command,
            pass_fds=self.passed_descriptors,
            start_new_session=True,
            preexec_fn=lambda: die_with_parent(parent, signal.SIGTERM),  # noqa: PLW1509  # this process has one thread
        )
        self.starts += 1
        self.started = time.monotonic()
        logger.info("program.started", program=self.name, pid=self.process.pid)

    def fails_to_start(self, status: int) -> bool:
        """Return whether this exit status means that the program cannot run here. Being killed does not."""
        return self.must_start and self.starts == 1 and status > 0 and time.monotonic() - self.started < _START_SECONDS

    def delay_restart(self) -> None:
        """Schedule the next start: after 1, 2, 4 ... seconds, at most 30."""
        lasted = time.monotonic() - self.started >= _LASTING_SECONDS
        self.delay = _FIRST_DELAY_SECONDS if lasted or not self.delay else min(2 * self.delay, _LONGEST_DELAY_SECONDS)
        self.due = time.monotonic() + self.delay


class Supervisor:
    """Runs programs until SIGTERM, SIGINT or SIGHUP, and leaves no process behind."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self._programs = programs
        self._is_stop_requested = False

    def run(self) -> None:
        """Run until a signal. Raise `ProgramNotStarted` if a program that must start does not."""
        adopt_orphans()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._request_stop)
        try:
            while not self._is_stop_requested:
                self._start_due_programs()
                time.sleep(_POLL_SECONDS)
                for program, status in self._reap():
                    self._schedule_restart(program, status)
        finally:
            self._stop()

    def _request_stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._is_stop_requested = True

    def _start_due_programs(self) -> None:
        for program in self._programs:
            if program.process is None and time.monotonic() >= program.due:
                _send(signal.SIGKILL, self._find_orphans())
                program.start()

    def _schedule_restart(self, program: Program, status: int) -> None:
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        if program.fails_to_start(status):
            raise ProgramNotStarted(
                "The {name} could not start ({how}). Its own message is above.", name=program.name, how=how
            )
        program.delay_restart()
        logger.warning("program.ended", program=program.name, how=how, restart_seconds=program.delay)
        _send(signal.SIGTERM, self._find_orphans())

    def _reap(self) -> Iterator[tuple[Program, int]]:
        """Yield programs that have ended, with their exit status. Reap adopted orphans too."""
        while pid := _find_dead_child():
            program = next((each for each in self._programs if each.process and each.process.pid == pid), None)
            if program is None or program.process is None:
                os.waitpid(pid, 0)
                continue
            status = program.process.wait()
            program.process = None
            yield program, status

    def _find_orphans(self) -> list[psutil.Process]:
        """Return processes that ended programs have left behind. They are our own children now."""
        programs = [program.process.pid for program in self._programs if program.process]
        return [child for child in psutil.Process().children() if child.pid not in programs]

    def _stop(self) -> None:
        """Terminate the programs, and kill what is left after the grace period."""
        for program in self._programs:
            if program.process:
                program.process.terminate()
        _send(signal.SIGTERM, self._find_orphans())
        grace = time.monotonic() + GRACE_SECONDS
        while psutil.Process().children() and time.monotonic() < grace + _KILL_SECONDS:
            for program, status in self._reap():
                logger.info("program.stopped", program=program.name, status=status)
            if time.monotonic() > grace:
                logger.warning("program.killed", grace_seconds=GRACE_SECONDS)
                _send(signal.SIGKILL, psutil.Process().children(recursive=True))
            time.sleep(_POLL_SECONDS)


def _send(number: signal.Signals, processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _find_dead_child() -> int | None:
    """Return the pid of a child that has ended, without reaping it, so that the pid is not reused yet."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return found.si_pid if found else None
