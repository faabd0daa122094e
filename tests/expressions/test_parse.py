"""Parsing: trees, words, quoted text, limits."""

import pytest

from tvarr_backup.expressions import InvalidExpression, parse, read_as_written, tree_as_json
from tvarr_backup.expressions.tree import (
    Action,
    Always,
    Capture,
    Comparison,
    Expression,
    FieldValue,
    Operator,
    Verb,
    Word,
)


def tree(text: str) -> Expression:
    return parse(read_as_written(text)).expression


def value_of(text: str) -> str:
    condition = tree(f"a = {text}").condition
    assert isinstance(condition, Comparison)
    return condition.value.text


def action_values(text: str) -> object:
    actions = tree_as_json(tree(f"true {text}"))["actions"]
    assert isinstance(actions, list)
    return [action[2] for action in actions]


def test_a_tree_is_made_of_plain_values_with_columns() -> None:
    expression = tree('name contains "BBC" SET tvg_id = $1, tvg_name ?= $tvg_id')

    assert expression == Expression(
        Comparison(Word("name", 1), Operator.CONTAINS, Word("BBC", 15)),
        (
            Action(Verb.SET, Word("tvg_id", 25), Capture(1, 34)),
            Action(Verb.SET_IF_EMPTY, Word("tvg_name", 38), FieldValue("tvg_id", 50)),
        ),
    )
    assert [action.target.column for action in expression.actions] == [25, 38]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"\n\t\r\\\"\'"', "\n\t\r\\\"'"),
        (r'"\d\u0041"', "du0041"),
        ("'it\"s'", 'it"s'),
        ('"two\nlines"', "two\nlines"),
        ("-5.", "-5."),
        ("TRUE", "true"),
        ("a:b-c$d@e", "a:b-c$d@e"),
        ("\u03bc\u0663", "\u03bc\u0663"),
        ("@dynamic(a (b) c):d", "@dynamic(a (b) c):d"),
    ],
)
def test_it_reads_a_value(text: str, value: str) -> None:
    assert value_of(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a = $12", {"capture": 12}),
        ("a = $name", {"field": "name"}),
        ("a = $1abc", {"field": "1abc"}),
        ("a = $1$2", {"field": "1$2"}),
        ("a = $", {"field": ""}),
        (f"a = ${'9' * 5000}", {"field": "9" * 5000}),
        ("a = @dynamic(x y):k", {"dynamic": ["x y", "k"]}),
        ("a = @logo:01A:b", {"legacy": ["logo", "01A:b"]}),
        ("a = @word", {"literal": "@word"}),
        ("a = '$1'", {"literal": "$1"}),
        ("a = contains", {"literal": "contains"}),
        ("DELETE a", None),
    ],
)
def test_it_distinguishes_the_values_of_actions(text: str, value: object) -> None:
    assert action_values(text) == [value]


@pytest.mark.parametrize(
    ("text", "verb"),
    [
        ("SET a = b", Verb.SET),
        ("set a = b", Verb.SET),
        ("SET a += b", Verb.APPEND),
        ("APPEND a ?= b", Verb.SET_IF_EMPTY),
        ("APPEND a = b", Verb.APPEND),
        ("remove a = b", Verb.REMOVE),
        ("SET a -= b", Verb.REMOVE),
        ("a -= b", Verb.REMOVE),
        ("delete a", Verb.DELETE),
    ],
)
def test_a_sign_takes_precedence_over_its_keyword(text: str, verb: Verb) -> None:
    assert [action.verb for action in tree(f"true {text}").actions] == [verb]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("(a=1 OR b=2) OR c=3", {"OR": [["a", "equals", "1"], ["b", "equals", "2"], ["c", "equals", "3"]]}),
        ("a=1 OR (b=2 OR c=3)", {"OR": [["a", "equals", "1"], {"OR": [["b", "equals", "2"], ["c", "equals", "3"]]}]}),
        ("NOT (NOT a=1)", ["a", "equals", "1"]),
        ("NOT ((a=1))", ["a", "not_equals", "1"]),
        ("NOT a not_equals 1", ["a", "equals", "1"]),
        ("true", ["", "contains", ""]),
        ("false", ["", "not_contains", ""]),
        ("NOT FALSE", ["", "contains", ""]),
        ("NOT a gt 1", ["a", "greater_than", "1"]),
    ],
)
def test_it_gives_a_condition_as_plain_data(text: str, condition: object) -> None:
    assert tree_as_json(tree(text)) == {"condition": condition, "actions": []}


def test_false_is_a_condition() -> None:
    assert tree("false").condition == Always(matches=False)


@pytest.mark.parametrize("levels", [1, 2, 64])
def test_it_accepts_64_levels_of_parentheses(levels: int) -> None:
    assert tree("(" * levels + "a=1" + ")" * levels) == tree("a=1")


def test_siblings_do_not_add_up_to_a_depth() -> None:
    assert tree(" AND ".join(["(a=1)"] * 100)).condition is not None


def test_a_chain_of_a_thousand_groups_does_not_exhaust_the_stack() -> None:
    text = " OR ".join(["(a=1 AND b=2)"] * 900)

    assert len(str(tree_as_json(tree(text)))) > 900


def test_an_error_says_its_column() -> None:
    with pytest.raises(InvalidExpression, match=r"^Column 3: ") as raised:
        tree("a ~ b")

    assert raised.value.code == "invalid_expression"
    assert raised.value.problem.column == 3
