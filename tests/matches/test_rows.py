"""Rows of tvarr's database, as expressions see them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from tests.factories import (
    ChannelFactory,
    EpgProgramFactory,
    EpgSourceFactory,
    StreamSourceFactory,
)
from tvarr_backup.errors import RowNotFound
from tvarr_backup.expressions.domains import RowKind
from tvarr_backup.matches import rows
from tvarr_backup.matches.rows import (
    Row,
    Share,
    choose_share,
    count_not_utf8,
    find_row,
    read_channels,
    read_programmes,
    write_time,
)

pytestmark = pytest.mark.django_db

CAFE = b"Caf\xe9 Bay"


def channels(*columns: str) -> list[Row]:
    return [row for batch in read_channels(columns or ("channel_name",)) for row in batch]


def programmes(*columns: str, share: Share | None = None) -> list[Row]:
    share = share or choose_share()
    return [row for batch in read_programmes(columns or ("programme_title",), share) for row in batch]


def store_bytes(channel_id: str, column: str, raw: bytes) -> None:
    with connections["tvarr"].cursor() as cursor:
        cursor.execute(f"UPDATE channels SET {column} = CAST(%s AS TEXT) WHERE id = %s", [raw, channel_id])


def test_a_channel_has_the_columns_that_are_asked_for() -> None:
    channel = ChannelFactory.create(channel_name="Quiet Bay", group_title="News")
    assert channels("channel_name", "group_title") == [
        {"id": channel.pk, "channel_name": "Quiet Bay", "group_title": "News"}
    ]
    assert channels("source_id")[0]["source_id"] == channel.source_id


def test_null_is_empty() -> None:
    channel = ChannelFactory.create()
    with connections["tvarr"].cursor() as cursor:
        cursor.execute("UPDATE channels SET tvg_logo = NULL WHERE id = %s", [channel.pk])
    assert channels("tvg_logo")[0]["tvg_logo"] == ""


@pytest.mark.parametrize("left_out", ["deleted channel", "disabled source", "deleted source"])
def test_rows_that_tvarr_does_not_load_are_left_out(left_out: str) -> None:
    ChannelFactory.create(channel_name="A")
    other = ChannelFactory.create(channel_name="B")
    if left_out == "deleted channel":
        other.mark_deleted()
    elif left_out == "disabled source":
        type(other.source).objects.filter(pk=other.source_id).update(enabled=False)
    else:
        other.source.mark_deleted()
    assert [row["channel_name"] for row in channels()] == ["A"]


def test_a_source_that_is_neither_enabled_nor_disabled_is_enabled() -> None:
    channel = ChannelFactory.create()
    with connections["tvarr"].cursor() as cursor:
        cursor.execute("UPDATE stream_sources SET enabled = NULL WHERE id = %s", [channel.source_id])
    assert len(channels()) == 1


def test_channels_come_in_batches_by_their_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "BATCH", 3)
    source = StreamSourceFactory.create()
    made = ChannelFactory.create_batch(7, source=source)
    batches = list(read_channels(("channel_name",)))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert [row["id"] for batch in batches for row in batch] == sorted(channel.pk for channel in made)


@pytest.mark.sqlite
@pytest.mark.parametrize("model", ["channels", "epg_programs"])
def test_a_batch_is_read_by_the_ids_without_sorting(model: str) -> None:
    (ChannelFactory if model == "channels" else EpgProgramFactory).create()
    with CaptureQueriesContext(connections["tvarr"]) as queries:
        channels() if model == "channels" else programmes(share=Share(1, "ZZ"))
    query = next(each["sql"] for each in queries if "LIMIT" in each["sql"])
    with connections["tvarr"].cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {query}")
        (plan,) = cursor.fetchall()
    assert f"USING INDEX sqlite_autoindex_{model}_1 (id>?)" in plan[-1]


@pytest.mark.sqlite
def test_bytes_that_are_not_utf8_are_kept() -> None:
    store_bytes(ChannelFactory.create().pk, "channel_name", CAFE)
    (row,) = channels()
    assert row["channel_name"].encode(errors="surrogateescape") == CAFE
    assert count_not_utf8([row, row]) == 2


@pytest.mark.sqlite
def test_other_queries_still_see_replacement_characters() -> None:
    channel = ChannelFactory.create()
    store_bytes(channel.pk, "channel_name", CAFE)
    batches = read_channels(("channel_name",))
    next(batches)
    channel.refresh_from_db()
    assert channel.channel_name == "Caf\ufffd Bay"


def test_a_row_with_letters_of_other_scripts_is_utf8() -> None:
    ChannelFactory.create(channel_name="Ñandú 🎬")
    assert count_not_utf8(channels()) == 0


# --- Programmes ------------------------------------------------------------------------------------------------------


def test_a_programme_has_times_in_rfc_3339() -> None:
    EpgProgramFactory.create(start=datetime(2026, 3, 1, 20, tzinfo=UTC), stop=datetime(2026, 3, 1, 21, 30, tzinfo=UTC))
    (row,) = programmes("programme_start", "programme_stop")
    assert (row["programme_start"], row["programme_stop"]) == ("2026-03-01T20:00:00Z", "2026-03-01T21:30:00Z")


@pytest.mark.parametrize(
    ("stored", "seen"),
    [
        ("2026-03-01 20:00:00+00:00", "2026-03-01T20:00:00Z"),
        ("2026-03-01 20:00:00.123456789+02:00", "2026-03-01T20:00:00+02:00"),
        ("2026-03-01T20:00:00-05:00", "2026-03-01T20:00:00-05:00"),
        ("2026-03-01 20:00", "2026-03-01T20:00:00Z"),
        ("0001-01-01 00:00:00+00:00", ""),
        ("", ""),
        ("soon", ""),
    ],
)
def test_a_stored_time_keeps_its_offset(stored: str, seen: str) -> None:
    assert write_time(stored) == seen


def test_a_small_guide_is_read_completely() -> None:
    EpgProgramFactory.create_batch(3)
    assert (choose_share(), len(programmes())) == (Share(3), 3)


def test_a_large_guide_is_sampled_by_the_end_of_the_ids() -> None:
    source = EpgSourceFactory.create()
    endings = [f"{first}{second}" for first in "01" for second in "0123456789ABCDEFGHJKMNPQRSTVWXYZ"]
    for ending in endings:
        EpgProgramFactory.create(id=f"01KAEHXEGJ5GMS392SP1ZYMK{ending}", source=source)
    share = choose_share(4)
    assert share == Share(64, "20")  # 4 of 64 are 64 of the 1,024 endings: those below 20
    assert [row["id"][-2:] for row in programmes(share=Share(64, "04"))] == ["00", "01", "02", "03"]
    assert not share.is_all


def test_programmes_of_disabled_sources_are_left_out() -> None:
    EpgProgramFactory.create(source__enabled=False)
    assert programmes() == []


# --- One row ---------------------------------------------------------------------------------------------------------


def test_a_channel_is_found_by_its_id_and_by_its_name() -> None:
    channel = ChannelFactory.create(channel_name="Quiet Bay")
    found = find_row(RowKind.CHANNELS, channel.pk)
    assert find_row(RowKind.CHANNELS, "Quiet Bay") == found
    assert found["stream_url"] == channel.stream_url


def test_a_channel_of_a_disabled_source_is_found() -> None:
    ChannelFactory.create(channel_name="Quiet Bay", source__enabled=False)
    assert find_row(RowKind.CHANNELS, "Quiet Bay")["channel_name"] == "Quiet Bay"


@pytest.mark.parametrize("name", ["Nobody", "", "a\0b"])
@pytest.mark.parametrize("row_kind", [RowKind.CHANNELS, RowKind.PROGRAMMES])
def test_a_row_that_does_not_exist_is_not_found(row_kind: RowKind, name: str) -> None:
    with pytest.raises(RowNotFound):
        find_row(row_kind, name)


def test_tvarrs_own_database_is_read(attached: Path) -> None:
    assert {row["channel_name"] for row in channels()}
    assert programmes("programme_start")[0]["programme_start"]


def test_nothing_is_written(attached: Path) -> None:
    with connections["tvarr"].cursor() as cursor:
        cursor.execute("PRAGMA query_only = 1")
    assert channels()
