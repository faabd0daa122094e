"""What the expressions of an import match, in its preview."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from django.test import Client
from django.utils.html import escape

from tests.factories import ChannelFactory, FilterFactory, ProxyFilterFactory
from tests.portable.files import CLIENTS, FILTERS, PROFILES, client_item, filter_item, profile_item
from tests.web.browsing import person, text_of
from tests.web.test_imports import review
from tvarr_backup.errors import DatabaseBusy
from tvarr_backup.expressions import Domain
from tvarr_backup.operations import actions
from tvarr_backup.web.matches import expression_address, limit_of

pytestmark = pytest.mark.django_db

NAMES = ("Harbour Sports", "Harbour News", "Quiet Bay")


@pytest.fixture
def operator(db: None) -> Client:
    return person({"access.import_configuration"})


@pytest.fixture(autouse=True)
def _channels(db: None) -> None:
    for name in NAMES:
        ChannelFactory.create(channel_name=name)


def counted(client: Client, preview: Any, *, is_part: bool = False, query: str = "") -> Any:
    """The counts, on a page of their own or as a part."""
    address = f"{preview.request['PATH_INFO']}matches/{query}"
    return client.get(address, headers={"HX-Request": "true"} if is_part else {})


def test_the_preview_loads_the_counts(operator: Client) -> None:
    preview = review(operator, FILTERS, filter_item("Harbour"))
    assert f'hx-get="{preview.request["PATH_INFO"]}matches/" hx-trigger="load"' in preview.content.decode()


def test_a_file_without_expressions_has_none(operator: Client) -> None:
    assert 'id="matches"' not in review(operator, PROFILES, profile_item()).content.decode()


def test_a_new_filter_is_counted(operator: Client) -> None:
    preview = review(operator, FILTERS, filter_item("Harbour", expression='channel_name contains "harbour"'))
    text = text_of(counted(operator, preview, is_part=True))
    assert "What the expressions match: 1 expression, 0 warnings" in text
    assert "Counted among 3 channels." in text
    assert "2 of 3 channels" in text
    assert "Harbour Sports" in text
    assert "Quiet Bay" not in text


def test_a_changed_filter_is_counted_before_and_after_in_the_lists_of_proxies_too(operator: Client) -> None:
    used = FilterFactory.create(name="Harbour", expression='channel_name contains "harbour"', action="include")
    proxy = ProxyFilterFactory.create(filter=used).proxy
    preview = review(operator, FILTERS, filter_item("Harbour", expression='channel_name contains "news"'))
    operator.post(f"{preview.request['PATH_INFO']}choices/", {"action-1": "overwrite"})
    text = text_of(counted(operator, preview))
    assert "1 of 3 channels" in text
    assert "2 of 3 channels" in text
    assert "No longer matches 1" in text
    assert proxy.name in text


def test_each_expression_leads_to_the_tester_for_users_who_may_open_it(db: None) -> None:
    for permissions, is_linked in (({"access.export_configuration"}, True), (set[str](), False)):
        client = person({"access.import_configuration", *permissions})
        preview = review(client, FILTERS, filter_item("Harbour", expression='channel_name contains "harbour"'))
        part = counted(client, preview, is_part=True).content.decode()
        address = expression_address('channel_name contains "harbour"', Domain.STREAM_FILTER)
        assert (f'href="{escape(address)}"' in part) == is_linked


def test_a_filter_that_matches_nothing_has_a_warning(operator: Client) -> None:
    preview = review(operator, FILTERS, filter_item("Nothing", expression='channel_name contains "meadow"'))
    text = text_of(counted(operator, preview, is_part=True))
    assert "1 expression, 1 warning" in text
    assert "It matches none of 3 channels." in text


def test_client_detection_rules_are_tried_on_players(operator: Client) -> None:
    rule = client_item("VLC", expression='@dynamic(request.headers):user-agent contains "VLC"')
    text = text_of(counted(operator, review(operator, CLIENTS, rule)))
    assert "players" in text
    assert "VLC" in text


def test_names_that_are_not_utf_8_are_shown(operator: Client) -> None:
    ChannelFactory.create(channel_name="Harbour\u202eX")
    preview = review(operator, FILTERS, filter_item("Harbour", expression='channel_name contains "harbour"'))
    assert "\u202e" not in counted(operator, preview, is_part=True).content.decode()


def test_canceled_there_is_a_way_to_count_later(operator: Client) -> None:
    preview = review(operator, FILTERS, filter_item("Harbour"))
    text = text_of(counted(operator, preview, is_part=True, query="?cancel"))
    assert "What the expressions match: not counted" in text
    assert "Count now" in text


def test_a_problem_is_said_in_its_place(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    preview = review(operator, FILTERS, filter_item("Harbour"))

    def refuse(*_: Any, **__: Any) -> None:
        raise DatabaseBusy("It is busy.")

    monkeypatch.setattr(actions, "require_tvarrs", refuse)
    response = counted(operator, preview, is_part=True)
    assert response.status_code == 200
    assert "could not be counted" in text_of(response)


def test_after_the_import_its_address_leads_to_the_result(operator: Client) -> None:
    preview = review(operator, FILTERS, filter_item("Harbour"))
    operator.post(f"{preview.request['PATH_INFO']}discard/")
    assert counted(operator, preview).status_code == 302


@pytest.mark.parametrize("act", ["waits", "sends more", "has left"])
def test_a_count_ends_when_the_browser_has_left(act: str, rf: Any) -> None:
    server, browser = socket.socketpair()
    with server, browser:
        if act == "sends more":
            browser.send(b"GET")
        if act == "has left":
            browser.close()
        is_canceled = limit_of(rf.get("/", **{"gunicorn.socket": server})).is_canceled
        assert is_canceled is not None
        assert is_canceled() is (act == "has left")
