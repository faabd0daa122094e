"""Reading of settings from the environment. Invalid values stop the program with the variable, its value and what is expected."""

import grp
import ipaddress
import os
import re
from collections.abc import Callable, Collection
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from tvarr_backup.cron import ALLOWED_CRONS, parse_cron, parse_zone
from tvarr_backup.durations import ALLOWED_DURATIONS, parse_duration

T = TypeVar("T")
SQLITE = "django.db.backends.sqlite3"
POSTGRESQL = "django.db.backends.postgresql"
_ALLOWED_DATABASES = (
    "the path of an SQLite file, file:PATH or sqlite:///PATH, or postgresql://USER:PASSWORD@HOST:PORT/NAME with options of "
    "libpq such as ?sslmode=require"
)
_ALLOWED_REDIS = "redis://USER:PASSWORD@HOST:PORT/NUMBER, rediss:// for TLS, or unix:///PATH?db=NUMBER"
_REDIS_SECONDS = {"socket_connect_timeout": 5, "socket_timeout": 10, "health_check_interval": 30}

_WORDS_FOR_YES = ("true", "yes", "on", "1")
_WORDS_FOR_NO = ("false", "no", "off", "0")
_FILE_MODE = re.compile(r"0?(600|640|644|660)")
_HOST = re.compile(r"\*|\.?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
_ORIGIN = re.compile(r"https?://(\*\.)?([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


def refuse(name: str, value: str, allowed: str) -> ImproperlyConfigured:
    """Return the error for an invalid variable."""
    return ImproperlyConfigured(f"{name} is {value!r}; allowed is {allowed}.")


def text(name: str, default: str) -> str:
    """Return the text without surrounding blanks, or `default` if it is unset or blank."""
    return os.environ.get(name, "").strip() or default


def word(name: str, default: str, allowed: Collection[str]) -> str:
    """Return one of `allowed`, in lower case."""
    value = text(name, default)
    if value.lower() not in allowed:
        raise refuse(name, value, "one of " + ", ".join(allowed))
    return value.lower()


def flag(name: str, *, default: bool) -> bool:
    value = text(name, "true" if default else "false").lower()
    if value not in _WORDS_FOR_YES + _WORDS_FOR_NO:
        raise refuse(name, value, "one of " + ", ".join(_WORDS_FOR_YES + _WORDS_FOR_NO))
    return value in _WORDS_FOR_YES


def integer(name: str, default: int, low: int, high: int) -> int:
    value = text(name, str(default))
    if not re.fullmatch(r"[0-9]{1,15}", value) or not low <= int(value) <= high:
        raise refuse(name, value, f"a whole number from {low} to {high}")
    return int(value)


def duration(name: str) -> timedelta | None:
    """Return a duration such as `30d`; None if unset or blank."""
    allowed = f"{ALLOWED_DURATIONS}, from 1h to 9999w, or nothing for no limit"
    return _parsed(name, text(name, ""), parse_duration, allowed) if text(name, "") else None


def group(name: str) -> int | None:
    """Return the id of a system group by its name or id; None if unset or blank."""
    value = text(name, "")
    if not value:
        return None
    try:
        found = grp.getgrgid(int(value)) if value.isascii() and value.isdigit() else grp.getgrnam(value)
    except (KeyError, OverflowError):
        raise refuse(name, value, "the name or the id of a group that exists on this system") from None
    if os.geteuid() != 0 and found.gr_gid not in (os.getegid(), *os.getgroups()):
        raise refuse(name, value, "a group that this program's user belongs to")
    return found.gr_gid


def file_mode(name: str, default: str) -> int:
    """Return a mode of files that their owner can read and write, and perhaps others can read."""
    value = text(name, default)
    if not _FILE_MODE.fullmatch(value):
        raise refuse(name, value, "0600, 0640, 0644 or 0660")
    return int(value, 8)


def path(name: str, default: str) -> Path:
    """Return an absolute path; a relative one is relative to the working directory."""
    value = text(name, default)
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError:  # ~somebody
        raise refuse(name, value, "a path, with ~ only for a user who exists") from None


def host(name: str, default: str) -> str:
    """Return a host name or an address to listen on, an IPv6 address without its brackets."""
    value = text(name, default)
    bare = value.removeprefix("[").removesuffix("]")
    if bare == "*" or not (_HOST.fullmatch(bare) or (":" in bare and _HOST.fullmatch(f"[{bare}]"))):
        raise refuse(name, value, "one host name or address, without scheme, port or path")
    return bare


def hosts(name: str, default: list[str]) -> list[str]:
    """Return host names for `ALLOWED_HOSTS`, separated by commas; `default` is not checked."""
    allowed = "host names or addresses separated by commas, without scheme, port or path"
    return _matching(name, _HOST, allowed) or default


def origins(name: str) -> list[str]:
    """Return origins for `CSRF_TRUSTED_ORIGINS`, separated by commas."""
    return _matching(name, _ORIGIN, "origins such as https://backup.example, separated by commas")


def networks(name: str, default: str) -> list[str]:
    """Return addresses and networks of `FORWARDED_ALLOW_IPS`, separated by commas, for gunicorn."""
    values = _list(name) or default.split(",")
    for value in values:
        allowed = "addresses or networks such as 172.16.0.0/12, separated by commas, or * for all"
        _parsed(name, value, lambda value: ipaddress.ip_network("0.0.0.0/0" if value == "*" else value), allowed)
    return values


def time_zone(name: str, default: str) -> str:
    """Return the name of an IANA zone."""
    value = text(name, default).removeprefix(":")
    return _parsed(name, value, parse_zone, "a zone name such as UTC or Europe/Berlin").key


def cron(name: str, default: str) -> str:
    """Return five cron fields."""
    return _parsed(name, text(name, default), parse_cron, ALLOWED_CRONS)


def _parsed(name: str, value: str, parse: Callable[[str], T], allowed: str) -> T:
    try:
        return parse(value)
    except ValueError:
        raise refuse(name, value, allowed) from None


def _matching(name: str, pattern: re.Pattern[str], allowed: str) -> list[str]:
    values = _list(name)
    for value in values:
        if not pattern.fullmatch(value):
            raise refuse(name, value, allowed)
    return values


def secret_key(file: Path) -> str | None:
    """Return `SECRET_KEY`, or the text of `SECRET_KEY_FILE`, or that of `file`; None if there is none yet."""
    given = text("SECRET_KEY", "")
    if given:
        return given
    named = text("SECRET_KEY_FILE", "")
    source = Path(named) if named else file
    try:
        value = source.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        if named:
            raise refuse("SECRET_KEY_FILE", named, "a readable file; there is none at this path") from None
        return None
    except (OSError, UnicodeDecodeError) as problem:
        raise refuse("SECRET_KEY_FILE", str(source), f"a readable text file ({problem})") from problem
    if not value:
        raise refuse("SECRET_KEY_FILE", str(source), "a file that is not empty")
    return value


def database(name: str, default: Path) -> dict[str, Any]:
    """Return a Django database entry from a path, a `file:` or `sqlite:` URI, or the address of a PostgreSQL database.

    An SQLite file has its absolute path in `NAME` and no options. An address is read as libpq does (percent-encoding, folders of
    sockets, several hosts, options).
    """
    value = text(name, str(default))
    scheme = value.split(":", 1)[0].lower() if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", value) else ""
    if scheme in ("postgres", "postgresql"):
        return _postgresql(name, value)
    file = _path_in(value, scheme) if scheme else value
    if not file or "\0" in file or file == ":memory:":
        raise refuse(name, _without_password(value), _ALLOWED_DATABASES)
    try:
        return {"ENGINE": SQLITE, "NAME": str(Path(file).expanduser().absolute())}
    except RuntimeError:  # ~somebody
        raise refuse(name, _without_password(value), _ALLOWED_DATABASES) from None


def redis(name: str) -> str:
    """Return the address of a Redis server with limits for waiting; "" if unset or blank."""
    value = text(name, "")
    if not value:
        return ""
    try:
        from redis import Redis, RedisError  # noqa: PLC0415  # an extra
    except ImportError:
        raise _missing(name, value, "redis") from None
    try:
        parts = urlsplit(value)
        server = Redis.from_url(value)
        server.connection_pool.make_connection()  # which judges the options, and connects only when it is used
    except (ValueError, TypeError, RedisError):
        raise refuse(name, _without_password(value), _ALLOWED_REDIS) from None
    # A number that is none is taken for 0, and a socket without a path for one of no name.
    if not (bool(parts.path) if parts.scheme == "unix" else re.fullmatch(r"/?|/[0-9]{1,9}", parts.path)):
        raise refuse(name, _without_password(value), _ALLOWED_REDIS)
    given = server.connection_pool.connection_kwargs
    waits = [f"{option}={seconds}" for option, seconds in _REDIS_SECONDS.items() if option not in given]
    return value + ("&" if parts.query else "?") * bool(waits) + "&".join(waits)


def existing_file_uri(file: str) -> str:
    """Return an SQLite URI that opens a file for reading and writing and never creates it."""
    return f"file:{quote(file)}?mode=rw"


def _path_in(uri: str, scheme: str) -> str:
    """Return the path in a URI; "" if there is none, or a host comes before it (`sqlite://app.db`)."""
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
        raise _missing(name, value, "postgres") from None
    try:
        options = {key: str(part) for key, part in conninfo_to_dict(value).items()}
    except ProgrammingError:
        raise refuse(name, _without_password(value), _ALLOWED_DATABASES) from None
    entry = {django: options.pop(libpq, "") for libpq, django in _PARTS_OF_ADDRESS.items()}
    # Without a name libpq would take the user's; a port it looks at when it connects.
    if not entry["NAME"] or not re.fullmatch(r"[0-9,]*", entry["PORT"]):
        raise refuse(name, _without_password(value), _ALLOWED_DATABASES)
    return {"ENGINE": POSTGRESQL, **entry, "OPTIONS": options}


_PARTS_OF_ADDRESS = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}


def _missing(name: str, value: str, extra: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"{name} is {_without_password(value)!r}, which needs more than is installed: install tvarr-backup[{extra}]."
    )


def _without_password(address: str) -> str:
    """Hide what may be a password: what comes before the host, or an option for it."""
    return re.sub(r"(?<=[?&])(password|username)=[^&]*", r"\1=...", re.sub(r"//[^/]*@", "//...@", address))


def _list(name: str) -> list[str]:
    return [part.strip() for part in os.environ.get(name, "").split(",") if part.strip()]
