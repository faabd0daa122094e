"""Every import that was done is kept: who, when, through which door, from which file, and what became of its items."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import OperationalError
from django.test import Client

from tests.api.conftest import signed_in
from tests.events import told
from tests.factories import FilterFactory, UserFactory
from tests.portable.files import FILTERS, document, filter_item
from tests.web.backup_parts import administrator, client_of, text_of
from tests.web.browsing import person
from tests.web.test_imports import press_import, review
from tvarr_backup.access.groups import OPERATOR
from tvarr_backup.errors import FileRefused, ImportBlocked, ImportRefused, PlanStale
from tvarr_backup.models import Filter
from tvarr_backup.operations import imports
from tvarr_backup.operations.imports import (
    PENDING_FOR,
    RESULTS_FOR,
    apply_pending,
    change_choices,
    delete_old_imports,
    discard_import,
    find_import,
    import_file,
    keep_import,
    open_import,
    totals_of,
)
from tvarr_backup.operations.models import ImportRecord, ImportState, OperationKind, Origin
from tvarr_backup.operations.run import run_here
from tvarr_backup.portable.answers import Answers, Resolution
from tvarr_backup.portable.choices import Change, Choice
from tvarr_backup.portable.envelope import Envelope, read_envelope

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, settings: Any) -> None:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"


def envelope(*items: dict[str, Any]) -> Envelope:
    return read_envelope(BytesIO(json.dumps(document(FILTERS, *items)).encode()), FILTERS)


def kept() -> ImportRecord:
    return ImportRecord.objects.get()


def test_it_keeps_what_became_of_the_items() -> None:
    who = UserFactory.create()
    FilterFactory.create(name="Old", description="before")
    answers = Answers(bulk=Resolution.OVERWRITE)
    items = filter_item(name="New"), filter_item(name="Old")
    import_file(envelope(*items), answers, None, requested_by=who, origin=Origin.WEB, file_name="mine.json")
    record = kept()
    assert (record.kind, record.file_name, record.origin, record.requested_by) == ("filters", "mine.json", "web", who)
    assert (record.added, record.overwritten, record.copied, record.skipped, record.unchanged) == (1, 1, 0, 0, 0)


def test_one_that_is_refused_is_not_kept() -> None:
    with pytest.raises(ImportBlocked):
        import_file(envelope(filter_item(expression=None)), None, None, requested_by=None, origin=Origin.API)
    assert not ImportRecord.objects.exists()


def test_where_it_cannot_be_kept_the_import_is_done_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def locked(_record: ImportRecord) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(ImportRecord, "save", locked)
    done = import_file(envelope(filter_item()), None, None, requested_by=None, origin=Origin.API)
    assert len(done.lines) == Filter.objects.filter(is_system=False).count() == 1
    assert [event["level"] for event in told(caplog, "import.unrecorded")] == ["error"]


def test_an_applied_import_keeps_neither_its_file_nor_its_choices() -> None:
    user = UserFactory.create()
    opened = open_import(pending(user, filter_item()))
    apply_pending(opened, totals_of(opened.whole), user=user)
    record = kept()
    assert (record.state, record.added) == (ImportState.APPLIED, 1)
    assert (bytes(record.file), record.choices, record.marks, record.fingerprint) == (b"", "", "", "")
    assert [line["final_name"] for line in json.loads(record.result)["lines"]] == ["Harbour News"]


def test_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "KEPT", 2)
    for number in range(4):
        import_file(envelope(filter_item(name=f"{number}")), None, None, requested_by=None, origin=Origin.API)
    assert ImportRecord.objects.count() == 2


# --- Pending imports --------------------------------------------------------------------------------------------------


def pending(user: Any, *items: dict[str, Any]) -> ImportRecord:
    content = json.dumps(document(FILTERS, *(items or [filter_item()]))).encode()
    return keep_import(content, file_name="mine.json", user=user)


def made_before(record: ImportRecord, age: timedelta) -> None:
    ImportRecord.objects.filter(pk=record.pk).update(created_at=datetime.now(UTC) - age)


def test_a_file_that_is_no_export_is_not_kept() -> None:
    with pytest.raises(FileRefused):
        keep_import(b"{}", file_name="mine.json", user=UserFactory.create())
    assert not ImportRecord.objects.exists()


def test_a_pending_import_is_kept_for_a_day() -> None:
    user = UserFactory.create()
    old, new = pending(user), pending(user)
    made_before(old, PENDING_FOR)
    with pytest.raises(ImportRecord.DoesNotExist):
        find_import(old.pk, user)
    delete_old_imports()
    assert list(ImportRecord.objects.all()) == [new]


def test_operations_delete_expired_imports() -> None:
    made_before(pending(UserFactory.create()), PENDING_FOR)
    run_here(OperationKind.BACKUP, origin=Origin.COMMAND)
    assert not ImportRecord.objects.exists()


def test_a_user_has_so_many_pending_imports_and_another_has_own_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "MOST_PENDING", 2)
    user = UserFactory.create()
    others, _oldest, second, third = pending(UserFactory.create()), *(pending(user) for _ in range(3))
    assert list(ImportRecord.objects.all()) == [third, second, others]


def test_the_files_of_a_user_have_so_many_bytes_and_the_newest_is_always_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    user = UserFactory.create()
    first = pending(user)
    monkeypatch.setattr(imports, "MOST_PENDING_BYTES", 2 * len(first.file) + 1)
    second = pending(user)
    assert list(ImportRecord.objects.all()) == [second, first]
    third = pending(user)
    assert list(ImportRecord.objects.all()) == [third, second]
    monkeypatch.setattr(imports, "MOST_PENDING_BYTES", 1)
    newest = pending(user)
    assert list(ImportRecord.objects.all()) == [newest]


def test_the_list_of_items_is_kept_for_a_month_and_the_totals_stay() -> None:
    user = UserFactory.create()
    opened = open_import(pending(user))
    apply_pending(opened, totals_of(opened.whole), user=user)
    ImportRecord.objects.update(finished_at=datetime.now(UTC) - RESULTS_FOR)
    delete_old_imports()
    assert (kept().result, kept().added) == ("", 1)


def test_a_promise_that_is_not_kept_imports_nothing() -> None:
    user = UserFactory.create()
    opened = change_choices(open_import(pending(user)), Change(rows={1: Choice("skip", is_manual=True)}))
    with pytest.raises(PlanStale, match="your last choices changed"):
        apply_pending(opened, "1,0,0", user=user)
    assert kept().state == ImportState.PENDING


def test_what_changes_between_preview_and_import_imports_nothing_and_is_marked() -> None:
    user = UserFactory.create()
    opened = open_import(pending(user, filter_item("A"), filter_item("B")))
    opened = change_choices(opened, Change(rows={2: Choice("skip", is_manual=True)}))
    FilterFactory.create(name="A")
    with pytest.raises(PlanStale):
        apply_pending(opened, totals_of(opened.whole), user=user)
    again = open_import(kept())
    assert again.newly_changed == again.choices.changed == frozenset({1})
    assert list(again.choices.rows) == [2]


def test_an_import_that_another_press_has_applied_is_not_applied_again() -> None:
    user = UserFactory.create()
    both = [open_import(pending(user, filter_item("A")))] * 2
    apply_pending(both[0], "1,0,0", user=user)
    with pytest.raises(PlanStale):
        apply_pending(both[1], "1,0,0", user=user)
    assert Filter.objects.filter(is_system=False).count() == 1


def test_copies_under_names_of_the_users_own_are_not_made_twice() -> None:
    user = UserFactory.create()
    FilterFactory.create(**filter_item("A", description="before"))
    opened = open_import(pending(user, filter_item("A")))
    opened = change_choices(opened, Change(rows={1: Choice("rename", "By hand", is_manual=True)}))
    apply_pending(opened, "0,0,1", user=user)
    with pytest.raises(ImportRefused):
        apply_pending(opened, "0,0,1", user=user)
    assert Filter.objects.filter(is_system=False).count() == 2


def test_what_is_killed_after_the_import_and_before_its_record_is_not_imported_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user = UserFactory.create()
    opened = open_import(pending(user, filter_item("A")))
    with monkeypatch.context() as patch:
        patch.setattr(imports, "_record", lambda *_args, **_named: None)
        apply_pending(opened, "1,0,0", user=user)
    again = open_import(kept())
    assert again.newly_changed == frozenset({1})
    assert totals_of(again.whole) == "0,0,0"


def test_a_discarded_import_has_no_file_and_cannot_be_chosen_for() -> None:
    user = UserFactory.create()
    opened = open_import(pending(user))
    discard_import(opened.record)
    assert (kept().state, bytes(kept().file)) == (ImportState.DISCARDED, b"")
    with pytest.raises(ImportRecord.DoesNotExist):
        change_choices(opened, Change(bulk="skip"))


# --- Through every entrance -------------------------------------------------------------------------------------------


def test_through_the_pages() -> None:
    client = person({"access.import_configuration"})
    press_import(client, review(client, FILTERS, filter_item()))
    record = kept()
    assert (record.origin, record.file_name, record.added) == ("web", "settings.json", 1)
    assert record.requested_by is not None


@pytest.mark.parametrize("address", ["/api/v1/filters/import", "/api/v1/import/filters"])
def test_through_the_api(address: str) -> None:
    body = json.dumps({"export": document(FILTERS, filter_item())})
    answer = signed_in(OPERATOR).post(address, body, content_type="application/json")
    assert answer.status_code == 200, answer.content
    record = kept()
    assert (record.origin, record.added) == ("api", 1)
    assert record.requested_by is not None


def test_through_the_command(tmp_path: Path) -> None:
    file = tmp_path / "of-the-harbour.json"
    file.write_text(json.dumps(document(FILTERS, filter_item())))
    call_command("portable", "import", "filters", str(file))
    assert (kept().origin, kept().file_name, kept().requested_by) == ("command", "of-the-harbour.json", None)


def test_the_history_and_the_admin_list_applied_imports_only() -> None:
    pending(UserFactory.create())
    client = person({"operations.view_operation", "operations.view_importrecord"}, is_staff=True)
    assert "mine.json" not in history(client)
    assert "mine.json" not in text_of(client.get("/admin/operations/importrecord/"))
    imported("applied.json")
    assert "applied.json" in history(client)
    assert "applied.json" in text_of(client.get("/admin/operations/importrecord/"))


# --- The history -----------------------------------------------------------------------------------------------------


def history(client: Client) -> str:
    return text_of(client.get("/history/"))


def imported(name: str, **answers: Any) -> None:
    items = [filter_item(name=name)]
    import_file(envelope(*items), Answers(**answers), None, requested_by=None, origin=Origin.COMMAND, file_name=name)


def test_the_history_has_imports_among_the_operations_by_their_time() -> None:
    imported("first.json")
    run_here(OperationKind.BACKUP, origin=Origin.COMMAND)
    imported("second.json")
    text = history(administrator())
    assert text.index("second.json") < text.index("Backed up") < text.index("first.json")
    assert "Imported 1 filter" in text
    assert "1 added." in text


def test_an_import_that_changed_nothing_says_so() -> None:
    imported("mine")
    imported("mine")
    assert "Nothing was changed" in history(administrator())


def test_who_may_look_at_operations_sees_them() -> None:
    imported("mine.json")
    assert "mine.json" in history(client_of("view_operation"))


def test_pages_of_the_history_go_on_over_both() -> None:
    for number in range(26):
        imported(f"file-{number:02}.json")
    run_here(OperationKind.BACKUP, origin=Origin.COMMAND)
    second = text_of(administrator().get("/history/", {"page": 2}))
    assert "file-01.json" in second
    assert "file-00.json" in second
    assert "file-02.json" not in second
