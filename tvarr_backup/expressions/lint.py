"""Warnings about valid expressions that do not do in tvarr what they seem to do."""

import re
from collections.abc import Iterator
from itertools import islice, zip_longest

from lark import Token

from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.fields import VOCABULARIES, suggest_name
from tvarr_backup.expressions.parse import ParsedExpression
from tvarr_backup.expressions.problems import ExpressionWarning, WarningCode, printable
from tvarr_backup.expressions.reading import Reading
from tvarr_backup.expressions.regexes import GroupCounts, Outcome, find_refusal, group_counts, unreachable_groups
from tvarr_backup.expressions.tokens import DYNAMIC
from tvarr_backup.expressions.tree import (
    NUMBER_OPERATORS,
    REGEX_OPERATORS,
    Action,
    ActionValue,
    Always,
    Capture,
    Comparison,
    Condition,
    DynamicValue,
    FieldValue,
    Group,
    LegacyValue,
    Verb,
    Word,
)

MOST_WARNINGS = 100
"""Suggesting a field name takes a third of a millisecond, and users do not read more warnings."""

_NO_SUCH_GROUP = "it keeps only the groups of the last regular expression that matched, which has no such group"
_HEX_FLOAT = re.compile(r"[+-]?0x[0-9a-f_.]+p[+-]?[0-9_]+", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_KNOWN_ESCAPES = "ntr\\\"'"


def find_warnings(parsed: ParsedExpression, domain: Domain) -> tuple[ExpressionWarning, ...]:
    """Return at most `MOST_WARNINGS` warnings in the order of their columns, only one of them `unchecked`."""
    found = sorted(islice(_warn(parsed, domain), MOST_WARNINGS), key=lambda warning: warning.column)
    unchecked = [warning for warning in found if warning.code is WarningCode.UNCHECKED]
    return tuple(warning for warning in found if warning not in unchecked[1:]) if len(unchecked) > 1 else tuple(found)


def _warn(parsed: ParsedExpression, domain: Domain) -> Iterator[ExpressionWarning]:
    expression = parsed.expression
    if expression.condition is not None:
        yield from _warn_about_condition(expression.condition, domain)
        yield from _warn_about_actions(expression.condition, expression.actions, domain)
    yield from _warn_about_texts(parsed, domain)
    yield from _warn_about_moved_not(parsed)


# --- Conditions -------------------------------------------------------------------------------------------------------


def _warn_about_condition(condition: Condition, domain: Domain) -> Iterator[ExpressionWarning]:
    for comparison in _comparisons_in(condition):
        yield from _warn_about_field(comparison.field, domain)
        yield from _warn_about_compared_value(comparison, domain)
        if comparison.ignored_not is not None:
            yield ExpressionWarning(
                WarningCode.IGNORED_NOT,
                comparison.ignored_not,
                f"tvarr ignores NOT before {comparison.operator.value}, so the condition matches as if it were not there.",
            )


def _comparisons_in(condition: Condition) -> Iterator[Comparison]:
    match condition:
        case Comparison():
            yield condition
        case Group(members=members):
            for member in members:
                yield from _comparisons_in(member)
        case Always():
            return


def _warn_about_field(field: Word, domain: Domain) -> Iterator[ExpressionWarning]:
    name, vocabulary = field.text, VOCABULARIES[domain]
    if name.startswith(DYNAMIC):
        return
    if not vocabulary.reads(name):
        hint = suggest_name(name, domain)
        message = f"tvarr does not know the field {name} in {domain}{hint} and reads it as empty text."
        yield ExpressionWarning(WarningCode.UNKNOWN_FIELD, field.column, message)
    elif name in vocabulary.empty:
        message = f"tvarr has no value for {name} in {domain} and always reads it as empty text."
        yield ExpressionWarning(WarningCode.EMPTY_FIELD, field.column, message)


def _warn_about_compared_value(comparison: Comparison, domain: Domain) -> Iterator[ExpressionWarning]:
    operator, value = comparison.operator, comparison.value
    if operator in REGEX_OPERATORS:
        refusal = find_refusal(value.text)
        if refusal is Outcome.UNCHECKED:
            message = "This regular expression was not checked, because the others took too long. Check it on its own."
            yield ExpressionWarning(WarningCode.UNCHECKED, value.column, message)
        elif refusal is not None:
            message = f'tvarr cannot use this regular expression ("{refusal}"), so {_failure(domain)}.'
            yield ExpressionWarning(WarningCode.BAD_REGEX, value.column, message)
    if operator in NUMBER_OPERATORS and not _is_number(value.text):
        message = f"tvarr expects a number after {operator.value}, so {_failure(domain)}."
        yield ExpressionWarning(WarningCode.NOT_A_NUMBER, value.column, message)
    if not value.is_quoted and value.text.startswith(("$", "@")):
        message = "tvarr compares with this text itself, because a condition cannot compare two fields."
        yield ExpressionWarning(WarningCode.REFERENCE_AS_TEXT, value.column, message)


def _failure(domain: Domain) -> str:
    """Return the consequence of an error at run time, unless an earlier condition decides the result."""
    if domain.is_filter:
        return "the filter does not match any record for which tvarr evaluates this condition"
    if domain.is_mapping:
        return "tvarr skips this rule and all later ones for each record for which it evaluates this condition"
    return "the rule fails for each request for which tvarr evaluates this condition"


def _is_number(text: str) -> bool:
    """Return whether Go's ParseFloat may accept the text. Accepts a little more, so that no warning is wrong."""
    try:
        float(text)
    except ValueError:
        return _HEX_FLOAT.fullmatch(text) is not None
    return True


# --- Actions ----------------------------------------------------------------------------------------------------------


def _warn_about_actions(
    condition: Condition, actions: tuple[Action, ...], domain: Domain
) -> Iterator[ExpressionWarning]:
    assigned: set[str] = set()
    counts = group_counts(condition) if actions else frozenset()
    for action in actions:
        if domain.is_filter:
            yield _warning_in_filter(action)
            continue
        yield from _warn_about_target(action, domain)
        if action.value is not None:
            yield from _warn_about_action_value(action.value, counts, domain, assigned)
        assigned.add(_canonical(action.target.text, domain))


def _warning_in_filter(action: Action) -> ExpressionWarning:
    name, column = action.target.text, action.target.column
    if _looks_like_condition(action):
        message = f"tvarr assigns to {name} instead of comparing it, because there is no AND or OR before it, and ignores that."
        return ExpressionWarning(WarningCode.MISSING_AND, column, message)
    return ExpressionWarning(
        WarningCode.IGNORED_ACTION, column, f"tvarr ignores the action on {name}, because this is a filter."
    )


def _looks_like_condition(action: Action) -> bool:
    return action.is_shorthand and action.verb is Verb.SET


def _warn_about_target(action: Action, domain: Domain) -> Iterator[ExpressionWarning]:
    name, column, vocabulary = action.target.text, action.target.column, VOCABULARIES[domain]
    if not vocabulary.accepts(name):
        hint = suggest_name(name, domain)
        if name.endswith("-") and vocabulary.accepts(name[:-1]):
            hint = f" (write a space before -= if you mean {name[:-1]})"
        message = f"tvarr does not know the field {name} in {domain}{hint}, so the assigned value is lost."
        yield ExpressionWarning(WarningCode.UNKNOWN_TARGET, column, message)
    elif name in vocabulary.saved:
        return
    elif not vocabulary.fields[name].is_read_only:
        message = f"tvarr does not save {name} in {domain}, so the assigned value is lost."
        yield ExpressionWarning(WarningCode.UNSAVED_TARGET, column, message)
    elif _looks_like_condition(action):
        message = f"tvarr assigns to {name} instead of comparing it, because there is no AND or OR before it."
        yield ExpressionWarning(WarningCode.MISSING_AND, column, message)
    else:
        message = f"tvarr cannot change {name}, so the assigned value is lost."
        yield ExpressionWarning(WarningCode.READ_ONLY_TARGET, column, message)


def _warn_about_action_value(
    value: ActionValue, counts: GroupCounts, domain: Domain, assigned: set[str]
) -> Iterator[ExpressionWarning]:
    match value:
        case Word(text=text, column=column):
            missing = unreachable_groups(text, counts)
            if missing:
                message = f"tvarr does not replace {missing[0]}, because {_NO_SUCH_GROUP}."
                yield ExpressionWarning(WarningCode.MISSING_GROUP, column, message)
        case Capture(index=index, column=column):
            if unreachable_groups(f"${index}", counts):
                message = f"tvarr reads ${index} as empty text, because {_NO_SUCH_GROUP}."
                yield ExpressionWarning(WarningCode.MISSING_GROUP, column, message)
        case FieldValue(name=name, column=column):
            if not VOCABULARIES[domain].reads(name) and _canonical(name, domain) not in assigned:
                hint = suggest_name(name, domain)
                message = f"tvarr does not know the field {name} in {domain}{hint} and reads it as empty text."
                yield ExpressionWarning(WarningCode.UNKNOWN_FIELD, column, message)
        case DynamicValue(column=column):
            if domain.is_mapping:
                message = "tvarr fails when it runs the rule, because there is no request during mapping."
                yield ExpressionWarning(WarningCode.DYNAMIC_IN_MAPPING, column, message)
        case LegacyValue(prefix=prefix, param=param, column=column):
            message = f'tvarr fails when it runs the rule, because helpers need quotes, as in "@{prefix}:{param}".'
            yield ExpressionWarning(WarningCode.UNQUOTED_HELPER, column, message)


def _canonical(name: str, domain: Domain) -> str:
    field = VOCABULARIES[domain].fields.get(name)
    return field.name if field else name


# --- Quoted text ------------------------------------------------------------------------------------------------------


def _warn_about_texts(parsed: ParsedExpression, domain: Domain) -> Iterator[ExpressionWarning]:
    """Yield at most one warning of each kind for each quoted text, for the first occurrence."""
    for token in parsed.tokens:
        if token.type == "STRING":
            yield from _dropped_backslash(token, parsed.reading)
            yield from _rewritten_text(token, parsed.reading, domain)


def _dropped_backslash(token: Token, reading: Reading) -> Iterator[ExpressionWarning]:
    for escape in _ESCAPE.finditer(token):
        if escape[1] not in _KNOWN_ESCAPES:
            character = printable(escape[1])
            message = f"tvarr drops the backslash and reads {character}. Write \\\\{character} to keep it."
            column = reading.column((token.start_pos or 0) + escape.start())
            yield ExpressionWarning(WarningCode.DROPPED_BACKSLASH, column, message)
            return


def _rewritten_text(token: Token, reading: Reading, domain: Domain) -> Iterator[ExpressionWarning]:
    start, end = token.start_pos or 0, token.end_pos or 0
    first = reading.origins[start]
    written = reading.written[first : reading.origins[end - 1] + 1]
    if token == written:
        return
    pairs = enumerate(zip_longest(token, written))
    same = next(index for index, (read, meant) in pairs if read != meant)
    consequence = ""
    if domain.is_filter and token.lower() == written.lower():
        consequence = " This makes no difference as long as the filter ignores case."
    message = f"tvarr rewrites quoted text too, and reads {printable(token)}.{consequence}"
    yield ExpressionWarning(WarningCode.REWRITTEN_TEXT, first + same + 1, message)


def _warn_about_moved_not(parsed: ParsedExpression) -> Iterator[ExpressionWarning]:
    moved = parsed.reading.moved_not
    if moved is None or not _opens_with_compound_group(parsed.tokens):
        return
    message = "tvarr moves this not into the parentheses, where it applies only to the first condition."
    yield ExpressionWarning(WarningCode.MOVED_NOT, moved + 1, message)


def _opens_with_compound_group(tokens: tuple[Token, ...]) -> bool:
    depth = 0
    for token in tokens:
        depth += {"_LPAR": 1, "_RPAR": -1}.get(token.type, 0)
        if depth == 0:
            return False
        if token.type in {"_AND", "_OR"}:
            return True
    return False
