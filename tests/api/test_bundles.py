"""Export and import of several kinds with the API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.api.backup_parts import administrator, problem
from tests.portable.files import CLIENTS, FILTERS, PROFILES, bundle, client_item, document, filter_item, profile_item
from tvarr_backup.models import ClientDetectionRule, EncodingProfile, Filter

pytestmark = pytest.mark.django_db

EXPORT, IMPORT = "/api/v1/bundle/export", "/api/v1/bundle/import"
BUNDLE = bundle(
    (FILTERS, [filter_item("One")]),
    (CLIENTS, [client_item(encoding_profile_name="Tablet HEVC")]),
    (PROFILES, [profile_item("Tablet HEVC")]),
)


def send(query: str = "", value: Any = BUNDLE, **more: Any) -> Any:
    return administrator().post(f"{IMPORT}{query}", {"export": value, **more})


def exported(**selection: Any) -> dict[str, Any]:
    answer = administrator().post(EXPORT, selection)
    assert answer.status_code == 200, answer.content
    value: dict[str, Any] = json.loads(answer.getvalue())["sections"]
    return value


def test_a_bundle_is_previewed_imported_exported_and_undone() -> None:
    shown = send("?preview=true").json()
    assert [(part["kind"], part["counts"]["create"]) for part in shown["parts"]] == [
        ("encoding_profiles", 1),
        ("filters", 1),
        ("client_detection_rules", 1),
    ]
    assert not Filter.objects.filter(is_system=False).exists()
    done = send(fingerprint=shown["fingerprint"]).json()
    assert [part["imported"] for part in done["parts"]] == [1, 1, 1]
    assert exported(filters=None, client_detection_rules=None, encoding_profiles=None) == BUNDLE["sections"]
    undone = administrator().post(f"/api/v1/imports/{done['import_id']}/undo", {}).json()
    assert (undone["removed"], {item["kind"] for item in undone["items"]}) == (3, set(BUNDLE["sections"]))


def test_a_file_in_a_form_is_imported() -> None:
    file = SimpleUploadedFile("all.json", json.dumps(BUNDLE).encode())
    answer = administrator().post(IMPORT, {"file": file, "resolutions": '{"filters/#1": "skip"}'}, format="multipart")
    assert [part["imported"] for part in answer.json()["parts"]] == [1, 0, 1]


def test_a_file_of_one_kind_is_accepted() -> None:
    assert [part["kind"] for part in send(value=document(FILTERS, filter_item())).json()["parts"]] == ["filters"]


def test_invalid_items_are_named_by_section() -> None:
    answer = send(value=bundle((FILTERS, [filter_item("One")]), (PROFILES, [profile_item(""), profile_item("")])))
    problem(answer, 422, "import_blocked")
    assert "/export/sections/encoding_profiles/0/name" in {error["pointer"] for error in answer.json()["errors"]}
    answer = send(value=bundle((FILTERS, [filter_item() | {"name": 1}])))
    problem(answer, 422, "member_invalid")
    assert answer.json()["errors"][0]["pointer"] == "/export/sections/filters/0/name"


def test_a_stale_plan_comes_back_with_the_new_one() -> None:
    shown = send("?preview=true").json()
    EncodingProfile.objects.create(**profile_item("Tablet HEVC", quality_preset="high"))
    answer = send(fingerprint=shown["fingerprint"])
    problem(answer, 409, "plan_stale")
    assert answer.json()["plan"]["counts"] == {"create": 2, "skip": 1, "rename": 0, "overwrite": 0, "blocked": 0}


def test_the_profiles_of_rules_are_added_unless_they_are_left_out() -> None:
    send()
    rule = ClientDetectionRule.objects.get(name="Kitchen Tablet").pk
    assert list(exported(client_detection_rules=[rule])) == ["encoding_profiles", "client_detection_rules"]
    assert list(exported(client_detection_rules=[rule], with_profiles=False)) == ["client_detection_rules"]


def test_nothing_selected_is_refused() -> None:
    problem(administrator().post(EXPORT, {}), 400, "selection_empty")
    problem(administrator().post(EXPORT, {"relays": None}), 400, "invalid")
