"""The page for exports: what there is, which of it is chosen, and the files."""

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

_SHOWN_CHARACTERS = 200_000


@dataclass(frozen=True)
class Section:
    """One kind on the page: how much there is, and what the chosen rows need that no file brings along.

    `rows`, each with whether it is chosen, are there where somebody wants to choose single ones; without them all are meant.
    `refusal` says why nothing of the kind can be exported.
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
        """As it stands in addresses."""
        return self.kind.url_slug

    @property
    def one(self) -> str:
        """The kind in words, singular."""
        return str(self.kind.model._meta.verbose_name)

    @property
    def what_is_needed(self) -> str:
        return str(self.kind.reference.target) if self.kind.reference else ""


def _section(kind: Kind) -> Section:
    try:
        exportable = count_exportable(kind)
    except DatabaseUnusable as problem:
        return Section(Exportable(kind, 0, {}, []), [], refusal=str(problem))
    return Section(exportable, sorted(exportable.needs.items()))


def _opened(kind: Kind, chosen: Collection[str] | None = None) -> Section:
    """With its rows, and these of them chosen; all where nothing was chosen yet."""
    section = _section(kind)
    if section.refusal:
        return section
    rows = [(row, chosen is None or row.row_id in chosen) for row in list_exportable(kind)]
    needs = Counter(row.needs for row, is_chosen in rows if row.needs and is_chosen)
    return replace(section, needs=sorted(needs.items()), rows=rows)


@login_required
@permission_required(actions.EXPORT, raise_exception=True)
@require_GET
@refuse_on_page
def page(request: HtmxRequest) -> HttpResponse:
    """Everything that can be exported, all of it chosen at first; of the kind that is opened the single rows."""
    try:
        kind = kind_named(request.GET["open"]) if "open" in request.GET else None
    except KindUnknown as problem:
        raise Http404 from problem
    if kind and (request.htmx.target or "").startswith("rows-"):
        return render(request, "web/_export_rows.html", {"section": _opened(kind)})
    return _page(request, _opened(kind) if kind else None)


def _page(request: HtmxRequest, opened: Section | None = None, problem: str = "") -> HttpResponse:
    """The page, with one kind opened and what was chosen of it, and why that could not be exported."""
    sections = [opened if opened and each is opened.kind else _section(each) for each in KINDS.values()]
    total = sum(section.exportable.number for section in sections)
    return render(request, "web/export.html", {"sections": sections, "problem": problem, "total": total})


def _of_a_kind(
    view: Callable[[HtmxRequest, Kind, list[str] | None], HttpResponseBase],
) -> Callable[Concatenate[HtmxRequest, ...], HttpResponseBase]:
    """A POST of chosen ids of the kind in its address, or of `all`; what cannot be exported is said on the page."""

    @wraps(view)
    def answer(request: HtmxRequest, slug: str) -> HttpResponseBase:
        try:
            kind = kind_named(slug)
        except KindUnknown as problem:
            raise Http404 from problem
        try:
            return view(request, kind, _ids(request))
        except TvarrBackupError as problem:
            if _is_fragment(request):  # htmx shows nothing that comes with another status
                return render(request, "web/_export_preview.html", {"problem": str(problem)})
            return _page(request, _opened(kind, _ids(request)), str(problem))

    return login_required(require_POST(answer))


def _ids(request: HtmxRequest) -> list[str] | None:
    """What was chosen; `None` for all that there is, where nobody has asked for the single rows."""
    return None if "all" in request.POST else request.POST.getlist("ids")


@_of_a_kind
def download(request: HtmxRequest, kind: Kind, ids: list[str] | None) -> HttpResponseBase:
    """The file."""
    return export_response(kind, actions.export_items(Actor(request.user, Origin.WEB), kind, ids))


@_of_a_kind
def preview(request: HtmxRequest, kind: Kind, ids: list[str] | None) -> HttpResponseBase:
    """The file to look at, as a page or as a part of one; of a large one its beginning."""
    export = actions.export_items(Actor(request.user, Origin.WEB), kind, ids)
    text = b"".join(export).decode()
    shown = {
        "kind": kind,
        "slug": kind.url_slug,
        "warnings": export.warnings,
        "text": text[:_SHOWN_CHARACTERS],
        "size": len(text.encode()),
        "is_whole": len(text) <= _SHOWN_CHARACTERS,
    }
    template = "web/_export_preview.html" if _is_fragment(request) else "web/export_preview.html"
    return render(request, template, shown)


def _is_fragment(request: HtmxRequest) -> bool:
    return (request.htmx.target or "").startswith("preview-")
