"""The page that tests an expression: problems, warnings, matches, and why a row matches or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods, require_safe

from tvarr_backup.errors import KindUnknown, RowNotFound, TvarrBackupError
from tvarr_backup.expressions import CheckedExpression, Domain, check_expression
from tvarr_backup.expressions.domains import SPELLINGS, RowKind
from tvarr_backup.expressions.explain import Explanation, Verdict
from tvarr_backup.expressions.fields import CATALOGUE_FIELDS, CLIENT_FIELDS, VOCABULARIES
from tvarr_backup.expressions.tree import Connective, Operator, Verb
from tvarr_backup.expressions.values import shown
from tvarr_backup.matches.count import Count, Explained
from tvarr_backup.matches.items import WITH_EXPRESSIONS, item_of_row, slug_of
from tvarr_backup.matches.report import describe_coverage, describe_failure, describe_stop
from tvarr_backup.matches.results import Effect, Stop
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.models import Origin
from tvarr_backup.portable.kinds import kind_named
from tvarr_backup.web.forms import Styled
from tvarr_backup.web.htmx import HtmxRequest
from tvarr_backup.web.matches import (
    EffectView,
    count_for_page,
    describe_not_utf8,
    expression_address,
    limit_of,
    stop_when_left,
)
from tvarr_backup.web.refusals import refuse_on_page

_DOMAINS = {
    Domain.STREAM_FILTER: "Channel filter",
    Domain.EPG_FILTER: "Programme filter",
    Domain.STREAM_MAPPING: "Channel mapping rule",
    Domain.EPG_MAPPING: "Programme mapping rule",
    Domain.CLIENT_DETECTION: "Client detection rule",
}
_INT64 = 2**63
_SHOWN_AROUND = 40
_FINDINGS_AT_MOST = 50
_PARTS_AT_MOST = 300
_DEEPEST = 20


class ExpressionForm(Styled, forms.Form):
    """An expression to test."""

    expression = forms.CharField(
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false", "class": "form-control expression"}),
    )
    domain = forms.TypedChoiceField(
        label="Used as", choices=[(domain.value, label) for domain, label in _DOMAINS.items()], coerce=Domain
    )
    priority = forms.IntegerField(
        required=False,
        min_value=-_INT64,
        max_value=_INT64 - 1,
        help_text="The rule sees what enabled rules with a lower priority wrote.",
    )
    row = forms.CharField(
        required=False,
        max_length=1000,
        label="Explain the result for",
        help_text="The name or id of a channel, a programme or a player.",
    )

    def clean_expression(self) -> str:
        """Undo what browsers do to line breaks."""
        return str(self.cleaned_data["expression"]).replace("\r\n", "\n")

    def clean_priority(self) -> int:
        return self.cleaned_data["priority"] or 0


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
@stop_when_left
def tester(request: HtmxRequest) -> HttpResponse:
    """Show the form, filled in from the query. POST tests the expression, and answers htmx with the results only."""
    actor = Actor(request.user, Origin.WEB)
    actions.prepare_expression_test(actor)
    if request.method != "POST":
        initial = _initial(request)
        context = {"form": ExpressionForm(initial=initial), "names": Vocabulary(initial["domain"])}
        return render(request, "web/expressions.html", context | {"is_filled": bool(initial["expression"])})
    form = ExpressionForm(request.POST)
    tested = _run(request, actor, form.cleaned_data) if form.is_valid() else None
    domain = form.cleaned_data.get("domain") or Domain.STREAM_FILTER
    context = {
        "form": form,
        "tested": tested,
        "names": Vocabulary(domain),
        "has_new_names": request.htmx.trigger_name == "domain",
    }
    return render(request, "web/_expression_tested.html" if request.htmx else "web/expressions.html", context)


@login_required
@require_safe
@refuse_on_page
@stop_when_left
def item_matches(request: HtmxRequest, kind: str, row_id: str) -> HttpResponse:
    """Show what a stored item matches: a page, or for htmx the part that item pages and the admin load."""
    actor = Actor(request.user, Origin.WEB)
    try:
        known = kind_named(kind)
        row = actions.find_item(actor, known, row_id)
    except (KindUnknown, RowNotFound) as problem:
        raise Http404 from problem
    if known.slug not in WITH_EXPRESSIONS:
        raise Http404
    counted = count_for_page(request, lambda limit: actions.count_item_matches(actor, row, limit=limit))
    item = item_of_row(row)
    context = counted | {
        "item": item,
        "kind": known,
        "row_id": row_id,
        "one": known.model._meta.verbose_name,
        "tester": expression_address(item.expression, item.domain, item.priority),
    }
    return render(request, "web/_item_matches.html" if request.htmx else "web/item_matches.html", context)


def _initial(request: HtmxRequest) -> dict[str, Any]:
    query = request.GET
    return {
        "expression": query.get("expression", ""),
        "domain": SPELLINGS.get(query.get("domain", ""), Domain.STREAM_FILTER),
        "priority": query.get("priority", ""),
        "row": query.get("row", ""),
    }


def _run(request: HtmxRequest, actor: Actor, fields: dict[str, Any]) -> TestedView:
    text, domain, priority, row = (fields[name] for name in ("expression", "domain", "priority", "row"))
    check = check_expression(text, domain)
    count: Count | None = None
    explained: Explained | None = None
    problem = row_problem = ""
    if check.valid:
        try:
            count = actions.try_expression(actor, text, domain, priority=priority, limit=limit_of(request))
        except TvarrBackupError as refused:
            problem = refused.sentence.for_page()
    if check.valid and row and not problem:
        try:
            explained = actions.explain_expression(actor, text, domain, row, priority=priority, limit=limit_of(request))
        except TvarrBackupError as refused:
            row_problem = refused.sentence.for_page()
        except PermissionDenied:
            row_problem = str(describe_stop(Stop.DENIED))
    return TestedView(text, domain, check, count, problem, explained, row_problem)


# --- View models -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FindingView:
    """A problem or a warning, with the text around its character."""

    column: int
    message: str
    before: str
    marked: str
    after: str


@dataclass(frozen=True)
class PartView:
    """A part of a condition, with what it gave. `more` members are not listed."""

    part: Explanation
    members: tuple[PartView, ...] = ()
    more: int = 0

    @property
    def verdict(self) -> str:
        return _VERDICTS[self.part.verdict]

    @property
    def text(self) -> str:
        part = self.part
        if part.connective is not None:
            return _CONNECTIVES[part.connective]
        return "Constant" if part.field is None else f'{part.field} {part.operator} "{shown(part.operand or "")}"'

    @property
    def has_value(self) -> bool:
        return self.part.value is not None

    @property
    def value(self) -> str:
        return shown(self.part.value or "")

    @property
    def failure(self) -> str:
        is_group = self.part.connective is not None
        return "" if self.part.error is None or is_group else describe_failure(self.part.error)


_VERDICTS = {
    Verdict.TRUE: "True",
    Verdict.FALSE: "False",
    Verdict.ERROR: "Error",
    Verdict.NOT_REACHED: "Not reached",
}
_CONNECTIVES = {Connective.AND: "All of (AND)", Connective.OR: "Any of (OR)"}


class _Parts:
    """Builds the view of a tree, of which only so many parts are listed."""

    def __init__(self) -> None:
        self._left = _PARTS_AT_MOST

    def build(self, part: Explanation, depth: int = 0) -> PartView:
        members = []
        for member in part.members if depth < _DEEPEST else ():
            if self._left <= 0:
                break
            self._left -= 1
            members.append(self.build(member, depth + 1))
        return PartView(part, tuple(members), len(part.members) - len(members))


@dataclass(frozen=True)
class ExplainedView:
    """Why a row matches or not."""

    explained: Explained

    @property
    def name(self) -> str:
        return shown(self.explained.row.name)

    @property
    def result(self) -> str:
        matches = self.explained.applied.outcome.matches
        return {True: "matches", False: "does not match", None: "fails"}[matches]

    @property
    def tree(self) -> PartView:
        return _Parts().build(self.explained.explanation)

    @property
    def values(self) -> list[tuple[str, str]]:
        return [(column, shown(text)) for column, text in self.explained.values.items()]

    @property
    def changes(self) -> list[tuple[str, str, str]]:
        """What a mapping rule writes: columns with their texts before and after."""
        before = self.explained.values
        after = self.explained.applied.after
        return [(column, shown(before.get(column, "")), shown(text)) for column, text in after.items()]

    @property
    def settings(self) -> list[tuple[str, str]]:
        """What a client detection rule assigns."""
        return list(self.explained.applied.honored.items())


@dataclass(frozen=True)
class TestedView:
    """The results of a test."""

    text: str
    domain: Domain
    check: CheckedExpression
    count: Count | None
    problem: str
    explained: Explained | None
    row_problem: str

    @property
    def is_blank(self) -> bool:
        return not self.text.strip()

    @property
    def summary(self) -> str:
        """One line with the result."""
        if self.is_blank:
            return "Enter an expression."
        if not self.check.valid:
            return "tvarr refuses this expression."
        if self.problem or self.effect is None:
            return "The expression is valid. Its matches could not be counted."
        return f"Matches: {self.effect.result}"

    @property
    def problems(self) -> list[FindingView]:
        return [] if self.is_blank else [self._find(each.column, each.message) for each in self.check.problems]

    @property
    def warnings(self) -> list[FindingView]:
        return [self._find(each.column, each.message) for each in self.check.warnings[:_FINDINGS_AT_MOST]]

    @property
    def more_warnings(self) -> int:
        return len(self.check.warnings) - len(self.warnings)

    def _find(self, column: int, message: str) -> FindingView:
        place = max(column - 1, 0)
        first, last = max(place - _SHOWN_AROUND, 0), place + 1 + _SHOWN_AROUND
        before = ("…" if first else "") + self.text[first:place]
        after = self.text[place + 1 : last] + ("…" if last < len(self.text) else "")
        return FindingView(column, message, before, self.text[place : place + 1], after)

    @property
    def effect(self) -> EffectView | None:
        if self.count is None:
            return None
        effect = Effect(
            "", slug_of(self.domain), "", self.domain, None, self.count.matches, warnings=self.count.warnings
        )
        return EffectView(effect)

    @property
    def coverage(self) -> str:
        return "" if self.count is None else describe_coverage(self.count.coverage)

    @property
    def notes(self) -> Iterator[str]:
        """What restricts the count."""
        if self.count is None:
            return
        if self.count.stop is not None:
            yield describe_stop(self.count.stop)
        if self.count.coverage.not_utf8:
            yield describe_not_utf8(self.count.coverage)

    @property
    def explanation(self) -> ExplainedView | None:
        return None if self.explained is None else ExplainedView(self.explained)


@dataclass(frozen=True)
class FieldRow:
    """A field with its other names. `can_set` says whether a rule of this domain can assign it."""

    name: str
    others: tuple[str, ...]
    type: str
    can_set: bool


@dataclass(frozen=True)
class Vocabulary:
    """The words for expressions of a domain."""

    domain: Domain

    @property
    def label(self) -> str:
        return _DOMAINS[self.domain].lower()

    @property
    def fields(self) -> list[FieldRow]:
        """The fields that have a value or can be assigned."""
        known = VOCABULARIES[self.domain]
        is_request = self.domain.row_kind is RowKind.PLAYERS
        found = []
        for field in CLIENT_FIELDS if is_request else CATALOGUE_FIELDS:
            names = [name for name in field.names if name not in known.empty]
            if names:
                can_set = field.name in known.saved
                found.append(FieldRow(names[0], tuple(names[1:]), field.type.value, can_set))
        return found

    @property
    def others(self) -> list[str]:
        """Names that are not in tvarr's list of fields."""
        known = VOCABULARIES[self.domain]
        headers = ["@dynamic(request.headers):user-agent"] if self.domain is Domain.CLIENT_DETECTION else []
        return [*sorted(name for name in known.unlisted if name not in known.fields), *headers]

    @property
    def operators(self) -> list[str]:
        return [*Operator, "AND", "OR", "NOT"]

    @property
    def verbs(self) -> list[str]:
        return [] if self.domain.is_filter else list(Verb)

    @property
    def has_targets(self) -> bool:
        return bool(self.verbs)
