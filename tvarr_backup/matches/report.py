"""Counts as JSON data and as sentences. Texts that are not UTF-8 have replacement characters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tvarr_backup.errors import ExpressionTooLarge
from tvarr_backup.expressions.combination_warnings import CombinationWarning
from tvarr_backup.expressions.explain import Explanation
from tvarr_backup.expressions.failures import FailureCode
from tvarr_backup.expressions.values import shown
from tvarr_backup.matches.count import Count, Explained
from tvarr_backup.matches.preview import Preview
from tvarr_backup.matches.results import Coverage, Effect, Matches, NamedRow, Names, ProxyOutput, Stop, ValueChange
from tvarr_backup.sentences import Sentence

_STOPS = {
    Stop.TIME: "The time was used up. The count covers only the first rows.",
    Stop.TOO_LARGE: str(ExpressionTooLarge()),
    Stop.DENIED: "The expression reads addresses of streams, which contain credentials. Testing it requires the right to "
    "download backups.",
}
_FAILURES = {
    FailureCode.NOT_A_NUMBER: "A value that is compared as a number is not a number.",
    FailureCode.OUT_OF_RANGE: "A number is too large.",
    FailureCode.BAD_REGEX: "tvarr cannot use the regular expression.",
    FailureCode.TIME_HELPER: "tvarr only knows @time:now.",
    FailureCode.NO_REQUEST: "Only client detection rules can use parts of a request.",
}


def describe_stop(stop: Stop) -> Sentence:
    return Sentence(_STOPS[stop])


def describe_failure(code: FailureCode) -> Sentence:
    return Sentence(_FAILURES[code])


def describe_coverage(coverage: Coverage) -> Sentence:
    """Return which rows were evaluated, such as "30,000 channels"."""
    facts = {"count": f"{coverage.evaluated:,}", "subject": coverage.row_kind.value}
    if coverage.is_sampled:
        return Sentence(
            "{count} sampled {subject} of {all}: those whose id ends below {ending}",
            **facts,
            all=f"{coverage.in_database:,}",
            ending=coverage.ending,
        )
    return Sentence("{count} {subject}", **facts)


# --- Data ------------------------------------------------------------------------------------------------------------


def count_as_data(count: Count) -> dict[str, Any]:
    return {
        "rows": coverage_as_data(count.coverage),
        **matches_as_data(count.matches),
        "hints": _hints(count.warnings),
    }


def preview_as_data(preview: Preview) -> dict[str, Any]:
    return {
        "rows": [coverage_as_data(coverage) for coverage in preview.coverage],
        "items": [effect_as_data(effect) for effect in preview.effects],
        "proxies": [_proxy(output) for output in preview.proxies],
        "stop": _stop(preview.stop),
        "refused_rule_before": preview.refused_before or None,
        "refused_rule_after": preview.refused_after or None,
        "uncounted": preview.uncounted,
        "hints": _hints(preview.rule_warnings),
    }


def effect_as_data(effect: Effect) -> dict[str, Any]:
    return {
        "kind": effect.slug.value,
        "key": effect.key,
        "name": effect.name,
        "domain": effect.domain.value,
        "before": None if effect.before is None else matches_as_data(effect.before),
        "after": None if effect.after is None else matches_as_data(effect.after),
        "added": _names(effect.added),
        "removed": _names(effect.removed),
        "hints": _hints(effect.warnings),
    }


def coverage_as_data(coverage: Coverage) -> dict[str, Any]:
    return {
        "subject": coverage.row_kind.value,
        "in_database": coverage.in_database,
        "evaluated": coverage.evaluated,
        "ids_end_below": coverage.ending or None,
        "not_utf8": coverage.not_utf8,
    }


def matches_as_data(matches: Matches) -> dict[str, Any]:
    problem = matches.problem
    return {
        "evaluated": matches.evaluated,
        "matched": matches.matched.count,
        "failed": matches.failed,
        "changed": matches.changed,
        "sample": [_row(row) for row in matches.matched.sample],
        "changes": [{**_row(each.row), "values": [_value(one) for one in each.changes]} for each in matches.changes],
        "failures": [
            {
                "code": failure.code.value,
                "message": describe_failure(failure.code),
                "count": failure.count,
                "example": _row(failure.example),
            }
            for failure in matches.failures
        ],
        "problem": problem and {"code": problem.code.value, "column": problem.column, "message": problem.message},
        "is_blank": matches.is_blank,
        "stop": _stop(matches.stop),
    }


def explained_as_data(explained: Explained) -> dict[str, Any]:
    return {
        "row": _row(explained.row),
        "values": {column: shown(text) for column, text in explained.values.items()},
        "matches": explained.applied.outcome.matches,
        "tree": _tree(explained.explanation),
        "changes": [
            {"column": column, "before": shown(explained.values.get(column, "")), "after": shown(text)}
            for column, text in explained.applied.after.items()
        ],
        "settings": dict(explained.applied.honored),
        "error": explained.applied.outcome.error and explained.applied.outcome.error.value,
    }


def _tree(part: Explanation) -> dict[str, Any]:
    found: dict[str, Any] = {"verdict": part.verdict.value, "error": part.error and part.error.value}
    if part.connective is not None:
        return found | {"connective": part.connective.value, "members": [_tree(member) for member in part.members]}
    if part.field is None:
        return found
    return found | {
        "field": part.field,
        "column": part.position,
        "operator": part.operator,
        "operand": part.operand,
        "value": None if part.value is None else shown(part.value),
    }


def _row(row: NamedRow) -> dict[str, str]:
    return {"id": row.row_id, "name": shown(row.name)}


def _names(names: Names) -> dict[str, Any]:
    return {"count": names.count, "sample": [_row(row) for row in names.sample]}


def _value(change: ValueChange) -> dict[str, str]:
    return {"column": change.column, "before": shown(change.before), "after": shown(change.after)}


def _hints(warnings: Iterable[CombinationWarning]) -> list[dict[str, Any]]:
    return [{"code": each.code.value, "message": each.message, "facts": dict(each.facts)} for each in warnings]


def _stop(stop: Stop | None) -> dict[str, str] | None:
    return None if stop is None else {"code": stop.value, "message": describe_stop(stop)}


def _proxy(output: ProxyOutput) -> dict[str, Any]:
    return {
        "id": output.proxy_id,
        "name": output.name,
        "channels": output.channels,
        "before": output.before,
        "after": output.after,
        "added": _names(output.added),
        "removed": _names(output.removed),
        "refused_filter_before": output.refused_before or None,
        "refused_filter_after": output.refused_after or None,
        "has_sources": output.has_sources,
        "hints": _hints(output.warnings),
    }


# --- Lines of a terminal ---------------------------------------------------------------------------------------------


def describe_count(count: Count) -> Iterator[str]:
    """Yield lines about a count."""
    matches, coverage = count.matches, count.coverage
    if matches.is_blank:
        yield "The expression is blank, so tvarr skips it."
    if matches.stop is not None:
        yield describe_stop(matches.stop)
    if not matches.is_counted:
        return
    changed = f", and changes {matches.changed:,}" if matches.changed else ""
    yield f"Matches {matches.matched.count:,} of {describe_coverage(coverage)}{changed}."
    yield from describe_samples(matches)
    for warning in count.warnings:
        yield f"Warning ({warning.code.value}): {warning.message}"
    if coverage.not_utf8:
        yield f"{coverage.not_utf8:,} {coverage.row_kind.value} have a text that is not UTF-8."


def describe_samples(matches: Matches) -> Iterator[str]:
    """Yield indented lines with the sample and the failures."""
    if matches.changes:
        for each in matches.changes:
            values = ", ".join(f'{one.column} "{shown(one.before)}" -> "{shown(one.after)}"' for one in each.changes)
            yield f"    {shown(each.row.name)}: {values}"
        more = matches.changed - len(matches.changes)
    else:
        for row in matches.matched.sample:
            yield f"    {shown(row.name)}"
        more = matches.matched.count - len(matches.matched.sample)
    if more:
        yield f"    and {more:,} more"
    for failure in matches.failures:
        yield (
            f"Fails for {failure.count:,} ({failure.code.value}), such as {shown(failure.example.name)}: "
            f"{describe_failure(failure.code)}"
        )


def describe_explained(explained: Explained) -> Iterator[str]:
    """Yield lines with the tree of a condition for one row."""
    outcome = explained.applied.outcome
    result = {True: "matches", False: "does not match", None: "fails"}[outcome.matches]
    yield f"{shown(explained.row.name)} ({explained.row.row_id}): {result}"
    yield from _describe_part(explained.explanation, "    ")
    for column, text in explained.applied.after.items():
        yield f'    {column} "{shown(explained.values.get(column, ""))}" -> "{shown(text)}"'
    for column, text in explained.applied.honored.items():
        yield f'    {column} = "{text}"'
    if outcome.error is not None:
        yield f"    {describe_failure(outcome.error)}"


def _describe_part(part: Explanation, indent: str) -> Iterator[str]:
    verdict = part.verdict.value.replace("_", " ")
    if part.connective is not None:
        yield f"{indent}{verdict}: {part.connective.value}"
        for member in part.members:
            yield from _describe_part(member, f"{indent}    ")
    elif part.field is None:
        yield f"{indent}{verdict}"
    else:
        value = "" if part.value is None else f', and {part.field} is "{shown(part.value)}"'
        yield f'{indent}{verdict}: {part.field} {part.operator} "{part.operand}"{value}'


def describe_effect(effect: Effect) -> Iterator[str]:
    """Yield indented lines about an item of a preview."""
    matches = effect.current
    if matches.problem is not None:
        yield f"    matches: refused at column {matches.problem.column}: {matches.problem.message}"
        return
    if matches.stop is not None:
        yield f"    matches: {describe_stop(matches.stop)}"
    if matches.is_blank:
        yield "    matches: The expression is blank, so tvarr skips it."
    if not matches.is_counted:
        return
    before = "" if effect.before is None or effect.after is None else f", {effect.before.matched.count:,} before"
    changed = f", changes {matches.changed:,}" if matches.changed else ""
    yield (
        f"    matches: {matches.matched.count:,} of {matches.evaluated:,} {effect.domain.row_kind.value}"
        f"{before}{changed}"
    )
    for sign, names in (("+", effect.added), ("-", effect.removed)):
        for row in names.sample[:5]:
            yield f"        {sign} {shown(row.name)}"
    for warning in effect.warnings:
        yield f"    warning: {warning.message}"


def describe_outputs(preview: Preview) -> Iterator[str]:
    """Yield a line for each proxy whose list would change."""
    for output in preview.proxies:
        sides = ["no list" if side is None else f"{side:,}" for side in (output.before, output.after)]
        yield f"proxy {output.name}: {sides[1]} of {output.channels:,} channels, {sides[0]} before"
        for warning in output.warnings:
            yield f"    warning: {warning.message}"
    for warning in preview.rule_warnings:
        yield f"warning: {warning.message}"
