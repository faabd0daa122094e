"""`manage.py expression test` and `manage.py portable plan --matches`."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.expressions.vectors import EVALUATIONS
from tests.factories import ChannelFactory, FilterFactory, ProxyFilterFactory, StreamSourceFactory
from tests.portable.files import FILTERS, document, filter_item
from tvarr_backup.models import DataMappingRule

pytestmark = pytest.mark.django_db

_DOMAIN = ("--domain", "stream_filter")


@pytest.fixture(autouse=True)
def channels() -> None:
    DataMappingRule.objects.all().update(is_enabled=False)
    source = StreamSourceFactory.create()
    for number, group in enumerate(("News", "News", "Kids")):
        ChannelFactory.create(source=source, channel_name=f"Bay {number}", group_title=group, tvg_logo="")


def run(*arguments: str) -> str:
    output = io.StringIO()
    call_command(*arguments, stdout=output, stderr=io.StringIO())
    return output.getvalue()


def tried(*arguments: str) -> str:
    return run("expression", "test", *arguments)


def test_it_counts_and_lists_what_matches() -> None:
    assert tried('group_title = "news"', *_DOMAIN).splitlines() == [
        "Matches 2 of 3 channels.",
        "    Bay 0",
        "    Bay 1",
    ]


def test_it_lists_as_many_rows_as_are_asked_for() -> None:
    assert tried("true", *_DOMAIN, "--limit", "1").splitlines()[1:3] == ["    Bay 0", "    and 2 more"]


def test_it_warns_with_codes() -> None:
    lines = tried("tvg_logo > 5", *_DOMAIN).splitlines()
    assert [line.split(":")[0] for line in lines[1:]] == [
        "Fails for 3 (not_a_number), such as Bay 0",
        "Warning (fails)",
        "Warning (matches_nothing)",
    ]


def test_it_lists_what_a_mapping_rule_changes() -> None:
    lines = tried('group_title = "Kids" SET tvg_name = "x"', "--domain", "stream_mapping").splitlines()
    assert lines == ["Matches 1 of 3 channels, and changes 1.", '    Bay 2: tvg_name "Bay 2" -> "x"']


def test_it_explains_a_channel() -> None:
    lines = tried('name = "Bay 2" AND group = "News"', *_DOMAIN, "--explain", "Bay 2").splitlines()
    assert lines[0].endswith(": does not match")
    assert lines[1:] == [
        "    false: AND",
        '        true: name equals "Bay 2", and name is "Bay 2"',
        '        false: group equals "News", and group is "Kids"',
    ]


def test_it_prints_json() -> None:
    body = json.loads(tried('group_title = "news"', *_DOMAIN, "--json"))
    assert (body["valid"], body["matched"], body["rows"]["evaluated"]) == (True, 2, 3)
    body = json.loads(tried("true", *_DOMAIN, "--json", "--explain", "Bay 2"))
    assert (body["matches"], body["tree"]) == (True, {"verdict": "true", "error": None})


def test_a_blank_filter_is_skipped() -> None:
    assert tried(" ", *_DOMAIN).splitlines() == ["The expression is blank, so tvarr skips it."]


@pytest.mark.parametrize(
    "arguments",
    [
        ("tvg_id icontains 5", *_DOMAIN),
        ("true", *_DOMAIN, "--explain", "Nobody"),
        ("true", "--domain", "radio"),
        ("true",),
        ("true", *_DOMAIN, "--jsonl", "-"),
    ],
)
def test_it_fails_with_a_reason(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        tried(*arguments)


# --- Lines -----------------------------------------------------------------------------------------------------------


def lines_of(path: Path, *lines: Any) -> list[dict[str, Any]]:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return [json.loads(line) for line in tried("--jsonl", str(path)).splitlines()]


def test_lines_are_evaluated_as_tvarr_evaluated_them(tmp_path: Path) -> None:
    cases = [case for case in EVALUATIONS[::20] if "<now>" not in json.dumps(case)]
    names = ("matches", "error", "after", "after_base64")
    found = lines_of(tmp_path / "rows.jsonl", *cases)
    assert len(found) > 100
    for case, result in zip(cases, found, strict=True):
        assert {name: result.get(name) for name in names} == {name: case.get(name) for name in names}, case


@pytest.mark.parametrize(
    "line",
    [
        [],
        {"expression": "true"},
        {"expression": "true", "domain": "radio"},
        {"expression": "true", "domain": "stream_filter", "row": []},
        {"expression": "true", "domain": "stream_filter", "row": {}, "row_base64": {"tvg_id": "!"}},
    ],
)
def test_a_line_that_is_not_a_case_is_refused(tmp_path: Path, line: Any) -> None:
    with pytest.raises(CommandError, match="Line 1"):
        lines_of(tmp_path / "rows.jsonl", line)


# --- Plans -----------------------------------------------------------------------------------------------------------


def plan(path: Path, *arguments: str) -> str:
    stored = FilterFactory.create(name="Harbour", expression='group_title = "News"', description="")
    ProxyFilterFactory.create(filter=stored, proxy__name="Living room")
    items = (
        filter_item("Harbour", expression="false", description=""),
        filter_item("New", expression='group_title = "Kids"'),
    )
    path.write_text(json.dumps(document(FILTERS, *items)))
    return run("portable", "plan", "filters", str(path), "--bulk", "overwrite", *arguments)


def test_a_plan_shows_what_its_expressions_match(tmp_path: Path) -> None:
    lines = plan(tmp_path / "filters.json", "--matches").splitlines()
    assert "    matches: 0 of 3 channels, 2 before" in lines
    assert lines[lines.index("        - Bay 1") + 1].startswith("    warning: ")
    assert "    matches: 1 of 3 channels" in lines
    assert "proxy Living room: 0 of 3 channels, 2 before" in lines


def test_a_plan_does_not_count_unless_it_is_asked_to(tmp_path: Path) -> None:
    assert "matches" not in plan(tmp_path / "filters.json")


def test_a_plan_as_json_has_the_matches(tmp_path: Path) -> None:
    body = json.loads(plan(tmp_path / "filters.json", "--matches", "--json"))
    matches = body["matches"]
    assert body["fingerprint"]
    assert [(item["key"], item["after"]["matched"]) for item in matches["items"]] == [
        ("filters/1", 0),
        ("filters/2", 1),
    ]
    assert [(proxy["name"], proxy["before"], proxy["after"]) for proxy in matches["proxies"]] == [("Living room", 2, 0)]
