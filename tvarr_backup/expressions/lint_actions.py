"""Warnings about actions: their targets, their values, and actions that nobody meant."""

from collections.abc import Iterator

from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.fields import VOCABULARIES, nearest_name
from tvarr_backup.expressions.regexes import GroupCounts, group_counts, unreachable_groups
from tvarr_backup.expressions.tree import (
    Action,
    ActionValue,
    Capture,
    Condition,
    DynamicValue,
    FieldValue,
    LegacyValue,
    Verb,
    Word,
)
from tvarr_backup.expressions.warned import Warned, WarningCode

_ONLY_LAST = "it keeps the groups of the last regular expression that matched, and this is not among them"


def warn_about_actions(condition: Condition, actions: tuple[Action, ...], domain: Domain) -> Iterator[Warned]:
    assigned: set[str] = set()
    counts = group_counts(condition) if actions else frozenset()
    for action in actions:
        if domain.is_filter:
            yield _in_filter(action)
            continue
        yield from _warn_about_target(action, domain)
        if action.value is not None:
            yield from _warn_about_value(action.value, counts, domain, assigned)
        assigned.add(_canonical(action.target.text, domain))


def _in_filter(action: Action) -> Warned:
    name, column = action.target.text, action.target.column
    if _looks_like_condition(action):
        message = f"tvarr assigns to {name} instead of comparing, because no AND or OR precedes it, and ignores that."
        return Warned(WarningCode.MISSING_AND, column, message)
    return Warned(WarningCode.IGNORED_ACTION, column, f"tvarr ignores the action on {name}, because this is a filter.")


def _looks_like_condition(action: Action) -> bool:
    return action.is_shorthand and action.verb is Verb.SET


def _warn_about_target(action: Action, domain: Domain) -> Iterator[Warned]:
    name, column, vocabulary = action.target.text, action.target.column, VOCABULARIES[domain]
    if not vocabulary.takes(name):
        hint = nearest_name(name, domain)
        if name.endswith("-") and vocabulary.takes(name[:-1]):
            hint = f" (write a blank before -= if you mean {name[:-1]})"
        message = f"tvarr knows no field {name} in {domain}{hint}, and does not save what is assigned to it."
        yield Warned(WarningCode.UNKNOWN_TARGET, column, message)
    elif name in vocabulary.saved:
        return
    elif not vocabulary.fields[name].is_read_only:
        message = f"tvarr does not save {name} in {domain}, so what is assigned to it is lost."
        yield Warned(WarningCode.UNSAVED_TARGET, column, message)
    elif _looks_like_condition(action):
        message = f"tvarr assigns to {name} instead of comparing, because no AND or OR precedes it."
        yield Warned(WarningCode.MISSING_AND, column, message)
    else:
        message = f"tvarr cannot change {name}, so what is assigned to it is lost."
        yield Warned(WarningCode.READ_ONLY_TARGET, column, message)


def _warn_about_value(value: ActionValue, counts: GroupCounts, domain: Domain, assigned: set[str]) -> Iterator[Warned]:
    match value:
        case Word(text=text, column=column):
            missing = unreachable_groups(text, counts)
            if missing:
                message = f"tvarr writes {missing[0]} as it stands, because {_ONLY_LAST}."
                yield Warned(WarningCode.MISSING_GROUP, column, message)
        case Capture(index=index, column=column):
            if unreachable_groups(f"${index}", counts):
                message = f"tvarr takes ${index} as empty text, because {_ONLY_LAST}."
                yield Warned(WarningCode.MISSING_GROUP, column, message)
        case FieldValue(name=name, column=column):
            if not VOCABULARIES[domain].reads(name) and _canonical(name, domain) not in assigned:
                message = f"tvarr knows no field {name} in {domain}{nearest_name(name, domain)}, and uses empty text."
                yield Warned(WarningCode.UNKNOWN_FIELD, column, message)
        case DynamicValue(column=column):
            if domain.is_mapping:
                message = "tvarr fails here at run time, because there is no request to look into while it maps."
                yield Warned(WarningCode.DYNAMIC_IN_MAPPING, column, message)
        case LegacyValue(prefix=prefix, param=param, column=column):
            message = (
                f'tvarr fails here at run time, because it knows helpers in quotes only, as in "@{prefix}:{param}".'
            )
            yield Warned(WarningCode.UNQUOTED_HELPER, column, message)


def _canonical(name: str, domain: Domain) -> str:
    field = VOCABULARIES[domain].fields.get(name)
    return field.name if field else name
