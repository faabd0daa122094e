"""The worker: takes tasks from django-q2's queue, one at a time, and runs each in a process of its own.

django-q2's own cluster (a sentinel, a pusher, a monitor and a pool, joined by queues in shared memory) is not used: a
member that is killed keeps their locks for ever, a signal that arrives at a bad moment hangs the end, and tasks are
claimed long before they can be run. Here one process claims, starts, watches and ends; the other runs the task, and
nothing is shared between them. Of django-q2 remain the broker, the signed form of a task, its timeout, and the record of
how tasks ended.
"""

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from multiprocessing.context import ForkProcess
from types import FrameType
from typing import Any

import structlog
from django.db import DEFAULT_DB_ALIAS, close_old_connections, connections
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.brokers import Broker, get_broker
from django_q.conf import Conf
from django_q.exceptions import TimeoutException
from django_q.monitor import save_task
from django_q.signing import BadSignature, SignedPackage
from django_q.timeout import TimeoutHandler

from tvarr_backup import conf
from tvarr_backup.errors import BackupUnsupported, DatabaseUnusable
from tvarr_backup.operations import reserve, schedule, track
from tvarr_backup.operations.app_database import find_problem, renew_connection, require_app_database
from tvarr_backup.operations.disk import PROBE_SECONDS, probe_now
from tvarr_backup.operations.heartbeat import BEAT_SECONDS, Heartbeat
from tvarr_backup.operations.queue import RUN_OPERATION, find_forgotten
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.sightings import record_sighting
from tvarr_backup.processes import die_with_parent

GRACE_SECONDS = 6
"""How long a task may take to end when the worker stops; Docker kills everything after 10 s."""
_OVERTIME_SECONDS = 30
_RECONCILE_SECONDS = 10
_FORGOTTEN_SECONDS = 10
_SCHEDULE_SECONDS = 30
_FIRST_PROBE_SECONDS = 60.0
_RESERVE_SECONDS = 60
_SIGHTING_SECONDS = 10
_LOOK_SECONDS = 0.5
_AFTER_FAILURE_SECONDS = 1
_SECONDS_BETWEEN_COMPLAINTS = 60

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

logger = structlog.stdlib.get_logger(__name__)
_processes = multiprocessing.get_context("fork")


class _Outage:
    """A failure that lasts, such as a server that is gone. It is logged when it begins, every minute, and when it is over."""

    def __init__(self) -> None:
        self._logged_at: float | None = None

    def log(self, problem: Exception, event: str, **members: Any) -> None:
        """Log the failure if that is due; with its place in the code only when it begins."""
        begins, now = self._logged_at is None, time.monotonic()
        if self._logged_at is None or now - self._logged_at >= _SECONDS_BETWEEN_COMPLAINTS:
            self._logged_at = now
            logger.error(event, **members, reason=conf.in_a_line(problem), exc_info=problem if begins else None)

    def end(self, event: str, **members: Any) -> None:
        """Log the end of the failure, if there was one."""
        if self._logged_at is not None:
            self._logged_at = None
            logger.info(event, **members)


@dataclass
class _Chore:
    """Something to be done every so many seconds. When it fails, that is logged, and it is tried again next time."""

    name: str
    seconds: float
    do: Callable[[], object]
    needs_app_database: bool = True
    while_idle: bool = False
    """Whether it waits until the queue is empty."""
    due: float = field(default_factory=time.monotonic)
    outage: _Outage = field(default_factory=_Outage)

    def do_if_due(self) -> None:
        if time.monotonic() < self.due:
            return
        close_old_connections()
        try:
            self.do()
        except Exception as problem:  # noqa: BLE001  # logged, with its place the first time
            if not self.needs_app_database or find_problem() is None:  # otherwise that has been logged
                self.outage.log(problem, "worker.chore_failed", chore=self.name, retry_seconds=self.seconds)
        else:
            self.outage.end("worker.chore_recovered", chore=self.name)
        self.due = time.monotonic() + self.seconds


