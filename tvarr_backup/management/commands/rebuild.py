"""The command `rebuild`."""

from __future__ import annotations

import base64
import hashlib
import re
import signal
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from tvarr_backup import conf, program
from tvarr_backup.backups.lookup import choose_name
from tvarr_backup.backups.progress import Phase
from tvarr_backup.backups.settings_archive import KeySource, SettingsMetadata
from tvarr_backup.errors import (
    BackupNotFound,
    IdentityRequired,
    LocationUnsupported,
    LocationUntrusted,
    SettingsUnavailable,
)
from tvarr_backup.formatting import format_count, format_exact_time, format_size
from tvarr_backup.locations.addresses import Address, parse_url
from tvarr_backup.locations.copies import CopyFolder, CopyListing
from tvarr_backup.locations.stores import Store, open_store
from tvarr_backup.management.credentials import add_credentials
from tvarr_backup.management.progress import ProgressDisplay
from tvarr_backup.management.terminal import TerminalCommand, complete_files, open_input
from tvarr_backup.operations.rebuild import (
    Found,
    Rebuilt,
    find_installation,
    is_key_in_environment,
    own_new_file,
    read_copies,
    rebuild,
    require_absent,
    require_settings_file,
)
from tvarr_backup.quoting import cut, quoted

_MOST_LISTED = 10
_MOST_OF_NOTE = 40
_MOST_OF_IDENTITY = 100_000
_OWNER = re.compile(r"([0-9]{1,9}):([0-9]{1,9})", re.ASCII)
_HEADINGS = ("#", "Created", "Size", "Note", "Name")
_KEPT_IN_SETTINGS = ("users", "settings", "schedule", "locations", "history")


