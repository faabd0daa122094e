"""Export: tvarr's exact members, a stable order, and refusals before the first byte."""

import json
import re
import sqlite3
from collections.abc import Collection
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from tests.events import told
from tests.portable.files import CLIENTS, FILTERS, MAPPING, PROFILES
from tests.tvarr_own import FILTER_ID, RULE_ID, SOURCE_ID, WRITTEN, insert
from tvarr_backup import errors
from tvarr_backup.models import (
    ClientDetectionRule,
    DataMappingRule,
    EncodingProfile,
    EpgSource,
    Filter,
    StreamSource,
)
from tvarr_backup.portable.export import count_exportable, export_file_name, list_exportable, stream_export
from tvarr_backup.portable.kinds import KINDS, Kind

pytestmark = pytest.mark.django_db


def export(kind: Kind, ids: Collection[str] | None = None) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(b"".join(stream_export(kind, ids)))
    return value


def make_filter(name: str = "Harbour News", **values: Any) -> Filter:
    row: Filter = Filter.objects.create(name=name, expression='group_title == "News"', **values)
    return row


def test_an_export_has_tvarrs_members_in_tvarrs_order() -> None:
    make_filter(description="News", source_id=SOURCE_ID)
    (item,) = export(FILTERS)["items"]
    assert list(item) == ["name", "description", "expression", "source_type", "action", "source_id"]


def test_empty_members_that_may_be_left_out_are_left_out() -> None:
    make_filter()
    (item,) = export(FILTERS)["items"]
    assert list(item) == ["name", "expression", "source_type", "action"]


def test_a_mapping_rule_has_all_its_members() -> None:
    DataMappingRule.objects.create(name="Tidy", expression="true", priority=3)
    assert export(MAPPING)["items"] == [
        {
            "name": "Tidy",
            "expression": "true",
            "source_type": "stream",
            "priority": 3,
            "stop_on_match": False,
            "is_enabled": True,
        }
    ]


def test_a_client_rule_names_its_profile() -> None:
    profile = EncodingProfile.objects.create(name="Tablet")
    ClientDetectionRule.objects.create(
        name="Tablet", expression="true", accepted_video_codecs=["h264"], encoding_profile=profile
    )
    (item,) = export(CLIENTS)["items"]
    assert item == {
        "name": "Tablet",
        "expression": "true",
        "priority": 0,
        "is_enabled": True,
        "accepted_video_codecs": ["h264"],
        "supports_fmp4": True,
        "supports_mpegts": True,
        "encoding_profile_name": "Tablet",
    }


def test_a_profile_has_all_its_members() -> None:
    EncodingProfile.objects.create(name="Tablet", output_flags="-an", is_default=True)
    (item,) = export(PROFILES)["items"]
    assert list(item) == [
        "name",
        "target_video_codec",
        "target_audio_codec",
        "quality_preset",
        "hw_accel",
        "output_flags",
        "is_default",
        "enabled",
    ]
    assert item["is_default"] is True


def test_the_metadata_is_what_tvarr_expects() -> None:
    make_filter()
    metadata = export(FILTERS)["metadata"]
    assert list(metadata) == ["version", "tvarr_version", "export_type", "exported_at", "item_count"]
    assert (metadata["version"], metadata["export_type"], metadata["item_count"]) == ("1.0.0", "filters", 1)
    assert datetime.fromisoformat(metadata["exported_at"]).tzinfo == UTC


def test_the_file_is_indented_utf8_with_a_final_newline() -> None:
    make_filter("Häfen & <Boote>")
    text = b"".join(stream_export(FILTERS)).decode()
    assert '\n    {\n      "name": "Häfen & <Boote>",\n' in text
    assert text.endswith("\n  ]\n}\n")


@pytest.mark.parametrize("kind", KINDS.values(), ids=[*KINDS])
def test_built_in_rows_are_not_exported(kind: Kind) -> None:
    assert export(kind)["items"] == []
    assert export(kind)["metadata"]["item_count"] == 0


def test_rows_marked_as_deleted_are_not_exported() -> None:
    make_filter().delete()
    assert export(FILTERS)["items"] == []


def test_rows_are_sorted_by_time_and_not_by_its_text(attached: Path) -> None:
    with closing(sqlite3.connect(attached)) as connection, connection:
        for name, created_at in (
            ("Third", "2026-03-01 12:00:00.5+00:00"),
            ("Second", "2026-03-01 13:59:59+02:00"),
            ("First", "2026-03-01 06:00:00.25-05:00"),
        ):
            row_id = f"01KA0000000000000000000{name.upper()[:3].replace('I', '1')}"
            insert(connection, "filters", id=row_id, name=name, source_type="stream", action="include",
                   expression="true", created_at=created_at)  # fmt: skip
    assert [item["name"] for item in export(FILTERS)["items"]] == ["First", "Second", "Third", "Harbour Sports"]


def test_rules_are_sorted_by_priority_first() -> None:
    for name, priority in (("Late", 30), ("Early", -1), ("Middle", 7)):
        DataMappingRule.objects.create(name=name, expression="true", priority=priority)
    assert [item["name"] for item in export(MAPPING)["items"]] == ["Early", "Middle", "Late"]


