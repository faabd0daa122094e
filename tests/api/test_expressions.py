"""`/expressions/validate`: problems, warnings and the tree."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from tvarr_backup.expressions import Domain

pytestmark = pytest.mark.django_db

ADDRESS = "/api/v1/expressions/validate"


def check(client: APIClient, expression: Any, domain: Any = "stream_filter") -> dict[str, Any]:
    response = client.post(ADDRESS, {"expression": expression, "domain": domain})
    assert response.status_code == 200, response.json()
    return dict(response.json())


def test_a_valid_expression_has_a_tree(unprivileged: APIClient) -> None:
    assert check(unprivileged, 'group_title equals "News" AND NOT channel_name contains "HD"') == {
        "valid": True,
        "problems": [],
        "warnings": [],
        "tree": {
            "condition": {"AND": [["group_title", "equals", "News"], ["channel_name", "not_contains", "HD"]]},
            "actions": [],
        },
    }


def test_actions_are_in_the_tree(unprivileged: APIClient) -> None:
    body = check(unprivileged, 'channel_name matches "(BBC)" SET tvg_name = "$1"', "stream_mapping")
    assert body["tree"]["actions"] == [["SET", "tvg_name", {"literal": "$1"}]]


def test_a_problem_has_its_column(unprivileged: APIClient) -> None:
    body = check(unprivileged, 'group_title equal "News"')
    (problem,) = body["problems"]
    assert list(problem) == ["code", "column", "message", "found", "expected"]
    assert (body["valid"], body["tree"], problem["code"], problem["column"]) == (False, None, "unexpected", 13)
    assert problem["message"].endswith("Did you mean equals?")


def test_a_warning_has_its_column(unprivileged: APIClient) -> None:
    body = check(unprivileged, 'channel_name contains "BBC" AND chanel_group = "UK"')
    (warning,) = body["warnings"]
    assert list(warning) == ["code", "column", "message"]
    assert (body["valid"], warning["code"], warning["column"]) == (True, "unknown_field", 33)


@pytest.mark.parametrize("domain", Domain)
def test_every_domain_is_known(unprivileged: APIClient, domain: Domain) -> None:
    expression = 'true SET tvg_name = "x"' if domain.is_mapping else "true"
    assert check(unprivileged, expression, domain)["valid"] is True


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("", "blank"),
        (" \n", "blank"),
        ("(" * 200 + "true", "too_deep"),
        ('a contains "x', "unclosed_text"),
    ],
)
def test_an_invalid_expression_has_no_tree(unprivileged: APIClient, expression: str, code: str) -> None:
    body = check(unprivileged, expression)
    assert (body["valid"], body["tree"], [problem["code"] for problem in body["problems"]]) == (False, None, [code])


def test_the_deepest_valid_expression_has_a_tree(unprivileged: APIClient) -> None:
    body = check(unprivileged, "(" * 64 + 'a = "x"' + ")" * 64, "client_detection")
    assert body["tree"]["condition"] == ["a", "equals", "x"]


@pytest.mark.parametrize(
    ("body", "code", "found"),
    [
        ({"expression": "true", "domain": "radio"}, "unknown_domain", []),
        ({"expression": "true", "domain": ""}, "unknown_domain", []),
        ({"expression": "true", "domain": 5}, "invalid", [("/domain", "invalid")]),
        ({"expression": "true"}, "invalid", [("/domain", "required")]),
        ({"expression": 5, "domain": "epg_filter"}, "invalid", [("/expression", "invalid")]),
        ({"expression": None, "domain": "epg_filter"}, "invalid", [("/expression", "null")]),
        ({"expression": "a", "domain": "epg_filter", "x": 1}, "invalid", [("/x", "unknown_member")]),
        ([], "invalid", [("", "invalid")]),
    ],
)
def test_an_invalid_body_is_refused(
    unprivileged: APIClient, body: Any, code: str, found: list[tuple[str, str]]
) -> None:
    response = unprivileged.post(ADDRESS, body)
    assert (response.status_code, response.json()["code"]) == (400, code)
    assert [(one["pointer"], one["code"]) for one in response.json()["errors"]] == found


def test_an_unknown_domain_is_refused_with_all_domains(unprivileged: APIClient) -> None:
    response = unprivileged.post(ADDRESS, {"expression": "true", "domain": "x" * 1000})
    assert response.json()["detail"].startswith('Expected "stream_filter", "epg_filter", ')
    assert "x" * 100 not in response.content.decode()


def test_tvarrs_other_spellings_are_accepted(unprivileged: APIClient) -> None:
    assert check(unprivileged, 'true SET tvg_name = "x"', "stream_data_mapping")["valid"] is True


def test_it_requires_a_user(db: None) -> None:
    response = APIClient().post(ADDRESS, {"expression": "true", "domain": "epg_filter"})
    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")


def test_parameters_are_refused(unprivileged: APIClient) -> None:
    response = unprivileged.post(f"{ADDRESS}?domain=epg_filter", {"expression": "true", "domain": "epg_filter"})
    assert (response.status_code, response.json()["errors"][0]["code"]) == (400, "unknown_parameter")
