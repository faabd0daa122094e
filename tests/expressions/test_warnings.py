"""Warnings about valid expressions."""

import pytest

from tests.expressions.traps import TRAPS, Trap
from tvarr_backup.expressions import Domain, WarningCode, check_expression
from tvarr_backup.expressions.lint import MOST_WARNINGS


def codes(text: str, domain: Domain) -> list[str]:
    check = check_expression(text, domain)
    assert check.valid, check.problems
    return [warning.code.value for warning in check.warnings]


def message(text: str, domain: Domain = Domain.STREAM_MAPPING) -> str:
    (warning,) = check_expression(text, domain).warnings
    return warning.message


def test_every_code_has_an_example() -> None:
    assert [*(trap.code for trap in TRAPS), WarningCode.UNCHECKED] == list(WarningCode)


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.code.value)
def test_the_example_of_a_code_gives_this_one_warning(trap: Trap) -> None:
    check = check_expression(trap.example, trap.domain)

    assert check.valid
    assert [(warning.code, warning.column) for warning in check.warnings] == [(trap.code, trap.column)]
    assert check.warnings[0].message.startswith("tvarr")
    assert check.warnings[0].message.endswith(".")


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ('name contains "a" AND epg_id = "b" AND group != "c"', Domain.STREAM_FILTER),
        ('stream_url starts_with "http"', Domain.STREAM_FILTER),
        ('title = "a" AND genre = "b" AND start contains "2026"', Domain.EPG_FILTER),
        ('method = "GET" AND Client_IP = "192.0.2.1" AND query contains "x"', Domain.CLIENT_DETECTION),
        ('@dynamic(request.headers):user-agent contains "VLC"', Domain.CLIENT_DETECTION),
        ('url contains "x" AND is_adult = true', Domain.STREAM_MAPPING),
        ("true", Domain.STREAM_FILTER),
        ('true SET name = "a", tvg_logo = "b", group = "c"', Domain.STREAM_MAPPING),
        ('icon = "" SET icon = "a", desc = "b"', Domain.EPG_MAPPING),
        ('true SET preferred_format = "hls"', Domain.CLIENT_DETECTION),
        (r'host matches "(?i)\\bnews\\b|(?<name>x)"', Domain.CLIENT_DETECTION),
        (r'channel_name matches "(?i)\\b\\pL+\\z"', Domain.STREAM_FILTER),
        ('tvg_id greater_than "-5.5" AND tvg_id lt 1.', Domain.STREAM_MAPPING),
        ('tvg_id gt "0x1p-2" AND tvg_id gt "inf" AND tvg_id gt "1e5"', Domain.STREAM_MAPPING),
        ("NOT tvg_id = 5", Domain.STREAM_MAPPING),
        ('not (channel_name contains "a")', Domain.STREAM_FILTER),
        ('not (channel_name contains "a") AND tvg_id = "b"', Domain.STREAM_FILTER),
        ('not tvg_id = "a" OR (tvg_id = "b" OR tvg_id = "c")', Domain.STREAM_FILTER),
        ('tvg_id = "a" tvg_name = "b"', Domain.STREAM_MAPPING),
        (r'channel_name matches "\\d\n\t\r\"\'"', Domain.STREAM_FILTER),
        ('host contains "rock and roll || <b>"', Domain.CLIENT_DETECTION),
        ('host == "a  and  b" && ip contains "a=~b"', Domain.CLIENT_DETECTION),
        ('channel_name contains "AND a=b, android. or: [x]"', Domain.STREAM_FILTER),
        ("true SET tvg_name = '@time:now', tvg_logo = @word", Domain.STREAM_MAPPING),
        ('channel_name equals "$tvg_name" OR tvg_id = a$b', Domain.STREAM_FILTER),
        ("true SET preferred_format = @dynamic(request.headers):x", Domain.CLIENT_DETECTION),
        ('channel_name matches "(a)(b)" SET tvg_name = "$2-$1", tvg_id = $0', Domain.STREAM_MAPPING),
        ('tvg_id matches "(a)" AND channel_name not matches "x" SET tvg_name = $1', Domain.STREAM_MAPPING),
        ('tvg_id matches "(a)" OR tvg_id = "x" SET tvg_name = $1', Domain.STREAM_MAPPING),
        ('true SET tvg_name = "costs 5$"', Domain.STREAM_MAPPING),
    ],
)
def test_an_expression_that_works_gives_no_warning(text: str, domain: Domain) -> None:
    assert codes(text, domain) == []


