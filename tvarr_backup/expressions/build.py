"""Building of an expression's tree during parsing."""

import re
from dataclasses import replace

from lark import Token, Transformer

from tvarr_backup.expressions.problems import InvalidExpression, Problem, ProblemCode, printable
from tvarr_backup.expressions.tokens import DYNAMIC
from tvarr_backup.expressions.tree import (
    OPERATOR_WORDS,
    Action,
    ActionValue,
    Always,
    Capture,
    Comparison,
    Condition,
    Connective,
    DynamicValue,
    Expression,
    FieldValue,
    Group,
    LegacyValue,
    Operator,
    Verb,
    Word,
)

_OPERATORS = {"=": Operator.EQUALS, "==": Operator.EQUALS, "!=": Operator.NOT_EQUALS} | OPERATOR_WORDS
_OPPOSITES = {
    Operator.EQUALS: Operator.NOT_EQUALS,
    Operator.CONTAINS: Operator.NOT_CONTAINS,
    Operator.STARTS_WITH: Operator.NOT_STARTS_WITH,
    Operator.ENDS_WITH: Operator.NOT_ENDS_WITH,
    Operator.MATCHES: Operator.NOT_MATCHES,
}
_OPPOSITES |= {opposite: operator for operator, opposite in _OPPOSITES.items()}
_VERBS_BY_SIGN = {"?=": Verb.SET_IF_EMPTY, "+=": Verb.APPEND, "-=": Verb.REMOVE}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r"}
_CAPTURE = re.compile(r"\$([0-9]{1,18})")
_DYNAMIC = re.compile(r"@dynamic\(([^)]*)\):(.+)", re.DOTALL)


class TreeBuilder(Transformer[Token, Expression]):
    """Lark calls the method with the name of each rule. Tokens whose names begin with `_` are left out."""

    def expression(self, parts: list[Condition | tuple[Action, ...]]) -> Expression:
        if not parts:
            return Expression(None)
        condition, *clauses = parts
        assert not isinstance(condition, tuple)
        return Expression(
            condition, tuple(action for clause in clauses if isinstance(clause, tuple) for action in clause)
        )

    def any_of(self, members: list[Condition]) -> Group:
        return _group(Connective.OR, members)

    def all_of(self, members: list[Condition]) -> Group:
        return _group(Connective.AND, members)

    def negation(self, parts: tuple[Token, Condition]) -> Condition:
        return _negate(*parts)

    def comparison(self, parts: list[Token]) -> Comparison:
        name, *nots, operator, value = parts
        comparison = Comparison(_word(name), _OPERATORS[operator], _word(value))
        return _negate_comparison(nots[0], comparison) if nots else comparison

    def literal(self, parts: list[Token]) -> Always:
        return Always(parts[0].type == "TRUE")

    def setting(self, parts: list[Token | Action]) -> tuple[Action, ...]:
        """A sign such as `?=` takes precedence over the keyword; `=` does not."""
        keyword, *actions = parts
        verb = Verb(str(keyword).upper())
        return tuple(
            replace(action, verb=verb) if action.verb is Verb.SET else action
            for action in actions
            if isinstance(action, Action)
        )

    def deletion(self, parts: list[Token]) -> tuple[Action, ...]:
        return tuple(Action(Verb.DELETE, _word(name), None) for name in parts[1:])

    def shorthand(self, parts: list[Action]) -> tuple[Action, ...]:
        return (replace(parts[0], is_shorthand=True),)

    def assignment(self, parts: list[Token]) -> Action:
        name, sign, value = parts
        return Action(_VERBS_BY_SIGN.get(sign, Verb.SET), _word(name), _action_value(value))


def _group(connective: Connective, members: list[Condition]) -> Group:
    """Merge a leading group with the same connective, as tvarr does: `(a OR b) OR c`. Other groups stay nested."""
    first, *rest = members
    if isinstance(first, Group) and first.connective is connective:
        return Group(connective, (*first.members, *rest))
    return Group(connective, tuple(members))


def _negate(not_token: Token, condition: Condition) -> Condition:
    match condition:
        case Comparison():
            return _negate_comparison(not_token, condition)
        case Always(matches=matches):
            return Always(not matches)
        case Group(connective=connective):
            message = (
                f"NOT must be before a single condition, but these parentheses join several with {connective.value}. "
                "Write NOT before each of them."
            )
            code, expected = ProblemCode.NOT_BEFORE_GROUP, ("a single condition",)
            raise InvalidExpression(Problem(code, not_token.column or 1, message, str(not_token), expected))


def _negate_comparison(not_token: Token, comparison: Comparison) -> Comparison:
    opposite = _OPPOSITES.get(comparison.operator)
    if opposite is None:
        return replace(comparison, ignored_not=not_token.column)
    return replace(comparison, operator=opposite)


def _word(token: Token) -> Word:
    column = token.column or 1
    if token.type == "STRING":
        text = str(token)[1:-1]
        if "\\" in text:
            text = _ESCAPE.sub(lambda escape: _CONTROLS.get(escape[1], escape[1]), text)
        return Word(text, column, is_quoted=True)
    if token.type in {"TRUE", "FALSE"}:
        return Word(token.lower(), column)
    return Word(str(token), column)


def _action_value(token: Token) -> ActionValue:
    column = token.column or 1
    if token.type not in {"WORD", "OPERATOR_WORD"} or token[0] not in "$@":
        return _word(token)
    if token[0] == "$":
        capture = _CAPTURE.fullmatch(token)
        return Capture(int(capture[1]), column) if capture else FieldValue(token[1:], column)
    if token.startswith(DYNAMIC):
        return _dynamic_value(token, column)
    prefix, colon, param = token[1:].partition(":")
    return LegacyValue(prefix, param, column) if colon else _word(token)


def _dynamic_value(token: Token, column: int) -> DynamicValue:
    parts = _DYNAMIC.fullmatch(token)
    if parts is None:
        found, expected = printable(token), ("@dynamic(path):key",)
        message = (
            f"Expected @dynamic(path):key with a path without parentheses and a key that is not empty, got {found}."
        )
        raise InvalidExpression(Problem(ProblemCode.BAD_REFERENCE, column, message, found, expected))
    return DynamicValue(parts[1], parts[2], column)
