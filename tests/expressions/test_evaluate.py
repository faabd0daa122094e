"""Programs: fields, rows, explanations, limits."""

from __future__ import annotations

import sys
import unicodedata
from collections import deque
from itertools import repeat

import pytest

from tvarr_backup.errors import EvaluationTooSlow, ExpressionTooLarge
from tvarr_backup.expressions import Domain, InvalidExpression
from tvarr_backup.expressions.columns import READ, WRITTEN, find_column
from tvarr_backup.expressions.evaluate import Outcome, compile_expression
from tvarr_backup.expressions.explain import Explanation, Verdict
from tvarr_backup.expressions.failures import EvaluationFailed, FailureCode
from tvarr_backup.expressions.fields import VOCABULARIES
from tvarr_backup.expressions.limits import Budget, EvaluationCanceled, Limit
from tvarr_backup.expressions.numbers import read_number
from tvarr_backup.expressions.program_sets import ProgramSet
from tvarr_backup.expressions.values import fold, join, remove

FILTER, MAPPING, CLIENT = Domain.STREAM_FILTER, Domain.STREAM_MAPPING, Domain.CLIENT_DETECTION
MANY = " OR ".join(f'tvg_id equals "x{number}"' for number in range(10_000))


@pytest.mark.parametrize(
    ("text", "domain", "fields"),
    [
        ('name contains "a" AND group = "b" AND name = "c"', FILTER, ("channel_name", "group_title")),
        ('is_adult = true OR url = "x"', FILTER, ()),
        ('true SET tvg_name = $url, mine = "x"', MAPPING, ("tvg_name", "stream_url")),
        ('true SET group = "x"', FILTER, ()),
        (
            '@dynamic(request.headers):X-A = "a" SET x = @dynamic(request.query):B',
            CLIENT,
            ("request.headers:x-a", "request.query:b"),
        ),
        ("  ", FILTER, ()),
    ],
)
def test_it_names_the_columns_that_matter(text: str, domain: Domain, fields: tuple[str, ...]) -> None:
    assert set(compile_expression(text, domain).fields) == set(fields)


@pytest.mark.parametrize("domain", [domain for domain in Domain if domain is not CLIENT])
def test_names_with_a_value_are_those_that_no_warning_is_about(domain: Domain) -> None:
    vocabulary = VOCABULARIES[domain]

    assert set(WRITTEN[domain]) == vocabulary.saved
    assert not set(READ[domain]) & vocabulary.empty
    if domain.is_filter:
        assert set(READ[domain]) == set(vocabulary.fields) - vocabulary.empty


def test_names_of_requests_ignore_case() -> None:
    assert find_column("Remote_ADDR", CLIENT) == "client_ip"
    assert find_column("@dynamic(request.headers):User-Agent", CLIENT) == "request.headers:user-agent"
    assert find_column("@dynamic(request.header):a", CLIENT) is None
    assert find_column("@dynamic(request.headers):a", MAPPING) is None


def test_refused_text_raises_its_problem_and_blank_text_does_not() -> None:
    with pytest.raises(InvalidExpression):
        compile_expression("channel_name ==", FILTER)
    assert compile_expression(" \u00a0\n", FILTER).evaluate({}) == Outcome(None)
    assert compile_expression(" \n", CLIENT).evaluate({}) == Outcome(matches=True)


@pytest.mark.parametrize("value", [None, "", 5, True, ["a"]])
def test_what_is_not_text_reads_as_empty(value: object) -> None:
    assert compile_expression('channel_name = ""', FILTER).matches({"channel_name": value}) is True


def test_texts_of_rows_are_bytes_or_have_surrogates() -> None:
    program = compile_expression('channel_name matches "(.)$" SET tvg_name = "<$1>"', MAPPING)
    changed = [program.apply({"channel_name": value}).after for value in (b"Caf\xe9", "Caf\udce9")]

    assert changed == [{"tvg_name": " less_than \udce9 greater_than "}] * 2


def test_halves_of_a_character_are_joined_and_taken_apart_as_bytes() -> None:
    assert join("a\udcc3", "\udca9") == "a\u00e9"
    assert remove("a\u00e9", "\udca9") == "a\udcc3"
    assert remove("aba", "a") == "b"
    assert remove("aba", "") == "aba"


def test_each_letter_has_its_simple_lower_case() -> None:
    letters = [
        chr(code) for code in range(sys.maxunicode) if unicodedata.category(chr(code)) in {"Lu", "Lt", "Nl", "So"}
    ]

    assert len(letters) > 1_800
    assert [letter for letter in letters if len(fold(letter)) != 1] == []
    assert [letter for letter in letters if fold(f"a{letter}") != f"a{fold(letter)}"] == []
    assert fold("\u0130\u03a3") == "i\u03c3"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("5.", 5.0), (".5", 0.5), ("+5", 5.0), ("1e3", 1000.0), ("1E+3", 1000.0), ("-inf", float("-inf")), ("Infinity", float("inf"))),
        *(("0x1p-2", 0.25), ("0X_1.8P1", 3.0), ("1_0.2_5", 10.25), ("1e-400", 0.0), ("0x1p-2000", 0.0), ("9" * 20, 1e20)),
    ],
)  # fmt: skip
def test_it_reads_a_number(text: str, number: float) -> None:
    assert read_number(text) == number


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " 1",
            "1 ",
            "1\n",
            ".",
            "+",
            "e5",
            "1e",
            "1e+",
            "1__0",
            "_1",
            "1_",
            "1_.5",
            "1._5",
            "0x1",
            "0xp1",
            "0x_p1",
        ),
        *("--1", "+nan", "infin", "1,5", "\u0661", "\u00b2", "0b1", "1p4"),
    ],
)
def test_it_refuses_what_is_no_number_in_go(text: str) -> None:
    with pytest.raises(EvaluationFailed) as failed:
        read_number(text)
    assert failed.value.code is FailureCode.NOT_A_NUMBER