class Worker:
    """Runs until a signal. A second worker on the same storage folder is refused with `WorkerRunning`."""

    def __init__(self) -> None:
        self._is_stop_requested = False
        self._is_idle = False
        self._leaves_work = False
        self._outage = _Outage()
        self._heartbeat = Heartbeat()
        self._chores = [
            _Chore("sign of life", BEAT_SECONDS, self._heartbeat.beat, needs_app_database=False),
            _Chore("reserve", _RESERVE_SECONDS, reserve.keep, needs_app_database=False),
            _Chore("reconciliation", _RECONCILE_SECONDS, reconcile),
            _Chore("forgotten operations", _FORGOTTEN_SECONDS, self._perform_forgotten, while_idle=True),
            _Chore("schedule", _SCHEDULE_SECONDS, self._request_due, while_idle=True),
            _Chore("schema of tvarr's database", _SIGHTING_SECONDS, record_sighting),
            _Chore("trial of the backup folder", PROBE_SECONDS, probe_now, due=time.monotonic() + _FIRST_PROBE_SECONDS),
        ]

    def run(self) -> None:
        """Return after an orderly end: no process is left, and the task that was running has ended."""
        for number in _STOP_SIGNALS:
            signal.signal(number, self._request_stop)
        self._wait_for_app_database()
        if self._must_stop():
            return
        with self._heartbeat:
            logger.info("worker.started", pid=os.getpid())
            while not self._must_stop():
                self._do_chores()
                for task in self._claim():
                    if not self._must_stop():  # otherwise the next worker finds the operation
                        self._perform(task)
            connections.close_all()
            logger.info("worker.stopped", pid=os.getpid())

    def _wait_for_app_database(self) -> None:
        """Return when this program's own database can be used, or after a signal. Why it waits is logged once."""
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

    def _request_stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._is_stop_requested = True  # no event: a second signal could find its lock taken

    def _must_stop(self) -> bool:
        return self._is_stop_requested

    def _do_chores(self) -> None:
        for chore in self._chores:
            if self._must_stop() or (chore.while_idle and not self._is_idle):
                continue
            if not chore.needs_app_database or self._can_work():
                chore.do_if_due()

    def _can_work(self) -> bool:
        """Whether this program's own database can be used; the log says when that changes."""
        if find_problem() is not None:
            connections[DEFAULT_DB_ALIAS].close()
            return False
        renew_connection()
        return True

    @cached_property
    def _broker(self) -> Broker:
        """Made when the database can be used, which it opens."""
        return get_broker()

    @cached_property
    def _are_backups_supported(self) -> bool:
        """Whether there can be scheduled backups. The log says once why not, and which settings cannot be read."""
        try:
            conf.live_database()
        except BackupUnsupported as problem:
            logger.warning("schedule.unsupported", reason=str(problem))
            return False
        schedule.report_problems()
        return True

    def _request_due(self) -> None:
        if self._are_backups_supported:
            schedule.request_due()

    # --- Claiming ----------------------------------------------------------------------------------------------------

    def _claim(self) -> list[dict[str, Any]]:
        """Return what the queue hands out now, and wait a second when there is nothing.

        The queue's table locks a task for the time of a retry, and hands it out again then. That is harmless, because an
        operation is begun once.
        """
        self._is_idle = False
        if not self._can_work() or self._must_leave_work():
            time.sleep(_AFTER_FAILURE_SECONDS)
            return []
        tasks = []
        close_old_connections()
        try:
            delivered = self._broker.dequeue() or ()
            self._is_idle = not delivered
            for ack_id, payload in delivered:
                try:
                    task = SignedPackage.loads(payload)
                except (TypeError, BadSignature):
                    logger.error("task.foreign", reason="It is not signed with this installation's key.")  # noqa: TRY400  # the place in the code says nothing
                    self._broker.fail(ack_id)
                    continue
                tasks.append(task | {"cluster": Conf.CLUSTER_NAME, "ack_id": ack_id})
        except Exception as problem:  # noqa: BLE001  # the same
            self._outage.log(problem, "queue.unreadable", retry_seconds=_AFTER_FAILURE_SECONDS)
            time.sleep(_AFTER_FAILURE_SECONDS)
        else:
            self._outage.end("queue.readable")
        return tasks

    def _perform_forgotten(self) -> None:
        """Do an operation that has lost its task."""
        operation = None if self._must_leave_work() else find_forgotten()
        if operation is not None:
            self._is_idle = False
            logger.warning("task.redelivered", **operation.as_context())
            pk = str(operation.pk)
            self._perform(
                {"id": pk, "name": pk, "func": RUN_OPERATION, "args": (pk,), "kwargs": {}, "started": timezone.now()}
            )

    def _must_leave_work(self) -> bool:
        """Whether only other workers can do the work. Changes are logged."""
        if self._leaves_work != self._heartbeat.leaves_work:
            self._leaves_work = self._heartbeat.leaves_work
            if self._leaves_work:
                logger.warning("worker.leaves_work", reason="The database or the backup folder is not here.")
            else:
                logger.info("worker.takes_work")
        return self._leaves_work

    # --- Running -----------------------------------------------------------------------------------------------------

    def _perform(self, task: dict[str, Any]) -> None:
        """Run one task to its end, its timeout, or the end of the grace after a signal."""
        process, is_terminated = self._start(task), False
        timeout = task.get("timeout", Conf.TIMEOUT)
        deadline = time.monotonic() + timeout + _OVERTIME_SECONDS if timeout else float("inf")
        while process.is_alive():
            process.join(_LOOK_SECONDS)
            self._do_chores()
            if self._must_stop() and not is_terminated:
                is_terminated = True
                deadline = min(deadline, time.monotonic() + GRACE_SECONDS)
                if process.is_alive():
                    logger.info("task.told_to_end", task=task["name"], pid=process.pid)
                    process.terminate()
            if time.monotonic() > deadline:
                process.kill()
        status = process.exitcode
        process.close()
        if status:
            self._clear_up(task, status)

    def _start(self, task: dict[str, Any]) -> ForkProcess:
        """Fork without an open database, and with signals held back until the child has its own handlers."""
        connections.close_all()
        process = _processes.Process(target=_run, args=(os.getpid(), self._heartbeat, task), name="task")
        held_back = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held_back)
        return process

    def _clear_up(self, task: dict[str, Any], status: int) -> None:
        """Do for a process that was killed, or failed outside its task, what it could not do itself."""
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        logger.error("task.died", task=task["name"], how=how)
        result = {"success": False, "result": f"Its process ended with {how}.", "stopped": timezone.now()}
        try:
            _record(task | result)
            reconcile()
        except Exception:
            logger.exception("worker.chore_failed", chore="reconciliation", retry_seconds=_RECONCILE_SECONDS)


