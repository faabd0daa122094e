"""The Export page: select items, preview and download files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import wraps
from typing import Concatenate

from django.contrib.auth.decorators import login_required, permission_required
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_POST

from tvarr_backup.errors import DatabaseUnusable, KindUnknown, TvarrBackupError
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.models import Origin
from tvarr_backup.portable.export import (
    Exportable,
    ExportableRow,
    count_exportable,
    list_exportable,
)
from tvarr_backup.portable.kinds import KINDS, Kind, kind_named
from tvarr_backup.transfer.exports import export_response
from tvarr_backup.web.htmx import HtmxRequest
from tvarr_backup.web.refusals import refuse_on_page

_PREVIEW_CHARACTERS = 200_000


@dataclass(frozen=True)
class Section:
    """A kind on the page. `needs` counts the selected rows by the item that they need and the file does not contain.

    `rows` has each row and whether it is selected, or is None while all are selected. `refusal` says why the kind
    cannot be exported.
    """

    exportable: Exportable
    needs: list[tuple[str, int]]
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


def _section(kind: Kind) -> Section:
    try:
        exportable = count_exportable(kind)
    except DatabaseUnusable as problem:
        return Section(Exportable(kind, 0, {}, []), [], refusal=str(problem))
    return Section(exportable, sorted(exportable.needs.items()))


def _open_section(kind: Kind, selected: Collection[str] | None = None) -> Section:
    """Return the section with its rows. Without `selected`, all are selected."""
    section = _section(kind)
    if section.refusal:
        return section
    rows = [(row, selected is None or row.row_id in selected) for row in list_exportable(kind)]
    needs = Counter(row.needs for row, is_selected in rows if row.needs and is_selected)
    return replace(section, needs=sorted(needs.items()), rows=rows)


@login_required
@permission_required(actions.EXPORT, raise_exception=True)
@require_GET
@refuse_on_page
def page(request: HtmxRequest) -> HttpResponse:
    """Show the kinds, with all items selected. An opened kind shows its rows."""
    try:
        kind = kind_named(request.GET["open"]) if "open" in request.GET else None
    except KindUnknown as problem:
        raise Http404 from problem
    if kind and (request.htmx.target or "").startswith("rows-"):
        return render(request, "web/_export_rows.html", {"section": _open_section(kind)})
    return _page(request, _open_section(kind) if kind else None)


def _page(request: HtmxRequest, opened: Section | None = None, problem: str = "") -> HttpResponse:
    """Render the page, with one kind opened, and why its selection could not be exported."""
    sections = [opened if opened and each is opened.kind else _section(each) for each in KINDS.values()]
    total = sum(section.exportable.number for section in sections)
    return render(request, "web/export.html", {"sections": sections, "problem": problem, "total": total})


def _of_a_kind(
    view: Callable[[HtmxRequest, Kind, list[str] | None], HttpResponseBase],
) -> Callable[Concatenate[HtmxRequest, ...], HttpResponseBase]:
    """Decorate a view for a POST of a selection: give it the kind of the address and the ids, and show its errors."""

    @wraps(view)
    def answer(request: HtmxRequest, slug: str) -> HttpResponseBase:
        try:
            kind = kind_named(slug)
        except KindUnknown as problem:
            raise Http404 from problem
        try:
            return view(request, kind, _ids(request))
        except TvarrBackupError as problem:
            if _is_fragment(request):  # htmx ignores answers with an error status
                return render(request, "web/_export_preview.html", {"problem": str(problem)})
            return _page(request, _open_section(kind, _ids(request)), str(problem))

    return login_required(require_POST(answer))


def _ids(request: HtmxRequest) -> list[str] | None:
    """Return the selected ids, or None for all items."""
    return None if "all" in request.POST else request.POST.getlist("ids")


@_of_a_kind
def download(request: HtmxRequest, kind: Kind, ids: list[str] | None) -> HttpResponseBase:
    return export_response(kind, actions.export_items(Actor(request.user, Origin.WEB), kind, ids))


@_of_a_kind
def preview(request: HtmxRequest, kind: Kind, ids: list[str] | None) -> HttpResponseBase:
    """Show the file, or the beginning of a large one, as a page or a part of one."""
    export = actions.export_items(Actor(request.user, Origin.WEB), kind, ids)
    text = b"".join(export).decode()
    context = {
        "kind": kind,
        "slug": kind.url_slug,
        "warnings": export.warnings,
        "text": text[:_PREVIEW_CHARACTERS],
        "size": len(text.encode()),
        "is_whole": len(text) <= _PREVIEW_CHARACTERS,
    }
    template = "web/_export_preview.html" if _is_fragment(request) else "web/export_preview.html"
    return render(request, template, context)


def _is_fragment(request: HtmxRequest) -> bool:
    return (request.htmx.target or "").startswith("preview-")
