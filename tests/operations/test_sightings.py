"""What was seen of tvarr's schema, and what follows from that."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import connections

from tests.backups.makers import changed, ours
from tvarr_backup import conf
from tvarr_backup.backups.catalogue import find_backup
from tvarr_backup.operations.health import HealthState, Subject, check_health
from tvarr_backup.operations.models import OperationKind, Origin, SchemaSighting
from tvarr_backup.operations.run import run_here
from tvarr_backup.operations.sightings import recent_change, record_sighting, verdict_on

pytestmark = pytest.mark.django_db
UPGRADE = (
    "INSERT INTO schema_migrations VALUES ('030', 'x', 'now')",
    "CREATE TABLE moods (id)",
    "ALTER TABLE filters ADD COLUMN mood",
    "ALTER TABLE epg_programs DROP COLUMN credits",
)


def upgrade(live: Path, *statements: str) -> None:
    connections["tvarr"].close()
    changed(live, *(statements or UPGRADE))


def schemas() -> list[str]:
    return list(SchemaSighting.objects.values_list("schema", flat=True))


def said() -> tuple[HealthState, str]:
    check = check_health().checks[Subject.TVARR]
    return check.state, check.message


def test_a_sighting_is_kept_only_when_the_schema_changes(attached: Path) -> None:
    record_sighting()
    record_sighting()
    assert schemas() == ["tvarr 029"]
    assert "expression" in SchemaSighting.objects.get().columns["filters"]
    upgrade(attached)
    record_sighting()
    assert schemas() == ["tvarr 029", "tvarr 030"]


def test_a_database_that_cannot_be_read_leaves_no_sighting(attached: Path) -> None:
    connections["tvarr"].close()
    attached.write_bytes(b"garbage" * 1000)
    record_sighting()
    assert schemas() == []


def test_a_backup_records_what_it_has_seen(attached: Path) -> None:
    upgrade(attached)
    operation = run_here(OperationKind.BACKUP, origin=Origin.COMMAND)
    assert schemas() == ["tvarr 030"]
    assert operation.result is not None
    assert not any("newer" in warning for warning in operation.result["backup"]["checked"]["warnings"])


def test_the_newest_known_is_not_what_is_live_now(attached: Path) -> None:
    upgrade(attached, "INSERT INTO schema_migrations VALUES ('031', 'x', 'now')")
    assert conf.required_schema().tvarr_newest == "029"
    record_sighting()
    upgrade(attached, "DELETE FROM schema_migrations WHERE version > '029'")
    record_sighting()
    required = conf.required_schema()
    assert (required.tvarr_newest, required.last_seen, required.was_ours) == ("031", "tvarr 029", False)


def test_of_another_place_only_the_newest_counts(attached: Path) -> None:
    now = datetime.now(UTC)
    for schema in ("tvarr 040", "tvarr-backup 0002_system_rows"):
        SchemaSighting.objects.create(database="/elsewhere.db", schema=schema, columns={}, seen_at=now)
    required = conf.required_schema()
    assert (required.tvarr_newest, required.last_seen, required.was_ours) == ("040", "", False)


def test_without_our_database_the_metadata_of_backups_says_it(
    attached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade(attached)
    run_here(OperationKind.BACKUP, origin=Origin.COMMAND)
    monkeypatch.setitem(connections["default"].settings_dict, "NAME", str(tmp_path / "missing.db"))
    required = conf.required_schema()
    assert (required.tvarr_newest, required.last_seen) == ("030", "tvarr 030")
    assert not (tmp_path / "missing.db").exists()


@pytest.mark.django_db(transaction=True)
def test_a_restore_of_an_older_backup_into_an_upgraded_tvarr_can_be_undone(attached: Path, folder: Path) -> None:
    made = run_here(OperationKind.BACKUP, origin=Origin.COMMAND).result
    assert made is not None
    old = made["backup"]["filename"]
    upgrade(attached)
    verdict = verdict_on(find_backup(folder, old))
    assert verdict.facts == (
        "This backup has the schema tvarr 029. The current database has the schema tvarr 030.",
        "Restart tvarr after the restore to upgrade the database.",
    )
    done = run_here(OperationKind.RESTORE, origin=Origin.COMMAND, arguments={"filename": old}).result
    assert done is not None
    safety = done["pre_restore_backup"]["filename"]
    SchemaSighting.objects.all().delete()  # even where nothing is remembered
    run_here(OperationKind.RESTORE, origin=Origin.COMMAND, arguments={"filename": safety})
    with closing(sqlite3.connect(attached)) as connection:
        assert connection.execute("SELECT max(version) FROM schema_migrations").fetchone() == ("030",)


def test_health_says_what_an_upgrade_changed_for_14_days(attached: Path) -> None:
    record_sighting()
    SchemaSighting.objects.update(seen_at=datetime.now(UTC) - timedelta(days=90))
    upgrade(attached)
    record_sighting()
    _, message = said()
    assert "tvarr's database has changed from tvarr 029 to tvarr 030. Added: filters.mood, moods." in message
    assert "Removed: epg_programs.credits. Noticed on " in message
    assert recent_change(datetime.now(UTC) + timedelta(days=13)) is not None
    assert recent_change(datetime.now(UTC) + timedelta(days=15)) is None


def test_the_first_sighting_is_no_change(attached: Path) -> None:
    record_sighting()
    assert recent_change(datetime.now(UTC)) is None


def test_a_restore_and_its_undo_are_no_change(attached: Path) -> None:
    record_sighting()
    upgrade(attached, "CREATE TABLE moods (id)")
    record_sighting()
    upgrade(attached, "DROP TABLE moods")
    record_sighting()
    assert recent_change(datetime.now(UTC)) is None


def test_health_warns_of_a_newer_tvarr_and_says_what_works(attached: Path) -> None:
    upgrade(attached)
    state, message = said()
    assert state is HealthState.WARNING
    assert "tvarr 030, is newer than tvarr 029, the newest that this version of tvarr-backup knows." in message
    assert "It does not have epg_programs.credits. Items that need" in message


def test_an_older_tvarr_is_well(attached: Path) -> None:
    upgrade(
        attached, "DELETE FROM schema_migrations WHERE version > '024'", "ALTER TABLE epg_programs DROP COLUMN credits"
    )
    state, message = said()
    assert state is HealthState.OK
    assert "It does not have epg_programs.credits" in message


def test_a_kind_that_lacks_a_column_is_a_warning(attached: Path) -> None:
    upgrade(attached, "ALTER TABLE filters DROP COLUMN expression")
    assert said()[0] is HealthState.WARNING


def test_one_of_ours_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ours(tmp_path / "ours.db")
    usual = conf.database_path
    monkeypatch.setattr(conf, "database_path", lambda alias: path if alias == "tvarr" else usual(alias))
    record_sighting()
    assert schemas() == ["tvarr-backup 0002_system_rows"]
