"""A mail server in tests: aiosmtpd, which answers what a test says."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from tests.locations.sshd import find_free_port

USER, PASSWORD = "me@example.com", "s3cret-word"


class MailReceiver:
    """`answers` are those to the next mails; later ones are accepted. `refuse_recipients` is the answer to each recipient."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.secure: list[bool] = []
        self.users: list[str | None] = []
        self.answers: list[str] = []
        self.refuse_recipients = ""
        self.port = find_free_port()

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802  # aiosmtpd
        if self.refuse_recipients:
            return self.refuse_recipients
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd
        answer = self.answers.pop(0) if self.answers else "250 2.0.0 queued as 1A2B"
        if answer.startswith("2"):
            self.mails.append(message_from_bytes(envelope.content, EmailMessage, policy=default))
            self.secure.append(server.transport.get_extra_info("ssl_object") is not None)
            self.users.append(session.auth_data.login.decode() if session.auth_data else None)
        return answer


def _authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
    is_right = isinstance(given, LoginPassword) and given == LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=is_right, handled=False, auth_data=given)


@contextmanager
def running_mail(
    *,
    tls: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
    needs_password: bool = False,
) -> Iterator[MailReceiver]:
    receiver = MailReceiver()
    options: dict[str, Any] = {"tls_context": starttls, "require_starttls": starttls is not None}
    if needs_password:
        # aiosmtpd does not require a password on a connection that is not encrypted.
        is_encrypted = starttls is not None
        options |= {"authenticator": _authenticate, "auth_required": is_encrypted, "auth_require_tls": is_encrypted}
    controller = Controller(
        receiver, hostname="127.0.0.1", port=receiver.port, ssl_context=tls, server_hostname="mail.example", **options
    )
    controller.start()
    try:
        yield receiver
    finally:
        controller.stop()