def test_two_exports_of_the_same_data_differ_only_in_their_time() -> None:
    for number in range(20):
        make_filter(f"Filter {number}")
    first, second = export(FILTERS), export(FILTERS)
    del first["metadata"]["exported_at"], second["metadata"]["exported_at"]
    assert first == second


def test_chosen_ids_are_exported_once_each() -> None:
    rows = [make_filter(name) for name in ("A", "B", "C")]
    assert [item["name"] for item in export(FILTERS, [rows[2].id, rows[0].id, rows[0].id])["items"]] == ["A", "C"]


def test_an_empty_selection_is_refused() -> None:
    with pytest.raises(errors.SelectionEmpty, match="Select at least one of the filters"):
        stream_export(FILTERS, [])


def test_more_ids_than_one_query_takes_are_refused() -> None:
    with pytest.raises(errors.SelectionEmpty, match="Expected at most 10000 ids, got 10001"):
        stream_export(FILTERS, [f"01KA{number:022}" for number in range(10_001)])


def test_an_unknown_id_is_refused_by_name_before_the_first_byte() -> None:
    with pytest.raises(errors.ItemNotFound, match=f"None of the filters has the id {SOURCE_ID}"):
        stream_export(FILTERS, [make_filter().id, SOURCE_ID])


def test_an_invalid_id_is_refused() -> None:
    with pytest.raises(errors.ItemNotFound, match="the id rubbish"):
        stream_export(FILTERS, ["rubbish"])


def test_a_deleted_row_is_refused() -> None:
    row = make_filter()
    row.delete()
    with pytest.raises(errors.ItemNotFound, match=row.id):
        stream_export(FILTERS, [row.id])


def test_a_built_in_row_is_refused_by_name() -> None:
    row = Filter.objects.get(name="Sports Only")
    with pytest.raises(errors.SystemRowSelected, match="Sports Only"):
        stream_export(FILTERS, [row.id])


def test_a_row_with_unreadable_codecs_is_left_out_or_refused_before_the_first_byte(attached: Path) -> None:
    with closing(sqlite3.connect(attached)) as connection, connection:
        connection.execute("UPDATE client_detection_rules SET accepted_video_codecs = '[h264'")
    named = r"Kitchen Tablet.* accepted_video_codecs is stored as .\[h264.\. Expected a JSON list"
    assert re.search(named, stream_export(CLIENTS).warnings[0])
    assert export(CLIENTS)["items"] == []
    with pytest.raises(errors.RowUnreadable, match=named):
        stream_export(CLIENTS, [RULE_ID])


def test_tvarrs_own_rows_are_exported_as_tvarr_exports_them(attached: Path) -> None:
    assert export(FILTERS)["items"] == [
        {
            "name": "Harbour Sports",
            "description": "Only the harbour's sports",
            "expression": 'group_title == "Sports" AND channel_name contains "Harbour"',
            "source_type": "stream",
            "action": "include",
            "source_id": SOURCE_ID,
        }
    ]
    assert export(CLIENTS)["items"] == [
        {
            "name": "Kitchen Tablet",
            "expression": '@dynamic(request.headers):user-agent contains "KitchenTablet"',
            "priority": 50,
            "is_enabled": True,
            "accepted_video_codecs": ["h264", "h265"],
            "accepted_audio_codecs": ["aac"],
            "preferred_video_codec": "h265",
            "preferred_audio_codec": "aac",
            "supports_fmp4": True,
            "supports_mpegts": True,
            "preferred_format": "hls-fmp4",
            "encoding_profile_name": "Tablet HEVC",
        }
    ]
    assert export(MAPPING)["items"][0]["stop_on_match"] is False
    assert export(MAPPING)["items"][0]["is_enabled"] is True


def test_a_profile_that_is_marked_as_deleted_is_not_named(attached: Path) -> None:
    with closing(sqlite3.connect(attached)) as connection, connection:
        connection.execute("UPDATE encoding_profiles SET deleted_at = ?", (WRITTEN,))
    assert "encoding_profile_name" not in export(CLIENTS)["items"][0]


