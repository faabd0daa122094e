"""The health checks: states and messages."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.db.backends.dummy import base as dummy
from django_q.models import Schedule

from tests.backups.makers import settled, tvarrs, tvarrs_new_backup, tvarrs_old_backup
from tests.operations.elsewhere import queued, running
from tests.tvarr_own import build_tvarr_database
from tvarr_backup import conf
from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.folder import work_in
from tvarr_backup.backups.restore_journal import Unfinished, write_journal
from tvarr_backup.backups.room import estimate
from tvarr_backup.backups.sidecar import BackupKind, Checked, CheckLevel, encode_sidecar
from tvarr_backup.formatting import format_time
from tvarr_backup.operations.alert_models import AlertSettings, Receiver
from tvarr_backup.operations.health import Health, HealthState, Subject, check_health, health_as_data
from tvarr_backup.operations.heartbeat import Heartbeat, SenderHeartbeat
from tvarr_backup.operations.models import BackupSettings, Location, Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.schedule import change_settings, plan_next_run
from tvarr_backup.operations.track import create_operation

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _worker(tmp_path: Path, settings: Any) -> Iterator[None]:
    settings.STORAGE_BASE_DIR = tmp_path
    with Heartbeat():
        yield


def result_of(subject: Subject, found: Health | None = None) -> tuple[str, str]:
    """Return the state and message of one check."""
    check = (found or check_health()).checks[subject]
    return str(check.state), check.message


def make(folder: Path, ago: timedelta = timedelta(), **changes: Any) -> Backup:
    """A backup of the test database, made so long ago."""
    values: dict[str, Any] = {"kind": BackupKind.SCHEDULED, "now": datetime.now(UTC) - ago}
    return create_backup(conf.live_database(), folder, conf.required_schema(), **values | changes)


def rewrite(folder: Path, backup: Backup, **changes: Any) -> None:
    (folder / backup.name.sidecar).write_bytes(encode_sidecar(backup.sidecar.with_changes(**changes)))


def ended(state: OperationState, origin: Origin = Origin.SCHEDULE, **values: Any) -> None:
    operation = create_operation(OperationKind.BACKUP, origin=origin, state=OperationState.RUNNING)
    Operation.objects.filter(pk=operation.pk).update(state=state, finished_at=datetime.now(UTC), **values)


def planned(due: timedelta) -> None:
    """The next scheduled backup is due so far from now."""
    plan_next_run()
    Schedule.objects.update(next_run=datetime.now(UTC) + due)


# --- All together ----------------------------------------------------------------------------------------------------


def test_on_a_new_installation_everything_is_fine_before_its_first_backup() -> None:
    found = check_health()
    assert [(str(subject), str(check.state)) for subject, check in found.checks.items()] == [
        (one, "ok") for one in Subject
    ]
    assert found.state is HealthState.OK


def test_every_subject_has_one_check_whatever_is_wrong(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.rmdir()
    monkeypatch.setitem(connections["default"].settings_dict, "NAME", "/nowhere/app.db")
    monkeypatch.setitem(connections["tvarr"].settings_dict, "NAME", "file:/nowhere/tvarr.db?mode=rw")
    assert list(check_health().checks) == list(Subject)


def test_the_worst_counts(folder: Path) -> None:
    ended(OperationState.FAILED, Origin.SCHEDULE, error="The disk is full.")
    make(folder)
    assert check_health().state is HealthState.WARNING
    make(folder, timedelta(days=3))
    assert check_health().state is HealthState.FAILING


def test_a_check_changes_nothing(folder: Path, tmp_path: Path) -> None:
    make(folder)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    check_health()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_check_leaves_nothing_next_to_a_database_at_rest(attached: Path, mode: str) -> None:
    with closing(sqlite3.connect(attached)) as connection:
        connection.execute(f"PRAGMA journal_mode={mode}")
    content, beside = attached.read_bytes(), sorted(attached.parent.iterdir())
    check_health()
    assert (attached.read_bytes(), sorted(attached.parent.iterdir())) == (content, beside)


def test_what_a_killed_program_left_in_its_journal_is_left_there(attached: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(attached, isolation_level=None)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("UPDATE filters SET description = 'mine'")
        for ending in ("", "-wal"):
            shutil.copy(f"{attached}{ending}", tmp_path / f"killed.db{ending}")
    before = [(tmp_path / f"killed.db{ending}").read_bytes() for ending in ("", "-wal")]
    connections["tvarr"].settings_dict["NAME"] = f"file:{tmp_path}/killed.db?mode=rw"
    assert result_of(Subject.TVARR)[0] == "ok"
    assert [(tmp_path / f"killed.db{ending}").read_bytes() for ending in ("", "-wal")] == before


def test_a_check_does_not_wait_for_the_lock_of_the_folder(folder: Path) -> None:
    make(folder)
    with work_in(folder):
        began = time.monotonic()
        assert check_health().state is HealthState.OK
        assert time.monotonic() - began < 2


def test_a_folder_that_is_missing_is_not_made(folder: Path) -> None:
    folder.rmdir()
    assert result_of(Subject.FOLDER) == ("ok", f"The first backup will create the folder {folder}.")
    assert not folder.exists()


def test_it_is_json_data(folder: Path) -> None:
    backup = make(folder)
    operation = running(OperationKind.VERIFY)
    data = json.loads(json.dumps(health_as_data(check_health())))
    assert (data["state"], len(data["checks"])) == ("ok", len(Subject))
    assert data["last_good_backup"] == {
        "filename": backup.filename,
        "kind": "scheduled",
        "created_at": backup.sidecar.created_at.isoformat(),
    }
    assert data["running_operation"]["id"] == str(operation.pk)
    assert (data["may_be_old_seconds"], data["overdue"], data["queued_operations"]) == (2 * 86400, False, 0)
    assert min(data["free_bytes"].values()) > 0


# --- Databases -------------------------------------------------------------------------------------------------------


@pytest.mark.sqlite
def test_without_our_own_database_some_checks_cannot_be_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(folder)
    monkeypatch.setitem(connections["default"].settings_dict, "NAME", "/nowhere/app.db")
    found = check_health()
    assert result_of(Subject.DEFAULT, found) == (
        "sick",
        (
            "/nowhere/app.db does not exist. Put it back if it was lost, or create a new one with `manage.py prepare`. "
            "A new one has no users, settings or history. Your backups stay as they are."
        ),
    )
    for subject in (Subject.QUEUE, Subject.SCHEDULE):
        assert result_of(subject, found) == (
            "warning",
            "Not checked because this program's own database cannot be used.",
        )
    assert result_of(Subject.LAST_BACKUP, found)[0] == "ok"


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not up to date with this version of tvarr-backup. Run `manage.py prepare`."),
        (b"x" * 999, "is not an SQLite"),
    ],
)
def test_a_file_that_is_not_ours_is_a_failure(
    content: bytes, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app.db").write_bytes(content)
    monkeypatch.setitem(connections["default"].settings_dict, "NAME", str(tmp_path / "app.db"))
    state, sentence = result_of(Subject.DEFAULT)
    assert state == "sick"
    assert words in sentence


def test_an_invalid_stored_setting_is_a_warning() -> None:
    BackupSettings.objects.create(pk=1, cron="at tea time")
    state, sentence = result_of(Subject.DEFAULT)
    assert state == "warning"
    assert sentence.startswith("Some stored settings are invalid and are ignored: cron: Expected ")
    assert 'got "at tea time".' in sentence


def test_tvarrs_own_database_is_attached(attached: Path) -> None:
    assert result_of(Subject.TVARR) == ("ok", "It can be used (created by tvarr).")


def locked(path: Path, mode: str) -> closing[sqlite3.Connection]:
    """A connection that keeps all others out."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA journal_mode={mode}")
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")
    if mode == "WAL":
        connection.execute("UPDATE filters SET description = 'mine'")
        connection.execute("COMMIT")
    return closing(connection)


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_a_locked_database_is_a_failure_after_two_seconds(attached: Path, mode: str) -> None:
    with locked(attached, mode):
        began = time.monotonic()
        assert result_of(Subject.TVARR) == (
            "sick",
            f"{attached} cannot be read, because another program has locked it. Try again when it has finished.",
        )
        assert time.monotonic() - began < 8  # without a patience of its own it would be 20


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_one_that_is_being_written_to_is_not_sick(attached: Path, mode: str) -> None:
    with closing(sqlite3.connect(attached, isolation_level=None)) as writer:
        writer.execute(f"PRAGMA journal_mode={mode}")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE filters SET description = 'mine'")
        assert result_of(Subject.TVARR)[0] == "ok"


