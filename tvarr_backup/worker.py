"""The worker: takes tasks from django-q2's queue, one at a time, and runs each in its own process.

Operations of locations have no task: the worker finds them, and runs up to two of them beside the task.

It uses django-q2's broker, signatures, timeout and records, but not its cluster: there, a killed member keeps locks in shared
memory, a signal to the group can hang its end, and tasks are claimed long before they can run. Here the two processes share
nothing.
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
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, close_old_connections, connections
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
from tvarr_backup.operations import history, locations, reserve, schedule, settings_backup, track
from tvarr_backup.operations.app_database import find_problem, renew_connection, require_app_database
from tvarr_backup.operations.disk import PROBE_SECONDS, probe_now
from tvarr_backup.operations.heartbeat import BEAT_SECONDS, Heartbeat
from tvarr_backup.operations.models import Operation
from tvarr_backup.operations.queue import RUN_OPERATION, find_forgotten
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.sightings import record_sighting
from tvarr_backup.processes import die_with_parent

GRACE_SECONDS = 6
"""How long a task may take to stop when the worker stops. Docker kills everything after 10 s."""
_OVERTIME_SECONDS = 30
_RECONCILE_SECONDS = 10
_FORGOTTEN_SECONDS = 10
_SCHEDULE_SECONDS = 30
_FIRST_PROBE_SECONDS = 60.0
_RESERVE_SECONDS = 60
_SIGHTING_SECONDS = 10
_SETTINGS_SECONDS = 60
_LOCATIONS_SECONDS = 2
_DUE_LOCATIONS_SECONDS = 15
_MOST_BESIDE = 2
"""How many operations of locations run beside the others."""
_POLL_SECONDS = 0.5
_RETRY_SECONDS = 1
_LOG_INTERVAL_SECONDS = 60

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

logger = structlog.stdlib.get_logger(__name__)
_processes = multiprocessing.get_context("fork")


class _Outage:
    """A lasting failure, such as an unreachable server. It is logged when it begins, once a minute, and when it ends."""

    def __init__(self) -> None:
        self._logged_at: float | None = None

    def log(self, problem: Exception, event: str, **members: Any) -> None:
        """Log the failure if it is due, with a traceback only the first time."""
        is_first, now = self._logged_at is None, time.monotonic()
        if self._logged_at is None or now - self._logged_at >= _LOG_INTERVAL_SECONDS:
            self._logged_at = now
            logger.error(event, **members, reason=conf.in_a_line(problem), exc_info=problem if is_first else None)

    def end(self, event: str, **members: Any) -> None:
        if self._logged_at is not None:
            self._logged_at = None
            logger.info(event, **members)


_database_outage = _Outage()
"""Of a database that does not answer. It is one failure for all chores."""


@dataclass
class _Chore:
    """A regular task of the worker. A failure is logged, and it is tried again next time."""

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
        except Exception as problem:  # noqa: BLE001  # logged
            if self.needs_app_database and find_problem() is not None:
                pass  # it is logged elsewhere
            elif isinstance(problem, (OperationalError, InterfaceError)):
                _database_outage.log(problem, "worker.database_failed", retry_seconds=self.seconds)
            else:
                self.outage.log(problem, "worker.chore_failed", chore=self.name, retry_seconds=self.seconds)
        else:
            self.outage.end("worker.chore_recovered", chore=self.name)
            if self.needs_app_database:
                _database_outage.end("worker.database_recovered")
        self.due = time.monotonic() + self.seconds


class Worker:
    """Runs until a signal. Raises `WorkerRunning` if another worker uses the same storage folder."""

    def __init__(self) -> None:
        self._is_stop_requested = False
        self._is_idle = False
        self._leaves_work = False
        self._outage = _Outage()
        self._heartbeat = Heartbeat()
        self._beside: list[tuple[ForkProcess, dict[str, Any]]] = []
        self._chores = [
            _Chore("heartbeat", BEAT_SECONDS, self._heartbeat.beat, needs_app_database=False),
            _Chore("reserved space", _RESERVE_SECONDS, reserve.keep, needs_app_database=False),
            _Chore("reconciliation", _RECONCILE_SECONDS, reconcile),
            _Chore("lost tasks", _FORGOTTEN_SECONDS, self._perform_forgotten, while_idle=True),
            _Chore("schedule", _SCHEDULE_SECONDS, self._request_due, while_idle=True),
            _Chore("schema", _SIGHTING_SECONDS, record_sighting),
            _Chore("locations", _LOCATIONS_SECONDS, self._perform_beside),
            _Chore("copies", _DUE_LOCATIONS_SECONDS, locations.request_due),
            _Chore("history", history.COMPARE_SECONDS, history.compare_now),
            _Chore(
                "settings", _SETTINGS_SECONDS, settings_backup.save_daily, due=time.monotonic() + _FIRST_PROBE_SECONDS
            ),
            _Chore("backup folder", PROBE_SECONDS, probe_now, due=time.monotonic() + _FIRST_PROBE_SECONDS),
        ]

    def run(self) -> None:
        """Run until a signal. Afterwards no task is running."""
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
                    if not self._must_stop():  # after a stop, the next worker finds the operation
                        self._perform(task)
            self._end_beside()
            connections.close_all()
            logger.info("worker.stopped", pid=os.getpid())

    def _wait_for_app_database(self) -> None:
        """Wait until this program's own database can be used, or for a signal. Log each reason once."""
        logged: object = None
        while not self._must_stop():
            try:
                require_app_database()
            except DatabaseUnusable as problem:
                if logged != problem.identity:
                    logged = problem.identity
                    logger.warning("worker.waits", reason=str(problem), code=problem.code)
                time.sleep(_RETRY_SECONDS)
            else:
                return

    def _request_stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._is_stop_requested = True  # a `threading.Event` could deadlock with a second signal

    def _must_stop(self) -> bool:
        return self._is_stop_requested

    def _do_chores(self) -> None:
        for chore in self._chores:
            if self._must_stop() or (chore.while_idle and not self._is_idle):
                continue
            if not chore.needs_app_database or self._can_work():
                chore.do_if_due()

    def _can_work(self) -> bool:
        if find_problem() is not None:
            connections[DEFAULT_DB_ALIAS].close()
            return False
        renew_connection()
        return True

    @cached_property
    def _broker(self) -> Broker:
        return get_broker()  # it opens the database

    @cached_property
    def _are_backups_supported(self) -> bool:
        """Whether automatic backups are possible. If not, log why, otherwise log invalid settings."""
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
        """Return tasks from the queue, after waiting a second if there are none.

        The queue may deliver a task again. This is harmless, because an operation starts only once.
        """
        self._is_idle = False
        if not self._can_work() or self._must_leave_work():
            time.sleep(_RETRY_SECONDS)
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
                    logger.error("task.foreign", reason="The task is not signed with this installation's key.")  # noqa: TRY400  # a traceback has no information
                    self._broker.fail(ack_id)
                    continue
                tasks.append(task | {"cluster": Conf.CLUSTER_NAME, "ack_id": ack_id})
        except Exception as problem:  # noqa: BLE001  # logged
            self._outage.log(problem, "queue.unreadable", retry_seconds=_RETRY_SECONDS)
            time.sleep(_RETRY_SECONDS)
        else:
            self._outage.end("queue.readable")
        return tasks

    def _perform_forgotten(self) -> None:
        """Perform an operation whose task was lost."""
        operation = None if self._must_leave_work() else find_forgotten()
        if operation is not None:
            self._is_idle = False
            logger.warning("task.redelivered", **operation.as_context())
            self._perform(_task_of(operation))

    def _must_leave_work(self) -> bool:
        """Return whether only other workers can perform operations. Log changes."""
        if self._leaves_work != self._heartbeat.leaves_work:
            self._leaves_work = self._heartbeat.leaves_work
            if self._leaves_work:
                logger.warning("worker.leaves_work", reason="This worker cannot see the database or the backup folder.")
            else:
                logger.info("worker.takes_work")
        return self._leaves_work

    # --- Running -----------------------------------------------------------------------------------------------------

    def _perform(self, task: dict[str, Any]) -> None:
        """Run one task until it ends, its time is up, or the grace period after a signal is over."""
        process, is_terminated = self._start(task), False
        timeout = task.get("timeout", Conf.TIMEOUT)
        deadline = time.monotonic() + timeout + _OVERTIME_SECONDS if timeout else float("inf")
        while process.is_alive():
            process.join(_POLL_SECONDS)
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
            self._clean_up_after(task, status)

    def _perform_beside(self) -> None:
        """Start queued operations of locations in processes of their own, so that they block no backup and no restore."""
        self._collect_beside()
        if self._must_leave_work():
            return
        for operation in locations.queued_operations():
            if len(self._beside) >= _MOST_BESIDE:
                return
            if all(task["name"] != str(operation.pk) for _process, task in self._beside):
                task = _task_of(operation)
                self._beside.append((self._start(task), task))

    def _collect_beside(self) -> None:
        """Clean up after those that have ended."""
        for process, task in list(self._beside):
            if not process.is_alive():
                self._beside.remove((process, task))
                status = process.exitcode
                process.close()
                if status:
                    self._clean_up_after(task, status)

    def _end_beside(self) -> None:
        """End those that are running, within the grace period."""
        for process, _task in self._beside:
            process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        for process, _task in self._beside:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
        self._collect_beside()

    def _start(self, task: dict[str, Any]) -> ForkProcess:
        """Fork without open connections, and with signals blocked until the child has its own handlers."""
        connections.close_all()
        process = _processes.Process(target=_run, args=(os.getpid(), self._heartbeat, task), name="task")
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return process

    def _clean_up_after(self, task: dict[str, Any], status: int) -> None:
        """Record the end of a process that could not do so itself."""
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        logger.error("task.died", task=task["name"], how=how)
        result = {"success": False, "result": f"Its process ended with {how}.", "stopped": timezone.now()}
        try:
            _record(task | result)
            reconcile()
        except Exception:
            logger.exception("worker.chore_failed", chore="reconciliation", retry_seconds=_RECONCILE_SECONDS)


