"""Each reader of the environment: values it accepts, its default, and its error for an invalid value."""

import grp
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import env
from tvarr_backup.cron import ALLOWED_CRONS

LEVELS = ("debug", "info")
READERS: dict[str, Callable[[], Any]] = {
    "text": lambda: env.text("HARBOUR", "fallback"),
    "word": lambda: env.word("HARBOUR", "info", LEVELS),
    "duration": lambda: env.duration("HARBOUR"),
    "interval": lambda: env.interval("HARBOUR", "1w"),
    "receivers": lambda: [str(receiver.kind) for receiver in env.receivers("HARBOUR")],
    "ping_address": lambda: env.ping_address("HARBOUR"),
    "mail_server": lambda: (server := env.mail_server("HARBOUR")) and server.host,
    "group": lambda: env.group("HARBOUR"),
    "file_mode": lambda: env.file_mode("HARBOUR", "0600"),
    "integer": lambda: env.integer("HARBOUR", 8081, 1, 65535),
    "path": lambda: env.path("HARBOUR", "data"),
    "base_path": lambda: env.base_path("HARBOUR"),
    "header": lambda: env.header("HARBOUR"),
    "addresses": lambda: [str(network) for network in env.addresses("HARBOUR")],
    "address": lambda: env.address("HARBOUR"),
    "host": lambda: env.host("HARBOUR", "127.0.0.1"),
    "hosts": lambda: env.hosts("HARBOUR", ["my_own_name"]),
    "origins": lambda: env.origins("HARBOUR"),
    "networks": lambda: env.networks("HARBOUR", "127.0.0.1"),
    "time_zone": lambda: env.time_zone("HARBOUR", "UTC"),
    "flag": lambda: env.flag("HARBOUR", default=True),
    "cron": lambda: env.cron("HARBOUR", "0 2 * * *"),
    "database": lambda: env.database("HARBOUR", Path("/srv/harbour.db"))["NAME"],
    "redis": lambda: env.redis("HARBOUR"),
}
WAITS = "socket_connect_timeout=5&socket_timeout=10&health_check_interval=30"
EXPECTED_DATABASES = (
    "an SQLite file (PATH, file:PATH or sqlite:///PATH), or postgresql://USER:PASSWORD@HOST:PORT/NAME with options such as "
    "?sslmode=require"
)
ACCEPTED: list[tuple[str, str, Any]] = [
    ("text", "  a b ", "a b"),
    ("word", " DEBUG", "debug"),
    ("duration", "1w2d", timedelta(days=9)),
    ("duration", "12h", timedelta(hours=12)),
    ("interval", "30d", timedelta(days=30)),
    ("interval", "none", None),
    ("receivers", "mailto:me@example.com webhook+https://hooks.example.com/x", ["mail", "webhook"]),
    ("mail_server", "smtp://mail.example.com:25?from=me@example.com", "mail.example.com"),
    ("ping_address", "https://hc.example.com/x", "https://hc.example.com/x"),
    ("group", str(os.getegid()), os.getegid()),
    ("group", grp.getgrgid(os.getegid()).gr_name, os.getegid()),
    ("file_mode", "0640", 0o640),
    ("file_mode", "660", 0o660),
    ("integer", "1", 1),
    ("integer", " 65535 ", 65535),
    ("path", "/srv/a b", Path("/srv/a b")),
    ("path", "harbour", Path.cwd() / "harbour"),
    ("path", "~/harbour", Path.home() / "harbour"),
    ("path", "/srv/5$ a day", Path("/srv/5$ a day")),
    ("text", '"', '"'),
    ("base_path", "/backup", "/backup"),
    ("base_path", "/tv/my.backup/", "/tv/my.backup"),
    ("base_path", "/", ""),
    ("header", "Remote-User", "Remote-User"),
    ("addresses", "10.0.0.1, 172.16.0.0/12,::1", ["10.0.0.1/32", "172.16.0.0/12", "::1/128"]),
    ("address", "https://auth.example:9091/logout?rd=/", "https://auth.example:9091/logout?rd=/"),
    ("host", "0.0.0.0", "0.0.0.0"),
    ("host", "Harbour.example", "Harbour.example"),
    ("host", "::", "::"),
    ("host", "[::1]", "::1"),
    ("hosts", "a.example, .b.example,10.0.0.1", ["a.example", ".b.example", "10.0.0.1"]),
    ("hosts", "*", ["*"]),
    ("hosts", "[::1],", ["[::1]"]),
    ("origins", "https://a.example,http://10.0.0.1:8080", ["https://a.example", "http://10.0.0.1:8080"]),
    ("origins", "https://*.a.example", ["https://*.a.example"]),
    ("origins", "http://[::1]:8080", ["http://[::1]:8080"]),
    ("networks", "10.0.0.1, 172.16.0.0/12,", ["10.0.0.1", "172.16.0.0/12"]),
    ("networks", "::1,fd00::/8", ["::1", "fd00::/8"]),
    ("networks", "*", ["*"]),
    ("time_zone", "Europe/Berlin", "Europe/Berlin"),
    ("time_zone", ":America/New_York", "America/New_York"),
    *[("flag", value, True) for value in ("true", "Yes", " ON ", "1")],
    *[("flag", value, False) for value in ("false", "No", "OFF", "0")],
    ("cron", "30 4 * * SUN", "30 4 * * SUN"),
    ("cron", "0 0 2 * * *", "0 2 * * *"),
    ("database", "/srv/a.db", "/srv/a.db"),
    ("database", "a.db", str(Path.cwd() / "a.db")),
    ("database", "./with:colon.db", str(Path.cwd() / "with:colon.db")),
    ("database", "~/a.db", str(Path.home() / "a.db")),
    ("database", "file:/srv/a%20b.db", "/srv/a b.db"),
    ("database", "file:///srv/a.db?mode=rw", "/srv/a.db"),
    ("database", "file://localhost/srv/a.db", "/srv/a.db"),
    ("database", "file:a.db", str(Path.cwd() / "a.db")),
    ("database", "sqlite:////srv/a.db", "/srv/a.db"),
    ("database", "SQLite:///a.db", str(Path.cwd() / "a.db")),
    ("redis", "redis://a.example", f"redis://a.example?{WAITS}"),
    ("redis", "rediss://:p%40ss@a.example:6380/2", f"rediss://:p%40ss@a.example:6380/2?{WAITS}"),
    ("redis", "unix:///run/redis.sock?db=2", f"unix:///run/redis.sock?db=2&{WAITS}"),
    ("redis", f"redis://a.example?{WAITS}", f"redis://a.example?{WAITS}"),
]
DEFAULTS: list[tuple[str, Any]] = [
    ("text", "fallback"),
    ("word", "info"),
    ("duration", None),
    ("group", None),
    ("file_mode", 0o600),
    ("integer", 8081),
    ("path", Path.cwd() / "data"),
    ("base_path", ""),
    ("header", ""),
    ("addresses", []),
    ("address", ""),
    ("host", "127.0.0.1"),
    ("hosts", ["my_own_name"]),
    ("origins", []),
    ("networks", ["127.0.0.1"]),
    ("time_zone", "UTC"),
    ("flag", True),
    ("cron", "0 2 * * *"),
    ("database", "/srv/harbour.db"),
    ("redis", ""),
]
REFUSED: list[tuple[str, str, str]] = [
    *[
        ("networks", value, "addresses or networks such as 172.16.0.0/12, separated by commas, or * for all")
        for value in ("proxy.example", "10.0.0.1/8", "10.0.0", "10.0.0.1:80", "[::1]", "10.0.0.0/33", "١٠.0.0.1")
    ],
    ("word", "loud", "one of debug, info"),
    ("interval", "12h", 'a duration from 1d to 9999w, such as "1w" or "30d", or "none"'),
    *[("file_mode", value, "0600, 0640, 0644 or 0660") for value in ("0777", "0400", "640x", "rw-r-----", "0o640")],
    *[
        ("group", value, "the name or id of a group on this system")
        for value in ("harbour-crew", "4294967294", "99999999999999999999", "-1")
    ],
    *[
        ("duration", value, 'a duration from 1h to 9999w, such as "30d" or "1w2d", or nothing for no limit')
        for value in ("soon", "0d", "30", "2d1w", "30 d", "9999w1h", "-1d", "1.5d", "٣d")
    ],
    *[
        ("integer", value, "a whole number from 1 to 65535")
        for value in ("0", "65536", "-1", "+1", "1.0", "0x50", "1e3", "port", "٣", "9" * 10)
    ],
    ("database", "~nobody-of-this-name/a.db", "a path, with ~ only before the name of a user who exists"),
    ("path", "~nobody-of-this-name/data", "a path, with ~ only before the name of a user who exists"),
    *[
        (reader, value, "a path without variables such as $HOME, which are not expanded here")
        for reader in ("path", "database")
        for value in ("$HOME/data", "/srv/${DATA}", "$(pwd)/data")
    ],
    *[
        ("header", value, "the name of a header, such as Remote-User, without an underscore")
        for value in ("Remote_User", "Remote User", "Remote-User:", "a,b")
    ],
    *[
        ("addresses", value, "addresses or networks such as 172.16.0.0/12, separated by commas, and not all")
        for value in ("*", "0.0.0.0/0", "::/0", "proxy.example", "10.0.0.1/8")
    ],
    *[
        ("address", value, "an address such as https://auth.example/logout")
        for value in ("auth.example", "ftp://auth.example", "https://auth.example/a b", "javascript:alert(1)")
    ],
    *[
        ("base_path", value, 'a path such as "/backup"')
        for value in ("backup", "//backup", "/a//b", "/a b", "/../b", "/.", "/a%20b", "/a?b", "https://a.example/b")
    ],
    *[
        ("base_path", value, f"a path that does not start as an address of this program ({', '.join(env.OWN_PATHS)})")
        for value in ("/backups", "/static/x")
    ],
    *[
        (reader, value, "a host name without an underscore (_), because requests to such a name are refused")
        for reader, value in (("hosts", "my_nas"), ("origins", "http://my_nas:8081"))
    ],
    *[
        ("host", value, "one host name or address, without scheme, port or path")
        for value in ("http://a.example", "a.example:80", "a b", "*", "a/b", "a,b")
    ],
    *[
        ("hosts", value, "host names or addresses separated by commas, without scheme, port or path")
        for value in ("http://a.example", "a.example:80", "a b", "a/b", "-", "::1")
    ],
    *[
        ("origins", value, "origins such as https://backup.example, separated by commas")
        for value in (
            "a.example", "https://", "https://a.example/", "https://a.example/x", "https://a.example?x", "*",
            "https://a.example#x", "ftp://a.example", "https://a b", "https://[", "https://a.example:port",
        )
    ],
    *[
        ("time_zone", value, 'a time zone such as "UTC" or "Europe/Berlin"')
        for value in ("Mars/Base", "../etc/passwd", "/etc/localtime", "Europe", "+01:00")
    ],
    *[("flag", value, "one of true, yes, on, 1, false, no, off, 0") for value in ("2", "enabled", "wahr")],
    *[("cron", value, ALLOWED_CRONS) for value in ("@daily", "30 0 2 * * *", "0 0 31 2 *", "x y z a b c")],
    *[
        ("database", value, EXPECTED_DATABASES)
        for value in (
            "postgres://", "postgresql:///", "postgres://a.example/tvarr?speed=high", "postgres://a.example:port/tvarr",
            "postgres://a.example/%zz", "mysql://a.example/tvarr", "http://a.example/a.db", "C:/tvarr.db",
            ":memory:", "file::memory:", "sqlite://", "sqlite:///", "sqlite:///:memory:", "file:", "file:a%00b",
            "sqlite://a.db", "file://server/a.db", "file://[",
        )
    ],
    *[
        ("redis", value, "redis://USER:PASSWORD@HOST:PORT/NUMBER, rediss:// for TLS, or unix:///PATH?db=NUMBER")
        for value in (
            "a.example:6379", "http://a.example", "redis://a.example:port", "redis://a.example/tvarr", "unix://",
            "redis://a.example?speed=high", "redis://a.example?socket_timeout=long", "redis://[",
        )
    ],
]  # fmt: skip


