"""The worker: takes tasks from django-q2's queue, one at a time, and runs each in a process of its own.

django-q2's own cluster (a sentinel, a pusher, a monitor and a pool, joined by queues in shared memory) is not used: a
member that is killed keeps their locks for ever, a signal that arrives at a bad moment hangs the end, and tasks are
claimed long before they can be run. Here one process claims, starts, watches and ends; the other runs the task, with
django-q2's functions for that, and nothing is shared between them.
"""

import multiprocessing
import os
import queue
import signal
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing.context import ForkProcess
from types import FrameType, SimpleNamespace
from typing import Any

import structlog
from django.db import DEFAULT_DB_ALIAS, close_old_connections, connections
from django.utils import timezone
from django_q.brokers import Broker, get_broker
from django_q.conf import Conf
from django_q.monitor import monitor
from django_q.scheduler import scheduler
from django_q.signing import BadSignature, SignedPackage
from django_q.worker import worker as run_tasks

from tvarr_backup import conf
from tvarr_backup.errors import BackupUnsupported, DatabaseUnusable
from tvarr_backup.operations import reserve, schedule, track
from tvarr_backup.operations.app_database import find_problem, renew_connection, require_app_database
from tvarr_backup.operations.heartbeat import BEAT_SECONDS, Heartbeat
from tvarr_backup.operations.probe import PROBE_SECONDS, probe_now
from tvarr_backup.operations.queue import deliver_again
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.sightings import record_sighting
from tvarr_backup.processes import die_with_parent

GRACE_SECONDS = 6
"""How long a task may take to end when the worker is told to stop; Docker kills everything after 10 s."""
_OVERTIME_SECONDS = 30
_RECONCILE_SECONDS = 10
_SCHEDULE_SECONDS = 30
_FIRST_PROBE_SECONDS = 60.0
_RESERVE_SECONDS = 60
_SIGHTING_SECONDS = 10
_LOOK_SECONDS = 0.5
_AFTER_FAILURE_SECONDS = 1
_SECONDS_BETWEEN_COMPLAINTS = 60

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_END = "STOP"  # django-q2's word for the end of its queues

logger = structlog.stdlib.get_logger(__name__)
_processes = multiprocessing.get_context("fork")


class _Trouble:
    """A failure that lasts, such as a server that is gone: told when it begins, every minute, and when it is over."""

    def __init__(self) -> None:
        self._told_at: float | None = None

    def is_to_be_told(self) -> bool:
        return self._told_at is None or time.monotonic() - self._told_at >= _SECONDS_BETWEEN_COMPLAINTS

    def told(self, problem: Exception) -> dict[str, Any]:
        """What to tell now: where it is in the code only when it begins."""
        begins, self._told_at = self._told_at is None, time.monotonic()
        return {"reason": conf.in_a_line(problem), "exc_info": problem if begins else None}

    def is_over(self) -> bool:
        """Whether this is the first success after it was told."""
        was_told, self._told_at = self._told_at is not None, None
        return was_told


@dataclass
class _Chore:
    """Something to be done every so many seconds; when it fails, that is logged and it is tried again next time."""

    name: str
    seconds: float
    do: Callable[[], object]
    needs_app_database: bool = True
    due: float = field(default_factory=time.monotonic)
    trouble: _Trouble = field(default_factory=_Trouble)

    def do_if_due(self) -> None:
        if time.monotonic() < self.due:
            return
        close_old_connections()
        try:
            self.do()
        except Exception as problem:  # noqa: BLE001  # told, with its place the first time
            if self.trouble.is_to_be_told():
                logger.error(  # noqa: TRY400  # the same
                    "worker.chore_failed", chore=self.name, retry_seconds=self.seconds, **self.trouble.told(problem)
                )
        else:
            if self.trouble.is_over():
                logger.info("worker.chore_recovered", chore=self.name)
        self.due = time.monotonic() + self.seconds


@dataclass(frozen=True)
class _Claim:
    """A task taken from the queue: the row's id, what is in the row, and what that says."""

    ack_id: Any
    payload: str
    task: dict[str, Any]


