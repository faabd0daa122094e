"""The catalogue in the admin: only to look at, quick at any size, and without secrets."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from factory.django import DjangoModelFactory

from tests.admin.pages import add_url, change_url, delete_url, list_url, run_action, text_of
from tests.factories import (
    ChannelFactory,
    EncodingProfileFactory,
    EpgProgramFactory,
    EpgSourceFactory,
    ProxyFilterFactory,
    StreamProxyFactory,
    StreamSourceFactory,
)
from tests.tvarr_own import FILTER_ID, PROXY_ID, SOURCE_ID
from tvarr_backup.models import Channel, EpgProgram, ProxyFilter, StreamProxy, StreamSource

pytestmark = pytest.mark.django_db

FACTORIES: list[type[DjangoModelFactory[Any]]] = [
    StreamSourceFactory,
    EpgSourceFactory,
    ChannelFactory,
    EpgProgramFactory,
    StreamProxyFactory,
    ProxyFilterFactory,
]
SECRET = "s3cr3t-of-the-provider"


# --- Only to look at -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_row_is_listed_and_shown(admin_client: Client, factory: type[DjangoModelFactory[Any]]) -> None:
    row = factory.create()

    assert row in admin_client.get(list_url(type(row))).context["cl"].result_list
    assert str(row) in text_of(admin_client.get(change_url(row)))


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_row_can_be_neither_added_nor_changed_nor_deleted(
    admin_client: Client, factory: type[DjangoModelFactory[Any]]
) -> None:
    row = factory.create()

    for address in (add_url(type(row)), change_url(row), delete_url(row)):
        assert admin_client.post(address, {"post": "yes"}).status_code == 403
    run_action(admin_client, "delete_selected", row, post="yes")
    assert type(row).objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize("factory", FACTORIES)
def test_rows_marked_as_deleted_are_absent(admin_client: Client, factory: type[DjangoModelFactory[Any]]) -> None:
    row = factory.create()
    row.mark_deleted()

    assert row not in admin_client.get(list_url(type(row))).context["cl"].result_list
    assert admin_client.get(change_url(row)).status_code == 302


# --- Quick at any size -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_queries_of_a_list_do_not_grow_with_its_rows(
    admin_client: Client, factory: type[DjangoModelFactory[Any]]
) -> None:
    address = list_url(type(factory.create()))
    factory.create()  # from two sources on there is a filter by source
    with CaptureQueriesContext(connections["tvarr"]) as few:
        admin_client.get(address)
    factory.create_batch(20)
    with CaptureQueriesContext(connections["tvarr"]) as many:
        admin_client.get(address)

    assert len(many) == len(few) <= 6  # one asks for the columns of the table


@pytest.mark.parametrize("factory", FACTORIES)
def test_nothing_is_counted_and_nothing_is_joined(admin_client: Client, factory: type[DjangoModelFactory[Any]]) -> None:
    row = factory.create()

    with CaptureQueriesContext(connections["tvarr"]) as queries:
        admin_client.get(list_url(type(row)))

    statements = [query["sql"] for query in queries if f'FROM "{row._meta.db_table}"' in query["sql"]]
    assert statements
    assert not [sql for sql in statements if "COUNT(" in sql or " JOIN " in sql]


@pytest.mark.sqlite
@pytest.mark.parametrize("search", ["", "?q=tonight", "?o=5", "?source__id__exact=%s"])
@pytest.mark.parametrize("factory", [ChannelFactory, EpgProgramFactory])
def test_no_query_takes_the_index_of_deleted_rows_and_sorts_the_table(
    admin_client: Client, factory: type[DjangoModelFactory[Any]], search: str
) -> None:
    row = factory.create()
    with CaptureQueriesContext(connections["tvarr"]) as queries:
        admin_client.get(list_url(type(row)) + search.replace("%s", row.source_id))

    for query in queries:
        plan = _plan(query["sql"])
        assert not [step for step in plan if "deleted_at" in step and row._meta.db_table in step]


@pytest.mark.sqlite
@pytest.mark.parametrize(("factory", "index"), [(ChannelFactory, "autoindex"), (EpgProgramFactory, "idx_channel_time")])
def test_the_first_page_is_read_along_an_index_without_sorting(
    admin_client: Client, factory: type[DjangoModelFactory[Any]], index: str
) -> None:
    row = factory.create()
    with CaptureQueriesContext(connections["tvarr"]) as queries:
        admin_client.get(list_url(type(row)))

    keys = next(query["sql"] for query in queries if "LIMIT 10001" in query["sql"])
    (scan,) = [step for step in _plan(keys) if "RIGHT PART" not in step]
    assert f"SCAN {row._meta.db_table} USING" in scan
    assert index in scan


def _plan(sql: str) -> list[str]:
    with connections["tvarr"].cursor() as cursor:
        cursor.execute("EXPLAIN QUERY PLAN " + sql)
        return [row[3] for row in cursor.fetchall()]


@pytest.fixture
def many_channels() -> None:
    source = StreamSourceFactory.create()
    Channel.objects.bulk_create(ChannelFactory.build_batch(10_001, source=source, channel_name="Lighthouse"))


def test_a_long_list_says_that_there_are_more(admin_client: Client, many_channels: None) -> None:
    page = admin_client.get(list_url(Channel))

    assert "10,000+ channels" in text_of(page)
    assert "10,000+ results" in text_of(page)
    assert page.context["cl"].paginator.num_pages == 100


def test_the_last_page_of_a_long_list_is_full_and_there_is_none_behind(
    admin_client: Client, many_channels: None
) -> None:
    assert len(admin_client.get(list_url(Channel) + "?p=100").context["cl"].result_list) == 100
    assert admin_client.get(list_url(Channel) + "?p=101").status_code == 302


def test_a_list_of_exactly_the_most_that_is_listed_is_counted(admin_client: Client, many_channels: None) -> None:
    Channel.objects.order_by("id")[0].mark_deleted()

    assert " 10000 channels" in text_of(admin_client.get(list_url(Channel)))


def test_pages_follow_each_other_without_a_gap(admin_client: Client) -> None:
    source = StreamSourceFactory.create()
    made = ChannelFactory.create_batch(150, source=source)

    pages = [admin_client.get(f"{list_url(Channel)}?p={number}").context["cl"].result_list for number in (1, 2)]

    assert [channel.pk for page in pages for channel in page] == [channel.pk for channel in made]


def test_programmes_are_in_the_order_of_channel_and_time(admin_client: Client) -> None:
    late = EpgProgramFactory.create(channel_id="a")
    first = EpgProgramFactory.create(channel_id="a", start="2026-01-01T00:00Z", stop="2026-01-01T01:00Z")
    other = EpgProgramFactory.create(channel_id="b", start="2025-01-01T00:00Z", stop="2025-01-01T01:00Z")

    listed = admin_client.get(list_url(EpgProgram)).context["cl"].result_list

    assert [row.pk for row in listed] == [first.pk, late.pk, other.pk]


def test_a_search_reads_the_table_once(admin_client: Client) -> None:
    EpgProgramFactory.create(title="Tides tonight")

    with CaptureQueriesContext(connections["tvarr"]) as queries:
        page = admin_client.get(list_url(EpgProgram) + "?q=tides")

    assert "1 result" in text_of(page)
    unbounded = [q["sql"] for q in queries if "LIKE" in q["sql"] and '"id" IN (' not in q["sql"]]
    assert len(unbounded) == 1
    assert "LIMIT 10001" in unbounded[0]


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_search_of_very_many_words_is_answered(admin_client: Client, factory: type[DjangoModelFactory[Any]]) -> None:
    row = factory.create()

    assert admin_client.get(list_url(type(row)), {"q": "a " * 2000}).status_code == 200


def test_channels_are_narrowed_to_a_source(admin_client: Client) -> None:
    wanted, other = ChannelFactory.create_batch(2)

    page = admin_client.get(f"{list_url(Channel)}?source__id__exact={wanted.source_id}")

    assert wanted in page.context["cl"].result_list
    assert other not in page.context["cl"].result_list


# --- Without secrets -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factory", [StreamSourceFactory, EpgSourceFactory])
def test_the_password_of_a_source_is_shown_nowhere(
    admin_client: Client, factory: type[DjangoModelFactory[Any]]
) -> None:
    error = f'Get "http://p.example/get.php?password={SECRET}": timeout'
    url = f"http://p.example/get.php?password={SECRET}"
    row = factory.create(url=url, username="me", password=SECRET, last_error=error)

    for address in (list_url(type(row)), change_url(row)):
        page = admin_client.get(address)
        assert SECRET not in page.content.decode()
        assert "http://p.example/…" in text_of(page)


def test_whether_a_password_is_set_is_shown(admin_client: Client) -> None:
    StreamSourceFactory.create(name="Locked", password=SECRET)
    assert " set " in text_of(admin_client.get(list_url(StreamSource)))
    assert "not set" not in text_of(admin_client.get(list_url(StreamSource)))

    open_one = StreamSourceFactory.create(password="")
    assert "not set" in text_of(admin_client.get(change_url(open_one)))


def test_the_address_of_a_channel_is_masked(admin_client: Client) -> None:
    address = f"http://p.example:8080/live/me/{SECRET}/1.ts"
    row = ChannelFactory.create(stream_url=address, tvg_logo=address, extra=f'{{"catchup": "{address}"}}')

    page = admin_client.get(change_url(row))
    assert text_of(page).count("http://p.example:8080/…") == 3
    assert SECRET not in page.content.decode()
    assert SECRET not in admin_client.get(list_url(Channel)).content.decode()


@pytest.mark.parametrize(
    "lookup", ["password__startswith", "password", "url__contains", "last_error__contains", "password__regex"]
)
def test_nobody_can_guess_a_password_through_the_address_of_a_list(admin_client: Client, lookup: str) -> None:
    StreamSourceFactory.create(password=SECRET)

    assert admin_client.get(list_url(StreamSource), {lookup: "s"}).status_code == 400


@pytest.mark.parametrize("lookup", ["stream_url__contains", "source__password__startswith", "source__url__contains"])
def test_nobody_can_guess_a_password_through_the_channels(admin_client: Client, lookup: str) -> None:
    ChannelFactory.create()

    assert admin_client.get(list_url(Channel), {lookup: "s"}).status_code == 400


def test_a_search_does_not_look_into_secrets(admin_client: Client) -> None:
    StreamSourceFactory.create(password=SECRET, url=f"http://p.example/{SECRET}")

    assert admin_client.get(list_url(StreamSource), {"q": SECRET}).context["cl"].result_count == 0


# --- tvarr's own database --------------------------------------------------------------------------------------------


def _spoil(database: Path, statement: str, *values: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        assert connection.execute(statement, values).rowcount > 0


@pytest.mark.parametrize("model", [Channel, EpgProgram])
@pytest.mark.parametrize("moment", [None, "", "yesterday", "2026-03-01 10:00:00.123456789-05:00"])
def test_odd_times_are_shown_as_far_as_they_can_be_read(
    admin_client: Client, attached: Path, model: type[Any], moment: Any
) -> None:
    _spoil(attached, f"UPDATE {model._meta.db_table} SET created_at = ?, updated_at = ?", moment, moment)

    (row,) = admin_client.get(list_url(model)).context["cl"].result_list
    assert ("Sun 1 Mar 2026, 15:00 UTC" in text_of(admin_client.get(change_url(row)))) == (str(moment)[:4] == "2026")


@pytest.mark.parametrize("model", [Channel, EpgProgram])
def test_a_row_whose_source_is_gone_is_shown(admin_client: Client, attached: Path, model: type[Any]) -> None:
    _spoil(attached, f"UPDATE {model._meta.db_table} SET source_id = '01KAS9MHFKECRMZXS3GFSX6ABC'")

    (row,) = admin_client.get(list_url(model)).context["cl"].result_list
    assert str(row) in text_of(admin_client.get(change_url(row)))


@pytest.mark.parametrize(("table", "key"), [("filters", FILTER_ID), ("stream_proxies", PROXY_ID)])
def test_a_proxy_filter_that_lost_one_end_is_shown(admin_client: Client, attached: Path, table: str, key: str) -> None:
    _spoil(attached, f"DELETE FROM {table} WHERE id = ?", key)

    (row,) = admin_client.get(list_url(ProxyFilter)).context["cl"].result_list
    page = admin_client.get(change_url(row))
    assert page.status_code == 200
    assert key in text_of(page)


def test_a_proxy_whose_profile_is_gone_is_shown(admin_client: Client) -> None:
    row = StreamProxyFactory.create(name="Living room", encoding_profile=EncodingProfileFactory.create())
    with connections["tvarr"].cursor() as cursor:
        cursor.execute("DELETE FROM encoding_profiles WHERE id = %s", [row.encoding_profile_id])

    assert "Living room" in text_of(admin_client.get(list_url(StreamProxy)))
    assert admin_client.get(change_url(row)).status_code == 200


def test_a_source_without_any_of_its_texts_is_shown(admin_client: Client, attached: Path) -> None:
    _spoil(
        attached,
        "UPDATE stream_sources SET username = NULL, password = NULL, last_error = NULL, status = 'odd' WHERE id = ?",
        SOURCE_ID,
    )

    assert "Harbour Provider" in text_of(admin_client.get(list_url(StreamSource)))
    assert "not set" in text_of(admin_client.get(change_url(StreamSource.objects.get(pk=SOURCE_ID))))