@pytest.mark.parametrize(
    ("text", "domain", "expected"),
    [
        ('url contains "x"', Domain.STREAM_FILTER, ["empty_field"]),
        ('channel_name contains "x"', Domain.EPG_FILTER, ["empty_field"]),
        ('x_video_codec = "h265"', Domain.CLIENT_DETECTION, ["empty_field"]),
        ("true SET tvg_name = $quality", Domain.STREAM_MAPPING, ["unknown_field"]),
        ('true SET mine = "1", tvg_name = $mine', Domain.STREAM_MAPPING, ["unknown_target"]),
        ('true SET tvg_country = "1", tvg_name = $country', Domain.STREAM_MAPPING, ["unsaved_target"]),
        ("true DELETE quality", Domain.STREAM_MAPPING, ["unknown_target"]),
        ('true SET client_ip = "x"', Domain.CLIENT_DETECTION, ["read_only_target"]),
        ("true SET supports_fmp4 = true", Domain.CLIENT_DETECTION, ["unsaved_target"]),
        ('true SET category = "x"', Domain.STREAM_MAPPING, ["unsaved_target"]),
        ('true SET channel_name = "x"', Domain.EPG_MAPPING, ["unsaved_target"]),
        (r'channel_name not matches "a(?=b)"', Domain.STREAM_FILTER, ["bad_regex"]),
        (r'channel_name matches "(a)\\1"', Domain.STREAM_FILTER, ["bad_regex"]),
        ("tvg_id gt abc", Domain.STREAM_MAPPING, ["not_a_number"]),
        ('tvg_id > ""', Domain.STREAM_MAPPING, ["not_a_number"]),
        ("NOT tvg_id > 5", Domain.STREAM_MAPPING, ["ignored_not"]),
        ("not tvg_id > 5", Domain.STREAM_MAPPING, ["ignored_not"]),
        ("not ((tvg_id = 5) AND tvg_id = 6)", Domain.STREAM_FILTER, ["moved_not"]),
        ("not ( tvg_id = 5 OR tvg_id = 6 ) AND tvg_id = 7", Domain.STREAM_FILTER, ["moved_not"]),
        ("true DELETE tvg_id", Domain.EPG_FILTER, ["ignored_action"]),
        ("true tvg_id ?= 5", Domain.EPG_FILTER, ["ignored_action"]),
        ("true SET tvg_id = 5, tvg_name = 6", Domain.EPG_FILTER, ["ignored_action", "ignored_action"]),
        ('tvg_id = "a" stream_url = "b"', Domain.STREAM_MAPPING, ["missing_and"]),
        ('host = "a" client_ip = "b"', Domain.CLIENT_DETECTION, ["missing_and"]),
        (r'host contains "C:\dir\sub"', Domain.CLIENT_DETECTION, ["dropped_backslash"]),
        ('channel_name contains "a  b"', Domain.STREAM_FILTER, ["rewritten_text"]),
        ('channel_name contains "a\tb"', Domain.STREAM_FILTER, ["rewritten_text"]),
        ('channel_name contains "a not_contains b"', Domain.STREAM_FILTER, ["rewritten_text"]),
        ('true SET tvg_name = "<b>"', Domain.STREAM_MAPPING, ["rewritten_text"]),
        ('not tvg_id="x y"', Domain.STREAM_MAPPING, ["rewritten_text"]),
        ("true SET tvg_logo = @logo:01ARZ3NDEKTSV4RRFFQ69G5FAV", Domain.STREAM_MAPPING, ["unquoted_helper"]),
        ("channel_name = @dynamic(a):b", Domain.STREAM_FILTER, ["reference_as_text"]),
        ("true SET tvg_name = $1", Domain.STREAM_MAPPING, ["missing_group"]),
        ('tvg_id matches "(a)" SET tvg_name = "$2"', Domain.STREAM_MAPPING, ["missing_group"]),
        ('tvg_id matches "(a)" AND tvg_id matches "b" SET tvg_name = $1', Domain.STREAM_MAPPING, ["missing_group"]),
        ('tvg_id not matches "(a)" SET tvg_name = $1', Domain.STREAM_MAPPING, ["missing_group"]),
    ],
)
def test_each_form_of_a_trap_gives_its_warning(text: str, domain: Domain, expected: list[str]) -> None:
    assert codes(text, domain) == expected


@pytest.mark.parametrize("domain", [Domain.STREAM_MAPPING, Domain.CLIENT_DETECTION])
def test_warnings_come_in_the_order_of_the_text(domain: Domain) -> None:
    text = 'nothing = "a" AND nowhere greater_than "b" SET neither = @x:y'

    columns = [warning.column for warning in check_expression(text, domain).warnings]

    assert columns == [1, 19, 40, 48, 58]


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ('a == "x" && name contains "Rock and Roll"', 33),
        ('name contains "\u03bc\u03bf\u03c5 <b>"', 20),
        ("not tvg_id='x y'", 15),
        ('  name   contains  "a  b"', 23),
    ],
)
def test_a_rewritten_text_is_reported_where_it_changes(text: str, column: int) -> None:
    warnings = check_expression(text, Domain.STREAM_MAPPING).warnings

    assert [warning.column for warning in warnings if warning.code is WarningCode.REWRITTEN_TEXT] == [column]


def test_a_dropped_backslash_is_found_behind_rewritten_symbols_and_escapes() -> None:
    (warning,) = check_expression(r'name != "\\a\"\w"', Domain.STREAM_MAPPING).warnings

    assert (warning.code, warning.column) == (WarningCode.DROPPED_BACKSLASH, 15)


def test_a_rewritten_text_is_quoted_as_tvarr_reads_it() -> None:
    assert '"Rock AND Roll"' in message('name contains "Rock and Roll"')
    assert "x not y" in message("not tvg_id='x y'")


def test_a_change_of_case_makes_no_difference_in_a_filter() -> None:
    text = 'name contains "Rock and Roll"'

    assert "ignores case" in message(text, Domain.STREAM_FILTER)
    assert "ignores case" not in message(text)


def test_a_missing_space_before_the_remove_sign_is_suggested() -> None:
    assert "write a space before -= if you mean tvg_name" in message('true tvg_name-="x"')


def test_a_regular_expression_that_is_too_large_to_check_is_accepted() -> None:
    assert codes(r'name matches "(\\pL{1000})" SET tvg_name = "$1 $2"', Domain.STREAM_MAPPING) == []


def test_an_expression_with_a_great_many_warnings_lists_the_first() -> None:
    text = " AND ".join(f'chanel{number} = "x"' for number in range(MOST_WARNINGS + 50))
    warnings = check_expression(text, Domain.STREAM_FILTER).warnings
    assert len(warnings) == MOST_WARNINGS
    assert "chanel0 " in warnings[0].message
