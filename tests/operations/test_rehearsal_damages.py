"""Every damage that the fault tests can make, and what a rehearsal says about it. With -s, it is printed as a table."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.backups.hostile import THIEF
from tests.backups.makers import changed, ours, state
from tests.backups.test_restore import described, with_database
from tests.locations.rebuilding import KEY
from tests.operations.test_run import made, spoil
from tvarr_backup.backups.catalogue import Backup, find_backup
from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.locations.addresses import LocationKind
from tvarr_backup.locations.copies import MARKER, CopyFolder, folder_of
from tvarr_backup.locations.encryption import new_key
from tvarr_backup.locations.stores import open_store
from tvarr_backup.operations import locations
from tvarr_backup.operations.copying import open_address
from tvarr_backup.operations.location_secrets import seal_options
from tvarr_backup.operations.models import Installation, Location, Operation, OperationKind, Origin, Rehearsal
from tvarr_backup.operations.run import run_here

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("attached")]

OK, ATTENTION = "succeeded", "attention"
_NEWER = "INSERT INTO schema_migrations (version, description, applied_at) VALUES ('999', 'later', '2026-01-01')"


@dataclass
class World:
    """A backup in the backup folder, and its encrypted copy in a location whose identity is stored."""

    live: Path
    folder: Path
    nas: Path
    location: Location
    backup: Backup

    def rewrite(self, *statements: str, **described_as: Any) -> None:
        """Change the database in the backup, and compute sizes and checksums again."""
        database = self.nas.parent / "changed.db"
        database.write_bytes(gzip.decompress((self.folder / self.backup.filename).read_bytes()))
        changed(database, "PRAGMA journal_mode=DELETE", *statements)
        with_database(self.folder, self.backup, database.read_bytes(), **described_as)

    def metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / self.backup.name.sidecar).read_bytes())
        return found

    @property
    def copied_archive(self) -> Path:
        return self.nas / folder_of(Installation.load()) / f"{self.backup.filename}.age"

    @property
    def copied_metadata(self) -> Path:
        return self.copied_archive.with_name(self.backup.name.sidecar)


@pytest.fixture
def world(attached: Path, folder: Path, tmp_path: Path, settings: Any) -> World:
    settings.STORAGE_BASE_DIR = tmp_path / "data"
    settings.STORAGE_BASE_DIR.mkdir()
    nas = tmp_path / "nas"
    nas.mkdir()
    name = made()
    added = locations.add_location(
        "nas", LocationKind.FOLDER, {"path": str(nas)}, recipient=KEY.recipient, is_key_saved=True
    )
    for kind in (OperationKind.TEST_LOCATION, OperationKind.COPY):
        run_here(kind, origin=Origin.COMMAND, arguments={"location": str(added.pk)})
    added.refresh_from_db()
    locations.store_identity(added, KEY.identity)
    return World(attached, folder, nas, added, find_backup(folder, name))


# --- Damages ---------------------------------------------------------------------------------------------------------


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def truncate_and_describe(world: World) -> None:
    archive = world.folder / world.backup.filename
    truncate(archive)
    described(world.folder, world.backup, compressed_size=archive.stat().st_size)


def without_rows(world: World) -> None:
    world.rewrite("DELETE FROM filters WHERE id = (SELECT min(id) FROM filters)")


def with_other_configuration(world: World) -> None:
    """The configuration of another backup, as if two metadata files had been mixed up."""
    changed(world.live, "UPDATE filters SET name = 'another'")
    other = json.loads((world.folder / find_backup(world.folder, made()).name.sidecar).read_bytes())
    (world.folder / world.backup.filename).touch()
    described(world.folder, world.backup, configuration=other["configuration"])


def with_dropped_table(world: World) -> None:
    """The metadata was made to fit, except for the configuration."""
    counts = {name: count for name, count in world.metadata()["table_counts"].items() if name != "filters"}
    counts["proxy_filters"] = 0
    world.rewrite("DELETE FROM proxy_filters", "DROP TABLE filters", table_counts=counts)


def with_database_of_ours(world: World) -> None:
    database = ours(world.nas.parent / "ours.db", statements=["PRAGMA journal_mode=DELETE"])
    with_database(world.folder, world.backup, database.read_bytes(), table_counts={})


def replace_copy(world: World) -> None:
    """Another backup in the place of the copy, with metadata that fits, encrypted to the same key."""
    world.rewrite("UPDATE filters SET name = 'planted'")
    backup = find_backup(world.folder, world.backup.filename)
    world.copied_archive.unlink()
    world.copied_metadata.unlink()
    with open_store(open_address(world.location)) as store:
        CopyFolder(store, Installation.load()).write_copy(
            world.folder / backup.filename, backup.sidecar, [KEY.recipient]
        )
    world.location.copies.update(size=world.copied_archive.stat().st_size)


def store_another_key(world: World) -> None:
    another = new_key()
    Location.objects.update(sealed_identity=seal_options({"identity": another.identity}))


ARCHIVE: dict[str, Callable[[World], object]] = {
    "archive: truncated": lambda world: truncate(world.folder / world.backup.filename),
    "archive: truncated, size in the metadata corrected": truncate_and_describe,
    "archive: one bit flipped": lambda world: spoil(world.folder / world.backup.filename),
    "archive: not gzip": lambda world: (world.folder / world.backup.filename).write_bytes(b"text" * 100),
    "archive: empty": lambda world: (world.folder / world.backup.filename).write_bytes(b""),
    "archive: missing": lambda world: (world.folder / world.backup.filename).unlink(),
}
METADATA: dict[str, Callable[[World], object]] = {
    "metadata: truncated": lambda world: truncate(world.folder / world.backup.name.sidecar),
    "metadata: wrong checksum": lambda world: described(world.folder, world.backup, checksum="sha256:" + "0" * 64),
    "metadata: wrong database checksum": lambda world: described(
        world.folder, world.backup, database_checksum="sha256:" + "0" * 64
    ),
    "metadata: wrong size": lambda world: described(world.folder, world.backup, database_size=4096),
    "metadata: wrong counts": lambda world: described(
        world.folder, world.backup, table_counts=world.metadata()["table_counts"] | {"filters": 7}
    ),
    "metadata: configuration of another backup": with_other_configuration,
    "metadata: configuration unreadable": lambda world: described(world.folder, world.backup, configuration="AAAA"),
}
CONTENTS: dict[str, Callable[[World], object]] = {
    "contents, checksums recomputed: a row changed": lambda world: world.rewrite("UPDATE filters SET name = 'planted'"),
    "contents, checksums recomputed: a row missing": without_rows,
    "contents, checksums recomputed: a table dropped": lambda world: world.rewrite("DROP TABLE channels"),
    "contents, checksums and counts recomputed: a table dropped": with_dropped_table,
    "contents, checksums recomputed: an index dropped": lambda world: world.rewrite(
        "DROP INDEX idx_filters_source_type"
    ),
    "contents, checksums recomputed: a trigger added": lambda world: world.rewrite(THIEF),
    "contents, checksums recomputed: a trigger added, from elsewhere": lambda world: world.rewrite(
        THIEF, imported=True
    ),
    "schema: newer than every known one": lambda world: world.rewrite(_NEWER),
    "schema: of another program": with_database_of_ours,
}
LOCATION: dict[str, Callable[[World], object]] = {
    "location: archive truncated": lambda world: truncate(world.copied_archive),
    "location: one bit flipped": lambda world: spoil(world.copied_archive),
    "location: archive missing": lambda world: world.copied_archive.unlink(),
    "location: metadata missing": lambda world: world.copied_metadata.unlink(),
    "location: metadata truncated": lambda world: truncate(world.copied_metadata),
    "location: another backup in its place": replace_copy,
    "location: not mounted": lambda world: (world.nas / folder_of(Installation.load()) / MARKER).unlink(),
    "key: another one is stored": store_another_key,
    "key: none is stored": lambda _world: Location.objects.update(sealed_identity=""),
    "key: stored with another secret key": lambda _world: Location.objects.update(sealed_identity="gAAAAA"),
}

EXPECTED = {
    **dict.fromkeys([*ARCHIVE, *METADATA, *CONTENTS], "restore_refused"),
    **dict.fromkeys(["archive: truncated", "archive: not gzip", "archive: empty"], "backup_broken"),
    "archive: missing": "backup_not_found",
    "metadata: truncated": "backup_broken",
    "metadata: configuration of another backup": "rehearsal_failed",
    "metadata: configuration unreadable": "rehearsal_failed",
    "contents, checksums recomputed: a row changed": "rehearsal_failed",
    "contents, checksums and counts recomputed: a table dropped": "rehearsal_failed",
    "contents, checksums recomputed: an index dropped": ATTENTION,
    "contents, checksums recomputed: a trigger added": ATTENTION,
    "contents, checksums recomputed: a trigger added, from elsewhere": "code_not_accepted",
    "schema: newer than every known one": "confirmation_required",
    **dict.fromkeys(LOCATION, "object_damaged"),
    "location: archive missing": "object_missing",
    "location: metadata missing": "object_missing",
    "location: not mounted": "location_unmarked",
    "key: another one is stored": "identity_wrong",
    "key: none is stored": "identity_required",
    "key: stored with another secret key": "secrets_lost",
}


@pytest.fixture(scope="module")
def table() -> Iterator[list[tuple[str, str, str]]]:
    """Rows of damage, code and sentence, printed at the end."""
    rows: list[tuple[str, str, str]] = []
    yield rows
    lines = [f"{damage:<66} {code:<22} {sentence[:110]}" for damage, code, sentence in rows]
    sys.stdout.write("\n".join(["", *sorted(lines), ""]))


def rehearse(world: World, *, in_location: bool) -> tuple[str, str]:
    """Return the code of the failure, or else the state, and the sentence."""
    arguments = {
        "location": str(world.location.pk) if in_location else "",
        "filename": "" if in_location else world.backup.filename,
    }
    with suppress(TvarrBackupError):
        run_here(OperationKind.REHEARSE, origin=Origin.COMMAND, arguments=arguments)
    operation = Operation.objects.all()[0]
    return operation.error_code or operation.state, str(operation.outcome)


@pytest.mark.parametrize("damage", [*ARCHIVE, *METADATA, *CONTENTS, *LOCATION])
def test_a_rehearsal_finds_every_damage(world: World, table: list[tuple[str, str, str]], damage: str) -> None:
    damages = ARCHIVE | METADATA | CONTENTS | LOCATION
    damages[damage](world)
    before = state(world.folder), world.live.read_bytes()
    code, sentence = rehearse(world, in_location=damage in LOCATION)
    table.append((damage, code, sentence))
    assert code == EXPECTED[damage]
    assert (state(world.folder), world.live.read_bytes()) == before
    assert not list((world.nas.parent / "data").iterdir())


@pytest.mark.parametrize("in_location", [False, True])
def test_without_damage_it_succeeds(world: World, table: list[tuple[str, str, str]], *, in_location: bool) -> None:
    code, sentence = rehearse(world, in_location=in_location)
    table.append((f"none ({'location' if in_location else 'backup folder'})", code, sentence))
    assert code == OK
    assert Rehearsal.objects.get().is_ok
