"""Sends messages to the services that apprise knows, in a process of its own.

That process can be stopped when time is up, whatever a service answers. This one does not import apprise, and nothing that apprise
logs, which often has passwords, reaches the log of this program.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from tvarr_backup import program
from tvarr_backup.errors import ReceiverFailed, ReceiverInvalid, ReceiverUnreachable, ReceiverUnsupported
from tvarr_backup.receivers.addresses import ReceiverAddress
from tvarr_backup.receivers.messages import TEST_EVENT, OutgoingMessage
from tvarr_backup.receivers.redaction import find_all_parts, hide_secrets

_START = "import sys; sys.path.append(sys.argv[1]); from tvarr_backup.receivers import apprise_program; apprise_program.main()"
_CHECK_SECONDS = 60.0


def send_with_apprise(address: ReceiverAddress, message: OutgoingMessage, *, timeout_seconds: float) -> str:
    """Send a message and return what apprise reports in one line. Raises `ReceiverFailed`."""
    task = {
        "url": address.secret,
        "title": message.subject,
        "body": message.text,
        "tone": "success" if message.is_over else "info" if message.event == TEST_EVENT else "warning",
        "timeout_seconds": timeout_seconds,
    }
    answer = _run(task, timeout_seconds)
    line = hide_secrets(str(answer.get("answer", "")), find_all_parts(address.secret))
    if answer["outcome"] == "sent":
        return line
    if answer["outcome"] == "unknown":
        raise ReceiverUnsupported(
            "Apprise does not accept the address of this receiver: {answer:clause}. Enter it again.",
            is_permanent=True,
            answer=line,
        )
    raise ReceiverFailed("The service did not accept the message: {answer:clause}.", answer=line)


def check_apprise_address(address: ReceiverAddress) -> None:
    """Raise `ReceiverInvalid` if apprise does not accept the address, and `ReceiverUnsupported` if it is not installed.

    Nothing is sent. This takes less than a second.
    """
    answer = _run({"url": address.secret}, _CHECK_SECONDS)
    if answer["outcome"] != "known":
        raise ReceiverInvalid(
            "Apprise does not accept this address: {answer:clause}. Its documentation has the form for each service.",
            answer=hide_secrets(str(answer.get("answer", "")), find_all_parts(address.secret)),
        )


def _run(task: dict[str, Any], seconds: float) -> dict[str, Any]:
    environment = dict(os.environ)
    if "SSL_CERT_FILE" in environment:
        environment.setdefault("REQUESTS_CA_BUNDLE", environment["SSL_CERT_FILE"])
    try:
        finished = subprocess.run(  # noqa: S603  # our own program
            [sys.executable, "-I", "-c", _START, str(program.ROOT)],
            input=json.dumps({**task, "parent": os.getpid()}).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            env=environment,
            start_new_session=True,  # so that Ctrl-C reaches this process only
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ReceiverUnreachable(
            "The service did not answer within {seconds:g} s. The message may have arrived.", seconds=seconds
        ) from None
    try:
        answer: dict[str, Any] = json.loads(finished.stdout)
    except ValueError:
        raise ReceiverFailed(
            "Apprise ended unexpectedly with status {number}. The message may have arrived.", number=finished.returncode
        ) from None
    if answer["outcome"] == "missing":
        raise ReceiverUnsupported(
            "The library apprise is not installed. Install tvarr-backup[notifications].", is_permanent=True
        )
    return answer
