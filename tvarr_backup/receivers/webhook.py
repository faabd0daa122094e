"""Sends messages as JSON to a webhook, signed as the specification Standard Webhooks says (https://www.standardwebhooks.com)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC

from tvarr_backup.receivers.addresses import ReceiverAddress, read_signing_key
from tvarr_backup.receivers.messages import OutgoingMessage
from tvarr_backup.receivers.web_requests import request


def send_to_webhook(address: ReceiverAddress, message: OutgoingMessage, *, timeout_seconds: float) -> str:
    """Send a message and return the answer in one line. Raises `ReceiverFailed`."""
    body = make_body(message)
    headers = {"Content-Type": "application/json", "webhook-id": message.id}
    if address.signing_secret:
        timestamp = str(int(time.time()))
        headers["webhook-timestamp"] = timestamp
        headers["webhook-signature"] = sign(address.signing_secret, message.id, timestamp, body)
    url = address.secret.partition("#")[0].removeprefix("webhook+")
    return request("POST", url, body=body, headers=headers, timeout_seconds=timeout_seconds).line


def make_body(message: OutgoingMessage) -> bytes:
    """Return the JSON object of a message, the same bytes at each attempt."""
    moment = message.created_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    members = {
        "id": message.id,
        "event": message.event,
        "is_over": message.is_over,
        "subject": message.subject,
        "text": message.text,
        "created_at": moment,
        "installation": message.installation,
        "data": dict(message.data),
    }
    return json.dumps(members, separators=(",", ":")).encode("ascii")


def sign(signing_secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a request. `timestamp` is in seconds since 1970, and changes with each attempt."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.digest(read_signing_key(signing_secret), signed, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"
