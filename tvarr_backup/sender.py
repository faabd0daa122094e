"""The process that sends alerts: watches for changes of state, and sends the messages of the outbox.

Each receiver is served by a thread of its own, so that one that is slow or down delays no other. Web server and worker send nothing.
"""

import os
import signal
import threading
import time
from datetime import UTC, datetime
from types import FrameType

import structlog
from django.db import DEFAULT_DB_ALIAS, Error, close_old_connections, connections

from tvarr_backup import conf
from tvarr_backup.operations import delivery, outbox, receivers
from tvarr_backup.operations.app_database import find_problem, renew_connection
from tvarr_backup.operations.database_alerts import DatabaseAlerts
from tvarr_backup.operations.health import check_health
from tvarr_backup.operations.heartbeat import BEAT_SECONDS, SenderHeartbeat
from tvarr_backup.operations.watch import Watcher
from tvarr_backup.repeats import Repeats

LOOK_SECONDS = 10
_POLL_SECONDS = 2
_CLEANUP_SECONDS = 3600
_WAIT_SECONDS = 0.5
_GRACE_SECONDS = 5
"""How long messages that are being sent may take when this process stops. `up` kills everything after 8 s."""
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

logger = structlog.stdlib.get_logger(__name__)


class Sender:
    """Runs until a signal. Raises `SenderRunning` if another process of this storage folder sends."""

    def __init__(self) -> None:
        self._is_stop_requested = False
        self._has_turn = False
        self._has_stored_environment = False
        self._watcher = Watcher()
        self._database_alerts = DatabaseAlerts()
        self._repeats = Repeats()
        self._threads: dict[str, threading.Thread] = {}
        self._due = dict.fromkeys(("beat", "look", "poll", "cleanup"), 0.0)

    def run(self) -> None:
        for number in _STOP_SIGNALS:
            signal.signal(number, self._request_stop)
        with SenderHeartbeat() as self._heartbeat:
            logger.info("sender.started", pid=os.getpid())
            while not self._is_stop_requested:
                self._do_due_steps()
                time.sleep(_WAIT_SECONDS)
            self._end_threads()
            connections.close_all()
            logger.info("sender.stopped", pid=os.getpid())

    def _end_threads(self) -> None:
        """Wait for threads that still send. Later they end with this process, and their messages are sent again."""
        deadline = time.monotonic() + _GRACE_SECONDS
        for thread in self._threads.values():
            thread.join(max(0.0, deadline - time.monotonic()))

    def _request_stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._is_stop_requested = True

    def _do_due_steps(self) -> None:
        close_old_connections()
        try:
            problem = find_problem()  # logged by the worker, and shown by the pages
            if problem is not None:
                connections[DEFAULT_DB_ALIAS].close()
                self._database_alerts.report_problem(problem)
                return
            renew_connection()
            self._step()
        except Exception as failure:  # logged, and tried again
            if isinstance(failure, Error) and self._has_turn:
                self._database_alerts.report_problem(failure)
            reason = conf.in_a_line(failure)
            if self._repeats.is_due(reason):
                logger.exception("sender.step_failed", reason=reason)
            connections[DEFAULT_DB_ALIAS].close_if_unusable_or_obsolete()

    def _step(self) -> None:
        if self._is_due("beat", BEAT_SECONDS):
            self._has_turn = self._heartbeat.beat()
        if not self._has_turn:
            return
        if not self._has_stored_environment:
            receivers.store_environment()
            self._has_stored_environment = True
        if self._is_due("look", LOOK_SECONDS):
            self._database_alerts.report_use()
            self._watcher.judge(check_health())
        if self._is_due("poll", _POLL_SECONDS):
            self._watcher.notice_endings()
            self._send_due()
        if self._is_due("cleanup", _CLEANUP_SECONDS):
            outbox.delete_old_messages()

    def _is_due(self, step: str, seconds: float) -> bool:
        now = time.monotonic()
        if now < self._due[step]:
            return False
        self._due[step] = now + seconds
        return True

    def _send_due(self) -> None:
        self._threads = {key: thread for key, thread in self._threads.items() if thread.is_alive()}
        for receiver in delivery.find_due(datetime.now(UTC)):
            key = str(receiver.pk)
            if key not in self._threads:
                self._threads[key] = threading.Thread(target=self._serve, args=(key,), name=receiver.name, daemon=True)
                self._threads[key].start()

    def _serve(self, receiver_id: str) -> None:
        """Send all messages of a receiver that are due."""
        try:
            while not self._is_stop_requested and delivery.send_next(receiver_id):
                pass
        except Exception as problem:  # such as a database that is locked for too long; the claims expire
            logger.exception("sender.step_failed", reason=conf.in_a_line(problem))
        finally:
            connections.close_all()
