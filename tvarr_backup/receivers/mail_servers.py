"""The mail server of `EMAIL_URL`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qsl, unquote, urlsplit

from tvarr_backup.errors import ReceiverInvalid
from tvarr_backup.receivers.addresses import describe_url, is_mail_address
from tvarr_backup.texts import find_hidden


class Encryption(StrEnum):
    """How a connection to a mail server is encrypted."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


_SCHEMES = {
    "smtp": (Encryption.NONE, 25),
    "smtp+tls": (Encryption.STARTTLS, 587),
    "smtps": (Encryption.TLS, 465),
}
_THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class MailServer:
    """Where mail is sent. `sender` is the address that it comes from."""

    encryption: Encryption
    host: str
    port: int
    user: str = field(repr=False)
    password: str = field(repr=False)
    sender: str


def parse_mail_server(url: str) -> MailServer:
    """Read an address such as `smtps://me%40example.com:password@mail.example.com?from=me@example.com`.

    `smtp+tls://` is for STARTTLS. `smtp://` is not encrypted, except that a password is only sent to another machine after
    STARTTLS. Raises `ReceiverInvalid`, which does not contain the address.
    """
    scheme = url.partition(":")[0].lower()
    if scheme not in _SCHEMES or any(find_hidden(url)) or " " in url or not url[len(scheme) :].startswith("://"):
        raise ReceiverInvalid(
            'Expected an address such as "smtps://user:password@mail.example.com", "smtp+tls://…" or "smtp://…".'
        )
    describe_url(url)
    split = urlsplit(url)
    options = dict(parse_qsl(split.query, keep_blank_values=True))
    user, password = unquote(split.username or ""), unquote(split.password or "")
    if split.path.strip("/") or split.fragment or options.keys() - {"from"}:
        raise ReceiverInvalid('Expected nothing after the host name and port except "?from=me@example.com".')
    if not (user + password).isascii() or bool(user) != bool(password):
        raise ReceiverInvalid("Expected a user name and a password in ASCII, or neither of them.")
    sender = options.get("from") or user
    if not is_mail_address(sender):
        raise ReceiverInvalid('Expected the sender of mail at the end, such as "?from=me@example.com".')
    encryption, port = _SCHEMES[scheme]
    host = split.hostname or ""
    if encryption is Encryption.NONE and password and host not in _THIS_MACHINE:
        encryption = Encryption.STARTTLS
    return MailServer(encryption, host, split.port or port, user, password, sender)