def test_a_table_whose_first_page_is_damaged_is_a_failure(attached: Path) -> None:
    with closing(sqlite3.connect(attached)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'filters'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with attached.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xaa" * size)
    assert result_of(Subject.TVARR) == (
        "sick",
        (
            f"{attached} cannot be read: database disk image is malformed. Restore a backup: `manage.py backup list` shows them, "
            "`manage.py backup restore NAME --yes` restores one. If SQLite cannot write to the damaged file, stop tvarr and add "
            "`--offline`."
        ),
    )


def test_one_file_for_both_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = conf.database_path("default")
    monkeypatch.setitem(connections["tvarr"].settings_dict, "NAME", f"file:{ours}?mode=rw")
    assert result_of(Subject.TVARR)[1].startswith("DATABASE_URL and TVARR_DATABASE_DSN name the same file")


@pytest.mark.sqlite
def test_tvarrs_own_database_in_the_place_of_ours_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_tvarr_database(tmp_path / "app.db")
    monkeypatch.setitem(connections["default"].settings_dict, "NAME", str(tmp_path / "app.db"))
    assert result_of(Subject.DEFAULT)[1].startswith("DATABASE_URL names tvarr's own database")


class NotSqlite(dummy.DatabaseWrapper):
    """A server of which nothing is asked here but an answer."""

    vendor = display_name = "PostgreSQL"

    def cursor(self) -> Any:
        raise OperationalError("connection refused")


def test_a_server_that_does_not_answer_is_a_failure_and_needs_no_backup_here(
    caplog: pytest.LogCaptureFixture,
) -> None:
    usual = connections["tvarr"]
    connections["tvarr"] = NotSqlite(usual.settings_dict, "tvarr")
    try:
        found = check_health()
    finally:
        connections["tvarr"] = usual
    assert result_of(Subject.TVARR, found) == ("sick", "tvarr's database does not answer. The log has the reason.")
    assert "connection refused" in caplog.text
    for subject in (Subject.SCHEDULE, Subject.LAST_BACKUP):
        state, sentence = result_of(subject, found)
        assert state == "ok"
        assert "Use pg_dump for PostgreSQL" in sentence


# --- Worker and queue ------------------------------------------------------------------------------------------------


def test_a_worker_that_is_silent_is_missed(tmp_path: Path) -> None:
    os.utime(tmp_path / "worker", (0, 0))
    state, sentence = result_of(Subject.WORKER)
    assert state == "sick"
    assert "Start one with `manage.py worker`" in sentence


def test_an_operation_may_be_queued_for_a_while() -> None:
    operation = queued()
    since = format_time(operation.created_at)
    assert result_of(Subject.QUEUE) == ("ok", f"A backup has been queued since {since}.")
    assert check_health().observation.queued == (operation,)


def test_an_operation_that_no_worker_starts_is_a_failure() -> None:
    operation = queued()
    since = datetime.now(UTC) - timedelta(minutes=6)
    Operation.objects.filter(pk=operation.pk).update(created_at=since)
    assert result_of(Subject.QUEUE) == (
        "sick",
        (
            f"A backup has been queued since {format_time(since)}; no worker has started it. Check that a worker is "
            "running and what it logs, or cancel the operation."
        ),
    )


# --- The schedule ----------------------------------------------------------------------------------------------------


def test_the_schedule_is_shown_with_its_next_time() -> None:
    planned(timedelta(hours=3))
    found = check_health()
    assert found.expected.next_run == Schedule.objects.get().next_run
    assert result_of(Subject.SCHEDULE, found) == (
        "ok",
        f"Every day at 02:00 (UTC). The next backup is due on {format_time(found.expected.next_run)}.",
    )


def test_before_the_worker_has_planned_it_the_next_time_is_that_of_the_timetable() -> None:
    change_settings({"cron": "30 4 * * *"})
    Schedule.objects.all().delete()
    found = check_health()
    assert found.expected.next_run is not None
    assert f"{found.expected.next_run:%H:%M}" == "04:30"


def test_a_schedule_that_is_off_expects_nothing(folder: Path) -> None:
    change_settings({"enabled": False})
    make(folder, timedelta(days=900))
    found = check_health()
    assert found.state is HealthState.OK
    assert (found.expected.next_run, found.expected.max_age) == (None, None)
    assert result_of(Subject.SCHEDULE, found)[1] == "Automatic backups are off."
    assert "Automatic backups are off, so no newer one is expected." in result_of(Subject.LAST_BACKUP, found)[1]


@pytest.mark.parametrize(
    ("state", "values", "words"),
    [
        (OperationState.FAILED, {"error": "The disk is full."}, "failed: The disk is full. The next one is due on "),
        (
            OperationState.INTERRUPTED,
            {"message": "It was stopped."},
            "was interrupted: It was stopped. The next one is due on ",
        ),
    ],
)
def test_a_failed_automatic_backup_is_a_warning_with_its_reason(
    folder: Path, state: OperationState, values: dict[str, Any], words: str
) -> None:
    make(folder)
    ended(state, **values)
    was, sentence = result_of(Subject.SCHEDULE)
    assert was == "warning"
    assert words in sentence


@pytest.mark.parametrize("state", [OperationState.SUCCEEDED, OperationState.ATTENTION, OperationState.CANCELLED])
def test_after_any_other_end_the_schedule_is_fine(state: OperationState) -> None:
    ended(OperationState.FAILED, error="The disk is full.")
    ended(state)
    assert result_of(Subject.SCHEDULE)[0] == "ok"


def test_a_backup_by_hand_that_failed_says_nothing_of_the_schedule() -> None:
    ended(OperationState.FAILED, Origin.WEB, error="The disk is full.")
    assert result_of(Subject.SCHEDULE)[0] == "ok"


def test_a_backup_may_begin_a_little_late() -> None:
    planned(-timedelta(minutes=4))
    found = check_health()
    assert (found.expected.is_overdue, result_of(Subject.SCHEDULE, found)[0]) == (False, "ok")


def test_one_that_has_not_begun_by_then_is_overdue() -> None:
    planned(-timedelta(minutes=6))
    found = check_health()
    assert found.expected.is_overdue
    assert result_of(Subject.SCHEDULE, found)[0] == "warning"
    assert "has not started. Check that a worker is running" in result_of(Subject.SCHEDULE, found)[1]


def test_one_that_waits_for_something_else_says_so() -> None:
    planned(-timedelta(minutes=6))
    running(OperationKind.VERIFY)
    assert result_of(Subject.SCHEDULE)[1].endswith("has not started because a verification is running.")


# --- The last good backup --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "hours", "state"),
    [
        ({}, 47, "ok"),
        ({}, 49, "sick"),
        ({"cron": "0 */6 * * *"}, 11, "ok"),
        ({"cron": "0 */6 * * *"}, 13, "sick"),
        ({"cron": "30 4 * * SUN"}, 13 * 24, "ok"),
        ({"cron": "30 4 * * SUN"}, 15 * 24, "sick"),
    ],
)
def test_it_may_be_twice_as_old_as_the_interval(folder: Path, values: dict[str, Any], hours: int, state: str) -> None:
    change_settings(values)
    make(folder, timedelta(hours=hours))
    assert result_of(Subject.LAST_BACKUP)[0] == state


