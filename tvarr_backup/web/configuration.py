"""The Configuration pages: the history, comparisons of two states, and items that are taken back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.text import capfirst
from django.views.decorators.http import require_POST, require_safe

from tvarr_backup.backups.catalogue import read_folder
from tvarr_backup.errors import EventNotFound, KindUnknown, StateUnread, TvarrBackupError
from tvarr_backup.formatting import format_time
from tvarr_backup.matches.items import WITH_EXPRESSIONS
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.disk import backup_folder
from tvarr_backup.operations.history import (
    changes_of,
    complete_since,
    count_changes,
    item_of,
    split_renamed,
    used_bytes,
)
from tvarr_backup.operations.history_report import describe_event
from tvarr_backup.operations.models import HistoryEventKind, Origin
from tvarr_backup.operations.states import NOW, NamedState
from tvarr_backup.portable.kinds import KINDS, Kind, kind_named
from tvarr_backup.portable.states import ChangeType, Comparison, ItemChange, StateItem, compare_states
from tvarr_backup.web.differences import mark_differences
from tvarr_backup.web.htmx import HtmxRequest
from tvarr_backup.web.labels import NAMED_AT_MOST, describe_counts, format_made, summarize_changes
from tvarr_backup.web.matches import count_for_page, stop_when_left
from tvarr_backup.web.operations import lead_to
from tvarr_backup.web.refusals import refuse_on_page, status_of

_EVENTS_ON_A_PAGE = 25
_MOST_LISTED = 500
"""Items that a comparison lists for each kind."""
_MOST_OFFERED = 50
"""Backups that a comparison offers."""
_CHANGES = {ChangeType.ADDED: "Added", ChangeType.REMOVED: "Removed", ChangeType.CHANGED: "Changed"}


def _actor(request: HttpRequest) -> Actor:
    return Actor(request.user, Origin.WEB)


@dataclass(frozen=True)
class FieldLine:
    """A member with its values before and after, as HTML that marks differences."""

    field: str
    before: str
    after: str


@dataclass(frozen=True)
class ChangeRow:
    """View model of a change. `key` names the item if it can be taken, else it is empty."""

    change: ItemChange
    key: str = ""

    @property
    def label(self) -> str:
        return _CHANGES[self.change.type]

    @property
    def name(self) -> str:
        return self.change.item.name

    @property
    def source_type(self) -> str:
        return self.change.item.identity.source_type

    @property
    def lines(self) -> list[FieldLine]:
        return list(field_lines(self.change))

    @property
    def history(self) -> str:
        """The page with the item's history, or "" if the item is from a file or a state without rows."""
        item = self.change.item
        return reverse("item-history", args=[item.kind.url_slug, item.row_id]) if item.row_id else ""


def field_lines(change: ItemChange) -> Iterator[FieldLine]:
    """Yield the members that differ. Those of an item that only one state has are not marked."""
    for field in change.fields:
        if change.type is ChangeType.CHANGED:
            yield FieldLine(field.field, *mark_differences(field.before, field.after))
        elif field.before or field.after:
            before, after = (mark_differences(value, value)[0] for value in (field.before, field.after))
            yield FieldLine(field.field, before, after)


@dataclass(frozen=True)
class KindSection:
    """The changes of one kind, of which the first ones are listed."""

    kind: Kind
    rows: list[ChangeRow]
    number: int

    @property
    def title(self) -> str:
        return str(capfirst(self.kind.label))

    @property
    def more(self) -> int:
        return self.number - len(self.rows)


def _sections(changes: Iterable[ItemChange], takes: str) -> list[KindSection]:
    """Group changes by kind. Items that exist `before` or `after` can be taken, or none if `takes` is empty."""
    by_kind: dict[str, list[ItemChange]] = {}
    for change in changes:
        by_kind.setdefault(change.item.kind.slug, []).append(change)
    return [
        KindSection(kind, [_row(change, takes) for change in found[:_MOST_LISTED]], len(found))
        for kind in KINDS.values()
        if (found := by_kind.get(kind.slug))
    ]


def _row(change: ItemChange, takes: str) -> ChangeRow:
    taken: StateItem | None = getattr(change, takes) if takes else None
    return ChangeRow(change, taken.key if taken else "")


# --- History ----------------------------------------------------------------------------------------------------------


