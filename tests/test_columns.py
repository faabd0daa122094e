"""The columns that an action needs, and the messages if one is missing."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connections
from django.test import Client

from tvarr_backup.columns import require_columns
from tvarr_backup.errors import DatabaseIncomplete, DatabaseNewer, RowUnreadable
from tvarr_backup.models import ClientDetectionRule, Filter
from tvarr_backup.portable.answers import read_answers
from tvarr_backup.portable.apply import apply_import
from tvarr_backup.portable.envelope import read_envelope
from tvarr_backup.portable.export import stream_export
from tvarr_backup.portable.kinds import KINDS, Slug
from tvarr_backup.portable.plan import plan_import
from tvarr_backup.portable.steps import ItemAction
from tvarr_backup.quoting import quoted

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("attached")]

FILTERS = KINDS[Slug.FILTERS]
NOT_UTF8 = "01KA31S5HE6Q4M3D68ZS9W6C00"


def run(*statements: str) -> None:
    with connections["tvarr"].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def drop_expression() -> None:
    run(
        "ALTER TABLE filters DROP COLUMN expression",
        "UPDATE schema_migrations SET version = '030' WHERE version = '029'",
    )


def add_undecodable_filter() -> None:
    run(
        "INSERT INTO filters (id, created_at, updated_at, name, description, source_type, action, expression, is_system) "
        f"VALUES ('{NOT_UTF8}', '2026-03-01 10:00:00+00:00', '2026-03-01 10:00:00+00:00', CAST(X'436166E9' AS TEXT), 'old',"
        " 'stream', 'include', 'group_title equals \"x\"', 0)"
    )


def exported(kind: Slug = Slug.FILTERS) -> tuple[list[str], tuple[str, ...]]:
    """The names in an export of all, and its warnings."""
    export = stream_export(KINDS[kind])
    return [item["name"] for item in json.loads(b"".join(export))["items"]], export.warnings


@pytest.fixture
def client() -> Client:
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("ada"))
    return client


def test_a_missing_column_names_both_sides_and_the_way_out() -> None:
    drop_expression()
    with pytest.raises(DatabaseIncomplete) as refused:
        require_columns(Filter)
    sentence = str(refused.value)
    assert sentence.startswith(
        "Filters cannot be shown, edited, exported or imported: tvarr 030 does not have the column "
    )
    assert "filters.expression, which tvarr-backup " in sentence
    assert "(made for tvarr 029)" in sentence
    assert sentence.endswith("Install a version of tvarr-backup that knows tvarr 030.")


def test_an_older_tvarr_brings_what_is_missing_itself() -> None:
    run("DROP TABLE client_detection_rules", "DELETE FROM schema_migrations WHERE version > '024'")
    with pytest.raises(
        DatabaseIncomplete, match=r"does not have the table client_detection_rules.*Start tvarr 029 or later"
    ):
        require_columns(ClientDetectionRule)


def test_another_kind_works_on() -> None:
    drop_expression()
    require_columns(ClientDetectionRule, adds_rows=True, with_related=True)
    assert exported(Slug.CLIENT_DETECTION_RULES)[1] == ()


def test_a_rule_needs_only_the_names_of_profiles_for_its_export() -> None:
    run("ALTER TABLE encoding_profiles DROP COLUMN global_flags")
    require_columns(ClientDetectionRule)
    with pytest.raises(DatabaseIncomplete, match=r"encoding_profiles\.global_flags"):
        require_columns(ClientDetectionRule, with_related=True)
    exported(Slug.CLIENT_DETECTION_RULES)


def test_neither_an_export_nor_a_preview_is_made_without_the_columns(tmp_path: Path) -> None:
    file = tmp_path / "filters.json"
    file.write_bytes(b"".join(stream_export(FILTERS)))
    drop_expression()
    with pytest.raises(DatabaseIncomplete):
        stream_export(FILTERS)
    with file.open("rb") as source, pytest.raises(DatabaseIncomplete):
        plan_import(read_envelope(source, FILTERS))


def test_a_column_that_needs_a_value_stops_only_what_adds_rows() -> None:
    run(
        "DELETE FROM proxy_filters",
        "CREATE TABLE other AS SELECT * FROM filters",
        "DROP TABLE filters",
        "CREATE TABLE filters (id PRIMARY KEY, created_at, updated_at, deleted_at, name, description, source_type, action, expression,"
        " is_system, source_id, mood TEXT NOT NULL)",
        "INSERT INTO filters (id, created_at, updated_at, deleted_at, name, description, source_type, action, expression,"
        " is_system, source_id, mood) SELECT id, created_at, updated_at, deleted_at, name, description, source_type,"
        " action, expression, is_system, source_id, 'calm' FROM other",
    )
    assert require_columns(Filter) == ("filters.mood",)
    with pytest.raises(DatabaseNewer, match=r"needs a value in filters\.mood"):
        require_columns(Filter, adds_rows=True)


def test_an_export_says_which_column_it_leaves_out() -> None:
    run("ALTER TABLE filters ADD COLUMN mood text")
    names, (warning,) = exported()
    assert names
    assert warning.startswith("The column filters.mood is left out, because tvarr-backup ")


@pytest.mark.parametrize("address", ["/admin/tvarr_backup/filter/", "/admin/tvarr_backup/filter/add/"])
def test_the_admin_says_what_is_missing(client: Client, address: str) -> None:
    drop_expression()
    response = client.get(address)
    assert response.status_code == 409
    assert "does not have the column" in response.content.decode()


def test_the_page_for_exports_says_it_of_that_kind_alone(client: Client) -> None:
    drop_expression()
    page = client.get("/export/").content.decode()
    assert "does not have the column filters.expression" in page
    assert page.count("does not have the column") == 1


def test_the_api_answers_with_the_stable_code(client: Client) -> None:
    drop_expression()
    response = client.get("/api/v1/filters")
    assert (response.status_code, response.json()["code"]) == (503, "database_incomplete")
    assert client.get("/api/v1/encoding-profiles").status_code == 200


# --- Texts that are not UTF-8 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "/admin/tvarr_backup/filter/",
        f"/admin/tvarr_backup/filter/{NOT_UTF8}/change/",
        "/export/",
        "/export/?open=filters",
        "/api/v1/filters",
        f"/api/v1/filters/{NOT_UTF8}",
    ],
)
def test_texts_that_are_not_utf8_are_shown(client: Client, address: str) -> None:
    add_undecodable_filter()
    response = client.get(address)
    assert response.status_code == 200
    shown = response.getvalue().decode()  # whole also where it comes in parts
    assert "Caf\ufffd" in shown


def test_the_others_are_exported_and_the_row_is_named() -> None:
    before, _ = exported()
    add_undecodable_filter()
    names, (warning,) = exported()
    assert names == before
    name = quoted("Caf\ufffd")
    assert warning.startswith(
        f"{name} ({NOT_UTF8}) cannot be exported. name is stored as {name}. Expected text in UTF-8."
    )


def test_such_a_row_chosen_by_id_is_refused() -> None:
    add_undecodable_filter()
    with pytest.raises(RowUnreadable, match="Caf\ufffd"):
        stream_export(FILTERS, [NOT_UTF8])


def test_a_replacement_character_that_is_stored_is_exported() -> None:
    Filter.objects.create(name="Caf\ufffd", source_type="stream", expression='group_title equals "x"')
    names, warnings = exported()
    assert "Caf\ufffd" in names
    assert warnings == ()


def test_an_export_by_the_api_names_the_row(client: Client) -> None:
    add_undecodable_filter()
    response: Any = client.get("/api/v1/filters/export?all=true")
    assert NOT_UTF8 not in b"".join(response).decode()
    assert "Caf\ufffd" in json.loads(response["Export-Warnings"])[0]


def test_a_change_of_another_field_keeps_the_stored_bytes(client: Client) -> None:
    add_undecodable_filter()
    address = f"/api/v1/filters/{NOT_UTF8}"
    whole = client.get(address).json() | {"description": "new"}
    sent = {name: whole[name] for name in ("name", "description", "source_type", "action", "expression", "source_id")}
    for change in (
        client.patch(address, {"description": "newer"}, "application/json"),
        client.put(address, sent, "application/json"),
    ):
        assert change.status_code == 200, change.content
    page = client.get(f"/admin/tvarr_backup/filter/{NOT_UTF8}/change/")
    form = page.context["adminform"].form.initial | {"description": "newest", "source_id": ""}
    assert client.post(f"/admin/tvarr_backup/filter/{NOT_UTF8}/change/", form).status_code == 302
    with connections["tvarr"].cursor() as cursor:
        cursor.execute("SELECT hex(name), description FROM filters WHERE id = %s", [NOT_UTF8])
        assert cursor.fetchone() == ("436166E9", "newest")


def test_an_import_that_overwrites_keeps_the_bytes_of_what_is_the_same() -> None:
    add_undecodable_filter()
    run(f"UPDATE filters SET name = 'Cafe', description = CAST(X'436166E9' AS TEXT) WHERE id = '{NOT_UTF8}'")
    item = {"name": "Cafe", "description": "Caf\ufffd", "expression": 'group_title equals "y"', "source_type": "stream"}
    metadata = {"version": "1.0.0", "export_type": "filters", "exported_at": "2026-01-14T10:30:00Z", "item_count": 1}
    file = BytesIO(json.dumps({"metadata": metadata, "items": [item | {"action": "include"}]}).encode())
    result = apply_import(read_envelope(file, FILTERS), read_answers({}, bulk="overwrite"))
    assert result.count(ItemAction.OVERWRITE) == 1
    with connections["tvarr"].cursor() as cursor:
        cursor.execute("SELECT hex(description), expression FROM filters WHERE id = %s", [NOT_UTF8])
        assert cursor.fetchone() == ("436166E9", 'group_title equals "y"')


def test_the_import_page_says_what_is_missing(client: Client) -> None:
    text = b"".join(stream_export(FILTERS)).decode()
    drop_expression()
    shown = client.post("/import/", {"text": text}, follow=True)
    assert "does not have the column filters.expression" in shown.content.decode()
