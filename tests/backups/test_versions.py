"""Schema versions: damage, mere differences, and restores across versions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.backups.makers import backup, changed, ours, query, required, tvarrs
from tvarr_backup.backups.adopt import adopt_backup
from tvarr_backup.backups.backup_warnings import BackupWarning
from tvarr_backup.backups.backup_warnings import BackupWarningCode as Code
from tvarr_backup.backups.catalogue import Backup, rewrite_sidecar
from tvarr_backup.backups.folder import work_in
from tvarr_backup.backups.restore import find_restorable, restore_backup
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.backups.verify import verify_backup
from tvarr_backup.backups.versions import VersionVerdict, judge_versions
from tvarr_backup.errors import CodeNotAccepted, ConfirmationRequired, RestoreRefused
from tvarr_backup.sentences import Sentence

CREDITS = ("ALTER TABLE epg_programs DROP COLUMN credits", "INSERT INTO schema_migrations VALUES ('030', 'x', 'now')")
VIEW = "CREATE VIEW channel_count AS SELECT group_title, count(*) FROM channels GROUP BY 1"
OWN_OBJECTS = {
    "view": (VIEW,),
    "trigger": (
        "CREATE TABLE log (a)",
        "CREATE TRIGGER spy AFTER INSERT ON filters BEGIN INSERT INTO log VALUES (1); END",
    ),
    "fts5": ("CREATE VIRTUAL TABLE searched USING fts5(a)", "INSERT INTO searched VALUES ('harbour')"),
    "strict": ("CREATE TABLE firm (a INTEGER NOT NULL) STRICT", "INSERT INTO firm VALUES (1)"),
    "without rowid": ("CREATE TABLE keyed (a TEXT PRIMARY KEY, b) WITHOUT ROWID", "INSERT INTO keyed VALUES ('x', 1)"),
    "64 KiB pages": ("PRAGMA journal_mode=DELETE", "PRAGMA page_size=65536", "VACUUM", "PRAGMA journal_mode=WAL"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups"


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return tvarrs(tmp_path / "live.db")


def older(path: Path) -> Path:
    """A database as tvarr 024 left it: fewer tables, fewer columns, other versions."""
    return tvarrs(
        path,
        "DELETE FROM schema_migrations",
        "INSERT INTO schema_migrations VALUES ('024', 'x', 'now')",
        "DROP TABLE client_detection_rules",
        "DROP INDEX idx_filters_source_id",
        "ALTER TABLE filters DROP COLUMN source_id",
    )


def newer(path: Path) -> Path:
    return tvarrs(path, "INSERT INTO schema_migrations VALUES ('030', 'x', 'now')")


def set_kind(folder: Path, made: Backup, kind: BackupKind) -> Backup:
    with work_in(folder) as work:
        return rewrite_sidecar(folder, work, made, kind=kind)


@pytest.mark.parametrize("schema", ["tvarr 024", "a column less", *OWN_OBJECTS])
def test_a_backup_of_any_schema_verifies_good_and_restores(
    live: Path, folder: Path, tmp_path: Path, schema: str
) -> None:
    other = tmp_path / "other.db"
    match schema:
        case "tvarr 024":
            older(other)
        case "a column less":
            tvarrs(other, *CREDITS)
        case _:
            tvarrs(other, *OWN_OBJECTS[schema])
    made = backup(other, folder)
    assert verify_backup(folder, made.filename, required()).problems == ()
    restored = restore_backup(live, folder, made.filename, required(), accept_newer=True)
    assert restored.safety is not None
    assert query(live, "PRAGMA integrity_check") == "ok"
    assert query(live, "SELECT max(version) FROM schema_migrations") == query(
        other, "SELECT max(version) FROM schema_migrations"
    )


@pytest.mark.parametrize("objects", OWN_OBJECTS)
def test_tables_of_the_users_own_are_counted_and_restored(live: Path, folder: Path, objects: str) -> None:
    changed(live, *OWN_OBJECTS[objects])
    before = query(live, "SELECT group_concat(type || name) FROM (SELECT * FROM sqlite_master ORDER BY type, name)")
    made = backup(live, folder)
    changed(live, "DELETE FROM filters")
    restore_backup(live, folder, made.filename, required())
    after = query(live, "SELECT group_concat(type || name) FROM (SELECT * FROM sqlite_master ORDER BY type, name)")
    assert after == before
    assert query(live, "SELECT count(*) FROM filters WHERE deleted_at IS NULL") == made.sidecar.table_counts["filters"]


def test_what_is_missing_is_a_warning_that_names_it(folder: Path, tmp_path: Path) -> None:
    made = backup(tvarrs(tmp_path / "other.db", *CREDITS), folder)
    assert made.sidecar.checked is not None
    assert made.sidecar.checked.problems == ()
    found = {warning.code: warning for warning in made.sidecar.checked.warnings}
    assert found[Code.NEWER_SCHEMA].schema == found[Code.MISSING_COLUMNS].schema == "tvarr 030"
    assert found[Code.MISSING_COLUMNS].names == ("epg_programs.credits",)


def test_a_view_is_a_warning_when_the_backup_is_made(live: Path, folder: Path) -> None:
    made = backup(changed(live, VIEW), folder)
    assert made.sidecar.checked is not None
    warning = BackupWarning(Code.CODE, names=("view “channel_count”",))
    assert made.sidecar.checked.warnings == (warning,)
    verification = verify_backup(folder, made.filename, required())
    assert (verification.problems, verification.warnings) == ((), (warning,))


def test_a_file_with_a_view_needs_the_users_word_and_can_then_be_restored(
    live: Path, folder: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    made = backup(tvarrs(tmp_path / "other.db", VIEW), elsewhere)
    archive = elsewhere / made.filename
    with pytest.raises(CodeNotAccepted, match=r'contains the view "channel_count".*--accept-code'):
        adopt_backup(archive, folder, required())
    added = adopt_backup(archive, folder, required(), accept_code=True)
    assert added.sidecar.accepted_code == ("view “channel_count”",)
    verified = verify_backup(folder, added.filename, required())
    assert verified.problems == ()
    assert verified.backup.sidecar.accepted_code == added.sidecar.accepted_code
    restore_backup(live, folder, added.filename, required())
    assert query(live, "SELECT count(*) FROM sqlite_master WHERE type = 'view'") == 1


def test_code_in_a_file_from_elsewhere_that_nobody_accepted_is_refused(live: Path, folder: Path) -> None:
    made = set_kind(folder, backup(changed(live, VIEW), folder), BackupKind.UPLOADED)
    with pytest.raises(CodeNotAccepted, match=r"no administrator has accepted them.*--accept-code") as refusal:
        restore_backup(live, folder, made.filename, required())
    assert [(one.kind, one.name, one.sql) for one in refusal.value.found] == [("view", "channel_count", VIEW)]
    (view,) = refusal.value.found
    with pytest.raises(CodeNotAccepted):
        restore_backup(live, folder, made.filename, required(), accept_code=["0" * 64])
    restore_backup(live, folder, made.filename, required(), accept_code=[view.identity])


@pytest.mark.parametrize("schema", ["tvarr 024", "tvarr 030"])
def test_files_of_other_versions_are_added_like_any(folder: Path, tmp_path: Path, schema: str) -> None:
    other = (older if schema == "tvarr 024" else newer)(tmp_path / "other.db")
    added = adopt_backup(changed(other, "PRAGMA journal_mode=DELETE"), folder, required())
    assert added.sidecar.schema == schema
    assert added.sidecar.checked is not None
    assert added.sidecar.checked.problems == ()


def test_a_newer_schema_needs_a_confirmation(live: Path, folder: Path, tmp_path: Path) -> None:
    made = backup(newer(tmp_path / "other.db"), folder)
    with pytest.raises(
        ConfirmationRequired,
        match=r"has the schema tvarr 030\. The current database has the schema tvarr 029\..*--accept-newer",
    ):
        restore_backup(live, folder, made.filename, required())
    with pytest.raises(ConfirmationRequired):
        find_restorable(live, folder, made.filename, required())
    assert find_restorable(live, folder, made.filename, required(), accept_newer=True).filename == made.filename
    restore_backup(live, folder, made.filename, required(), accept_newer=True)
    assert query(live, "SELECT max(version) FROM schema_migrations") == "030"


def test_a_schema_that_was_seen_here_before_needs_none(live: Path, folder: Path, tmp_path: Path) -> None:
    made = backup(newer(tmp_path / "other.db"), folder)
    restore_backup(live, folder, made.filename, replace(required(), tvarr_newest="030"))


def test_the_schema_that_is_live_needs_none_either(live: Path, folder: Path) -> None:
    newer(live)
    assert judge_versions("tvarr 030", "tvarr 030", required(), is_safety=False) == VersionVerdict()
    restore_backup(live, folder, backup(live, folder).filename, required())


def test_a_restore_across_an_upgrade_can_be_undone(live: Path, folder: Path) -> None:
    old = backup(live, folder)
    changed(live, "INSERT INTO schema_migrations VALUES ('030', 'x', 'now')")
    done = restore_backup(live, folder, old.filename, required())
    assert done.safety is not None
    restore_backup(live, folder, done.safety.filename, required())
    assert query(live, "SELECT max(version) FROM schema_migrations") == "030"


def test_a_metadata_file_without_the_facts_of_today_stays_restorable(live: Path, folder: Path) -> None:
    made = backup(changed(live, VIEW), folder)
    assert made.sidecar.checked is not None
    with work_in(folder) as work:
        rewrite_sidecar(folder, work, made, checked=replace(made.sidecar.checked, warnings=()))
    restore_backup(live, folder, made.filename, required())


def test_ours_goes_back_only_where_a_database_of_ours_was(live: Path, folder: Path, tmp_path: Path) -> None:
    made = set_kind(folder, backup(ours(tmp_path / "other.db"), folder), BackupKind.PRE_RESTORE)
    with pytest.raises(RestoreRefused, match="must not replace tvarr's own database"):
        restore_backup(live, folder, made.filename, required())
    restore_backup(live, folder, made.filename, replace(required(), was_ours=True))
    assert query(live, "SELECT count(*) FROM sqlite_master WHERE name = 'schema_migrations'") == 0


@pytest.mark.parametrize(
    ("found", "live_schema", "facts"),
    [
        ("tvarr 029", "tvarr 029", ()),
        ("", "tvarr 029", ()),
        (
            "tvarr 024",
            "tvarr 029",
            (
                "This backup has the schema tvarr 024. The current database has the schema tvarr 029.",
                "Restart tvarr after the restore to upgrade the database.",
            ),
        ),
        (
            "tvarr 024",
            "",
            ("This backup has the schema tvarr 024. The schema of tvarr's current database is unknown.",),
        ),
        (
            "tvarr 029",
            "tvarr-backup 0002_system_rows",
            (
                "This backup has the schema tvarr 029. The current database has the schema tvarr-backup 0002_system_rows.",
                "The restored database will be tvarr's own, which tvarr-backup does not upgrade.",
            ),
        ),
    ],
)
def test_both_versions_are_named(found: str, live_schema: str, facts: tuple[str, ...]) -> None:
    assert judge_versions(found, live_schema, required(), is_safety=False) == VersionVerdict(
        tuple(map(Sentence, facts))
    )


def test_what_was_last_seen_counts_where_the_database_cannot_be_read() -> None:
    seen = replace(required(), last_seen="tvarr 029")
    assert "schema tvarr 029" in judge_versions("tvarr 024", "", seen, is_safety=False).facts[0]


def test_a_safety_backup_needs_no_confirmation() -> None:
    verdict = judge_versions("tvarr 031", "tvarr 029", required(), is_safety=True)
    assert not verdict.needs_confirmation
    assert "Install the version of tvarr that made the backup" in verdict.facts[1]
