"""Encrypts the credentials of locations in this program's own database."""

from __future__ import annotations

from collections.abc import Mapping

from tvarr_backup.errors import LocationUnsupported, SecretsLost
from tvarr_backup.operations.sealing import KeyChanged, LibraryMissing, seal, unseal

_PURPOSE = "tvarr-backup: credentials of locations"
_MISSING = "The library that encrypts credentials is not installed. Install tvarr-backup[locations]."


def seal_options(options: Mapping[str, str]) -> str:
    """Return the options encrypted; "" for none. Raises `LocationUnsupported`."""
    try:
        return seal(_PURPOSE, options)
    except LibraryMissing as problem:
        raise LocationUnsupported(_MISSING) from problem


def unseal_options(text: str) -> dict[str, str]:
    """Return the options of a text of `seal_options`. Raises `SecretsLost` and `LocationUnsupported`."""
    try:
        return unseal(_PURPOSE, text)
    except LibraryMissing as problem:
        raise LocationUnsupported(_MISSING) from problem
    except KeyChanged as problem:
        raise SecretsLost(
            "The credentials of this location cannot be read, because the secret key has changed since they were stored. Enter them "
            "again."
        ) from problem
