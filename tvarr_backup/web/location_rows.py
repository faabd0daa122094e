"""View models of locations and their copies."""

from __future__ import annotations

import base64
import binascii
import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.urls import reverse

from tvarr_backup.backups.catalogue import Backup, read_folder
from tvarr_backup.backups.names import parse_name
from tvarr_backup.backups.retention import KeptReason, rules_keeping, why_kept
from tvarr_backup.backups.sidecar import decode_sidecar
from tvarr_backup.errors import LocationUnmarked, TvarrBackupError
from tvarr_backup.formatting import format_exact_time
from tvarr_backup.locations.addresses import LocationKind
from tvarr_backup.locations.keys import Key
from tvarr_backup.locations.plan import is_suitable
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.locations import SYNC_INTERVAL
from tvarr_backup.operations.models import Installation, Location, LocationCopy, LocationState
from tvarr_backup.web.labels import describe_fate

_ICONS = {
    LocationState.IN_SYNC: "check-circle",
    LocationState.BEHIND: "hourglass-split",
    LocationState.FAILING: "x-circle",
    LocationState.UNTESTED: "info-circle",
    LocationState.KEY_UNSAVED: "key",
    LocationState.PAUSED: "info-circle",
}
_LEVELS = {LocationState.IN_SYNC: "good", LocationState.BEHIND: "warning", LocationState.FAILING: "failing"}
_BEFORE_SINCE = {LocationState.IN_SYNC: "compared", LocationState.UNTESTED: "added", LocationState.KEY_UNSAVED: "added"}


@dataclass(frozen=True)
class LocationRow:
    """A location with the number and size in bytes of its copies, and when the newest copied backup was made."""

    location: Location
    number: int
    size: int
    newest: datetime | None

    @property
    def address(self) -> str:
        """The path of its page, with which the paths of its actions begin."""
        return reverse("location", args=[self.location.name])

    @property
    def state(self) -> LocationState:
        return self.location.state

    @property
    def state_icon(self) -> str:
        return _ICONS[self.state]

    @property
    def level(self) -> str:
        """The class of its card."""
        return _LEVELS.get(self.state, "none")

    @property
    def before_since(self) -> str:
        """The word before the time at which the state began."""
        return _BEFORE_SINCE.get(self.state, "since")

    @property
    def is_failing(self) -> bool:
        return self.state is LocationState.FAILING

    @property
    def is_unmarked(self) -> bool:
        """Whether the location does not have the marker of this installation."""
        return self.is_failing and self.location.error_code == LocationUnmarked.code

    @property
    def next_attempt(self) -> datetime | None:
        """When copying starts at the latest, unless there is something to copy before. None if it does not start."""
        location = self.location
        if not location.is_ready:
            return None
        if self.state is LocationState.IN_SYNC and location.in_sync_at:
            return location.in_sync_at + SYNC_INTERVAL
        return location.next_attempt_at or datetime.now(UTC)

    @property
    def is_due(self) -> bool:
        return self.next_attempt is not None and self.next_attempt <= datetime.now(UTC)


def moment_of(filename: str | None) -> datetime | None:
    """Return when a backup was made, by its name."""
    name = parse_name(filename) if filename else None
    return name.moment if name else None


# --- Host keys -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HostKey:
    """A host key, with its type and fingerprint as OpenSSH shows them."""

    text: str

    @property
    def type(self) -> str:
        return self.text.partition(" ")[0]

    @property
    def fingerprint(self) -> str:
        """The fingerprint, or "" if this is not a key."""
        try:
            key = base64.b64decode(self.text.partition(" ")[2], validate=True)
        except binascii.Error:
            return ""
        return f"SHA256:{base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip('=')}"


# --- Copies ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CopyRow:
    """A copy. `fate` says what the next cleanup there does with it; `is_here` whether the backup folder has the backup."""

    copy: LocationCopy
    backup: Backup
    fate: str
    will_be_deleted: bool
    is_here: bool


def local_backups() -> list[Backup]:
    """Return the backups that can be copied; none if the folder cannot be used."""
    try:
        return [backup for backup in read_folder(backup_folder()).backups if is_suitable(backup)]
    except TvarrBackupError:
        return []


def describe_copies(location: Location, shown: Sequence[LocationCopy], local: Sequence[Backup]) -> list[CopyRow]:
    """Return rows for some copies. The retention counts all copies together with the backups here, as copying does."""
    here = {backup.filename: backup for backup in local}
    there = {
        copy.filename: Backup(copy.filename, decode_sidecar(copy.sidecar.encode())) for copy in location.copies.all()
    }
    everything = list((there | here).values())
    policy, now = location.policy(), datetime.now(UTC)
    rows = []
    for copy in shown:
        backup = here.get(copy.filename) or there[copy.filename]
        reason = why_kept(backup, lambda: everything, policy, now)
        rules = rules_keeping(backup, everything, policy, now) if reason is KeptReason.WITHIN_LIMITS else []
        rows.append(
            CopyRow(
                copy,
                backup,
                describe_fate(reason, rules, policy),
                will_be_deleted=reason is None,
                is_here=copy.filename in here,
            )
        )
    return rows


# --- The recovery kit ------------------------------------------------------------------------------------------------

_SECRETS = {
    LocationKind.FOLDER: "",
    LocationKind.S3: "It asks for the secret key of the bucket, which is not in this kit.",
    LocationKind.SFTP: "It asks for the password or the private key, which is not in this kit.",
    LocationKind.WEBDAV: "It asks for the password, which is not in this kit.",
}


@dataclass(frozen=True)
class RecoveryKit:
    """What is needed to read the copies of a location on a new machine, except its password."""

    location: Location
    key: Key
    made_at: datetime
    installation: str

    @classmethod
    def of(cls, location: Location, key: Key) -> RecoveryKit:
        return cls(location, key, datetime.now(UTC), Installation.load())

    @property
    def file_name(self) -> str:
        return f"tvarr-backup-recovery-{self.location.name}.txt"

    @property
    def commands(self) -> list[str]:
        return [
            "pipx install 'tvarr-backup[locations]'",
            f"tvarr-backup rebuild --from {shlex.quote(self.location.url)} --identity {self.file_name} --with-settings latest",
        ]

    @property
    def about_secrets(self) -> str:
        return _SECRETS[LocationKind(self.location.kind)]

    @property
    def text(self) -> str:
        """The kit as a file, in the format of age-keygen: programs that read an identity skip all other lines."""
        install, rebuild = self.commands
        lines = [
            "Recovery kit of tvarr-backup",
            "",
            f"Location:     {self.location.name}",
            f"Address:      {self.location.url}",
            f"Installation: {self.installation}",
            f"Made:         {format_exact_time(self.made_at)}",
            f"Recipient:    {self.key.recipient}",
            "",
            "Without the identity in the last line, nobody can read these copies, not even the server that made them.",
            "Anyone who has it, and the copies, can read them. Keep this file in a safe place away from the server.",
            "",
            "On a new machine, in the folder of this file:",
            "",
            f"  {install}",
            f"  {rebuild}",
            *(["", self.about_secrets] if self.about_secrets else []),
            "",
        ]
        return "".join(f"# {line}".rstrip() + "\n" for line in lines) + f"{self.key.identity}\n"

    @property
    def data_url(self) -> str:
        return f"data:text/plain;charset=utf-8;base64,{base64.b64encode(self.text.encode()).decode()}"
