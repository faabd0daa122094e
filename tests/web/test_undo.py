"""The page that undoes an import, its result, and what the history offers."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.portable.files import FILTERS, document, envelope, filter_item
from tests.web.browsing import text_of
from tvarr_backup.models import Filter
from tvarr_backup.operations.imports import delete_old_imports, import_file
from tvarr_backup.operations.models import ImportRecord, Origin

pytestmark = pytest.mark.django_db


@pytest.fixture
def keeper() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("keeper"))
    return client


def imported(*names: str, **members: Any) -> ImportRecord:
    items = [filter_item(name, **members) for name in names]
    user = User.objects.get(username="keeper")
    done = import_file(
        envelope(FILTERS, *items), None, None, requested_by=user, origin=Origin.WEB, file_name="mine.json"
    )
    return ImportRecord.objects.get(pk=done.record_id)


def undo_page(record: ImportRecord) -> str:
    return reverse("import-undo", args=[record.pk])


def fields(client: Client, record: ImportRecord) -> dict[str, Any]:
    """What the form sends, without a choice."""
    page = client.get(undo_page(record)).content.decode()
    return dict(re.findall(r'type="hidden" name="(fingerprint)" value="([^"]+)"', page))


def own() -> list[str]:
    return sorted(row.name for row in Filter.objects.filter(is_system=False))


def test_an_import_is_undone_from_its_result(keeper: Client) -> None:
    record = imported("One", "Two")
    result = keeper.get(reverse("import-preview", args=[record.pk])).content.decode()
    assert f'href="{undo_page(record)}">Undo this import' in result
    assert "possible until" in result
    page = keeper.get(undo_page(record))
    assert "Will be removed One Two" in text_of(page)
    answer = keeper.post(undo_page(record), fields(keeper, record), follow=True)
    assert "Import undone" in text_of(answer)
    assert "2 removed." in text_of(answer)
    assert own() == []


def test_an_undo_is_undone(keeper: Client) -> None:
    record = imported("One")
    keeper.post(undo_page(record), fields(keeper, record))
    undone = ImportRecord.objects.get(is_undo=True)
    assert "This import has been undone" in text_of(keeper.get(reverse("import-preview", args=[record.pk])))
    answer = keeper.post(undo_page(undone), fields(keeper, undone), follow=True)
    assert "1 added back" in text_of(answer)
    assert own() == ["One"]
    assert "Undo this import" in text_of(keeper.get(reverse("import-preview", args=[record.pk])))


def test_what_was_changed_since_is_kept_unless_it_is_selected(keeper: Client) -> None:
    record = imported("One", "Two")
    Filter.objects.filter(name="One").update(description="Edited")
    assert "One: changed since. Undo it anyway" in text_of(keeper.get(undo_page(record)))
    answer = keeper.post(undo_page(record), fields(keeper, record), follow=True)
    assert "Kept (changed since) One" in text_of(answer)
    assert own() == ["One"]
    undone = ImportRecord.objects.get(is_undo=True)
    keeper.post(undo_page(undone), fields(keeper, undone))
    chosen = {"include": Filter.objects.get(name="One").pk}
    keeper.post(undo_page(record), fields(keeper, record) | chosen)
    assert own() == []


def test_a_change_after_the_page_was_shown_is_not_undone(keeper: Client) -> None:
    record = imported("One", "Two")
    shown = fields(keeper, record)
    Filter.objects.filter(name="One").update(description="Edited")
    answer = keeper.post(undo_page(record), shown, follow=True)
    assert answer.redirect_chain == [(undo_page(record), 302)]
    assert "The data has changed since the preview." in text_of(answer)
    assert own() == ["One", "Two"]


def test_a_second_undo_is_refused(keeper: Client) -> None:
    record = imported("One")
    sent = fields(keeper, record)
    keeper.post(undo_page(record), sent)
    answer = keeper.post(undo_page(record), sent, follow=True)
    assert "This import has already been undone." in text_of(answer)
    assert ImportRecord.objects.filter(is_undo=True).count() == 1


def test_an_import_of_an_earlier_version_says_why_it_cannot_be_undone(keeper: Client) -> None:
    record = imported("One")
    ImportRecord.objects.update(log=b"", log_bytes=0)
    assert "Undo this import" not in text_of(keeper.get(reverse("import-preview", args=[record.pk])))
    answer = keeper.get(undo_page(record), follow=True)
    assert "This import cannot be undone, because the previous values are not stored." in text_of(answer)


def test_an_import_without_changes_is_not_undone(keeper: Client) -> None:
    imported("One")
    record = imported("One")
    answer = keeper.get(undo_page(record), follow=True)
    assert "This import changed nothing, so there is nothing to undo." in text_of(answer)


def test_what_undoing_needs_is_deleted_after_its_time(settings: Any) -> None:
    User.objects.create_superuser("keeper")
    old, new = imported("One"), imported("Two")
    assert old.finished_at is not None
    ImportRecord.objects.filter(pk=old.pk).update(
        finished_at=old.finished_at - timedelta(days=settings.UNDO_DAYS, hours=1)
    )
    delete_old_imports()
    assert [bool(ImportRecord.objects.get(pk=one.pk).log) for one in (old, new)] == [False, True]


def test_what_undoing_needs_has_a_limit_in_size(settings: Any) -> None:
    User.objects.create_superuser("keeper")
    old, new = imported("One"), imported("Two")
    settings.UNDO_BYTES = new.log_bytes + 1
    delete_old_imports()
    assert [ImportRecord.objects.get(pk=one.pk).log_bytes > 0 for one in (old, new)] == [False, True]


def test_nothing_is_stored_if_undoing_is_off(settings: Any) -> None:
    User.objects.create_superuser("keeper")
    settings.UNDO_DAYS = 0
    assert imported("One").log_bytes == 0


def test_the_history_offers_the_undo_and_shows_it(keeper: Client) -> None:
    record = imported("One")
    assert f'href="{undo_page(record)}">Undo import' in keeper.get("/history/").content.decode()
    keeper.post(undo_page(record), fields(keeper, record))
    shown = keeper.get("/history/")
    assert "Undo of an import" in text_of(shown)
    assert "Undone: 1 filter 1 removed. Undo this undo" in text_of(shown)
    assert f'href="{undo_page(record)}"' not in shown.content.decode()


def test_others_do_not_find_the_import(keeper: Client) -> None:
    record = imported("One")
    other = Client()
    other.force_login(User.objects.create_user("operator"))
    assert other.get(undo_page(record)).status_code == 403
    assert keeper.get(reverse("import-undo", args=["01JQ4Z6V9M3N8W5X2Y7T1K0CDE"])).status_code == 404


def test_a_pending_import_cannot_be_undone(keeper: Client) -> None:
    text = {"text": json.dumps(document(FILTERS, filter_item()))}
    assert keeper.post("/import/", text).status_code == 302
    assert keeper.get(undo_page(ImportRecord.objects.get())).status_code == 404