@pytest.mark.parametrize(
    ("reader", "given", "shown"),
    [
        ("database", "mysql://tvarr:s3cret@a.example/tvarr", "mysql://...@a.example/tvarr"),
        ("database", "postgres://tvarr:s3cr@et@a.example/tvarr?speed=1", "postgres://...@a.example/tvarr?speed=1"),
        ("database", "postgres://a.example/?password=s3cret&x=1", "postgres://a.example/?password=...&x=1"),
        ("redis", "redis://:s3cret@a.example/tvarr", "redis://...@a.example/tvarr"),
    ],
)
def test_a_password_in_an_address_is_hidden(
    reader: str, given: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARBOUR", given)
    with pytest.raises(ImproperlyConfigured) as refused:
        READERS[reader]()
    assert str(refused.value).startswith("HARBOUR: expected ")
    assert str(refused.value).endswith(f', got "{shown}".')


def test_an_address_of_postgresql_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "HARBOUR", "postgresql://ada:p%40ss%2F@a.example:5433/our%20data?sslmode=require&connect_timeout=9"
    )
    assert env.database("HARBOUR", Path("unused")) == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "our data",
        "USER": "ada",
        "PASSWORD": "p@ss/",
        "HOST": "a.example",
        "PORT": "5433",
        "OPTIONS": {"sslmode": "require", "connect_timeout": "9"},
    }