def test_one_that_is_too_old_is_a_failure_with_its_age_and_the_maximum(folder: Path) -> None:
    backup = make(folder, timedelta(hours=49))
    assert result_of(Subject.LAST_BACKUP) == (
        "sick",
        (
            f"The last good backup was made on {format_time(backup.sidecar.created_at)}, 2 days and 1 hour ago. With "
            "this schedule it should be at most 2 days old. To make one, use `manage.py backup create`."
        ),
    )


@pytest.mark.parametrize("kind", [BackupKind.MANUAL, BackupKind.SCHEDULED, BackupKind.PRE_RESTORE])
def test_every_copy_of_the_live_database_counts(folder: Path, kind: BackupKind) -> None:
    make(folder, timedelta(days=3))
    newest = make(folder, kind=kind)
    found = check_health()
    assert (found.last_good, result_of(Subject.LAST_BACKUP, found)[0]) == (newest, "ok")


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": BackupKind.UPLOADED},
        {"imported": True},
        {"checked": None},
        {"checked": Checked(CheckLevel.FULL, datetime(2026, 1, 1, tzinfo=UTC), ("It is damaged.",))},
    ],
    ids=["uploaded", "imported", "not checked", "damaged"],
)
def test_what_comes_from_elsewhere_or_has_not_passed_its_check_does_not_count(
    folder: Path, changes: dict[str, Any]
) -> None:
    old = make(folder, timedelta(days=3))
    rewrite(folder, make(folder), **changes)
    found = check_health()
    assert (found.last_good, result_of(Subject.LAST_BACKUP, found)[0]) == (old, "sick")


