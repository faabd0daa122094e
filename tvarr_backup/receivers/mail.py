"""Sends messages by mail."""

from __future__ import annotations

import io
import smtplib
from datetime import UTC
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from tvarr_backup.errors import ReceiverDenied, ReceiverFailed, ReceiverUnreachable, ReceiverUntrusted
from tvarr_backup.quoting import quoted
from tvarr_backup.receivers.connections import (
    Deadline,
    TimedReader,
    connect,
    find_addresses,
    local_address,
    raise_connection_lost,
    secure,
)
from tvarr_backup.receivers.mail_servers import Encryption, MailServer
from tvarr_backup.receivers.messages import OutgoingMessage
from tvarr_backup.receivers.redaction import hide_secrets


def send_mail(server: MailServer, recipient: str, message: OutgoingMessage, *, timeout_seconds: float) -> str:
    """Send a message and return the answer of the server in one line. Raises `ReceiverFailed`."""
    deadline = Deadline(timeout_seconds)
    try:
        with _Session(server, deadline) as session:
            session.sign_in()
            return session.deliver(recipient, make_mail(server.sender, recipient, message))
    except (OSError, smtplib.SMTPServerDisconnected) as problem:
        raise_connection_lost(server.host, server.port, problem, deadline)


def make_mail(sender: str, recipient: str, message: OutgoingMessage) -> EmailMessage:
    """Return the mail of a message. Its `Message-ID` is the same at each attempt."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = recipient
    mail["Subject"] = message.subject
    mail["Date"] = format_datetime(message.created_at.astimezone(UTC))
    mail["Message-ID"] = f"<{message.id}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no absence notes
    mail.set_content(message.text, cte="quoted-printable")
    return mail


class _Session(smtplib.SMTP):
    """A connection to a server, whose steps all end at the deadline."""

    def __init__(self, server: MailServer, deadline: Deadline) -> None:
        super().__init__(local_hostname="localhost")
        self._server, self._deadline = server, deadline
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        host, port = self._server.host, self._server.port
        self.sock = connect(host, port, find_addresses(host, port), self._deadline)
        address = local_address(self.sock)
        self.local_hostname = f"[IPv6:{address}]" if ":" in address else f"[{address}]"
        if self._server.encryption is Encryption.TLS:
            self.sock = secure(self.sock, host, port, self._deadline)
        self._require(220, *self.getreply())
        self.ehlo_or_helo_if_needed()
        if self._server.encryption is Encryption.STARTTLS:
            self._start_tls()

    def _start_tls(self) -> None:
        if not self.has_extn("starttls"):
            raise ReceiverUntrusted(
                "{host} on port {port} does not offer encryption (STARTTLS), so nothing was sent. "
                'Check the port, or use an address that begins with "smtps:".',
                host=quoted(self._server.host),
                port=self._server.port,
            )
        self._require(220, *self.docmd("STARTTLS"))
        assert self.sock is not None
        self.sock = secure(self.sock, self._server.host, self._server.port, self._deadline)
        self.file = None  # what was read before is not trusted, nor are the extensions
        self.helo_resp = self.ehlo_resp = None
        self.esmtp_features, self.does_esmtp = {}, False
        self.ehlo_or_helo_if_needed()

    def sign_in(self) -> None:
        if not self._server.user:
            return
        try:
            self.login(self._server.user, self._server.password)
        except smtplib.SMTPAuthenticationError as problem:
            answer = self._clean(problem.smtp_code, problem.smtp_error)
            raise ReceiverDenied(
                "{host} refused the user name or password: {answer:clause}. Check EMAIL_URL.",
                status=problem.smtp_code,
                answer=answer,
                host=quoted(self._server.host),
            ) from None
        except (smtplib.SMTPNotSupportedError, smtplib.SMTPHeloError):
            raise self._no_sign_in() from None
        except smtplib.SMTPServerDisconnected:
            raise
        except smtplib.SMTPException:
            raise self._no_sign_in() from None

    def _no_sign_in(self) -> ReceiverDenied:
        return ReceiverDenied(
            "{host} does not accept a user name and password in a way that this program knows. Check EMAIL_URL.",
            host=quoted(self._server.host),
        )

    def deliver(self, recipient: str, mail: EmailMessage) -> str:
        self._require(250, *self.mail(self._server.sender))
        self._require(250, *self.rcpt(recipient))
        try:
            return self._require(250, *self.data(mail.as_bytes()))
        except smtplib.SMTPDataError as problem:
            return self._require(250, problem.smtp_code, problem.smtp_error)

    def _require(self, expected: int, code: int, answer: bytes | str) -> str:
        """Return the answer in one line if it has the expected status, or 251, which forwards a mail."""
        line = self._clean(code, answer)
        if code == expected or (expected == 250 and code == 251):
            return line
        if code == -1:
            raise ReceiverUnreachable(
                "{host} on port {port} did not answer as a mail server. Check the address.",
                host=quoted(self._server.host),
                port=self._server.port,
            )
        raise ReceiverFailed(
            "{host} did not accept the mail: {answer:clause}.",
            is_permanent=500 <= code < 600,
            status=code,
            answer=line,
            host=quoted(self._server.host),
        )

    def _clean(self, code: int, answer: bytes | str) -> str:
        text = answer if isinstance(answer, str) else answer.decode("utf-8", "replace")
        password = self._server.password
        return hide_secrets(f"{code} {text}", [password, f"{self._server.user}\0{password}"] if password else [])

    def send(self, s: object) -> None:
        assert self.sock is not None
        self.sock.settimeout(self._deadline.remaining())
        super().send(s)  # type: ignore[arg-type]

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = io.BufferedReader(TimedReader(self.sock, self._deadline))
        return super().getreply()
