"""Installations with copies in a location, made as the worker makes them, and empty machines to rebuild them on."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.installation import Installation
from tvarr_backup.locations.encryption import new_key
from tvarr_backup.locations.keys import Key

KEY = new_key()

_ADD = """
import json, sys
from tvarr_backup.locations.addresses import LocationKind, parse_url
from tvarr_backup.operations import locations
from tvarr_backup.operations.models import OperationKind, Origin
from tvarr_backup.operations.run import run_here
address = parse_url({url!r})
location = locations.add_location(
    "away", address.kind, {{**address.options, **{options!r}}}, recipient={recipient!r}, is_key_saved=True
)
run_here(OperationKind.TEST_LOCATION, origin=Origin.COMMAND, arguments={{"location": str(location.pk)}})
"""
_COPY = """
import json
from tvarr_backup.operations.models import Location, OperationKind, Origin
from tvarr_backup.operations.run import run_here
location = Location.objects.get(name="away")
done = run_here(OperationKind.COPY, origin=Origin.COMMAND, arguments={"location": str(location.pk)})
print(json.dumps(done.result))
"""


def add_location(
    installation: Installation, url: str, key: Key | None = KEY, options: Mapping[str, str] | None = None
) -> None:
    """Add and test a location, encrypted to a key."""
    run_python(installation, _ADD.format(url=url, options=dict(options or {}), recipient=key.recipient if key else ""))


def copy_now(installation: Installation) -> dict[str, Any]:
    """Copy all backups to the location, and return the result of the operation."""
    found: dict[str, Any] = json.loads(run_python(installation, _COPY).splitlines()[-1])
    return found


def run_python(installation: Installation, code: str) -> str:
    return installation.ok("shell", "--no-imports", "-c", code)


def identifier(installation: Installation) -> str:
    code = "from tvarr_backup.operations.models import Installation; print(Installation.load().lower())"
    return run_python(installation, code).strip()


def save_identity(path: Path, key: Key = KEY) -> Path:
    """Write a file as age-keygen does."""
    path.write_text(f"# recovery key\n# public key: {key.recipient}\n{key.identity}\n")
    return path


def dump(database: Path) -> list[str]:
    """Return everything in a database that no program uses, as SQL. Nothing is left next to it."""
    with TemporaryDirectory() as folder:
        for path in database.parent.glob(f"{database.name}*"):
            if path.is_file():
                shutil.copy(path, folder)
        with closing(sqlite3.connect(Path(folder) / database.name)) as connection:
            return list(connection.iterdump())


def digest(database: Path) -> str:
    """Return a digest of the same, for large databases."""
    found = hashlib.sha256()
    with TemporaryDirectory() as folder:
        for path in database.parent.glob(f"{database.name}*"):
            if path.is_file():
                shutil.copy(path, folder)
        with closing(sqlite3.connect(Path(folder) / database.name)) as connection:
            for line in connection.iterdump():
                found.update(line.encode())
    return found.hexdigest()