def _task_of(operation: Operation) -> dict[str, Any]:
    """Return a task for an operation that has none in the queue."""
    pk = str(operation.pk)
    return {"id": pk, "name": pk, "func": RUN_OPERATION, "args": (pk,), "kwargs": {}, "started": timezone.now()}


def _run(parent: int, heartbeat: Heartbeat, task: dict[str, Any]) -> None:
    """Run a task in this forked process, and record its result.

    The kernel kills the process when the worker ends, and the next worker cleans up. On SIGTERM it ends its operation itself.
    """
    die_with_parent(parent, signal.SIGKILL)
    track.stop_on_sigterm()
    for number in (signal.SIGINT, signal.SIGHUP):  # the worker gets them too, and sends SIGTERM
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
    """Call the function of a task. Return the result as django-q2 records it."""
    try:
        with TimeoutHandler(task.get("timeout", Conf.TIMEOUT)):
            result, success = import_string(task["func"])(*task["args"], **task["kwargs"]), True
    except (Exception, TimeoutException) as problem:  # logged
        result, success = f"{problem} : {traceback.format_exc()}", False
        logger.error("task.failed", task=task["name"], reason=str(problem), exc_info=problem)  # noqa: TRY400  # the same
    return {"result": result, "success": success, "stopped": timezone.now()}


def _record(task: dict[str, Any]) -> None:
    broker = get_broker()
    save_task(task, broker)
    if task.get("ack_id"):
        broker.acknowledge(task["ack_id"])
