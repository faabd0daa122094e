"""Fixtures for every test: two real SQLite files, and tvarr's own database when it is wanted."""

import os
import shutil
import signal
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.db import connections
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pytest_django.plugin import blocking_manager_key

from tests.installation import Installation
from tests.tvarr_own import build_tvarr_database

# A busy machine is not an error.
hypothesis_settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("no clock")

_BALLAST = """
    CREATE TABLE ballast (bytes BLOB);
    WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 100)
    INSERT INTO ballast SELECT randomblob(1000000) FROM number;
"""


_LONGEST = (
    *("matrix/", "management/test_restore", "management/test_up_", "api/test_schema.", "browser/", "management/"),
    *("roles/", "test_", "backups/"),
)
"""Files and folders of tests whose programs take long, the longest first."""


def pytest_configure() -> None:
    """Heed signals that a shell lets its background jobs ignore; processes that tests start inherit this."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


def _turn(item: pytest.Item) -> int:
    path = item.path.relative_to(Path(__file__).parent).as_posix()
    return next((turn for turn, start in enumerate(_LONGEST) if path.startswith(start)), len(_LONGEST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that uses one database may use both. What takes longest comes first, so that nobody waits for it at the end."""
    items.sort(key=_turn)
    for item in items:
        for marker in list(item.iter_markers("django_db")):
            if "databases" not in marker.kwargs:
                item.add_marker(
                    pytest.mark.django_db(**{**marker.kwargs, "databases": ["default", "tvarr"]}), append=False
                )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """A test with transactions of its own leaves all tables empty: the groups, which a migration makes, come back."""
    result = yield
    marker = item.get_closest_marker("django_db")
    if nextitem is not None and marker is not None and marker.kwargs.get("transaction"):
        migration = import_module("tvarr_backup.access.migrations.0002_groups")
        with item.config.stash[blocking_manager_key].unblock():
            migration.make_groups(apps, SimpleNamespace(connection=connections["default"]))
    return result


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Test databases are files, as in real life, not memory; the driver's URI for `tvarr` must not forbid creating.

    On a server each of the processes that run tests has databases of its own.
    """
    folder = tmp_path_factory.mktemp("databases")
    process = os.environ.get("PYTEST_XDIST_WORKER", "main")
    for alias in connections:
        file = connections[alias].vendor == "sqlite"
        name = str(folder / f"{alias}.db") if file else f"test_{alias}_{process}"
        connections[alias].settings_dict["TEST"]["NAME"] = name


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """And in WAL mode, as `prepare` leaves them."""
    with django_db_blocker.unblock():
        for alias in connections:
            named = connections[alias].settings_dict
            if named["NAME"] != named["TEST"]["NAME"]:  # it has not been made: a run of few tests may not need both
                continue
            if connections[alias].vendor == "sqlite":
                connections[alias].cursor().execute("PRAGMA journal_mode=WAL")
                connections[alias].close()
            else:  # knox's own table, which ours replaces, refers to users, and Django does not know it when it empties theirs
                connections[alias].cursor().execute("DROP TABLE IF EXISTS knox_authtoken")


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def _all_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what has been logged within the last minute, by another test."""
    monkeypatch.setattr("tvarr_backup.repeats._SECONDS_BETWEEN", 0)


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """An installation of its own, driven through `manage.py` in real processes; not prepared yet."""
    return Installation(tmp_path / "data")


@pytest.fixture(scope="session")
def _prepared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Installation(tmp_path_factory.mktemp("prepared") / "data").prepared().data


@pytest.fixture
def prepared(installation: Installation, _prepared_folder: Path) -> Installation:
    """An installation on which `prepare` has been run: a copy of one that is prepared once."""
    shutil.copytree(_prepared_folder, installation.data)
    return installation


@pytest.fixture(scope="session")
def _large_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Large enough that a backup of it takes some tenths of a second."""
    installation = Installation(tmp_path_factory.mktemp("large") / "data").prepared()
    path = installation.data / "tvarr.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(_BALLAST)
    yield path
    path.unlink()  # pytest keeps the folders of the last runs


@pytest.fixture
def large(prepared: Installation, _large_database: Path) -> Iterator[Installation]:
    """An installation with a large database; what a backup only reads is shared between tests."""
    prepared.environment["TVARR_DATABASE_DSN"] = str(_large_database)
    yield prepared
    shutil.rmtree(prepared.data)


@pytest.fixture
def tvarr_own(tmp_path: Path) -> Path:
    """A database as tvarr itself makes it, with a few rows."""
    return build_tvarr_database(tmp_path / "tvarr-own.db")


@pytest.fixture
def attached(tvarr_own: Path, db: None) -> Iterator[Path]:
    """`tvarr` is tvarr's own database for this test, inside this process, through a connection of its own."""
    usual = connections["tvarr"]
    connection = connections.create_connection("tvarr")
    connection.settings_dict = usual.settings_dict | {"NAME": f"file:{tvarr_own}?mode=rw"}
    connections["tvarr"] = connection
    try:
        yield tvarr_own
    finally:
        connection.close()
        connections["tvarr"] = usual


@pytest.fixture
def app_database(db: None, tmp_path: Path) -> Iterator[Path]:
    """A copy of this program's own database that takes its place, and that a test may spoil."""
    usual = connections["default"]
    path = tmp_path / "app" / "app.db"
    path.parent.mkdir()
    with usual.cursor() as cursor:
        rows = cursor.connection.serialize()
    path.write_bytes(rows)
    connection = connections.create_connection("default")
    connection.settings_dict = usual.settings_dict | {"NAME": f"file:{path}?mode=rw", "CONN_MAX_AGE": 0}
    connections["default"] = connection
    try:
        yield path
    finally:
        connection.close()
        connections["default"] = usual
