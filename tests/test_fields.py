"""Model fields: tvarr's columns, read with its meaning and written in its format."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from django import forms
from django.core.exceptions import ValidationError
from django.core.serializers import serialize
from django.db import connections, transaction
from django.db.models import Q
from ulid import ULID

from tests.factories import (
    ChannelFactory,
    ClientDetectionRuleFactory,
    DataMappingRuleFactory,
    EncodingProfileFactory,
    FilterFactory,
)
from tests.tvarr_own import FILTER_ID, MAPPING_ID, RULE_ID, SOURCE_ID
from tvarr_backup.fields import FlagColumn, new_ulid, parse_ulid, read_codec_list
from tvarr_backup.models import Channel, ClientDetectionRule, DataMappingRule, EncodingProfile, Filter
from tvarr_backup.texts import escape_hidden
from tvarr_backup.timestamps import write_timestamp

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = "01KA31S5HE6Q4M3D68ZS9W6CVM"


def stored(row: Any, column: str) -> Any:
    """Return the stored value, read without our fields."""
    with connections["tvarr"].cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {row._meta.db_table} WHERE id = %s", [row.pk])
        return cursor.fetchone()[0]


def store(row: Any, column: str, value: Any) -> Any:
    """Write without Django, and return the row as Django reads it."""
    if connections["tvarr"].vendor == "postgresql" and isinstance(row._meta.get_field(column), FlagColumn):
        value = None if value is None else bool(value)
    with connections["tvarr"].cursor() as cursor:
        cursor.execute(f"UPDATE {row._meta.db_table} SET {column} = %s WHERE id = %s", [value, row.pk])
        assert cursor.rowcount == 1
    return type(row).objects.get(pk=row.pk)


class TestUlids:
    """Keys sort in the order of their creation, and invalid ones are refused."""

    @pytest.mark.parametrize(
        ("value", "key"), [(KEY, KEY), (KEY.lower(), KEY), ("7" + "Z" * 25, "7" + "Z" * 25), ("0" * 25 + "1", None)]
    )
    def test_a_key_becomes_upper_case(self, value: str, key: str | None) -> None:
        assert parse_ulid(value) == (key or value)

    @pytest.mark.parametrize(
        "value",
        [
            *[KEY[:-1] + letter for letter in "ILOUilou"],
            "8" + KEY[1:],
            "Z" + KEY[1:],
            "0" * 26,
            "0" + "!" * 25,
            KEY[:-1],
            KEY + "0",
            f" {KEY[1:]}",
            f"{KEY}\n",
            "０" + KEY[1:],
            KEY[:-1] + "ı",
            "",
            None,
            7,
            KEY.encode(),
            [KEY],
        ],
    )
    def test_a_key_that_tvarr_would_change_is_refused(self, value: object) -> None:
        with pytest.raises(ValidationError) as refused:
            parse_ulid(value)
        assert refused.value.code == "invalid_ulid"
        assert f'got "{escape_hidden(str(value))}"' in refused.value.messages[0]

    def test_a_long_value_is_cut_in_the_message(self) -> None:
        with pytest.raises(ValidationError, match=f'got "{"x" * 79}…"'):
            parse_ulid("x" * 5_000)

    def test_a_new_key_is_valid_and_contains_the_time(self) -> None:
        before = time.time_ns() // 1_000_000
        key = new_ulid()
        assert parse_ulid(key) == key
        assert before <= ULID.from_str(key).milliseconds <= time.time_ns() // 1_000_000

    def test_ten_thousand_keys_sort_in_order_of_creation(self) -> None:
        keys = [new_ulid() for _ in range(10_000)]
        assert all(earlier < later for earlier, later in itertools.pairwise(keys))

    def test_keys_from_several_threads_sort_in_order_of_creation_within_each(self) -> None:
        with ThreadPoolExecutor(8) as pool:
            parts = list(pool.map(lambda _: [new_ulid() for _ in range(1_250)], range(8)))
        assert all(earlier < later for part in parts for earlier, later in itertools.pairwise(part))
        assert len(set().union(*parts)) == 10_000

    def test_keys_made_at_the_same_time_sort(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = time.time_ns()
        monkeypatch.setattr(time, "time_ns", lambda: now)
        keys = [new_ulid() for _ in range(100)]
        assert all(earlier < later for earlier, later in itertools.pairwise(keys))
        assert len({key[:10] for key in keys}) == 1

    @pytest.mark.parametrize("back_ms", [1, 50, 3_600_000])
    def test_keys_made_after_the_clock_stepped_back_sort(self, monkeypatch: pytest.MonkeyPatch, back_ms: int) -> None:
        keys = [new_ulid()]
        earlier_ns = time.time_ns() - back_ms * 1_000_000
        monkeypatch.setattr(time, "time_ns", lambda: earlier_ns)
        keys += [new_ulid() for _ in range(100)]
        assert all(earlier < later for earlier, later in itertools.pairwise(keys))


@pytest.mark.django_db
class TestUlidField:
    """Input is validated; stored values are not."""

    @pytest.mark.parametrize("nothing", [None, ""])
    def test_null_and_empty_text_are_read_as_none(self, nothing: str | None) -> None:
        assert store(FilterFactory.create(), "source_id", nothing).source_id is None

    @pytest.mark.parametrize("nothing", [None, ""])
    def test_no_key_is_written_as_null(self, nothing: str | None) -> None:
        assert stored(FilterFactory.create(source_id=nothing), "source_id") is None

    def test_a_key_is_written_and_found_in_upper_case(self) -> None:
        row = FilterFactory.create(source_id=KEY.lower())
        assert stored(row, "source_id") == KEY
        assert Filter.objects.get(source_id=KEY.lower()) == row

    def test_a_stored_invalid_key_is_read_unchanged(self) -> None:
        assert store(FilterFactory.create(), "source_id", "rubbish").source_id == "rubbish"

    def test_an_invalid_key_is_not_written(self) -> None:
        with pytest.raises(ValidationError, match=r'Expected an id .* got "rubbish"'):
            FilterFactory.create(source_id="rubbish")

    def test_a_stored_invalid_key_is_not_written_again(self) -> None:
        row = store(FilterFactory.create(), "source_id", "rubbish")
        with (
            pytest.raises(ValidationError, match=r'Expected an id .* got "rubbish"'),
            transaction.atomic(using="tvarr"),
        ):
            row.save()
        assert stored(row, "source_id") == "rubbish"

    def test_a_row_gets_its_key_when_it_is_made(self) -> None:
        first, second = FilterFactory.create_batch(2)
        assert first.pk < second.pk
        assert stored(first, "id") == parse_ulid(first.pk)


@pytest.mark.django_db
class TestTimestampColumn:
    """Times in a real database."""

    @pytest.mark.sqlite
    @pytest.mark.parametrize("microsecond", [0, 1, 120_000, 999_999])
    def test_a_time_is_stored_in_tvarrs_form_and_read_back_equal(self, microsecond: int) -> None:
        moment = NOON.replace(microsecond=microsecond)
        row = EncodingProfileFactory.create()
        EncodingProfile.objects.filter(pk=row.pk).update(created_at=moment)
        assert stored(row, "created_at") == write_timestamp(moment)
        assert EncodingProfile.objects.get(pk=row.pk).created_at == moment

    @pytest.mark.sqlite
    def test_a_time_of_another_zone_is_stored_in_utc(self) -> None:
        row = EncodingProfileFactory.create()
        local = NOON.astimezone(timezone(timedelta(hours=-5)))
        EncodingProfile.objects.filter(pk=row.pk).update(created_at=local)
        assert stored(row, "created_at") == "2026-03-01 12:00:00+00:00"

    def test_a_time_that_tvarr_wrote_in_new_york_is_read_as_that_instant(self, attached: Path) -> None:
        row = Filter.objects.get(pk=FILTER_ID)
        assert stored(row, "created_at") == "2026-03-01 10:00:00.123456789-05:00"
        assert row.created_at == datetime(2026, 3, 1, 15, 0, 0, 123_456, tzinfo=UTC)
        assert row.created_at.tzinfo is UTC

    @pytest.mark.sqlite
    @pytest.mark.parametrize("text", [None, "", "rubbish", 5])
    def test_stored_text_that_is_not_a_time_is_read_as_none(self, text: object) -> None:
        assert store(FilterFactory.create(), "created_at", text).created_at is None

    def test_a_row_is_found_by_a_time_that_we_wrote(self) -> None:
        row, _other = EncodingProfileFactory.create_batch(2)
        EncodingProfile.objects.filter(pk=row.pk).update(created_at=NOON)
        assert EncodingProfile.objects.get(created_at=NOON.astimezone(timezone(timedelta(hours=-5)))) == row

    def test_times_sort_correctly_although_their_texts_do_not(self) -> None:
        early, late = "2026-03-01 12:00:00+02:00", "2026-03-01 11:00:00+00:00"
        rows = [store(FilterFactory.create(), "created_at", text) for text in (early, late)]
        assert early > late
        assert rows[0].created_at < rows[1].created_at

    @pytest.mark.parametrize("moment", [NOON, NOON.replace(microsecond=123_456), datetime(1970, 1, 1, tzinfo=UTC)])
    def test_a_time_is_read_back_equal(self, moment: datetime) -> None:
        row = EncodingProfileFactory.create()
        EncodingProfile.objects.filter(pk=row.pk).update(created_at=moment)
        assert EncodingProfile.objects.get(pk=row.pk).created_at == moment

    def test_none_is_stored_as_null(self) -> None:
        assert stored(FilterFactory.create(), "deleted_at") is None

    def test_new_rows_have_their_creation_time(self) -> None:
        before = datetime.now(UTC)
        row = Filter.objects.get(pk=FilterFactory.create().pk)
        assert before <= row.created_at <= row.updated_at <= datetime.now(UTC)

    @pytest.mark.sqlite
    def test_the_creation_time_is_stored_in_utc(self) -> None:
        assert stored(FilterFactory.create(), "created_at").endswith("+00:00")


FLAGS = [
    (DataMappingRuleFactory, "is_enabled", True),
    (ClientDetectionRuleFactory, "supports_fmp4", True),
    (DataMappingRuleFactory, "stop_on_match", False),
    (FilterFactory, "is_system", False),
]
"""Columns for which NULL means true, like tvarr's optional Booleans, and others."""