def test_the_number_of_queries_does_not_grow_with_the_items(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(30):
        make_filter(f"Filter {number}")
    with django_assert_num_queries(5, using="tvarr"):
        assert len(export(FILTERS)["items"]) == 30


def test_the_file_name_has_the_kind_and_the_time_in_utc() -> None:
    moment = datetime.fromisoformat("2025-12-14T11:30:00+01:00")
    assert export_file_name(MAPPING, moment) == "tvarr-data-mapping-rules-2025-12-14T10-30-00.json"
    assert export_file_name(MAPPING, moment, 2) == "tvarr-data-mapping-rules-2025-12-14T10-30-00-2.json"


def test_the_one_live_filter_of_the_sample_can_be_chosen_by_id(attached: Path) -> None:
    assert [item["name"] for item in export(FILTERS, [FILTER_ID])["items"]] == ["Harbour Sports"]


@pytest.mark.parametrize("number", [0, 3])
def test_a_complete_export_is_logged(number: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for name in range(number):
        make_filter(f"Harbour News {name}")
    blocks = stream_export(FILTERS)
    first = next(blocks)
    assert told(caplog) == []
    size = len(first + b"".join(blocks))
    (event,) = told(caplog)
    assert (event["event"], event["kind"], event["items"], event["file_bytes"]) == (
        "export.made",
        "filters",
        number,
        size,
    )


class TestParts:
    """Files of one kind that tvarr accepts."""

    def test_a_small_export_is_one_file_with_the_same_content(self) -> None:
        make_filter()
        (file,) = stream_export(FILTERS).split(2**20)
        assert json.loads(file) | {"metadata": {}} == export(FILTERS) | {"metadata": {}}

    def test_an_export_without_items_is_one_file(self) -> None:
        (file,) = stream_export(FILTERS).split(2**20)
        assert json.loads(file)["items"] == []

    @pytest.mark.parametrize("limit", [*range(600, 640), 5_000])
    def test_each_file_is_valid_and_small_enough_and_all_items_are_in_one(self, limit: int) -> None:
        for number in range(20):
            make_filter(f"Hafen {number}", description="ä" * number)
        files = list(stream_export(FILTERS).split(limit))
        values = [json.loads(file) for file in files]
        assert max(map(len, files)) <= limit
        assert [item for value in values for item in value["items"]] == export(FILTERS)["items"]
        assert [value["metadata"]["item_count"] for value in values] == [len(value["items"]) for value in values]

    def test_a_file_is_split_only_if_it_is_too_large(self) -> None:
        make_filter("A"), make_filter("B")
        size = len(b"".join(stream_export(FILTERS)))
        assert [len(list(stream_export(FILTERS).split(limit))) for limit in (size, size - 1)] == [1, 2]

    def test_an_item_that_is_too_large_has_a_file_of_its_own(self) -> None:
        for name in ("A", "B" * 255, "C"):
            make_filter(name)
        files = [json.loads(file)["items"] for file in stream_export(FILTERS).split(450)]
        assert [[item["name"][0] for item in items] for items in files] == [["A"], ["B"], ["C"]]

    def test_each_file_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        make_filter("A"), make_filter("B")
        files = list(stream_export(FILTERS).split(450))
        assert [(event["items"], event["file_bytes"]) for event in told(caplog)] == [(1, len(file)) for file in files]


class TestListing:
    """Rows that can be selected for an export."""

    def test_rows_are_in_the_order_of_the_file_and_built_in_ones_are_separate(self) -> None:
        DataMappingRule.objects.create(name="Later", expression="true", priority=9)
        DataMappingRule.objects.create(name="Sooner", expression="true", priority=2, description="First of all.")
        listed, counted = list_exportable(MAPPING), count_exportable(MAPPING)
        assert [(row.name, row.description) for row in listed] == [("Sooner", "First of all."), ("Later", "")]
        assert counted.number == 2
        assert counted.built_in == sorted(DataMappingRule.objects.filter(is_system=True).values_list("name", flat=True))

    def test_a_rule_names_its_profile_which_the_file_does_not_contain(self) -> None:
        profile = EncodingProfile.objects.create(name="HEVC high")
        ClientDetectionRule.objects.create(name="A", expression="true", encoding_profile=profile)
        ClientDetectionRule.objects.create(name="B", expression="true")
        assert [row.needs for row in list_exportable(CLIENTS)] == ["HEVC high", ""]
        assert (count_exportable(CLIENTS).number, count_exportable(CLIENTS).needs) == (2, {"HEVC high": 1})

    def test_a_built_in_profile_is_not_named(self) -> None:
        profile = EncodingProfile.objects.filter(is_system=True).first()
        ClientDetectionRule.objects.create(name="A", expression="true", encoding_profile=profile)
        assert [row.needs for row in list_exportable(CLIENTS)] == [""]
        assert count_exportable(CLIENTS).needs == {}

    def test_a_filter_names_its_source(self) -> None:
        source = StreamSource.objects.create(name="Pelican", type="m3u", url="http://pelican.example.test/")
        make_filter(source_id=source.pk)
        make_filter("Gone", source_id="01JN9Q4T7V8W2X5Y6Z0A1B2C3D")
        assert [row.needs for row in list_exportable(FILTERS)] == ["Pelican", ""]
        assert (count_exportable(FILTERS).number, count_exportable(FILTERS).needs) == (2, {"Pelican": 1})

    def test_many_rows_need_no_more_queries_than_few(
        self, django_assert_max_num_queries: DjangoAssertNumQueries
    ) -> None:
        for number in range(50):
            make_filter(f"Harbour {number}")
        with django_assert_max_num_queries(7):
            assert len(list_exportable(FILTERS)) == count_exportable(FILTERS).number == 50

    def test_sources_of_one_name_count_as_one(self) -> None:
        for model, kind in ((StreamSource, "m3u"), (EpgSource, "xmltv")):
            source = model.objects.create(name="Pelican", type=kind, url="http://pelican.example.test/")
            make_filter(f"By its {kind}", source_id=source.pk)
        assert count_exportable(FILTERS).needs == {"Pelican": 2}
