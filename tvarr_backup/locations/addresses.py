"""Addresses of locations: their kinds, options and URLs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from tvarr_backup.errors import LocationInvalid
from tvarr_backup.quoting import quoted
from tvarr_backup.texts import find_hidden


class LocationKind(StrEnum):
    """The kind of a location, which is its protocol."""

    FOLDER = "folder"
    S3 = "s3"
    SFTP = "sftp"
    WEBDAV = "webdav"

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS = {
    LocationKind.FOLDER: "Folder",
    LocationKind.S3: "S3 bucket",
    LocationKind.SFTP: "SFTP",
    LocationKind.WEBDAV: "WebDAV",
}

_MOST_OF_TEXT = 2_000
_MOST_OF_SECRET = 20_000
"""An RSA key of 16,384 bits has 13 kB."""


@dataclass(frozen=True)
class Option:
    """An option of an address. `read` returns the stored form of a text, or raises `ValueError`.

    Secret options are encrypted when they are stored, and are never shown.
    """

    name: str
    label: str
    help: str
    expected: str
    read: Callable[[str], str]
    is_secret: bool = False
    is_required: bool = False
    default: str = ""

    @property
    def is_flag(self) -> bool:
        """Whether it is "yes" or "no"."""
        return self.read is _read_flag


def _read_text(text: str) -> str:
    return _require(text, 0 < len(text) <= _MOST_OF_TEXT and not any(find_hidden(text)))


def _read_secret(text: str) -> str:
    return _require(text, 0 < len(text) <= _MOST_OF_SECRET and "\0" not in text)


def _read_path(text: str) -> str:
    path = _read_text(text)
    _require(path, path.startswith("/"))
    return path.rstrip("/") or "/"


def _read_prefix(text: str) -> str:
    parts = [part for part in _read_text(text).split("/") if part]
    return "/".join(_require(part, part not in {".", ".."}) for part in parts)


def _read_host(text: str) -> str:
    """Accept a name or an address; a colon only occurs in addresses of IPv6, which come without brackets."""
    return _require(text.strip("[]").lower(), re.fullmatch(r"[A-Za-z0-9._:-]{1,253}", text.strip("[]")) is not None)


def _read_port(text: str) -> str:
    return str(int(_require(text, re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) is not None and 0 < int(text) < 2**16)))


def _read_flag(text: str) -> str:
    flags = {"1": "yes", "true": "yes", "yes": "yes", "0": "no", "false": "no", "no": "no"}
    return flags[_require(text.lower(), text.lower() in flags)]


def _read_url(text: str) -> str:
    url = urlsplit(_read_text(text))
    _require(text, url.scheme in {"http", "https"} and bool(url.hostname) and "@" not in url.netloc)
    _require(text, not url.query and not url.fragment and (url.port is None or url.port > 0))
    return text.rstrip("/")


def _read_bucket(text: str) -> str:
    return _require(text, re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}", text, re.ASCII) is not None)


def _read_host_key(text: str) -> str:
    parts = text.split()
    _require(text, 2 <= len(parts) <= 3 and re.fullmatch(r"[a-z0-9@.-]+", parts[0], re.ASCII) is not None)
    return f"{parts[0]} {_require(parts[1], re.fullmatch(r'[A-Za-z0-9+/]+=*', parts[1], re.ASCII) is not None)}"


def _require(text: str, is_valid: bool) -> str:  # noqa: FBT001  # the result of a check
    if not is_valid:
        raise ValueError(text)
    return text


_ABSOLUTE = 'an absolute path such as "/mnt/nas/backups"'
_CA_FILE = Option(
    "ca_file",
    "Certificate file",
    "A PEM file with the certificate that signed the server's own, if it is not a public one",
    'an absolute path such as "/etc/ssl/nas.pem"',
    _read_path,
)

OPTIONS: Mapping[LocationKind, tuple[Option, ...]] = {
    LocationKind.FOLDER: (
        Option(
            "path", "Folder", "A mounted share or disk. The folder must exist", _ABSOLUTE, _read_path, is_required=True
        ),
    ),
    LocationKind.S3: (
        Option("bucket", "Bucket", "The bucket must exist", 'a name such as "backups"', _read_bucket, is_required=True),
        Option("prefix", "Prefix", "Where in the bucket", 'a prefix such as "home/tvarr"', _read_prefix),
        Option(
            "endpoint",
            "Endpoint",
            "The address of the service. Leave it empty for Amazon",
            'an address such as "https://s3.example.com"',
            _read_url,
        ),
        Option("region", "Region", "", 'a region such as "eu-central-1"', _read_text, default="us-east-1"),
        Option(
            "path_style",
            "Bucket in the path",
            "Whether the bucket is in the path of the address, not in the host name. Most services other than Amazon need it",
            '"yes" or "no"',
            _read_flag,
            default="yes",
        ),
        Option("access_key", "Access key", "", "an access key", _read_text),
        Option("secret_key", "Secret key", "", "a secret key", _read_secret, is_secret=True),
        _CA_FILE,
    ),
    LocationKind.SFTP: (
        Option("host", "Host", "", 'a host name such as "nas.example.com"', _read_host, is_required=True),
        Option("port", "Port", "", "a whole number from 1 to 65535", _read_port, default="22"),
        Option("user", "User", "", "a user name", _read_text, is_required=True),
        Option("path", "Folder", "The folder must exist", _ABSOLUTE, _read_path, is_required=True),
        Option(
            "host_key",
            "Host key",
            "The public key of the server. If you leave it empty, a test shows it for you to confirm",
            'a public key such as "ssh-ed25519 AAAA…"',
            _read_host_key,
        ),
        Option("password", "Password", "Not needed with a private key", "a password", _read_secret, is_secret=True),
        Option(
            "private_key",
            "Private key",
            "In the format of OpenSSH or PEM",
            "a private key",
            _read_secret,
            is_secret=True,
        ),
        Option(
            "passphrase",
            "Passphrase",
            "Of the private key, if it has one",
            "a passphrase",
            _read_secret,
            is_secret=True,
        ),
    ),
    LocationKind.WEBDAV: (
        Option(
            "url",
            "Address",
            "The folder must exist",
            'an address such as "https://cloud.example.com/remote.php/dav/files/me/backups"',
            _read_url,
            is_required=True,
        ),
        Option("user", "User", "", "a user name", _read_text),
        Option("password", "Password", "", "a password", _read_secret, is_secret=True),
        _CA_FILE,
    ),
}


@dataclass(frozen=True)
class Address:
    """Where a location is, and how to sign in. All options of the kind are in `options`, "" for those without a value."""

    kind: LocationKind
    options: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Address({self.url})"

    @property
    def url(self) -> str:
        """The URL without secrets; `parse_url` reads it."""
        options = self.options
        query = {option.name: options[option.name] for option in _in_query(self.kind) if options[option.name]}
        query = {name: text for name, text in query.items() if text != _default(self.kind, name)}
        ending = f"?{urlencode(query)}" if query else ""
        if self.kind is LocationKind.FOLDER:
            return f"folder:{quote(options['path'])}"
        if self.kind is LocationKind.S3:
            prefix = f"/{quote(options['prefix'])}" if options["prefix"] else ""
            return f"s3://{options['bucket']}{prefix}{ending}"
        if self.kind is LocationKind.SFTP:
            host = f"[{options['host']}]" if ":" in options["host"] else options["host"]
            port = "" if options["port"] == "22" else f":{options['port']}"
            return f"sftp://{quote(options['user'], safe='')}@{host}{port}{quote(options['path'])}{ending}"
        scheme, rest = options["url"].split("://", 1)
        user = f"{quote(options['user'], safe='')}@" if options["user"] else ""
        return f"webdav+{scheme}://{user}{rest}{ending}"

    @property
    def place(self) -> tuple[str, ...]:
        """Where the location is, whoever signs in. Two locations must not be in one place, because their copies would mix."""
        return (self.kind, *(self.options.get(name, "") for name in _PLACE))

    @property
    def secrets(self) -> dict[str, str]:
        """The secret options that have a value."""
        return {
            one.name: self.options[one.name] for one in OPTIONS[self.kind] if one.is_secret and self.options[one.name]
        }

    @property
    def public(self) -> dict[str, str]:
        """The other options that have a value."""
        return {
            one.name: self.options[one.name]
            for one in OPTIONS[self.kind]
            if not one.is_secret and self.options[one.name]
        }

    @property
    def replacements(self) -> dict[str, str]:
        """The public options that replace those of another address, "" for those to reset. Keys are only replaced by others."""
        return {
            one.name: self.options[one.name]
            for one in OPTIONS[self.kind]
            if not one.is_secret and (self.options[one.name] or one.name not in _RARELY_IN_URLS)
        }

    def with_options(self, **options: str) -> Address:
        return read_address(self.kind, {**self.options, **options})


def read_address(kind: LocationKind, options: Mapping[str, str]) -> Address:
    """Return the address with these options; an empty one has its default. Raises `LocationInvalid`.

    Credentials may be missing, because they come separately. `require_credentials` checks them.
    """
    known = {option.name: option for option in OPTIONS[kind]}
    for name in options:
        if name not in known:
            raise LocationInvalid(
                "{kind} has no option {name}. Expected one of {known}.",
                kind=kind.label,
                name=quoted(name),
                known=", ".join(known),
            )
    found: dict[str, str] = {}
    for name, option in known.items():
        text = options.get(name) or option.default
        if option.is_required and not text:
            raise LocationInvalid("{name}: expected {expected}, got nothing.", name=name, expected=option.expected)
        try:
            found[name] = option.read(text) if text else ""
        except ValueError:
            if option.is_secret:
                raise LocationInvalid("{name}: expected {expected}.", name=name, expected=option.expected) from None
            raise LocationInvalid(
                "{name}: expected {expected}, got {text}.", name=name, expected=option.expected, text=quoted(text)
            ) from None
    return Address(kind, MappingProxyType(found))


REQUIRED_CREDENTIALS: Mapping[LocationKind, tuple[str, ...]] = {LocationKind.S3: ("access_key", "secret_key")}


def require_credentials(address: Address) -> None:
    """Raise `LocationInvalid` if an option for signing in is missing that the kind requires."""
    options = address.options
    for name in REQUIRED_CREDENTIALS.get(address.kind, ()):
        if not options[name]:
            raise LocationInvalid("{name}: expected a key, got nothing.", name=name)
    if address.kind is LocationKind.SFTP and not options["password"] and not options["private_key"]:
        raise LocationInvalid("{name}: expected a password or a private key, got nothing.", name="password")


def parse_url(url: str) -> Address:
    """Read a URL such as `sftp://me@nas.example.com/backups`, whose secrets come separately. Raises `LocationInvalid`."""
    try:
        return _parse_url(url)
    except ValueError as problem:
        raise LocationInvalid(
            'Expected an address such as "folder:/mnt/nas", "s3://bucket/prefix?endpoint=https://s3.example.com", '
            '"sftp://user@host/path" or "webdav+https://host/path", got {url}.',
            url=quoted(_without_password(url)),
        ) from problem


def _parse_url(url: str) -> Address:
    scheme, colon, rest = url.partition(":")
    if not colon:
        raise ValueError(url)
    if scheme == "folder":
        return read_address(LocationKind.FOLDER, {"path": unquote(rest)})
    split = urlsplit(url)
    query = dict(parse_qsl(split.query, keep_blank_values=True, strict_parsing=bool(split.query)))
    if split.fragment or split.password is not None or query.keys() & _SECRETS:
        raise ValueError(url)
    if scheme == "s3":
        return read_address(LocationKind.S3, query | {"bucket": split.netloc, "prefix": unquote(split.path)})
    if scheme == "sftp":
        port = {"port": str(split.port)} if split.port else {}
        where = {"host": split.hostname or "", "user": unquote(split.username or ""), "path": unquote(split.path)}
        return read_address(LocationKind.SFTP, query | where | port)
    if scheme in {"webdav+http", "webdav+https"}:
        host = split.netloc.rpartition("@")[2]
        where = {"url": f"{scheme.removeprefix('webdav+')}://{host}{split.path}", "user": unquote(split.username or "")}
        return read_address(LocationKind.WEBDAV, query | where)
    raise ValueError(url)


_SECRETS = {option.name for options in OPTIONS.values() for option in options if option.is_secret}


def _without_password(url: str) -> str:
    url = re.sub(r"(://[^/@:]*):.*@", r"\1:…@", url, flags=re.DOTALL)
    return re.sub(rf"(({'|'.join(_SECRETS)})=)[^&]*", r"\1…", url)


_PLACE = ("path", "bucket", "prefix", "host", "port", "url", "endpoint")
_RARELY_IN_URLS = {"access_key", "host_key"}
_NOT_IN_QUERY = {"path", "bucket", "prefix", "host", "port", "user", "url"}


def _in_query(kind: LocationKind) -> list[Option]:
    return [option for option in OPTIONS[kind] if option.name not in _NOT_IN_QUERY and not option.is_secret]


def _default(kind: LocationKind, name: str) -> str:
    return next(option.default for option in OPTIONS[kind] if option.name == name)
