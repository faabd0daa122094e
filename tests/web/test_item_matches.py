"""What a stored item matches, on its page and in the admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.admin.pages import add_url, change_url
from tests.factories import (
    ChannelFactory,
    ClientDetectionRuleFactory,
    DataMappingRuleFactory,
    EncodingProfileFactory,
    FilterFactory,
)
from tests.operations.test_history import look
from tests.web.browsing import person, text_of
from tvarr_backup.models import PortableRow
from tvarr_backup.portable.kinds import kind_of_model

pytestmark = pytest.mark.django_db

PART = {"HX-Request": "true"}


@pytest.fixture
def viewer(db: None) -> Client:
    return person({"access.export_configuration"})


@pytest.fixture
def keeper(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("keeper"))
    return client


@pytest.fixture(autouse=True)
def _channels(db: None) -> None:
    for name in ("Harbour Sports", "Harbour News", "Quiet Bay"):
        ChannelFactory.create(channel_name=name)


def address_of(row: PortableRow) -> str:
    return reverse("item-matches", args=[kind_of_model(type(row)).url_slug, row.pk])


def part_of(client: Client, row: PortableRow) -> Any:
    return client.get(address_of(row), headers=PART)


def test_a_filter_is_counted(viewer: Client) -> None:
    text = text_of(part_of(viewer, FilterFactory.create(expression='channel_name contains "harbour"')))
    assert "Matches: 2 of 3 channels" in text
    assert "Harbour News" in text


def test_a_client_detection_rule_is_counted(viewer: Client) -> None:
    assert "players" in text_of(part_of(viewer, ClientDetectionRuleFactory.create(expression="true")))


def test_a_rule_sees_what_earlier_rules_wrote_and_not_what_it_writes_itself(viewer: Client) -> None:
    DataMappingRuleFactory.create(expression='true SET tvg_name = "Seen"', priority=1, source_type="stream")
    rule = 'tvg_name equals "Seen" SET tvg_name = "Other"'
    late = DataMappingRuleFactory.create(expression=rule, priority=2, source_type="stream")
    assert "Matches: 3 of 3 channels" in text_of(part_of(viewer, late))


def test_it_leads_to_the_tester(viewer: Client) -> None:
    content = part_of(viewer, DataMappingRuleFactory.create(expression="true", priority=7)).content.decode()
    assert "/expressions/?expression=true&amp;domain=stream_mapping&amp;priority=7" in content


def test_an_expression_that_is_too_long_for_a_link_says_so(viewer: Client) -> None:
    long = " OR ".join(['channel_name equals "harbour"'] * 200)
    assert "too long for a link" in text_of(part_of(viewer, FilterFactory.create(expression=long)))


def test_without_scripts_it_is_a_page(viewer: Client) -> None:
    page = viewer.get(address_of(FilterFactory.create(name="Harbour", expression='channel_name contains "bay"')))
    assert "<html" in page.content.decode()
    assert 'channel_name contains "bay"' in text_of(page)
    assert "Matches: 1 of 3 channels" in text_of(page)


@pytest.mark.parametrize("kind", ["filters", "pears"])
def test_what_does_not_exist_is_not_found(viewer: Client, kind: str) -> None:
    assert viewer.get(f"/configuration/items/{kind}/nobody/matches/").status_code == 404


def test_a_profile_matches_nothing(viewer: Client) -> None:
    assert part_of(viewer, EncodingProfileFactory.create()).status_code == 404


def test_the_page_of_an_item_loads_it(keeper: Client) -> None:
    row = FilterFactory.create()
    look()
    page = keeper.get(reverse("item-history", args=["filters", row.pk]))
    assert f'hx-get="{address_of(row)}" hx-trigger="load"' in page.content.decode()


def test_the_page_of_a_deleted_item_does_not(keeper: Client) -> None:
    row = FilterFactory.create()
    look()
    address = address_of(row)
    page = reverse("item-history", args=["filters", row.pk])
    row.delete()
    look()
    assert address not in keeper.get(page).content.decode()


def test_the_admin_loads_it_beside_the_form(keeper: Client) -> None:
    row = FilterFactory.create()
    page = keeper.get(change_url(row)).content.decode()
    assert f'hx-get="{address_of(row)}" hx-trigger="load"' in page
    assert "htmx" in page.partition("</head>")[0]


def test_the_admin_links_to_the_tester_from_a_new_item(keeper: Client) -> None:
    assert 'href="/expressions/"' in keeper.get(add_url(type(FilterFactory.build()))).content.decode()


def test_the_admin_does_not_count_a_profile(keeper: Client) -> None:
    assert "hx-get" not in keeper.get(change_url(EncodingProfileFactory.create())).content.decode()
