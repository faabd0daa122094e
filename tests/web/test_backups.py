"""The Backups page and the page of a backup: note, protection, deletion, download."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.web.backup_parts import (
    NO_BACKUP,
    administrator,
    client_of,
    described,
    make,
    messages_on,
    present,
    text_of,
)
from tvarr_backup import conf
from tvarr_backup.backups.archive_header import HEADER_BYTES, add_metadata
from tvarr_backup.backups.catalogue import find_backup, protect_backup
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.backups.lock import backup_lock
from tvarr_backup.backups.sidecar import BackupKind, Checked, CheckLevel, DateSource
from tvarr_backup.formatting import format_size
from tvarr_backup.operations import observe
from tvarr_backup.operations.models import Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.track import create_operation
from tvarr_backup.web.charts import draw_chart

pytestmark = pytest.mark.django_db

HOME = "/"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    return prepare_folder(conf.backup_path())


@pytest.fixture
def client(db: None) -> Client:
    return administrator()


def address(name: str, backup: Any) -> str:
    return reverse(name, args=[backup if isinstance(backup, str) else backup.filename])


def bad(folder: Path, backup: Any) -> None:
    described(folder, backup, checked=Checked(CheckLevel.FULL, datetime.now(UTC), ("A page is torn.",)))


# --- The list --------------------------------------------------------------------------------------------------------


def test_the_empty_page_names_the_first_run_and_links_to_upload_and_locations(client: Client) -> None:
    text = text_of(client.get(HOME))
    assert "No backups yet. The first automatic backup runs " in text
    assert ", 02:00 (" in text
    assert "Back up now takes a few seconds." in text
    page = client.get(HOME).content.decode()
    assert reverse("upload") in page
    assert reverse("documentation-page", args=["guides/back-from-nothing"]) in page
    assert client.get(reverse("documentation-page", args=["guides/back-from-nothing"])).status_code == 200


def test_without_a_schedule_the_empty_page_promises_nothing(client: Client, settings: Any) -> None:
    settings.BACKUP_SCHEDULE_ENABLED = False
    assert "No backups yet. Automatic backups are off." in text_of(client.get(HOME))


def test_each_backup_is_shown_in_words_with_the_newest_first(client: Client, folder: Path) -> None:
    make(folder, kind=BackupKind.SCHEDULED)
    newest = make(folder, note="before the new provider")
    protect_backup(folder, newest.filename, protected=True)
    text = text_of(client.get(HOME))
    size = format_size(newest.sidecar.compressed_size)
    assert f"{size} Verified Manual, protected : before the new provider" in text
    assert text.index("Verified Manual") < text.index("Verified Automatic")


def test_a_disk_without_free_space_is_charted() -> None:
    drawn = draw_chart("Free space", [(datetime(2026, 11, day, tzinfo=UTC), 0) for day in (1, 2)])
    assert drawn is not None
    assert [tick.label for tick in drawn.sizes] == ["0 Bytes", "1 Byte"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"checked": None}, "Not verified"),
        ({"checked": Checked(CheckLevel.FULL, datetime.now(UTC), ("torn",))}, "Damaged"),
        ({"schema": "tvarr 999"}, "Made by a newer version"),
        ({"kind": BackupKind.PRE_RESTORE}, "Safety"),
        ({"kind": BackupKind.UPLOADED}, "Uploaded"),
    ],
)
def test_states_and_kinds_are_words(client: Client, folder: Path, changes: dict[str, Any], words: str) -> None:
    described(folder, make(folder), **changes)
    assert words in text_of(client.get(HOME))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"created_at_source": DateSource.ARRIVAL}, "Date unknown "),
        (
            {"created_at_source": DateSource.NEWEST_ROW, "newest_row_at": datetime(2026, 3, 1, 12, tzinfo=UTC)},
            "Date unknown newest row 1 Mar 2026, 12:00",
        ),
    ],
)
def test_an_unknown_date_is_shown_as_unknown(client: Client, folder: Path, changes: dict[str, Any], words: str) -> None:
    made = make(folder)
    described(folder, made, **changes)
    assert words in text_of(client.get("/"))
    page = text_of(client.get(reverse("backup", args=[made.filename])))
    assert "Created Date unknown" in page
    assert "Backup of unknown date" in page


def test_the_list_marks_backups_that_the_next_cleanup_deletes(client: Client, folder: Path, settings: Any) -> None:
    settings.BACKUP_RETENTION = 1
    for _ in range(2):
        make(folder, kind=BackupKind.SCHEDULED)
    assert text_of(client.get(HOME)).count("Will be deleted at the next cleanup") == 1


def test_broken_and_foreign_files_are_listed(client: Client, folder: Path) -> None:
    (folder / NO_BACKUP).write_bytes(b"half")
    for name in ("holiday.jpg", "notes.txt", "list.m3u"):
        (folder / name).touch()
    text = text_of(client.get(HOME))
    assert f"{NO_BACKUP} : its metadata file" in text
    assert "3 other files in the backup folder" in text
    assert "holiday.jpg" in text


def test_a_row_that_was_shown_before_follows_every_change(client: Client, folder: Path) -> None:
    made = make(folder, note="before the move")
    assert "before the move" in text_of(client.get(HOME))
    protect_backup(folder, made.filename, note="after the move", protected=True)
    text = text_of(client.get(HOME))
    assert "protected : after the move" in text
    assert "before the move" not in text


def test_users_see_only_the_actions_they_may_use(client: Client, folder: Path) -> None:
    make(folder)
    assert "Restore backup of" in text_of(client.get(HOME))
    assert "Restore backup of" not in text_of(client_of("view_backup").get(HOME))


def many(folder: Path, number: int) -> None:
    """One real backup, and so many more automatic ones as far as the list looks."""
    first = make(folder)
    for day in range(number):
        made = datetime(2024, 1, 1, 2, tzinfo=UTC) + timedelta(days=day)
        archive = folder / f"{made:tvarr-backup-%Y-%m-%dT%H-%M-%S}.db.gz"
        archive.hardlink_to(folder / first.filename)
        changed = type(first)(archive.name, first.sidecar)
        described(folder, changed, kind=BackupKind.SCHEDULED, created_at=made, seq=100 + day)


def test_five_hundred_are_in_pages_and_chosen_by_kind(client: Client, folder: Path) -> None:
    many(folder, 499)
    first = client.get(HOME)
    assert first.content.count(b'name="name"') == 25
    assert "Page 1 of 20" in text_of(first)
    assert "All (500)" in text_of(first)
    assert "Page 20 of 20" in text_of(client.get(HOME, {"kind": "scheduled", "page": "20"}))
    assert client.get(HOME, {"kind": "manual"}).content.count(b'name="name"') == 1


@pytest.mark.sqlite
def test_the_number_of_queries_does_not_grow_with_the_backups(client: Client, folder: Path) -> None:
    make(folder)
    with CaptureQueriesContext(connection) as few:
        client.get(HOME)
    many(folder, 60)
    with CaptureQueriesContext(connection) as more:
        client.get(HOME)
    assert len(more) == len(few) == 19, [query["sql"] for query in few]


@pytest.mark.parametrize("query", [{"page": "x"}, {"page": "999"}, {"page": "-1"}, {"kind": "nonsense"}])
def test_a_page_that_is_not_there_is_the_nearest(client: Client, folder: Path, query: dict[str, str]) -> None:
    make(folder)
    assert "Manual" in text_of(client.get(HOME, query))


def test_the_card_reports_an_unusable_folder(client: Client, tmp_path: Path, settings: Any) -> None:
    settings.BACKUP_DIRECTORY = tmp_path / "missing" / "backups"
    text = text_of(client.get(HOME))
    assert "Problems found" in text
    assert "backups cannot be created because its parent folder does not exist or cannot be written to." in text


# --- The card on top -------------------------------------------------------------------------------------------------


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """One is there; a real one would do what the tests only ask for."""
    monkeypatch.setattr(observe, "worker_seems_alive", lambda: True)


def test_the_card_says_that_everything_is_fine_and_counts_the_backups(
    client: Client, folder: Path, worker: None
) -> None:
    made = make(folder)
    text = text_of(client.get(HOME))
    assert "Everything is fine Last good backup:" in text
    assert ", verified. Next backup:" in text
    assert f"1 backup, {format_size(made.sidecar.compressed_size)} (" in text
    assert f"{folder} Copy" in text
    assert "Backups are on the same disk as the database. Keep copies elsewhere" in text
    assert made.filename not in text.partition("All backups")[0]


def test_the_card_says_when_there_is_none_yet(client: Client, worker: None) -> None:
    text = text_of(client.get(HOME))
    assert "No backup yet Next backup:" in text
    assert "0 backups" not in text


def test_the_card_is_yellow_where_backups_are_still_made(client: Client, folder: Path, worker: None) -> None:
    make(folder)
    (folder / "tvarr-backup-2020-01-01T00-00-00.db.gz").write_bytes(b"half of one")
    assert b"status-warning" in client.get(HOME).content


def test_the_card_says_what_is_wrong_and_what_to_do(client: Client, folder: Path) -> None:
    described(folder, make(folder), created_at=datetime.now(UTC) - timedelta(days=9))
    response = client.get(HOME)
    text = text_of(response)
    assert "Problems found Worker: No worker is running." in text
    assert "9 days ago. With this schedule it should be at most 2 days old." in text
    assert "<code>manage.py worker</code>" in response.content.decode()


def test_the_card_names_the_box_that_accepts_a_folder_whose_disk_is_not_mounted(client: Client, folder: Path) -> None:
    place = {"folder": str(folder), "disk": str(folder)}
    operation = create_operation(
        OperationKind.BACKUP, origin=Origin.COMMAND, state=OperationState.RUNNING, arguments=place
    )
    Operation.objects.filter(pk=operation.pk).update(state=OperationState.SUCCEEDED, finished_at=datetime.now(UTC))
    text = text_of(client.get(HOME))
    assert 'select "Use this folder without the disk", then "Back up now".' in text
    assert "--accept-folder" not in text


def test_the_card_tells_to_press_a_button_not_to_type_a_command(client: Client, folder: Path, worker: None) -> None:
    described(folder, make(folder), created_at=datetime.now(UTC) - timedelta(days=9))
    text = text_of(client.get(HOME))
    assert 'To make one, use "Back up now".' in text
    assert "backup create" not in text


def test_a_folder_that_cannot_be_read_is_told_once_and_nothing_is_said_of_what_is_in_it(
    client: Client, folder: Path, worker: None
) -> None:
    folder.rmdir()
    folder.touch()
    text = text_of(client.get(HOME))
    assert f"The backup folder {folder} cannot be used" in text
    assert "cannot be told" not in text
    assert "No backups yet" not in text
    assert "0 backups" not in text


def test_without_a_schedule_the_card_says_so(client: Client, folder: Path, worker: None, settings: Any) -> None:
    settings.BACKUP_SCHEDULE_ENABLED = False
    make(folder)
    assert "Automatic backups are off." in text_of(client.get(HOME))


def test_who_may_not_restore_is_not_told_the_folder(folder: Path, worker: None) -> None:
    make(folder)
    assert str(folder) not in client_of("view_backup").get(HOME).content.decode()


def test_the_card_comes_before_the_action_and_the_note_is_optional(client: Client, folder: Path) -> None:
    source = client.get(HOME).content.decode()
    assert source.index('aria-label="Status"') < source.index("Back up now") < source.index("<summary>Add a note")


def test_the_page_says_what_the_next_cleanup_deletes(client: Client, folder: Path, settings: Any) -> None:
    old = [make(folder, kind=BackupKind.SCHEDULED) for _ in range(3)]
    assert "cleanup will delete" not in text_of(client.get(HOME))
    settings.BACKUP_RETENTION = 1
    text = text_of(client.get(HOME))
    assert "After the backup, cleanup will delete 2 backups" in text
    assert all(backup.filename in text for backup in old[:2])


def test_the_list_names_the_periods_of_backups_that_are_not_among_the_newest(
    client: Client, folder: Path, settings: Any
) -> None:
    settings.BACKUP_RETENTION, settings.BACKUP_RETENTION_MONTHLY = 1, 2
    old, _ = (make(folder, kind=BackupKind.SCHEDULED) for _ in range(2))
    described(folder, old, created_at=datetime(2026, 1, 5, 2, tzinfo=UTC))
    text = text_of(client.get(HOME))
    assert text.count("Kept: ") == text.count("Kept: monthly, January 2026") == 1


def test_a_new_backup_lets_cleanup_delete_the_previous_one(client: Client, folder: Path, settings: Any) -> None:
    settings.BACKUP_MAX_AGE = timedelta(days=7)
    only = make(folder, kind=BackupKind.SCHEDULED)
    described(folder, only, created_at=datetime.now(UTC) - timedelta(days=9))
    assert "cleanup will delete 1 backup " in text_of(client.get(HOME))


def test_the_last_ninety_days_are_shown_day_by_day(client: Client, folder: Path) -> None:
    make(folder)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    failed = create_operation(OperationKind.BACKUP, origin=Origin.SCHEDULE, state=OperationState.RUNNING)
    Operation.objects.filter(pk=failed.pk).update(state=OperationState.FAILED, created_at=yesterday)
    source = client.get(HOME).content.decode()
    assert source.count('<li class="day day-') == 90
    assert source.count("day-made") == source.count("day-failed") == 1
    assert f"{yesterday.astimezone().day} {yesterday.astimezone():%b %Y}: backup failed" in source


def test_the_chart_lists_sizes_and_free_space(client: Client) -> None:
    for number, free in enumerate((78_000_000_000, 77_000_000_000)):
        result = {"backup": {"filename": f"{number}.db.gz", "compressed_size": 7_000_000}, "free_bytes": free}
        operation = create_operation(OperationKind.BACKUP, origin=Origin.SCHEDULE, state=OperationState.RUNNING)
        Operation.objects.filter(pk=operation.pk).update(
            state="succeeded", result=result, finished_at=datetime.now(UTC)
        )
    page = client.get(reverse("backup-chart"))
    assert re.search(r"Today, \d\d:\d\d 7.0 MB 77.0 GB", text_of(page))
    assert page.content.count(b'<svg class="chart"') == 2


# --- Backing up ------------------------------------------------------------------------------------------------------


def test_back_up_now_stays_on_the_list_and_shows_the_operation(client: Client) -> None:
    response = client.post(reverse("create-backup"), {"note": " now "})
    operation = Operation.objects.get()
    assert (operation.kind, operation.state, operation.arguments) == (
        *("backup", "queued"),
        {"note": "now", "accept_folder": False},
    )
    assert response["Location"] == HOME
    assert "Backup: queued" in text_of(client.get(HOME))


def test_a_user_who_may_not_view_operations_reads_that_the_backup_has_started(folder: Path) -> None:
    client = client_of("view_backup", "create_backup")
    assert messages_on(client, client.post(reverse("create-backup"))) == "Backup started."


def test_a_double_click_backs_up_once_and_leads_to_the_same_page(client: Client) -> None:
    first, second = (client.post(reverse("create-backup"), {"note": ""}) for _ in range(2))
    assert first["Location"] == second["Location"]
    assert Operation.objects.count() == 1


def test_what_somebody_else_has_asked_for_is_told(client: Client) -> None:
    client.post(reverse("create-backup"))
    response = administrator().post(reverse("create-backup"))
    assert response["Location"] == HOME
    assert messages_on(client, response).startswith("A backup has been queued since ")
    assert Operation.objects.count() == 1


def test_a_note_of_two_lines_is_refused(client: Client) -> None:
    response = client.post(reverse("create-backup"), {"note": "one\ntwo"})
    assert "a note of one line" in messages_on(client, response)
    assert not Operation.objects.exists()


def test_the_result_stays_until_it_is_dismissed(client: Client, folder: Path) -> None:
    make(folder)
    client.post(reverse("create-backup"))
    operation = Operation.objects.get()
    Operation.objects.update(state=OperationState.FAILED, error="The disk is full.", finished_at=datetime.now(UTC))
    for _ in range(2):
        assert "Backup failed The disk is full." in text_of(client.get(HOME))
    assert "The disk is full." not in text_of(administrator().get(HOME))
    client.post(reverse("dismiss-operation", args=[operation.pk]))
    assert "The disk is full." not in text_of(client.get(HOME))


def test_one_thing_alone_asks_each_second_and_only_while_something_runs(client: Client) -> None:
    assert b"every 1s" not in client.get(HOME).content
    client.post(reverse("create-backup"))
    pages = [HOME, reverse("operation", args=[Operation.objects.get().pk]), reverse("history")]
    assert [client.get(page).content.count(b"every 1s") for page in pages] == [1, 1, 1]


# --- One backup ------------------------------------------------------------------------------------------------------


def test_a_backup_shows_its_row_counts_next_to_the_current_ones(client: Client, folder: Path) -> None:
    made = make(folder, note="the good one")
    described(folder, made, table_counts={"filters": 1006, "channels": 3, "old_things": 2})
    text = text_of(client.get(address("backup", made)))
    assert "filters 8 1,006 +998 rows" in text
    assert "channels 0 3 +3 rows old things missing 2 only in the backup" in text
    assert made.sidecar.checksum in text
    assert "Kept: cleanup deletes only automatic backups" in text
    assert 'value="the good one"' in client.get(address("backup", made)).content.decode()


def test_a_backup_says_whether_the_next_cleanup_deletes_it(client: Client, folder: Path, settings: Any) -> None:
    settings.BACKUP_RETENTION = 1
    old, new = (make(folder, kind=BackupKind.SCHEDULED) for _ in range(2))
    assert "Next cleanup Will be deleted" in text_of(client.get(address("backup", old)))
    assert "Kept: newest 1" in text_of(client.get(address("backup", new)))
    protect_backup(folder, old.filename, protected=True)
    assert "Kept: protected" in text_of(client.get(address("backup", old)))


def test_a_backup_names_the_rules_that_keep_it(client: Client, folder: Path, settings: Any) -> None:
    settings.BACKUP_RETENTION, settings.BACKUP_RETENTION_WEEKLY, settings.TIME_ZONE = 1, 3, "Europe/Berlin"
    settings.BACKUP_RETENTION_MONTHLY = 2
    old, new = (make(folder, kind=BackupKind.SCHEDULED) for _ in range(2))
    described(folder, old, created_at=datetime(2026, 10, 31, 23, tzinfo=UTC))
    described(folder, new, created_at=datetime(2026, 11, 2, 1, tzinfo=UTC))
    assert "Kept: weekly, week 44 of 2026" in text_of(client.get(address("backup", old)))
    text = text_of(client.get(address("backup", new)))
    assert "Kept: newest 1; weekly, week 45 of 2026; monthly, November 2026" in text


def test_a_damaged_backup_lists_its_problems(client: Client, folder: Path) -> None:
    made = make(folder)
    bad(folder, made)
    assert "The last verification found problems: A page is torn." in text_of(client.get(address("backup", made)))


@pytest.mark.parametrize("name", ["backup", "restore", "download-backup"])
@pytest.mark.parametrize("filename", [NO_BACKUP, "..", "passwd", "a" * 300])
def test_what_is_not_there_is_not_found(client: Client, name: str, filename: str) -> None:
    assert client.get(address(name, filename)).status_code == 404


def test_a_broken_one_says_why(client: Client, folder: Path) -> None:
    (folder / NO_BACKUP).write_bytes(b"half")
    response = client.get(address("backup", NO_BACKUP))
    assert response.status_code == 409
    assert f"{NO_BACKUP} cannot be used: its metadata file" in text_of(response)


def test_a_note_is_saved(client: Client, folder: Path) -> None:
    made = make(folder)
    response = client.post(address("backup-note", made), {"note": "the good one", "etag": made.etag})
    assert messages_on(client, response) == "Note saved."
    assert find_backup(folder, made.filename).sidecar.note == "the good one"


def test_a_note_that_somebody_else_has_changed_meanwhile_stays(client: Client, folder: Path) -> None:
    made = make(folder)
    protect_backup(folder, made.filename, note="theirs")
    response = client.post(address("backup-note", made), {"note": "mine", "etag": made.etag})
    assert "has changed since you loaded it" in messages_on(client, response)
    assert find_backup(folder, made.filename).sidecar.note == "theirs"


def test_a_form_that_is_sent_twice_succeeds(client: Client, folder: Path) -> None:
    made = make(folder)
    for _ in range(2):
        response = client.post(address("backup-note", made), {"note": " the good one ", "etag": made.etag})
        assert messages_on(client, response) == "Note saved."
    for _ in range(2):
        response = client.post(address("protect-backup", made), {"protected": "true", "etag": made.etag})
    assert "has changed since" in messages_on(client, response)
    etag = find_backup(folder, made.filename).etag
    for _ in range(2):
        response = client.post(address("protect-backup", made), {"protected": "true", "etag": etag})
        assert messages_on(client, response) == "Backup protected. It cannot be deleted."


def test_a_note_that_is_too_long_is_refused(client: Client, folder: Path) -> None:
    made = make(folder)
    response = client.post(address("backup-note", made), {"note": "x" * 501})
    assert "Expected a note of at most 500 characters, got 501 characters." in messages_on(client, response)


@pytest.mark.parametrize(("group", "may"), [("Operator", False), ("Administrator", True)])
def test_only_who_may_delete_unprotects_a_safety_backup(signed_in: Any, folder: Path, group: str, *, may: bool) -> None:
    client, safety = signed_in(group), make(folder, kind=BackupKind.PRE_RESTORE)
    protect_backup(folder, safety.filename, protected=True)
    assert ("Unprotect" in text_of(client.get(address("backup", safety)))) is may
    assert ("Unprotect" in text_of(client.get(reverse("home")))) is may
    response = client.post(address("protect-backup", safety), {"protected": "false"})
    assert ("is still protected" in messages_on(client, response)) is not may
    assert find_backup(folder, safety.filename).sidecar.protected is not may


def test_an_operator_protects_a_safety_backup_again(signed_in: Any, folder: Path) -> None:
    client, safety = signed_in("Operator"), make(folder, kind=BackupKind.PRE_RESTORE)
    assert "Protect" in text_of(client.get(address("backup", safety)))
    client.post(address("protect-backup", safety), {"protected": "true"})
    assert find_backup(folder, safety.filename).sidecar.protected


def test_protection_is_set_and_lifted(client: Client, folder: Path) -> None:
    made = make(folder)
    response = client.post(address("protect-backup", made), {"protected": "true"})
    assert messages_on(client, response) == "Backup protected. It cannot be deleted."
    assert find_backup(folder, made.filename).sidecar.protected
    client.post(address("protect-backup", made), {"protected": "false"})
    assert not find_backup(folder, made.filename).sidecar.protected


def test_a_change_of_one_that_is_gone_or_in_use_is_told(client: Client, folder: Path) -> None:
    response = client.post(address("protect-backup", NO_BACKUP), {"protected": "true"})
    assert f'There is no backup "{NO_BACKUP}".' in messages_on(client, response)
    made = make(folder)
    with backup_lock(folder):
        response = client.post(address("protect-backup", made), {"protected": "true"})
    assert "is using the backup folder" in messages_on(client, response)


def test_one_is_verified_by_the_worker(client: Client, folder: Path) -> None:
    made = make(folder)
    client.post(address("verify-backup", made))
    operation = Operation.objects.get()
    assert (operation.kind, operation.arguments) == ("verify", {"filenames": [made.filename]})


def test_one_is_downloaded_whole_and_in_part(client: Client, folder: Path) -> None:
    made = make(folder)
    stored = (folder / made.filename).read_bytes()
    content = add_metadata(stored[:HEADER_BYTES], made.sidecar) + stored[HEADER_BYTES:]
    whole: Any = client.get(address("download-backup", made))
    assert b"".join(whole.streaming_content) == content
    assert whole["Content-Disposition"] == f'attachment; filename="{made.filename}"'
    part: Any = client.get(address("download-backup", made), headers={"Range": "bytes=100-"})
    assert (part.status_code, b"".join(part.streaming_content)) == (206, content[100:])
    beyond = client.get(address("download-backup", made), headers={"Range": "bytes=99999999-"})
    assert (beyond.status_code, beyond["Content-Range"]) == (416, f"bytes */{len(content)}")


# --- Deleting --------------------------------------------------------------------------------------------------------

DELETE = "/backups/delete/"


def test_the_confirmation_lists_the_backups_to_delete(client: Client, folder: Path) -> None:
    made = [make(folder, note="the first"), make(folder, note="the second")]
    make(folder)
    text = text_of(client.get(DELETE, {"name": [backup.filename for backup in made]}))
    assert "These backups will be deleted permanently:" in text
    assert '"the first"' in text
    assert '"the second"' in text
    assert "only verified" not in text
    assert len(present(folder)) == 3


def test_confirmed_backups_are_deleted(client: Client, folder: Path) -> None:
    gone, kept = [make(folder), make(folder)], make(folder)
    response = client.post(DELETE, {"name": [backup.filename for backup in gone]})
    assert messages_on(client, response) == "2 backups deleted."
    assert present(folder) == [kept.filename]
    assert Operation.objects.filter(kind="delete", state="succeeded", origin="web").count() == 2


def test_a_protected_backup_is_not_deleted(client: Client, folder: Path) -> None:
    made = make(folder)
    protect_backup(folder, made.filename, protected=True)
    response = client.get(DELETE, {"name": made.filename})
    assert "is protected. Unprotect it first to delete it." in text_of(response)
    assert b"btn-danger" not in response.content
    refused = client.post(DELETE, {"name": made.filename})
    assert "is protected. Unprotect it first to delete it." in messages_on(client, refused)
    assert present(folder) == [made.filename]


def test_deleting_the_only_verified_backup_warns(client: Client, folder: Path) -> None:
    good, other = make(folder), make(folder)
    bad(folder, other)
    assert "This is the only verified backup" in text_of(client.get(DELETE, {"name": good.filename}))
    assert "only verified" not in text_of(client.get(DELETE, {"name": other.filename}))


def test_a_broken_one_can_be_deleted(client: Client, folder: Path) -> None:
    (folder / NO_BACKUP).write_bytes(b"half")
    assert "broken: its metadata file" in text_of(client.get(DELETE, {"name": NO_BACKUP}))
    client.post(DELETE, {"name": NO_BACKUP})
    assert not (folder / NO_BACKUP).exists()


def test_a_second_click_on_delete_does_no_harm(client: Client, folder: Path) -> None:
    made = make(folder)
    client.post(DELETE, {"name": made.filename})
    response = client.post(DELETE, {"name": made.filename})
    assert messages_on(client, response) == f"{made.filename} deleted.\n{made.filename} was already deleted."


def test_an_empty_selection_is_refused(client: Client) -> None:
    assert "Select at least one backup." in text_of(client.get(DELETE))
    assert "no longer exist" in text_of(client.get(DELETE, {"name": NO_BACKUP}))


def test_while_something_runs_nothing_is_deleted_and_that_is_told_once(client: Client, folder: Path) -> None:
    made = [make(folder), make(folder)]
    create_operation(OperationKind.BACKUP, origin=Origin.COMMAND, state=OperationState.RUNNING)
    response = client.post(DELETE, {"name": [backup.filename for backup in made]})
    assert messages_on(client, response).count("A backup has been running since") == 1
    assert len(present(folder)) == 2


# --- Who may do what -------------------------------------------------------------------------------------------------

CALLS = [
    ("get", "home", "view_backup"),
    ("post", "create-backup", "create_backup"),
    ("get", "upload", "create_backup"),
    ("post", "upload", "create_backup"),
    ("get", "backup", "view_backup"),
    ("post", "backup-note", "protect_backup"),
    ("post", "protect-backup", "protect_backup"),
    ("post", "verify-backup", "verify_backup"),
    ("get", "download-backup", "download_backup"),
    ("get", "delete-backups", "delete_backup"),
    ("post", "delete-backups", "delete_backup"),
    ("get", "restore", "restore_backup"),
    ("post", "restore", "restore_backup"),
]
EVERYTHING = {permission for _, _, permission in CALLS}


def call(client: Client, method: str, name: str, made: Any) -> Any:
    whole = name in ("home", "create-backup", "upload", "delete-backups")
    response = getattr(client, method)(reverse(name) if whole else address(name, made))
    if response.streaming:
        list(response.streaming_content)
    return response


@pytest.mark.parametrize(("method", "name", "permission"), CALLS)
def test_each_call_needs_its_permission_and_no_other(folder: Path, method: str, name: str, permission: str) -> None:
    made = make(folder)
    assert call(client_of(*(EVERYTHING - {permission})), method, name, made).status_code == 403
    assert call(client_of(permission), method, name, made).status_code in (200, 302)


@pytest.mark.parametrize(("method", "name", "permission"), CALLS)
def test_nobody_is_led_to_sign_in(folder: Path, method: str, name: str, permission: str) -> None:
    response = call(Client(), method, name, make(folder))
    assert response["Location"].startswith("/sign-in/?next=")


def test_who_may_only_look_sees_no_button(folder: Path) -> None:
    made = make(folder)
    client = client_of("view_backup", "view_operation")
    for page in (HOME, address("backup", made)):
        source = client.get(page).content.decode().partition("<main")[2]
        assert 'type="submit"' not in source
        for word in ("Restore", "Download", "Delete", "Upload", "checkbox"):
            assert word not in source


@pytest.mark.parametrize("name", ["create-backup", "backup-note", "protect-backup", "verify-backup"])
def test_what_changes_something_is_no_link(client: Client, folder: Path, name: str) -> None:
    assert call(client, "get", name, make(folder)).status_code == 405


def test_a_form_without_its_token_is_refused(folder: Path) -> None:
    client = administrator(enforce_csrf_checks=True)
    assert client.post(reverse("create-backup")).status_code == 403
    assert client.post(DELETE, {"name": make(folder).filename}).status_code == 403
    assert len(present(folder)) == 1


def test_a_file_that_was_changed_is_shown_as_broken_immediately(client: Client, folder: Path) -> None:
    made = make(folder)
    time.sleep(2.1)  # until the folder counts as unchanged
    client.get("/")
    with (folder / made.filename).open("ab") as archive:
        archive.write(b"more")
    assert "Broken backups" in text_of(client.get("/"))
