"""Credentials of a location for a command: from the environment, from files, or typed on a terminal."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from django.core.management.base import CommandError

from tvarr_backup.locations.addresses import OPTIONS, Address, LocationKind, require_credentials

_START = "TVARR_BACKUP_LOCATION_"
_FILE_ENDING = "_FILE"
_CREDENTIALS = ("access_key", "secret_key", "password", "private_key", "passphrase")


def add_credentials(address: Address, ask: Callable[[str], str] | None) -> Address:
    """Return the address with credentials; `ask` asks for a secret, or is None where nobody can answer.

    Raises `CommandError` for an unreadable file, and `LocationInvalid` if a required one is missing.
    """
    names = [option.name for option in OPTIONS[address.kind] if option.name in _CREDENTIALS]
    given = {name: text for name in names if (text := _read_variable(name))}
    found = address.with_options(**given)
    if ask is not None:
        found = found.with_options(**{name: ask(f"{_label(found, name)}:") for name in _missing(found)})
    require_credentials(found)
    return found


def _missing(address: Address) -> list[str]:
    """Return the options to ask for. A server may allow access without a user, so a password alone is not asked for."""
    options = address.options
    if address.kind is LocationKind.S3:
        return [name for name in ("access_key", "secret_key") if not options[name]]
    if address.kind is LocationKind.SFTP:
        return [] if options["password"] or options["private_key"] else ["password"]
    if address.kind is LocationKind.WEBDAV and options["user"]:
        return [] if options["password"] else ["password"]
    return []


def _label(address: Address, name: str) -> str:
    return next(option.label for option in OPTIONS[address.kind] if option.name == name)


def _read_variable(name: str) -> str:
    """Return a credential from `TVARR_BACKUP_LOCATION_NAME`, or from the file that `..._NAME_FILE` names, or ""."""
    variable = _START + name.upper()
    if text := os.environ.get(variable, ""):
        return text
    file = os.environ.get(variable + _FILE_ENDING, "").strip()
    if not file:
        return ""
    try:
        content = Path(file).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise CommandError(f"{variable}{_FILE_ENDING}: {file} cannot be read: {problem}.") from problem
    return content if name == "private_key" else content.strip("\r\n")
