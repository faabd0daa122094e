"""The history of the configuration: what is recorded, when, and as whose change."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connections
from django.test import TestCase
from django.test.utils import CaptureQueriesContext

from tests.backups.makers import changed, tvarrs
from tests.events import told
from tests.factories import ClientDetectionRuleFactory, EncodingProfileFactory, FilterFactory, UserFactory
from tests.portable.files import FILTERS, document, filter_item
from tests.portable.test_states import described
from tvarr_backup import conf
from tvarr_backup.errors import StateNotFound, StateUnavailable
from tvarr_backup.models import EncodingProfile, Filter
from tvarr_backup.operations import history
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.history import (
    GAP,
    changes_of,
    compare_now,
    delete_old_versions,
    record_edit,
    state_at,
    used_bytes,
)
from tvarr_backup.operations.imports import import_file, undo_import
from tvarr_backup.operations.models import (
    HistoryEvent,
    HistoryEventKind,
    HistoryProgress,
    ImportRecord,
    ItemContent,
    ItemVersion,
    Operation,
    OperationKind,
    OperationState,
    Origin,
)
from tvarr_backup.operations.states import find_state
from tvarr_backup.portable.envelope import read_envelope
from tvarr_backup.portable.kinds import Slug
from tvarr_backup.portable.states import compare_states, read_current_state

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _storage(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.STORAGE_BASE_DIR = tmp_path
    monkeypatch.setattr(history.compared, "files", ())


@pytest.fixture
def _begun() -> None:
    """A history whose baseline has three filters."""
    for name in ("Harbour", "Quay", "Pier"):
        FilterFactory.create(name=name, description="old")
    look()


def look() -> None:
    """Compare, as the worker does half a minute later. The files do not change, because tests do not commit."""
    HistoryProgress.objects.update(compared_at=datetime.now(UTC) - timedelta(seconds=history.COMPARE_SECONDS))
    history.compared.files = ()
    compare_now()


def outside(**values: Any) -> None:
    """Change the filter Harbour as another program does."""
    Filter.objects.filter(name="Harbour").update(**values)


def events() -> list[tuple[str, list[tuple[str, str]]]]:
    """Kind and changes of each, oldest first, without the baseline."""
    found = list(HistoryEvent.objects.order_by("at").exclude(kind=HistoryEventKind.BASELINE))
    changes = changes_of(found)
    return [(event.kind, [(change.type, change.item.name) for change in changes[event.pk]]) for event in found]


def actor() -> Actor:
    return Actor(UserFactory.create(username="keeper"), Origin.API)


def items_at(moment: datetime) -> list[str]:
    return sorted(item.name for item in state_at(moment).items[Slug.FILTERS])


# --- Recording --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_begun")
def test_the_first_comparison_records_everything_as_the_baseline() -> None:
    event = HistoryEvent.objects.get()
    assert (event.kind, event.origin) == ("baseline", "")
    assert not compare_states(state_at(event.at), read_current_state())


@pytest.mark.usefixtures("_begun")
def test_a_change_made_outside_is_found() -> None:
    outside(expression="true")
    Filter.objects.filter(name="Quay").update(deleted_at=datetime.now(UTC))
    FilterFactory.create(name="Mole")
    look()
    assert events() == [("edit", [("changed", "Harbour"), ("added", "Mole"), ("removed", "Quay")])]
    event = HistoryEvent.objects.first()
    assert event is not None
    assert (event.origin, event.requested_by) == ("", None)


@pytest.mark.usefixtures("_begun")
def test_one_that_does_not_touch_the_time_of_the_row_is_found_too() -> None:
    with connections["tvarr"].cursor() as cursor:
        cursor.execute("UPDATE filters SET action = 'exclude' WHERE name = 'Harbour'")
    look()
    assert events() == [("edit", [("changed", "Harbour")])]


@pytest.mark.usefixtures("_begun")
def test_a_change_of_times_alone_is_no_event() -> None:
    outside(updated_at=datetime(2026, 1, 1, tzinfo=UTC))
    look()
    assert events() == []


@pytest.mark.usefixtures("_begun")
def test_nothing_new_is_recorded_twice() -> None:
    outside(expression="true")
    look()
    look()
    assert len(events()) == 1


@pytest.mark.usefixtures("_begun")
def test_of_two_workers_one_compares() -> None:
    outside(expression="true")
    history.compared.files = ()  # as in the other process
    compare_now()
    assert events() == []


@pytest.mark.usefixtures("_begun")
def test_a_clock_that_was_ahead_does_not_stop_it() -> None:
    outside(expression="true")
    HistoryProgress.objects.update(compared_at=datetime.now(UTC) + timedelta(days=400))
    history.compared.files = ()
    compare_now()
    assert len(events()) == 1


@pytest.mark.usefixtures("_begun")
def test_events_stay_in_order_when_the_clock_goes_back() -> None:
    ahead = datetime.now(UTC) + timedelta(days=1)
    HistoryEvent.objects.update(at=ahead)
    outside(expression="true")
    look()
    newest = HistoryEvent.objects.first()
    assert newest is not None
    assert newest.at == ahead + timedelta(microseconds=1)


@pytest.mark.usefixtures("_begun")
def test_an_edit_is_recorded_with_its_user_and_without_what_others_changed() -> None:
    outside(expression="true")
    row = Filter.objects.get(name="Quay")
    row.description = "new"
    row.save()
    who = actor()
    record_edit(who, {Slug.FILTERS: [row.pk]})
    event = HistoryEvent.objects.first()
    assert event is not None
    assert (event.requested_by, event.origin) == (who.user, "api")
    assert events() == [("edit", [("changed", "Quay")])]
    look()
    assert events()[1:] == [("edit", [("changed", "Harbour")])]


@pytest.mark.usefixtures("_begun")
def test_an_edit_that_cannot_be_recorded_is_logged_and_found_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    outside(expression="true")
    with monkeypatch.context() as patch:
        patch.setattr(history, "record_changes", _locked)
        record_edit(actor(), {Slug.FILTERS: [Filter.objects.get(name="Harbour").pk]})
    assert [one["event"] for one in told(caplog)] == ["history.unrecorded"]
    look()
    assert len(events()) == 1


def _locked(*_args: object) -> None:
    raise OperationalError("database is locked")


def test_a_renamed_profile_changes_the_rules_that_name_it_in_one_event() -> None:
    profile = EncodingProfileFactory.create(name="Attic")
    ClientDetectionRuleFactory.create(name="Kitchen", encoding_profile=profile)
    look()
    EncodingProfile.objects.filter(pk=profile.pk).update(name="Cellar")
    record_edit(actor(), {Slug.ENCODING_PROFILES: [profile.pk]})
    assert events() == [("edit", [("changed", "Kitchen"), ("changed", "Cellar")])]
    look()
    assert len(events()) == 1


@pytest.mark.usefixtures("_begun")
def test_an_import_and_its_undo_are_events() -> None:
    made = document(FILTERS, filter_item("Mole"))
    record, _ = _import(made)
    undo_import(record, (), None, requested_by=None, origin=Origin.WEB)
    assert events() == [("import", [("added", "Mole")]), ("undo", [("removed", "Mole")])]
    assert set(HistoryEvent.objects.values_list("subject", flat=True)) >= {record.pk}


@pytest.mark.usefixtures("_begun")
def test_what_was_changed_outside_before_an_import_is_an_event_before_it() -> None:
    Filter.objects.filter(name="Quay").delete()
    _import(document(FILTERS, filter_item("Quay")))
    assert events() == [("edit", [("removed", "Quay")]), ("import", [("added", "Quay")])]
    assert items_at(datetime.now(UTC)) == ["Harbour", "Pier", "Quay"]


def test_the_first_import_is_an_event_after_the_baseline() -> None:
    _import(document(FILTERS, filter_item("Quay")))
    assert [event.kind for event in HistoryEvent.objects.all()] == ["import", "baseline"]


def _import(value: dict[str, Any]) -> tuple[ImportRecord, Any]:
    with TestCase.captureOnCommitCallbacks(using="tvarr", execute=True):
        done = import_file(
            read_envelope(BytesIO(json.dumps(value).encode()), None),
            None,
            None,
            requested_by=None,
            origin=Origin.COMMAND,
        )
    return ImportRecord.objects.latest("pk"), done


@pytest.mark.usefixtures("_begun")
def test_during_a_restore_nothing_is_compared() -> None:
    outside(expression="true")
    restore = Operation.objects.create(
        kind=OperationKind.RESTORE,
        state=OperationState.RUNNING,
        database=conf.protected_database(),
        created_at=datetime.now(UTC),
    )
    look()
    assert events() == []
    Operation.objects.filter(pk=restore.pk).update(state=OperationState.SUCCEEDED)
    look()
    assert len(events()) == 1


@pytest.mark.usefixtures("_begun")
def test_an_older_copy_of_our_own_database_begins_it_anew_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    older = HistoryProgress.objects.get()
    outside(expression="true")
    look()
    newest = HistoryEvent.objects.first()
    assert newest is not None
    ItemVersion.objects.filter(event=newest).delete()
    ItemVersion.objects.filter(ended_at=newest.at).update(ended_at=None)
    newest.delete()
    older.save()
    look()
    assert [(event.kind, event.subject) for event in HistoryEvent.objects.all()] == [
        ("baseline", GAP),
        ("baseline", ""),
    ]
    assert [one["event"] for one in told(caplog, "history.older")] == ["history.older"]
    look()
    assert HistoryEvent.objects.count() == 2


def test_a_database_file_that_was_replaced_is_read_again(attached: Path, tmp_path: Path) -> None:
    look()
    connections["tvarr"].close()
    other = changed(tvarrs(tmp_path / "other.db"), "UPDATE filters SET name = 'Jetty' WHERE NOT is_system")
    other.replace(attached)
    look()
    (event,) = changes_of(HistoryEvent.objects.exclude(kind="baseline")).values()
    assert [change.item.name for change in event] == ["Jetty"]


def test_while_no_file_changes_nothing_is_read_or_written(
    attached: Path, django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "fingerprint_files", lambda _path: ("the files",))
    look()
    with django_assert_num_queries(0):
        compare_now()
    assert HistoryEvent.objects.count() == 1


@pytest.mark.usefixtures("_begun")
def test_a_table_that_is_missing_is_not_taken_for_deletions() -> None:
    with connections["tvarr"].cursor() as cursor:
        cursor.execute("ALTER TABLE filters RENAME TO away")
    look()
    assert events() == []


def test_there_is_none_if_it_is_switched_off(settings: Any) -> None:
    settings.HISTORY_DAYS = 0
    look()
    record_edit(actor(), {Slug.FILTERS: [FilterFactory.create().pk]})
    assert not HistoryEvent.objects.exists()


@pytest.mark.usefixtures("_begun")
def test_equal_contents_are_stored_once() -> None:
    before = ItemContent.objects.count()
    for description in ("new", "old", "new", "old"):
        outside(description=description)
        look()
    assert (ItemContent.objects.count(), len(events())) == (before + 1, 4)


def test_an_edit_before_the_baseline_is_part_of_it() -> None:
    row = FilterFactory.create(name="Harbour")
    record_edit(actor(), {Slug.FILTERS: [row.pk]})
    assert not HistoryEvent.objects.exists()
    look()
    assert [event.kind for event in HistoryEvent.objects.all()] == ["baseline"]


@pytest.mark.usefixtures("_begun")
def test_recording_an_edit_reads_only_its_row() -> None:
    row = Filter.objects.get(name="Quay")
    Filter.objects.filter(pk=row.pk).update(description="new")
    with CaptureQueriesContext(connections["tvarr"]) as queries:
        record_edit(actor(), {Slug.FILTERS: [row.pk]})
    assert len(queries) == 4  # two for the row, two for the names of sources
    assert events() == [("edit", [("changed", "Quay")])]


# --- Reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_begun")
def test_the_state_of_each_moment_can_be_read() -> None:
    Filter.objects.get(name="Pier").delete()
    look()
    baseline, deletion = HistoryEvent.objects.order_by("at")
    assert items_at(baseline.at) == ["Harbour", "Pier", "Quay"]
    assert items_at(deletion.at - timedelta(microseconds=1)) == ["Harbour", "Pier", "Quay"]
    assert items_at(deletion.at) == ["Harbour", "Quay"]
    found = compare_states(state_at(baseline.at), state_at(deletion.at))
    assert described(found) == [("removed", "Pier")]


@pytest.mark.usefixtures("_begun")
def test_a_state_before_the_baseline_is_unknown() -> None:
    with pytest.raises(StateUnavailable, match="The history begins"):
        state_at(datetime(2020, 1, 1, tzinfo=UTC))


def test_without_a_history_no_state_is_known() -> None:
    with pytest.raises(StateUnavailable, match="no history yet"):
        state_at(datetime.now(UTC))


# --- Names of states --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_begun")
def test_a_time_names_the_state_of_it() -> None:
    HistoryEvent.objects.update(at=datetime(2026, 3, 1, 12, tzinfo=UTC))
    HistoryProgress.objects.update(complete_since=datetime(2026, 3, 1, 12, tzinfo=UTC))
    for text in (
        "2026-03-02",
        "2026-03-02T18:00",
        "2026-03-02 18:00:30",
        "2026-03-01T12:00Z",
        "2026-03-01T14:00+02:00",
    ):
        assert find_state(text).state.items[Slug.FILTERS], text


@pytest.mark.parametrize(
    "text", ["2026-13-01", "2999-01-01", "2026-03-01T25:00", "soon", "", "import:", "import:nothing", "Now", "nowhere"]
)
@pytest.mark.usefixtures("_begun")
def test_what_names_no_state_is_refused(text: str) -> None:
    with pytest.raises(StateNotFound):
        find_state(text)


@pytest.mark.usefixtures("_begun")
def test_an_import_names_the_state_right_after_it() -> None:
    record, _ = _import(document(FILTERS, filter_item("Mole")))
    Filter.objects.filter(name="Mole").update(name="Jetty")
    look()
    names = {item.name for item in find_state(f"import:{record.pk.lower()}").state.items[Slug.FILTERS]}
    assert "Mole" in names


# --- Retention --------------------------------------------------------------------------------------------------------


@pytest.fixture
def _aged() -> None:
    """Three versions of one filter, which were made 500, 400 and 300 days ago."""
    FilterFactory.create(name="Harbour", description="first")
    look()
    for days, description in ((500, ""), (400, "second"), (300, "third")):
        if description:
            outside(description=description)
            look()
        newest = HistoryEvent.objects.order_by("pk").last()
        assert newest is not None
        at = datetime.now(UTC) - timedelta(days=days)
        ItemVersion.objects.filter(ended_at=newest.at).update(ended_at=at)
        HistoryEvent.objects.filter(pk=newest.pk).update(at=at)
        if not description:
            HistoryProgress.objects.update(complete_since=at)


@pytest.mark.usefixtures("_aged")
def test_versions_that_ended_more_than_a_year_ago_are_deleted() -> None:
    delete_old_versions()
    texts = [version.content.text for version in ItemVersion.objects.filter(name="Harbour") if version.content]
    assert [text for text in texts if '"first"' in text] == []
    assert any('"second"' in text for text in texts)
    with pytest.raises(StateUnavailable):
        state_at(datetime.now(UTC) - timedelta(days=450))
    assert items_at(datetime.now(UTC) - timedelta(days=350)) == ["Harbour"]


@pytest.mark.usefixtures("_aged")
def test_the_oldest_are_deleted_beyond_the_limit_but_not_the_current_ones(settings: Any) -> None:
    settings.HISTORY_BYTES = 0
    delete_old_versions()
    (version,) = ItemVersion.objects.filter(name="Harbour")
    assert version.content is not None
    assert '"third"' in version.content.text
    assert used_bytes() > 0


@pytest.mark.usefixtures("_aged")
def test_a_deletion_is_forgotten_with_what_was_before_it(settings: Any) -> None:
    Filter.objects.get(name="Harbour").delete()
    look()
    settings.HISTORY_BYTES = 0
    delete_old_versions()
    assert not ItemVersion.objects.filter(name="Harbour").exists()


def test_names_with_nul_are_recorded(tmp_path: Path) -> None:
    row = FilterFactory.create(name="Harbour")
    look()
    if connections["tvarr"].vendor == "sqlite":
        with connections["tvarr"].cursor() as cursor:
            cursor.execute("UPDATE filters SET name = 'A' || char(0) || 'B' WHERE id = %s", [row.pk])
        look()
        assert len(events()) == 1
