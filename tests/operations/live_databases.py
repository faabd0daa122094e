"""States of tvarr's database in which nothing can be read from it."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path


def remove(path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        Path(f"{path}{ending}").unlink(missing_ok=True)


def empty(path: Path) -> None:
    remove(path)
    path.touch()


def truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(5000)


def spoil_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\xaa" * 65_536)


def spoil_pages(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xaa" * 65_536)


def make_foreign(path: Path) -> None:
    remove(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE diary (entry)")


UNUSABLE_LIVE: dict[str, Callable[[Path], None]] = {
    "missing": remove,
    "empty": empty,
    "truncated": truncate,
    "no header": spoil_header,
    "damaged": spoil_pages,
    "another program's": make_foreign,
}