class Command(TerminalCommand):
    help = "Put tvarr's database back from a location, on a machine without a database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "name",
            nargs="?",
            default="latest",
            metavar="BACKUP",
            help="file name, the start of it, latest (default), latest~1 (the one before), or number in the list",
        )
        parser.add_argument(
            "--from",
            required=True,
            metavar="URL",
            dest="url",
            help="folder:/path, s3://bucket/prefix?endpoint=..., sftp://user@host/path, or webdav+https://host/path",
        )
        complete_files(
            parser.add_argument(
                "--identity",
                metavar="FILE",
                help="recovery kit, identity of age, or private key of SSH, or - for stdin",
            )
        )
        complete_files(
            parser.add_argument(
                "--to", metavar="FILE", help="the new database (default: TVARR_DATABASE_DSN, if it is set)"
            )
        )
        parser.add_argument(
            "--owner", type=_read_owner, metavar="UID:GID", help="owner of the new files (default: the folder's)"
        )
        parser.add_argument("--installation", default="", metavar="ID", help="if the location has several")
        parser.add_argument(
            "--with-settings",
            action="store_true",
            help="also bring back users, settings, schedule, locations and history",
        )
        parser.add_argument("--list", action="store_true", dest="only_list", help="only list the backups")
        parser.add_argument(
            "--accept-newer", action="store_true", help="accept a schema that this version does not know yet"
        )
        parser.add_argument(
            "--accept-code", action="store_true", help="accept views, triggers and virtual tables in the database"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON value")

    def handle(self, *_args: Any, only_list: bool, **options: Any) -> None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            address = self._find_address(options["url"])
            self._list(address, options) if only_list else self._rebuild(address, options)
        except KeyboardInterrupt:
            raise CommandError("Canceled. The unfinished files were removed.", returncode=130) from None

    # --- The location ------------------------------------------------------------------------------------------------

    def _find_address(self, url: str) -> Address:
        """Return the address with credentials, and with the host key if a user has confirmed it."""
        address = add_credentials(parse_url(url), self.ask_secret if self.can_ask else None)
        try:
            with open_store(address) as store:
                store.list_folders()
        except LocationUntrusted as problem:
            if not problem.host_key or address.options.get("host_key"):
                raise
            return self._confirm_host_key(address, problem)
        return address

    def _confirm_host_key(self, address: Address, problem: LocationUntrusted) -> Address:
        known = address.with_options(host_key=problem.host_key)
        kind, fingerprint = describe_host_key(problem.host_key)
        self.message(f"The host key of {address.options['host']} is not known yet. It is {kind}, {fingerprint}.")
        if self.confirm("Is this the right server?"):
            return known
        where = "" if self.can_ask else f' To accept the key without a question, use --from "{known.url}".'
        raise CommandError(f"The host key was not confirmed. Nothing was changed.{where}", returncode=1)

    def _read_identity(self, given: str | None) -> str:
        """Return the identity in the named file, or ""."""
        if given is None:
            return ""
        with open_input(given, option="--identity ") as file:
            content = file.read(_MOST_OF_IDENTITY)
        return _normalize_identity(content.decode(errors="replace"))

    def _require_identity(self, given: str | None) -> str:
        identity = self._read_identity(given)
        if not identity and self.can_ask:
            identity = _normalize_identity(self.ask_secret("Identity (AGE-SECRET-KEY-1...):"))
        if not identity:
            raise IdentityRequired(
                "The backups are encrypted. Give the identity from the recovery kit with --identity FILE. Nothing was changed."
            )
        return identity

    # --- Listing -----------------------------------------------------------------------------------------------------

    def _list(self, address: Address, options: Mapping[str, Any]) -> None:
        identity = self._read_identity(options["identity"])
        with open_store(address) as store:
            folder, listing = _read_listing(store, options["installation"])
            found = read_copies(folder, listing.copies, identity)
        lines = [*self._format(found), f"{format_count(len(found), 'backup')} of {folder.installation}"]
        if listing.settings:
            lines.append(f"Newest settings archive: {listing.settings[0]}")
        data = {
            "installation": folder.installation,
            "backups": [_as_data(one, number) for number, one in enumerate(found, start=1)],
            "settings": list(listing.settings),
        }
        self.print_result(data, *lines)

    def _format(self, found: Sequence[Found]) -> list[str]:
        rows = [_format_row(number, one) for number, one in enumerate(found, start=1)]
        return self.table(_HEADINGS, rows)

    # --- Rebuilding --------------------------------------------------------------------------------------------------

    def _rebuild(self, address: Address, options: Mapping[str, Any]) -> None:
        path, with_settings = _find_target(options["to"]), options["with_settings"]
        owner = own_new_file(path, options["owner"])
        require_absent(path)
        if with_settings:
            require_settings_file()
        with open_store(address) as store:
            folder, listing = _read_listing(store, options["installation"])
            name = choose_name(options["name"], [copy.filename for copy in listing.copies], accept_numbers=True)
            copy = next((copy for copy in listing.copies if copy.filename == name), None)
            if copy is None:
                raise BackupNotFound("There is no backup {filename}.", filename=quoted(name))
            identity = self._read_identity(options["identity"])
            if with_settings or copy.is_encrypted:
                identity = identity or self._require_identity(None)
            archive = _choose_settings(listing) if with_settings else ""
            if not options["json"]:
                self._show(folder, listing, identity)
            with ProgressDisplay() as receiving, ProgressDisplay() as checking:

                def show(phase: Phase, done: int, total: int) -> None:
                    (receiving if phase is Phase.RECEIVE else checking)(phase, done, total)

                rebuilt = rebuild(
                    folder,
                    copy,
                    path,
                    owner,
                    identity=identity,
                    settings_archive=archive,
                    accept_newer=options["accept_newer"],
                    accept_code=options["accept_code"],
                    progress=show,
                )
        self._report(rebuilt, folder)

    def _show(self, folder: CopyFolder, listing: CopyListing, identity: str) -> None:
        """List the newest backups, so that a user sees what else there is."""
        for line in self._format(read_copies(folder, listing.copies[:_MOST_LISTED], identity)):
            self.message(line)
        more = len(listing.copies) - _MOST_LISTED
        if more > 0:
            self.message(f"And {more} more: --list shows all.")
        self.stderr.flush()

    def _report(self, rebuilt: Rebuilt, folder: CopyFolder) -> None:
        missing = [] if rebuilt.settings else list(_KEPT_IN_SETTINGS)
        steps, warning = _next_steps(rebuilt), _warn_of_key(rebuilt.settings)
        data = {
            "filename": rebuilt.filename,
            "created_at": rebuilt.sidecar.created_at.isoformat(),
            "installation": folder.installation,
            "to": str(rebuilt.path),
            "owner": f"{rebuilt.owner.uid}:{rebuilt.owner.gid}",
            "table_counts": dict(rebuilt.sidecar.table_counts),
            "settings": rebuilt.settings
            and {
                "created_at": rebuilt.settings.created_at.isoformat(),
                "secret_key": str(rebuilt.settings.secret_key),
            },
            "missing": missing,
            "warnings": [warning] if warning else [],
            "next": steps,
        }
        self.print_result(
            data,
            f"Restored {rebuilt.filename} of {format_exact_time(rebuilt.sidecar.created_at)}, verified",
            f"Database: {rebuilt.path} (owner {data['owner']})",
            _describe_settings(rebuilt.settings),
            *([f"warning: {warning}"] if warning else []),
            "Next:",
            *(f"  {number}. {step}" for number, step in enumerate(steps, start=1)),
        )


def _read_owner(text: str) -> tuple[int, int]:
    match = _OWNER.fullmatch(text)
    if match is None:
        raise ArgumentTypeError(f"expected numbers such as 1000:1000, got {quoted(text)}")
    return int(match[1]), int(match[2])


def _normalize_identity(text: str) -> str:
    try:
        from tvarr_backup.locations.encryption import read_key  # noqa: PLC0415  # an extra
    except ModuleNotFoundError as problem:
        raise LocationUnsupported(
            "The library for encryption is not installed. Install tvarr-backup[locations]."
        ) from problem
    return read_key(text).identity


def describe_host_key(host_key: str) -> tuple[str, str]:
    """Return the type and the fingerprint of a host key, as OpenSSH shows them."""
    kind, encoded = host_key.split()[:2]
    digest = hashlib.sha256(base64.b64decode(encoded)).digest()
    return kind, f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def _find_target(given: str | None) -> Path:
    """Return the path of the new database. Raises `CommandError`."""
    if given:
        return Path(given).expanduser().absolute()
    alias = conf.tvarr_alias()
    if not settings.TVARR_DATABASE_NAMED:
        raise CommandError("Name the new database: with --to FILE, or in TVARR_DATABASE_DSN. Nothing was changed.")
    if not conf.is_file(alias):
        raise CommandError("TVARR_DATABASE_DSN names a server. Name a file with --to. Nothing was changed.")
    return conf.database_path(alias)


def _read_listing(store: Store, installation: str) -> tuple[CopyFolder, CopyListing]:
    folder = find_installation(store, installation)
    return folder, folder.read_listing()


def _choose_settings(listing: CopyListing) -> str:
    if not listing.settings:
        raise SettingsUnavailable(
            "The location has no settings archive: they are copied to encrypted locations only, once a day. Nothing was changed. "
            "Run this command without --with-settings."
        )
    return listing.settings[0]


def _format_row(number: int, found: Found) -> tuple[str, ...]:
    sidecar = found.sidecar
    unread = found.problem or ("(encrypted)" if found.copy.is_encrypted else "")
    return (
        str(number),
        format_exact_time(sidecar.created_at if sidecar else found.copy.name.moment),
        format_size(found.copy.size),
        cut(sidecar.note if sidecar else unread, _MOST_OF_NOTE),
        found.copy.filename,
    )


def _as_data(found: Found, number: int) -> dict[str, Any]:
    sidecar = found.sidecar
    return {
        "number": number,
        "filename": found.copy.filename,
        "created_at": (sidecar.created_at if sidecar else found.copy.name.moment).isoformat(),
        "size": found.copy.size,
        "is_encrypted": found.copy.is_encrypted,
        "note": sidecar.note if sidecar else None,
        "kind": str(sidecar.kind) if sidecar else None,
        "problem": found.problem,
    }


def _describe_settings(brought_back: SettingsMetadata | None) -> str:
    if brought_back is None:
        return (
            f"Not restored: {', '.join(_KEPT_IN_SETTINGS[:-1])} and {_KEPT_IN_SETTINGS[-1]}. `{program.NAME} prepare` creates "
            "new ones."
        )
    return (
        f"Settings of {format_exact_time(brought_back.created_at)}: {', '.join(_KEPT_IN_SETTINGS[:-1])} and "
        f"{_KEPT_IN_SETTINGS[-1]} are back in {conf.storage_folder()}"
    )


def _warn_of_key(brought_back: SettingsMetadata | None) -> str:
    """Return what to know about the secret key, if it is not as it was."""
    consequence = "everyone has to sign in again, and credentials of locations have to be entered again."
    source = brought_back.secret_key if brought_back else None
    if source is KeySource.ENVIRONMENT and not is_key_in_environment():
        return (
            "The secret key was in SECRET_KEY or SECRET_KEY_FILE, and is not in the archive. Set it again before you start "
            f"tvarr-backup. With another key, {consequence}"
        )
    if source is KeySource.ARCHIVE and is_key_in_environment():
        return (
            "SECRET_KEY or SECRET_KEY_FILE is set, so the secret key of the archive was not saved. Unless both are the same, "
            f"{consequence}"
        )
    return ""


def _next_steps(rebuilt: Rebuilt) -> list[str]:
    is_named = settings.TVARR_DATABASE_NAMED and conf.is_file(conf.tvarr_alias())
    is_set = is_named and conf.database_path(conf.tvarr_alias()) == rebuilt.path
    name = program.NAME
    start = f"Start tvarr-backup: `{name} up`."
    if rebuilt.settings is None:
        start = f"Start tvarr-backup: `{name} up`. It prints a one-time password for a new administrator."
    return [
        *([] if is_set else [f"Set TVARR_DATABASE_DSN={rebuilt.path} for tvarr-backup."]),
        "Start tvarr with this database.",
        start,
        f"Make a backup: `{name} backup create`."
        + ("" if rebuilt.settings is None else " If the backup folder was on another disk, add --accept-folder."),
        *(["Add the location again, so that backups are copied there."] if rebuilt.settings is None else []),
    ]