@pytest.mark.parametrize("given", ["postgres://%2Frun%2Fa%20b/tvarr", "postgres:///tvarr?host=/run/a%20b"])
def test_a_host_can_be_the_folder_of_a_socket(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARBOUR", given)
    entry = env.database("HARBOUR", Path("unused"))
    assert (entry["HOST"], entry["NAME"], entry["USER"], entry["PORT"]) == ("/run/a b", "tvarr", "", "")


@pytest.mark.parametrize(
    ("reader", "module", "given", "extra"),
    [
        ("database", "psycopg", "postgres://ada:s3cret@a.example/tvarr", "postgres"),
        ("redis", "redis", "redis://ada:s3cret@a.example", "redis"),
    ],
)
def test_a_missing_extra_is_named(
    reader: str, module: str, given: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARBOUR", given)
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    shown = given.replace("ada:s3cret", "...")
    with pytest.raises(ImproperlyConfigured) as refused:
        READERS[reader]()
    assert str(refused.value) == (f'HARBOUR is "{shown}", which needs another package. Install tvarr-backup[{extra}].')


@pytest.mark.parametrize(("reader", "given", "value"), ACCEPTED)
def test_valid_values_are_read(reader: str, given: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARBOUR", given)
    assert READERS[reader]() == value


@pytest.mark.parametrize(("reader", "value"), DEFAULTS)
@pytest.mark.parametrize("given", [None, "", "  "])
def test_an_unset_or_blank_value_gives_the_default(
    reader: str, value: Any, given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARBOUR", raising=False)
    if given is not None:
        monkeypatch.setenv("HARBOUR", given)
    assert READERS[reader]() == value


@pytest.mark.parametrize(("reader", "given", "expected"), REFUSED)
def test_invalid_values_are_refused(reader: str, given: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARBOUR", given)
    with pytest.raises(ImproperlyConfigured) as refused:
        READERS[reader]()
    assert str(refused.value) == f'HARBOUR: expected {expected}, got "{given}".'


@pytest.mark.parametrize("reader", sorted(READERS))
@pytest.mark.parametrize("given", ['"/data"', "'8081'", '""'])
def test_quotes_around_a_value_are_refused(reader: str, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARBOUR", f" {given} ")
    with pytest.raises(ImproperlyConfigured) as refused:
        READERS[reader]()
    assert str(refused.value) == "HARBOUR: expected a value without quotes around it."


def test_the_invalid_value_of_a_list_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARBOUR", "a.example,b c,d.example")
    with pytest.raises(ImproperlyConfigured, match=r'^HARBOUR: expected host names .*, got "b c"\.$'):
        READERS["hosts"]()


def test_variables_that_are_set_and_not_blank_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARBOUR", "north")
    monkeypatch.setenv("LANTERN", " ")
    assert {"HARBOUR", "LANTERN"} & env.find_set() == {"HARBOUR"}


@pytest.mark.parametrize(
    ("reader", "given"),
    [
        ("receivers", "webhook+https:///wharf-lantern"),
        ("ping_address", "wharf-lantern"),
        ("mail_server", "pop3://me:wharf-lantern@mail.example.com"),
    ],
)
def test_an_invalid_address_that_may_be_secret_is_not_shown(
    reader: str, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARBOUR", given)
    with pytest.raises(ImproperlyConfigured, match="HARBOUR") as refused:
        READERS[reader]()
    assert "wharf-lantern" not in str(refused.value)


def test_every_reader_is_tested() -> None:
    tried = {reader for reader, _given, _value in ACCEPTED} | {
        *("invalid", "secret_key", "existing_file_uri", "find_set"),
        "locations",  # tested in `tests/locations/test_variables.py`
    }
    public = {name for name, value in vars(env).items() if callable(value) and value.__module__ == env.__name__}
    assert {name for name in public if not name.startswith("_")} == tried


# --- The secret key --------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the saved key, which does not exist."""
    monkeypatch.delenv("SECRET_KEY", raising=False)
    monkeypatch.delenv("SECRET_KEY_FILE", raising=False)
    return tmp_path / "secret-key"


def test_a_key_in_the_environment_comes_first(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.write_text("kept")
    monkeypatch.setenv("SECRET_KEY_FILE", str(kept))
    monkeypatch.setenv("SECRET_KEY", "given")
    assert env.secret_key(kept) == "given"


def test_a_key_may_have_quotes(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", '"given"')
    assert env.secret_key(kept) == '"given"'


def test_a_named_file_comes_before_the_saved_key(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.write_text("kept")
    named = kept.with_name("named")
    named.write_text("from the named file\n")
    monkeypatch.setenv("SECRET_KEY_FILE", str(named))
    assert env.secret_key(kept) == "from the named file"


def test_the_saved_key_is_read_without_its_line_end(kept: Path) -> None:
    kept.write_text("kept\n")
    assert env.secret_key(kept) == "kept"


def test_without_a_saved_key_there_is_none_yet(kept: Path) -> None:
    assert env.secret_key(kept) is None


def test_a_storage_folder_that_is_a_file_has_no_key(kept: Path) -> None:
    kept.write_text("not a folder")
    assert env.secret_key(kept / "secret-key") is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "an existing file"), (b"\n", "a file that is not empty"), (b"\xff\xfe", "a text file")],
)
def test_a_named_file_without_a_key_is_refused(
    content: bytes | None, expected: str, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = kept.with_name("named")
    if content is not None:
        named.write_bytes(content)
    monkeypatch.setenv("SECRET_KEY_FILE", str(named))
    with pytest.raises(ImproperlyConfigured) as refused:
        env.secret_key(kept)
    assert str(refused.value).startswith(f"SECRET_KEY_FILE: expected {expected}")
    assert str(refused.value).endswith(f', got "{named}".')


def test_a_uri_of_a_file_forbids_creating_it() -> None:
    assert env.existing_file_uri("/srv/a b?c#d%.db") == "file:/srv/a%20b%3Fc%23d%25.db?mode=rw"
