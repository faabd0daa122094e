"""Encrypts the credentials of locations in this program's own database, and the records of copies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tvarr_backup.errors import LocationUnsupported, SecretsLost
from tvarr_backup.operations.sealing import KeyChanged, LibraryMissing, seal, seal_bytes, unseal, unseal_bytes

_CREDENTIALS = "tvarr-backup: credentials of locations"
_RECORDS = "tvarr-backup: records of copies"


def seal_options(options: Mapping[str, str]) -> str:
    """Return the options encrypted; "" for none. Raises `LocationUnsupported`."""
    with _with_library():
        return seal(_CREDENTIALS, options)


def unseal_options(text: str) -> dict[str, str]:
    """Return the options of a text of `seal_options`. Raises `SecretsLost` and `LocationUnsupported`."""
    try:
        with _with_library():
            return unseal(_CREDENTIALS, text)
    except KeyChanged as problem:
        raise SecretsLost(
            "The credentials of this location cannot be read, because the secret key has changed since they were stored. Enter them "
            "again."
        ) from problem


def seal_record(content: bytes) -> str:
    """Return the record of a copy encrypted. Raises `LocationUnsupported`."""
    with _with_library():
        return seal_bytes(_RECORDS, content)


def unseal_record(text: str) -> bytes | None:
    """Return the content of a text of `seal_record`, or None if it was not made with this secret key. Raises `LocationUnsupported`."""
    try:
        with _with_library():
            return unseal_bytes(_RECORDS, text)
    except KeyChanged:
        return None


@contextmanager
def _with_library() -> Iterator[None]:
    try:
        yield
    except LibraryMissing as problem:
        raise LocationUnsupported(
            "The library that encrypts credentials is not installed. Install tvarr-backup[locations]."
        ) from problem