@login_required
@require_safe
@refuse_on_page
def configuration(request: HttpRequest) -> HttpResponse:
    """Show the history of the configuration, newest first."""
    events = actions.find_events(_actor(request))
    page = Paginator(events, _EVENTS_ON_A_PAGE).get_page(request.GET.get("page"))
    counts = count_changes([event for event in page if event.kind != HistoryEventKind.BASELINE], NAMED_AT_MOST)
    rows = [
        {"event": event, "title": describe_event(event), "changes": describe_counts(counts.get(event.pk, ()))}
        for event in page
    ]
    context = {
        "page": page,
        "rows": rows,
        "used": used_bytes(),
        "days": settings.HISTORY_DAYS,
        "offered": _offered_states(),
        "a_day_ago": _a_day_ago(),
    }
    return render(request, "web/configuration.html", context)


def _a_day_ago() -> str:
    """Return the time a day ago, or the earliest one whose state is known, as the name of a state."""
    wanted = max(datetime.now(UTC) - timedelta(days=1), complete_since() or datetime.now(UTC))
    return f"{wanted.astimezone() + timedelta(seconds=1):%Y-%m-%dT%H:%M:%S}"


@login_required
@require_safe
@refuse_on_page
def event(request: HttpRequest, number: int) -> HttpResponse:
    """Show what an event changed."""
    found = _find(lambda: actions.find_event(_actor(request), number))
    is_baseline = found.kind == HistoryEventKind.BASELINE
    changes = [] if is_baseline else list(split_renamed(changes_of([found])[found.pk]))
    since = complete_since()
    can_take = not is_baseline and since is not None and since < found.at
    context = {
        "event": found,
        "title": describe_event(found),
        "is_baseline": is_baseline,
        "has_expressions": _has_expressions(changes),
        "sections": _sections(changes, "before" if can_take else ""),
        "source": as_name(found.at - timedelta(microseconds=1)),
        "can_undo": can_take and any(change.before is not None for change in changes),
        "has_added": any(change.before is None for change in changes),
        "is_import": found.kind in (HistoryEventKind.IMPORT, HistoryEventKind.UNDO),
    }
    return render(request, "web/configuration_event.html", context)


@login_required
@require_safe
@refuse_on_page
@stop_when_left
def event_matches(request: HtmxRequest, number: int) -> HttpResponse:
    """Count what the expressions match that an event changed."""
    found = _find(lambda: actions.find_event(_actor(request), number))
    changes = () if found.kind == HistoryEventKind.BASELINE else changes_of([found])[found.pk]
    by_kind = {slug: tuple(each for each in changes if each.item.kind.slug is slug) for slug in WITH_EXPRESSIONS}
    return _count(request, Comparison(by_kind), reverse("history-event", args=[number]), "Back to the event")


@login_required
@require_safe
@refuse_on_page
def item(request: HttpRequest, kind: str, row_id: str) -> HttpResponse:
    """Show the versions of an item, newest first."""
    try:
        known = kind_named(kind)
    except KindUnknown as problem:
        raise Http404 from problem
    versions = _find(lambda: actions.find_versions(_actor(request), known, row_id))
    changes = {
        key: next((one for one in found if one.item.kind is known and one.item.row_id == row_id), None)
        for key, found in changes_of(version.event for version in versions).items()
    }
    current = versions[0]
    rows = [
        {
            "event": version.event,
            "title": describe_event(version.event),
            "row": ChangeRow(change, "") if (change := changes.get(version.event_id)) else None,
            "key": item_of(version).key if version.content_id and version is not current else "",
            "source": as_name(version.event.at),
        }
        for version in versions
    ]
    context = {
        "kind": known,
        "one": known.model._meta.verbose_name,
        "name": next((version.name for version in versions if version.content_id), current.name),
        "row_id": row_id,
        "is_deleted": current.content_id is None,
        "has_matches": current.content_id is not None and known.slug in WITH_EXPRESSIONS,
        "rows": rows,
    }
    return render(request, "web/configuration_item.html", context)


def _find(find: Any) -> Any:
    try:
        return find()
    except EventNotFound as problem:
        raise Http404 from problem


def as_name(moment: datetime) -> str:
    """Return a time as the name of a state."""
    return moment.isoformat().replace("+00:00", "Z")


# --- Comparisons ------------------------------------------------------------------------------------------------------


