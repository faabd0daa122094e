"""The page that tests an expression."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from tests.factories import ChannelFactory, DataMappingRuleFactory
from tests.web.browsing import fields_of, person, send, text_of
from tvarr_backup.errors import DatabaseBusy
from tvarr_backup.expressions import Domain
from tvarr_backup.operations import actions
from tvarr_backup.web.matches import expression_address

pytestmark = pytest.mark.django_db

NAMES = ("Harbour Sports", "Harbour News", "Quiet Bay")
PART = {"HX-Request": "true"}


@pytest.fixture
def viewer(db: None) -> Client:
    return person({"access.export_configuration"})


@pytest.fixture(autouse=True)
def _channels(db: None) -> None:
    for name in NAMES:
        ChannelFactory.create(channel_name=name)


def sent(client: Client, expression: str, domain: str = "stream_filter", /, **fields: Any) -> Any:
    """Send the form as htmx does."""
    form = {"expression": expression, "domain": domain, "priority": "", "row": ""}
    return send(client, "/expressions/", form | fields, **PART)


def test_the_form_is_filled_in_from_the_address(viewer: Client) -> None:
    page = viewer.get(expression_address('channel_name contains "bay"\nOR true', Domain.STREAM_MAPPING, 7))
    assert fields_of(page, "expression-form") | {"csrfmiddlewaretoken": []} == {
        "csrfmiddlewaretoken": [],
        "expression": ['channel_name contains "bay"\nOR true'],
        "domain": ["stream_mapping"],
        "priority": ["7"],
        "row": [""],
    }


def test_a_filled_form_is_tested_when_the_page_has_loaded(viewer: Client) -> None:
    triggers = [
        re.search('hx-trigger="(load|submit)', viewer.get(address).content.decode())
        for address in (expression_address("true", Domain.STREAM_FILTER), "/expressions/")
    ]
    assert [trigger and trigger[1] for trigger in triggers] == ["load", "submit"]


@pytest.mark.parametrize("text", ["", "x" * 4000])
def test_an_expression_that_does_not_fit_has_no_address(text: str) -> None:
    assert expression_address(text, Domain.STREAM_FILTER) == ""


def test_an_unknown_domain_is_that_of_channel_filters(viewer: Client) -> None:
    page = viewer.get("/expressions/?domain=pears&priority=pears")
    assert fields_of(page, "expression-form")["domain"] == ["stream_filter"]


def test_matches_are_counted_and_named(viewer: Client) -> None:
    text = text_of(sent(viewer, 'channel_name contains "harbour"'))
    assert "Matches: 2 of 3 channels" in text
    assert "Harbour Sports" in text
    assert "Quiet Bay" not in text


def test_without_scripts_the_whole_page_has_the_result(viewer: Client) -> None:
    page = send(viewer, "/expressions/", {"expression": "true", "domain": "stream_filter"})
    assert "<html" in page.content.decode()
    assert "Matches: 3 of 3 channels" in text_of(page)
    assert "It matches all 3 channels." in text_of(page)


def test_a_problem_is_shown_at_its_place(viewer: Client) -> None:
    response = sent(viewer, 'channel_name equal "x"')
    assert "tvarr refuses this expression." in text_of(response)
    assert "Column 14: " in text_of(response)
    assert "channel_name <mark>e</mark>qual &quot;x&quot;" in response.content.decode()


def test_a_warning_is_shown_at_its_place(viewer: Client) -> None:
    response = sent(viewer, 'pears equals "x"')
    assert "<mark>p</mark>ears" in response.content.decode()


def test_columns_do_not_depend_on_the_line_breaks_of_browsers(viewer: Client) -> None:
    assert "Column 6: " in text_of(sent(viewer, "true\r\n)"))


def test_a_mapping_rule_shows_values_before_and_after(viewer: Client) -> None:
    DataMappingRuleFactory.create(expression='true SET tvg_name = "Seen"', priority=1, source_type="stream")
    rule = 'tvg_name equals "Seen" SET channel_name = "New"'
    assert "Matches: 0 of 3 channels" in text_of(sent(viewer, rule, "stream_mapping", priority="0"))
    text = text_of(sent(viewer, rule, "stream_mapping", priority="2"))
    assert "Changes 3 channels" in text
    assert 'channel_name "Quiet Bay" becomes "New"' in text


def test_failures_at_run_time_are_shown(viewer: Client) -> None:
    text = text_of(sent(viewer, 'channel_name greater_than "5"'))
    assert "A value that is compared as a number is not a number. It fails for 3, such as" in text


def test_a_client_detection_rule_is_tried_on_players(viewer: Client) -> None:
    text = text_of(sent(viewer, '@dynamic(request.headers):user-agent contains "VLC"', "client_detection"))
    assert "players" in text


def test_each_part_is_explained_for_a_channel(viewer: Client) -> None:
    expression = 'channel_name contains "bay" OR (channel_name contains "news" AND tvg_id equals "1")'
    text = text_of(sent(viewer, expression, row="Quiet Bay"))
    assert "Quiet Bay matches" in text
    assert 'True: Any of (OR) True: channel_name contains "bay" . Value seen: "Quiet Bay"' in text
    assert 'Not reached: All of (AND) Not reached: channel_name contains "news"' in text


def test_an_error_in_a_part_is_explained(viewer: Client) -> None:
    text = text_of(sent(viewer, 'channel_name greater_than "5"', row="Quiet Bay"))
    assert "Quiet Bay fails" in text
    assert "Error: channel_name greater_than" in text


def test_only_so_many_parts_are_listed(viewer: Client) -> None:
    text = text_of(sent(viewer, " OR ".join(['channel_name equals "x"'] * 1000), row="Quiet Bay"))
    assert "700 more parts" in text


def test_a_channel_that_does_not_exist_is_a_problem_of_its_field(viewer: Client) -> None:
    text = text_of(sent(viewer, "true", row="Nobody"))
    assert "Matches: 3 of 3 channels" in text
    assert 'There is no channel "Nobody".' in text


def test_addresses_of_streams_need_a_right(viewer: Client) -> None:
    text = text_of(sent(viewer, 'stream_url contains "a"', row="Quiet Bay"))
    assert "requires the right to download backups" in text
    assert "Value seen" not in text


def test_hidden_characters_are_visible(viewer: Client) -> None:
    ChannelFactory.create(channel_name="Harbour\u202eX")
    response = sent(viewer, 'channel_name contains "\u202e"', row="Harbour\u202eX")
    assert "\u202e" not in response.content.decode()


def test_a_mistake_in_the_priority_is_shown(viewer: Client) -> None:
    assert "Priority: Enter a whole number." in text_of(sent(viewer, "true", "stream_mapping", priority="pears"))


def test_a_blank_expression_is_not_a_problem(viewer: Client) -> None:
    response = sent(viewer, " ")
    assert "Enter an expression." in text_of(response)
    assert "alert" not in response.content.decode()


def test_a_database_that_does_not_answer_is_a_problem(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise DatabaseBusy("It is busy.")

    monkeypatch.setattr(actions, "require_tvarrs", refuse)
    text = text_of(sent(viewer, "true", row="Quiet Bay"))
    assert "The expression is valid. Its matches could not be counted." in text
    assert "It is busy." in text


@pytest.mark.parametrize(
    ("domain", "offered", "missing"),
    [
        ("stream_filter", "channel_name", "programme_title"),
        ("epg_filter", "programme_title", "tvg_logo"),
        ("stream_mapping", "SET_IF_EMPTY", "request_path"),
        ("client_detection", "request_path", "channel_name"),
    ],
)
def test_the_names_that_work_in_a_domain_are_listed(viewer: Client, domain: str, offered: str, missing: str) -> None:
    page = viewer.get(f"/expressions/?domain={domain}").content.decode()
    listed = page.partition('id="names"')[2].partition("</table>")
    words = re.findall("<code>([^<]*)</code>", listed[0].partition("<table")[2] + listed[2])
    assert offered in words
    assert missing not in words


def test_another_domain_replaces_the_names(viewer: Client) -> None:
    form = {"expression": "", "domain": "epg_filter", "priority": "", "row": ""}
    response = send(viewer, "/expressions/", form, **PART, **{"HX-Trigger-Name": "domain"})
    assert 'id="names" hx-swap-oob' in response.content.decode()
    assert 'id="names"' not in sent(viewer, "").content.decode()
