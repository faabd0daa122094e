"""Read settings from the environment. Raise `ImproperlyConfigured` for invalid values."""

import grp
import ipaddress
import os
import re
from collections.abc import Callable, Collection
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from tvarr_backup.cron import ALLOWED_CRONS, parse_cron, parse_zone
from tvarr_backup.durations import parse_duration
from tvarr_backup.errors import ReceiverInvalid
from tvarr_backup.locations.variables import PREFIX, LocationVariables, find_locations
from tvarr_backup.receivers.addresses import ReceiverAddress, check_ping_url, parse_receiver
from tvarr_backup.receivers.mail_servers import MailServer, parse_mail_server

T = TypeVar("T")
SQLITE = "tvarr_backup.sqlite3"
POSTGRESQL = "django.db.backends.postgresql"
_DATABASE = (
    "an SQLite file (PATH, file:PATH or sqlite:///PATH), or postgresql://USER:PASSWORD@HOST:PORT/NAME with options such as "
    "?sslmode=require"
)
_NO_UNDERSCORE = "a host name without an underscore (_), because requests to such a name are refused"
_REDIS = "redis://USER:PASSWORD@HOST:PORT/NUMBER, rediss:// for TLS, or unix:///PATH?db=NUMBER"
_REDIS_SECONDS = {"socket_connect_timeout": 5, "socket_timeout": 10, "health_check_interval": 30}

