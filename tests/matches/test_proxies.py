"""The list of a proxy before and after a change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from tests.expressions.vectors import COMBINATIONS
from tests.factories import (
    ChannelFactory,
    FilterFactory,
    ProxyFilterFactory,
    StreamProxyFactory,
    StreamSourceFactory,
)
from tests.matches.changes import MAPPING, added, names, preview
from tests.tvarr_own import PROXY_ID, SOURCE_ID
from tvarr_backup.matches.items import Change, Item, item_of_row
from tvarr_backup.matches.proxies import read_proxies
from tvarr_backup.matches.results import ProxyOutput
from tvarr_backup.models import DataMappingRule, Filter, SourceType, StreamProxy

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def without_system_rules() -> None:
    DataMappingRule.objects.all().update(is_enabled=False)


def overwrite(row: Filter, expression: str) -> Change:
    before = item_of_row(row)
    return Change("1", before, replace(before, expression=expression))


def output_of(*changes: Change) -> ProxyOutput:
    (output,) = preview(*changes).proxies
    return output


@pytest.fixture
def used() -> Filter:
    """A filter that a proxy uses, and three channels."""
    source = StreamSourceFactory.create()
    for number in range(3):
        ChannelFactory.create(source=source, channel_name=f"Bay {number}", group_title="News" if number else "Kids")
    found: Filter = FilterFactory.create(expression='group_title = "News"')
    ProxyFilterFactory.create(filter=found, proxy=StreamProxyFactory.create(name="Living room"))
    return found


def test_a_changed_filter_changes_the_list_of_a_proxy_that_uses_it(used: Filter) -> None:
    output = output_of(overwrite(used, 'group_title = "Kids"'))
    assert (output.name, output.channels, output.before, output.after) == ("Living room", 3, 2, 1)
    assert (names(output.added), names(output.removed)) == (["Bay 0"], ["Bay 1", "Bay 2"])


def test_a_change_that_is_not_chosen_changes_no_list(used: Filter) -> None:
    assert preview(replace(overwrite(used, "false"), is_planned=False)).proxies == ()


def test_a_new_filter_changes_no_list(used: Filter) -> None:
    assert preview(added("false")).proxies == ()


def test_a_filter_that_no_proxy_uses_changes_no_list(used: Filter) -> None:
    assert preview(overwrite(FilterFactory.create(), "false")).proxies == ()


def test_a_new_mapping_rule_changes_lists(used: Filter) -> None:
    output = output_of(added('group_title = "News" SET group_title = "Kids"', MAPPING))
    assert (output.before, output.after) == (2, 0)


def test_a_refused_filter_leaves_a_proxy_without_a_list(used: Filter) -> None:
    output = output_of(overwrite(used, "channel_name icontains 5"))
    assert (output.before, output.after, output.refused_after) == (2, None, used.name)


@pytest.mark.parametrize("what", ["proxy", "use", "filter"])
def test_what_is_not_active_does_not_count(used: Filter, what: str) -> None:
    use = used.proxyfilter_set.get()
    if what == "proxy":
        StreamProxy.objects.update(is_active=False)
    elif what == "use":
        type(use).objects.update(is_active=False)
    else:
        used.mark_deleted()
    assert read_proxies() == []


def test_without_a_table_of_sources_all_channels_count(used: Filter) -> None:
    output = output_of(overwrite(used, "true"))
    assert (output.has_sources, output.channels) == (False, 3)


def test_a_proxy_has_only_channels_of_its_enabled_sources(attached: Path) -> None:
    StreamProxy.objects.update(is_active=True)
    with connections["tvarr"].cursor() as cursor:
        for key, source in (("A", SOURCE_ID), ("B", "of no source")):
            cursor.execute("PRAGMA foreign_keys = 0")
            cursor.execute(
                "INSERT INTO proxy_sources (id, proxy_id, source_id) VALUES (%s, %s, %s)", [key, PROXY_ID, source]
            )
    assert [proxy.sources for proxy in read_proxies()] == [frozenset({SOURCE_ID})]
    with connections["tvarr"].cursor() as cursor:
        cursor.execute("UPDATE stream_sources SET enabled = 0")
    assert read_proxies()[0].sources == frozenset()


MEASURED = [case for case in COMBINATIONS if case["kind"] == "filters" and case["filters"]]


@pytest.mark.parametrize("case", MEASURED, ids=[str(number) for number in range(len(MEASURED))])
def test_lists_are_those_that_tvarr_makes(case: dict[str, Any]) -> None:
    source = StreamSourceFactory.create()
    for number, channel in enumerate(case["channels"]):
        ChannelFactory.create(source=source, **{"ext_id": str(number), "tvg_name": "", **channel})
    proxy = StreamProxyFactory.create()
    stored: list[Filter] = []
    for number, each in enumerate(case["filters"]):
        stored.append(
            FilterFactory.create(
                name=f"{number:02}",
                source_type=SourceType(each["for"]),
                action=each["action"],
                expression=each["expression"],
            )
        )
        ProxyFilterFactory.create(
            proxy=proxy, filter=stored[-1], priority=each["priority"], is_active=each.get("active", True)
        )
    unchanged: list[Item] = [item_of_row(row) for row in stored]
    found = preview(*(Change(str(number), each, each) for number, each in enumerate(unchanged))).proxies
    if not any(each.get("active", True) for each in case["filters"]):
        assert found == ()
        return
    (output,) = found
    expected = case["expected"]
    if expected["error"]:
        assert output.after is None
    else:
        assert (output.before, output.after) == (len(expected["channels_left"]),) * 2
