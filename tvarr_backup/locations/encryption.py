"""Encryption with age, to a recipient, so that a server cannot read its own copies.

`python -m tvarr_backup.locations.encryption` does for other processes what needs the library: web processes never import it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any, BinaryIO, cast

import pyrage
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from tvarr_backup.errors import IdentityInvalid, IdentityWrong, LocationFailed, RecipientInvalid
from tvarr_backup.locations.keys import Key
from tvarr_backup.locations.stores import CHUNK, Source
from tvarr_backup.quoting import quoted

ENDING = ".age"
_CHUNK_OF_AGE = 2**16
_TAG_BYTES = 16
"""Of each chunk of the payload, and the length of the nonce before it (https://age-encryption.org/v1)."""
_MOST_OF_HEADER = 2**16
_END_OF_HEADER = b"\n--- "
_IDENTITY_START = "AGE-SECRET-KEY-1"
_PRIVATE_KEY_START = "-----BEGIN "
_OPENSSH = "BEGIN OPENSSH"


def new_key() -> Key:
    identity = pyrage.x25519.Identity.generate()
    return Key(str(identity), str(identity.to_public()))


def read_recipient(text: str) -> str:
    """Return a recipient: of age, or a public key of SSH without its comment. Raises `RecipientInvalid`."""
    recipient = text.strip()
    _as_recipient(recipient)
    return " ".join(recipient.split()[:2])


def read_key(text: str) -> Key:
    """Return the key in a text: an identity, a file of age-keygen with one, or a private key of SSH. Raises `IdentityInvalid`."""
    if text.lstrip().startswith(_PRIVATE_KEY_START):
        return _read_private_key(text.strip() + "\n")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if len(lines) != 1 or not lines[0].upper().startswith(_IDENTITY_START):
        raise IdentityInvalid(
            'Expected one identity of age, which starts with "{start}", or a private key of SSH, got {count} lines.',
            start=_IDENTITY_START,
            count=len(lines),
        )
    try:
        identity = pyrage.x25519.Identity.from_str(lines[0].upper())
    except pyrage.IdentityError as problem:
        raise IdentityInvalid(
            'The identity has a typing error: it starts with "{start}", but a character is wrong or missing.',
            start=_IDENTITY_START,
        ) from problem
    return Key(str(identity), str(identity.to_public()))


def _read_private_key(text: str) -> Key:
    """Return the key in a file of ssh-keygen, of which age knows the types Ed25519 and RSA."""
    try:
        pyrage.ssh.Identity.from_buffer(text.encode())
        load = serialization.load_ssh_private_key if _OPENSSH in text else serialization.load_pem_private_key
        public = load(text.encode(), password=None).public_key()
        kind = serialization.PublicFormat.OpenSSH
        return Key(text, read_recipient(public.public_bytes(serialization.Encoding.OpenSSH, kind).decode()))
    except (pyrage.IdentityError, ValueError, TypeError, UnsupportedAlgorithm, RecipientInvalid) as problem:
        raise IdentityInvalid(
            "Expected a private key of SSH of the type Ed25519 or RSA, without a passphrase. To remove the passphrase, run "
            "`ssh-keygen -p` on a copy of the file."
        ) from problem


def _as_recipient(text: str) -> Any:
    if not text.startswith(("age1", "ssh-")):  # it may be an identity or a private key, which no message repeats
        raise RecipientInvalid('Expected a recipient of age such as "age1…" or a public key such as "ssh-ed25519 …".')
    kind: Any = pyrage.ssh.Recipient if text.startswith("ssh-") else pyrage.x25519.Recipient
    try:
        return kind.from_str(text)
    except (pyrage.RecipientError, ValueError) as problem:
        raise RecipientInvalid(
            'Expected a recipient of age such as "age1…" or a public key such as "ssh-ed25519 …", got {text}.',
            text=quoted(text),
        ) from problem


def _as_identity(text: str) -> Any:
    identity = read_key(text).identity
    if identity.startswith(_PRIVATE_KEY_START):
        return pyrage.ssh.Identity.from_buffer(identity.encode())
    return pyrage.x25519.Identity.from_str(identity)


# --- Small texts -----------------------------------------------------------------------------------------------------


def seal(content: bytes, recipients: Sequence[str]) -> str:
    """Return the encrypted content as text (armor)."""
    return cast(bytes, pyrage.encrypt(content, [_as_recipient(one) for one in recipients], armored=True)).decode(
        "ascii"
    )


def unseal(text: str, identity: str) -> bytes:
    """Return the content of a text of `seal`. Raises `IdentityWrong`."""
    try:
        return cast(bytes, pyrage.decrypt(text.encode(), [_as_identity(identity)]))
    except pyrage.DecryptError as problem:
        raise _wrong() from problem


def _wrong() -> IdentityWrong:
    return IdentityWrong(
        "The identity does not decrypt this copy: the copy was encrypted to another recipient, or it is damaged."
    )


# --- Streams ---------------------------------------------------------------------------------------------------------


class EncryptedSource(Source):
    """The encrypted bytes of another source, made while they are read. They differ each time, and so cannot be resumed."""

    def __init__(self, plain: Source, recipients: Sequence[str]) -> None:
        self._plain = plain
        self._recipients = [_as_recipient(one) for one in recipients]
        self._first: _Encryption | None = _Encryption(plain, self._recipients)
        self.size = self._first.size
        self.checksum = ""
        """Of the bytes of the last complete reading, as `sha256:<hex>`."""

    @contextmanager
    def open(self, start: int = 0) -> Iterator[BinaryIO]:
        """Open the bytes. Raises `LocationFailed` if they are opened again and have another size, which age may choose."""
        encryption, self._first = self._first or _Encryption(self._plain, self._recipients), None
        try:
            if start or encryption.size != self.size:
                raise LocationFailed("The encrypted copy has to be written from its start. The next attempt does that.")
            yield cast(BinaryIO, encryption)
            if encryption.is_finished:
                self.checksum = encryption.checksum
        finally:
            encryption.close()

    def close(self) -> None:
        if self._first is not None:
            self._first.close()


class _Encryption(io.RawIOBase):
    """A readable stream of encrypted bytes. age writes them, so that happens in a thread, through a pipe."""

    def __init__(self, plain: Source, recipients: Sequence[Any]) -> None:
        read_end, write_end = os.pipe()
        self._output = os.fdopen(read_end, "rb", CHUNK)
        self._problem: BaseException | None = None
        self._hash = hashlib.sha256()
        self._done = 0
        self._thread = threading.Thread(target=self._run, args=(plain, write_end, recipients), daemon=True)
        self._thread.start()
        self._start = self._read_header()
        self.size = len(self._start) + _TAG_BYTES * (1 + max(1, -(-plain.size // _CHUNK_OF_AGE))) + plain.size

    @property
    def is_finished(self) -> bool:
        return self._done == self.size

    @property
    def checksum(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def _run(self, plain: Source, write_end: int, recipients: Sequence[Any]) -> None:
        try:
            with os.fdopen(write_end, "wb", CHUNK) as output, plain.open() as content:
                watched = _Watched(content)
                try:
                    pyrage.encrypt_io(watched, output, recipients)
                except Exception as problem:  # noqa: BLE001
                    raise watched.problem or problem from None
        except BaseException as problem:  # noqa: BLE001  # raised by the reader
            self._problem = problem

    def _read_header(self) -> bytes:
        header = b""
        while _END_OF_HEADER not in header or not header.endswith(b"\n"):
            line = self._output.readline(_MOST_OF_HEADER)
            header += line
            if not line:
                self._raise_problem()
                raise LocationFailed("The encryption ended before it began.")
        return header

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes. Raises the error of the plain source instead of the end of the bytes."""
        left = self.size - self._done
        size = left if size < 0 else min(size, left)
        piece, self._start = self._start[:size], self._start[size:]
        piece += self._output.read(size - len(piece))
        if len(piece) < size:
            self._thread.join()
            self._raise_problem()
            raise LocationFailed("The encryption ended early.")
        self._hash.update(piece)
        self._done += len(piece)
        return piece

    def readinto(self, buffer: Any) -> int:
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def _raise_problem(self) -> None:
        if self._problem is not None:
            raise self._problem

    def close(self) -> None:
        """End the encryption, also in its middle."""
        if not self.closed:
            self._output.close()  # the thread gets a broken pipe
            self._thread.join()
        super().close()


class _Watched:
    """A file that keeps the error that it raised, because age raises its own instead."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.problem: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        return cast(bytes, self._watch(self._file.read, size))

    def write(self, content: bytes) -> int:
        return cast(int, self._watch(self._file.write, content))

    def flush(self) -> None:
        self._watch(self._file.flush)

    def _watch(self, call: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except BaseException as problem:
            self.problem = problem
            raise


class _Pieces(io.RawIOBase):
    """A readable stream of pieces."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        piece, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


def decrypt(pieces: Iterable[bytes], identity: str, output: IO[bytes]) -> None:
    """Write the decrypted bytes, all of them or an error. Raises `IdentityWrong`, and what `pieces` and `output` raise."""
    known = _as_identity(identity)
    reader, writer = _Watched(io.BufferedReader(_Pieces(pieces), CHUNK)), _Watched(output)
    try:
        pyrage.decrypt_io(reader, writer, [known])
    except Exception as problem:
        raise reader.problem or writer.problem or _wrong() from problem


# --- For other processes ---------------------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    """Print JSON: `new` makes a key; `recipient` and `identity` read a text from the standard input."""
    (action,) = arguments
    try:
        if action == "new":
            key = new_key()
        elif action == "recipient":
            key = Key("", read_recipient(sys.stdin.read()))
        else:
            key = Key("", read_key(sys.stdin.read()).recipient)
    except (RecipientInvalid, IdentityInvalid) as problem:
        print(json.dumps({"code": problem.code, "sentence": problem.sentence.as_data()}))  # noqa: T201
        return 1
    print(json.dumps({"identity": key.identity, "recipient": key.recipient}))  # noqa: T201
    return 0


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        sys.exit(main(sys.argv[1:]))
