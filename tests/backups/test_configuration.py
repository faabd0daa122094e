"""The configuration in the metadata file of a backup."""

from __future__ import annotations

import base64
import json
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.backups.makers import backup, changed, required, tvarrs
from tvarr_backup.backups.adopt import adopt_backup
from tvarr_backup.backups.catalogue import configuration_of, find_backup, protect_backup
from tvarr_backup.backups.configuration import read_configuration
from tvarr_backup.backups.verify import verify_backup
from tvarr_backup.packed_rows import MOST_PACKED, pack, unpack

FILTER = "INSERT INTO filters (id, name, source_type, expression) VALUES ('01KA000000000000000000000{}', '{}', 'stream', 'e')"


def stored(folder: Path, filename: str) -> dict[str, Any]:
    """The rows of filters by name."""
    table = unpack(configuration_of(folder, filename))["filters"]
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    return {row["name"]: row for row in rows}


def without_it(folder: Path, filename: str) -> None:
    """The metadata file of an earlier version."""
    path = folder / filename.replace(".db.gz", ".meta.json")
    members = json.loads(path.read_text())
    del members["configuration"]
    path.write_text(json.dumps(members))


def test_a_backup_has_the_rows_that_users_edit(live: Path, folder: Path) -> None:
    changed(live, FILTER.format(1, "Harbour"))
    made = backup(live, folder)
    row = stored(folder, made.filename)["Harbour"]
    assert (row["source_type"], row["expression"], row["action"]) == ("stream", "e", "include")
    tables = unpack(configuration_of(folder, made.filename))
    assert set(tables) == {"filters", "data_mapping_rules", "client_detection_rules", "encoding_profiles"}


def test_deleted_rows_are_not_among_them(live: Path, folder: Path) -> None:
    changed(live, FILTER.format(1, "Gone"), "UPDATE filters SET deleted_at = '2026-01-01' WHERE name = 'Gone'")
    assert "Gone" not in stored(folder, backup(live, folder).filename)


def test_bytes_that_are_not_text_are_kept(tmp_path: Path) -> None:
    path = changed(
        tvarrs(tmp_path / "odd.db"),
        FILTER.format(1, "x"),
        "UPDATE filters SET description = CAST(x'ff41' AS TEXT), action = x'00ff' WHERE name = 'x'",
    )
    with closing(sqlite3.connect(path)) as connection:
        read = unpack(pack(read_configuration(connection, {"filters": ("name", "description", "action")})))["filters"]
    (row,) = [dict(zip(read.columns, row, strict=True)) for row in read.rows if row[read.columns.index("name")] == "x"]
    assert row["description"].encode(errors="surrogateescape") == b"\xffA"
    assert row["action"] == {"blob": base64.b64encode(b"\0\xff").decode()}


def test_one_of_more_than_512_kib_is_left_out(live: Path, folder: Path) -> None:
    fill = "UPDATE filters SET description = hex(randomblob(600000)) WHERE name = 'Large'"
    changed(live, FILTER.format(1, "Large"), fill)
    made = backup(live, folder)
    assert configuration_of(folder, made.filename) == ""
    assert made.sidecar.is_good


def test_one_of_more_than_16_mib_is_not_even_packed(live: Path, folder: Path) -> None:
    changed(live, FILTER.format(1, "Large"), "UPDATE filters SET description = printf('%17000000s', '')")
    assert configuration_of(folder, backup(live, folder).filename) == ""


def test_a_listed_backup_does_not_hold_it_in_memory(live: Path, folder: Path) -> None:
    made = backup(live, folder)
    assert made.sidecar.configuration == find_backup(folder, made.filename).sidecar.configuration == ""


def test_protection_and_note_do_not_lose_it(live: Path, folder: Path) -> None:
    made = backup(live, folder)
    before = configuration_of(folder, made.filename)
    protect_backup(folder, made.filename, protected=True, note="before the move")
    assert configuration_of(folder, made.filename) == before != ""


def test_a_verification_adds_it_to_an_older_backup(live: Path, folder: Path) -> None:
    made = backup(live, folder)
    before = configuration_of(folder, made.filename)
    without_it(folder, made.filename)
    assert configuration_of(folder, made.filename) == ""
    verify_backup(folder, made.filename, required())
    assert configuration_of(folder, made.filename) == before != ""


def test_an_uploaded_backup_has_its_own_and_not_what_its_metadata_says(
    live: Path, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    made = backup(changed(live, FILTER.format(1, "Harbour")), other)
    path = other / made.filename.replace(".db.gz", ".meta.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"configuration": pack({})}))
    added = adopt_backup(other / made.filename, folder, required(), sidecar=path)
    assert "Harbour" in stored(folder, added.filename)


@pytest.mark.parametrize(
    "packed",
    [
        "",
        "é",
        "AAAA",
        base64.b64encode(zlib.compress(b"[")).decode(),
        base64.b64encode(zlib.compress(b"[]")).decode(),
        base64.b64encode(zlib.compress(b'{"filters": {"columns": ["id"], "rows": [["1", "2"]]}}')).decode(),
        base64.b64encode(zlib.compress(b'{"filters": {"columns": ["id"], "rows": [[["1"]]]}}')).decode(),
        base64.b64encode(zlib.compress(b" " * 2**25)).decode(),
        base64.b64encode(zlib.compress(b"{}")[:-2]).decode(),
    ],
)
def test_what_is_not_a_packed_configuration_is_refused(packed: str) -> None:
    with pytest.raises(ValueError, match="packed"):
        unpack(packed)


def test_a_longer_text_in_a_metadata_file_is_ignored(live: Path, folder: Path) -> None:
    made = backup(live, folder)
    path = folder / made.filename.replace(".db.gz", ".meta.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"configuration": "A" * (MOST_PACKED + 1)}))
    assert configuration_of(folder, made.filename) == ""
