"""Keys of encrypted locations."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """An identity of age, which decrypts, and its recipient, which encrypts. `repr` shows only the recipient."""

    identity: str
    recipient: str

    def __repr__(self) -> str:
        return f"Key({self.recipient})"
