"""Locations: add, change and remove them, and find out when their operations are due."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, transaction

from tvarr_backup import program
from tvarr_backup.backups.catalogue import read_folder
from tvarr_backup.errors import (
    IdentityInvalid,
    IdentityWrong,
    LocationBusy,
    LocationInvalid,
    LocationNotFound,
    LocationNotReady,
    LocationUnsupported,
    RecipientInvalid,
    SecretsLost,
    TvarrBackupError,
)
from tvarr_backup.locations.addresses import OPTIONS, Address, LocationKind, read_address, require_credentials
from tvarr_backup.locations.keys import Key
from tvarr_backup.locations.variables import DescribedLocation
from tvarr_backup.operations.copying import LONGEST_DELAY, next_to_check, plan_for
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.location_secrets import seal_options, unseal_options
from tvarr_backup.operations.models import (
    KINDS_BESIDE,
    OPEN_STATES,
    BackupSettings,
    Location,
    LocationCopy,
    Operation,
    OperationKind,
    OperationState,
    Origin,
)
from tvarr_backup.operations.rehearsals import IDENTITY
from tvarr_backup.operations.run import queue_operation
from tvarr_backup.operations.settings_backup import is_copy_due
from tvarr_backup.quoting import quoted
from tvarr_backup.sentences import Sentence

logger = structlog.stdlib.get_logger(__name__)

SYNC_INTERVAL = timedelta(hours=6)
"""A location is listed and compared at least so often, even if nothing has changed here."""
CHECK_INTERVAL = timedelta(days=1)
_CHECK_HOURS = range(1, 6)
"""Copies are checked at night, in the time zone of the schedule."""

_KEY_ERRORS = {error.code: error for error in (RecipientInvalid, IdentityInvalid)}
RESERVED_NAMES = ("add",)
"""Their pages would have the addresses of other pages."""
RETENTION = ("keep", "daily", "weekly", "monthly", "yearly", "max_age")


def find_location(name: str) -> Location:
    """Return a location by its name. Raises `LocationNotFound`."""
    found = None if "\0" in name else Location.objects.filter(name=name).first()
    if found is None:
        raise LocationNotFound("There is no location {name}.", name=quoted(name))
    return found


def add_location(
    name: str, kind: LocationKind, options: Mapping[str, str | None], *, recipient: str = "", **columns: Any
) -> Location:
    """Store a new location, which has to be tested before copies are made. `columns` are retention, `is_key_saved`, `is_enabled`.

    Raises `LocationInvalid`, `RecipientInvalid`, and `LocationUnsupported`.
    """
    location = Location(name=name, kind=kind, created_at=datetime.now(UTC))
    _set_options(location, options)
    location.recipient = recipient and check_recipient(recipient)
    for column, value in columns.items():
        setattr(location, column, value)
    _save(location)
    logger.info("location.added", location=name, kind=str(kind), encrypted=bool(recipient))
    return location


def change_location(location: Location, options: Mapping[str, str | None], **columns: Any) -> Location:
    """Change some options and columns. Changed options have to be tested again, and a new recipient has to be confirmed.

    An empty secret option keeps the stored one, and None removes it. The recipient of encrypted copies cannot be changed. Raises what `add_location` raises, and nothing has changed.
    """
    before = _columns_of(location)
    if options:
        _set_options(location, options)
    if "recipient" in columns and columns["recipient"] != location.recipient:
        _require_no_encrypted(location)
        columns["recipient"] = columns["recipient"] and check_recipient(columns["recipient"])
        columns = {"is_key_saved": False, "sealed_identity": ""} | columns
    for column, value in columns.items():
        setattr(location, column, value)
    # A worker may be writing the other columns.
    _save(location, [name for name, value in _columns_of(location).items() if value != before[name]])
    logger.info("location.changed", location=location.name, columns=sorted({*options, *columns}))
    return location


def store_described(described: DescribedLocation) -> Location:
    """Add or update a location that the environment describes. Nothing is written if nothing has changed.

    The administrator has its recovery key. Secrets that are not described keep their value. Raises what `add_location` and
    `change_location` raise.
    """
    address, columns = described.address, {**described.columns, "is_key_saved": True}
    location = Location.objects.filter(name=described.name).first()
    if location is None:
        return add_location(
            described.name, address.kind, address.public | address.secrets, recipient=described.recipient, **columns
        )
    if location.kind != address.kind:
        raise LocationInvalid(
            "The location {name} exists and is of another kind ({kind}). Remove it first, or choose another name.",
            name=location.name,
            kind=LocationKind(location.kind).label,
        )
    stored = _known_secrets(location)
    columns["recipient"] = described.recipient
    is_stored = address.public == location.options and stored | address.secrets == stored
    if is_stored and all(getattr(location, column) == value for column, value in columns.items()):
        return location
    return change_location(location, address.options, **columns)


def request_first_test(location: Location) -> None:
    """Queue a test of a location that has not been tested, unless one of its operations is open."""
    if location.tested_at is None:
        with suppress(LocationBusy), transaction.atomic(using=DEFAULT_DB_ALIAS):
            operation = queue_operation(
                OperationKind.TEST_LOCATION,
                requested_by=None,
                origin=Origin.COMMAND,
                arguments={"location": str(location.pk)},
            )
            logger.info("operation.queued", **operation.as_context(), location=location.name)


def add_location_with_key(
    name: str, kind: LocationKind, options: Mapping[str, str | None], **columns: Any
) -> tuple[Location, Key]:
    """Store a new location with a new key, or neither. The identity is returned only here. Raises what `add_location` raises."""
    key = new_key()
    columns |= {"is_key_saved": False}
    return add_location(name, kind, options, recipient=key.recipient, **columns), key


def remove_location(location: Location) -> None:
    """Forget a location. Its copies stay there. Raises `LocationBusy` if one of its operations is open."""
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        if Operation.objects.filter(state__in=OPEN_STATES, location=str(location.pk)).exists():
            raise LocationBusy("An operation of the location is open. Cancel it, or try again when it has finished.")
        location.delete()
    logger.info("location.removed", location=location.name)


def stored_secrets(location: Location) -> frozenset[str]:
    """Return the names of the secret options that are stored. Raises `SecretsLost` and `LocationUnsupported`."""
    return frozenset(unseal_options(location.sealed_options))


def read_options(location: Location, options: Mapping[str, str | None]) -> Address:
    """Return the address with some options changed. An empty secret option keeps the stored one, and None removes it.

    Raises `LocationInvalid`, also if another location is in the same place.
    """
    kind = LocationKind(location.kind)
    secret = {option.name for option in OPTIONS[kind] if option.is_secret}
    given = {name: text or "" for name, text in options.items() if text != "" or name not in secret}
    address = read_address(kind, location.options | _known_secrets(location) | given)
    require_credentials(address)
    for other in Location.objects.filter(kind=kind).exclude(pk=location.pk):
        if read_address(kind, other.options).place == address.place:
            raise LocationInvalid(
                "The location {other} is in the same place. Both would count and delete the same copies. Use another folder or prefix.",
                other=other.name,
            )
    return address


def _known_secrets(location: Location) -> dict[str, str]:
    with suppress(SecretsLost):
        return unseal_options(location.sealed_options)
    return {}


def _set_options(location: Location, options: Mapping[str, str | None]) -> None:
    address, stored = read_options(location, options), _known_secrets(location)
    if address.public != location.options or address.secrets != stored:
        location.tested_at = location.failing_since = location.next_attempt_at = None
        location.failures, location.error_code, location.error, location.sentences = 0, "", "", None
    location.options, location.sealed_options = address.public, seal_options(address.secrets)


def _columns_of(location: Location) -> dict[str, Any]:
    return {column.attname: getattr(location, column.attname) for column in Location._meta.concrete_fields}


def _save(location: Location, update_fields: Iterable[str] | None = None) -> None:
    """Validate and store a location, or only some columns of it."""
    if location.name in RESERVED_NAMES:
        raise LocationInvalid("name: expected another name than {name}.", name=quoted(location.name))
    try:
        location.full_clean()
    except ValidationError as problem:
        found = [f"{name}: {sentence}" for name, texts in problem.message_dict.items() for sentence in texts]
        raise LocationInvalid(Sentence("{problems}", problems=" ".join(found))) from problem
    location.save(update_fields=update_fields)


def find_new_deletions(location: Location, retention: Mapping[str, Any]) -> list[str]:
    """Return the copies that the next cleanup there would delete with this retention, but not with the stored one, oldest first."""
    now = datetime.now(UTC)
    try:
        local = list(read_folder(backup_folder()).backups)
    except TvarrBackupError:
        local = []
    before = set(plan_for(location, local, now).to_delete)
    changed = Location(pk=location.pk, **{name: getattr(location, name) for name in RETENTION} | dict(retention))
    return [name for name in plan_for(changed, local, now).to_delete if name not in before]


def find_copies(filenames: Collection[str]) -> dict[str, list[LocationCopy]]:
    """Return the copies of these backups that are not known to be damaged, with their locations, by file name."""
    found: dict[str, list[LocationCopy]] = {}
    rows = LocationCopy.objects.filter(filename__in=filenames, problem="").defer("sidecar")
    for copy in rows.select_related("location").order_by("location__name"):
        found.setdefault(copy.filename, []).append(copy)
    return found


def require_ready(location: Location) -> None:
    """Raise `LocationNotReady` if no copies may be made there."""
    if not location.is_ready:
        raise LocationNotReady(
            "Nothing can be copied to {name} now ({state}).", name=location.name, state=location.state.label.lower()
        )


# --- Keys ------------------------------------------------------------------------------------------------------------


def new_key() -> Key:
    """Make a key, in a process of its own, because web processes do not load the library. Raises `LocationUnsupported`."""
    return _ask_about_keys("new")


def check_recipient(text: str) -> str:
    """Return the recipient in a text. Raises `RecipientInvalid` and `LocationUnsupported`."""
    return _ask_about_keys("recipient", text).recipient


def recipient_of(identity: str) -> str:
    """Return the recipient of an identity. Raises `IdentityInvalid` and `LocationUnsupported`."""
    return _ask_about_keys("identity", identity).recipient


def _require_no_encrypted(location: Location) -> None:
    if location.copies.filter(is_encrypted=True).exists():
        raise LocationInvalid(
            "{name} already has encrypted copies, which only their own key decrypts. To use another key, add another location.",
            name=location.name,
        )


def new_key_for(location: Location) -> Key:
    """Make a key and store its recipient. Raises `LocationInvalid` if there are encrypted copies already."""
    _require_no_encrypted(location)
    key = new_key()
    change_location(location, {}, recipient=key.recipient, is_key_saved=False)
    return key


def confirm_key(location: Location, identity: str | None) -> Location:
    """Record that the identity is saved; without one, because the user says so.

    Raises `LocationInvalid` if the location is not encrypted, `IdentityInvalid`, and `IdentityWrong` if it is another identity.
    """
    if not location.recipient:
        raise LocationInvalid("{name} has no recipient, so its copies are not encrypted.", name=location.name)
    if identity is not None and recipient_of(identity) != location.recipient:
        raise IdentityWrong("This is not the identity of {name}. Nothing was changed.", name=location.name)
    return change_location(location, {}, is_key_saved=True)


def store_identity(location: Location, identity: str) -> Location:
    """Store the identity of a location, encrypted with a key of `SECRET_KEY`.

    Raises `LocationInvalid` if the location is not encrypted, `IdentityInvalid`, `IdentityWrong`, and `LocationUnsupported`.
    """
    if not location.recipient:
        raise LocationInvalid("{name} has no recipient, so its copies are not encrypted.", name=location.name)
    if recipient_of(identity) != location.recipient:
        raise IdentityWrong("This is not the identity of {name}. Nothing was changed.", name=location.name)
    sealed = seal_options({IDENTITY: identity.strip()})
    changed = change_location(location, {}, sealed_identity=sealed)
    logger.info("location.identity_stored", location=location.name)
    return changed


def forget_identity(location: Location) -> Location:
    """Delete the stored identity of a location, if there is one."""
    changed = change_location(location, {}, sealed_identity="")
    logger.info("location.identity_forgotten", location=location.name)
    return changed


def confirm_host_key(location: Location, host_key: str) -> Location:
    """Store the host key that the server offered last. Raises `LocationInvalid` if it is another one."""
    if not host_key or host_key != location.offered_host_key:
        raise LocationInvalid(
            "The server of {name} did not offer this host key in the last test. Test the location again.",
            name=location.name,
        )
    return change_location(location, {"host_key": host_key}, offered_host_key="")


def _ask_about_keys(action: str, text: str = "") -> Key:
    command = [sys.executable, "-P", "-m", "tvarr_backup.locations.encryption", action]
    environment = os.environ | {"PYTHONPATH": str(program.ROOT)}
    done = subprocess.run(  # noqa: S603  # our own program
        command, input=text, capture_output=True, text=True, check=False, timeout=60, env=environment
    )
    try:
        answer = json.loads(done.stdout)
    except ValueError as problem:
        raise LocationUnsupported(
            "The library for encryption is not installed. Install tvarr-backup[locations]."
        ) from problem
    if "code" in answer:
        raise _KEY_ERRORS[answer["code"]](Sentence.from_data(answer["sentence"]))
    return Key(answer["identity"], answer["recipient"])


# --- What is due -----------------------------------------------------------------------------------------------------


def request_due() -> None:
    """Queue the copies and checks that are due. One that cannot be queued is tried again the next time."""
    now = datetime.now(UTC)
    for location in Location.objects.all():
        kind = _kind_due(location, now)
        if kind is not None:
            with suppress(LocationBusy), transaction.atomic(using=DEFAULT_DB_ALIAS):
                operation = queue_operation(
                    kind, requested_by=None, origin=Origin.SCHEDULE, arguments={"location": str(location.pk)}
                )
                logger.info("operation.queued", **operation.as_context(), location=location.name)


def _kind_due(location: Location, now: datetime) -> OperationKind | None:
    if not location.is_ready or _must_wait(location, now):
        return None
    if Operation.objects.filter(state__in=OPEN_STATES, location=str(location.pk)).exists():
        return None
    is_old = location.in_sync_at is None or abs(now - location.in_sync_at) > SYNC_INTERVAL
    if location.failing_since is not None or is_old or not _is_complete(location, now):
        return OperationKind.COPY
    return OperationKind.CHECK_COPY if _is_check_due(location, now) else None


def _must_wait(location: Location, now: datetime) -> bool:
    """Return whether the next attempt is later. A time that is too far away was computed with a wrong clock."""
    next_attempt = location.next_attempt_at
    return next_attempt is not None and now < next_attempt <= now + LONGEST_DELAY


def _is_complete(location: Location, now: datetime) -> bool:
    """Return whether there is nothing to do, as far as it is known here."""
    try:
        is_settings_due = is_copy_due(location)
        return not is_settings_due and plan_for(location, list(read_folder(backup_folder()).backups), now).is_empty
    except TvarrBackupError:  # without the backup folder, nothing can be copied
        return True


def _is_check_due(location: Location, now: datetime) -> bool:
    zone = BackupSettings.load().timetable().zone
    row = next_to_check(location)
    if row is None or now.astimezone(zone).hour not in _CHECK_HOURS:
        return False
    latest = location.copies.filter(checked_at__isnull=False).order_by("-checked_at").first()
    return latest is None or latest.checked_at is None or abs(now - latest.checked_at) > CHECK_INTERVAL / 2


def queued_operations() -> Iterator[Operation]:
    """Return the queued operations that run beside the others, oldest first."""
    queued = Operation.objects.filter(state=OperationState.QUEUED, kind__in=KINDS_BESIDE)
    yield from queued.select_related("requested_by").order_by("created_at")