@pytest.mark.parametrize("text", ["1e400", "-1e999", "9" * 400, "0x1p5000"])
def test_a_number_can_be_too_large(text: str) -> None:
    with pytest.raises(EvaluationFailed) as failed:
        read_number(text)
    assert failed.value.code is FailureCode.OUT_OF_RANGE


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        (r"\\C", None),
        (r"\\\\C", False),
        (r"[\\\\C]", True),
        (r"\\Q\\C\\E|C", True),
        (r"(?P<\u00e9>C)", None),
        (f"{'(' * 1001}C{')' * 1001}", None),
        ("()" * 1200 + "C", True),
        ("(?=C)", None),
    ],
)
def test_it_refuses_the_patterns_that_go_refuses(pattern: str, matches: bool | None) -> None:
    written = pattern.encode().decode("unicode_escape").replace("\\", "\\\\") if "u00" in pattern else pattern

    assert compile_expression(f'host matches "{written}"', CLIENT).matches({"host": "C"}) is matches


def test_an_explanation_shows_each_part() -> None:
    program = compile_expression('name contains "hd" AND (tvg_id > 5 OR group = "x") AND true', FILTER)

    explained = program.explain({"channel_name": "Bay HD", "tvg_id": "7", "group_title": "News"})

    name, either, literal = explained.members
    number, group = either.members
    assert (explained.verdict, explained.connective) == (Verdict.TRUE, "AND")
    assert name == Explanation(
        Verdict.TRUE, field="name", position=1, operator="contains", operand="hd", column="channel_name", value="Bay HD"
    )
    assert (number.verdict, number.value, number.position) == (Verdict.TRUE, "7", 25)
    assert (group.verdict, group.value) == (Verdict.NOT_REACHED, None)
    assert literal == Explanation(Verdict.TRUE)


def test_an_explanation_shows_where_a_condition_fails() -> None:
    program = compile_expression('nothing = "" AND (tvg_id > 5 OR true)', FILTER)

    explained = program.explain({"tvg_id": "x"})

    assert (explained.verdict, explained.error) == (Verdict.ERROR, FailureCode.NOT_A_NUMBER)
    assert explained.members[0].column is None
    assert [member.verdict for member in explained.members[1].members] == [Verdict.ERROR, Verdict.NOT_REACHED]


def test_a_row_of_a_batch_that_fails_does_not_affect_the_others() -> None:
    outcomes = compile_expression("tvg_id > 5", FILTER).evaluate_rows([("6",), ("x",), ("4",)])

    assert [(outcome.matches, outcome.error) for outcome in outcomes] == [
        (True, None),
        (None, FailureCode.NOT_A_NUMBER),
        (False, None),
    ]


def test_a_run_ends_when_it_is_canceled() -> None:
    answers = iter([False, False, True])
    outcomes = compile_expression(MANY, FILTER).evaluate_rows(repeat(("x",)), Limit(is_canceled=lambda: next(answers)))

    with pytest.raises(EvaluationCanceled):
        deque(outcomes, maxlen=0)


def test_a_run_ends_when_its_time_is_used_up() -> None:
    programs = [compile_expression('tvg_id matches "x" OR tvg_id = "y"', FILTER)] * 3
    outcomes = ProgramSet(programs, FILTER).evaluate_rows(repeat(("z",)), Limit(seconds=0.2))

    with pytest.raises(EvaluationTooSlow):
        deque(outcomes, maxlen=0)


def test_a_limit_is_looked_at_often_enough() -> None:
    assert compile_expression(MANY, FILTER).weight == 10_000
    assert compile_expression('tvg_id matches "(a{1000}b)"', FILTER).weight > 5
    assert compile_expression('tvg_id matches "a"', FILTER).weight == 1


@pytest.mark.parametrize(
    "text",
    [
        " OR ".join(f'tvg_id matches "x{number}"' for number in range(600)),
        r'tvg_id matches "\\pL{900}"',
    ],
    ids=["many", "classes"],
)
def test_regular_expressions_that_need_too_much_are_not_evaluated(text: str) -> None:
    with pytest.raises(ExpressionTooLarge) as raised:
        compile_expression(text, FILTER, Budget(seconds=30))
    assert raised.value.code == "expression_too_large"


def test_programs_can_share_a_budget() -> None:
    budget = Budget(seconds=30, memory_bytes=3 * 128 * 2**10)
    for number in range(3):
        compile_expression(f'tvg_id matches "{number}"', FILTER, budget)

    with pytest.raises(ExpressionTooLarge):
        compile_expression('tvg_id matches "4"', FILTER, budget)


def test_a_set_has_programs_of_one_domain() -> None:
    with pytest.raises(ValueError, match="stream_filter"):
        ProgramSet([compile_expression("true", MAPPING)], FILTER)
