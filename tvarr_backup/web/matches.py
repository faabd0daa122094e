"""What expressions match: view models, and the parts of pages that load after the page."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial, wraps
from itertools import islice
from typing import Any, ParamSpec
from urllib.parse import urlencode

from django.http import HttpResponse
from django.urls import reverse

from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.expressions import Domain
from tvarr_backup.expressions.domains import RowKind
from tvarr_backup.expressions.limits import EvaluationCanceled, Limit
from tvarr_backup.expressions.values import shown
from tvarr_backup.formatting import format_count
from tvarr_backup.matches.preview import Preview
from tvarr_backup.matches.report import (
    describe_coverage,
    describe_failure,
    describe_stop,
)
from tvarr_backup.matches.results import ChangedRow, Coverage, Effect, Matches, Names, ProxyOutput
from tvarr_backup.portable.kinds import KINDS
from tvarr_backup.web.htmx import HtmxRequest

_P = ParamSpec("_P")

SECONDS = 15
"""Longest time that a page counts."""

_CHANGES_AT_MOST = 5
_MOST_IN_ADDRESS = 3000
"""Characters of a query, because servers refuse longer addresses."""


def limit_of(request: HtmxRequest) -> Limit:
    """Return the limit of a count for a page: its time, and whether the browser still waits for the answer."""
    return Limit(SECONDS, partial(_has_left, request))


def _has_left(request: HtmxRequest) -> bool:
    """Return whether the client has closed its connection. A browser does so when it leaves the page or cancels the request.

    `gunicorn.socket` is the connection, whose request has been read completely. With other servers, the browser counts as waiting.
    """
    connection = request.META.get("gunicorn.socket")
    if not isinstance(connection, socket.socket):
        return False
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def stop_when_left(view: Callable[_P, HttpResponse]) -> Callable[_P, HttpResponse]:
    """Answer 204 for a view that has stopped counting because the browser has left."""

    @wraps(view)
    def answer(*args: _P.args, **kwargs: _P.kwargs) -> HttpResponse:
        try:
            return view(*args, **kwargs)
        except EvaluationCanceled:
            return HttpResponse(status=204)

    return answer


def count_for_page(request: HtmxRequest, count: Callable[[Limit], Preview]) -> dict[str, Any]:
    """Count, and return the context of `_effects.html`. Raises `EvaluationCanceled` if the browser has left."""
    try:
        return {"counted": PreviewView(count(limit_of(request)))}
    except TvarrBackupError as problem:
        return {"problem": problem}


def expression_address(expression: str, domain: Domain, priority: int = 0) -> str:
    """Return the address of the tester with this expression, or "" if it is too long for an address."""
    fields = {"expression": expression, "domain": domain.value, **({"priority": priority} if priority else {})}
    query = urlencode(fields)
    return f"{reverse('expressions')}?{query}" if expression and len(query) <= _MOST_IN_ADDRESS else ""


# --- View models -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NamesView:
    """Names of rows, of which the first are listed. `label` says what they are."""

    label: str
    names: Names

    @property
    def count(self) -> str:
        return f"{self.names.count:,}"

    @property
    def listed(self) -> list[str]:
        return [shown(row.name) for row in self.names.sample]

    @property
    def more(self) -> str:
        """How many names are not listed, or ""."""
        return _more(self.names.count - len(self.names.sample))


@dataclass(frozen=True)
class ChangedRowView:
    """A row that a mapping rule changes, with its values before and after."""

    row: ChangedRow

    @property
    def name(self) -> str:
        return shown(self.row.row.name)

    @property
    def values(self) -> list[tuple[str, str, str]]:
        return [(each.column, shown(each.before), shown(each.after)) for each in self.row.changes]


@dataclass(frozen=True)
class EffectView:
    """What one item matches, before and after."""

    effect: Effect

    @property
    def row_kind(self) -> RowKind:
        return self.effect.domain.row_kind

    @property
    def name(self) -> str:
        return self.effect.name

    @property
    def kind(self) -> str:
        return str(KINDS[self.effect.slug].model._meta.verbose_name)

    @property
    def result(self) -> str:
        """Such as "12 of 30,000 channels"; why there is no count otherwise."""
        return _result(self.effect.current, self.row_kind)

    @property
    def before(self) -> str:
        """The result before the change, or "" for a new item."""
        before = self.effect.before
        return "" if before is None or self.effect.after is None else _result(before, self.row_kind)

    @property
    def is_removed(self) -> bool:
        return self.effect.after is None

    @property
    def tester(self) -> str:
        """The address of the tester with the expression, or "" (see `expression_address`)."""
        effect = self.effect
        return expression_address(effect.expression, effect.domain, effect.priority)

    @property
    def warnings(self) -> Iterator[str]:
        yield from (warning.message for warning in self.effect.warnings)
        for failure in self.effect.current.failures:
            name = shown(failure.example.name)
            yield f"{describe_failure(failure.code)} It fails for {failure.count:,}, such as {name}."

    @property
    def changed(self) -> str:
        """How many rows a mapping rule changes, or ""."""
        changed = self.effect.current.changed
        return f"Changes {format_count(changed, self.row_kind.value.removesuffix('s'))}" if changed else ""

    @property
    def changes(self) -> list[ChangedRowView]:
        return [ChangedRowView(row) for row in islice(self.effect.current.changes, _CHANGES_AT_MOST)]

    @property
    def more_changes(self) -> str:
        """How many changed rows are not listed, or ""."""
        return _more(self.effect.current.changed - len(self.changes))

    @property
    def samples(self) -> list[NamesView]:
        """What is added and removed by a change, or what a new item matches."""
        if self.effect.before is None or self.effect.after is None:
            found = [NamesView("Matches", self.effect.current.matched)]
        else:
            found = [
                NamesView("Also matches", self.effect.added),
                NamesView("No longer matches", self.effect.removed),
            ]
        return [names for names in found if names.names.count]


@dataclass(frozen=True)
class OutputView:
    """The channels in a proxy's list before and after."""

    output: ProxyOutput

    @property
    def name(self) -> str:
        return self.output.name

    @property
    def before(self) -> str:
        return _channels(self.output.before, self.output.refused_before)

    @property
    def after(self) -> str:
        return _channels(self.output.after, self.output.refused_after)

    @property
    def warnings(self) -> list[str]:
        found: list[str] = [warning.message for warning in self.output.warnings]
        if self.output.after == 0 and self.output.channels:
            found.append("Its list would be empty.")
        return found

    @property
    def samples(self) -> list[NamesView]:
        found = [NamesView("Added", self.output.added), NamesView("Removed", self.output.removed)]
        return [names for names in found if names.names.count]


