"""List, show and undo imports with the API."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.api.backup_parts import administrator, problem
from tests.api.conftest import signed_in
from tests.portable.files import FILTERS, document, filter_item
from tvarr_backup.models import Filter

pytestmark = pytest.mark.django_db

IMPORTS = "/api/v1/imports"


def imported(client: APIClient, *names: str) -> str:
    export = document(FILTERS, *[filter_item(name) for name in names])
    return str(client.post("/api/v1/filters/import", {"export": export}).json()["import_id"])


def undo(client: APIClient, key: str, query: str = "", **body: Any) -> Any:
    return client.post(f"{IMPORTS}/{key}/undo{query}", body)


def own() -> list[str]:
    return sorted(row.name for row in Filter.objects.filter(is_system=False))


def test_an_import_is_listed_shown_and_undone() -> None:
    client = administrator()
    key = imported(client, "One", "Two")
    (listed,) = client.get(IMPORTS).json()["results"]
    assert listed == client.get(f"{IMPORTS}/{key}").json()
    assert (listed["id"], listed["kind"], listed["added"], listed["is_undo"]) == (key, "filters", 2, False)
    assert listed["undoable_until"] > listed["finished_at"]
    done = undo(client, key).json()
    assert (done["removed"], done["kept"], done["undoes"]) == (2, 0, key)
    assert own() == []
    assert client.get(f"{IMPORTS}/{key}").json()["undoable_until"] is None
    assert client.get(f"{IMPORTS}/{done['import_id']}").json()["undoes"] == key
    undo(client, done["import_id"])
    assert own() == ["One", "Two"]


def test_a_preview_changes_nothing() -> None:
    client = administrator()
    key = imported(client, "One")
    shown = undo(client, key, "?preview=true").json()
    assert (shown["import_id"], shown["removed"]) == (None, 1)
    assert own() == ["One"]
    Filter.objects.filter(name="One").update(description="Edited")
    problem(undo(client, key, fingerprint=shown["fingerprint"]), 409, "plan_stale")
    problem(undo(client, key), 409, "undo_refused")
    undo(client, key, include=[Filter.objects.get(name="One").pk])
    assert own() == []


def test_a_second_undo_is_refused() -> None:
    client = administrator()
    key = imported(client, "One")
    undo(client, key)
    problem(undo(client, key), 409, "undo_refused")


def test_an_import_of_another_user_is_not_found() -> None:
    key = imported(administrator(), "One")
    other = signed_in({"access.export_configuration", "access.import_configuration"})
    assert other.get(IMPORTS).json()["results"] == []
    problem(other.get(f"{IMPORTS}/{key}"), 404, "import_not_found")
    problem(undo(other, key), 404, "import_not_found")
    assert own() == ["One"]


def test_the_answer_on_tvarrs_path_has_no_new_member() -> None:
    export = document(FILTERS, filter_item())
    answer = administrator().post("/api/v1/import/filters", {"export": export}).json()
    assert "import_id" not in answer