@login_required
@require_safe
@refuse_on_page
def compare(request: HttpRequest) -> HttpResponse:
    """Compare two states. Items can be taken from the later one, or from the earlier one if the later one is now."""
    names = _compared_names(request)
    context: dict[str, Any] = {"from_name": names["from"], "to_name": names["to"], "offered": _offered_states()}
    states = []
    for field, name in names.items():
        try:
            states.append(actions.read_state(_actor(request), name))
        except TvarrBackupError as problem:
            context |= {"problem": problem.sentence.for_page(), "field": field}
            if isinstance(problem, StateUnread):
                context["unread"] = problem.filename
            return render(request, "web/configuration_compare.html", context, status=status_of(problem))
    before, after = states
    found = compare_states(before.state, after.state)
    takes = "before" if after.is_now else "after"
    source = before if after.is_now else after
    context |= {
        "before": state_label(before),
        "after": state_label(after),
        "summary": summarize_changes(found),
        "sections": _sections(found, "" if source.is_now else takes),
        "is_compared": True,
        "has_expressions": _has_expressions(found),
        "counts_address": f"{reverse('compare-matches')}?{urlencode(names)}",
        "source": source.name,
        "source_label": state_label(source),
        "warnings": [*before.state.warnings, *after.state.warnings],
    }
    return render(request, "web/configuration_compare.html", context)


@login_required
@require_safe
@refuse_on_page
@stop_when_left
def compare_matches(request: HtmxRequest) -> HttpResponse:
    """Count what the expressions that differ between two states match."""
    names = _compared_names(request)
    before, after = (actions.read_state(_actor(request), name) for name in names.values())
    back = f"{reverse('compare')}?{urlencode(names)}"
    return _count(request, compare_states(before.state, after.state), back, "Back to the comparison")


def _compared_names(request: HttpRequest) -> dict[str, str]:
    return {each: request.GET.get(each, "").strip() or NOW for each in ("from", "to")}


def _has_expressions(changes: Iterable[ItemChange]) -> bool:
    return any(change.item.kind.slug in WITH_EXPRESSIONS for change in changes)


def _count(request: HtmxRequest, found: Comparison, back: str, back_label: str) -> HttpResponse:
    """Count what expressions match before and after changes: a page, or for htmx the part that a page loads."""
    context = count_for_page(request, lambda limit: actions.compare_matches(_actor(request), found, limit=limit))
    context |= {"back": back, "back_label": back_label}
    return render(request, "web/_effects.html" if request.htmx else "web/configuration_matches.html", context)


def state_label(named: NamedState) -> str:
    """Return a state for a sentence, such as "the backup of 2 Nov 2026, 02:00"."""
    if named.is_now:
        return NOW
    if named.backup is not None:
        return f"the backup of {format_made(named.backup.sidecar)}"
    return f"the state of {format_time(named.at)}" if named.at else named.name


def _offered_states() -> list[tuple[str, str]]:
    """Return the names and labels of states to compare: now, and the newest backups."""
    offered = [(NOW, "Now")]
    try:
        backups = read_folder(backup_folder()).backups
    except TvarrBackupError:
        return offered
    return offered + [(one.filename, f"Backup of {format_made(one.sidecar)}") for one in backups[:_MOST_OFFERED]]


@login_required
@require_POST
@refuse_on_page
def read_backup(request: HttpRequest, filename: str) -> HttpResponse:
    """Start to read the configuration of a backup."""
    back = f"{reverse('compare')}?from={NOW}&to={filename}"
    return lead_to(request, lambda: actions.request_reading(_actor(request), filename), back)


@login_required
@require_POST
@refuse_on_page
def take(request: HttpRequest) -> HttpResponse:
    """Store the selected items of a state as an import, and redirect to its preview."""
    actor, keys = _actor(request), request.POST.getlist("item")
    actions.prepare_import(actor)
    if not keys:
        messages.error(request, "Select at least one item.")
        return HttpResponseRedirect(_back_to(request.POST))
    named = actions.read_state(actor, request.POST.get("source", ""))
    record = actions.preview_taking(
        actor, actions.take_items(actor, named.state, keys), file_name=capfirst(state_label(named).removeprefix("the "))
    )
    return HttpResponseRedirect(reverse("import-preview", args=[record.pk]))


def _back_to(form: Mapping[str, str]) -> str:
    """Return the page that the form was on. Only our own pages are accepted."""
    back = form.get("back", "")
    here = reverse("configuration")
    return back if back.startswith(here) else here
