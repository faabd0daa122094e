"""A plugin that runs the tests on PostgreSQL: `pytest -p tests.on_postgresql` has our own database, `default`, there.

With TESTS_ALSO_TVARR=1 in the environment tvarr's database is there, too. Tests of backups, which only an SQLite database
has, are run without it, and all others with it. Left out in both is what says nothing about PostgreSQL: tests of SQLite
itself (the mark `sqlite`), tests without a database of Django's, and those whose processes have databases of their own.
"""

import os
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

_ALSO_TVARR = bool(os.environ.get("TESTS_ALSO_TVARR"))
_OF_BACKUPS = (
    "admin/test_backups.py",
    "api/test_backups.py",
    "api/test_downloads.py",
    "api/test_health.py",
    "api/test_operations.py",
    "api/test_schedule.py",
    "api/test_uploads.py",
    "management/test_restore_command.py",
    "operations/",
    "test_health_docs.py",
    "test_tasks.py",
    "test_worker.py",
    "web/test_backups.py",
    "web/test_operations.py",
    "web/test_restore.py",
    "web/test_schedule.py",
    "web/test_upload.py",
)
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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if _says_nothing(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _says_nothing(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    of_backups = item.path.relative_to(Path(__file__).parent).as_posix().startswith(_OF_BACKUPS)
    of_tvarrs_file = _ALSO_TVARR and "attached" in fixtures
    uses_database = item.get_closest_marker("django_db") is not None or bool(fixtures & {"db", "transactional_db"})
    return (
        of_backups is _ALSO_TVARR
        or of_tvarrs_file
        or not uses_database
        or item.get_closest_marker("sqlite") is not None
        or bool(fixtures & _OWN_DATABASES)
    )
