"""The tree of an expression. Columns count from 1 in the text as written, and do not affect equality."""

import dataclasses
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never


class Operator(StrEnum):
    EQUALS = "equals"
    NOT_EQUALS = "not_equals"
    CONTAINS = "contains"
    NOT_CONTAINS = "not_contains"
    STARTS_WITH = "starts_with"
    NOT_STARTS_WITH = "not_starts_with"
    ENDS_WITH = "ends_with"
    NOT_ENDS_WITH = "not_ends_with"
    MATCHES = "matches"
    NOT_MATCHES = "not_matches"
    GREATER_THAN = "greater_than"
    GREATER_THAN_OR_EQUAL = "greater_than_or_equal"
    LESS_THAN = "less_than"
    LESS_THAN_OR_EQUAL = "less_than_or_equal"


REGEX_OPERATORS = frozenset({Operator.MATCHES, Operator.NOT_MATCHES})
NUMBER_OPERATORS = frozenset(
    {Operator.GREATER_THAN, Operator.GREATER_THAN_OR_EQUAL, Operator.LESS_THAN, Operator.LESS_THAN_OR_EQUAL}
)
OPERATOR_WORDS: dict[str, Operator] = {
    **{operator.value: operator for operator in Operator},
    "eq": Operator.EQUALS,
    "neq": Operator.NOT_EQUALS,
    "gt": Operator.GREATER_THAN,
    "gte": Operator.GREATER_THAN_OR_EQUAL,
    "lt": Operator.LESS_THAN,
    "lte": Operator.LESS_THAN_OR_EQUAL,
}


class Connective(StrEnum):
    AND = "AND"
    OR = "OR"


class Verb(StrEnum):
    SET = "SET"
    SET_IF_EMPTY = "SET_IF_EMPTY"
    APPEND = "APPEND"
    REMOVE = "REMOVE"
    DELETE = "DELETE"


@dataclass(frozen=True, slots=True)
class Word:
    """A field, a target or a value, with escapes resolved."""

    text: str
    column: int = dataclasses.field(compare=False)
    is_quoted: bool = dataclasses.field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison; NOT is part of the operator. `ignored_not` is the column of a NOT that tvarr ignores."""

    field: Word
    operator: Operator
    value: Word
    ignored_not: int | None = dataclasses.field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Always:
    """The literals `true` and `false` as a condition."""

    matches: bool


@dataclass(frozen=True, slots=True)
class Group:
    connective: Connective
    members: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Capture:
    """`$1`: a group of the rule's regular expression, or 0 for the whole match."""

    index: int
    column: int = dataclasses.field(compare=False)


@dataclass(frozen=True, slots=True)
class FieldValue:
    """`$name`: the current value of a field."""

    name: str
    column: int = dataclasses.field(compare=False)


@dataclass(frozen=True, slots=True)
class DynamicValue:
    """`@dynamic(path):key`: a part of the request."""

    path: str
    key: str
    column: int = dataclasses.field(compare=False)


@dataclass(frozen=True, slots=True)
class LegacyValue:
    """`@prefix:param` without quotes, which tvarr no longer supports."""

    prefix: str
    param: str
    column: int = dataclasses.field(compare=False)


Condition = Comparison | Always | Group
ActionValue = Word | Capture | FieldValue | DynamicValue | LegacyValue


@dataclass(frozen=True, slots=True)
class Action:
    """An action. Only DELETE has no value. `is_shorthand` means `field = value` without SET."""

    verb: Verb
    target: Word
    value: ActionValue | None
    is_shorthand: bool = dataclasses.field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Expression:
    """A condition with actions. Only blank text has no condition."""

    condition: Condition | None
    actions: tuple[Action, ...] = ()


def tree_as_json(expression: Expression) -> dict[str, object]:
    """Return `[field, operator, value]`, `{"AND": [...]}`, and for each action `[verb, target, value]`."""
    condition = None if expression.condition is None else _condition_as_json(expression.condition)
    return {"condition": condition, "actions": [_action_as_json(action) for action in expression.actions]}


def _condition_as_json(condition: Condition) -> object:
    match condition:
        case Comparison(field=field, operator=operator, value=value):
            return [field.text, operator.value, value.text]
        case Always(matches=matches):
            return ["", (Operator.CONTAINS if matches else Operator.NOT_CONTAINS).value, ""]
        case Group(connective=connective, members=members):
            return {connective.value: [_condition_as_json(member) for member in members]}
    assert_never(condition)


def _action_as_json(action: Action) -> object:
    value = None if action.value is None else _value_as_json(action.value)
    return [action.verb.value, action.target.text, value]


def _value_as_json(value: ActionValue) -> object:
    match value:
        case Word(text=text):
            return {"literal": text}
        case Capture(index=index):
            return {"capture": index}
        case FieldValue(name=name):
            return {"field": name}
        case DynamicValue(path=path, key=key):
            return {"dynamic": [path, key]}
        case LegacyValue(prefix=prefix, param=param):
            return {"legacy": [prefix, param]}
    assert_never(value)
