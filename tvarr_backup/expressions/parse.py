"""The parser: one Lark grammar, made once, for the first expression."""

from dataclasses import dataclass
from functools import cache

from lark import Lark, Token, UnexpectedToken

from tvarr_backup.expressions.build import TreeBuilder
from tvarr_backup.expressions.explain import explain_token
from tvarr_backup.expressions.problems import InvalidExpression
from tvarr_backup.expressions.reading import Reading
from tvarr_backup.expressions.tokens import ReadyLexer, Tokens
from tvarr_backup.expressions.tree import Expression


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
        raise InvalidExpression(explain_token(blamed, _accepted_after(before), reading)) from error
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
