"""The restore page: the backup, the steps, what will be lost, and confirmations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.backups.makers import settled
from tests.web.backup_parts import administrator, described, make, text_of
from tvarr_backup import conf
from tvarr_backup.backups import restore as restoring
from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.backups.sidecar import Checked, CheckLevel, DateSource
from tvarr_backup.errors import NoRoom
from tvarr_backup.operations.models import Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.track import create_operation
from tvarr_backup.portable.tvarr_memory import RELOAD_ADVICE

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    return prepare_folder(conf.backup_path())


@pytest.fixture
def client(db: None) -> Client:
    return administrator()


@pytest.fixture
def made(folder: Path) -> Backup:
    return make(folder, note="the good one")


def page_of(backup: Backup) -> str:
    return reverse("restore", args=[backup.filename])


def refused(client: Client, backup: Backup) -> str:
    """The text of the page with its button disabled, after a POST that is refused too."""
    page, answer = client.get(page_of(backup)), client.post(page_of(backup))
    assert b'btn-danger" disabled' in page.content
    assert answer.status_code == 409
    assert not Operation.objects.filter(kind=OperationKind.RESTORE).exists()
    assert "This backup cannot be restored now. Your data is unchanged." in text_of(page)
    return text_of(page)


def test_the_page_shows_the_backup_the_steps_and_what_will_be_lost(client: Client, folder: Path, made: Backup) -> None:
    nine_days_ago = datetime.now(UTC) - timedelta(days=9, minutes=1)
    described(folder, made, created_at=nine_days_ago, table_counts={"filters": 5})
    text = text_of(client.get(page_of(made)))
    moment = f"{nine_days_ago.day} {nine_days_ago:%b %Y, %H:%M}"
    assert "Note the good one" in text
    assert "filters 8 5 -3 rows" in text
    assert "same number of rows" in text
    assert "tables with the same number of rows may have different contents" in text
    assert "Your current data is saved as a protected safety backup, so you can undo this." in text
    lost = f"9 days of changes (since {moment}) will be removed from tvarr's database. The safety backup keeps them."
    assert lost in text
    assert f"Restore backup of {moment}" in text


def test_the_loss_is_stated_first_and_the_button_comes_last(client: Client, made: Backup) -> None:
    source = client.get(page_of(made)).content.decode()
    title, loss = source.index("<h1"), source.index('id="lost"')
    assert title < loss < source.index("<h2") < source.rindex("btn-danger")
    assert "disabled" not in source
    assert "autofocus" not in source  # it would scroll past the loss


def test_a_backup_with_a_date_in_the_future_gives_no_number_of_days(client: Client, folder: Path, made: Backup) -> None:
    described(folder, made, created_at=datetime.now(UTC) + timedelta(days=2))
    assert ") is in the future, will be removed" in text_of(client.get(page_of(made)))


NEWEST = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_backup_of_unknown_date_is_counted_from_its_newest_row(client: Client, folder: Path, made: Backup) -> None:
    described(folder, made, created_at=NEWEST, created_at_source=DateSource.NEWEST_ROW, newest_row_at=NEWEST)
    text = text_of(client.get(page_of(made)))
    days = (datetime.now(UTC) - NEWEST).days
    assert "Created Date unknown, newest row 1 Mar 2026, 12:00" in text
    assert "of changes (since 1 Mar 2026, 12:00, the newest row in the backup) will be removed" in text
    assert f"{days:,} days of changes" in text or "1 year" in text
    assert "Restore backup of unknown date (newest row 1 Mar 2026, 12:00)" in text


def test_a_backup_of_unknown_date_gives_no_number_of_days(client: Client, folder: Path, made: Backup) -> None:
    described(folder, made, created_at_source=DateSource.ARRIVAL)
    text = text_of(client.get(page_of(made)))
    assert (
        "All changes that are not in the backup, whose date is unknown, will be removed from tvarr's database." in text
    )
    assert "days of changes" not in text


def test_updates_of_the_data_format_are_told(client: Client, folder: Path, made: Backup) -> None:
    assert "data format" not in text_of(client.get(page_of(made)))
    described(folder, made, schema="tvarr-backup 0001_tables")
    assert "1 update to the data format will be applied." in text_of(client.get(page_of(made)))


def test_confirmed_it_is_asked_for_once_however_often_one_clicks(client: Client, made: Backup) -> None:
    first, second = (client.post(page_of(made)) for _ in range(2))
    operation = Operation.objects.get()
    assert (operation.kind, operation.state, operation.origin) == ("restore", "queued", "web")
    assert operation.arguments == {"filename": made.filename}
    assert first["Location"] == second["Location"] == reverse("operation", args=[operation.pk])


def test_while_something_else_runs_it_leads_back_here_and_says_what(client: Client, made: Backup) -> None:
    create_operation(OperationKind.BACKUP, origin=Origin.COMMAND, state=OperationState.RUNNING)
    response = client.post(page_of(made))
    assert response["Location"] == page_of(made)
    assert "A backup has been running since" in text_of(client.get(response["Location"]))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"checked": Checked(CheckLevel.FULL, datetime.now(UTC), ("A page is torn.",))},
            "was not restored, because its last verification found a problem. A page is torn. Nothing was changed.",
        ),
    ],
)
def test_what_cannot_be_restored_says_why(
    client: Client, folder: Path, made: Backup, changes: dict[str, Any], reason: str
) -> None:
    described(folder, made, **changes)
    assert reason in refused(client, made)


def test_a_newer_schema_needs_its_box(client: Client, folder: Path, attached: Path, made: Backup) -> None:
    described(folder, made, schema="tvarr 999")
    page = client.get(page_of(made))
    assert "This backup has the schema tvarr 999. The current database has the schema tvarr 029." in text_of(page)
    assert b'name="accept_newer"' in page.getvalue()
    assert "accept the newer schema" in text_of(client.post(page_of(made)))
    assert not Operation.objects.exists()
    client.post(page_of(made), {"accept_newer": "true"})
    assert Operation.objects.get().arguments == {"filename": made.filename, "accept_newer": True}


def test_the_same_schema_needs_none(client: Client, made: Backup) -> None:
    assert b'name="accept_newer"' not in client.get(page_of(made)).getvalue()


def test_where_no_copy_of_before_can_be_made_it_is_blocked(
    client: Client, made: Backup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Path, needed: int, what: str) -> None:
        raise NoRoom(f"{what} needs about 340.0 MB of free space in {folder}; there are 120.0 MB.")

    monkeypatch.setattr(restoring, "require_room", full)
    assert "The restore needs about 340.0 MB of free space" in refused(client, made)


def test_a_live_database_in_rollback_journal_mode_that_nobody_uses_does_not_block_it(
    client: Client, folder: Path, attached: Path, made: Backup
) -> None:
    settled(attached)
    assert b'btn-danger" disabled' not in client.get(page_of(made)).content


def test_ours_is_not_put_into_a_database_of_tvarrs(client: Client, folder: Path, attached: Path, made: Backup) -> None:
    described(folder, made, schema="tvarr-backup 0002_system_rows")
    assert "must not replace tvarr's own database." in refused(client, made)


def test_a_running_tvarr_is_warned_of_where_the_database_is_its_own(
    client: Client, attached: Path, made: Backup
) -> None:
    assert RELOAD_ADVICE in text_of(client.get(page_of(made)))


def test_without_an_attached_tvarr_nothing_is_warned_of(client: Client, made: Backup) -> None:
    assert "may hold old rules" not in text_of(client.get(page_of(made)))


@pytest.fixture
def torn(made: Backup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A live database file that is none any more."""
    torn = tmp_path / "place" / "torn.db"
    torn.parent.mkdir()
    torn.write_bytes(b"no database at all" * 1000)
    monkeypatch.setattr(conf, "live_database", lambda: torn)
    return torn


