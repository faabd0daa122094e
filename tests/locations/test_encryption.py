"""Encryption with age: keys, streams, and what the reference program reads."""

import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from tvarr_backup.errors import IdentityInvalid, IdentityWrong, RecipientInvalid
from tvarr_backup.locations.encryption import EncryptedSource, decrypt, new_key, read_key, read_recipient, seal, unseal
from tvarr_backup.locations.stores import BytesSource, FileSource, Source

SIZES = [0, 1, 2**16 - 1, 2**16, 2**16 + 1, 3 * 2**20 + 17]


@pytest.mark.parametrize("size", SIZES)
def test_the_encrypted_size_is_known_before_the_bytes_are(size: int) -> None:
    source = EncryptedSource(BytesSource(b"x" * size), [new_key().recipient])
    with source.open() as file:
        content = file.read()
    assert len(content) == source.size
    assert source.checksum == f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.mark.parametrize("size", SIZES)
def test_what_is_encrypted_in_pieces_is_decrypted_in_pieces(size: int) -> None:
    key, content, output = new_key(), bytes(range(256)) * (size // 256 + 1), io.BytesIO()
    with EncryptedSource(BytesSource(content[:size]), [key.recipient]).open() as file:
        decrypt(iter(lambda: file.read(10_000), b""), key.identity, output)
    assert output.getvalue() == content[:size]


def test_age_itself_decrypts(tmp_path: Path) -> None:
    key, plain = new_key(), tmp_path / "plain"
    plain.write_bytes(b"harbour" * 50_000)
    with EncryptedSource(FileSource(plain, plain.stat().st_size), [key.recipient]).open() as file:
        (tmp_path / "plain.age").write_bytes(file.read())
    (tmp_path / "key").write_text(f"# created by a test\n{key.identity}\n")
    command = ["age", "--decrypt", "--identity", str(tmp_path / "key"), str(tmp_path / "plain.age")]
    assert subprocess.run(command, check=True, capture_output=True).stdout == plain.read_bytes()


def test_what_age_encrypts_is_decrypted(tmp_path: Path) -> None:
    key, output = new_key(), io.BytesIO()
    command = ["age", "--encrypt", "--recipient", key.recipient]
    encrypted = subprocess.run(command, check=True, capture_output=True, input=b"harbour").stdout
    decrypt([encrypted], key.identity, output)
    assert output.getvalue() == b"harbour"


def test_another_identity_decrypts_nothing() -> None:
    key, other = new_key(), new_key()
    with EncryptedSource(BytesSource(b"harbour"), [key.recipient]).open() as file, pytest.raises(IdentityWrong):
        decrypt([file.read()], other.identity, io.BytesIO())
    with pytest.raises(IdentityWrong):
        unseal(seal(b"harbour", [key.recipient]), other.identity)


@pytest.mark.parametrize("position", [5, 100, 300, -5])
def test_a_changed_bit_is_noticed(position: int) -> None:
    key = new_key()
    with EncryptedSource(BytesSource(b"harbour" * 20_000), [key.recipient]).open() as file:
        content = bytearray(file.read())
    content[position] ^= 1
    with pytest.raises(IdentityWrong):
        decrypt([bytes(content)], key.identity, io.BytesIO())


class _Failing(Source):
    """A source that cannot be read: a directory in place of a file."""

    size = 2**20

    @contextmanager
    def open(self, start: int = 0) -> Iterator[BinaryIO]:
        with open("/proc/self/mem", "rb") as file:  # noqa: PTH123  # reading address 0 is an I/O error
            yield file


def test_an_error_of_the_plain_source_is_raised_instead_of_an_early_end() -> None:
    source = EncryptedSource(_Failing(), [new_key().recipient])
    with pytest.raises(OSError, match="Input/output error"):
        read_all(source)
    assert source.checksum == ""


def read_all(source: Source) -> bytes:
    with source.open() as file:
        return file.read()


def test_an_error_of_the_pieces_is_raised() -> None:
    def broken() -> Iterator[bytes]:
        yield b"age-encryption.org/v1\n"
        raise ConnectionResetError("The connection was cut.")

    with pytest.raises(ConnectionResetError):
        decrypt(broken(), new_key().identity, io.BytesIO())


def test_an_encryption_that_is_not_read_to_its_end_ends_nevertheless() -> None:
    source = EncryptedSource(BytesSource(b"x" * 10_000_000), [new_key().recipient])
    with source.open() as file:
        file.read(1000)
    assert source.checksum == ""
    EncryptedSource(BytesSource(b"x" * 10_000_000), [new_key().recipient]).close()


def test_an_identity_is_read_from_a_file_of_age_keygen() -> None:
    key = new_key()
    assert read_key(f"# created: today\n# public key: {key.recipient}\n{key.identity}\n") == key
    assert read_key(key.identity.lower()) == key


@pytest.mark.parametrize("text", ["", "harbour", "AGE-SECRET-KEY-1QQQQ", "age1qqqq"])
def test_another_text_is_not_an_identity(text: str) -> None:
    with pytest.raises(IdentityInvalid) as refusal:
        read_key(text)
    assert text == "" or text not in str(refusal.value).replace('"AGE-SECRET-KEY-1"', "")


def keygen(path: Path, *options: str) -> Path:
    """Make a private key of SSH, and its public key next to it."""
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "marit@nas", "-f", path, *options], check=True)
    return path


