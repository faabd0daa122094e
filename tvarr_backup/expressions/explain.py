"""The message for a token in the wrong place."""

from difflib import get_close_matches

from lark import Token

from tvarr_backup.expressions.problems import Problem, ProblemCode, printable
from tvarr_backup.expressions.reading import Reading
from tvarr_backup.expressions.tree import OPERATOR_WORDS

OPERATOR = "an operator such as contains, matches or ="
VALUE = "a value (a quoted text, a number, a word, true or false)"
CONDITION = 'a condition such as channel_name contains "x"'
SIGN = "one of = ?= += -="
FIELD = "a field"

# A place in the grammar is known by one token that is accepted nowhere else.
_PLACES = (("NE", OPERATOR), ("STRING", VALUE), ("_LPAR", CONDITION), ("SETEMPTY", SIGN))
_FOLLOWERS = (
    ("_AND", "AND"),
    ("_OR", "OR"),
    ("_RPAR", "a closing parenthesis"),
    ("_COMMA", "a comma"),
    ("SETTER", "an action"),
    ("$END", "the end"),
)


def explain_token(token: Token, accepted: set[str], reading: Reading) -> Problem:
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
    return tuple(phrase for kind, phrase in _FOLLOWERS if kind in accepted) or (FIELD,)


def _listed(phrases: tuple[str, ...]) -> str:
    *others, last = phrases
    return f"{', '.join(others)} or {last}" if others else last


def _advice(token: Token, expected: tuple[str, ...]) -> str:
    if expected == (OPERATOR,) and token.type == "WORD":
        nearest = get_close_matches(token.lower(), OPERATOR_WORDS, n=1)
        return f" Did you mean {nearest[0]}?" if nearest else ""
    if expected == (CONDITION,) and token.type in {"SETTER", "DELETE"}:
        return " Actions follow a condition; the condition true matches everything."
    if token.type == "WORD" and token.lower() in {"and", "or"}:
        return f" Write {token.upper()} or {token.lower()}, not a mixture."
    return ""
