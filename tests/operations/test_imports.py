"""Every import that was done is kept: who, when, through which door, from which file, and what became of its items."""

from __future__ import annotations

import json
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
from tvarr_backup.errors import ImportBlocked
from tvarr_backup.models import Filter
from tvarr_backup.operations import imports
from tvarr_backup.operations.imports import import_file
from tvarr_backup.operations.models import ImportRecord, OperationKind, Origin
from tvarr_backup.operations.run import run_here
from tvarr_backup.portable.answers import Answers, Resolution
from tvarr_backup.portable.envelope import Envelope, read_envelope
from tvarr_backup.portable.export import WRITTEN_BY

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, settings: Any) -> None:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"


def envelope(*items: dict[str, Any]) -> Envelope:
    return read_envelope(BytesIO(json.dumps(document(FILTERS, *items)).encode()), FILTERS, WRITTEN_BY)


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
    def locked(**_values: Any) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(ImportRecord.objects, "create", locked)
    done = import_file(envelope(filter_item()), None, None, requested_by=None, origin=Origin.API)
    assert len(done.lines) == Filter.objects.filter(is_system=False).count() == 1
    assert [event["level"] for event in told(caplog, "import.unrecorded")] == ["error"]


def test_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "KEPT", 2)
    for number in range(4):
        import_file(envelope(filter_item(name=f"{number}")), None, None, requested_by=None, origin=Origin.API)
    assert ImportRecord.objects.count() == 2


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
    assert "Added 1." in text


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
