"""Properties of the evaluation of generated expressions and rows: 2,400 cases."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from tvarr_backup.expressions import Domain
from tvarr_backup.expressions.columns import CHANNEL_COLUMNS
from tvarr_backup.expressions.evaluate import Outcome, compile_expression
from tvarr_backup.expressions.explain import Explanation, Verdict
from tvarr_backup.expressions.failures import FailureCode
from tvarr_backup.expressions.filter_stage import FilterAction, FilterStage, FilterUse, decide
from tvarr_backup.expressions.program_sets import ProgramSet

NEGATIONS = {
    "equals": "not_equals",
    "contains": "not_contains",
    "starts_with": "not_starts_with",
    "ends_with": "not_ends_with",
    "matches": "not_matches",
}
NUMBERS = ("greater_than", "lte")
DOMAINS = st.sampled_from([Domain.STREAM_FILTER, Domain.STREAM_MAPPING])
WORDS = st.sampled_from(
    [
        *(
            "",
            "a",
            "B",
            "Bay",
            "bay HD",
            "\u0130",
            "\u03a3",
            "\u03c2",
            "\u00e9t\u00e9",
            "\ufffd",
            "5",
            "-1.5",
            "1e400",
            "NaN",
        ),
        *("0x1p4", " 7", "a\\nb", "(", "(a)|b", "^B", "y$", "[a-z]+", ".", "(?-i)B", "\\\\bBay"),
    ]
)
VALUES = st.one_of(
    WORDS,
    st.text("aB\u0130\u03a3 5.-\udcc3\udca9\n", max_size=6),
    st.binary(max_size=6),
    st.sampled_from([None, b"Caf\xe9", "9" * 400]),
)
ROWS = st.fixed_dictionaries({}, optional=dict.fromkeys(CHANNEL_COLUMNS, VALUES))
FIELDS = st.sampled_from([*CHANNEL_COLUMNS, "name", "group", "url", "epg_id", "is_adult"])


def quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


COMPARISONS = st.builds(
    lambda field, word, text: f"{field} {word} {quoted(text)}",
    FIELDS,
    st.sampled_from([*NEGATIONS, *NEGATIONS.values(), *NUMBERS]),
    WORDS,
)
CONDITIONS = st.recursive(
    st.one_of(COMPARISONS, st.sampled_from(["true", "false"])),
    lambda inner: st.builds(
        lambda members, connective: "(" + f" {connective} ".join(members) + ")",
        st.lists(inner, min_size=2, max_size=4),
        st.sampled_from(["AND", "OR"]),
    ),
    max_leaves=5,
)


@settings(max_examples=500, deadline=None)
@given(COMPARISONS, DOMAINS, ROWS)
def test_two_negations_of_a_comparison_are_none(comparison: str, domain: Domain, row: dict[str, object]) -> None:
    plain = compile_expression(comparison, domain).evaluate(row)

    assert compile_expression(f"NOT (NOT {comparison})", domain).evaluate(row) == plain


@settings(max_examples=500, deadline=None)
@given(FIELDS, st.sampled_from([*NEGATIONS]), WORDS, DOMAINS, ROWS)
def test_an_operator_and_its_negation_share_the_rows_that_evaluate(
    field: str, word: str, operand: str, domain: Domain, row: dict[str, object]
) -> None:
    plain = compile_expression(f"{field} {word} {quoted(operand)}", domain).evaluate(row)
    negated = [
        compile_expression(text, domain).evaluate(row)
        for text in (
            f"{field} {NEGATIONS[word]} {quoted(operand)}",
            f"{field} not {word} {quoted(operand)}",
            f"NOT {field} {word} {quoted(operand)}",
        )
    ]

    assert negated == [Outcome(None if plain.matches is None else not plain.matches, plain.error)] * 3


@settings(max_examples=500, deadline=None)
@given(st.lists(CONDITIONS, min_size=1, max_size=2), DOMAINS, st.lists(ROWS, max_size=3))
def test_many_rows_and_programs_together_give_what_each_gives_alone(
    texts: list[str], domain: Domain, rows: list[dict[str, object]]
) -> None:
    programs = [compile_expression(text, domain) for text in texts]
    single = [tuple(program.evaluate(row) for program in programs) for row in rows]
    together = ProgramSet(programs, domain)

    def values(fields: tuple[str, ...]) -> list[tuple[object, ...]]:
        return [(*(row.get(field) for field in fields), "more") for row in rows]

    assert list(together.evaluate_rows(values(together.fields))) == single
    for number, program in enumerate(programs):
        assert list(program.evaluate_rows(values(program.fields))) == [outcomes[number] for outcomes in single]


@settings(max_examples=500, deadline=None)
@given(CONDITIONS, DOMAINS, ROWS)
def test_an_explanation_gives_the_result_at_its_root_and_follows_from_its_members(
    text: str, domain: Domain, row: dict[str, object]
) -> None:
    program = compile_expression(text, domain)
    outcome = program.evaluate(row)
    explained = program.explain(row)

    verdicts = {True: Verdict.TRUE, False: Verdict.FALSE, None: Verdict.ERROR}
    assert (explained.verdict, explained.error) == (verdicts[outcome.matches], outcome.error)
    check_members(explained)


def check_members(explained: Explanation) -> None:
    """Check that each group has the verdict of its last member that was reached, and that nothing after that was reached."""
    if explained.connective is None:
        assert explained.members == ()
        return
    reached = [member for member in explained.members if member.verdict is not Verdict.NOT_REACHED]
    assert list(explained.members[: len(reached)]) == reached
    if explained.verdict is Verdict.NOT_REACHED:
        assert reached == []
    else:
        assert (reached[-1].verdict, reached[-1].error) == (explained.verdict, explained.error)
        going_on = Verdict.TRUE if explained.connective == "AND" else Verdict.FALSE
        assert all(member.verdict is going_on for member in reached[:-1])
        assert len(reached) == len(explained.members) or explained.verdict is not going_on
    for member in explained.members:
        check_members(member)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(FilterAction), CONDITIONS), min_size=1, max_size=5), ROWS)
def test_a_filter_stage_decides_as_adding_and_removing_in_order_does(
    filters: list[tuple[FilterAction, str]], row: dict[str, object]
) -> None:
    stage = FilterStage([FilterUse(text, Domain.STREAM_FILTER, action) for action, text in filters])
    decisions = [(action, compile_expression(text, Domain.STREAM_FILTER).matches(row)) for action, text in filters]
    output: set[str] = set()
    for action, matches in decisions:
        if matches:
            output = {"row"} if action is FilterAction.INCLUDE else set()

    assert list(stage.filter_channels([row])) == [bool(output)] == [decide(decisions)]


@settings(max_examples=200, deadline=None)
@given(CONDITIONS, ROWS, VALUES)
def test_a_rule_changes_a_row_only_where_it_matches_and_never_raises(
    condition: str, row: dict[str, object], value: object
) -> None:
    text = f'{condition} SET tvg_name = "$1$tvg", group_title += $name, channel_name -= $tvg_id, tvg_id ?= "$0"'
    applied = compile_expression(text, Domain.STREAM_MAPPING).apply({**row, "tvg_id": value})

    assert applied.outcome.error in {None, *FailureCode}
    assert applied.outcome.matches or applied.after == {} == dict.fromkeys(applied.assigned)
    for changed in applied.after.values():
        assert changed == changed.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
        json.dumps(changed)
