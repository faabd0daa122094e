"""The Export page: select items of all kinds, preview them, and download them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required, permission_required
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from tvarr_backup.errors import DatabaseUnusable, KindUnknown, TvarrBackupError
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.models import Origin
from tvarr_backup.portable.envelope import BUNDLE
from tvarr_backup.portable.export import (
    TVARR_MAX_BYTES,
    Export,
    Exportable,
    ExportableRow,
    count_exportable,
    list_exportable,
)
from tvarr_backup.portable.export_findings import ExportFinding
from tvarr_backup.portable.kinds import KINDS, Kind, Slug, kind_named
from tvarr_backup.transfer.exports import bundle_response, export_response, files_response
from tvarr_backup.web.htmx import HtmxRequest
from tvarr_backup.web.refusals import refuse_on_page

_PREVIEW_CHARACTERS = 200_000
_MOST_ITEMS_TO_CHECK = 100

Selection = Mapping[Kind, list[str] | None]
"""The selected ids of each kind, or None for all of its items. Kinds without a selection are left out."""


@dataclass(frozen=True)
class Section:
    """A kind on the page. `needs` counts the selected rows by the item that they need and the file does not contain.

    `is_whole`: all items are selected. `rows` has each row and whether it is selected, or is None if they are not listed.
    `refusal` says why the kind cannot be exported.
    """

    exportable: Exportable
    needs: list[tuple[str, int]]
    is_whole: bool = True
    rows: list[tuple[ExportableRow, bool]] | None = None
    refusal: str = ""

    @property
    def kind(self) -> Kind:
        return self.exportable.kind

    @property
    def slug(self) -> str:
        return self.kind.url_slug

    @property
    def one(self) -> str:
        return str(self.kind.model._meta.verbose_name)

    @property
    def needed_kind(self) -> str:
        return str(self.kind.reference.target) if self.kind.reference else ""


def _section(kind: Kind, *, is_whole: bool = True) -> Section:
    try:
        exportable = count_exportable(kind)
    except DatabaseUnusable as problem:
        return Section(Exportable(kind, 0, {}, []), [], refusal=str(problem))
    return Section(exportable, sorted(exportable.needs.items()), is_whole=is_whole)


def _open_section(kind: Kind, selected: list[str] | None = None) -> Section:
    """Return the section with its rows. Without `selected`, all are selected."""
    section = _section(kind, is_whole=selected is None)
    if section.refusal:
        return section
    wanted = None if selected is None else set(selected)
    rows = [(row, wanted is None or row.row_id in wanted) for row in list_exportable(kind)]
    needs = Counter(row.needs for row, is_selected in rows if row.needs and is_selected)
    return replace(section, needs=sorted(needs.items()), rows=rows)


@login_required
@permission_required(actions.EXPORT, raise_exception=True)
@require_GET
@refuse_on_page
def page(request: HtmxRequest) -> HttpResponse:
    """Show the kinds, with all items selected. Opened kinds show their rows."""
    try:
        opened = [kind_named(slug) for slug in request.GET.getlist("open")]
    except KindUnknown as problem:
        raise Http404 from problem
    if opened and (request.htmx.target or "").startswith("rows-"):
        return render(request, "web/_export_rows.html", {"section": _open_section(opened[0])})
    return _page(request, [_open_section(kind) if kind in opened else _section(kind) for kind in KINDS.values()])


def _page(
    request: HtmxRequest, sections: list[Section], problem: str = "", preview: Mapping[str, Any] | None = None
) -> HttpResponse:
    """Render the page with a preview, or with the reason why the selection could not be exported."""
    context = {
        "sections": sections,
        "problem": problem,
        "total": sum(section.exportable.number for section in sections),
        "opened": [section.slug for section in sections if section.rows is not None],
        "is_bundle": request.POST.get("as", BUNDLE) == BUNDLE,
        "with_profiles": "with-profiles" in request.POST or request.method != "POST",
    }
    return render(request, "web/export.html", context | dict(preview or {}))


def _of_a_selection(
    view: Callable[[HtmxRequest, Actor, Selection], HttpResponseBase],
) -> Callable[[HtmxRequest], HttpResponseBase]:
    """Decorate a view for a POST of a selection, and show its errors."""

    @wraps(view)
    def answer(request: HtmxRequest) -> HttpResponseBase:
        selection = _read_selection(request)
        try:
            return view(request, Actor(request.user, Origin.WEB), selection)
        except TvarrBackupError as problem:
            if _is_fragment(request):  # htmx ignores answers with an error status
                return render(request, "web/_export_preview.html", {"problem": str(problem)})
            return _page(request, _selected_sections(selection), str(problem))

    return login_required(require_POST(answer))


def _read_selection(request: HtmxRequest) -> Selection:
    """Return the selection of a form: `all` has kinds, and `ids-KIND` has ids of a kind."""
    whole = set(request.POST.getlist("all"))
    ids = {kind: request.POST.getlist(f"ids-{kind.url_slug}") for kind in KINDS.values()}
    return {kind: None if kind.url_slug in whole else ids[kind] for kind in ids if kind.url_slug in whole or ids[kind]}


def _selected_sections(selection: Selection) -> list[Section]:
    return [
        _section(kind, is_whole=kind in selection)
        if selection.get(kind) is None
        else _open_section(kind, selection[kind])
        for kind in KINDS.values()
    ]


@_of_a_selection
def download(request: HtmxRequest, actor: Actor, selection: Selection) -> HttpResponseBase:
    if _is_bundle(request, selection):
        with_profiles = "with-profiles" in request.POST
        return bundle_response(actions.export_bundle(actor, selection, with_profiles=with_profiles))
    exports = actions.export_selection(actor, selection)
    return export_response(*exports[0]) if _is_one_file(request) and len(exports) == 1 else files_response(exports)


@_of_a_selection
def preview(request: HtmxRequest, actor: Actor, selection: Selection) -> HttpResponseBase:
    """Show the items to check and the files, or the beginnings of large ones, below the form or as a part of the page.

    `leave-out` has the ids of items that the user no longer selects, or "all" for all items to check.
    """
    exports = _start_exports(request, actor, selection)
    if left_out := set(request.POST.getlist("leave-out")):
        if "all" in left_out:
            left_out = {finding.row_id for export in exports.values() for finding in export.check_rows()}
        selection = _without(selection, left_out)
        exports = _start_exports(request, actor, selection)
    items = _list_items_to_check(exports.values(), selection)
    context = {
        "items": items[:_MOST_ITEMS_TO_CHECK],
        "more_items": len(items[_MOST_ITEMS_TO_CHECK:]),
        "can_leave_out_all": sum(item.is_selected for item in items) > 1,
        "files": [_preview_file(request, kind, export) for kind, export in exports.items()],
    }
    if _is_fragment(request):
        return render(request, "web/_export_preview.html", context)
    return _page(request, _selected_sections(selection), preview=context)


def _start_exports(request: HtmxRequest, actor: Actor, selection: Selection) -> dict[Kind | None, Export]:
    """Return the export of each kind, or that of a bundle for None."""
    if _is_bundle(request, selection):
        return {None: actions.export_bundle(actor, selection, with_profiles="with-profiles" in request.POST)}
    return dict(actions.export_selection(actor, selection))


def _without(selection: Selection, row_ids: set[str]) -> Selection:
    """Return a selection without these rows. A kind that has them is no longer selected as a whole."""
    remaining: dict[Kind, list[str] | None] = {}
    for kind, ids in selection.items():
        listed = [row.row_id for row in list_exportable(kind)] if ids is None else ids
        kept = [row_id for row_id in listed if row_id not in row_ids]
        if kept:
            remaining[kind] = kept if ids is not None or len(kept) < len(listed) else None
    return remaining


@dataclass(frozen=True)
class ItemToCheck:
    """An item with findings. It can be left out if it is selected, and not only added because a rule uses it."""

    label: str
    row_id: str
    messages: Sequence[str]
    is_selected: bool


def _list_items_to_check(exports: Iterable[Export], selection: Selection) -> list[ItemToCheck]:
    found: dict[tuple[Slug, str], list[ExportFinding]] = {}
    for export in exports:
        for finding in export.check_rows():
            found.setdefault((finding.kind.slug, finding.row_id), []).append(finding)
    chosen = {kind.slug: ids if ids is None else set(ids) for kind, ids in selection.items()}
    items = []
    for (slug, row_id), findings in found.items():
        ids = chosen.get(slug, set())
        messages = [finding.message for finding in findings]
        items.append(ItemToCheck(findings[0].item, row_id, messages, is_selected=ids is None or row_id in ids))
    return items


def _is_bundle(request: HtmxRequest, selection: Selection) -> bool:
    """Return whether the items go into one file. Those of one kind do anyway, unless profiles are added to rules."""
    has_rules = KINDS[Slug.CLIENT_DETECTION_RULES] in selection
    adds_profiles = has_rules and "with-profiles" in request.POST
    return _is_one_file(request) and (len(selection) > 1 or adds_profiles)


def _is_one_file(request: HtmxRequest) -> bool:
    return request.POST.get("as") == BUNDLE


def _preview_file(request: HtmxRequest, kind: Kind | None, export: Export) -> dict[str, Any]:
    """Return the file of a kind, or the bundle for None, for the template."""
    content = b"".join(export)
    text = content.decode()
    return {
        "label": kind.label if kind else "All items",
        "slug": kind.url_slug if kind else "all",
        "warnings": export.warnings,
        "text": text[:_PREVIEW_CHARACTERS],
        "size": len(content),
        "is_too_large": kind is not None and len(content) > TVARR_MAX_BYTES,
        "is_split": not _is_one_file(request),
        "is_whole": len(text) <= _PREVIEW_CHARACTERS,
    }


def _is_fragment(request: HtmxRequest) -> bool:
    return request.htmx.target == "export-preview"