@pytest.mark.django_db
class TestFlagColumn:
    """Flags are 0, 1, or NULL, which means the column's default."""

    @pytest.mark.parametrize(("factory", "name", "default"), FLAGS)
    @pytest.mark.parametrize(("number", "flag"), [(0, False), (1, True), (None, None)])
    def test_null_is_read_as_the_default(
        self, factory: Any, name: str, default: bool, number: int | None, flag: bool | None
    ) -> None:
        assert getattr(store(factory.create(), name, number), name) is (default if flag is None else flag)

    @pytest.mark.sqlite
    @pytest.mark.parametrize(("factory", "name", "default"), FLAGS)
    @pytest.mark.parametrize(("flag", "number"), [(False, 0), (True, 1)])
    def test_it_is_stored_as_a_number(self, factory: Any, name: str, default: bool, flag: bool, number: int) -> None:
        assert stored(factory.create(**{name: flag}), f"{name} || ' ' || typeof({name})") == f"{number} integer"

    @pytest.mark.parametrize(("factory", "name", "default"), FLAGS)
    def test_none_is_stored_as_the_default(self, factory: Any, name: str, default: bool) -> None:
        assert stored(factory.create(**{name: None}), name) == int(default)

    @pytest.mark.parametrize(("factory", "name", "default"), FLAGS)
    @pytest.mark.parametrize("asked", [True, False])
    @pytest.mark.parametrize("number", [0, 1, None])
    def test_a_query_finds_null_as_the_default(
        self, factory: Any, name: str, default: bool, number: int | None, asked: bool
    ) -> None:
        row = store(factory.create(), name, number)
        means = default if number is None else bool(number)
        assert type(row).objects.filter(**{name: asked}, pk=row.pk).exists() is (means is asked)

    @pytest.mark.parametrize(("factory", "name", "default"), FLAGS)
    @pytest.mark.parametrize("asked", [True, False])
    @pytest.mark.parametrize("number", [0, 1, None])
    def test_a_query_excludes_null_as_the_default(
        self, factory: Any, name: str, default: bool, number: int | None, asked: bool
    ) -> None:
        row = store(factory.create(), name, number)
        means = default if number is None else bool(number)
        assert type(row).objects.exclude(**{name: asked}).filter(pk=row.pk).exists() is (means is not asked)
        assert type(row).objects.filter(~Q(**{name: asked}), pk=row.pk).exists() is (means is not asked)

    def test_tvarrs_null_is_found_as_the_default(self, attached: Path) -> None:
        assert DataMappingRule.objects.get(is_enabled=True, stop_on_match=False).pk == MAPPING_ID
        assert not DataMappingRule.objects.filter(Q(is_enabled=False) | Q(stop_on_match=True)).exists()
        assert ClientDetectionRule.objects.get(is_enabled=True, encoding_profile__enabled=True).pk == RULE_ID

    @pytest.mark.parametrize(("number", "means"), [(0, False), (1, True), (None, True)])
    def test_a_flag_of_a_related_row_is_compared_in_the_same_way(self, number: int | None, means: bool) -> None:
        rule = ClientDetectionRuleFactory.create(encoding_profile=EncodingProfileFactory.create())
        store(rule.encoding_profile, "enabled", number)
        for asked in (True, False):
            found = ClientDetectionRule.objects.filter(encoding_profile__enabled=asked, pk=rule.pk)
            left = ClientDetectionRule.objects.exclude(encoding_profile__enabled=asked).filter(pk=rule.pk)
            assert (found.exists(), left.exists()) == (means is asked, means is not asked)

    @pytest.mark.parametrize("name", ["is_enabled", "stop_on_match"])
    def test_a_form_shows_a_check_box_and_not_three_states(self, name: str) -> None:
        column: Any = DataMappingRule._meta.get_field(name)
        assert type(column.formfield()) is forms.BooleanField
        assert column.null is True