def test_a_damaged_database_file_needs_a_second_confirmation_that_names_the_damage(
    client: Client, made: Backup, torn: Path
) -> None:
    page = client.get(page_of(made))
    assert "torn.db is not an SQLite database, or its header is damaged." in text_of(page)
    assert "tvarr is stopped. Replace its database file, which is not an SQLite database, or its" in text_of(page)
    assert b'name="offline" value="true" required' in page.content
    assert b'btn-danger" disabled' not in page.content
    assert client.post(page_of(made)).status_code == 409
    assert not Operation.objects.exists()
    response = client.post(page_of(made), {"offline": "true"})
    assert response["Location"] == reverse("operation", args=[Operation.objects.get().pk])
    assert Operation.objects.get().arguments == {"filename": made.filename, "offline": True}


def test_where_even_that_is_impossible_the_page_says_why(client: Client, made: Backup, torn: Path) -> None:
    torn.unlink()
    torn.parent.rmdir()
    assert "Mount its disk" in refused(client, made)


def test_the_result_names_what_was_set_aside_and_that_tvarr_can_be_started(client: Client, made: Backup) -> None:
    operation = create_operation(
        OperationKind.RESTORE,
        origin=Origin.COMMAND,
        state=OperationState.RUNNING,
        arguments={"filename": made.filename, "offline": True},
    )
    result: dict[str, Any] = {
        "before": {},
        "after": {},
        "pre_restore_backup": None,
        "set_aside": ["/data/tvarr.db.set-aside-2026"],
    }
    Operation.objects.filter(pk=operation.pk).update(
        state=OperationState.SUCCEEDED, result=result, finished_at=datetime.now(UTC)
    )
    text = text_of(client.get(reverse("operation", args=[operation.pk])))
    assert "The old files are kept next to tvarr's database: tvarr.db.set-aside-2026" in text
    assert "You can start tvarr again." in text


def test_code_in_a_backup_from_elsewhere_is_shown_after_its_refusal_and_accepted_by_boxes(
    client: Client, folder: Path, made: Backup
) -> None:
    view = {"kind": "view", "name": "seen", "sql": "CREATE VIEW seen AS SELECT 1", "identity": "a" * 64}
    refused = create_operation(
        OperationKind.RESTORE,
        origin=Origin.WEB,
        state=OperationState.FAILED,
        arguments={"filename": made.filename},
    )
    Operation.objects.filter(pk=refused.pk).update(error_code="code_not_accepted", result={"refused_code": [view]})
    page = client.get(page_of(made))
    assert "CREATE VIEW seen AS SELECT 1" in text_of(page)
    assert f'name="accept_code_{"a" * 64}"'.encode() in page.content
    client.post(page_of(made), {f"accept_code_{'a' * 64}": "true"})
    asked = Operation.objects.get(state=OperationState.QUEUED)
    assert asked.arguments == {"filename": made.filename, "accept_code": ["a" * 64]}
