"""The command `demo_data`."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from tests.factories import FilterFactory
from tests.installation import Installation
from tvarr_backup.models import (
    Channel,
    ClientDetectionRule,
    DataMappingRule,
    EncodingProfile,
    EpgProgram,
    EpgSource,
    Filter,
    ProxyFilter,
    StreamProxy,
    StreamSource,
    TvarrRow,
)

pytestmark = pytest.mark.django_db

KINDS: list[Any] = [Filter, DataMappingRule, ClientDetectionRule, EncodingProfile]
MODELS: list[Any] = [*KINDS, StreamSource, EpgSource, Channel, EpgProgram, StreamProxy, ProxyFilter]


def fill(channels: int = 7, programmes: int = 30, items: int = 3, seed: int = 1) -> None:
    call_command("demo_data", channels=channels, programmes=programmes, items=items, seed=seed)


def made(model: type[TvarrRow]) -> list[Any]:
    """The rows that did not come with the tables."""
    rows = model.objects.order_by("id")
    return list(rows.filter(is_system=False) if model in KINDS else rows)


@pytest.fixture(autouse=True)
def _silent(capsys: pytest.CaptureFixture[str]) -> None:
    """Progress is not for the test report."""


def test_it_adds_as_many_rows_as_asked() -> None:
    fill(channels=7, programmes=30, items=3)

    assert [len(made(model)) for model in (Channel, EpgProgram)] == [7, 30]
    assert [len(made(model)) for model in KINDS] == [3, 3, 3, 3]
    assert [len(made(model)) for model in (StreamSource, EpgSource, StreamProxy)] == [4, 1, 5]


@pytest.mark.parametrize("model", MODELS)
def test_every_row_is_valid(model: Any) -> None:
    fill()

    rows = made(model)
    assert rows
    for row in rows:
        row.full_clean()


@pytest.mark.parametrize("model", MODELS)
def test_rows_are_stored_as_the_models_store_them(model: Any) -> None:
    fill()
    row = made(model)[0]
    stored = stored_values(row)

    model.all_rows.filter(pk=row.pk).update(**{f.name: getattr(row, f.attname) for f in model._meta.concrete_fields})

    assert stored_values(row) == stored


def stored_values(row: Any) -> Any:
    with connections["tvarr"].cursor() as cursor:
        cursor.execute(f'SELECT * FROM "{row._meta.db_table}" WHERE id = %s', [row.pk])
        return cursor.fetchone()


def test_running_it_twice_adds_to_what_is_there() -> None:
    fill(channels=7, programmes=30, items=3)
    fill(channels=7, programmes=30, items=3)

    assert [len(made(model)) for model in MODELS] == [6, 6, 6, 6, 8, 2, 14, 60, 10, 30]


def test_names_of_rows_marked_as_deleted_are_not_taken_again() -> None:
    fill(items=1)
    for row in made(EncodingProfile):
        row.mark_deleted()

    fill(items=1)

    assert len({row.name for row in EncodingProfile.all_rows.filter(is_system=False)}) == 2


def test_the_same_seed_gives_the_same_names() -> None:
    fill(seed=5)
    first = [channel.channel_name for channel in made(Channel)]
    fill(seed=5)
    fill(seed=6)

    names = [channel.channel_name for channel in made(Channel)]
    assert names[7:14] == first
    assert names[14:] != first


def test_channels_of_all_sources_and_their_counts_agree() -> None:
    fill(channels=7)

    assert [source.channel_count for source in made(StreamSource)] == [2, 2, 2, 1]
    assert all(source.channel_count == source.channel_set.count() for source in made(StreamSource))


def test_programmes_belong_to_channels_and_follow_each_other() -> None:
    fill(channels=7, programmes=30)

    guide = list(EpgProgram.objects.order_by("channel_id", "start"))
    assert {programme.channel_id for programme in guide} <= {channel.tvg_id for channel in made(Channel)}
    pairs = [(one, two) for one, two in pairwise(guide) if one.channel_id == two.channel_id]
    assert len(pairs) == 30 - 6
    assert all(one.stop == two.start for one, two in pairs)


@pytest.mark.parametrize("sizes", [(0, 0, 0), (0, 5, 0), (5, 0, 0), (9, 5, 1)])
def test_any_number_may_be_nothing(sizes: tuple[int, int, int]) -> None:
    channels, programmes, items = sizes

    fill(channels, programmes, items)

    assert [len(made(model)) for model in (Channel, EpgProgram, Filter)] == [channels, programmes, items]


def test_proxies_use_filters_that_exist() -> None:
    mine = FilterFactory.create()
    Filter.objects.filter(is_system=True).delete()

    fill(items=0)

    assert {used.filter_id for used in made(ProxyFilter)} == {mine.pk}


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ({"channels": -1}, "--channels: expected a whole number from 0 to 1000000, got -1."),
        ({"channels": 1_000_001}, "got 1000001."),
        ({"programmes": -5}, "--programmes: expected a whole number from 0 to 10000000, got -5."),
        ({"programmes": 10_000_001}, "got 10000001."),
        ({"items": -2}, "--items: expected a whole number from 0 to 100000, got -2."),
        ({"items": 100_001}, "got 100001."),
    ],
)
def test_a_number_out_of_range_is_refused_before_anything_is_written(arguments: dict[str, int], refusal: str) -> None:
    with pytest.raises(CommandError) as refused:
        fill(**arguments)

    assert refusal in str(refused.value)
    assert made(StreamSource) == made(Filter) == []


def test_progress_goes_to_stderr_and_the_result_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    fill(channels=7, programmes=30, items=3)

    captured = capsys.readouterr()
    assert captured.out == "Added 7 channels, 30 programmes and 3 items of each kind.\n"
    assert "channels: 7 of 7" in captured.err


def test_tvarrs_own_database_is_refused_and_not_changed(attached: Path) -> None:
    with pytest.raises(CommandError, match="needs a database that tvarr-backup created"):
        fill()

    assert [len(made(model)) for model in (StreamSource, Channel)] == [1, 1]


def test_a_missing_database_is_refused(installation: Installation) -> None:
    assert "Run `prepare` first" in installation.refused("demo_data")


def test_another_file_is_refused(installation: Installation, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("Not a database at all. " * 100)

    assert "is not an SQLite database" in installation.refused("demo_data", TVARR_DATABASE_DSN=str(file))


def test_it_works_from_the_command_line(installation: Installation) -> None:
    installation.prepared()

    assert installation.ok("demo_data", "--channels", "3", "--programmes", "4").startswith("Added 3 channels, 4")
