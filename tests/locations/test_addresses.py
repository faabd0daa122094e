"""Addresses of locations: options, URLs and what is refused."""

import pytest

from tvarr_backup.errors import LocationInvalid
from tvarr_backup.locations.addresses import LocationKind, parse_url, read_address, require_credentials

URLS = [
    "folder:/mnt/nas/a%20b",
    "s3://backups",
    "s3://backups/home/tvarr?endpoint=http%3A%2F%2F127.0.0.1%3A9000&region=eu",
    "sftp://me@nas.example.com/backups",
    "sftp://me@[::1]:2222/backups?host_key=ssh-ed25519+AAAA",
    "webdav+https://me%40home@cloud.example.com/remote.php/dav?ca_file=%2Fetc%2Fnas.pem",
]


@pytest.mark.parametrize("url", URLS)
def test_a_url_names_the_same_address_again(url: str) -> None:
    address = parse_url(url)
    assert address.url == url
    assert parse_url(address.url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/mnt/nas",
        "folder:mnt",
        "ftp://host/x",
        "s3://b",
        "s3://backups?endpoint=ftp://host",
        "s3://backups/../other",
        "s3://backups?unknown=1",
        "sftp://host/x",
        "sftp://me@host:99999/x",
        "sftp://me:word@host/x",
        "webdav+https://",
        "webdav+https://host/x#part",
        "folder:/mnt/\u202enas",
    ],
)
def test_another_text_is_refused(url: str) -> None:
    with pytest.raises(LocationInvalid):
        parse_url(url)


def test_a_refusal_never_shows_a_password() -> None:
    with pytest.raises(LocationInvalid) as refusal:
        parse_url("sftp://me:s3cret-word@host/x")
    assert "s3cret-word" not in str(refusal.value)


def test_neither_a_url_nor_a_representation_has_secrets() -> None:
    options = {"host": "nas", "user": "me", "path": "/b", "password": "s3cret-word", "private_key": "s3cret-key"}
    address = read_address(LocationKind.SFTP, options)
    assert address.secrets == {"password": "s3cret-word", "private_key": "s3cret-key"}
    for text in (address.url, repr(address), str(address.public)):
        assert "s3cret" not in text


def test_an_invalid_option_is_named_with_its_value() -> None:
    with pytest.raises(LocationInvalid) as refusal:
        read_address(LocationKind.SFTP, {"host": "nas", "user": "me", "path": "backups"})
    assert refusal.value.facts["name"] == "path"
    assert refusal.value.facts["text"] == '"backups"'


def test_an_invalid_secret_is_not_shown() -> None:
    with pytest.raises(LocationInvalid) as refusal:
        read_address(LocationKind.WEBDAV, {"url": "https://host/x", "password": "s3cret\0word"})
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("s3://backups", {}),
        ("s3://backups", {"access_key": "key"}),
        ("sftp://me@host/x", {}),
        ("sftp://me@host/x", {"passphrase": "word"}),
    ],
)
def test_missing_credentials_are_named(url: str, secrets: dict[str, str]) -> None:
    with pytest.raises(LocationInvalid):
        require_credentials(parse_url(url).with_options(**secrets))


def test_a_folder_needs_no_credentials() -> None:
    require_credentials(parse_url("folder:/mnt/nas"))