def test_the_newest_has_the_highest_number_whatever_the_clock_was(folder: Path) -> None:
    make(folder)
    rewound = make(folder, timedelta(days=3))
    assert check_health().last_good == rewound


def test_one_that_is_dated_in_the_future_is_a_warning(folder: Path) -> None:
    make(folder, -timedelta(days=400))
    state, sentence = result_of(Subject.LAST_BACKUP)
    assert state == "warning"
    assert "which is in the future. Set the clock." in sentence


def test_without_one_everything_is_fine_until_the_first_is_overdue() -> None:
    planned(timedelta(hours=3))
    state, sentence = result_of(Subject.LAST_BACKUP)
    assert state == "ok"
    assert sentence.startswith("There is no backup yet. The first one is due on ")
    planned(-timedelta(minutes=6))
    assert result_of(Subject.LAST_BACKUP) == (
        "sick",
        "There is no good backup, although one was due. To make one, use `manage.py backup create`.",
    )


def test_without_one_after_a_scheduled_run_something_is_wrong() -> None:
    ended(OperationState.SUCCEEDED)
    assert result_of(Subject.LAST_BACKUP)[0] == "sick"


def test_without_one_although_there_were_some_is_a_warning() -> None:
    ended(OperationState.SUCCEEDED, Origin.WEB)
    state, sentence = result_of(Subject.LAST_BACKUP)
    assert state == "warning"
    assert sentence.startswith("There is no good backup any more, although some were made.")


