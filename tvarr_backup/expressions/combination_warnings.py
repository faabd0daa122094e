"""Warnings about filters and rules that work as written, and still do not do what users expect, because of how tvarr runs them.

Warnings about a single text are in `lint`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise

from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.evaluate import Outcome, Program
from tvarr_backup.expressions.failures import FailureCode
from tvarr_backup.expressions.filter_stage import FilterAction, FilterUse
from tvarr_backup.expressions.mapping_stage import MappingRule
from tvarr_backup.expressions.tree import NUMBER_OPERATORS, Comparison


class CombinationCode(StrEnum):
    ONLY_EXCLUDES = "only_excludes"
    ONLY_PROGRAMME_FILTERS = "only_programme_filters"
    ONLY_BLANK_FILTERS = "only_blank_filters"
    INCLUDED_AGAIN = "included_again"
    NO_PROGRAMMES_YET = "no_programmes_yet"
    SHARED_STOP = "shared_stop"
    EMPTY_NUMBER = "empty_number"
    FAILING_EXCLUDE = "failing_exclude"
    FAILS = "fails"
    MATCHES_NOTHING = "matches_nothing"
    MATCHES_EVERYTHING = "matches_everything"


@dataclass(frozen=True, slots=True)
class CombinationWarning:
    """A warning with its facts. `positions` are the filters or rules it is about, in the sequence that was given."""

    code: CombinationCode
    message: str
    facts: Mapping[str, int | str] = field(default_factory=dict)
    positions: tuple[int, ...] = ()


@dataclass(slots=True)
class MatchCount:
    """How many rows a program was evaluated for, how many matched, and how many failed, by the code of the failure."""

    rows: int = 0
    matched: int = 0
    failed: dict[FailureCode, int] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        self.rows += 1
        self.matched += outcome.matches is True
        if outcome.error is not None:
            self.failed[outcome.error] = self.failed.get(outcome.error, 0) + 1


def warn_about_filters(filters: Sequence[FilterUse]) -> tuple[CombinationWarning, ...]:
    """Return the warnings about the filters of one proxy."""
    return tuple(_filter_warnings(filters))


def _filter_warnings(filters: Sequence[FilterUse]) -> Iterator[CombinationWarning]:
    active = sorted(
        ((position, each) for position, each in enumerate(filters) if each.is_active), key=lambda pair: pair[1].priority
    )
    channels = [pair for pair in active if pair[1].domain is Domain.STREAM_FILTER and pair[1].expression.strip()]
    programmes = [pair for pair in active if pair[1].domain is Domain.EPG_FILTER]
    includes = [pair for pair in channels if pair[1].action is FilterAction.INCLUDE]
    everything = tuple(position for position, _ in active)
    if channels and not includes:
        message = "tvarr begins with no channels, and none of these filters includes any, so the proxy has no channels."
        yield CombinationWarning(CombinationCode.ONLY_EXCLUDES, message, positions=everything)
    elif active and not channels and programmes:
        message = "tvarr begins with no channels, and filters of programmes include none, so the proxy has no channels."
        yield CombinationWarning(CombinationCode.ONLY_PROGRAMME_FILTERS, message, positions=everything)
    elif active and not channels:
        message = "tvarr begins with no channels, and a blank filter includes none, so the proxy has no channels."
        yield CombinationWarning(CombinationCode.ONLY_BLANK_FILTERS, message, positions=everything)
    for earlier, later in pairwise(channels):
        if earlier[1].action is FilterAction.EXCLUDE and later[1].action is FilterAction.INCLUDE:
            message = "tvarr runs this include after an exclude, so it adds channels again that the exclude took out."
            yield CombinationWarning(CombinationCode.INCLUDED_AGAIN, message, positions=(earlier[0], later[0]))
    if programmes:
        yield _no_programmes_yet(tuple(position for position, _ in programmes))


def warn_about_rules(rules: Sequence[MappingRule]) -> tuple[CombinationWarning, ...]:
    """Return the warnings about all mapping rules together."""
    enabled = [(position, rule) for position, rule in enumerate(rules) if rule.is_enabled]
    found: list[CombinationWarning] = []
    stopping = tuple(position for position, rule in enabled if rule.stop_on_match)
    if stopping and len(enabled) > len(stopping):
        message = "tvarr stops after every rule that assigns something, not only after this one, because one rule stops on a match."
        found.append(CombinationWarning(CombinationCode.SHARED_STOP, message, positions=stopping))
    programmes = tuple(position for position, rule in enabled if rule.domain is Domain.EPG_MAPPING)
    if programmes:
        found.append(_no_programmes_yet(programmes))
    return tuple(found)


def warn_about_program(program: Program) -> tuple[CombinationWarning, ...]:
    """Return the warnings that need no rows: about comparisons of numbers, and about programmes."""
    found = [_empty_number(column, program.domain) for column in _compared_as_numbers(program)]
    if program.domain in {Domain.EPG_FILTER, Domain.EPG_MAPPING}:
        found.append(_no_programmes_yet(()))
    return tuple(found)


def warn_about_count(
    program: Program, count: MatchCount, action: FilterAction | None = None
) -> tuple[CombinationWarning, ...]:
    """Return the warnings that follow from evaluating a program for the rows here. `action` is that of a filter."""
    return tuple(_count_warnings(program, count, action))


def _count_warnings(program: Program, count: MatchCount, action: FilterAction | None) -> Iterator[CombinationWarning]:
    of = f"{count.rows:,} {program.domain.row_kind.value}"
    for code, rows in count.failed.items():
        facts = {"failure": code.value, "rows": rows, "of": count.rows}
        if action is FilterAction.EXCLUDE:
            message = f"tvarr cannot evaluate this exclude for {rows:,} of {of}, and does not remove them."
            yield CombinationWarning(CombinationCode.FAILING_EXCLUDE, message, facts)
        else:
            message = f"tvarr cannot evaluate this for {rows:,} of {of}, {_consequence(program.domain)}."
            yield CombinationWarning(CombinationCode.FAILS, message, facts)
    facts = {"rows": count.rows}
    if count.rows and not count.matched:
        yield CombinationWarning(CombinationCode.MATCHES_NOTHING, f"It matches none of {of}.", facts)
    if count.rows and count.matched == count.rows:
        yield CombinationWarning(CombinationCode.MATCHES_EVERYTHING, f"It matches all {of}.", facts)


def _compared_as_numbers(program: Program) -> list[str]:
    """Return the names of fields with number operators, as written, each once."""
    comparisons = () if program.condition is None else program.condition.comparisons()
    sources = (comparison.source for comparison in comparisons)
    names = [each.field.text for each in sources if isinstance(each, Comparison) and each.operator in NUMBER_OPERATORS]
    return list(dict.fromkeys(names))


def _empty_number(name: str, domain: Domain) -> CombinationWarning:
    message = (
        f"tvarr fails when it compares {name} as a number and it is empty or not a number, {_consequence(domain)}."
    )
    return CombinationWarning(CombinationCode.EMPTY_NUMBER, message, {"field": name})


def _consequence(domain: Domain) -> str:
    if domain.is_filter:
        return "so the filter does not match"
    if domain.is_mapping:
        return f"so it skips this rule and all later ones for that {domain.row_kind.value.removesuffix('s')}"
    return "so it skips the rule"


def _no_programmes_yet(positions: tuple[int, ...]) -> CombinationWarning:
    message = "tvarr loads programmes after it runs filters and mapping rules, so those of programmes change nothing."
    return CombinationWarning(CombinationCode.NO_PROGRAMMES_YET, message, positions=positions)