@dataclass(frozen=True)
class PreviewView:
    """The counts of several items."""

    preview: Preview

    @property
    def effects(self) -> list[EffectView]:
        return [EffectView(effect) for effect in self.preview.effects]

    @property
    def summary(self) -> str:
        """Such as "12 expressions, 1 warning"."""
        warnings = sum(len(list(effect.warnings)) for effect in self.effects)
        warnings += sum(len(output.warnings) for output in self.outputs)
        return f"{format_count(len(self.effects), 'expression')}, {format_count(warnings, 'warning')}"

    @property
    def has_before(self) -> bool:
        return any(effect.before for effect in self.effects)

    @property
    def outputs(self) -> list[OutputView]:
        return [OutputView(output) for output in self.preview.proxies]

    @property
    def coverage(self) -> str:
        """The rows that were tried: "30,000 channels, 20 players"."""
        return ", ".join(describe_coverage(coverage) for coverage in self.preview.coverage)

    @property
    def notes(self) -> Iterator[str]:
        """What restricts the counts."""
        preview = self.preview
        if preview.stop is not None:
            yield describe_stop(preview.stop)
        if preview.refused_after:
            yield (
                f'tvarr would refuse the mapping rule "{shown(preview.refused_after)}", and then it runs no mapping rule. '
                "The counts are for channels without mapping."
            )
        yield from (warning.message for warning in preview.rule_warnings)
        if preview.uncounted:
            yield f"{format_count(preview.uncounted, 'more item')} were not counted."
        for coverage in preview.coverage:
            if coverage.not_utf8:
                yield describe_not_utf8(coverage)


def _more(count: int) -> str:
    return f"{count:,} more" if count else ""


def describe_not_utf8(coverage: Coverage) -> str:
    return f"{coverage.not_utf8:,} {coverage.row_kind.value} have a text that is not UTF-8."


def _result(matches: Matches, row_kind: RowKind) -> str:
    if matches.problem is not None:
        return f"tvarr refuses it: {matches.problem.message}"
    if matches.is_blank:
        return "Blank, so tvarr skips it"
    if not matches.is_counted and matches.stop is not None:
        return describe_stop(matches.stop)
    return f"{matches.matched.count:,} of {matches.evaluated:,} {row_kind.value}"


def _channels(count: int | None, refused: str) -> str:
    return f'No list, because tvarr refuses "{shown(refused)}"' if count is None else f"{count:,}"
