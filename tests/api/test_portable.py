"""Export and import over the API, with our paths and with tvarr's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connections
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from tests.api.conftest import signed_in
from tests.factories import (
    KIND_FACTORIES,
    ClientDetectionRuleFactory,
    EncodingProfileFactory,
    FilterFactory,
)
from tests.portable.files import (
    CLIENTS,
    ENCODINGS,
    EXAMPLES,
    FILTERS,
    client_item,
    document,
    encoded,
    filter_item,
)
from tvarr_backup.models import ClientDetectionRule, Filter
from tvarr_backup.portable.export import MAX_IDS
from tvarr_backup.portable.kinds import KINDS, Kind

pytestmark = pytest.mark.django_db

ROOT = "/api/v1"
NO_ROW = "01JN9Q4T7V8W2X5Y6Z0A1B2C3D"
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.slug)
JSON = "application/json"


def problem(response: Any, status: int, code: str) -> list[tuple[str, str]]:
    """Return pointers and codes of an error answer with this status and code."""
    body = response.json()
    assert (response.status_code, body.get("code")) == (status, code), body
    assert response["Content-Type"] == "application/problem+json"
    return [(found["pointer"], found["code"]) for found in body["errors"]]


def content(response: Any) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else bytes(response.content)


def items(response: Any) -> list[Any]:
    assert response.status_code == 200, response.content
    return list(json.loads(content(response))["items"])


def names(response: Any) -> list[str]:
    return [item["name"] for item in items(response)]


def wrapped(kind: Kind, *of_file: Any, **answers: Any) -> dict[str, Any]:
    return {"export": document(kind, *of_file), **answers}


def form(kind: Kind, *of_file: Any, **answers: Any) -> dict[str, Any]:
    file = SimpleUploadedFile("export.json", json.dumps(document(kind, *of_file)).encode(), JSON)
    return {"file": file, **answers}


# --- Exports ---------------------------------------------------------------------------------------------------------


@every_kind
def test_an_export_is_the_file_that_the_command_writes(
    viewer: APIClient, capfdbinary: pytest.CaptureFixture[bytes], kind: Kind
) -> None:
    KIND_FACTORIES[kind.slug].create_batch(3)
    call_command("portable", "export", kind.slug, "--all")
    by_command = capfdbinary.readouterr().out
    moment = re.compile(rb'"exported_at": "[^"]+"')
    for response in (
        viewer.post(f"{ROOT}/{kind.url_slug}/export", {"all": True}),
        viewer.get(f"{ROOT}/{kind.url_slug}/export?all=true"),
        viewer.post(f"{ROOT}/export/{kind.url_slug}", {}),
    ):
        by_api = content(response)
        assert len(moment.findall(by_api)) == 1
        assert moment.sub(b"", by_api) == moment.sub(b"", by_command)


@every_kind
def test_an_export_is_a_download_with_a_name(viewer: APIClient, kind: Kind) -> None:
    response = viewer.post(f"{ROOT}/{kind.url_slug}/export", {"all": True})
    assert (response.status_code, response["Content-Type"]) == (200, JSON)
    stamp = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d"
    assert re.fullmatch(rf'attachment; filename="tvarr-{kind.url_slug}-{stamp}\.json"', response["Content-Disposition"])
    assert content(response).startswith(b'{\n  "metadata": {\n    "version": "1.0.0",\n')


def test_an_export_is_streamed_in_blocks(viewer: APIClient) -> None:
    FilterFactory.create_batch(1200)
    response = viewer.post(f"{ROOT}/filters/export", {"all": True})
    assert response.streaming
    assert len(list(response)) == 3


def test_ids_select_the_exported_items(viewer: APIClient) -> None:
    one, two, _three = FilterFactory.create_batch(3)
    wanted = [one.name, two.name]
    assert names(viewer.post(f"{ROOT}/filters/export", {"ids": [two.pk, one.pk.lower(), one.pk]})) == wanted
    assert names(viewer.get(f"{ROOT}/filters/export?ids={one.pk}, {two.pk},")) == wanted
    assert names(viewer.post(f"{ROOT}/export/filters", {"ids": [one.pk, two.pk], "export_all": False})) == wanted


@pytest.mark.parametrize(
    ("body", "status", "code", "found"),
    [
        ({}, 400, "invalid", [("", "selection")]),
        ({"all": False}, 400, "invalid", [("", "selection")]),
        ({"ids": [NO_ROW], "all": True}, 400, "invalid", [("", "selection")]),
        ({"ids": []}, 400, "selection_empty", []),
        ({"ids": [], "all": False}, 400, "selection_empty", []),
        ({"ids": [NO_ROW]}, 404, "item_not_found", []),
        ({"ids": ["1"]}, 404, "item_not_found", []),
        ({"ids": NO_ROW}, 400, "invalid", [("/ids", "not_a_list")]),
        ({"ids": [5]}, 400, "invalid", [("/ids/0", "invalid")]),
        ({"ids": None}, 400, "invalid", [("/ids", "null")]),
        ({"ids": [NO_ROW] * (MAX_IDS + 1)}, 400, "invalid", [("/ids", "max_length")]),
        ({"all": "true"}, 400, "invalid", [("/all", "invalid")]),
        ({"export_all": True}, 400, "invalid", [("/export_all", "unknown_member")]),
        ([], 400, "invalid", [("", "invalid")]),
    ],
)
def test_an_invalid_selection_is_refused(
    viewer: APIClient, body: Any, status: int, code: str, found: list[tuple[str, str]]
) -> None:
    assert problem(viewer.post(f"{ROOT}/filters/export", body), status, code) == found


@pytest.mark.parametrize(
    ("query", "status", "code", "found"),
    [
        ("", 400, "invalid", [("", "selection")]),
        ("?all=false", 400, "invalid", [("", "selection")]),
        ("?all=yes", 400, "invalid", [("/all", "invalid_choice")]),
        (f"?all=true&ids={NO_ROW}", 400, "invalid", [("", "selection")]),
        ("?ids=", 400, "selection_empty", []),
        ("?ids=,", 400, "selection_empty", []),
        (f"?ids={NO_ROW}", 404, "item_not_found", []),
        ("?id=1", 400, "invalid", [("/id", "unknown_parameter")]),
    ],
)
def test_a_link_without_a_selection_is_refused(
    viewer: APIClient, query: str, status: int, code: str, found: list[tuple[str, str]]
) -> None:
    assert problem(viewer.get(f"{ROOT}/filters/export{query}"), status, code) == found


def test_a_built_in_row_is_not_exported(viewer: APIClient) -> None:
    row = Filter.objects.filter(is_system=True).first()
    assert row is not None
    response = viewer.post(f"{ROOT}/filters/export", {"ids": [row.pk]})
    assert problem(response, 404, "system_row_selected") == []
    assert row.name in response.json()["detail"]


def test_an_unreadable_row_is_named(viewer: APIClient) -> None:
    row = ClientDetectionRuleFactory.create()
    with connections["tvarr"].cursor() as cursor:
        cursor.execute("UPDATE client_detection_rules SET accepted_video_codecs='h264' WHERE id=%s", [row.pk])
    for path, body in (("client-detection-rules/export", {"all": True}), ("export/client-detection-rules", {})):
        response = viewer.post(f"{ROOT}/{path}", body)
        assert row.name in response["Export-Warnings"]
        assert row.name not in names(response)
    response = viewer.post(f"{ROOT}/client-detection-rules/export", {"ids": [row.pk]})
    assert problem(response, 409, "row_unreadable") == []
    assert row.name in response.json()["detail"]


def test_credentials_and_invalid_expressions_are_named_in_a_header(viewer: APIClient) -> None:
    row = FilterFactory.create(name="Harbour", description="http://gull:feather7@tv.example.test")
    for path in ("filters/export", "bundle/export", "export/filters"):
        body = {"filters": [row.pk]} if path == "bundle/export" else {"ids": [row.pk]}
        response = viewer.post(f"{ROOT}/{path}", body)
        (warning,) = json.loads(response["Export-Warnings"])
        assert warning.startswith('filter "Harbour" (stream): The description may contain credentials')
        assert "feather7" not in warning


def test_the_header_has_only_the_first_warnings(viewer: APIClient) -> None:
    FilterFactory.create_batch(30, expression="oops", name="\N{HIRAGANA LETTER A}" * 80)
    response = viewer.get(f"{ROOT}/filters/export?all=true")
    *_named, rest = json.loads(response["Export-Warnings"])
    assert rest.startswith("Not listed here: 25 more warnings.")
    assert len(response["Export-Warnings"]) < 4096


@pytest.mark.parametrize(
    "body",
    [{}, {"ids": None}, {"ids": []}, {"export_all": True}, {"export_all": True, "ids": [NO_ROW]}, {"$schema": "x"}],
)
def test_on_tvarrs_path_no_ids_means_all_items(viewer: APIClient, body: dict[str, Any]) -> None:
    rows = FilterFactory.create_batch(2)
    assert names(viewer.post(f"{ROOT}/export/filters", body)) == [row.name for row in rows]


def test_on_tvarrs_path_missing_and_built_in_rows_are_ignored(viewer: APIClient) -> None:
    row = FilterFactory.create()
    system = Filter.objects.filter(is_system=True).first()
    assert system is not None
    assert names(viewer.post(f"{ROOT}/export/filters", {"ids": [NO_ROW, system.pk, row.pk]})) == [row.name]
    empty = json.loads(content(viewer.post(f"{ROOT}/export/filters", {"ids": [NO_ROW]})))
    assert (empty["items"], empty["metadata"]["item_count"]) == ([], 0)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"ids": [NO_ROW, "1"]}, [("/ids/1", "invalid_ulid")]),
        ({"ids": ["1"], "export_all": True}, [("/ids/0", "invalid_ulid")]),
        ({"ids": "1"}, [("/ids", "not_a_list")]),
        ({"export_all": 1}, [("/export_all", "invalid")]),
        ({"all": True}, [("/all", "unknown_member")]),
    ],
)
def test_on_tvarrs_path_an_invalid_selection_is_refused(
    viewer: APIClient, body: Any, found: list[tuple[str, str]]
) -> None:
    assert problem(viewer.post(f"{ROOT}/export/filters", body), 400, "invalid") == found


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_call_accepts_a_byte_order_mark(operator: APIClient, encoding: str) -> None:
    file = document(FILTERS, filter_item("Новости"))
    form_file = SimpleUploadedFile("export.json", encoded(file, encoding), JSON)
    for response in (
        operator.post(f"{ROOT}/filters/import?preview=true", encoded({"export": file}, encoding), content_type=JSON),
        operator.post(f"{ROOT}/filters/import?preview=true", {"file": form_file}, format="multipart"),
        operator.post(f"{ROOT}/import/filters/preview", encoded(file, encoding), content_type=JSON),
        operator.post(f"{ROOT}/import/filters", encoded({"export": file}, encoding), content_type=JSON),
    ):
        assert response.status_code == 200
        assert [item.get("name", item.get("original_name")) for item in whole(response)["items"]] == ["Новости"]


def test_an_unsupported_encoding_is_refused(operator: APIClient) -> None:
    body = json.dumps(document(FILTERS, filter_item())).encode("utf-32")
    response = operator.post(f"{ROOT}/import/filters/preview", body, content_type=JSON)
    problem(response, 400, "encoding_unsupported")


@pytest.mark.parametrize("path", ["export/channels", "export/data_mapping_rules", "import/proxies", "import/x/preview"])
def test_an_unknown_kind_is_not_found(operator: APIClient, path: str) -> None:
    assert problem(operator.post(f"{ROOT}/{path}", {}), 404, "not_found") == []


@every_kind
def test_the_number_of_queries_of_an_export_does_not_grow(viewer: APIClient, kind: Kind) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connections["tvarr"]) as queries:
            content(viewer.post(f"{ROOT}/{kind.url_slug}/export", {"all": True}))
        return len(queries)

    KIND_FACTORIES[kind.slug].create()
    few = asked()
    KIND_FACTORIES[kind.slug].create_batch(600)
    assert asked() == few <= 6


# --- Previews --------------------------------------------------------------------------------------------------------


def whole(response: Any) -> Any:
    """Return the JSON of an answer, also of a streamed one."""
    return json.loads(content(response))


TVARRS_PREVIEW = ["total_items", "new_items", "conflicts", "errors", "version_warning"]
TVARRS_RESULT = ["total_items", "imported", "skipped", "overwritten", "renamed", "errors", "imported_items"]


def preview_by_json(client: APIClient, kind: Kind, *of_file: Any) -> Any:
    return client.post(f"{ROOT}/{kind.url_slug}/import?preview=true", wrapped(kind, *of_file))


def preview_by_form(client: APIClient, kind: Kind, *of_file: Any) -> Any:
    return client.post(f"{ROOT}/{kind.url_slug}/import?preview=true", form(kind, *of_file), format="multipart")


def preview_by_tvarr(client: APIClient, kind: Kind, *of_file: Any) -> Any:
    return client.post(f"{ROOT}/import/{kind.url_slug}/preview", document(kind, *of_file))


every_preview = pytest.mark.parametrize("preview", [preview_by_json, preview_by_form, preview_by_tvarr])


@every_kind
@every_preview
def test_a_preview_has_tvarrs_members_first_and_stores_nothing(
    operator: APIClient, preview: Callable[..., Any], kind: Kind
) -> None:
    there = KIND_FACTORIES[kind.slug].create(name="Here Already")
    before = kind.model.all_rows.count()
    file = [EXAMPLES[kind.slug]("Quite New"), EXAMPLES[kind.slug]("Here Already")]
    response = preview(operator, kind, *file)
    assert (response.status_code, response["Content-Type"]) == (200, JSON)
    body = whole(response)
    assert list(body)[:5] == TVARRS_PREVIEW
    assert body["total_items"] == 2
    assert body["new_items"] == [{"name": "Quite New"}]
    assert body["conflicts"] == [
        {
            "import_name": "Here Already",
            "existing_id": there.pk,
            "existing_name": "Here Already",
            "resolution": "skip",
        }
    ]
    assert body["errors"] == []
    assert list(body)[5:] == ["kind", "items", "warnings", "counts", "can_import", "fingerprint"]
    assert [item["state"] for item in body["items"]] == ["new", "different"]
    assert kind.model.all_rows.count() == before


def test_all_previews_are_the_same(operator: APIClient) -> None:
    FilterFactory.create(name="Harbour News")
    file = [filter_item(), filter_item("Other", source_id=NO_ROW, sorce="x")]
    by_json, by_form, by_tvarr = (
        whole(preview(operator, FILTERS, *file)) for preview in (preview_by_json, preview_by_form, preview_by_tvarr)
    )
    assert by_json == by_form == by_tvarr


def test_a_preview_applies_answers(operator: APIClient) -> None:
    FilterFactory.create(name="Harbour News")
    body = wrapped(FILTERS, filter_item(), resolutions={"#1": "rename"}, new_names={"#1": "Port News"})
    plan = whole(operator.post(f"{ROOT}/filters/import?preview=true", body))
    assert [(item["action"], item["final_name"]) for item in plan["items"]] == [("rename", "Port News")]


def test_a_preview_of_an_invalid_item_succeeds(operator: APIClient) -> None:
    plan = whole(preview_by_tvarr(operator, FILTERS, filter_item(expression=None)))
    assert plan["can_import"] is False
    assert plan["errors"][0]["item_name"] == "Harbour News"
    assert plan["errors"][0]["error"].startswith("expression: Expected text")


def test_the_queries_of_a_preview_do_not_grow_with_the_file(operator: APIClient) -> None:
    def asked(number: int) -> int:
        with CaptureQueriesContext(connections["tvarr"]) as queries:
            assert (
                preview_by_json(operator, FILTERS, *[filter_item(f"F{one}") for one in range(number)]).status_code
                == 200
            )
        return len(queries)

    FilterFactory.create(name="F1")
    assert asked(1) == asked(1000) <= 4


# --- Imports ---------------------------------------------------------------------------------------------------------


def import_by_json(client: APIClient, kind: Kind, *of_file: Any, **answers: Any) -> Any:
    return client.post(f"{ROOT}/{kind.url_slug}/import", wrapped(kind, *of_file, **answers))


def import_by_form(client: APIClient, kind: Kind, *of_file: Any, **answers: Any) -> Any:
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in answers.items()}
    return client.post(f"{ROOT}/{kind.url_slug}/import", form(kind, *of_file, **texts), format="multipart")


def import_by_tvarr(client: APIClient, kind: Kind, *of_file: Any, **answers: Any) -> Any:
    return client.post(f"{ROOT}/import/{kind.url_slug}", wrapped(kind, *of_file, **answers))


every_import = pytest.mark.parametrize("import_", [import_by_json, import_by_form, import_by_tvarr])


@every_kind
@every_import
def test_an_import_has_tvarrs_members_first(operator: APIClient, import_: Callable[..., Any], kind: Kind) -> None:
    response = import_(operator, kind, EXAMPLES[kind.slug]("Quite New"))
    assert response.status_code == 200, response.content
    body = response.json()
    row = kind.model.objects.get(name="Quite New")
    assert list(body)[:7] == TVARRS_RESULT
    ours = [] if import_ is import_by_tvarr else ["import_id"]
    assert list(body)[7:] == ["kind", "unchanged", "items", "notes", "restart_required", *ours]
    assert {name: body[name] for name in TVARRS_RESULT[:6]} == {
        "total_items": 1,
        "imported": 1,
        "skipped": 0,
        "overwritten": 0,
        "renamed": 0,
        "errors": 0,
    }
    assert body["imported_items"] == [
        {"original_name": "Quite New", "final_name": "Quite New", "id": row.pk, "action": "created"}
    ]


@every_import
def test_answers_are_applied(operator: APIClient, import_: Callable[..., Any]) -> None:
    for name in ("Kept", "Copied", "Overwritten", "Renamed"):
        FilterFactory.create(name=name, description="Here.")
    file = [filter_item(name, description="From the file.") for name in ("Kept", "Copied", "Overwritten", "Renamed")]
    body = import_(
        operator,
        FILTERS,
        *file,
        resolutions={"Kept": "skip", "#2": "rename"},
        bulk_resolution="overwrite",
        new_names={"Renamed": "Port News"},
    ).json()
    assert [(item["original_name"], item["final_name"], item["action"]) for item in body["imported_items"]] == [
        ("Copied", "Copied (1)", "renamed"),
        ("Overwritten", "Overwritten", "overwritten"),
        ("Renamed", "Port News", "renamed"),
    ]
    assert (body["skipped"], body["overwritten"], body["renamed"]) == (1, 1, 2)
    stored = dict(Filter.objects.filter(is_system=False).values_list("name", "description"))
    assert stored == {
        "Kept": "Here.",
        "Copied": "Here.",
        "Overwritten": "From the file.",
        "Renamed": "Here.",
        "Copied (1)": "From the file.",
        "Port News": "From the file.",
    }


@every_import
def test_references_can_be_mapped_to_local_items(operator: APIClient, import_: Callable[..., Any]) -> None:
    profile = EncodingProfileFactory.create(name="Attic projector")
    item = client_item(encoding_profile_name="Cellar projector")
    response = import_(operator, CLIENTS, item, references={"Cellar projector": "Attic projector"})
    assert response.status_code == 200, response.content
    assert ClientDetectionRule.objects.get(name="Kitchen Tablet").encoding_profile_id == profile.pk


@every_import
def test_an_import_with_an_old_fingerprint_is_refused(operator: APIClient, import_: Callable[..., Any]) -> None:
    file = [filter_item(), filter_item("Other")]
    fingerprint = whole(preview_by_json(operator, FILTERS, *file))["fingerprint"]
    FilterFactory.create(name="Other")
    stale = import_(operator, FILTERS, *file, fingerprint=fingerprint)
    assert problem(stale, 409, "plan_stale") == []
    plan = stale.json()["plan"]
    assert list(plan)[:5] == TVARRS_PREVIEW
    assert [item["state"] for item in plan["items"]] == ["new", "different"]
    assert not Filter.objects.filter(name="Harbour News").exists()
    assert import_(operator, FILTERS, *file, fingerprint=plan["fingerprint"]).status_code == 200


def test_empty_answers_of_tvarrs_clients_are_accepted(operator: APIClient) -> None:
    body = wrapped(FILTERS, filter_item(), resolutions={}, bulk_resolution="")
    body["export"]["$schema"] = "http://tvarr.example.test/schemas/ConfigExport.json"
    body["$schema"] = "http://tvarr.example.test/schemas/ImportRequest.json"
    assert operator.post(f"{ROOT}/import/filters", body).json()["imported"] == 1
    nulls = wrapped(FILTERS, filter_item("Other"), **dict.fromkeys(["resolutions", "bulk_resolution", "fingerprint"]))
    assert operator.post(f"{ROOT}/import/filters", nulls).json()["imported"] == 1


def test_a_form_may_call_its_answers_conflicts(operator: APIClient) -> None:
    FilterFactory.create(name="Harbour News")
    body = form(FILTERS, filter_item(), conflicts='{"Harbour News": "rename"}')
    assert operator.post(f"{ROOT}/filters/import", body, format="multipart").json()["renamed"] == 1


@every_kind
def test_importing_an_export_changes_nothing(operator: APIClient, kind: Kind) -> None:
    KIND_FACTORIES[kind.slug].create_batch(3)
    file = content(operator.post(f"{ROOT}/export/{kind.url_slug}", {}))
    plan = whole(operator.post(f"{ROOT}/import/{kind.url_slug}/preview", file, content_type=JSON))
    assert [item["state"] for item in plan["items"]] == ["identical"] * 3
    result = operator.post(f"{ROOT}/import/{kind.url_slug}", b'{"export":' + file + b"}", content_type=JSON).json()
    assert (result["unchanged"], result["skipped"], result["imported"]) == (3, 3, 0)


@pytest.mark.sqlite  # batches of another database have another size
def test_a_thousand_items_are_imported_with_a_fixed_number_of_queries(operator: APIClient) -> None:
    def asked(*file: Any, **answers: Any) -> int:
        with CaptureQueriesContext(connections["tvarr"]) as queries:
            assert import_by_json(operator, FILTERS, *file, **answers).status_code == 200
        return len(queries)

    thousand = [filter_item(f"F{number}") for number in range(1000)]
    new = asked(*thousand)
    changed = [item | {"description": "New."} for item in thousand]
    over = asked(*changed, bulk_resolution="overwrite")
    same = asked(*changed)
    assert Filter.objects.filter(description="New.").count() == 1000
    # Five that read, two around the transaction, and one for each batch of rows. What an undo needs takes one for the columns,
    # and two before and after the writing.
    # The history takes 20 before each import (two readings of all kinds), and five for the written rows.
    assert (new, over, same) == (7 + 12 + 5 + 25, 7 + 12 + 5 + 25, 7 + 20)


# --- Errors ----------------------------------------------------------------------------------------------------------


@every_import
@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"resolutions": {"Harbour News": "merge"}}, 'Expected "skip", "rename" or "overwrite" for'),
        ({"resolutions": {"Harbour News": ""}}, 'Expected "skip", "rename" or "overwrite" for'),
        ({"resolutions": {"Harbour News": "SKIP"}}, 'Expected "skip", "rename" or "overwrite" for'),
        ({"bulk_resolution": "merge"}, 'Expected "skip", "rename" or "overwrite" for all other items, got'),
        ({"resolutions": {"Nobody": "skip"}}, "The file has no item"),
        ({"new_names": {"#2": "Port"}}, "The file has no item"),
        ({"new_names": {"#1": "P"}, "resolutions": {"#1": "skip"}}, 'Expected "rename" for'),
        ({"references": {"Cellar": "Attic"}}, "No item of the file refers to"),
    ],
)
def test_an_answer_that_matches_nothing_is_refused(
    operator: APIClient, import_: Callable[..., Any], answers: dict[str, Any], words: str
) -> None:
    response = import_(operator, FILTERS, filter_item(), **answers)
    assert problem(response, 400, "answer_invalid") == []
    assert words in response.json()["detail"]
    assert not Filter.objects.filter(is_system=False).exists()


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ({"resolutions": []}, [("/resolutions", "not_a_dict")]),
        ({"resolutions": "skip"}, [("/resolutions", "not_a_dict")]),
        ({"resolutions": {"Harbour News": 5}}, [("/resolutions/Harbour News", "invalid")]),
        ({"resolutions": {"Harbour News": {"a": 1}}}, [("/resolutions/Harbour News", "invalid")]),
        ({"bulk_resolution": 5}, [("/bulk_resolution", "invalid")]),
        ({"new_names": {"Harbour News": ["x"]}}, [("/new_names/Harbour News", "invalid")]),
        ({"new_names": {"Harbour News": "a\0b"}}, [("/new_names/Harbour News", "null_characters_not_allowed")]),
        ({"fingerprint": 5}, [("/fingerprint", "invalid")]),
        ({"conflicts": {}}, [("/conflicts", "unknown_member")]),
        ({"x": [[[]]]}, [("/x", "unknown_member")]),
    ],
)
def test_an_answer_of_another_type_is_refused(
    operator: APIClient, answers: dict[str, Any], found: list[tuple[str, str]]
) -> None:
    for path in ("filters/import", "import/filters"):
        response = operator.post(f"{ROOT}/{path}", wrapped(FILTERS, filter_item(), **answers))
        assert problem(response, 400, "invalid") == found


@pytest.mark.parametrize(("import_", "place"), [(import_by_json, "/export"), (import_by_form, "/file"), (import_by_tvarr, "/export")])  # fmt: skip
def test_invalid_items_have_their_pointers(operator: APIClient, import_: Callable[..., Any], place: str) -> None:
    file = [filter_item(), filter_item("Two", expression=None), filter_item("Three", source_type=None, action="")]
    response = import_(operator, FILTERS, *file)
    assert problem(response, 422, "import_blocked") == [
        (f"{place}/items/1/expression", "required"),
        (f"{place}/items/2/source_type", "required"),
    ]
    assert "expression: Expected text, got nothing." in response.json()["detail"]
    assert response.json()["errors"][1]["detail"] == 'Expected "stream" or "epg", got nothing.'
    assert not Filter.objects.filter(is_system=False).exists()


@pytest.mark.parametrize(
    ("call", "place"),
    [(import_by_json, "/export"), (import_by_form, "/file"), (import_by_tvarr, "/export"), (preview_by_json, "/export"), (preview_by_form, "/file"), (preview_by_tvarr, "")],
)  # fmt: skip
def test_members_of_another_type_have_their_pointers(operator: APIClient, call: Callable[..., Any], place: str) -> None:
    response = call(operator, FILTERS, filter_item() | {"name": 5}, "x", filter_item(expression=[]))
    assert problem(response, 422, "member_invalid") == [
        (f"{place}/items/0/name", "member_invalid"),
        (f"{place}/items/1", "member_invalid"),
        (f"{place}/items/2/expression", "member_invalid"),
    ]
    assert response.json()["errors"][0]["detail"] == "Expected text, got 5."


def test_an_error_does_not_repeat_the_file(operator: APIClient) -> None:
    long = "x" * 10_000
    for item in (filter_item(long, expression=None), filter_item(source_type=[long]), filter_item() | {"name": [long]}):
        response = import_by_json(operator, FILTERS, item)
        assert response.status_code == 422
        assert "x" * 300 not in response.content.decode()


@every_preview
@pytest.mark.parametrize(
    ("metadata", "status", "code"),
    [
        ({"version": "2.0.0"}, 400, "version_unsupported"),
        ({"version": 1}, 400, "not_an_export"),
        ({"export_type": "encoding_profiles"}, 400, "wrong_kind"),
        ({"item_count": "x"}, 422, "member_invalid"),
    ],
)
def test_a_file_of_another_format_or_kind_is_refused(
    operator: APIClient, preview: Callable[..., Any], metadata: dict[str, Any], status: int, code: str
) -> None:
    file = {**document(FILTERS, filter_item(), **metadata)}
    if preview is preview_by_tvarr:
        response = operator.post(f"{ROOT}/import/filters/preview", file)
    elif preview is preview_by_json:
        response = operator.post(f"{ROOT}/filters/import?preview=true", {"export": file})
    else:
        upload = SimpleUploadedFile("x.json", json.dumps(file).encode())
        response = operator.post(f"{ROOT}/filters/import?preview=true", {"file": upload}, format="multipart")
    problem(response, status, code)


WRAPPED = [f"{ROOT}/filters/import", f"{ROOT}/import/filters"]
BODIES = [*WRAPPED, f"{ROOT}/import/filters/preview"]
DOCUMENT = json.dumps(document(FILTERS, filter_item())).encode()


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        (b"", 400, "not_json", "no body"),
        (b"  ", 400, "not_json", "empty"),
        (b"{", 400, "not_json", "Line 1, column 2: the JSON is incomplete."),
        (b'{\n "export": nope}', 400, "not_json", "Line 2, column 13: this is not valid JSON."),
        (b'{"export": NaN}', 400, "not_json", "this is not valid JSON"),
        (b'{"export": "\xff"}', 400, "not_json", "Line 1, column 13: this is not valid UTF-8."),
        (b'{"export": "\\ud800"}', 400, "not_json", "unpaired surrogate"),
        (b'{"a": 1, "a": 2}', 400, "not_json", "appears twice in one object"),
        (b"{} {}", 400, "not_json", "more text after the JSON"),
        (b'{"x": ' + b"[" * 33 + b"]" * 33 + b"}", 413, "file_too_large", "more than 32 levels of nesting"),
        (b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 413, "file_too_large", "more than 32 levels of nesting"),
        (b'{"x": ' + b"9" * 10_000 + b"}", 400, "not_json", "too many digits"),
        (b"[]", 400, "not_an_export", "a list"),
        (b"null", 400, "not_an_export", "null"),
        (b"5", 400, "not_an_export", "a number"),
        (b"{}", 400, "not_an_export", ""),
        (b"\x1f\x8b\x08", 400, "backup_not_export", "compressed file, perhaps a backup"),
        (b"SQLite format 3\0", 400, "backup_not_export", "an SQLite database"),
    ],
)  # fmt: skip
def test_an_invalid_body_is_refused(
    operator: APIClient, path: str, body: bytes, status: int, code: str, words: str
) -> None:
    response = operator.post(path, body, content_type=JSON)
    assert problem(response, status, code) == []
    assert words in response.json()["detail"]


@pytest.mark.parametrize("path", WRAPPED)
@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        (b'{"export": null}', 400, "not_an_export", ", got null."),
        (b'{"export": []}', 400, "not_an_export", ", got a list."),
        (b'{"export": {}}', 400, "not_an_export", 'no object "metadata"'),
        (b'{"resolutions": {}}', 400, "not_an_export", 'The member "export" with the export is missing.'),
        (DOCUMENT, 400, "not_an_export", "This looks like the export itself. Send it as that member."),
        (b'{"export": ' + DOCUMENT, 400, "not_json", "the JSON is incomplete"),
        (b'{"export": ' + DOCUMENT + b', "export": {}}', 400, "not_json", "appears twice in one object"),
        (b'{"export": ' + DOCUMENT.replace(b'"name"', b'"action": "x", "name"') + b"}", 400, "not_json", "appears twice in one object"),
    ],
)  # fmt: skip
def test_a_wrapped_file_is_read_as_strictly_as_a_file(
    operator: APIClient, path: str, body: bytes, status: int, code: str, words: str
) -> None:
    response = operator.post(path, body, content_type=JSON)
    assert problem(response, status, code) == []
    assert words in response.json()["detail"]


@pytest.mark.parametrize("path", WRAPPED)
def test_the_members_of_a_request_may_come_in_any_order_and_after_a_byte_order_mark(
    operator: APIClient, path: str
) -> None:
    FilterFactory.create(name="Harbour News")
    body = b'\xef\xbb\xbf{"bulk_resolution": "skip", "export": ' + DOCUMENT + b', "resolutions": {"#1": "rename"}}'
    assert operator.post(path, body, content_type=JSON).json()["renamed"] == 1


@pytest.mark.parametrize("path", BODIES)
def test_a_body_over_the_limit_is_refused_before_it_is_read(operator: APIClient, settings: Any, path: str) -> None:
    settings.API_BODY_BYTES = 1000
    response = operator.post(path, b'{"x": "' + b"x" * 1000 + b'"}', content_type=JSON)
    assert problem(response, 413, "request_too_large") == []


def test_a_form_over_the_limit_is_refused(operator: APIClient, settings: Any) -> None:
    settings.API_BODY_BYTES = 1000
    response = operator.post(f"{ROOT}/filters/import", form(FILTERS, filter_item("x" * 1000)), format="multipart")
    assert problem(response, 413, "request_too_large") == []


def test_a_file_of_several_mebibytes_is_accepted(operator: APIClient) -> None:
    file = [filter_item(f"F{number}", description="x" * 1000) for number in range(3000)]
    assert whole(preview_by_json(operator, FILTERS, *file))["total_items"] == 3000
    assert whole(preview_by_form(operator, FILTERS, *file))["total_items"] == 3000


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/gzip", "nonsense"]
)
def test_another_type_of_content_is_refused(operator: APIClient, path: str, content_type: str) -> None:
    response = operator.post(path, DOCUMENT, content_type=content_type)
    assert problem(response, 415, "unsupported_media_type") == []


@pytest.mark.parametrize("path", BODIES[1:])
def test_tvarrs_paths_accept_no_forms(operator: APIClient, path: str) -> None:
    response = operator.post(path, form(FILTERS, filter_item()), format="multipart")
    assert problem(response, 415, "unsupported_media_type") == []


# --- Forms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"resolutions": "{"}, [("/resolutions", "not_json")]),
        ({"resolutions": "NaN"}, [("/resolutions", "not_json")]),
        ({"resolutions": '{"a": "skip", "a": "rename"}'}, [("/resolutions", "not_json")]),
        ({"resolutions": "[" * 40 + "]" * 40}, [("/resolutions", "not_json")]),
        ({"resolutions": "[]"}, [("/resolutions", "not_a_dict")]),
        ({"resolutions": ""}, [("/resolutions", "not_json")]),
        ({"new_names": '{"#1": 5}'}, [("/new_names/#1", "invalid")]),
        ({"resolutions": "{}", "conflicts": "{}"}, [("/conflicts", "twice")]),
        ({"bulk_resolution": ["skip", "skip"]}, [("/bulk_resolution", "twice")]),
        ({"x": "1"}, [("/x", "unknown_member")]),
        ({"file": "text"}, [("/file", "required")]),
        ({"file": None}, [("/file", "required")]),
        ({"other": SimpleUploadedFile("x", b"x")}, [("/other", "unknown_member")]),
        ({"resolutions": SimpleUploadedFile("x", b"{}")}, [("/resolutions", "unknown_member")]),
    ],
)
def test_an_invalid_form_is_refused(operator: APIClient, changes: dict[str, Any], found: list[tuple[str, str]]) -> None:
    body = {name: value for name, value in (form(FILTERS, filter_item()) | changes).items() if value is not None}
    response = operator.post(f"{ROOT}/filters/import", body, format="multipart")
    assert problem(response, 400, "invalid") == found
    assert not Filter.objects.filter(is_system=False).exists()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"x", "multipart/form-data"),
        (b"x", "multipart/form-data; boundary="),
        (b"x", "multipart/form-data; boundary=x"),
        (b"--x\r\n\r\nx", "multipart/form-data; boundary=x"),
        (b"--x\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\n{", "multipart/form-data; boundary=x"),
        (b'--x\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n{}\r\n--x--\r\n', "multipart/form-data; boundary=x"),
        (b'--x\r\nContent-Disposition: form-data; name="file"\r\nContent-Transfer-Encoding: base64\r\n\r\n=\r\n--x--\r\n', "multipart/form-data; boundary=x"),
    ],
)  # fmt: skip
def test_a_broken_form_is_refused(operator: APIClient, body: bytes, content_type: str) -> None:
    response = operator.post(f"{ROOT}/filters/import", body, content_type=content_type)
    assert response.status_code == 400, response.content
    assert response["Content-Type"] == "application/problem+json"


def test_a_form_of_too_many_fields_is_refused(operator: APIClient) -> None:
    body = form(FILTERS, filter_item()) | {f"x{number}": "1" for number in range(1100)}
    response = operator.post(f"{ROOT}/filters/import", body, format="multipart")
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"


def test_the_file_of_a_form_is_read_as_strictly_as_any(operator: APIClient) -> None:
    for raw, code in ((b"", "not_json"), (b"\x1f\x8b", "backup_not_export"), (b"{}", "not_an_export")):
        body = {"file": SimpleUploadedFile("x.json", raw)}
        response = operator.post(f"{ROOT}/filters/import", body, format="multipart")
        assert problem(response, 400, code) == []


# --- Parameters and permissions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("filters/import?preview=yes", [("/preview", "invalid_choice")]),
        ("filters/import?preview=", [("/preview", "invalid_choice")]),
        ("filters/import?dry_run=true", [("/dry_run", "unknown_parameter")]),
        ("import/filters?preview=true", [("/preview", "unknown_parameter")]),
        ("import/filters/preview?x=1", [("/x", "unknown_parameter")]),
        ("filters/export?all=true", [("/all", "unknown_parameter")]),
        ("export/filters?all=true", [("/all", "unknown_parameter")]),
    ],
)
def test_unknown_parameters_are_refused(operator: APIClient, path: str, found: list[tuple[str, str]]) -> None:
    assert problem(operator.post(f"{ROOT}/{path}", wrapped(FILTERS, filter_item())), 400, "invalid") == found
    assert not Filter.objects.filter(is_system=False).exists()


@every_kind
def test_a_viewer_exports_and_imports_nothing(viewer: APIClient, kind: Kind) -> None:
    item = EXAMPLES[kind.slug]("Quite New")
    for call in (preview_by_json, preview_by_form, preview_by_tvarr, import_by_json, import_by_form, import_by_tvarr):
        assert problem(call(viewer, kind, item), 403, "permission_denied") == []
    assert not kind.model.objects.filter(name="Quite New").exists()


@every_kind
def test_without_permission_nothing_is_exported(unprivileged: APIClient, kind: Kind) -> None:
    for response in (
        unprivileged.get(f"{ROOT}/{kind.url_slug}/export?all=true"),
        unprivileged.post(f"{ROOT}/{kind.url_slug}/export", {"all": True}),
        unprivileged.post(f"{ROOT}/export/{kind.url_slug}", {}),
    ):
        assert problem(response, 403, "permission_denied") == []


def test_it_requires_a_user(db: None) -> None:
    client = APIClient()
    for path in ("filters/export", "filters/import", "export/filters", "import/filters", "import/filters/preview"):
        assert problem(client.post(f"{ROOT}/{path}", {}), 401, "not_authenticated") == []


def test_the_permission_to_import_is_enough(db: None) -> None:
    client = signed_in({"access.import_configuration"})
    assert import_by_json(client, FILTERS, filter_item()).status_code == 200


def test_other_methods_are_refused(operator: APIClient) -> None:
    for path in ("filters/import", "export/filters", "import/filters", "import/filters/preview"):
        assert problem(operator.get(f"{ROOT}/{path}"), 405, "method_not_allowed") == []
    assert problem(operator.delete(f"{ROOT}/filters/export"), 405, "method_not_allowed") == []


def test_head_returns_the_headers_of_an_export(viewer: APIClient) -> None:
    response = viewer.head(f"{ROOT}/filters/export?all=true")
    assert response.status_code == 200
    assert "attachment" in response["Content-Disposition"]