class Worker:
    """Runs until told to by a signal. A worker on the same storage folder is refused with `WorkerRunning`."""

    def __init__(self) -> None:
        self._told_to_stop = False
        self._has_armed = False
        self._leaves_work = False
        self._trouble = _Trouble()
        self._heartbeat = Heartbeat()
        self._chores = [
            _Chore("sign of life", BEAT_SECONDS, self._heartbeat.beat, needs_app_database=False),
            _Chore("reserve", _RESERVE_SECONDS, reserve.keep, needs_app_database=False),
            _Chore("reconciliation", _RECONCILE_SECONDS, self._reconcile),
            _Chore("schedule", _SCHEDULE_SECONDS, self._look_at_schedule),
            _Chore("schema of tvarr's database", _SIGHTING_SECONDS, record_sighting),
            _Chore("trial of the backup folder", PROBE_SECONDS, probe_now, due=time.monotonic() + _FIRST_PROBE_SECONDS),
        ]

    def run(self) -> None:
        """Return after an orderly end: no process is left, and the task that was running has been told and has ended."""
        for number in _STOP_SIGNALS:
            signal.signal(number, self._heed)
        self._wait_for_app_database()
        if self._must_stop():
            return
        with self._heartbeat:
            logger.info("worker.started", pid=os.getpid())
            while not self._must_stop():
                self._do_chores()
                for claim in self._claim():
                    if self._must_stop():
                        self._give_back(claim)
                    else:
                        self._perform(claim)
            connections.close_all()
            logger.info("worker.stopped", pid=os.getpid())

    def _wait_for_app_database(self) -> None:
        """Return when this program's own database can be used, or when told to stop. Why it waits is logged once."""
        known: object = None
        while not self._must_stop():
            try:
                require_app_database()
            except DatabaseUnusable as problem:
                if known != problem.identity:
                    known = problem.identity
                    logger.warning("worker.waits", reason=str(problem), code=problem.code)
                time.sleep(_AFTER_FAILURE_SECONDS)
            else:
                return

    def _heed(self, _signal: int, _frame: FrameType | None) -> None:
        self._told_to_stop = True

    def _must_stop(self) -> bool:
        return self._told_to_stop

    def _do_chores(self) -> None:
        for chore in self._chores:
            if not self._must_stop() and (not chore.needs_app_database or self._can_work()):
                chore.do_if_due()

    def _can_work(self) -> bool:
        """Whether this program's own database can be used; the log says when that changes."""
        if find_problem() is not None:
            connections[DEFAULT_DB_ALIAS].close()
            return False
        renew_connection()
        return True

    def _reconcile(self) -> None:
        """End what dead processes have left, and see that what waits is handed out."""
        reconcile()
        deliver_again()

    @cached_property
    def _broker(self) -> Broker:
        """Made when the database can be used, which it opens."""
        return get_broker()

    @cached_property
    def _are_backups_supported(self) -> bool:
        """Asked, and told, once."""
        try:
            conf.live_database()
        except BackupUnsupported as problem:
            logger.warning("schedule.unsupported", reason=str(problem))
            return False
        return True

    def _look_at_schedule(self) -> None:
        """Queue the scheduled backup if it is due, else the nightly check; the first time also what a dead worker had taken."""
        if not self._are_backups_supported:
            return
        schedule.arm(worker_starts=not self._has_armed)
        self._has_armed = True
        scheduler(broker=self._broker)
        schedule.hand_out_check()

    # --- Claiming ----------------------------------------------------------------------------------------------------

    def _claim(self) -> list[_Claim]:
        """What the queue hands out now; waits a second when there is nothing. Its table locks it for a retry's time."""
        if not self._can_work() or self._must_leave_work():
            time.sleep(_AFTER_FAILURE_SECONDS)
            return []
        claims = []
        close_old_connections()
        try:
            for ack_id, payload in self._broker.dequeue() or ():
                try:
                    task = SignedPackage.loads(payload)
                except (TypeError, BadSignature):
                    logger.error("task.foreign", reason="It is not signed with this installation's key.")  # noqa: TRY400  # the place in the code says nothing
                    self._broker.fail(ack_id)
                    continue
                claims.append(_Claim(ack_id, payload, task | {"cluster": Conf.CLUSTER_NAME, "ack_id": ack_id}))
        except Exception as problem:  # noqa: BLE001  # the same
            if self._trouble.is_to_be_told():
                logger.error(  # noqa: TRY400  # the same
                    "queue.unreadable", retry_seconds=_AFTER_FAILURE_SECONDS, **self._trouble.told(problem)
                )
            time.sleep(_AFTER_FAILURE_SECONDS)
        else:
            if self._trouble.is_over():
                logger.info("queue.readable")
        return claims

    def _must_leave_work(self) -> bool:
        """Whether only others can do it; told when that changes."""
        if self._leaves_work != self._heartbeat.leaves_work:
            self._leaves_work = self._heartbeat.leaves_work
            if self._leaves_work:
                logger.warning("worker.leaves_work", reason="The database or the backup folder is not here.")
            else:
                logger.info("worker.takes_work")
        return self._leaves_work

    def _give_back(self, claim: _Claim) -> None:
        """Queue it anew first: twice in the queue is harmless (an operation is begun once).

        Where that is refused, the operation is delivered again by the next worker.
        """
        try:
            self._broker.enqueue(claim.payload)
            self._broker.acknowledge(claim.ack_id)
        except Exception:
            logger.exception("task.kept", task=claim.task["name"])

    # --- Running -----------------------------------------------------------------------------------------------------

    def _perform(self, claim: _Claim) -> None:
        """Run one task to its end, its timeout, or the end of the grace after being told to stop."""
        process = self._start(claim)
        timeout = claim.task.get("timeout", Conf.TIMEOUT)
        deadline = time.monotonic() + timeout + _OVERTIME_SECONDS if timeout else float("inf")
        told = False
        while process.is_alive():
            process.join(_LOOK_SECONDS)
            self._do_chores()
            if self._must_stop() and not told:
                told = True
                deadline = min(deadline, time.monotonic() + GRACE_SECONDS)
                if process.is_alive():
                    logger.info("task.told_to_end", task=claim.task["name"], pid=process.pid)
                    process.terminate()
            if time.monotonic() > deadline:
                process.kill()
        status = process.exitcode
        process.close()
        if status:
            self._clear_up(claim, status)

    def _start(self, claim: _Claim) -> ForkProcess:
        """Fork without an open database, and with signals held back until the child has its own handlers."""
        connections.close_all()
        process = _processes.Process(target=_run, args=(os.getpid(), self._heartbeat, claim.task), name="task")
        held_back = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held_back)
        return process

    def _clear_up(self, claim: _Claim, status: int) -> None:
        """Do for a process that was killed, or failed outside its task, what it could not do itself."""
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        logger.error("task.died", task=claim.task["name"], how=how)
        result = {"success": False, "result": f"Its process ended with {how}.", "stopped": timezone.now()}
        try:
            _record(claim.task | result)
            reconcile()
        except Exception:
            logger.exception("worker.chore_failed", chore="reconciliation", retry_seconds=_RECONCILE_SECONDS)


def _run(parent: int, heartbeat: Heartbeat, task: dict[str, Any]) -> None:
    """In the process of a task: run it and record how that went, as django-q2's own processes do.

    It is killed when the worker ends, and then the next worker clears up. Told to end, it ends its operation itself.
    """
    die_with_parent(parent, signal.SIGKILL)
    track.stop_on_sigterm()
    for number in (signal.SIGINT, signal.SIGHUP):  # they reach the worker too, which passes them on as SIGTERM
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
    heartbeat.let_go()
    tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
    results: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for item in (task, _END):
        tasks.put(item)
    try:
        run_tasks(tasks, results, SimpleNamespace(value=-1, get_lock=nullcontext), Conf.TIMEOUT)
        _record(results.get_nowait())
    except Exception:
        logger.exception("task.unrecorded", task=task["name"])
        sys.exit(1)
    connections.close_all()


def _record(task: dict[str, Any]) -> None:
    """Keep the result where django-q2's pages show it, and take the task off the queue."""
    results: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for item in (task, _END):
        results.put(item)
    monitor(results, get_broker())
