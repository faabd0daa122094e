"""The parser, with messages for tokens in the wrong place: one Lark grammar, made once, for the first expression."""

from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

from lark import Lark, Token, UnexpectedToken

from tvarr_backup.expressions.build import TreeBuilder
from tvarr_backup.expressions.problems import InvalidExpression, Problem, ProblemCode, printable
from tvarr_backup.expressions.reading import Reading
from tvarr_backup.expressions.tokens import ReadyLexer, Tokens
from tvarr_backup.expressions.tree import OPERATOR_WORDS, Expression

_OPERATOR = "an operator such as contains, matches or ="
_VALUE = "a value (a quoted text, a number, a word, true or false)"
_CONDITION = 'a condition such as channel_name contains "x"'
_SIGN = "one of = ?= += -="
_FIELD = "a field"

# A place in the grammar is known by one token that is accepted nowhere else.
_PLACES = (("NE", _OPERATOR), ("STRING", _VALUE), ("_LPAR", _CONDITION), ("SETEMPTY", _SIGN))
_FOLLOWERS = (
    ("_AND", "AND"),
    ("_OR", "OR"),
    ("_RPAR", "a closing parenthesis"),
    ("_COMMA", "a comma"),
    ("SETTER", "an action"),
    ("$END", "the end"),
)


@dataclass(frozen=True, slots=True)
class Parsed:
    expression: Expression
    tokens: tuple[Token, ...]
    reading: Reading


def parse(reading: Reading) -> Parsed:
    """Parse without recursion, so that no nesting exhausts the stack. A blank text gives an empty expression.

    Raises `InvalidExpression` with the leftmost problem.
    """
    tokens = Tokens(reading)
    try:
        expression: object = _parser().parse(tokens)
    except UnexpectedToken as error:
        blamed, before = _blame(error.token, tokens.seen)
        raise InvalidExpression(_explain(blamed, _accepted_after(before), reading)) from error
    assert isinstance(expression, Expression)
    return Parsed(expression, tuple(tokens.seen), reading)


def _blame(token: Token, seen: list[Token]) -> tuple[Token, list[Token]]:
    """Return the token to name, and those before it.

    A word that looked like the target of a shorthand action is wrong itself if its sign is missing: `a = "x" And b = "y"`.
    """
    before = seen if token.type == "$END" else seen[:-1]
    if "SETEMPTY" in _accepted_after(before) and before[-2].type not in {"SETTER", "_COMMA"}:
        return before[-1], before[:-1]
    return token, before


def _accepted_after(tokens: list[Token]) -> set[str]:
    """Return the kinds that can follow. The parser must not have seen the next token, which closes rules."""
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
        lexer=ReadyLexer,
        transformer=TreeBuilder(),
    )


# --- Messages -----------------------------------------------------------------------------------------------------------


def _explain(token: Token, accepted: set[str], reading: Reading) -> Problem:
    """Return the problem of a token, or of the end of the text (`$END`), where only the kinds in `accepted` can follow."""
    expected = _expected(accepted)
    if token.type == "$END":
        column, found, shown = reading.column(len(reading.text.rstrip(" \t\n\r"))), "the end", "the text ends"
    else:
        start, end = token.start_pos or 0, token.end_pos or 0
        column, found = reading.column(start), printable(reading.as_written(start, end))
        shown = f"found `{found}`"
    message = f"Expected {_listed(expected)}, but {shown}.{_advice(token, expected)}"
    return Problem(ProblemCode.UNEXPECTED, column, message, found, expected)


def _expected(accepted: set[str]) -> tuple[str, ...]:
    for kind, phrase in _PLACES:
        if kind in accepted:
            return (phrase,)
    return tuple(phrase for kind, phrase in _FOLLOWERS if kind in accepted) or (_FIELD,)


def _listed(phrases: tuple[str, ...]) -> str:
    *others, last = phrases
    return f"{', '.join(others)} or {last}" if others else last


def _advice(token: Token, expected: tuple[str, ...]) -> str:
    if expected == (_OPERATOR,) and token.type == "WORD":
        nearest = get_close_matches(token.lower(), OPERATOR_WORDS, n=1)
        return f" Did you mean {nearest[0]}?" if nearest else ""
    if expected == (_CONDITION,) and token.type in {"SETTER", "DELETE"}:
        return " Actions follow a condition; the condition true matches everything."
    if token.type == "WORD" and token.lower() in {"and", "or"}:
        return f" Write {token.upper()} or {token.lower()}, not a mixture."
    return ""