# --- The folder ------------------------------------------------------------------------------------------------------


def test_a_folder_that_has_gone_is_missed(folder: Path) -> None:
    ended(OperationState.SUCCEEDED)
    folder.rmdir()
    assert result_of(Subject.FOLDER) == (
        "sick",
        (
            f"The backup folder {folder} does not exist any more, although backups were made. Check that its disk is "
            "mounted."
        ),
    )


@pytest.mark.parametrize("what", ["nowhere/backups", "file", "loop", "link"])
def test_an_unusable_backup_folder_is_a_failure(what: str, tmp_path: Path, settings: Any) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "link").symlink_to("nowhere")
    settings.BACKUP_DIRECTORY = tmp_path / what
    found = check_health()
    assert result_of(Subject.FOLDER, found)[0] == "sick"
    assert result_of(Subject.FOLDER, found)[1].startswith(f"The backup folder {tmp_path / what} cannot be ")
    for subject in (Subject.LAST_BACKUP, Subject.BACKUPS, Subject.RESTORE):
        assert result_of(subject, found) == ("warning", "Not checked because the backup folder cannot be read.")


def test_backups_that_cannot_be_relied_on_are_named(folder: Path) -> None:
    damaged, broken, good = make(folder), make(folder), make(folder)
    rewrite(
        folder,
        damaged,
        checked=Checked(CheckLevel.FULL, datetime(2026, 1, 1, tzinfo=UTC), ("Its checksum is another.",)),
    )
    (folder / broken.name.sidecar).unlink()
    state, sentence = result_of(Subject.BACKUPS)
    assert state == "warning"
    assert f"{damaged.filename} is damaged" in sentence
    assert f"{broken.filename} is broken (its metadata file {broken.name.sidecar} is missing)" in sentence
    assert good.filename not in sentence


