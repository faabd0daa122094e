"""Sends a message to a receiver of any kind."""

from __future__ import annotations

from tvarr_backup.receivers.addresses import ReceiverAddress
from tvarr_backup.receivers.messages import OutgoingMessage

TIMEOUT_SECONDS = 30.0


def send(address: ReceiverAddress, message: OutgoingMessage, *, timeout_seconds: float = TIMEOUT_SECONDS) -> str:
    """Send a message and return the receiver's answer in one line.

    Blocks for at most `timeout_seconds`, and for as long as the system takes to look up the host name. Raises `ReceiverFailed`.
    Neither the answer nor the error contains a secret of the address.
    """
    raise NotImplementedError
