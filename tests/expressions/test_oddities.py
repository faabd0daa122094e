"""What tvarr does unexpectedly, one test each. The sentences and examples are those of docs/reference/evaluation.md."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tvarr_backup.expressions import Domain, InvalidExpression
from tvarr_backup.expressions.client_rules import ClientRule, ClientRules
from tvarr_backup.expressions.combination_warnings import CombinationCode, warn_about_filters, warn_about_program
from tvarr_backup.expressions.evaluate import compile_expression
from tvarr_backup.expressions.failures import FailureCode
from tvarr_backup.expressions.filter_stage import FilterAction, FilterStage, FilterUse
from tvarr_backup.expressions.mapping_stage import ChannelGroups, MappedRow, MappingRule, MappingStage

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "evaluation.md"
STREAM, EPG = Domain.STREAM_FILTER, Domain.EPG_FILTER
MAPPING, EPG_MAPPING, CLIENT = Domain.STREAM_MAPPING, Domain.EPG_MAPPING, Domain.CLIENT_DETECTION
INCLUDE, EXCLUDE = FilterAction.INCLUDE, FilterAction.EXCLUDE

Check = Callable[[str], None]
ODDITIES: list[tuple[str, str, Check]] = []


def oddity(sentence: str, example: str) -> Callable[[Check], Check]:
    """Add a row of the page, whose example the check gets."""

    def add(check: Check) -> Check:
        ODDITIES.append((sentence, example, check))
        return check

    return add


def matches(text: str, domain: Domain = STREAM, **row: Any) -> bool | None:
    return compile_expression(text, domain).matches(row)


def failure(text: str, domain: Domain = STREAM, **row: Any) -> FailureCode | None:
    return compile_expression(text, domain).apply(row).outcome.error


def after(text: str, domain: Domain = MAPPING, **row: Any) -> dict[str, str]:
    return dict(compile_expression(text, domain).apply(row).after)


def refused(text: str, domain: Domain = STREAM) -> bool:
    try:
        compile_expression(text, domain)
    except InvalidExpression:
        return True
    return False


def stays(*filters: FilterUse, **row: str) -> bool:
    (kept,) = FilterStage(filters).filter_channels([row])
    return kept


def use(text: str, action: FilterAction = INCLUDE, domain: Domain = STREAM, priority: int = 0) -> FilterUse:
    return FilterUse(text, domain, action, priority)


def mapped(*rules: MappingRule, **row: str) -> MappedRow:
    (result,) = MappingStage(rules).map_channels([row])
    return result


@oddity(
    "Filters and mapping rules of programmes change nothing, because tvarr loads programmes after it has run them.",
    'title contains "News"',
)
def _(example: str) -> None:
    for domain in (EPG, EPG_MAPPING):
        warnings = warn_about_program(compile_expression(example, domain))
        assert [warning.code for warning in warnings] == [CombinationCode.NO_PROGRAMMES_YET]
    assert warn_about_program(compile_expression(example, STREAM)) == ()


@oddity("A proxy with exclude filters only has no channels, even if they match none.", "false")
def _(example: str) -> None:
    filters = [use(example, EXCLUDE)]
    assert not stays(*filters, channel_name="Quiet Bay")
    assert [warning.code for warning in warn_about_filters(filters)] == [CombinationCode.ONLY_EXCLUDES]


@oddity("A proxy with a programme filter or a blank filter only has no channels.", "true")
def _(example: str) -> None:
    assert not stays(use(example, domain=EPG), channel_name="Quiet Bay")
    assert not stays(use("  "), channel_name="Quiet Bay")
    assert stays(channel_name="Quiet Bay")


@oddity("Exclude filters of programmes without an include remove all programmes.", "false")
def _(example: str) -> None:
    stage = FilterStage([use("true"), use(example, EXCLUDE, EPG)])
    assert list(stage.filter_programmes([{"channel_id": "a"}], {"a"})) == [False]


@oddity("A later include adds again what an earlier exclude took out.", 'group_title equals "News"')
def _(example: str) -> None:
    filters = [use(example, EXCLUDE), use("true", priority=1)]
    assert stays(*filters, group_title="News")
    assert CombinationCode.INCLUDED_AGAIN in {warning.code for warning in warn_about_filters(filters)}


@oddity("An exclude that fails for a channel does not remove it.", "channel_name > 5")
def _(example: str) -> None:
    assert stays(use("true"), use(example, EXCLUDE, priority=1), channel_name="Quiet Bay")
    assert not stays(use("true"), use(example, EXCLUDE, priority=1), channel_name="6")


@oddity("`url` is empty in filters, and the stream's address in mapping rules.", 'url contains "http"')
def _(example: str) -> None:
    assert matches(example, STREAM, stream_url="http://stream.example/1") is False
    assert matches(example, MAPPING, stream_url="http://stream.example/1") is True


@oddity(
    "`is_adult`, `channel_number`, `source_name`, `radio`, `tvg_shift`, `country` and `language` are always empty.",
    "is_adult == true",
)
def _(example: str) -> None:
    for name in ("is_adult", "channel_number", "source_name", "radio", "tvg_shift", "country", "language"):
        for domain in (STREAM, MAPPING):
            assert matches(example.replace("is_adult", name), domain, **{name: "true"}) is False
            assert matches(f"{name} != true", domain, **{name: "true"}) is True


@oddity(
    "`category` is the group of a channel in filters of programmes too, where it is empty.", 'category equals "News"'
)
def _(example: str) -> None:
    assert matches(example, EPG, programme_category="News") is False
    assert matches(example, STREAM, group_title="News") is True


@oddity(
    "In mapping rules of programmes `group_title` is the channel's group, `start`, `stop` and `program_title` are empty.",
    'true SET group_title = "X", desc = $channel_group_title',
)
def _(example: str) -> None:
    row = {"channel_group_title": "News", "programme_start": "2026-03-01T20:00:00Z", "programme_title": "A"}
    assert matches('group_title equals "News"', EPG_MAPPING, **row) is True
    assert after(example, EPG_MAPPING, **row) == {"programme_description": "News"}
    assert matches('start equals "" AND program_title equals ""', EPG_MAPPING, **row) is True
    assert matches('start equals "" OR program_title equals ""', EPG, **row) is False


@oddity(
    "The names of one field have different values after an assignment within a rule.",
    'true SET name = "A", channel_name += "B"',
)
def _(example: str) -> None:
    assert after(example, channel_name="Bay") == {"channel_name": "BayB"}


@oddity("Any name is a variable within one rule, also `stream_url`.", 'true SET my_var = "v", tvg_name = $my_var')
def _(example: str) -> None:
    assert after(example) == {"tvg_name": "v"}
    assert after('true SET stream_url = "x", tvg_name = $stream_url', stream_url="y") == {"tvg_name": "x"}


@oddity("NOT before a comparison of numbers does nothing.", "NOT tvg_id > 5")
def _(example: str) -> None:
    assert matches(example, tvg_id="6") is True
    assert matches(example, tvg_id="4") is False


@oddity(
    "`not` before parentheses at the start applies to the first condition in them only; NOT is refused there.",
    'not (tvg_id = "a" OR tvg_name = "b")',
)
def _(example: str) -> None:
    assert matches(example, tvg_id="a", tvg_name="b") is True
    assert refused(example.replace("not", "NOT"))


@oddity(
    "`not true` at the start and `not` before a negated operator are refused, except in client detection rules.",
    'host not not_contains "a"',
)
def _(example: str) -> None:
    for text in ("not true", example, 'host not != "a"', 'not host not_contains "a"'):
        assert refused(text, STREAM)
        assert refused(text, MAPPING)
        assert not refused(text, CLIENT)


@oddity("Quoted texts are rewritten too, except in client detection rules.", 'channel_name contains "Rock and Roll"')
def _(example: str) -> None:
    assert matches(example, MAPPING, channel_name="Rock and Roll") is False
    assert matches(example, MAPPING, channel_name="Rock AND Roll") is True
    assert matches(example, STREAM, channel_name="Rock and Roll") is True
    assert matches('channel_name = "A > B"', channel_name="A greater_than B") is True
    assert after('true SET tvg_name = "two  spaces\nor  more"') == {"tvg_name": "two spaces or more"}


@oddity(
    "Named groups fail in filters and mapping rules, and `||` in a pattern becomes ` OR `.", 'host matches "(?<n>a)"'
)
def _(example: str) -> None:
    assert failure(example.replace("host", "tvg_id"), MAPPING) is FailureCode.BAD_REGEX
    assert matches(example, CLIENT, host="a") is True
    assert matches('tvg_id matches "x||y"', tvg_id="x OR y") is True


@oddity("A comparison with `=` after a forgotten AND is an assignment.", 'channel_name contains "H" tvg_id = "b"')
def _(example: str) -> None:
    assert matches(example, MAPPING, channel_name="HD", tvg_id="a") is True
    assert after(example, channel_name="HD", tvg_id="a") == {"tvg_id": "b"}


@oddity("Actions of filters are ignored.", 'true SET tvg_name = "@time:x"')
def _(example: str) -> None:
    assert matches(example) is True
    assert failure(example) is None


@oddity(
    "Letter case: a dotted capital I equals `i` for text operators only, and final sigma and long s for patterns only.",
    'channel_name equals "izmir"',
)
def _(example: str) -> None:
    assert matches(example, channel_name="\u0130ZM\u0130R") is True
    assert matches('channel_name matches "izmir"', channel_name="\u0130ZM\u0130R") is False
    sigma, final = "\u039d\u0395\u039f\u03a3", "\u03bd\u03b5\u03bf\u03c2"
    assert matches(f'channel_name equals "{final}"', channel_name=sigma) is False
    assert matches(f'channel_name matches "{final}"', channel_name=sigma) is True
    assert matches('channel_name equals "sea"', channel_name="\u017fea") is False
    assert matches('channel_name matches "sea"', channel_name="\u017fea") is True


@oddity(
    "Bytes that are not UTF-8 are U+FFFD, one each, for filters and patterns. Mapping rules compare and keep the bytes.",
    'channel_name contains "\ufffd"',
)
def _(example: str) -> None:
    assert matches(example, STREAM, channel_name=b"Caf\xe9") is True
    assert matches(example, MAPPING, channel_name=b"Caf\xe9") is False
    assert matches('channel_name matches "^Caf.$"', MAPPING, channel_name=b"Caf\xe9") is True
    assert after('true SET tvg_name = $name, tvg_id += "!"', channel_name=b"\xe9", tvg_id=b"\xff") == {
        "tvg_name": "\udce9",
        "tvg_id": "\udcff!",
    }


@oddity(
    "Numbers have Go's spelling: `1_000` and `0x1p4` are numbers, `0x10`, ` 12` and full-width digits are not.",
    'tvg_id >= "1_000"',
)
def _(example: str) -> None:
    assert matches(example, tvg_id="1000") is True
    assert matches("tvg_id <= 16 AND tvg_id >= 16", tvg_id="0x1p4") is True
    for text in ("0x10", " 12", "\uff11\uff12"):
        assert failure("tvg_id > 5", tvg_id=text) is FailureCode.NOT_A_NUMBER
    assert matches("tvg_id <= 9007199254740992", tvg_id="9007199254740993") is True


@oddity("Comparing an empty field as a number fails, and ends the mapping rules of the row.", "tvg_id < 5")
def _(example: str) -> None:
    later = MappingRule('true SET group_title = "later"', MAPPING, 1)
    result = mapped(MappingRule(example, MAPPING), later, tvg_id="", group_title="")
    assert result.after == {}
    assert [applied.outcome.error for _, applied in result.steps] == [FailureCode.NOT_A_NUMBER]
    assert CombinationCode.EMPTY_NUMBER in {
        each.code for each in warn_about_program(compile_expression(example, MAPPING))
    }


@oddity(
    "`(?-i)` makes a pattern of a filter respect case, and without it `[A-Z]` finds small letters.",
    'channel_name matches "(?-i)quiet"',
)
def _(example: str) -> None:
    assert matches(example, channel_name="Quiet") is False
    assert matches('channel_name matches "^[A-Z]{2}"', channel_name="quiet") is True


@oddity(
    "A value that a quoted `$1` takes from the row can call a helper, and then the rule fails.",
    'channel_name matches "^(.*)$" SET tvg_name = "$1"',
)
def _(example: str) -> None:
    assert failure(example, MAPPING, channel_name="@time:x") is FailureCode.TIME_HELPER
    assert after(example.replace('"$1"', "$1"), channel_name="@time:x") == {"tvg_name": "@time:x"}


@oddity(
    "An unquoted `@time:now` fails in mapping rules, and is empty in client detection rules.",
    "true SET tvg_name = @time:now",
)
def _(example: str) -> None:
    assert failure(example, MAPPING) is FailureCode.NO_REQUEST
    assert failure(example, CLIENT) is None
    assert compile_expression(example, CLIENT).apply({}).assigned[0].value == ""


@oddity(
    "`$10` is the tenth group only, `$01` the first, and `${1}` is text.",
    'channel_name matches "(Q)" SET tvg_name = "$10 $01 ${1}"',
)
def _(example: str) -> None:
    assert after(example, channel_name="Quiet") == {"tvg_name": "$10 Q ${1}"}


@oddity(
    "A later pattern without groups replaces the groups of an earlier one.",
    r'channel_name matches "(\\w+)" AND group_title matches "UK" SET tvg_name = "$1"',
)
def _(example: str) -> None:
    assert after(example, channel_name="Quiet", group_title="UK") == {"tvg_name": "$1"}


@oddity("Without a space before it, `-=` belongs to the name.", 'true tvg_name-="x"')
def _(example: str) -> None:
    program = compile_expression(example, MAPPING)
    assert program.apply({"tvg_name": "xy"}).after == {}
    assert program.apply({"tvg_name": "xy"}).assigned[0].target == "tvg_name-"


@oddity(
    "`==` assigns in client detection rules, and is refused as an assignment in mapping rules.",
    'true SET preferred_format == "dash"',
)
def _(example: str) -> None:
    assert compile_expression(example, CLIENT).apply({}).honored == {"preferred_format": "dash"}
    assert refused(example, MAPPING)


@oddity("If one rule stops on a match, every rule does, once it has assigned something.", 'true SET tvg_name = "one"')
def _(example: str) -> None:
    later = MappingRule('true SET group_title = "later"', MAPPING, 1)
    stop = MappingRule("false", EPG_MAPPING, 2, stop_on_match=True)
    assert mapped(MappingRule(example, MAPPING), later, stop, tvg_name="").after == {"tvg_name": "one"}
    without = example.replace("SET", "SET_IF_EMPTY")
    assert mapped(MappingRule(without, MAPPING), later, stop, tvg_name="x").after == {"group_title": "later"}


@oddity(
    "Of two channels with one guide id, the last one gives `channel_group_title`.",
    "true SET programme_category = $channel_group_title",
)
def _(example: str) -> None:
    groups, nothing = ChannelGroups(), MappedRow({}, ())
    for group in ("First", "Last"):
        groups.add({"tvg_id": "a", "group_title": group}, nothing)
    (result,) = MappingStage([MappingRule(example, EPG_MAPPING)]).map_programmes([{"channel_id": "a"}], groups)
    assert result.after == {"programme_category": "Last"}


@oddity(
    "The first matching client detection rule decides both container flags, and a flag without a value is true.", "true"
)
def _(example: str) -> None:
    first = ClientRule(example, supports_mpegts=False)
    second = ClientRule(example, 1, preferred_video_codec="av1", supports_fmp4=False)
    detected = ClientRules([first, second]).detect({})
    assert (detected.supports_fmp4, detected.supports_mpegts, detected.video_codec) == (True, False, "av1")


@oddity(
    "`user_agent`, `accept`, `referer` and the `x_` fields are always empty in client detection rules, `@header_req:…` too.",
    'user_agent equals ""',
)
def _(example: str) -> None:
    request = {"headers": [["User-Agent", "VLC"], ["Accept", "a"], ["Referer", "b"], ["X-Container", "c"]]}
    for name in ("user_agent", "accept", "referer", "x_container", "@header_req:User-Agent"):
        assert matches(example.replace("user_agent", name), CLIENT, **request) is True
    assert matches('@dynamic(request.headers):USER-agent equals "VLC"', CLIENT, **request) is True


@oddity(
    "tvarr's own test of a mapping rule ignores case, unlike the rule. Here the rule is evaluated as it runs.",
    'channel_name contains "quiet"',
)
def _(example: str) -> None:
    assert matches(example, MAPPING, channel_name="Quiet Bay") is False


@oddity("A rule can empty the name of a channel.", 'true SET channel_name = ""')
def _(example: str) -> None:
    assert after(example, channel_name="Bay") == {"channel_name": ""}


@pytest.mark.parametrize("number", range(1, 37))
def test_it_does_what_tvarr_does(number: int) -> None:
    _sentence, example, check = ODDITIES[number - 1]
    check(example)


def test_the_page_lists_each_oddity_with_its_example() -> None:
    def row(number: int, sentence: str, example: str) -> str:
        return f"| {number} | {sentence} | `{example.replace('|', chr(92) + '|')}` |"

    rows = [row(number, *oddity[:2]) for number, oddity in enumerate(ODDITIES, start=1)]

    assert len(rows) == 36
    assert [
        line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ") and line[2].isdigit()
    ] == rows
