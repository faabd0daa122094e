"""Encrypts the credentials of locations in this program's own database, and the records of copies, with keys derived from `SECRET_KEY`.

Whoever has the database but not the secret key cannot read them. After the secret key was lost, they have to be entered again.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.conf import settings

from tvarr_backup.errors import LocationUnsupported, SecretsLost

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

_CREDENTIALS = b"tvarr-backup: credentials of locations"
_RECORDS = b"tvarr-backup: records of copies"


def seal_options(options: Mapping[str, str]) -> str:
    """Return the options encrypted; "" for none. Raises `LocationUnsupported`."""
    return _cipher(_CREDENTIALS).encrypt(json.dumps(dict(options)).encode()).decode("ascii") if options else ""


def unseal_options(text: str) -> dict[str, str]:
    """Return the options of a text of `seal_options`. Raises `SecretsLost` and `LocationUnsupported`."""
    if not text:
        return {}
    from cryptography.fernet import InvalidToken  # noqa: PLC0415  # an extra

    try:
        found: dict[str, str] = json.loads(_cipher(_CREDENTIALS).decrypt(text.encode()))
    except InvalidToken as problem:
        raise SecretsLost(
            "The credentials of this location cannot be read, because the secret key has changed since they were stored. Enter them "
            "again."
        ) from problem
    return found


def seal_record(content: bytes) -> str:
    """Return the record of a copy encrypted. Raises `LocationUnsupported`."""
    return _cipher(_RECORDS).encrypt(content).decode("ascii")


def unseal_record(text: str) -> bytes | None:
    """Return the content of a text of `seal_record`, or None if it was not made with this secret key. Raises `LocationUnsupported`."""
    from cryptography.fernet import InvalidToken  # noqa: PLC0415  # an extra

    try:
        return _cipher(_RECORDS).decrypt(text.encode())
    except InvalidToken:
        return None


def _cipher(purpose: bytes) -> Fernet:
    try:
        from cryptography.fernet import Fernet  # noqa: PLC0415  # an extra
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415
    except ModuleNotFoundError as problem:
        raise LocationUnsupported(
            "The library that encrypts credentials is not installed. Install tvarr-backup[locations]."
        ) from problem
    key = HKDF(SHA256(), 32, salt=None, info=purpose).derive(settings.SECRET_KEY.encode())
    return Fernet(base64.urlsafe_b64encode(key))