@pytest.mark.django_db
class TestTextColumn:
    """NULL and empty text mean the same."""

    @pytest.mark.parametrize(("text", "read"), [(None, ""), ("", ""), (" ", " "), ("Harbour", "Harbour"), (7, "7")])
    def test_null_and_empty_text_are_read_as_empty(self, text: object, read: str) -> None:
        assert store(FilterFactory.create(), "description", text).description == read

    @pytest.mark.parametrize("nothing", [None, ""])
    def test_none_is_written_as_empty_text(self, nothing: str | None) -> None:
        assert stored(FilterFactory.create(description=nothing), "description") == ""
        assert stored(ChannelFactory.create(group_title=nothing), "group_title") == ""

    def test_a_text_is_written_and_read_unchanged(self) -> None:
        text = " Häfen\tund 港\r\n🦭 'quoted' \"twice\" % "
        row = FilterFactory.create(description=text)
        assert stored(row, "description") == text
        assert Filter.objects.get(pk=row.pk).description == text

    def test_tvarrs_null_is_read_as_empty(self, attached: Path) -> None:
        channel = Channel.objects.get(source_id=SOURCE_ID)
        assert stored(channel, "tvg_logo") is None
        assert (channel.tvg_logo, channel.language, channel.channel_name) == ("", "", "Harbour 0 HD")