def test_recipients_of_age_and_ssh_are_accepted(tmp_path: Path) -> None:
    public = keygen(tmp_path / "key", "-t", "ed25519").with_suffix(".pub").read_text()
    assert read_recipient(f" {public}\n") == public.removesuffix(" marit@nas\n")
    recipient = new_key().recipient
    assert read_recipient(f" {recipient}\n") == recipient


@pytest.mark.parametrize("options", [("-t", "ed25519"), ("-t", "rsa"), ("-t", "rsa", "-m", "PEM")], ids=" ".join)
def test_a_private_key_of_ssh_decrypts_what_its_public_key_encrypts(tmp_path: Path, options: tuple[str, ...]) -> None:
    path, output = keygen(tmp_path / "key", *options), io.BytesIO()
    recipient, identity = read_recipient(path.with_suffix(".pub").read_text()), path.read_text()
    assert read_key(identity).recipient == recipient
    with EncryptedSource(BytesSource(b"harbour"), [recipient]).open() as file:
        decrypt([file.read()], identity, output)
    assert output.getvalue() == unseal(seal(b"harbour", [recipient]), identity) == b"harbour"


@pytest.mark.parametrize("options", [("-t", "ecdsa"), ("-t", "ed25519", "-N", "tide-table")], ids=" ".join)
def test_a_private_key_that_age_cannot_use_is_refused(tmp_path: Path, options: tuple[str, ...]) -> None:
    path = keygen(tmp_path / "key", *options)
    with pytest.raises(IdentityInvalid, match="Ed25519 or RSA, without a passphrase"):
        read_key(path.read_text())
    with pytest.raises(IdentityInvalid) as refusal:
        read_key(path.read_text()[:150])
    assert path.read_text()[100:140] not in str(refusal.value)


@pytest.mark.parametrize("text", ["", "age1harbour", "ssh-ed25519 AAAA", "harbour"])
def test_another_text_is_not_a_recipient(text: str) -> None:
    with pytest.raises(RecipientInvalid):
        read_recipient(text)


def test_no_representation_has_the_identity() -> None:
    key = new_key()
    assert key.identity not in repr(key)


def test_other_processes_ask_through_a_command() -> None:
    def ask(action: str, text: str = "") -> dict[str, str]:
        command = [sys.executable, "-m", "tvarr_backup.locations.encryption", action]
        made: dict[str, str] = json.loads(
            subprocess.run(command, check=False, input=text, capture_output=True, text=True).stdout
        )
        return made

    key = ask("new")
    assert ask("identity", key["identity"]) == {"identity": "", "recipient": key["recipient"]}
    assert ask("recipient", key["recipient"])["recipient"] == key["recipient"]
    assert ask("recipient", "harbour")["code"] == "recipient_invalid"


@pytest.mark.parametrize("text", ["AGE-SECRET-KEY-1QPZRY9X8", "-----BEGIN OPENSSH PRIVATE KEY-----\ntide-table\n"])
def test_a_secret_in_place_of_a_recipient_is_not_repeated(text: str) -> None:
    with pytest.raises(RecipientInvalid) as refusal:
        read_recipient(text)
    assert text.splitlines()[-1] not in str(refusal.value)
