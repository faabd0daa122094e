"""Alerts about this program's own database while it cannot be used, so that no message can be stored in the outbox.

They go to the receivers that were enabled when the database could last be used, or to those of the environment if this process has
never used it. Each message is sent once and without another attempt.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from django.conf import settings

from tvarr_backup import conf
from tvarr_backup.errors import ReceiverError
from tvarr_backup.fields import new_ulid
from tvarr_backup.operations.alert_models import PING, Receiver
from tvarr_backup.operations.alert_texts import write_outage, write_outage_end
from tvarr_backup.operations.models import Installation
from tvarr_backup.operations.outbox import Content
from tvarr_backup.operations.receivers import ENVIRONMENT_PREFIX, address_of
from tvarr_backup.receivers.addresses import ReceiverAddress
from tvarr_backup.receivers.messages import OutgoingMessage
from tvarr_backup.receivers.send import send

AFTER_SECONDS = 60.0
"""An outage is reported after this time. Restarts and restores take less."""

logger = structlog.stdlib.get_logger(__name__)


class DatabaseAlerts:
    """Reports that the database cannot be used, and that it can be used again."""

    def __init__(self, after_seconds: float = AFTER_SECONDS) -> None:
        self._after_seconds = after_seconds
        self._addresses: Mapping[str, ReceiverAddress] = {
            f"{ENVIRONMENT_PREFIX}{number}": address for number, address in enumerate(settings.NOTIFY_ADDRESSES, 1)
        }
        self._data: Mapping[str, Any] = {}
        self._began: float | None = None
        self._since = datetime.now(UTC)
        self._reported = ""

    def report_problem(self, problem: Exception) -> None:
        """Note that the database cannot be used now. Starts threads that send the message when it is due."""
        now = time.monotonic()
        if self._began is None:
            self._began, self._since = now, datetime.now(UTC)
        if not self._reported and now - self._began >= self._after_seconds:
            self._reported = conf.in_a_line(problem)
            logger.error("sender.database_failed", reason=self._reported, receivers=len(self._addresses))
            self._send(write_outage(self._reported))

    def report_use(self) -> None:
        """Note that the database can be used now, and remember its receivers. Raises Django's `Error` if it cannot."""
        self._addresses = dict(_read_addresses())
        self._data = {"installation_id": Installation.load()}
        if self._reported:
            self._send(write_outage_end(self._reported, self._since))
        self._began, self._reported = None, ""

    def _send(self, content: Content) -> None:
        message = OutgoingMessage(
            id=new_ulid(),
            event=content.event,
            is_over=content.is_over,
            subject=content.subject,
            text=content.text,
            created_at=datetime.now(UTC),
            installation=settings.NOTIFY_NAME,
            data=self._data,
        )
        for name, address in self._addresses.items():
            threading.Thread(target=_send_one, args=(name, address, message), name=name, daemon=True).start()


def _read_addresses() -> Iterator[tuple[str, ReceiverAddress]]:
    for receiver in Receiver.objects.filter(is_enabled=True).exclude(kind=PING):
        try:
            yield receiver.name, address_of(receiver)
        except ReceiverError:  # the page says why it cannot be used
            continue


def _send_one(name: str, address: ReceiverAddress, message: OutgoingMessage) -> None:
    try:
        send(address, message, mail_server=settings.MAIL_SERVER)
    except ReceiverError as problem:
        logger.warning(
            "message.unsent",
            receiver=name,
            alert=message.event,
            message=message.id,
            code=problem.code,
            reason=str(problem),
            retry_seconds=None,
        )
