"""States of this program's own database."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def remove(path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        Path(f"{path}{ending}").unlink(missing_ok=True)


def damage(path: Path) -> None:
    """64 KiB of other bytes behind the header; what was in its journal is lost."""
    for ending in ("-wal", "-shm"):
        Path(f"{path}{ending}").unlink(missing_ok=True)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xaa" * 65_536)


def make_older(path: Path) -> None:
    change(path, "DELETE FROM django_migrations WHERE app = 'operations' AND name = '0003_origin_api'")


def make_newer(path: Path) -> None:
    change(path, "INSERT INTO django_migrations (app, name, applied) VALUES ('operations', '9999_later', '2030-01-01')")


def make_foreign(path: Path) -> None:
    remove(path)
    change(path, "CREATE TABLE diary (entry)")


def make_tvarrs(path: Path) -> None:
    remove(path)
    change(path, "CREATE TABLE schema_migrations (version)")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program lets nobody read it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("CREATE TABLE theirs (a)")
        yield
        other.execute("ROLLBACK")


UNUSABLE: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (remove, "database_missing"),
    "damaged": (damage, "database_unusable"),
    "older": (make_older, "database_not_prepared"),
    "newer": (make_newer, "database_newer"),
    "foreign": (make_foreign, "database_foreign"),
    "tvarr's": (make_tvarrs, "database_foreign"),
}
"""How to get there, and the code of the error."""
