"""A plugin that runs tests on PostgreSQL: `pytest -p tests.on_postgresql` has our own database, `default`, there.

With TESTS_ALSO_TVARR=1 in the environment tvarr's database is there, too. The files whose behavior depends on the database
are named here: those about operations need a database of tvarr's that can be backed up, which is SQLite, and those about
tvarr's rows run with TESTS_ALSO_TVARR. Others, such as tests of pages and formats, pass the same queries through the same
functions. In the named files these are left out: tests of SQLite itself (the mark `sqlite`), tests without a database of
Django's, and tests whose processes have databases of their own.
"""

import os
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

_TESTS = Path(__file__).parent
_ALSO_TVARR = bool(os.environ.get("TESTS_ALSO_TVARR"))
_OF_OPERATIONS = (
    "access/",
    "admin/test_backups.py",
    "api/test_authentication.py",
    "api/test_configuration.py",
    "api/test_operations.py",
    "api/test_schedule.py",
    "config/test_connections.py",
    "operations/",
    "test_tasks.py",
    "test_worker.py",
    "web/test_operations.py",
)
_OF_ROWS = (
    "admin/test_kinds.py",
    "api/test_kinds.py",
    "api/test_nul.py",
    "management/test_demo_data_command.py",
    "matches/",
    "portable/",
    "test_columns.py",
    "test_factories.py",
    "test_fields.py",
    "test_models.py",
    "test_stored_rows.py",
    "test_system_rows.py",
    "test_tvarr_database.py",
    "test_unreadable_rows.py",
)
_FILES = _OF_ROWS if _ALSO_TVARR else _OF_OPERATIONS
_OWN_DATABASES = frozenset({"installation", "prepared", "large"})
_server = ExitStack()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None, object, object]:
    """Start the server before the settings are read; the processes that xdist starts find it by the environment."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        from tests.servers import PostgreSQL, running  # noqa: PLC0415  # not before pytest rewrites asserts

        server = _server.enter_context(running(PostgreSQL))
        os.environ["TESTS_DATABASE_URL"] = server.url()
        if _ALSO_TVARR:
            os.environ["TESTS_TVARR_DATABASE_DSN"] = server.create("tvarr")
    return (yield)


def pytest_unconfigure() -> None:
    _server.close()


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    name = collection_path.relative_to(_TESTS).as_posix() if collection_path.is_relative_to(_TESTS) else ""
    return True if name.endswith(".py") and not name.startswith(_FILES) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if _says_nothing(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _says_nothing(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    of_tvarrs_file = _ALSO_TVARR and "attached" in fixtures
    uses_database = item.get_closest_marker("django_db") is not None or bool(fixtures & {"db", "transactional_db"})
    return (
        of_tvarrs_file
        or not uses_database
        or item.get_closest_marker("sqlite") is not None
        or bool(fixtures & _OWN_DATABASES)
    )