_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")
_FILE_MODE = re.compile(r"0?(600|640|644|660)")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[!-~]*)?")
_BASE_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_VARIABLE = re.compile(r"\$[A-Za-z_{(]")
_HOST = re.compile(r"\*|\.?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_ORIGIN = re.compile(r"https?://(\*\.)?([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")

OWN_PATHS = (
    *(
        "account",
        "admin",
        "api",
        "backups",
        "configuration",
        "docs",
        "export",
        "expressions",
        "healthz",
        "history",
        "import",
        "locations",
        "metrics",
        "operations",
    ),
    *("readyz", "settings", "sign-in", "sign-out", "static", "status.svg"),
)
"""First parts of our own addresses. A base path must not start with one: a request with the prefix would look like one without."""


def invalid(name: str, value: str, expected: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f'{name}: expected {expected}, got "{value}".')


def text(name: str, default: str) -> str:
    """Return the text without surrounding spaces, or `default` if it is unset or blank. Refuse surrounding quotes."""
    value = os.environ.get(name, "").strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        raise ImproperlyConfigured(f"{name}: expected a value without quotes around it.")  # it may be a password
    return value or default


def find_set() -> frozenset[str]:
    """Return the names of the variables that are set and not blank."""
    return frozenset(name for name in os.environ if text(name, ""))


def word(name: str, default: str, expected: Collection[str]) -> str:
    value = text(name, default)
    if value.lower() not in expected:
        raise invalid(name, value, "one of " + ", ".join(expected))
    return value.lower()


def flag(name: str, *, default: bool) -> bool:
    value = text(name, "true" if default else "false").lower()
    if value not in _TRUE + _FALSE:
        raise invalid(name, value, "one of " + ", ".join(_TRUE + _FALSE))
    return value in _TRUE


def integer(name: str, default: int, low: int, high: int) -> int:
    value = text(name, str(default))
    if not re.fullmatch(r"[0-9]{1,15}", value) or not low <= int(value) <= high:
        raise invalid(name, value, f"a whole number from {low} to {high}")
    return int(value)


def duration(name: str) -> timedelta | None:
    """Return a duration such as `30d`, or None if it is unset or blank."""
    value = text(name, "")
    expected = 'a duration from 1h to 9999w, such as "30d" or "1w2d", or nothing for no limit'
    return _parse(name, value, parse_duration, expected) if value else None


def interval(name: str, default: str) -> timedelta | None:
    """Return a duration of at least a day such as `1w`, or None for `none`."""
    value = text(name, default)
    expected = 'a duration from 1d to 9999w, such as "1w" or "30d", or "none"'

    def parse(text: str) -> timedelta:
        found = parse_duration(text)
        if found < timedelta(days=1):
            raise ValueError
        return found

    return None if value == "none" else _parse(name, value, parse, expected)


def group(name: str) -> int | None:
    """Return the id of a system group by its name or id, or None if it is unset or blank."""
    value = text(name, "")
    if not value:
        return None
    try:
        found = grp.getgrgid(int(value)) if value.isascii() and value.isdigit() else grp.getgrnam(value)
    except (KeyError, OverflowError):
        raise invalid(name, value, "the name or id of a group on this system") from None
    if os.geteuid() != 0 and found.gr_gid not in (os.getegid(), *os.getgroups()):
        raise invalid(name, value, "a group that this program's user belongs to")
    return found.gr_gid


def file_mode(name: str, default: str) -> int:
    """Return a mode for files that their owner can read and write."""
    value = text(name, default)
    if not _FILE_MODE.fullmatch(value):
        raise invalid(name, value, "0600, 0640, 0644 or 0660")
    return int(value, 8)


def path(name: str, default: str) -> Path:
    """Return an absolute path. A relative path is relative to the working directory."""
    return _absolute(name, text(name, default))


def _absolute(name: str, value: str) -> Path:
    if _VARIABLE.search(value):
        raise invalid(name, value, "a path without variables such as $HOME, which are not expanded here")
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError:  # ~user
        raise invalid(name, value, "a path, with ~ only before the name of a user who exists") from None


def base_path(name: str) -> str:
    """Return the path below which a proxy serves this program, such as `/backup`, or "" for the root."""
    value = text(name, "").rstrip("/")
    if value and not _BASE_PATH.fullmatch(value):
        raise invalid(name, value, 'a path such as "/backup"')
    if value.split("/")[1:2] and value.split("/")[1] in OWN_PATHS:
        raise invalid(name, value, f"a path that does not start as an address of this program ({', '.join(OWN_PATHS)})")
    return value


def host(name: str, default: str) -> str:
    """Return a host name or an address to listen on, without the brackets of an IPv6 address."""
    value = text(name, default)
    bare = value.removeprefix("[").removesuffix("]")
    if bare == "*" or not (_HOST.fullmatch(bare) or (":" in bare and _HOST.fullmatch(f"[{bare}]"))):
        raise invalid(name, value, "one host name or address, without scheme, port or path")
    return bare


def hosts(name: str, default: list[str]) -> list[str]:
    """Return host names for `ALLOWED_HOSTS`, separated by commas. `default` is not checked."""
    expected = "host names or addresses separated by commas, without scheme, port or path"
    return _match_all(name, _HOST, expected) or default


def origins(name: str) -> list[str]:
    """Return origins for `CSRF_TRUSTED_ORIGINS`, separated by commas."""
    return _match_all(name, _ORIGIN, "origins such as https://backup.example, separated by commas")


def networks(name: str, default: str) -> list[str]:
    """Return addresses and networks of `FORWARDED_ALLOW_IPS`, separated by commas, for gunicorn."""
    values = _list(name) or default.split(",")
    for value in values:
        expected = "addresses or networks such as 172.16.0.0/12, separated by commas, or * for all"
        _parse(name, value, lambda value: ipaddress.ip_network("0.0.0.0/0" if value == "*" else value), expected)
    return values


def header(name: str) -> str:
    """Return the name of a header, or "" if it is unset or blank. The web server drops headers with an underscore."""
    value = text(name, "")
    if value and not _HEADER.fullmatch(value):
        raise invalid(name, value, "the name of a header, such as Remote-User, without an underscore")
    return value


def addresses(name: str) -> list[IPv4Network | IPv6Network]:
    """Return addresses and networks, separated by commas. `*` and networks of all addresses are refused."""
    expected = "addresses or networks such as 172.16.0.0/12, separated by commas, and not all"
    found = [_parse(name, value, ipaddress.ip_network, expected) for value in _list(name)]
    for network in found:
        if not network.prefixlen:
            raise invalid(name, str(network), expected)
    return found


def address(name: str) -> str:
    """Return an address such as `https://auth.example/logout`, or "" if it is unset or blank."""
    value = text(name, "")
    if value and not _ADDRESS.fullmatch(value):
        raise invalid(name, value, "an address such as https://auth.example/logout")
    return value


def time_zone(name: str, default: str) -> str:
    value = text(name, default).removeprefix(":")
    return _parse(name, value, parse_zone, 'a time zone such as "UTC" or "Europe/Berlin"').key


def cron(name: str, default: str) -> str:
    return _parse(name, text(name, default), parse_cron, ALLOWED_CRONS)


def _parse(name: str, value: str, parse: Callable[[str], T], expected: str) -> T:
    try:
        return parse(value)
    except ValueError:
        raise invalid(name, value, expected) from None


def _match_all(name: str, pattern: re.Pattern[str], expected: str) -> list[str]:
    values = _list(name)
    for value in values:
        if not pattern.fullmatch(value):
            raise invalid(name, value, _NO_UNDERSCORE if "_" in value else expected)
    return values


def secret_key(file: Path) -> str | None:
    """Return `SECRET_KEY`, or the text of `SECRET_KEY_FILE`, or that of `file`. Return None if there is none yet."""
    given = os.environ.get("SECRET_KEY", "").strip()  # also with quotes, which are as good as other characters
    if given:
        return given
    named = text("SECRET_KEY_FILE", "")
    source = _absolute("SECRET_KEY_FILE", named) if named else file
    try:
        value = source.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        if named:
            raise invalid("SECRET_KEY_FILE", named, "an existing file") from None
        return None
    except OSError as problem:
        raise ImproperlyConfigured(
            f"The secret key {source} cannot be read: {problem.strerror}. Run this as the user of the service, or set SECRET_KEY_FILE "
            "to a file that you may read."
        ) from problem
    except UnicodeDecodeError as problem:
        raise invalid("SECRET_KEY_FILE", str(source), "a text file in UTF-8") from problem
    if not value:
        raise invalid("SECRET_KEY_FILE", str(source), "a file that is not empty")
    return value


def locations() -> tuple[LocationVariables, ...]:
    """Return the locations that variables describe. `prepare` reads their values, and the files that they name."""
    names = [name for name in os.environ if name.startswith(PREFIX)]
    return find_locations({name: value for name in names if (value := text(name, ""))})


def receivers(name: str) -> tuple[ReceiverAddress, ...]:
    """Return the receivers of alerts, whose addresses are separated by spaces or line breaks. Errors do not show them."""
    found = []
    for number, url in enumerate(text(name, "").split(), start=1):
        try:
            found.append(parse_receiver(url))
        except ReceiverInvalid as problem:
            raise ImproperlyConfigured(f"{name}, address {number}: {problem}") from None
    return tuple(found)


def mail_server(name: str) -> MailServer | None:
    """Return the mail server, or None if it is unset or blank. Errors do not show its address."""
    value = text(name, "")
    try:
        return parse_mail_server(value) if value else None
    except ReceiverInvalid as problem:
        raise ImproperlyConfigured(f"{name}: {problem}") from None


def ping_address(name: str) -> str:
    """Return the address of a monitor, or "" if it is unset or blank. Errors do not show it."""
    value = text(name, "")
    try:
        if value:
            check_ping_url(value)
    except ReceiverInvalid as problem:
        raise ImproperlyConfigured(f"{name}: {problem}") from None
    return value


def database(name: str, default: Path) -> dict[str, Any]:
    """Return a Django database entry from a path, a `file:` or `sqlite:` URI, or a PostgreSQL address.

    `NAME` of an SQLite file is its absolute path. Addresses are read as libpq reads them.
    """
    value = text(name, str(default))
    scheme = value.split(":", 1)[0].lower() if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", value) else ""
    if scheme in ("postgres", "postgresql"):
        return _postgresql(name, value)
    file = _find_path(value, scheme) if scheme else value
    if not file or "\0" in file or file == ":memory:":
        raise invalid(name, _hide_password(value), _DATABASE)
    return {"ENGINE": SQLITE, "NAME": str(_absolute(name, file))}


def redis(name: str) -> str:
    """Return the address of a Redis server with time limits added, or "" if it is unset or blank."""
    value = text(name, "")
    if not value:
        return ""
    try:
        from redis import Redis, RedisError  # noqa: PLC0415  # an extra
    except ImportError:
        raise _missing_extra(name, value, "redis") from None
    try:
        parts = urlsplit(value)
        server = Redis.from_url(value)
        server.connection_pool.make_connection()  # checks the options without connecting
    except (ValueError, TypeError, RedisError):
        raise invalid(name, _hide_password(value), _REDIS) from None
    # redis-py would use database 0 for an invalid number, and accept a socket without a path.
    if not (bool(parts.path) if parts.scheme == "unix" else re.fullmatch(r"/?|/[0-9]{1,9}", parts.path)):
        raise invalid(name, _hide_password(value), _REDIS)
    given = server.connection_pool.connection_kwargs
    waits = [f"{option}={seconds}" for option, seconds in _REDIS_SECONDS.items() if option not in given]
    return value + ("&" if parts.query else "?") * bool(waits) + "&".join(waits)


def existing_file_uri(file: str) -> str:
    """Return an SQLite URI that opens a file for reading and writing and never creates it."""
    return f"file:{quote(file)}?mode=rw"


def _find_path(uri: str, scheme: str) -> str:
    """Return the path in a URI, or "" if it has none or has a host (`sqlite://app.db`)."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return ""
    if scheme == "file" and parts.netloc in ("", "localhost"):
        return unquote(parts.path)
    return unquote(parts.path.removeprefix("/")) if scheme == "sqlite" and not parts.netloc else ""


def _postgresql(name: str, value: str) -> dict[str, Any]:
    try:
        from psycopg import ProgrammingError  # noqa: PLC0415  # an extra
        from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415
    except ImportError:
        raise _missing_extra(name, value, "postgres") from None
    try:
        options = {key: str(part) for key, part in conninfo_to_dict(value).items()}
    except ProgrammingError:
        raise invalid(name, _hide_password(value), _DATABASE) from None
    entry = {django: options.pop(libpq, "") for libpq, django in _ADDRESS_PARTS.items()}
    # Without a name libpq would use the user's, and it would check the port only when it connects.
    if not entry["NAME"] or not re.fullmatch(r"[0-9,]*", entry["PORT"]):
        raise invalid(name, _hide_password(value), _DATABASE)
    return {"ENGINE": POSTGRESQL, **entry, "OPTIONS": options}


_ADDRESS_PARTS = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}


def _missing_extra(name: str, value: str, extra: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f'{name} is "{_hide_password(value)}", which needs another package. Install tvarr-backup[{extra}].'
    )


def _hide_password(address: str) -> str:
    return re.sub(r"(?<=[?&])(password|username)=[^&]*", r"\1=...", re.sub(r"//[^/]*@", "//...@", address))


def _list(name: str) -> list[str]:
    return [part.strip() for part in text(name, "").split(",") if part.strip()]
