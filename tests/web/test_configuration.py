"""The Configuration pages: the history, an event, an item, and comparisons."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.backups.test_configuration import without_it
from tests.factories import ClientDetectionRuleFactory, EncodingProfileFactory, FilterFactory
from tests.operations.test_history import look
from tests.portable.files import FILTERS, envelope, filter_item
from tests.web.browsing import text_of
from tvarr_backup import conf
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.models import EncodingProfile, Filter
from tvarr_backup.operations.imports import import_file
from tvarr_backup.operations.models import HistoryEvent, HistoryProgress, ImportRecord, Operation, OperationKind, Origin
from tvarr_backup.operations.run import run_here

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _storage(tmp_path: Path, settings: Any) -> None:
    settings.STORAGE_BASE_DIR = tmp_path


@pytest.fixture
def keeper() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("keeper"))
    return client


@pytest.fixture
def _begun() -> None:
    """A history with a change of Harbour and the deletion of Pier."""
    for name in ("Harbour", "Quay", "Pier"):
        FilterFactory.create(name=name, description="a good old description")
    look()
    Filter.objects.filter(name="Harbour").update(description="a good new description")
    Filter.objects.get(name="Pier").delete()
    look()


def newest() -> HistoryEvent:
    found = HistoryEvent.objects.first()
    assert found is not None
    return found


def event_page(event: HistoryEvent) -> str:
    return reverse("history-event", args=[event.pk])


def sent_by(page: Any) -> dict[str, list[str]]:
    """What the form to take items sends if every box is ticked."""
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r'name="(source|item|back)" value="([^"]*)"', page.content.decode()):
        found.setdefault(name, []).append(value.replace("&amp;", "&").replace("&#x27;", "'"))
    return found


# --- History ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_begun")
def test_the_timeline_says_when_who_and_what(keeper: Client) -> None:
    import_file(
        envelope(FILTERS, filter_item("Mole"), filter_item("Jetty")),
        None,
        None,
        requested_by=User.objects.get(username="keeper"),
        origin=Origin.WEB,
    )
    text = text_of(keeper.get(reverse("configuration")))
    assert "Imported by keeper 2 filters added: Jetty, Mole" in text
    assert "Edited outside this program 1 filter changed: Harbour 1 filter removed: Pier" in text
    assert "Start of the history" in text
    assert "Versions are kept for 365 days and use" in text


def test_without_events_the_page_says_what_records_them(keeper: Client, settings: Any) -> None:
    assert "No changes yet. A running worker records them." in text_of(keeper.get(reverse("configuration")))
    settings.HISTORY_DAYS = 0
    assert "No history is kept" in text_of(keeper.get(reverse("configuration")))


@pytest.mark.usefixtures("_begun")
def test_an_event_marks_the_words_that_differ(keeper: Client) -> None:
    page = keeper.get(event_page(newest())).content.decode()
    assert "a good <del>old</del> description" in page
    assert "a good <ins>new</ins> description" in page
    assert 'value="filters/stream:Pier" checked' in page


@pytest.mark.usefixtures("_begun")
def test_the_changes_of_an_event_are_undone_through_a_preview(keeper: Client) -> None:
    sent = sent_by(keeper.get(event_page(newest())))
    answer = keeper.post(reverse("take"), sent)
    record = ImportRecord.objects.get()
    assert answer["Location"] == reverse("import-preview", args=[record.pk])
    preview = text_of(keeper.get(answer["Location"]))
    assert "Will add 1, overwrite 1." in preview
    keeper.post(reverse("import-apply", args=[record.pk]), {"promise": "1,1,0"})
    assert Filter.objects.get(name="Harbour").description == "a good old description"
    assert Filter.objects.filter(name="Pier").exists()
    assert "2 filters" not in text_of(keeper.get(event_page(newest())))


@pytest.mark.usefixtures("_begun")
def test_a_renamed_item_is_shown_as_removed_and_added_because_an_undo_adds_its_former_name(keeper: Client) -> None:
    Filter.objects.filter(name="Quay").update(name="Wharf")
    look()
    page = keeper.get(event_page(newest()))
    assert sent_by(page)["item"] == ["filters/stream:Quay"]
    assert "Removed Quay" in text_of(page)
    assert "Added Wharf" in text_of(page)


@pytest.mark.usefixtures("_begun")
def test_items_that_an_event_added_cannot_be_selected(keeper: Client) -> None:
    FilterFactory.create(name="Mole")
    look()
    page = keeper.get(event_page(newest()))
    assert "item" not in sent_by(page)
    assert "Additions cannot be undone on this page." in text_of(page)
    assert "Undo selected changes" not in text_of(page)


def test_the_baseline_lists_nothing(keeper: Client) -> None:
    FilterFactory.create(name="Harbour")
    look()
    text = text_of(keeper.get(event_page(newest())))
    assert "The history starts here." in text
    assert "Harbour" not in text


@pytest.mark.usefixtures("_begun")
def test_an_event_before_which_nothing_is_known_offers_no_undo(keeper: Client) -> None:
    HistoryProgress.objects.update(complete_since=datetime.now(UTC) + timedelta(days=1))
    assert "item" not in sent_by(keeper.get(event_page(newest())))


@pytest.mark.usefixtures("_begun")
def test_the_menu_marks_the_pages_below(keeper: Client) -> None:
    assert '<a href="/configuration/" aria-current="true">' in keeper.get(event_page(newest())).content.decode()
    assert '<a href="/configuration/" aria-current="page">' in keeper.get("/configuration/").content.decode()


@pytest.mark.usefixtures("_begun")
def test_a_version_of_an_item_is_restored_through_a_preview(keeper: Client) -> None:
    row = Filter.objects.get(name="Harbour")
    address = reverse("item-history", args=["filters", row.pk])
    page = keeper.get(address)
    assert text_of(page).count("Restore this version") == 1
    keeper.post(reverse("take"), sent_by(page))
    record = ImportRecord.objects.get()
    assert "Will overwrite 1." in text_of(keeper.get(reverse("import-preview", args=[record.pk])))


@pytest.mark.usefixtures("_begun")
def test_a_deleted_item_has_a_history_too(keeper: Client) -> None:
    row = Filter.all_rows.get(name="Pier")
    text = text_of(keeper.get(reverse("item-history", args=["filters", row.pk])))
    assert "History of this filter, which has been deleted." in text
    assert "Removed" in text


@pytest.mark.parametrize("address", ["events/999999/", "items/filters/X/", "items/proxies/X/"])
@pytest.mark.usefixtures("_begun")
def test_what_does_not_exist_is_not_found(keeper: Client, address: str) -> None:
    assert keeper.get(f"{reverse('configuration')}{address}").status_code == 404


@pytest.mark.usefixtures("_begun")
def test_nothing_selected_is_refused_on_the_page_it_came_from(keeper: Client) -> None:
    for back, target in ((event_page(newest()), event_page(newest())), ("//evil.example/", reverse("configuration"))):
        answer = keeper.post(reverse("take"), {"source": "now", "back": back})
        assert answer["Location"] == target
        assert "Select at least one item." in text_of(keeper.get(target))


def test_the_timeline_takes_few_queries(keeper: Client, django_assert_max_num_queries: Any) -> None:
    for number in range(20):
        FilterFactory.create(name=f"Quay {number}")
        look()
    keeper.get(reverse("configuration"))
    with django_assert_max_num_queries(14):
        keeper.get(reverse("configuration"))


# --- Comparisons ------------------------------------------------------------------------------------------------------


def compare(client: Client, before: str, after: str = "now") -> Any:
    return client.get(reverse("compare"), {"from": before, "to": after})


@pytest.mark.usefixtures("_begun")
def test_two_moments_are_compared(keeper: Client) -> None:
    first = HistoryEvent.objects.last()
    assert first is not None
    page = compare(keeper, first.at.isoformat().replace("+00:00", "Z"))
    assert "to now: 1 filter changed, 1 removed." in text_of(page)
    assert sent_by(page)["item"] == ["filters/stream:Harbour", "filters/stream:Pier"]


@pytest.mark.usefixtures("_begun")
def test_equal_states_have_no_differences(keeper: Client) -> None:
    assert "From now to now: no differences." in text_of(compare(keeper, "now"))


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        ("soon", 404, 'Expected "now", a backup'),
        ("2001-01-01", 409, "The history begins"),
        ("import:X", 404, "The history has no import"),
    ],
)
@pytest.mark.usefixtures("_begun")
def test_what_names_no_state_is_said_in_the_form(keeper: Client, text: str, status: int, words: str) -> None:
    page = compare(keeper, text)
    assert page.status_code == status
    assert f"From: {words}" in text_of(page)
    assert f'value="{text}"' in page.content.decode()


def test_what_names_no_later_state_is_said_with_its_field(keeper: Client) -> None:
    page = keeper.get(reverse("compare"), {"from": "now", "to": "soon"})
    assert 'To: Expected "now"' in text_of(page)
    assert page.content.decode().count('aria-invalid="true"') == 1


def test_without_names_now_is_compared_with_itself(keeper: Client) -> None:
    assert "From now to now: no differences." in text_of(keeper.get(reverse("compare")))


# --- Backups ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def made(attached: Path, tmp_path: Path, settings: Any) -> str:
    """A backup, after which the filter News is deleted and another one is added."""
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    prepare_folder(conf.backup_path())
    FilterFactory.create(name="Harbour", description="old")
    FilterFactory.create(name="Quay")
    operation = run_here(OperationKind.BACKUP, origin=Origin.COMMAND)
    Filter.objects.filter(name="Harbour").update(description="new")
    Filter.objects.get(name="Quay").delete()
    FilterFactory.create(name="Mole")
    assert operation.result is not None
    return str(operation.result["backup"]["filename"])


def test_the_restore_page_names_what_changes(keeper: Client, made: str) -> None:
    text = text_of(keeper.get(reverse("restore", args=[made])))
    assert "Configuration changes 2 filters changed" not in text
    assert "1 filter changed, 1 added, 1 removed Harbour: changed Quay: added Mole: removed" in text
    assert "Only need part of it? Take items from this backup" in text


def test_items_are_taken_from_a_backup(keeper: Client, made: str) -> None:
    page = compare(keeper, "now", made)
    sent = sent_by(page)
    assert sent["item"] == ["filters/stream:Harbour", "filters/stream:Quay"]
    keeper.post(reverse("take"), sent | {"item": ["filters/stream:Quay"]})
    record = ImportRecord.objects.get()
    assert record.file_name.startswith("Backup of ")
    keeper.post(reverse("import-apply", args=[record.pk]), {"promise": "1,0,0"})
    assert Filter.objects.filter(name="Quay").exists()
    assert Filter.objects.get(name="Harbour").description == "new"


def test_an_older_backup_has_to_be_read_first(keeper: Client, made: str) -> None:
    without_it(conf.backup_folder(), made)
    assert "is not known yet" in text_of(keeper.get(reverse("restore", args=[made])))
    page = compare(keeper, "now", made)
    assert page.status_code == 409
    assert "Read backup" in text_of(page)
    answer = keeper.post(reverse("read-backup", args=[made]))
    operation = Operation.objects.get(kind=OperationKind.READ)
    assert answer["Location"] == reverse("operation", args=[operation.pk])


def test_a_backup_that_was_read_is_compared_from_its_result(keeper: Client, made: str) -> None:
    without_it(conf.backup_folder(), made)
    operation = run_here(OperationKind.READ, origin=Origin.COMMAND, arguments={"filename": made})
    text = text_of(keeper.get(reverse("operation", args=[operation.pk])))
    assert "Compare with now" in text
    assert compare(keeper, "now", made).status_code == 200


def test_a_profile_that_a_rule_needs_is_taken_with_it(
    keeper: Client, attached: Path, tmp_path: Path, settings: Any
) -> None:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    prepare_folder(conf.backup_path())
    rule = ClientDetectionRuleFactory.create(
        name="Kitchen", encoding_profile=EncodingProfileFactory.create(name="Attic")
    )
    run_here(OperationKind.BACKUP, origin=Origin.COMMAND)
    rule.delete()
    EncodingProfile.objects.filter(name="Attic").update(deleted_at=datetime.now(UTC))
    keeper.post(reverse("take"), {"source": "latest", "item": "client_detection_rules/Kitchen"})
    record = ImportRecord.objects.get()
    assert "Will add 2." in text_of(keeper.get(reverse("import-preview", args=[record.pk])))


def test_a_restore_shows_what_it_changed(keeper: Client, made: str) -> None:
    look()
    operation = run_here(OperationKind.RESTORE, origin=Origin.COMMAND, arguments={"filename": made})
    text = text_of(keeper.get(reverse("operation", args=[operation.pk])))
    assert "Configuration changes 1 filter changed, 1 added, 1 removed" in text
    assert "Show the differences" in text
    assert newest().subject == made
