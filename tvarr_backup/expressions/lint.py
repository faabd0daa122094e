"""Warnings about expressions that tvarr accepts, and reads differently from what the text seems to say."""

import re
from collections.abc import Iterator
from itertools import islice, zip_longest

from lark import Token

from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.fields import VOCABULARIES, nearest_name
from tvarr_backup.expressions.parse import Parsed
from tvarr_backup.expressions.problems import ExpressionWarning, WarningCode, printable
from tvarr_backup.expressions.reading import Reading
from tvarr_backup.expressions.regexes import GroupCounts, Outcome, group_counts, unreachable_groups, why_refused
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
"""Suggesting a field takes a third of a millisecond, and nobody reads more."""

_ONLY_LAST = "it keeps the groups of the last regular expression that matched, and this is not among them"
_HEX_FLOAT = re.compile(r"[+-]?0x[0-9a-f_.]+p[+-]?[0-9_]+", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_KNOWN_ESCAPES = "ntr\\\"'"


def find_warnings(parsed: Parsed, domain: Domain) -> tuple[ExpressionWarning, ...]:
    """Return at most `MOST_WARNINGS` warnings in the order of their columns.

    Of untried regular expressions, only the first is named.
    """
    found = sorted(islice(_warn(parsed, domain), MOST_WARNINGS), key=lambda warning: warning.column)
    unchecked = [warning for warning in found if warning.code is WarningCode.UNCHECKED]
    return tuple(warning for warning in found if warning not in unchecked[1:]) if len(unchecked) > 1 else tuple(found)


def _warn(parsed: Parsed, domain: Domain) -> Iterator[ExpressionWarning]:
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
                f"tvarr ignores NOT before {comparison.operator.value}, so this matches as if NOT were not there.",
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
        hint = nearest_name(name, domain)
        message = f"tvarr knows no field {name} in {domain}{hint}, and reads it as empty text."
        yield ExpressionWarning(WarningCode.UNKNOWN_FIELD, field.column, message)
    elif name in vocabulary.empty:
        message = f"tvarr never has a value for {name} in {domain}, and always reads it as empty text."
        yield ExpressionWarning(WarningCode.EMPTY_FIELD, field.column, message)


def _warn_about_compared_value(comparison: Comparison, domain: Domain) -> Iterator[ExpressionWarning]:
    operator, value = comparison.operator, comparison.value
    if operator in REGEX_OPERATORS:
        refusal = why_refused(value.text)
        if refusal is Outcome.UNCHECKED:
            message = "This regular expression was not tried, because the others took too long. It is tried when the item is saved alone."
            yield ExpressionWarning(WarningCode.UNCHECKED, value.column, message)
        elif refusal is not None:
            message = f"tvarr's RE2 refuses this regular expression ({refusal}), so {_failure(domain)}."
            yield ExpressionWarning(WarningCode.BAD_REGEX, value.column, message)
    if operator in NUMBER_OPERATORS and not _is_number(value.text):
        message = f"tvarr needs a number after {operator.value}, so {_failure(domain)}."
        yield ExpressionWarning(WarningCode.NOT_A_NUMBER, value.column, message)
    if not value.is_quoted and value.text.startswith(("$", "@")):
        message = "tvarr compares with these very characters, because a condition cannot look up a second value."
        yield ExpressionWarning(WarningCode.REFERENCE_AS_TEXT, value.column, message)


def _failure(domain: Domain) -> str:
    """Return what an error at run time does, unless an earlier condition has decided the result."""
    if domain.is_filter:
        return "the filter does not match a record for which tvarr gets this far"
    if domain.is_mapping:
        return "a record for which tvarr gets this far skips this rule and all that follow"
    return "the rule fails for a request for which tvarr gets this far"


def _is_number(text: str) -> bool:
    """Return whether Go's ParseFloat might accept the text. A little more is accepted, so that no warning is false."""
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
        message = f"tvarr assigns to {name} instead of comparing, because no AND or OR precedes it, and ignores that."
        return ExpressionWarning(WarningCode.MISSING_AND, column, message)
    return ExpressionWarning(
        WarningCode.IGNORED_ACTION, column, f"tvarr ignores the action on {name}, because this is a filter."
    )


def _looks_like_condition(action: Action) -> bool:
    return action.is_shorthand and action.verb is Verb.SET


def _warn_about_target(action: Action, domain: Domain) -> Iterator[ExpressionWarning]:
    name, column, vocabulary = action.target.text, action.target.column, VOCABULARIES[domain]
    if not vocabulary.takes(name):
        hint = nearest_name(name, domain)
        if name.endswith("-") and vocabulary.takes(name[:-1]):
            hint = f" (write a blank before -= if you mean {name[:-1]})"
        message = f"tvarr knows no field {name} in {domain}{hint}, and does not save what is assigned to it."
        yield ExpressionWarning(WarningCode.UNKNOWN_TARGET, column, message)
    elif name in vocabulary.saved:
        return
    elif not vocabulary.fields[name].is_read_only:
        message = f"tvarr does not save {name} in {domain}, so what is assigned to it is lost."
        yield ExpressionWarning(WarningCode.UNSAVED_TARGET, column, message)
    elif _looks_like_condition(action):
        message = f"tvarr assigns to {name} instead of comparing, because no AND or OR precedes it."
        yield ExpressionWarning(WarningCode.MISSING_AND, column, message)
    else:
        message = f"tvarr cannot change {name}, so what is assigned to it is lost."
        yield ExpressionWarning(WarningCode.READ_ONLY_TARGET, column, message)


def _warn_about_action_value(
    value: ActionValue, counts: GroupCounts, domain: Domain, assigned: set[str]
) -> Iterator[ExpressionWarning]:
    match value:
        case Word(text=text, column=column):
            missing = unreachable_groups(text, counts)
            if missing:
                message = f"tvarr writes {missing[0]} as it stands, because {_ONLY_LAST}."
                yield ExpressionWarning(WarningCode.MISSING_GROUP, column, message)
        case Capture(index=index, column=column):
            if unreachable_groups(f"${index}", counts):
                message = f"tvarr takes ${index} as empty text, because {_ONLY_LAST}."
                yield ExpressionWarning(WarningCode.MISSING_GROUP, column, message)
        case FieldValue(name=name, column=column):
            if not VOCABULARIES[domain].reads(name) and _canonical(name, domain) not in assigned:
                message = f"tvarr knows no field {name} in {domain}{nearest_name(name, domain)}, and uses empty text."
                yield ExpressionWarning(WarningCode.UNKNOWN_FIELD, column, message)
        case DynamicValue(column=column):
            if domain.is_mapping:
                message = "tvarr fails here at run time, because there is no request to look into while it maps."
                yield ExpressionWarning(WarningCode.DYNAMIC_IN_MAPPING, column, message)
        case LegacyValue(prefix=prefix, param=param, column=column):
            message = (
                f'tvarr fails here at run time, because it knows helpers in quotes only, as in "@{prefix}:{param}".'
            )
            yield ExpressionWarning(WarningCode.UNQUOTED_HELPER, column, message)


def _canonical(name: str, domain: Domain) -> str:
    field = VOCABULARIES[domain].fields.get(name)
    return field.name if field else name


# --- Texts: what happens to the characters before their meaning is read -----------------------------------------------


def _warn_about_texts(parsed: Parsed, domain: Domain) -> Iterator[ExpressionWarning]:
    """Yield one warning of each kind per quoted text, at its first place."""
    for token in parsed.tokens:
        if token.type == "STRING":
            yield from _dropped_backslash(token, parsed.reading)
            yield from _rewritten_text(token, parsed.reading, domain)


def _dropped_backslash(token: Token, reading: Reading) -> Iterator[ExpressionWarning]:
    for escape in _ESCAPE.finditer(token):
        if escape[1] not in _KNOWN_ESCAPES:
            shown = printable(escape[1])
            message = f"tvarr drops the backslash and reads {shown}; write \\\\{shown} to keep it."
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
        consequence = ", which changes nothing as long as the filter ignores case"
    message = f"tvarr rewrites this text before it looks at quotes, and reads {printable(token)}{consequence}."
    yield ExpressionWarning(WarningCode.REWRITTEN_TEXT, first + same + 1, message)


def _warn_about_moved_not(parsed: Parsed) -> Iterator[ExpressionWarning]:
    """Warn about a leading `not` that moved into parentheses with more than one condition."""
    moved = parsed.reading.moved_not
    if moved is None or not _opens_with_compound_group(parsed.tokens):
        return
    message = "tvarr moves this not into the parentheses, where it covers the first condition only."
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