def _run(parent: int, heartbeat: Heartbeat, task: dict[str, Any]) -> None:
    """Run a task in a process of its own, and record how it ended.

    The process is killed when the worker ends; then the next worker clears up. At a SIGTERM it ends its operation itself.
    """
    die_with_parent(parent, signal.SIGKILL)
    track.stop_on_sigterm()
    for number in (signal.SIGINT, signal.SIGHUP):  # they reach the worker too, which passes them on as SIGTERM
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
    heartbeat.close_in_child()
    try:
        _record(task | _call(task))
    except Exception:
        logger.exception("task.unrecorded", task=task["name"])
        sys.exit(1)
    connections.close_all()


def _call(task: Mapping[str, Any]) -> dict[str, Any]:
    """Call the function of a task. Return how that ended, as django-q2 records it."""
    try:
        with TimeoutHandler(task.get("timeout", Conf.TIMEOUT)):
            result, success = import_string(task["func"])(*task["args"], **task["kwargs"]), True
    except (Exception, TimeoutException) as problem:  # whatever it is, it is logged
        result, success = f"{problem} : {traceback.format_exc()}", False
        logger.error("task.failed", task=task["name"], reason=str(problem), exc_info=problem)  # noqa: TRY400  # the same
    return {"result": result, "success": success, "stopped": timezone.now()}


def _record(task: dict[str, Any]) -> None:
    """Keep how a task ended, and take it off the queue."""
    broker = get_broker()
    save_task(task, broker)
    if task.get("ack_id"):
        broker.acknowledge(task["ack_id"])