def test_of_many_only_some_are_named(folder: Path) -> None:
    for second in range(9):
        (folder / f"tvarr-backup-2026-01-01T00-00-0{second}.db.gz").touch()
    sentence = result_of(Subject.BACKUPS)[1]
    assert sentence.count(" is broken ") == 3
    assert "; and 6 more." in sentence


def unfinished(folder: Path) -> None:
    (folder / ".work").mkdir(exist_ok=True)
    write_journal(
        folder / ".work", Unfinished(7, "/live/tvarr.db", "tvarr-backup-a.db.gz", "b", "2026-01-01T00:00:00Z")
    )


def test_an_unfinished_restore_is_a_warning(folder: Path) -> None:
    unfinished(folder)
    assert result_of(Subject.RESTORE) == (
        "warning",
        (
            "The restore of tvarr-backup-a.db.gz was not finished. Run `manage.py backup recover` to finish or undo "
            "it. The previous data is kept."
        ),
    )


def test_one_that_is_under_way_is_no_matter(folder: Path) -> None:
    unfinished(folder)
    running(OperationKind.RESTORE)
    assert result_of(Subject.RESTORE) == ("ok", "tvarr-backup-a.db.gz is being restored.")


def test_something_else_under_way_does_not_hide_it(folder: Path) -> None:
    unfinished(folder)
    running(OperationKind.VERIFY)
    assert result_of(Subject.RESTORE)[0] == "warning"


