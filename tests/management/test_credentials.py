"""Credentials of a location for a command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management.base import CommandError

from tvarr_backup.errors import LocationInvalid
from tvarr_backup.locations.addresses import parse_url
from tvarr_backup.management.commands.rebuild import describe_host_key
from tvarr_backup.management.credentials import add_credentials

SFTP = parse_url("sftp://tvarr@nas.example.com/backups")
WEBDAV = parse_url("webdav+https://tvarr@cloud.example.com/dav")
S3 = parse_url("s3://backups/tvarr")


def answering(asked: list[str]) -> Callable[[str], str]:
    """Answer each question with "typed", and note it."""

    def ask(question: str) -> str:
        asked.append(question)
        return "typed"

    return ask


def set_variables(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, text in values.items():
        monkeypatch.setenv(f"TVARR_BACKUP_LOCATION_{name}", text)


def test_the_environment_has_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch, PASSWORD="from a variable")
    assert add_credentials(SFTP, None).options["password"] == "from a variable"
    assert add_credentials(WEBDAV, None).options["password"] == "from a variable"


def test_a_file_has_a_password_without_its_line_break(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(" with blanks \n")
    set_variables(monkeypatch, PASSWORD_FILE=str(tmp_path / "password"))
    assert add_credentials(SFTP, None).options["password"] == " with blanks "


def test_a_private_key_keeps_its_lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("-----BEGIN\nkey\n-----END\n")
    (tmp_path / "passphrase").write_text("open sesame\n")
    set_variables(monkeypatch, PRIVATE_KEY_FILE=str(tmp_path / "key"), PASSPHRASE_FILE=str(tmp_path / "passphrase"))
    options = add_credentials(SFTP, None).options
    assert (options["private_key"], options["passphrase"]) == ("-----BEGIN\nkey\n-----END\n", "open sesame")


def test_both_keys_of_s3_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch, ACCESS_KEY="AKIA", SECRET_KEY="secret")
    options = add_credentials(S3, None).options
    assert (options["access_key"], options["secret_key"]) == ("AKIA", "secret")


def test_what_is_missing_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    assert add_credentials(S3, answering(asked)).options["secret_key"] == "typed"
    assert asked == ["Access key:", "Secret key:"]
    set_variables(monkeypatch, PASSWORD="given")
    assert add_credentials(SFTP, answering(asked)).options["password"] == "given"
    assert len(asked) == 2


def test_a_server_without_a_user_is_not_asked_about() -> None:
    asked: list[str] = []
    add_credentials(parse_url("webdav+https://cloud.example.com/dav"), answering(asked))
    add_credentials(parse_url("folder:/mnt/nas"), answering(asked))
    assert asked == []


def test_without_a_terminal_the_missing_option_is_named() -> None:
    with pytest.raises(LocationInvalid, match="password"):
        add_credentials(SFTP, None)


def test_a_missing_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch, PASSWORD_FILE="/missing/file")
    with pytest.raises(CommandError, match="/missing/file"):
        add_credentials(SFTP, None)


def test_a_host_key_is_described_as_openssh_does() -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    assert describe_host_key(key) == ("ssh-ed25519", "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU")
