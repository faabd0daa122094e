"""Properties of all texts."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from tvarr_backup.expressions import (
    Domain,
    ExpressionWarning,
    InvalidExpression,
    Problem,
    check_expression,
    rewrite,
    tree_as_json,
)

PIECES = st.sampled_from(
    [
        *("channel_name", "not", "NOT", "!", "and", "OR", "&&", "||", "(", ")", "true", "set", "DELETE", ",", "SET"),
        *("contains", "=", "==", "!=", "=~", "<", ">=", "?=", "-=", "not_equals", "case_sensitive", "matches", "gt"),
        *('"x"', '"a  b"', "'a and b'", '"\\d<"', "5", "-5.", "$1", "$tvg_id", "@time:now", "@dynamic(a(b)):c", '"'),
        *(" ", "  ", "\n", "\f", "\u00a0", "\u03bc", "\\", "\0"),
    ]
)
CONDITIONS = st.sampled_from(
    ['tvg_id == "a"', "not tvg_id > 5", 'name matches "(a)"', "(true)", "tvg_id='x y'", "! b<c"]
)
TEXTS = st.one_of(
    st.text(),
    st.text(st.characters()),  # lone surrogates too
    st.lists(PIECES, max_size=30).map("".join),
    st.lists(PIECES, max_size=30).map(" ".join),
    st.lists(CONDITIONS, min_size=1, max_size=6).map(" and ".join).map(lambda text: f'{text} SET name = "$1 < $2"'),
)


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.sampled_from(Domain))
def test_a_check_never_raises_and_every_column_is_within_the_text(text: str, domain: Domain) -> None:
    check = check_expression(text, domain)

    findings: list[Problem | ExpressionWarning] = [*check.problems, *check.warnings]
    assert all(1 <= finding.column <= len(text) + 1 for finding in findings)
    assert all(finding.message.isprintable() for finding in findings)
    assert check.valid is (check.tree is not None) is (not check.problems)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.sampled_from(Domain))
def test_findings_and_trees_are_plain_data(text: str, domain: Domain) -> None:
    check = check_expression(text, domain)

    if check.tree:
        assert json.loads(json.dumps(tree_as_json(check.tree))) == tree_as_json(check.tree)
    for problem in check.problems:
        json.dumps([problem.found, problem.expected, problem.message]).encode()
        problem.found.encode()


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_rewriting_keeps_the_text_as_written_and_every_position(text: str) -> None:
    try:
        reading = rewrite(text)
    except InvalidExpression:
        return

    assert reading.written == text
    assert len(reading.origins) == len(reading.text) + 1
    assert all(0 <= origin <= len(text) for origin in reading.origins)
    for place, character in enumerate(reading.text):
        if character in "\"'\\()$@:5\u03bc":
            assert text[reading.origins[place]] == character


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60))
def test_any_text_can_be_quoted_for_a_client_rule(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')

    check = check_expression(f'host = "{quoted}"', Domain.CLIENT_DETECTION)

    assert check.tree
    assert tree_as_json(check.tree)["condition"] == ["host", "equals", value]
    assert check.warnings == ()