def test_the_room_asked_for_is_that_of_a_backup(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tvarr_backup.backups.room.free_bytes", lambda _folder: 100_000)
    state, sentence = result_of(Subject.FOLDER)
    assert state == "sick"
    assert sentence.startswith("The backup needs about 0.")
    assert sentence.endswith(", but only 0.1 MB is free. Free some space, or use another folder.")


def test_a_look_at_five_hundred_backups_is_quick(folder: Path) -> None:
    backup = make(folder)
    for number in range(500):
        name = f"tvarr-backup-2026-01-01T{number // 60:02}-{number % 60:02}-00"
        os.link(folder / backup.filename, folder / f"{name}.db.gz")
        (folder / f"{name}.meta.json").write_bytes(encode_sidecar(backup.sidecar.with_changes(seq=number + 2)))
    began = time.process_time()
    assert check_health().observation.folder.listing is not None
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("make_one", [tvarrs_old_backup, tvarrs_new_backup])
def test_archives_of_tvarrs_in_the_folder_are_a_warning(
    folder: Path, tmp_path: Path, make_one: Callable[[Path, Path], Path]
) -> None:
    make(folder)
    assert result_of(Subject.FOLDER)[0] == "ok"
    make_one(folder, settled(tvarrs(tmp_path / "copy.db")))
    state, sentence = result_of(Subject.FOLDER)
    assert state == "warning"
    assert "tvarr's retention deletes your backups" in sentence
    assert "backup add FILE" in sentence


def test_what_stands_in_the_way_of_a_restore_is_a_warning(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.BACKUP_DIRECTORY = tmp_path
    assert result_of(Subject.RESTORE) == ("ok", "No restore is unfinished.")
    monkeypatch.setattr(
        "tvarr_backup.backups.live.why_unwritable", lambda _path: "tvarr.db cannot be written. Run: chmod"
    )
    assert result_of(Subject.RESTORE) == (
        "warning",
        "No backup can be restored now: tvarr.db cannot be written. Run: chmod.",
    )


# --- Locations -------------------------------------------------------------------------------------------------------


def located(name: str = "nas", **values: Any) -> Location:
    """A location that was tested an hour ago and is in sync since a minute, with these changes."""
    now = datetime.now(UTC)
    known: dict[str, Any] = {"tested_at": now - timedelta(hours=1), "in_sync_at": now - timedelta(minutes=1)}
    options = {"path": f"/nowhere/{name}"}
    return Location.objects.create(name=name, kind="folder", options=options, created_at=now, **known | values)


def test_without_a_location_nothing_is_wrong() -> None:
    expected = ("ok", "There is no location, so backups are only in the backup folder.")
    assert result_of(Subject.LOCATIONS) == expected


def test_locations_in_sync_are_counted_and_others_are_named() -> None:
    located("bucket")
    located()
    located("shed", is_enabled=False)
    assert result_of(Subject.LOCATIONS) == ("ok", "2 locations in sync. shed: paused.")


def test_a_failing_location_is_a_warning_with_its_reason() -> None:
    since = datetime.now(UTC) - timedelta(minutes=5)
    located(failing_since=since, error="The disk is full.", error_code="location_full")
    found = check_health()
    expected = f"nas has failed since {format_time(since)}: The disk is full."
    assert result_of(Subject.LOCATIONS, found) == ("warning", expected)
    assert found.state is HealthState.WARNING


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("behind_since", "nas has been behind since"),
        ("in_sync_at", "nas has not been compared since"),
    ],
)
def test_a_location_may_be_late_for_a_day(column: str, expected: str) -> None:
    values: dict[str, Any] = {column: datetime.now(UTC) - timedelta(hours=23)}
    location = located(**values)
    assert result_of(Subject.LOCATIONS)[0] == "ok"
    setattr(location, column, datetime.now(UTC) - timedelta(hours=25))
    location.save()
    state, message = result_of(Subject.LOCATIONS)
    assert state == "warning"
    assert message.startswith(expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"tested_at": None}, "has not been tested yet"),
        ({"recipient": "age1example"}, "its recovery key has not been confirmed"),
    ],
)
def test_a_location_that_was_never_completed_is_a_warning_after_a_day(values: dict[str, Any], expected: str) -> None:
    location = located(in_sync_at=None, **values)
    assert result_of(Subject.LOCATIONS)[0] == "ok"
    Location.objects.filter(pk=location.pk).update(created_at=datetime.now(UTC) - timedelta(days=2))
    state, message = result_of(Subject.LOCATIONS)
    assert (state, expected in message) == ("warning", True), message


def test_damaged_copies_are_a_warning() -> None:
    copy = {"size": 1, "checksum": "", "is_encrypted": False, "sidecar": "", "described": ""}
    located().copies.create(filename="a", copied_at=datetime.now(UTC), problem="It is damaged.", **copy)
    state, message = result_of(Subject.LOCATIONS)
    assert (state, "nas has damaged copies (1)" in message) == ("warning", True), message