CORRUPT = ['["h264"', "h264,h265", '{"h264": 1}', '"h264"', "[1]", "[null]", '["h264", 5]', "null", "[" * 100_000]
"""Values that tvarr reads as an empty list, which accepts everything."""


@pytest.mark.django_db
class TestCodecListColumn:
    """Names are compact JSON, empty text for none. A text that is not a list is kept."""

    @pytest.mark.parametrize(
        ("names", "text"),
        [
            ([], ""),
            (["h264"], '["h264"]'),
            (["h264", "h265"], '["h264","h265"]'),
            (["é"], '["é"]'),
            (None, ""),
        ],
    )
    def test_it_is_stored_as_compact_json(self, names: list[str] | None, text: str) -> None:
        row = ClientDetectionRuleFactory.create(accepted_video_codecs=names)
        assert stored(row, "accepted_video_codecs") == text
        assert ClientDetectionRule.objects.get(pk=row.pk).accepted_video_codecs == (names or [])

    @pytest.mark.parametrize(
        ("text", "names"),
        [(None, []), ("", []), ("[]", []), ('["h264"]', ["h264"]), (' [ "h264" , "AV1" ] ', ["h264", "AV1"])],
    )
    def test_every_form_of_a_list_is_read(self, text: str | None, names: list[str]) -> None:
        row = store(ClientDetectionRuleFactory.create(), "accepted_audio_codecs", text)
        assert row.accepted_audio_codecs == names

    @pytest.mark.parametrize("text", CORRUPT, ids=lambda text: text[:12])
    def test_a_text_that_is_not_a_list_of_strings_is_kept(self, text: str) -> None:
        row = store(ClientDetectionRuleFactory.create(), "accepted_video_codecs", text)
        assert row.accepted_video_codecs == text
        row.save()
        assert stored(row, "accepted_video_codecs") == text

    @pytest.mark.parametrize("value", ["", '["h264"]', None, *CORRUPT[:3]])
    def test_a_text_is_converted_as_if_it_were_stored(self, value: str | None) -> None:
        column: Any = ClientDetectionRule._meta.get_field("accepted_video_codecs")
        assert column.to_python(value) == read_codec_list(value)
        assert column.to_python(["aac"]) == ["aac"]

    def test_serialized_it_is_the_stored_text(self) -> None:
        row = ClientDetectionRuleFactory.create(accepted_video_codecs=["h264", "av1"], accepted_audio_codecs=[])
        (written,) = serialize("python", [row])
        assert written["fields"]["accepted_video_codecs"] == '["h264","av1"]'
        assert written["fields"]["accepted_audio_codecs"] == ""


