"""Calls that count what expressions match: our own, and tvarr's with its members."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from tests.factories import ChannelFactory, DataMappingRuleFactory, EpgProgramFactory, StreamSourceFactory
from tvarr_backup.models import DataMappingRule, StreamSource

pytestmark = pytest.mark.django_db

ROOT = "/api/v1"
ADDRESS = f"{ROOT}/expressions/test"
CHANNEL = {
    *("id", "source_id", "ext_id", "tvg_id", "tvg_name", "tvg_logo", "group_title", "channel_name", "channel_number"),
    *("stream_url", "stream_type", "language", "country", "is_adult"),
}


@pytest.fixture
def source() -> StreamSource:
    """A source with three channels."""
    DataMappingRule.objects.all().update(is_enabled=False)
    found: StreamSource = StreamSourceFactory.create()
    for number, group in enumerate(("News", "News", "Kids")):
        ChannelFactory.create(
            source=found, channel_name=f"Bay {number}", group_title=group, tvg_logo="" if number else "5"
        )
    return found


def count(client: APIClient, **body: Any) -> dict[str, Any]:
    response = client.post(ADDRESS, {"domain": "stream_filter", **body})
    assert response.status_code == 200, response.json()
    return dict(response.json())


# --- Our own call ----------------------------------------------------------------------------------------------------


def test_an_expression_is_counted(viewer: APIClient, source: StreamSource) -> None:
    body = count(viewer, expression='group_title = "news"', limit=1)
    assert (body["valid"], body["matched"], body["evaluated"], body["failed"]) == (True, 2, 3, 0)
    assert [row["name"] for row in body["sample"]] == ["Bay 0"]
    assert body["rows"] == {
        "subject": "channels",
        "in_database": 3,
        "evaluated": 3,
        "ids_end_below": None,
        "not_utf8": 0,
    }
    assert (body["hints"], body["stop"], body["explained"]) == ([], None, None)


def test_an_invalid_expression_has_its_problem(viewer: APIClient, source: StreamSource) -> None:
    body = count(viewer, expression="channel_name icontains 5", explain="Bay 0")
    assert (body["valid"], body["problems"][0]["column"], body["matched"], body["explained"]) == (False, 14, 0, None)


def test_hints_and_failures_have_codes(viewer: APIClient, source: StreamSource) -> None:
    body = count(viewer, expression="tvg_logo < 5")
    assert [hint["code"] for hint in body["hints"]] == ["fails", "matches_nothing"]
    assert [(each["code"], each["count"], each["example"]["name"]) for each in body["failures"]] == [
        ("not_a_number", 2, "Bay 1")
    ]


def test_a_mapping_rule_shows_what_it_changes(viewer: APIClient, source: StreamSource) -> None:
    body = count(viewer, expression='group_title = "Kids" SET tvg_name = "x"', domain="stream_mapping")
    assert body["changed"] == 1
    assert body["changes"][0]["values"] == [{"column": "tvg_name", "before": "Bay 2", "after": "x"}]


def test_a_channel_is_explained(viewer: APIClient, source: StreamSource) -> None:
    body = count(viewer, expression='channel_name = "Bay 2" AND group_title = "News"', explain="Bay 2")["explained"]
    assert (body["row"]["name"], body["matches"], body["tree"]["connective"]) == ("Bay 2", False, "AND")
    assert [(part["field"], part["verdict"], part["value"]) for part in body["tree"]["members"]] == [
        ("channel_name", "true", "Bay 2"),
        ("group_title", "false", "Kids"),
    ]


def test_a_channel_that_does_not_exist_cannot_be_explained(viewer: APIClient, source: StreamSource) -> None:
    response = viewer.post(ADDRESS, {"expression": "true", "domain": "stream_filter", "explain": "Nobody"})
    assert (response.status_code, response.json()["code"]) == (404, "row_not_found")


def test_addresses_of_streams_need_the_right_to_download_backups(
    viewer: APIClient, operator: APIClient, source: StreamSource
) -> None:
    expression = 'stream_url contains "pelican"'
    body = count(viewer, expression=expression)
    assert (body["stop"]["code"], body["matched"]) == ("denied", 0)
    assert count(operator, expression=expression)["matched"] == 3


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"expression": "true"}, [("/domain", "required")]),
        ({"expression": "true", "domain": "stream_filter", "limit": 201}, [("/limit", "max_value")]),
        ({"expression": "true", "domain": "stream_filter", "x": 1}, [("/x", "unknown_member")]),
    ],
)
def test_an_invalid_body_is_refused(viewer: APIClient, body: Any, found: list[tuple[str, str]]) -> None:
    response = viewer.post(ADDRESS, body)
    assert response.status_code == 400
    assert [(one["pointer"], one["code"]) for one in response.json()["errors"]] == found


# --- tvarr's test of a filter ------------------------------------------------------------------------------------------


def try_filter(client: APIClient, query: str = "", **body: Any) -> dict[str, Any]:
    sent = {"source_type": "stream", "is_inverse": False, **body}
    response = client.post(f"{ROOT}/filters/test{query}", sent)
    assert response.status_code == 200, response.json()
    return dict(response.json())


def test_a_filter_is_tested_on_one_source_or_all(viewer: APIClient, source: StreamSource) -> None:
    ChannelFactory.create(group_title="News", source__enabled=False)
    everywhere = try_filter(viewer, filter_expression='group_title = "NEWS"')
    assert everywhere == {"success": True, "matched_count": 3, "total_channels": 4}
    one = try_filter(viewer, filter_expression='group_title = "NEWS"', source_id=source.pk)
    assert one == {"success": True, "matched_count": 2, "total_channels": 3}


def test_an_inverse_filter_leaves_out_rows_that_fail(viewer: APIClient, source: StreamSource) -> None:
    assert try_filter(viewer, filter_expression="tvg_logo > 5", is_inverse=True)["matched_count"] == 1
    assert try_filter(viewer, filter_expression="tvg_logo > 4", is_inverse=True)["matched_count"] == 0


def test_a_filter_is_tested_before_the_mapping_rules(viewer: APIClient, source: StreamSource) -> None:
    DataMappingRuleFactory.create(expression='group_title = "Kids" SET group_title = "News"')
    assert try_filter(viewer, filter_expression='group_title = "News"')["matched_count"] == 2


@pytest.mark.parametrize(
    "body",
    [
        {"filter_expression": "channel_name icontains 5"},
        {"filter_expression": "true", "source_type": "epg"},
        {"filter_expression": "true", "source_id": "x"},
    ],
)
def test_what_cannot_be_tested_is_answered_with_the_reason(viewer: APIClient, body: dict[str, Any]) -> None:
    answer = try_filter(viewer, **body)
    assert answer.keys() == {"success", "matched_count", "total_channels", "error"}
    assert (answer["success"], answer["matched_count"], answer["total_channels"], bool(answer["error"])) == (
        False,
        0,
        0,
        True,
    )


def test_a_filter_of_programmes_is_tested_on_their_source(viewer: APIClient) -> None:
    programme = EpgProgramFactory.create(title="Tides")
    answer = try_filter(viewer, source_type="epg", filter_expression='title = "tides"', source_id=programme.source_id)
    assert (answer["matched_count"], answer["total_channels"]) == (1, 1)


def test_channels_are_listed_in_pages(operator: APIClient, source: StreamSource) -> None:
    first = try_filter(operator, "?include_channels=true&limit=2", filter_expression="true")
    assert (first["matched_count"], first["page"], first["total_pages"], first["has_more"]) == (3, 1, 2, True)
    assert [channel["channel_name"] for channel in first["channels"]] == ["Bay 0", "Bay 1"]
    assert first["channels"][0].keys() <= CHANNEL
    assert first["channels"][0].keys() >= {"id", "source_id", "channel_name", "stream_url", "is_adult"}
    assert "tvg_logo" not in first["channels"][1]  # empty
    second = try_filter(operator, "?include_channels=true&limit=2&page=2", filter_expression="true")
    assert ([channel["channel_name"] for channel in second["channels"]], second["has_more"]) == (["Bay 2"], False)


@pytest.mark.parametrize("query", ["?page=0", "?limit=x", "?limit=1001", "?include_channels=1", "?other=1"])
def test_invalid_parameters_are_refused(operator: APIClient, query: str) -> None:
    response = operator.post(
        f"{ROOT}/filters/test{query}", {"source_type": "stream", "filter_expression": "true", "is_inverse": False}
    )
    assert (response.status_code, response.json()["code"]) == (400, "invalid")


def test_a_list_of_channels_needs_the_right_to_download_backups(viewer: APIClient) -> None:
    body = {"source_type": "stream", "filter_expression": "true", "is_inverse": False}
    response = viewer.post(f"{ROOT}/filters/test?include_channels=true", body)
    assert (response.status_code, response.json()["code"]) == (403, "permission_denied")


# --- tvarr's tests of rules --------------------------------------------------------------------------------------------


def try_rule(client: APIClient, expression: str, *sources: str, source_type: str = "stream") -> dict[str, Any]:
    body = {"source_ids": list(sources), "source_type": source_type, "expression": expression}
    response = client.post(f"{ROOT}/data-mapping/test", body)
    assert response.status_code == 200, response.json()
    return dict(response.json())


def test_a_mapping_rule_is_tested_like_a_filter(viewer: APIClient, source: StreamSource) -> None:
    """It ignores case, and knows `category`, both unlike the rule itself."""
    answer = try_rule(viewer, 'category = "NEWS" SET tvg_name = "x"', source.pk.lower(), "not an id")
    assert answer.keys() == {"success", "message", "affected_channels", "total_channels"}
    assert (answer["success"], answer["affected_channels"], answer["total_channels"]) == (True, 2, 3)


def test_a_mapping_rule_without_rows_has_no_message(viewer: APIClient) -> None:
    answer = try_rule(viewer, 'true SET tvg_name = "x"', "01KAEHXEGJ5GMS392SP1ZYMK50")
    assert answer == {"success": True, "message": "", "affected_channels": 0, "total_channels": 0}


def test_an_invalid_mapping_rule_is_answered_with_the_reason(viewer: APIClient, source: StreamSource) -> None:
    answer = try_rule(viewer, "channel_name icontains 5", source.pk)
    assert (answer["success"], answer["affected_channels"], bool(answer["message"])) == (False, 0, True)


def test_a_rule_for_programmes_is_tested_on_guides(viewer: APIClient) -> None:
    programme = EpgProgramFactory.create(title="Tides")
    answer = try_rule(viewer, 'title = "tides" SET genre = "x"', programme.source_id, source_type="epg")
    assert (answer["affected_channels"], answer["total_channels"]) == (1, 1)


@pytest.mark.parametrize(
    ("expression", "body", "matches"),
    [
        ('@dynamic(request.headers):user-agent contains "VLC"', {"user_agent": "VLC/3.0"}, True),
        ('@dynamic(request.headers):user-agent contains "vlc"', {"user_agent": "VLC/3.0"}, False),
        ('@dynamic(request.headers):X-Video-Codec = "h264"', {"headers": {"x-video-codec": "h264"}}, True),
        ('@dynamic(request.headers):user-agent = "b"', {"user_agent": "a", "headers": {"User-Agent": "b"}}, True),
        ('client_ip = "127.0.0.1"', {}, True),
        ('request_path = ""', {}, True),
        ('host = ""', {}, True),
        ('method = ""', {}, True),
    ],
)
def test_a_client_rule_is_tested_on_headers(
    viewer: APIClient, expression: str, body: dict[str, Any], matches: bool
) -> None:
    response = viewer.post(f"{ROOT}/client-detection-rules/test", {"expression": expression, "user_agent": "", **body})
    assert (response.status_code, response.json()) == (200, {"matches": matches})


@pytest.mark.parametrize("expression", ["channel_name icontains 5", "client_ip > 5", 'host matches "("'])
def test_a_client_rule_that_cannot_be_tested_is_answered_with_the_reason(viewer: APIClient, expression: str) -> None:
    response = viewer.post(f"{ROOT}/client-detection-rules/test", {"expression": expression, "user_agent": "x"})
    answer = response.json()
    assert (response.status_code, answer["matches"], bool(answer["error"])) == (200, False, True)


@pytest.mark.parametrize("path", ["filters/test", "data-mapping/test", "client-detection-rules/test"])
def test_an_empty_expression_is_refused(viewer: APIClient, path: str) -> None:
    name = "filter_expression" if path == "filters/test" else "expression"
    response = viewer.post(f"{ROOT}/{path}", {name: ""})
    assert response.status_code == 400
    assert f"/{name}" in {one["pointer"] for one in response.json()["errors"]}