def test_an_operation_of_a_location_may_wait_for_others() -> None:
    arguments = {"location": str(located().pk)}
    operation = create_operation(
        OperationKind.COPY, origin=Origin.SCHEDULE, state=OperationState.QUEUED, arguments=arguments
    )
    Operation.objects.filter(pk=operation.pk).update(created_at=datetime.now(UTC) - timedelta(hours=1))
    assert result_of(Subject.QUEUE) == ("ok", "No operation is queued.")


# --- Room for the next backups ---------------------------------------------------------------------------------------


def with_free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    for module in ("observe.free_bytes", "observe.require_room_for_backup"):
        replacement = (lambda *_: free) if "free_bytes" in module else (lambda *_: None)
        monkeypatch.setattr(f"tvarr_backup.operations.{module}", replacement)


def test_a_disk_that_will_be_full_is_a_warning_before_it_is_full(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size, live = make(folder).sidecar.compressed_size, check_health().observation.live
    assert live is not None
    assert live.used is not None
    with_free(monkeypatch, estimate(live.used + size) + 3 * size)
    state, sentence = result_of(Subject.ROOM)
    assert state == "warning"
    assert sentence.startswith("The disk will be full before the next 7 automatic backups: ")
    with_free(monkeypatch, 10**12)
    assert result_of(Subject.ROOM) == ("ok", "There is room for the next 7 automatic backups.")


def test_without_automatic_backups_no_room_is_expected(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(folder)
    with_free(monkeypatch, 0)
    change_settings({"enabled": False})
    assert result_of(Subject.ROOM) == ("ok", "No automatic backups are expected.")


# --- Alerts ----------------------------------------------------------------------------------------------------------


def receive(**columns: Any) -> Receiver:
    values = {"name": "phone", "kind": "webhook", "url": "https://hooks.example", "created_at": datetime.now(UTC)}
    return Receiver.objects.create(**values | columns)


def test_without_a_receiver_the_check_is_fine_and_there_is_advice_until_a_user_dismisses_it() -> None:
    assert result_of(Subject.ALERTS) == ("ok", "No receiver of alerts is set up, so problems are only shown here.")
    alerts = check_health().observation.records
    assert alerts is not None
    assert alerts.alerts.needs_advice
    AlertSettings.objects.create(pk=1, is_advice_dismissed=True)
    again = check_health().observation.records
    assert again is not None
    assert not again.alerts.needs_advice


def test_receivers_that_have_accepted_nothing_are_named() -> None:
    receive(name="attic", sent_at=datetime.now(UTC))
    receive(name="cellar")
    receive(name="garden", is_enabled=False)
    with SenderHeartbeat():
        state, message = result_of(Subject.ALERTS)
    assert state == "ok"
    assert message == "Alerts are sent to 1 receiver. Not tried yet: cellar. Send a test message. Paused: garden."


def test_with_a_receiver_the_process_that_sends_must_run() -> None:
    receive(sent_at=datetime.now(UTC))
    assert result_of(Subject.ALERTS)[0] == "warning"
    with SenderHeartbeat():
        assert result_of(Subject.ALERTS) == ("ok", "Alerts are sent to 1 receiver.")


def test_a_receiver_that_has_failed_for_an_hour_is_a_warning() -> None:
    since = datetime.now(UTC) - timedelta(minutes=59)
    receive(failing_since=since, error="It does not answer.")
    with SenderHeartbeat():
        assert result_of(Subject.ALERTS)[0] == "ok"
        since -= timedelta(minutes=2)
        Receiver.objects.update(failing_since=since)
        expected = f"The receiver phone has failed since {format_time(since)}: It does not answer."
        assert result_of(Subject.ALERTS) == ("warning", expected)
        Receiver.objects.update(is_enabled=False)
        assert result_of(Subject.ALERTS)[0] == "ok"
