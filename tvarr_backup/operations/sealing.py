"""Encrypts secrets in this program's own database, with keys derived from `SECRET_KEY`.

Whoever has the database but not the secret key cannot read them. After the secret key was lost, they have to be entered again.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.conf import settings

if TYPE_CHECKING:
    from cryptography.fernet import Fernet


class KeyChanged(Exception):
    """A sealed text cannot be read with the present secret key."""


class LibraryMissing(Exception):
    """The library that encrypts is not installed."""


def seal(purpose: str, values: Mapping[str, str]) -> str:
    """Return values encrypted for a purpose; "" for none. Raises `LibraryMissing`."""
    return seal_bytes(purpose, json.dumps(dict(values)).encode()) if values else ""


def unseal(purpose: str, text: str) -> dict[str, str]:
    """Return the values of a text of `seal` with the same purpose. Raises `KeyChanged` and `LibraryMissing`."""
    if not text:
        return {}
    found: dict[str, str] = json.loads(unseal_bytes(purpose, text))
    return found


def seal_bytes(purpose: str, content: bytes) -> str:
    """Return bytes encrypted for a purpose. Raises `LibraryMissing`."""
    return _cipher(purpose).encrypt(content).decode("ascii")


def unseal_bytes(purpose: str, text: str) -> bytes:
    """Return the bytes of a text of `seal_bytes` with the same purpose. Raises `KeyChanged` and `LibraryMissing`."""
    cipher = _cipher(purpose)
    from cryptography.fernet import InvalidToken  # noqa: PLC0415  # an extra

    try:
        return cipher.decrypt(text.encode())
    except InvalidToken as problem:
        raise KeyChanged from problem


def _cipher(purpose: str) -> Fernet:
    try:
        from cryptography.fernet import Fernet  # noqa: PLC0415  # an extra
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415
    except ModuleNotFoundError as problem:
        raise LibraryMissing from problem
    key = HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(settings.SECRET_KEY.encode())
    return Fernet(base64.urlsafe_b64encode(key))