def codec_form_field() -> Any:
    column: Any = ClientDetectionRule._meta.get_field("accepted_video_codecs")
    return column.formfield()


class TestCodecListFormField:
    """A form field for names separated by commas."""

    @pytest.mark.parametrize("names", [[], ["h264"], ["h264", "hevc", "av1"]])
    def test_an_unchanged_value_is_not_a_change(self, names: list[str]) -> None:
        shown = codec_form_field().prepare_value(names)
        assert shown == ", ".join(names)
        assert codec_form_field().clean(shown) == names
        assert not codec_form_field().has_changed(names, shown)

    @pytest.mark.parametrize("typed", ["h264,aac", " h264 ,, aac, ", "h264,\naac"])
    def test_spaces_and_extra_commas_are_ignored(self, typed: str) -> None:
        assert codec_form_field().clean(typed) == ["h264", "aac"]
        assert not codec_form_field().has_changed(["h264", "aac"], typed)

    def test_another_list_is_a_change(self) -> None:
        assert codec_form_field().has_changed(["h264", "aac"], "aac, h264")
        assert codec_form_field().has_changed([], "h264")
        assert codec_form_field().has_changed(["h264"], "")

    def test_the_field_may_be_empty(self) -> None:
        assert codec_form_field().clean("") == []
        assert codec_form_field().label == "Accepted video codecs"

    def test_a_text_that_is_not_a_list_is_displayed_unchanged_and_counts_as_changed(self) -> None:
        assert codec_form_field().prepare_value('["h264"') == '["h264"'
        assert codec_form_field().has_changed('["h264"', '["h264"')
