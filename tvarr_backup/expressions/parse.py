"""The parser, and its messages about unexpected tokens. The grammar is loaded once, with the first expression."""

from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

from lark import Lark, Token, UnexpectedToken

from tvarr_backup.expressions.build import TreeBuilder
from tvarr_backup.expressions.problems import InvalidExpression, Problem, ProblemCode, printable
from tvarr_backup.expressions.reading import Reading
from tvarr_backup.expressions.tokens import PassThroughLexer, Tokens
from tvarr_backup.expressions.tree import OPERATOR_WORDS, Expression

_OPERATOR = "an operator such as contains, matches or ="
_VALUE = "a value (quoted text, a number, a word, true or false)"
_CONDITION = 'a condition such as channel_name contains "x"'
_SIGN = "one of = ?= += -="
_FIELD = "a field"

# One token that is accepted nowhere else identifies a position in the grammar.
_POSITIONS = (("NE", _OPERATOR), ("STRING", _VALUE), ("_LPAR", _CONDITION), ("SETEMPTY", _SIGN))
_FOLLOWERS = (
    ("_AND", "AND"),
    ("_OR", "OR"),
    ("_RPAR", "a closing parenthesis"),
    ("_COMMA", "a comma"),
    ("SETTER", "an action"),
    ("$END", "the end"),
)


@dataclass(frozen=True, slots=True)
class ParsedExpression:
    expression: Expression
    tokens: tuple[Token, ...]
    reading: Reading


def parse(reading: Reading) -> ParsedExpression:
    """Parse an expression; blank text gives an empty one. Raise `InvalidExpression` with the leftmost problem."""
    tokens = Tokens(reading)
    try:
        expression: object = _parser().parse(tokens)
    except UnexpectedToken as error:
        wrong, before = _find_wrong_token(error.token, tokens.consumed)
        raise InvalidExpression(_describe_problem(wrong, _accepted_after(before), reading)) from error
    assert isinstance(expression, Expression)
    return ParsedExpression(expression, tuple(tokens.consumed), reading)


def _find_wrong_token(token: Token, consumed: list[Token]) -> tuple[Token, list[Token]]:
    """Return the wrong token, and those before it. In `a = "x" And b = "y"` it is `And`, a target without its sign."""
    before = consumed if token.type == "$END" else consumed[:-1]
    if "SETEMPTY" in _accepted_after(before) and before[-2].type not in {"SETTER", "_COMMA"}:
        return before[-1], before[:-1]
    return token, before


def _accepted_after(tokens: list[Token]) -> set[str]:
    """Return the types of tokens that can follow. This parses again, because the next token has closed rules."""
    parser = _parser().parse_interactive()
    for token in tokens:
        parser.feed_token(token)
    accepted: set[str] = parser.accepts()  # type: ignore[no-untyped-call]  # Lark has no annotation there
    return accepted


@cache
def _parser() -> Lark:
    return Lark.open(
        "grammar.lark",
        rel_to=__file__,
        start="expression",
        parser="lalr",
        lexer=PassThroughLexer,
        transformer=TreeBuilder(),
    )


# --- Messages -----------------------------------------------------------------------------------------------------------


def _describe_problem(token: Token, accepted: set[str], reading: Reading) -> Problem:
    """Return the problem of a token, or of the end of the text (`$END`), where only `accepted` types can follow."""
    expected = _expected(accepted)
    if token.type == "$END":
        column, found, got = reading.column(len(reading.text.rstrip(" \t\n\r"))), "the end", "the end"
    else:
        start, end = token.start_pos or 0, token.end_pos or 0
        column, found = reading.column(start), printable(reading.as_written(start, end))
        got = f"`{found}`"
    message = f"Expected {_join_phrases(expected)}, got {got}.{_advice(token, expected)}"
    return Problem(ProblemCode.UNEXPECTED, column, message, found, expected)


def _expected(accepted: set[str]) -> tuple[str, ...]:
    for kind, phrase in _POSITIONS:
        if kind in accepted:
            return (phrase,)
    return tuple(phrase for kind, phrase in _FOLLOWERS if kind in accepted) or (_FIELD,)


def _join_phrases(phrases: tuple[str, ...]) -> str:
    *others, last = phrases
    return f"{', '.join(others)} or {last}" if others else last


def _advice(token: Token, expected: tuple[str, ...]) -> str:
    if expected == (_OPERATOR,) and token.type == "WORD":
        nearest = get_close_matches(token.lower(), OPERATOR_WORDS, n=1)
        return f" Did you mean {nearest[0]}?" if nearest else ""
    if expected == (_CONDITION,) and token.type in {"SETTER", "DELETE"}:
        return " An action needs a condition before it. The condition true matches everything."
    if token.type == "WORD" and token.lower() in {"and", "or"}:
        return f" Write {token.upper()} or {token.lower()}, not a mixture."
    return ""
