"""Sends a message to a receiver of any kind."""

from __future__ import annotations

from tvarr_backup.errors import ReceiverUnsupported
from tvarr_backup.receivers.addresses import ReceiverAddress, ReceiverKind
from tvarr_backup.receivers.apprise_receiver import send_with_apprise
from tvarr_backup.receivers.mail import send_mail
from tvarr_backup.receivers.mail_servers import MailServer
from tvarr_backup.receivers.messages import OutgoingMessage
from tvarr_backup.receivers.webhook import send_to_webhook

TIMEOUT_SECONDS = 30.0


def send(
    address: ReceiverAddress,
    message: OutgoingMessage,
    *,
    mail_server: MailServer | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> str:
    """Send a message and return the receiver's answer in one line.

    `mail_server` is that of `EMAIL_URL`. Blocks for at most `timeout_seconds`, and for as long as the system takes to look up the
    host name. Raises `ReceiverFailed`. Neither the answer nor the error contains a secret of the address.
    """
    if address.kind is ReceiverKind.WEBHOOK:
        return send_to_webhook(address, message, timeout_seconds=timeout_seconds)
    if address.kind is ReceiverKind.APPRISE:
        return send_with_apprise(address, message, timeout_seconds=timeout_seconds)
    if mail_server is None:
        raise ReceiverUnsupported("No mail server is set. Set EMAIL_URL.", is_permanent=True)
    recipient = address.url.removeprefix("mailto:")
    return send_mail(mail_server, recipient, message, timeout_seconds=timeout_seconds)
