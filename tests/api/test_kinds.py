"""The kinds over the API: lists, single items, concurrent changes, and errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext, isolate_apps
from factory.django import DjangoModelFactory
from rest_framework.test import APIClient

from tests.factories import (
    KIND_FACTORIES,
    ClientDetectionRuleFactory,
    DataMappingRuleFactory,
    EncodingProfileFactory,
    FilterFactory,
    ProxyFilterFactory,
    StreamProxyFactory,
)
from tests.tvarr_own import MAPPING_ID
from tvarr_backup.api.examples import row_examples
from tvarr_backup.api.items import build_serializer
from tvarr_backup.api.queries import build_filters
from tvarr_backup.fields import FlagColumn, IntegerColumn, TextChoiceColumn
from tvarr_backup.models import ClientDetectionRule, DataMappingRule, EncodingProfile, Filter, PortableRow, SourceType
from tvarr_backup.portable.kinds import KINDS, Kind, Member, Slug

pytestmark = pytest.mark.django_db

ROOT = "/api/v1"
FACTORIES: Mapping[str, type[DjangoModelFactory[Any]]] = {
    KINDS[slug].url_slug: factory for slug, factory in KIND_FACTORIES.items()
}
RECORD = ["is_system", "created_at", "updated_at", "warnings"]
CHANGED = [*RECORD, "restart_required"]
NO_ROW = "01JN9Q4T7V8W2X5Y6Z0A1B2C3D"

NEW: Mapping[str, dict[str, Any]] = {
    kind.url_slug: {name: value for name, value in row_examples(kind)[0].items() if name in kind.required}
    for kind in KINDS.values()
}
"""Bodies with only the required members."""

every_kind = pytest.mark.parametrize("tag", FACTORIES)


def problem(response: Any, status: int, code: str) -> list[tuple[str, str]]:
    """Return pointers and codes of an error answer with this status and code."""
    body = response.json()
    assert (response.status_code, body.get("code")) == (status, code), body
    assert response["Content-Type"] == "application/problem+json"
    return [(found["pointer"], found["code"]) for found in body["errors"]]


def names(response: Any) -> list[str]:
    assert response.status_code == 200, response.json()
    return [row["name"] for row in response.json()["results"]]


def system_row(tag: str) -> Any:
    return FACTORIES[tag]._meta.model.objects.filter(is_system=True).order_by("id").first()


# --- A kind ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def fifth() -> Iterator[Kind]:
    """A kind that has only a model and an entry in the table of kinds."""
    with isolate_apps("tvarr_backup"):

        class Jingle(PortableRow):
            station = TextChoiceColumn(choices=SourceType.choices, default=SourceType.EPG)
            loudness = IntegerColumn(null=True, default=7)
            is_short = FlagColumn(default=True)

            class Meta(PortableRow.Meta):
                app_label = "tvarr_backup"

        yield Kind(Slug.FILTERS, Jingle, (Member("name"), Member("station", default="epg")))


def test_the_members_of_a_kind_are_the_columns_of_its_model(fifth: Kind) -> None:
    fields = build_serializer(fifth)().fields

    assert list(fields) == ["id", "name", "description", "station", "loudness", "is_short", *RECORD]
    assert [name for name, field in fields.items() if field.required] == ["name"]
    assert (fields["station"].default, fields["loudness"].default, fields["is_short"].default) == ("epg", 7, True)


def test_a_kind_is_filtered_by_its_name_its_choices_and_its_flags(fifth: Kind) -> None:
    assert set(build_filters(fifth).base_filters) == {"name", "station", "is_short", "is_system"}


# --- One row ---------------------------------------------------------------------------------------------------------


@every_kind
def test_a_row_is_added_with_tvarrs_defaults(operator: APIClient, tag: str) -> None:
    response = operator.post(f"{ROOT}/{tag}", NEW[tag])
    assert response.status_code == 201, response.json()
    body = response.json()
    assert list(body)[:2] == ["id", "name"]
    assert list(body)[-5:] == CHANGED
    assert (body["name"], body["is_system"], body["warnings"]) == (NEW[tag]["name"], False, [])
    assert response["Location"] == f"{ROOT}/{tag}/{body['id']}"
    row = FACTORIES[tag]._meta.model.objects.get(pk=body["id"])
    assert body["created_at"] == row.created_at.isoformat().replace("+00:00", "Z")


@every_kind
def test_an_added_row_is_read_as_it_was_answered(operator: APIClient, tag: str) -> None:
    added = operator.post(f"{ROOT}/{tag}", NEW[tag])
    read = operator.get(added["Location"])
    assert read.json() | {"restart_required": False} == added.json()
    assert read["ETag"] == added["ETag"]


@every_kind
def test_an_answer_can_be_sent_back_and_changes_nothing(operator: APIClient, tag: str) -> None:
    row = FACTORIES[tag].create()
    read = operator.get(f"{ROOT}/{tag}/{row.pk}")
    response = operator.put(f"{ROOT}/{tag}/{row.pk}", read.json())
    assert (response.status_code, response.json()) == (200, read.json() | {"restart_required": False})
    assert response["ETag"] == read["ETag"]
    assert operator.put(f"{ROOT}/{tag}/{row.pk}", response.json() | {"restart_required": True}).status_code == 200


def test_every_member_of_a_filter_is_stored(operator: APIClient) -> None:
    sent = {
        "name": "Tides",
        "description": "When to go out.",
        "source_type": "epg",
        "action": "exclude",
        "expression": 'programme_title contains "Tides"',
        "source_id": NO_ROW.lower(),
    }
    body = operator.post(f"{ROOT}/filters", sent).json()
    assert list(body) == ["id", *sent, *CHANGED]
    assert {name: body[name] for name in sent} == sent | {"source_id": NO_ROW}
    row = Filter.objects.get(pk=body["id"])
    assert {name: getattr(row, name) for name in sent} == sent | {"source_id": NO_ROW}


def test_every_member_of_a_mapping_rule_is_stored(operator: APIClient) -> None:
    sent = {
        "name": "Coast",
        "description": "One group.",
        "source_type": "stream",
        "expression": 'channel_name contains "Lighthouse" SET group_title = "Coast"',
        "priority": -(2**63),
        "stop_on_match": True,
        "is_enabled": False,
        "source_id": None,
    }
    body = operator.post(f"{ROOT}/data-mapping-rules", sent).json()
    assert list(body) == ["id", *sent, *CHANGED]
    row = DataMappingRule.objects.get(pk=body["id"])
    assert {name: getattr(row, name) for name in sent} == sent == {name: body[name] for name in sent}


def test_every_member_of_a_client_rule_is_stored(operator: APIClient) -> None:
    profile = EncodingProfileFactory.create(name="Attic projector")
    sent = {
        "name": "Kitchen tablet",
        "description": "On the wall.",
        "expression": '@dynamic(request.headers):user-agent contains "KitchenTablet"',
        "priority": 5,
        "is_enabled": False,
        "accepted_video_codecs": ["h264", "hevc"],
        "accepted_audio_codecs": [],
        "preferred_video_codec": "h264",
        "preferred_audio_codec": "aac",
        "supports_fmp4": True,
        "supports_mpegts": False,
        "preferred_format": "hls-fmp4",
        "encoding_profile": profile.pk,
    }
    body = operator.post(f"{ROOT}/client-detection-rules", sent).json()
    assert list(body) == ["id", *sent, "encoding_profile_name", *CHANGED]
    assert body["encoding_profile_name"] == "Attic projector"
    row = ClientDetectionRule.objects.get(pk=body["id"])
    assert row.encoding_profile_id == profile.pk
    plain = {name: value for name, value in sent.items() if name != "encoding_profile"}
    assert {name: getattr(row, name) for name in plain} == plain


def test_every_member_of_a_profile_is_stored(operator: APIClient) -> None:
    sent = {
        "name": "Attic projector",
        "description": "Loud fan.",
        "target_video_codec": "copy",
        "target_audio_codec": "",
        "quality_preset": "",
        "hw_accel": "qsv",
        "global_flags": "-hide_banner",
        "input_flags": "",
        "output_flags": "-c copy",
        "enabled": False,
    }
    body = operator.post(f"{ROOT}/encoding-profiles", sent).json()
    assert list(body) == ["id", *sent, "is_default", *CHANGED]
    row = EncodingProfile.objects.get(pk=body["id"])
    assert {name: getattr(row, name) for name in sent} == sent == {name: body[name] for name in sent}


def test_a_whole_number_may_have_a_fraction_of_zero(operator: APIClient) -> None:
    body = operator.post(f"{ROOT}/data-mapping-rules", NEW["data-mapping-rules"] | {"priority": 5.0}).json()
    assert (body["priority"], type(body["priority"])) == (5, int)


def test_warnings_are_in_the_answer(operator: APIClient) -> None:
    sent = NEW["filters"] | {"expression": 'chanel_name contains "BBC"'}
    body = operator.post(f"{ROOT}/filters", sent).json()
    (warning,) = body["warnings"]
    assert (warning["field"], warning["code"], warning["column"]) == ("expression", "unknown_field", 1)
    assert "chanel_name" in warning["message"]


@every_kind
@pytest.mark.parametrize("row_id", [NO_ROW, "1", "IIIIIIIIIIIIIIIIIIIIIIIIII", "0" * 26, "%00", "..%2f..", "é" * 26])
def test_an_id_that_no_row_has_is_not_found(operator: APIClient, tag: str, row_id: str) -> None:
    for call in (operator.get, operator.put, operator.patch, operator.delete):
        assert problem(call(f"{ROOT}/{tag}/{row_id}"), 404, "not_found") == []


@every_kind
def test_a_row_that_tvarr_has_marked_as_deleted_is_not_found(operator: APIClient, tag: str) -> None:
    row = FACTORIES[tag].create()
    row.mark_deleted()
    assert problem(operator.get(f"{ROOT}/{tag}/{row.pk}"), 404, "not_found") == []


def test_an_id_in_small_letters_is_the_same_id(viewer: APIClient) -> None:
    row = FilterFactory.create()
    assert viewer.get(f"{ROOT}/filters/{row.pk.lower()}").json()["id"] == row.pk


# --- Changing --------------------------------------------------------------------------------------------------------


def test_a_change_keeps_other_members(operator: APIClient) -> None:
    row = FilterFactory.create(name="Harbour", description="Old.")
    body = operator.patch(f"{ROOT}/filters/{row.pk}", {"description": "New."}).json()
    assert (body["name"], body["description"]) == ("Harbour", "New.")


def test_a_replacement_resets_missing_members(operator: APIClient) -> None:
    row = DataMappingRuleFactory.create(description="Old.", priority=7, is_enabled=False)
    body = operator.put(f"{ROOT}/data-mapping-rules/{row.pk}", NEW["data-mapping-rules"]).json()
    assert (body["description"], body["priority"], body["is_enabled"]) == ("", 0, True)


@pytest.mark.parametrize("method", ["put", "patch"])
def test_only_columns_that_differ_are_written(operator: APIClient, method: str) -> None:
    row = FilterFactory.create()
    sent = operator.get(f"{ROOT}/filters/{row.pk}").json() | {"description": "New."}
    with CaptureQueriesContext(connections["tvarr"]) as queries:
        assert getattr(operator, method)(f"{ROOT}/filters/{row.pk}", sent).status_code == 200
    (update,) = [query["sql"] for query in queries if query["sql"].startswith("UPDATE")]
    assert update.split(" WHERE ")[0].count(" = ") == 2
    assert '"description" = ' in update
    assert '"updated_at" = ' in update


def test_a_change_that_changes_nothing_writes_nothing(operator: APIClient) -> None:
    row = FilterFactory.create()
    response = operator.patch(f"{ROOT}/filters/{row.pk}", {"name": row.name})
    assert response.status_code == 200
    assert Filter.objects.get(pk=row.pk).updated_at == row.updated_at


def test_flags_that_tvarr_has_stored_as_null_are_true_and_stay_null_when_sent_back(operator: APIClient) -> None:
    row = ClientDetectionRuleFactory.create()
    with connections["tvarr"].cursor() as cursor:
        cursor.execute(
            "UPDATE client_detection_rules SET is_enabled=NULL, supports_fmp4=NULL, priority=NULL WHERE id=%s", [row.pk]
        )
    address = f"{ROOT}/client-detection-rules/{row.pk}"
    body = operator.get(address).json()
    assert (body["is_enabled"], body["supports_fmp4"], body["priority"]) == (True, True, 0)
    assert operator.patch(address, {"is_enabled": True, "supports_mpegts": False}).status_code == 200
    with connections["tvarr"].cursor() as cursor:
        cursor.execute("SELECT is_enabled, supports_mpegts FROM client_detection_rules WHERE id=%s", [row.pk])
        assert cursor.fetchone() == (None, 0)


def test_an_unreadable_list_of_codecs_is_shown_as_tvarr_reads_it_and_can_be_fixed(
    operator: APIClient,
) -> None:
    row = ClientDetectionRuleFactory.create()
    with connections["tvarr"].cursor() as cursor:
        cursor.execute("UPDATE client_detection_rules SET accepted_video_codecs='h264,vp9' WHERE id=%s", [row.pk])
    address = f"{ROOT}/client-detection-rules/{row.pk}"
    body = operator.get(address).json()
    assert body["accepted_video_codecs"] == []
    assert [(found["field"], found["code"]) for found in body["warnings"]] == [
        ("accepted_video_codecs", "invalid_codec_list")
    ]
    assert operator.patch(address, {"is_enabled": False}).status_code == 200
    with connections["tvarr"].cursor() as cursor:
        cursor.execute("SELECT accepted_video_codecs FROM client_detection_rules WHERE id=%s", [row.pk])
        assert cursor.fetchone() == ("h264,vp9",)
    fixed = operator.patch(address, {"accepted_video_codecs": []})
    assert (fixed.status_code, fixed.json()["warnings"]) == (200, [])


def test_a_rule_may_keep_a_deleted_profile_but_not_get_one(operator: APIClient) -> None:
    profile = EncodingProfileFactory.create()
    rule = ClientDetectionRuleFactory.create(encoding_profile=profile)
    profile.mark_deleted()
    address = f"{ROOT}/client-detection-rules/{rule.pk}"
    kept = operator.patch(address, {"encoding_profile": profile.pk, "description": "New."})
    assert (kept.status_code, kept.json()["encoding_profile"]) == (200, profile.pk)
    assert kept.json()["encoding_profile_name"] is None
    other = f"{ROOT}/client-detection-rules/{ClientDetectionRuleFactory.create().pk}"
    refused = operator.patch(other, {"encoding_profile": profile.pk})
    assert problem(refused, 400, "invalid") == [("/encoding_profile", "does_not_exist")]


def test_null_removes_a_profile_from_a_rule(operator: APIClient) -> None:
    rule = ClientDetectionRuleFactory.create(encoding_profile=EncodingProfileFactory.create())
    body = operator.patch(f"{ROOT}/client-detection-rules/{rule.pk}", {"encoding_profile": None}).json()
    assert (body["encoding_profile"], body["encoding_profile_name"]) == (None, None)


# --- Errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "changes", "found"),
    [
        ("filters", {"name": ""}, [("/name", "blank")]),
        ("filters", {"name": " Harbour"}, [("/name", "blanks_around")]),
        ("filters", {"name": "x" * 256}, [("/name", "max_length")]),
        ("filters", {"name": 5}, [("/name", "invalid")]),
        ("filters", {"name": None}, [("/name", "null")]),
        ("filters", {"description": "x" * 1025}, [("/description", "max_length")]),
        ("filters", {"expression": ""}, [("/expression", "blank")]),
        ("filters", {"expression": "channel_name"}, [("/expression", "invalid_expression")]),
        ("filters", {"source_type": "radio"}, [("/source_type", "invalid_choice")]),
        ("filters", {"action": True}, [("/action", "invalid_choice")]),
        ("filters", {"source_id": "1"}, [("/source_id", "invalid_ulid")]),
        ("filters", {"source_id": ""}, [("/source_id", "blank")]),
        ("filters", {"is_enabled": True}, [("/is_enabled", "unknown_member")]),
        ("filters", {"a/b~c": 1}, [("/a~1b~0c", "unknown_member")]),
        ("filters", {"name": 5, "action": 5, "x": 5}, [("/name", "invalid"), ("/action", "invalid_choice"), ("/x", "unknown_member")]),
        ("filters", {"id": NO_ROW}, [("/id", "read_only")]),
        ("filters", {"is_system": True}, [("/is_system", "read_only")]),
        ("data-mapping-rules", {"priority": "5"}, [("/priority", "invalid")]),
        ("data-mapping-rules", {"priority": True}, [("/priority", "invalid")]),
        ("data-mapping-rules", {"priority": 1.5}, [("/priority", "invalid")]),
        ("data-mapping-rules", {"priority": 2**63}, [("/priority", "max_value")]),
        ("data-mapping-rules", {"priority": 1e300}, [("/priority", "invalid")]),
        ("data-mapping-rules", {"is_enabled": 1}, [("/is_enabled", "invalid")]),
        ("data-mapping-rules", {"stop_on_match": None}, [("/stop_on_match", "null")]),
        ("client-detection-rules", {"accepted_video_codecs": "h264"}, [("/accepted_video_codecs", "not_a_list")]),
        ("client-detection-rules", {"accepted_video_codecs": ["h264", 5]}, [("/accepted_video_codecs/1", "invalid")]),
        ("client-detection-rules", {"accepted_video_codecs": ["divx"]}, [("/accepted_video_codecs", "unknown_codec")]),
        ("client-detection-rules", {"preferred_audio_codec": "midi"}, [("/preferred_audio_codec", "unknown_codec")]),
        ("client-detection-rules", {"preferred_format": "avi"}, [("/preferred_format", "unknown_format")]),
        ("client-detection-rules", {"encoding_profile": NO_ROW}, [("/encoding_profile", "does_not_exist")]),
        ("client-detection-rules", {"encoding_profile": "1"}, [("/encoding_profile", "invalid_ulid")]),
        ("client-detection-rules", {"encoding_profile_name": "Attic"}, [("/encoding_profile_name", "read_only")]),
        ("client-detection-rules", {"supports_fmp4": False, "supports_mpegts": False}, [("/supports_mpegts", "no_container")]),
        ("encoding-profiles", {"name": "x" * 101}, [("/name", "max_length")]),
        ("encoding-profiles", {"target_video_codec": "vhs"}, [("/target_video_codec", "invalid_choice")]),
        ("encoding-profiles", {"hw_accel": "magic"}, [("/hw_accel", "invalid_choice")]),
        ("encoding-profiles", {"is_default": True}, [("/is_default", "read_only")]),
        ("encoding-profiles", {"output_flags": "x" * 1001}, [("/output_flags", "max_length")]),
    ],
)  # fmt: skip
def test_an_invalid_member_is_named(
    operator: APIClient, tag: str, changes: dict[str, Any], found: list[tuple[str, str]]
) -> None:
    model = FACTORIES[tag]._meta.model
    before = model.all_rows.count()
    assert problem(operator.post(f"{ROOT}/{tag}", NEW[tag] | changes), 400, "invalid") == found
    assert model.all_rows.count() == before
    row = FACTORIES[tag].create()
    stored = operator.get(f"{ROOT}/{tag}/{row.pk}").json()
    assert problem(operator.patch(f"{ROOT}/{tag}/{row.pk}", changes), 400, "invalid") == found
    assert operator.get(f"{ROOT}/{tag}/{row.pk}").json() == stored


@pytest.mark.parametrize(
    ("tag", "missing"),
    [
        ("filters", ["name", "source_type", "expression"]),
        ("data-mapping-rules", ["name", "source_type", "expression"]),
        ("client-detection-rules", ["name", "expression"]),
        ("encoding-profiles", ["name"]),
    ],
)
def test_missing_members_are_named(operator: APIClient, tag: str, missing: list[str]) -> None:
    wanted = [(f"/{name}", "required") for name in missing]
    assert problem(operator.post(f"{ROOT}/{tag}", {}), 400, "invalid") == wanted
    row = FACTORIES[tag].create()
    assert problem(operator.put(f"{ROOT}/{tag}/{row.pk}", {}), 400, "invalid") == wanted


@pytest.mark.parametrize("body", ["[]", '"a"', "5", "null"])
def test_a_body_must_be_an_object(operator: APIClient, body: str) -> None:
    response = operator.post(f"{ROOT}/filters", body, content_type="application/json")
    assert [pointer for pointer, _code in problem(response, 400, "invalid")] == [""]


def test_an_error_does_not_repeat_long_values(operator: APIClient) -> None:
    long = "x" * 10_000
    sent = {"name": long, "source_type": long, "expression": long, "source_id": long, long: long}
    response = operator.post(f"{ROOT}/filters", sent)
    assert response.status_code == 400
    assert "x" * 100 not in response.content.decode()


def test_a_profiles_name_is_unique_also_among_deleted_ones(operator: APIClient) -> None:
    EncodingProfileFactory.create(name="Attic projector")
    response = operator.post(f"{ROOT}/encoding-profiles", NEW["encoding-profiles"])
    assert problem(response, 400, "invalid") == [("/name", "unique")]
    EncodingProfile.objects.get(name="Attic projector").mark_deleted()
    response = operator.post(f"{ROOT}/encoding-profiles", NEW["encoding-profiles"])
    assert "unique" in [code for _pointer, code in problem(response, 400, "invalid")]


def test_a_changed_source_type_is_checked_with_the_stored_expression(operator: APIClient) -> None:
    row = FilterFactory.create(expression='channel_name contains "Harbour"')
    body = operator.patch(f"{ROOT}/filters/{row.pk}", {"source_type": "epg"}).json()
    assert body["warnings"] != []


# --- Built-in items --------------------------------------------------------------------------------------------------


@every_kind
def test_a_system_row_is_neither_changed_nor_deleted(operator: APIClient, tag: str) -> None:
    row = system_row(tag)
    address = f"{ROOT}/{tag}/{row.pk}"
    read = operator.get(address).json()
    for changed in ({"name": "Mine"}, {"description": "Mine."}):
        assert problem(operator.patch(address, changed), 403, "system_row") == []
        assert problem(operator.put(address, read | changed), 403, "system_row") == []
    assert problem(operator.delete(address), 403, "system_row") == []
    assert operator.get(address).json() == read


@pytest.mark.parametrize(
    ("tag", "changes"),
    [
        ("data-mapping-rules", {"is_enabled": False, "priority": 77}),
        ("client-detection-rules", {"is_enabled": False, "priority": 77}),
        ("encoding-profiles", {"enabled": False}),
    ],
)
@pytest.mark.parametrize("method", ["put", "patch"])
def test_some_members_of_a_system_row_can_be_changed(
    operator: APIClient, tag: str, changes: dict[str, Any], method: str
) -> None:
    address = f"{ROOT}/{tag}/{system_row(tag).pk}"
    sent = operator.get(address).json() | changes if method == "put" else changes
    response = getattr(operator, method)(address, sent)
    assert response.status_code == 200, response.json()
    assert {name: response.json()[name] for name in changes} == changes
    assert response.json()["is_system"] is True


def test_the_error_of_a_system_row_says_what_can_be_changed(operator: APIClient) -> None:
    response = operator.patch(f"{ROOT}/data-mapping-rules/{system_row('data-mapping-rules').pk}", {"name": "Mine"})
    assert response.json()["detail"].endswith("Only is_enabled and priority can be changed.")


# --- Deleting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", ["filters", "data-mapping-rules", "client-detection-rules"])
def test_a_rule_is_only_marked_as_deleted(operator: APIClient, tag: str) -> None:
    row = FACTORIES[tag].create()
    response = operator.delete(f"{ROOT}/{tag}/{row.pk}")
    assert (response.status_code, response.content) == (204, b"")
    assert type(row).all_rows.get(pk=row.pk).deleted_at is not None
    assert problem(operator.delete(f"{ROOT}/{tag}/{row.pk}"), 404, "not_found") == []


def test_a_profile_is_deleted_permanently(operator: APIClient) -> None:
    row = EncodingProfileFactory.create()
    assert operator.delete(f"{ROOT}/encoding-profiles/{row.pk}").status_code == 204
    assert not EncodingProfile.all_rows.filter(pk=row.pk).exists()


def test_an_item_in_use_is_not_deleted(operator: APIClient) -> None:
    used = ProxyFilterFactory.create(proxy=StreamProxyFactory.create(name="Living room")).filter
    response = operator.delete(f"{ROOT}/filters/{used.pk}")
    assert problem(response, 409, "in_use") == []
    assert "Living room" in response.json()["detail"]
    assert Filter.objects.filter(pk=used.pk).exists()


# --- Concurrent changes ----------------------------------------------------------------------------------------------


@every_kind
def test_a_change_of_an_old_version_is_refused(operator: APIClient, tag: str) -> None:
    row = FACTORIES[tag].create()
    address = f"{ROOT}/{tag}/{row.pk}"
    read = operator.get(address)
    first = operator.patch(address, {"description": "First."}, headers={"If-Match": read["ETag"]})
    assert first.status_code == 200
    assert first["ETag"] != read["ETag"]
    for call, body in ((operator.patch, {"description": "2"}), (operator.put, read.json()), (operator.delete, None)):
        refused = call(address, body, headers={"If-Match": read["ETag"]})
        assert problem(refused, 412, "precondition_failed") == []
    assert operator.get(address).json()["description"] == "First."
    assert operator.delete(address, headers={"If-Match": first["ETag"]}).status_code == 204


@pytest.mark.parametrize("header", ["", "nonsense", '"other"', 'W/"{etag}"', "{etag}", 'é"'])
def test_another_if_match_is_refused(operator: APIClient, header: str) -> None:
    address = f"{ROOT}/filters/{FilterFactory.create().pk}"
    sent = header.replace("{etag}", operator.get(address)["ETag"].strip('"'))
    assert problem(operator.patch(address, {}, headers={"If-Match": sent}), 412, "precondition_failed") == []


@pytest.mark.parametrize("header", ["*", '"other", {etag}'])
def test_a_matching_if_match_is_accepted(operator: APIClient, header: str) -> None:
    address = f"{ROOT}/filters/{FilterFactory.create().pk}"
    sent = header.replace("{etag}", operator.get(address)["ETag"])
    assert operator.patch(address, {"description": "New."}, headers={"If-Match": sent}).status_code == 200


def test_a_change_by_tvarr_changes_the_etag(operator: APIClient) -> None:
    row = DataMappingRuleFactory.create()
    address = f"{ROOT}/data-mapping-rules/{row.pk}"
    etag = operator.get(address)["ETag"]
    with connections["tvarr"].cursor() as cursor:
        cursor.execute("UPDATE data_mapping_rules SET priority=3 WHERE id=%s", [row.pk])
    refused = operator.patch(address, {"is_enabled": False}, headers={"If-Match": etag})
    assert problem(refused, 412, "precondition_failed") == []


def test_the_database_is_locked_from_the_check_to_the_change(
    operator: APIClient, attached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []

    def write_concurrently(*_args: Any) -> None:
        with closing(sqlite3.connect(attached, timeout=0)) as other:
            try:
                other.execute("UPDATE data_mapping_rules SET description = 'Concurrent.'")
            except sqlite3.OperationalError as problem:
                refused.append(str(problem))

    monkeypatch.setattr("tvarr_backup.api.kinds.require_match", write_concurrently)
    address = f"{ROOT}/data-mapping-rules/{MAPPING_ID}"
    assert operator.patch(address, {"description": "New."}).status_code == 200
    assert operator.delete(address).status_code == 204
    assert refused == ["database is locked"] * 2


# --- Lists -----------------------------------------------------------------------------------------------------------


@every_kind
def test_a_list_comes_in_pages_of_fifty(viewer: APIClient, tag: str) -> None:
    FACTORIES[tag].create_batch(60)
    body = viewer.get(f"{ROOT}/{tag}?is_system=false").json()
    assert list(body) == ["count", "next", "previous", "results"]
    assert (body["count"], len(body["results"]), body["previous"]) == (60, 50, None)
    assert len(viewer.get(body["next"]).json()["results"]) == 10
    assert len(viewer.get(f"{ROOT}/{tag}?is_system=false&page_size=500").json()["results"]) == 60


@every_kind
def test_a_row_in_a_list_is_the_same_as_alone(viewer: APIClient, tag: str) -> None:
    row = FACTORIES[tag].create()
    (listed,) = viewer.get(f"{ROOT}/{tag}", {"name": row.name}).json()["results"]
    assert listed == viewer.get(f"{ROOT}/{tag}/{row.pk}").json()


@every_kind
def test_the_number_of_queries_of_a_list_does_not_grow_with_it(viewer: APIClient, tag: str) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connections["tvarr"]) as queries:
            assert viewer.get(f"{ROOT}/{tag}").status_code == 200
        return len(queries)

    def add() -> None:
        members: dict[str, Any] = {"name": f"!{len(added)}"}  # sorts first, or by its priority
        members |= {"priority": -1} if tag.endswith("rules") else {}
        members |= {"encoding_profile": EncodingProfileFactory.create()} if tag.startswith("client") else {}
        added.append(FACTORIES[tag].create(**members))

    added: list[Any] = []
    add()
    few = asked()
    for _ in range(50):
        add()
    assert few == asked() == 3  # the columns of the table, the number of rows, and a page of them


@pytest.mark.parametrize(("method", "number"), [("get", 2), ("patch", 6), ("delete", 6)])
def test_the_queries_for_one_row_are_counted(operator: APIClient, method: str, number: int) -> None:
    row = ClientDetectionRuleFactory.create(encoding_profile=EncodingProfileFactory.create())
    with CaptureQueriesContext(connections["tvarr"]) as queries:
        getattr(operator, method)(
            f"{ROOT}/client-detection-rules/{row.pk}", {"priority": 5} if method == "patch" else None
        )
    asked = [query["sql"] for query in queries if not query["sql"].startswith("LOCK TABLE")]  # like IMMEDIATE on SQLite
    assert len(asked) == number, asked


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("harbour", ["Harbour News", "Old Harbour"]),
        ("harbour news", ["Harbour News"]),
        ("lighthouse", ["Coast"]),
        ("Pelican", ["Old Harbour"]),
        ("100%", []),
        ("", ["Coast", "Harbour News", "Old Harbour"]),
        ("q,z," * 50, []),
    ],
)
def test_a_search_covers_name_description_and_expression(viewer: APIClient, search: str, found: list[str]) -> None:
    FilterFactory.create(name="Harbour News", description="", expression='group_title = "x"')
    FilterFactory.create(name="Old Harbour", description="From pelican-1.", expression='group_title = "x"')
    FilterFactory.create(name="Coast", description="", expression='channel_name contains "Lighthouse"')
    assert names(viewer.get(f"{ROOT}/filters", {"search": search, "is_system": "false"})) == found


@pytest.mark.parametrize("search", ["новости", "НОВОСТИ", "ΓΛΆΡΟΣ", "γλάρος", "öresund", "ÖRESUND"])
def test_a_search_finds_any_letter_case_in_any_script(viewer: APIClient, search: str) -> None:
    FilterFactory.create(name="Новости", description="Γλάρος", expression='channel_name contains "Öresund"')
    FilterFactory.create(name="Погода")
    assert names(viewer.get(f"{ROOT}/filters", {"search": search})) == ["Новости"]


@pytest.mark.parametrize("search", ["50_%", "\\"])
def test_a_search_takes_signs_literally(viewer: APIClient, search: str) -> None:
    FilterFactory.create(name=f"A {search} b")
    FilterFactory.create(name="A 500 b")
    assert names(viewer.get(f"{ROOT}/filters", {"search": search, "is_system": "false"})) == [f"A {search} b"]


@pytest.mark.parametrize(
    ("tag", "query", "found"),
    [
        ("filters", "source_type=epg", ["One"]),
        ("filters", "action=exclude", ["One"]),
        ("filters", "action=exclude&source_type=stream", []),
        ("filters", f"source_id={NO_ROW.lower()}", ["One"]),
        ("filters", "name=One", ["One"]),
        ("filters", "name=one", []),
        ("data-mapping-rules", "is_enabled=false", ["One"]),
        ("data-mapping-rules", "stop_on_match=true", ["One"]),
        ("client-detection-rules", "supports_mpegts=false", ["One"]),
        ("client-detection-rules", "supports_fmp4=true", ["One", "Two"]),
        ("encoding-profiles", "target_video_codec=vp9", ["One"]),
        ("encoding-profiles", "hw_accel=cuda", ["One"]),
        ("encoding-profiles", "enabled=false", ["One"]),
        ("encoding-profiles", "is_default=true", []),
    ],
)
def test_a_list_can_be_filtered(viewer: APIClient, tag: str, query: str, found: list[str]) -> None:
    members: dict[str, dict[str, Any]] = {
        "filters": {
            "source_type": "epg",
            "action": "exclude",
            "expression": 'programme_title contains "x"',
            "source_id": NO_ROW,
        },
        "data-mapping-rules": {"is_enabled": False, "stop_on_match": True},
        "client-detection-rules": {"supports_mpegts": False},
        "encoding-profiles": {"target_video_codec": "vp9", "hw_accel": "cuda", "enabled": False},
    }
    FACTORIES[tag].create(name="One", **members[tag])
    FACTORIES[tag].create(name="Two")
    assert names(viewer.get(f"{ROOT}/{tag}?{query}&is_system=false")) == found


def test_rules_can_be_found_by_their_profile(viewer: APIClient) -> None:
    rule = ClientDetectionRuleFactory.create(encoding_profile=EncodingProfileFactory.create())
    ClientDetectionRuleFactory.create()
    address = f"{ROOT}/client-detection-rules?encoding_profile={rule.encoding_profile_id}"
    assert names(viewer.get(address)) == [rule.name]


def test_built_in_rows_can_be_listed_alone(viewer: APIClient) -> None:
    FilterFactory.create()
    assert viewer.get(f"{ROOT}/filters?is_system=true").json()["count"] == 8


@pytest.mark.parametrize(
    ("ordering", "found"),
    [
        ("", ["B", "C", "A"]),
        ("priority,-name", ["C", "B", "A"]),
        ("-priority,name", ["A", "B", "C"]),
        ("name", ["A", "B", "C"]),
        ("-name", ["C", "B", "A"]),
        (",-name,", ["C", "B", "A"]),
        ("created_at", ["B", "C", "A"]),
        ("-created_at", ["A", "C", "B"]),
    ],
)
def test_a_list_can_be_sorted(viewer: APIClient, ordering: str, found: list[str]) -> None:
    for name, priority, created_at in (
        ("A", 2, "12:00:00+00:00"),
        ("B", 1, "12:30:00+02:00"),
        ("C", 1, "11:00:00.5+00:00"),
    ):
        row = DataMappingRuleFactory.create(name=name, priority=priority)
        with connections["tvarr"].cursor() as cursor:
            moment = f"2026-03-01 {created_at}"
            cursor.execute("UPDATE data_mapping_rules SET created_at=%s WHERE id=%s", [moment, row.pk])
    query = {"is_system": "false", "ordering": ordering}
    assert names(viewer.get(f"{ROOT}/data-mapping-rules", query)) == found


def test_equal_rows_keep_their_order_over_pages(viewer: APIClient) -> None:
    rows = FilterFactory.create_batch(6, name="Same")
    pages = [viewer.get(f"{ROOT}/filters?name=Same&page_size=2&page={page}").json()["results"] for page in (1, 2, 3)]
    assert [row["id"] for page in pages for row in page] == sorted(row.pk for row in rows)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("source_type=radio", [("/source_type", "invalid_choice")]),
        ("source_type=", [("/source_type", "blank")]),
        ("is_system=yes", [("/is_system", "invalid_choice")]),
        ("is_system=1", [("/is_system", "invalid_choice")]),
        ("source_id=1", [("/source_id", "invalid_ulid")]),
        ("is_enabled=true", [("/is_enabled", "unknown_parameter")]),
        ("sauce_type=stream", [("/sauce_type", "unknown_parameter")]),
        ("ordering=expression", [("/ordering", "invalid_choice")]),
        ("ordering=--name", [("/ordering", "invalid_choice")]),
        ("ordering=%3F", [("/ordering", "invalid_choice")]),
        ("ordering=deleted_at", [("/ordering", "invalid_choice")]),
        ("search=" + "x" * 201, [("/search", "max_length")]),
        ("search=%00", [("/search", "null_characters_not_allowed")]),
        ("name=%00", [("/name", "null_characters_not_allowed")]),
        ("page_size=501", [("/page_size", "invalid")]),
        ("page_size=0", [("/page_size", "invalid")]),
    ],
)  # fmt: skip
def test_an_invalid_parameter_is_refused(viewer: APIClient, query: str, found: list[tuple[str, str]]) -> None:
    assert problem(viewer.get(f"{ROOT}/filters?{query}"), 400, "invalid") == found


def test_the_longest_search_is_answered(viewer: APIClient) -> None:
    assert names(viewer.get(f"{ROOT}/client-detection-rules", {"search": "a " * 100})) != []


def test_a_missing_page_is_not_found(viewer: APIClient) -> None:
    assert problem(viewer.get(f"{ROOT}/filters?page=99"), 404, "not_found") == []


@pytest.mark.parametrize("method", ["get", "put", "patch", "delete"])
def test_a_single_row_has_no_parameters(operator: APIClient, method: str) -> None:
    address = f"{ROOT}/filters/{FilterFactory.create().pk}?confirm=true"
    assert problem(getattr(operator, method)(address), 400, "invalid") == [("/confirm", "unknown_parameter")]


# --- Permissions -----------------------------------------------------------------------------------------------------


@every_kind
def test_a_viewer_cannot_change_anything(viewer: APIClient, tag: str) -> None:
    row = FACTORIES[tag].create()
    address = f"{ROOT}/{tag}/{row.pk}"
    assert viewer.get(f"{ROOT}/{tag}").status_code == viewer.get(address).status_code == 200
    for response in (
        viewer.post(f"{ROOT}/{tag}", NEW[tag]),
        viewer.put(address, NEW[tag]),
        viewer.patch(address, {"name": "Mine"}),
        viewer.delete(address),
        viewer.delete(f"{ROOT}/{tag}/{NO_ROW}"),
    ):
        assert problem(response, 403, "permission_denied") == []
    assert type(row).objects.get(pk=row.pk).name == row.name


@every_kind
def test_without_permission_nothing_is_shown(unprivileged: APIClient, tag: str) -> None:
    row = FACTORIES[tag].create()
    assert problem(unprivileged.get(f"{ROOT}/{tag}"), 403, "permission_denied") == []
    assert problem(unprivileged.get(f"{ROOT}/{tag}/{row.pk}"), 403, "permission_denied") == []


@every_kind
def test_it_requires_a_user(db: None, tag: str) -> None:
    response = APIClient().get(f"{ROOT}/{tag}")
    assert problem(response, 401, "not_authenticated") == []


def test_unsupported_methods_are_refused(operator: APIClient) -> None:
    assert problem(operator.delete(f"{ROOT}/filters"), 405, "method_not_allowed") == []
    assert problem(operator.post(f"{ROOT}/filters/{NO_ROW}"), 405, "method_not_allowed") == []


# --- tvarr's memory --------------------------------------------------------------------------------------------------


def body_of(response: Any) -> Any:
    assert response.status_code in (200, 201), response.json()
    return response.json()


@pytest.mark.usefixtures("attached")
def test_a_change_of_an_enabled_client_rule_requires_a_restart(operator: APIClient) -> None:
    rules = f"{ROOT}/client-detection-rules"
    added = body_of(operator.post(rules, NEW["client-detection-rules"]))
    address = f"{rules}/{added['id']}"
    assert added["restart_required"]
    assert body_of(operator.patch(address, {"priority": 7}))["restart_required"]
    assert not body_of(operator.patch(address, {"priority": 7}))["restart_required"]
    assert body_of(operator.patch(address, {"is_enabled": False}))["restart_required"]
    assert not body_of(operator.patch(address, {"priority": 8}))["restart_required"]
    assert "Tvarr-Restart-Required" not in operator.delete(address)


@pytest.mark.usefixtures("attached")
def test_the_deletion_of_an_enabled_client_rule_sets_a_header(operator: APIClient) -> None:
    rule = ClientDetectionRuleFactory.create()
    response = operator.delete(f"{ROOT}/client-detection-rules/{rule.pk}")
    assert (response.status_code, response["Tvarr-Restart-Required"]) == (204, "true")


@pytest.mark.usefixtures("attached")
def test_a_change_of_a_profile_requires_a_restart_if_a_client_rule_uses_it(operator: APIClient) -> None:
    used, unused = EncodingProfileFactory.create(), EncodingProfileFactory.create()
    ClientDetectionRuleFactory.create(encoding_profile=used)
    for profile, expected in ((used, True), (unused, False)):
        body = body_of(operator.patch(f"{ROOT}/encoding-profiles/{profile.pk}", {"quality_preset": "low"}))
        assert body["restart_required"] is expected


@pytest.mark.usefixtures("attached")
def test_a_change_of_a_filter_requires_no_restart(operator: APIClient) -> None:
    assert not body_of(operator.post(f"{ROOT}/filters", NEW["filters"]))["restart_required"]


# --- tvarr's own database --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("attached")
@every_kind
def test_built_in_rows_are_listed_with_all_documented_members(viewer: APIClient, tag: str) -> None:
    rows = viewer.get(f"{ROOT}/{tag}?page_size=500").json()["results"]
    assert rows != []
    for row in rows:
        assert (
            None
            not in {
                name: value for name, value in row.items() if "profile" not in name and name != "source_id"
            }.values()
        )
