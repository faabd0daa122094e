"""Addresses of receivers: where alerts are sent, with their secrets apart."""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import dataclass, field, replace
from enum import StrEnum
from urllib.parse import quote, unquote, urlsplit

from tvarr_backup.errors import ReceiverInvalid
from tvarr_backup.texts import find_hidden


class ReceiverKind(StrEnum):
    """The kind of a receiver."""

    MAIL = "mail"
    WEBHOOK = "webhook"
    APPRISE = "apprise"

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS = {ReceiverKind.MAIL: "Mail", ReceiverKind.WEBHOOK: "Webhook", ReceiverKind.APPRISE: "Apprise"}
MOST_OF_ADDRESS = 2_000
_SIGNING_PREFIX = "whsec_"
_KEY_BYTES = range(24, 65)


@dataclass(frozen=True)
class ReceiverAddress:
    """Where a receiver is.

    `url` has no secrets and can be displayed. `secret` is the full address of a webhook or of a service of apprise, because
    the path or the host name may already be a password. A webhook's signing secret is its fragment, which is never sent. It is
    "" for mail. These three are what must be stored, with `secret` encrypted.
    """

    kind: ReceiverKind
    url: str
    secret: str = field(default="", repr=False)

    @property
    def signing_secret(self) -> str:
        """The secret that signs requests to a webhook, or "" if they are not signed."""
        return unquote(urlsplit(self.secret).fragment) if self.kind is ReceiverKind.WEBHOOK else ""

    def with_signing_secret(self, text: str) -> ReceiverAddress:
        """Return the webhook with another signing secret, "" for none. Raises `ReceiverInvalid`."""
        if self.kind is not ReceiverKind.WEBHOOK:
            raise ReceiverInvalid("{kind} has no signing secret. Only webhooks have one.", kind=self.kind.label)
        if text:
            read_signing_key(text)
        ending = f"#{quote(text, safe='+/=')}" if text else ""
        return replace(self, secret=self.secret.partition("#")[0] + ending)


def make_signing_secret() -> str:
    """Return a new signing secret, such as `whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD`."""
    return _SIGNING_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def read_signing_key(text: str) -> bytes:
    """Return the key of a signing secret in the form of Standard Webhooks. Raises `ReceiverInvalid`."""
    try:
        key = base64.b64decode(text.removeprefix(_SIGNING_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not text.startswith(_SIGNING_PREFIX) or len(key) not in _KEY_BYTES:
        raise ReceiverInvalid(
            'Expected a signing secret such as "{prefix}" followed by 24 to 64 bytes in base64. "openssl rand -base64 32" makes some.',
            prefix=_SIGNING_PREFIX,
        )
    return key


def parse_receiver(url: str) -> ReceiverAddress:
    """Read an address such as `mailto:me@example.com` or `webhook+https://host/path#signing-secret`.

    All other schemes are those of apprise, such as `ntfys://`. Only apprise can check the rest of such an address, so that is
    done when a message is sent. Raises `ReceiverInvalid`, which does not contain the address.
    """
    url = url.strip()
    scheme, colon, rest = url.partition(":")
    scheme = scheme.lower()
    if not colon or not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme, re.ASCII):
        raise ReceiverInvalid(
            'Expected an address such as "mailto:me@example.com", "webhook+https://example.com/path" or "ntfys://ntfy.sh/topic".'
        )
    _check_characters(url)
    if scheme == "mailto" and not rest.startswith("//"):
        return _parse_mail(rest)
    if scheme in {"webhook+http", "webhook+https"}:
        return _parse_webhook(scheme, rest)
    return _parse_apprise(scheme, rest)


def _parse_mail(rest: str) -> ReceiverAddress:
    recipient = unquote(rest)
    if not is_mail_address(recipient):
        raise ReceiverInvalid('Expected one mail address such as "mailto:me@example.com".')
    return ReceiverAddress(ReceiverKind.MAIL, f"mailto:{recipient}")


def is_mail_address(text: str) -> bool:
    """Return whether a text is a plain mail address in ASCII, which every server accepts."""
    return len(text) <= 254 and re.fullmatch(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+", text) is not None


def _parse_webhook(scheme: str, rest: str) -> ReceiverAddress:
    address = f"{scheme}:{rest}"
    shown = describe_url(address)
    found = ReceiverAddress(ReceiverKind.WEBHOOK, shown, address)
    if found.signing_secret:
        read_signing_key(found.signing_secret)
    return found


def _parse_apprise(scheme: str, rest: str) -> ReceiverAddress:
    if not rest.startswith("//"):
        raise ReceiverInvalid('Expected an address that begins with "{scheme}://".', scheme=scheme)
    if scheme in {"http", "https"}:
        raise ReceiverInvalid('For a webhook, write "webhook+{scheme}://" instead of "{scheme}://".', scheme=scheme)
    return ReceiverAddress(ReceiverKind.APPRISE, f"{scheme}://…", f"{scheme}:{rest}")


def check_ping_url(url: str) -> str:
    """Return the address of a monitor as it can be displayed, without its path. Raises `ReceiverInvalid`."""
    if not re.match(r"https?://", url, re.ASCII):
        raise ReceiverInvalid('Expected an address that begins with "https://" or "http://".')
    _check_characters(url)
    return describe_url(url)


def _check_characters(url: str) -> None:
    if len(url) > MOST_OF_ADDRESS or any(find_hidden(url)) or " " in url:
        raise ReceiverInvalid(
            "Expected an address of at most {most} characters without spaces and control characters.",
            most=MOST_OF_ADDRESS,
        )


def describe_url(url: str) -> str:
    """Return an address with its scheme, host and port, and "/…" for the rest. Raises `ReceiverInvalid`."""
    try:
        split = urlsplit(url)
        host, port = split.hostname or "", split.port
    except ValueError:
        host, port = "", None
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,253}|[0-9a-f:.]*:[0-9a-f:.]*(%[a-z0-9]+)?", host) or port == 0:
        raise ReceiverInvalid(
            'Expected an address with a host name, such as "{scheme}://example.com/path".', scheme=url.partition(":")[0]
        )
    place = f"[{host}]" if ":" in host else host
    number = "" if port is None else f":{port}"
    return f"{split.scheme}://{place}{number}{'/…' if split.path.strip('/') or split.query else ''}"
