"""One row that cannot be read takes nothing else down: it is shown, and named, wherever rows are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils.html import escape

from tests.factories import KIND_FACTORIES
from tests.portable.files import EXAMPLES, envelope
from tvarr_backup import models
from tvarr_backup.errors import RowUnreadable
from tvarr_backup.portable.export import count_exportable, list_exportable, stream_export
from tvarr_backup.portable.kinds import KINDS, Kind, Slug
from tvarr_backup.portable.plan import plan_import
from tvarr_backup.quoting import quoted

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif("connections['tvarr'].vendor != 'sqlite'", reason="A server holds what its columns say."),
]

FACTORIES: dict[type[models.TvarrRow], Any] = {KINDS[slug].model: made for slug, made in KIND_FACTORIES.items()}
KIND_OF = {kind.model: kind for kind in KINDS.values()}
BAD = {
    "half a letter": "CAST(X'436166E9' AS TEXT)",
    "bytes": "X'FFFE00C3'",
    "a word": "'abc'",
    "a fraction": "1.5",
    "too large": "1e300",
    "the year 1": "'0001-01-01 00:00:00+00:00'",
    "the year 9999": "'9999-12-31 23:59:59+00:00'",
}


def name_of(model: type[models.TvarrRow]) -> str:
    return str(model._meta.model_name)


def spoil(model: type[models.TvarrRow], column: str, value: str) -> Any:
    """Return a row that has this value, as SQL, in a column."""
    row = FACTORIES[model].create()
    if column:
        with connections["tvarr"].cursor() as cursor:
            cursor.execute("PRAGMA defer_foreign_keys = 1")
            cursor.execute(f'UPDATE {model._meta.db_table} SET "{column}" = {value} WHERE id = %s', [row.pk])
    return row


def exported(kind: Kind) -> tuple[list[str], list[str]]:
    """Names in an export of everything, and its warnings."""
    blocks = stream_export(kind)
    return [item["name"] for item in json.loads(b"".join(blocks))["items"]], list(blocks.warnings)


@pytest.fixture(autouse=True)
def _broken_references(db: None) -> Any:
    """SQLite looks at references at the end of a transaction; these tests leave some broken."""
    yield
    with connections["tvarr"].cursor() as cursor:
        cursor.execute("PRAGMA foreign_keys = OFF")
        for model in FACTORIES:
            cursor.execute(f"DELETE FROM {model._meta.db_table} WHERE created_at IS NOT NULL OR created_at IS NULL")


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("model", FACTORIES, ids=lambda model: model.__name__)
def test_whatever_columns_hold_lists_pages_and_calls_are_answered(
    model: type[models.TvarrRow], what: str, admin_client: Client, settings: Any
) -> None:
    settings.TIME_ZONE = "Pacific/Kiritimati" if "9999" in what else "America/New_York"
    columns = [field.column for field in model._meta.concrete_fields if field.column != "deleted_at"]
    good, *bad = (spoil(model, column, BAD[what]) for column in ("", *columns))
    addresses = [f"/{name_of(model)}/", f"/{name_of(model)}/?q=a", f"/{name_of(model)}/{good.pk}/change/"]
    looked_at = bad[1 :: len(BAD)] if what in ("a word", "half a letter") else bad[1:4]
    addresses += [f"/{name_of(model)}/{row.pk}/change/" for row in looked_at]
    addresses = [f"/admin/tvarr_backup{address}" for address in addresses]
    if kind := KIND_OF.get(model):  # type: ignore[arg-type]
        tag = f"/api/v1/{kind.slug.replace('_', '-')}"
        addresses += [tag, f"{tag}?search=a", f"{tag}?ordering=created_at", f"{tag}/{good.pk}", "/export/"]
        addresses += [f"{tag}/{row.pk}" for row in bad[1:]]
    for address in addresses:
        response = admin_client.get(address)
        assert response.status_code == 200, (address, response.content[:500])
    if kind:
        names, _warnings = exported(kind)
        assert good.name in names
        assert good.name in [row.name for row in list_exportable(kind)]
        assert count_exportable(kind).number == len(names)
        assert plan_import(envelope(kind, EXAMPLES[kind.slug]())).steps


@pytest.mark.parametrize(
    ("slug", "column", "value", "shown"),
    [
        (Slug.FILTERS, "name", "CAST(X'436166E9' AS TEXT)", "Caf\ufffd"),
        (Slug.FILTERS, "expression", "X'436166E9'", "Caf\ufffd"),
        (Slug.DATA_MAPPING_RULES, "priority", "'abc'", "abc"),
        (Slug.DATA_MAPPING_RULES, "stop_on_match", "'perhaps'", "perhaps"),
        (Slug.CLIENT_DETECTION_RULES, "accepted_video_codecs", "'[h264'", "[h264"),
        (Slug.CLIENT_DETECTION_RULES, "is_enabled", "0.5", "0.5"),
        (Slug.ENCODING_PROFILES, "enabled", "X'C3'", "\ufffd"),
    ],
)
class TestNamed:
    """What cannot be read is said with the row, the column and what is stored."""

    def test_by_the_api(self, slug: Slug, column: str, value: str, shown: str, admin_client: Client) -> None:
        bad = spoil(KINDS[slug].model, column, value)
        tag = slug.replace("_", "-")
        for row in (
            admin_client.get(f"/api/v1/{tag}/{bad.pk}").json(),
            next(row for row in admin_client.get(f"/api/v1/{tag}").json()["results"] if row["id"] == bad.pk),
        ):
            (warning,) = (
                warning for warning in row["warnings"] if warning["field"] == column and "stored" in warning["message"]
            )
            assert warning["code"] in ("unreadable", "invalid_codec_list")
            assert quoted(shown) in warning["message"]

    def test_by_the_admin(self, slug: Slug, column: str, value: str, shown: str, admin_client: Client) -> None:
        model = KINDS[slug].model
        bad = spoil(model, column, value)
        for address in ("", f"{bad.pk}/change/"):
            page = admin_client.get(f"/admin/tvarr_backup/{model._meta.model_name}/{address}").content.decode()
            assert escape(f"{column} is stored as {quoted(shown)}") in page

    def test_by_an_export_of_the_others(self, slug: Slug, column: str, value: str, shown: str) -> None:
        good, bad = spoil(KINDS[slug].model, "", ""), spoil(KINDS[slug].model, column, value)
        names, (warning,) = exported(KINDS[slug])
        assert names == [good.name]
        assert f"({bad.pk}) cannot be exported. {column} is stored as {quoted(shown)}. Expected " in warning
        with pytest.raises(RowUnreadable):
            stream_export(KINDS[slug], [bad.pk])

    def test_a_change_of_something_else_leaves_it(
        self, slug: Slug, column: str, value: str, shown: str, admin_client: Client
    ) -> None:
        model = KINDS[slug].model
        bad = spoil(model, column, value)
        address = f"/api/v1/{slug.replace('_', '-')}/{bad.pk}"
        response = admin_client.patch(address, {"description": "Edited."}, content_type="application/json")
        assert response.status_code == 200, response.content
        with connections["tvarr"].cursor() as cursor:
            cursor.execute(
                f"SELECT {column} IS {value}, description FROM {model._meta.db_table} WHERE id = %s", [bad.pk]
            )
            assert cursor.fetchone() == (1, "Edited.")

    def test_it_can_be_set_right(self, slug: Slug, column: str, value: str, shown: str, admin_client: Client) -> None:
        bad = spoil(KINDS[slug].model, column, value)
        address = f"/api/v1/{slug.replace('_', '-')}/{bad.pk}"
        right = {"name": "Cafe", "expression": "true", "priority": 0, "accepted_video_codecs": []}.get(column, False)
        response = admin_client.patch(address, {column: right}, content_type="application/json")
        assert response.status_code == 200, response.content
        assert response.json()[column] == right
        assert "unreadable" not in [warning["code"] for warning in response.json()["warnings"]]


def test_an_import_over_it_shows_what_is_stored_and_sets_it_right() -> None:
    kind = KINDS[Slug.DATA_MAPPING_RULES]
    item = EXAMPLES[kind.slug]("Tidy", priority=0)
    row = kind.model.objects.create(**item)
    with connections["tvarr"].cursor() as cursor:
        cursor.execute("UPDATE data_mapping_rules SET priority = 'abc' WHERE id = %s", [row.pk])
    (step,) = plan_import(envelope(kind, item)).steps
    assert [(each.field, each.now, each.in_file) for each in step.differences] == [("priority", "abc", 0)]


@pytest.mark.sqlite
def test_a_search_passes_texts_that_are_not_utf8(admin_client: Client) -> None:
    spoilt, other = (KIND_FACTORIES[Slug.FILTERS].create(name=name) for name in ("Spoilt", "Новости"))
    with connections["tvarr"].cursor() as cursor:
        cursor.execute("UPDATE filters SET name = CAST(x'ff41' AS TEXT), description = 5 WHERE id = %s", [spoilt.pk])
    found = models.Filter.objects.filter(name__icontains="новости")
    assert [row.pk for row in found] == [other.pk]
    assert models.Filter.objects.filter(description__icontains="5", is_system=False).count() == 1
