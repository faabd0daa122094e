"""Receivers of alerts: add, change and remove them, and keep those of the environment in step with it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, transaction

from tvarr_backup.errors import (
    ReceiverInvalid,
    ReceiverNotFound,
    ReceiverReadOnly,
    ReceiverSecretsLost,
    ReceiverUnsupported,
)
from tvarr_backup.operations.alert_models import PING, MessageState, Receiver
from tvarr_backup.operations.sealing import KeyChanged, LibraryMissing, seal, unseal
from tvarr_backup.quoting import quoted
from tvarr_backup.receivers.addresses import (
    ReceiverAddress,
    ReceiverKind,
    check_ping_url,
    make_signing_secret,
    parse_receiver,
)
from tvarr_backup.sentences import Sentence

logger = structlog.stdlib.get_logger(__name__)

PING_NAME = "ping"
ENVIRONMENT_PREFIX = "environment-"
RESERVED_NAMES = ("add", "advice", "alerts", "messages", PING_NAME)
"""Their pages would have the addresses of other pages, or they are used by the environment."""
_PURPOSE = "tvarr-backup: addresses of receivers"
_CHANGEABLE_HERE = frozenset({"is_enabled", "reminds_daily"})
_NOT_TRIED: dict[str, Any] = {
    "sent_at": None,
    "answer": "",
    "failing_since": None,
    "failures": 0,
    "next_attempt_at": None,
    "error_code": "",
    "error": "",
    "sentences": None,
}


@dataclass(frozen=True)
class SavedReceiver:
    """A receiver that was stored. `new_signing_secret` was made for a webhook, and is returned only here; "" if none was."""

    receiver: Receiver
    new_signing_secret: str = ""


def find_receiver(name: str) -> Receiver:
    """Return a receiver by its name. Raises `ReceiverNotFound`."""
    found = None if "\0" in name else Receiver.objects.filter(name=name).first()
    if found is None:
        raise ReceiverNotFound("There is no receiver {name}.", name=quoted(name))
    return found


def add_receiver(name: str, url: str, *, signing_secret: str = "", **columns: Any) -> SavedReceiver:
    """Store a new receiver. `columns` are `is_enabled` and `reminds_daily`. A webhook without a signing secret gets a new one.

    Raises `ReceiverInvalid`, and `ReceiverUnsupported`.
    """
    receiver = Receiver(name=name, created_at=datetime.now(UTC))
    made = _set_address(receiver, url, signing_secret)
    for column, value in columns.items():
        setattr(receiver, column, value)
    _validate(receiver)
    receiver.save(force_insert=True)
    logger.info("receiver.added", receiver=name, kind=str(receiver.kind))
    return SavedReceiver(receiver, made)


def change_receiver(receiver: Receiver, *, url: str = "", signing_secret: str = "", **columns: Any) -> SavedReceiver:
    """Change a receiver. `columns` are `name`, `is_enabled` and `reminds_daily`. Without a URL or a signing secret, the stored one stays.

    With another address, waiting messages are sent there. Pausing drops them. Raises `ReceiverReadOnly` for other columns than
    `is_enabled` and `reminds_daily` of a receiver of the environment, and what `add_receiver` raises; then nothing has changed.
    """
    if receiver.is_from_environment and (url or signing_secret or not columns.keys() <= _CHANGEABLE_HERE):
        raise _read_only(receiver)
    before = _columns_of(receiver)
    made = _set_address(receiver, url, signing_secret) if url or signing_secret else ""
    for column, value in columns.items():
        setattr(receiver, column, value)
    if receiver.is_enabled and not before["is_enabled"]:
        receiver.next_attempt_at = None
    _validate(receiver)
    changed = [name for name, value in _columns_of(receiver).items() if value != before[name]]
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        receiver.save(update_fields=changed)  # the sending process may be writing the others
        if before["is_enabled"] and not receiver.is_enabled:
            receiver.messages.filter(state=MessageState.WAITING).update(state=MessageState.DROPPED)
    logger.info("receiver.changed", receiver=receiver.name, columns=sorted({*columns, *(["url"] if url else [])}))
    return SavedReceiver(receiver, made)


def remove_receiver(receiver: Receiver) -> None:
    """Remove a receiver and its messages. Raises `ReceiverReadOnly` for one of the environment."""
    if receiver.is_from_environment:
        raise _read_only(receiver)
    receiver.delete()
    logger.info("receiver.removed", receiver=receiver.name)


def address_of(receiver: Receiver) -> ReceiverAddress:
    """Return the address with its secret. Raises `ReceiverSecretsLost`, `ReceiverUnsupported`, and `ReceiverNotFound`.

    The last one means that the environment of this process does not have the receiver.
    """
    if receiver.is_from_environment:
        found = {digest: address for digest, _kind, address in _addresses_of_environment()}.get(
            receiver.environment_digest
        )
        if found is None:
            raise ReceiverNotFound("The environment does not have the receiver {name} any more.", name=receiver.name)
        return found
    try:
        secret = unseal(_PURPOSE, receiver.sealed).get("secret", "")
    except KeyChanged as problem:
        raise ReceiverSecretsLost(
            "The address of {name} cannot be read, because the secret key has changed since it was stored. Enter it again.",
            name=receiver.name,
        ) from problem
    except LibraryMissing as problem:
        raise _no_library() from problem
    return ReceiverAddress(ReceiverKind(receiver.kind), receiver.url, secret)


def kind_label(receiver: Receiver) -> str:
    """Return the kind of a receiver, such as "Webhook"."""
    return "Ping" if receiver.kind == PING else ReceiverKind(receiver.kind).label


def _set_address(receiver: Receiver, url: str, signing_secret: str) -> str:
    """Set the address, and return the signing secret if a new one was made."""
    stored = _stored_address(receiver)
    if not url and stored is None:
        raise ReceiverInvalid("Enter the address of the receiver.")
    address = parse_receiver(url) if url or stored is None else stored
    if address.kind is ReceiverKind.MAIL and settings.MAIL_SERVER is None:
        raise ReceiverInvalid("Mail needs a server. Set EMAIL_URL in the environment, and restart.")
    made = ""
    if signing_secret:
        address = address.with_signing_secret(signing_secret)
    elif address.kind is ReceiverKind.WEBHOOK and not address.signing_secret:
        made = stored.signing_secret if stored else ""
        address = address.with_signing_secret(made or make_signing_secret())
        made = "" if made else address.signing_secret
    if address != stored:
        for name, value in _NOT_TRIED.items():
            setattr(receiver, name, value)
        try:
            receiver.sealed = seal(_PURPOSE, {"secret": address.secret} if address.secret else {})
        except LibraryMissing as problem:
            raise _no_library() from problem
        receiver.kind, receiver.url = address.kind, address.url
    return made


def _stored_address(receiver: Receiver) -> ReceiverAddress | None:
    """Return the stored address; `None` for a new receiver, or if the address cannot be decrypted."""
    if not receiver.kind:
        return None
    try:
        return address_of(receiver)
    except ReceiverSecretsLost:
        return None


def _validate(receiver: Receiver) -> None:
    is_reserved = receiver.name in RESERVED_NAMES or receiver.name.startswith(ENVIRONMENT_PREFIX)
    if is_reserved and not receiver.is_from_environment:
        raise ReceiverInvalid("name: expected another name than {name}.", name=quoted(receiver.name))
    if receiver.kind == PING and receiver.reminds_daily:
        raise ReceiverInvalid("The monitor of pings has no daily reminder, because it gets no alerts.")
    try:
        receiver.full_clean()
    except ValidationError as problem:
        found = [f"{name}: {sentence}" for name, texts in problem.message_dict.items() for sentence in texts]
        raise ReceiverInvalid(Sentence("{problems}", problems=" ".join(found))) from problem


def _columns_of(receiver: Receiver) -> dict[str, Any]:
    return {column.attname: getattr(receiver, column.attname) for column in Receiver._meta.concrete_fields}


def _read_only(receiver: Receiver) -> ReceiverReadOnly:
    return ReceiverReadOnly(
        "{name} is set in the environment. Change {variable} there, and restart.",
        name=receiver.name,
        variable="TVARR_BACKUP_PING_URL" if receiver.kind == PING else "TVARR_NOTIFY_URLS",
    )


def _no_library() -> ReceiverUnsupported:
    return ReceiverUnsupported(
        "The library that encrypts addresses is not installed. Install tvarr-backup[notifications].", is_permanent=True
    )


# --- Receivers of the environment ------------------------------------------------------------------------------------


def store_environment() -> None:
    """Add the receivers of the environment, and remove those that it does not have any more, with their messages.

    Their rows have no secrets. A row is recognized by a digest of its address, so one that is moved keeps its state.
    """
    wanted = list(_addresses_of_environment())
    stored = Receiver.objects.exclude(environment_digest="")
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        for gone in stored.exclude(environment_digest__in=[digest for digest, _kind, _address in wanted]):
            gone.delete()
            logger.info("receiver.removed", receiver=gone.name)
        known = set(stored.values_list("environment_digest", flat=True))
        for digest, kind, address in wanted:
            if digest not in known:
                name = PING_NAME if kind == PING else f"{ENVIRONMENT_PREFIX}{digest[:6]}"
                columns = {"kind": kind, "url": address.url, "created_at": datetime.now(UTC)}
                Receiver.objects.create(name=name, environment_digest=digest, **columns)
                logger.info("receiver.added", receiver=name, kind=str(kind))


def _addresses_of_environment() -> Iterator[tuple[str, str, ReceiverAddress]]:
    """Yield the digest, the kind and the address of each. The address of the pings has the kind of a webhook."""
    for address in dict.fromkeys(settings.NOTIFY_ADDRESSES):
        yield _digest(address.kind, address.secret or address.url), address.kind, address
    if settings.PING_URL:
        address = ReceiverAddress(ReceiverKind.WEBHOOK, check_ping_url(settings.PING_URL), settings.PING_URL)
        yield _digest(PING, settings.PING_URL), PING, address


def _digest(kind: str, text: str) -> str:
    return hmac.new(settings.SECRET_KEY.encode(), f"{kind} {text}".encode(), hashlib.sha256).hexdigest()
