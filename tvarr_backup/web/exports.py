"""The page for exports: what there is, which of it is chosen, and the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate

from django.contrib.auth.decorators import login_required, permission_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET, require_POST

from tvarr_backup.errors import KindUnknown, TvarrBackupError
from tvarr_backup.portable.export import (
    MAX_IDS,
    Exportable,
    ExportableRow,
    export_file_name,
    list_exportable,
    stream_export,
)
from tvarr_backup.portable.kinds import KINDS, Kind, kind_named
from tvarr_backup.web.large_forms import receive_form

_MOST_BYTES = 2**20
_MOST_FIELDS = MAX_IDS + 10
_SHOWN_CHARACTERS = 200_000


@dataclass(frozen=True)
class Section:
    """One kind on the page: its rows, each with whether it is chosen, and what the rows need that no file brings along."""

    exportable: Exportable
    rows: list[tuple[ExportableRow, bool]]
    needs: list[tuple[str, int]]

    @property
    def kind(self) -> Kind:
        return self.exportable.kind

    @property
    def slug(self) -> str:
        """As it stands in addresses."""
        return self.kind.slug.replace("_", "-")

    @property
    def one(self) -> str:
        """The kind in words, singular."""
        return str(self.kind.model._meta.verbose_name)

    @property
    def what_is_needed(self) -> str:
        return str(self.kind.reference.target) if self.kind.reference else ""


def _section(kind: Kind, chosen: Collection[str] | None) -> Section:
    exportable = list_exportable(kind)
    rows = [(row, chosen is None or row.row_id in chosen) for row in exportable.own]
    needs = Counter(row.needs for row, is_chosen in rows if row.needs and is_chosen)
    return Section(exportable, rows, sorted(needs.items()))


@login_required
@permission_required("access.export_configuration", raise_exception=True)
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """Everything that can be exported; all of it is chosen at first."""
    return _page(request)


def _page(request: HttpRequest, kind: Kind | None = None, problem: str = "") -> HttpResponse:
    """The page, with what was chosen of one kind and could not be exported."""
    chosen = set(request.POST.getlist("ids"))
    sections = [_section(each, chosen if each is kind else None) for each in KINDS.values()]
    shown = {
        "sections": sections,
        "problem": problem,
        "refused": kind,
        "total": sum(len(section.rows) for section in sections),
    }
    return render(request, "web/export.html", shown)


def _of_a_kind(
    view: Callable[[HttpRequest, Kind, list[str]], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, ...], HttpResponseBase]:
    """A POST of chosen ids of the kind in its address; what cannot be exported is said on the page."""

    @wraps(view)
    def answer(request: HttpRequest, slug: str) -> HttpResponseBase:
        try:
            kind = kind_named(slug)
        except KindUnknown as problem:
            raise Http404 from problem
        try:
            receive_form(request, _MOST_BYTES, _MOST_FIELDS)
            return csrf_protect(_chosen)(request, kind)
        except TvarrBackupError as problem:
            if _is_fragment(request):  # htmx shows nothing that comes with another status
                return render(request, "web/_export_preview.html", {"problem": str(problem)})
            return _page(request, kind, str(problem))

    def _chosen(request: HttpRequest, kind: Kind) -> HttpResponseBase:
        return view(request, kind, request.POST.getlist("ids"))

    guarded = permission_required("access.export_configuration", raise_exception=True)(require_POST(answer))
    return csrf_exempt(login_required(guarded))


@_of_a_kind
def download(_request: HttpRequest, kind: Kind, ids: list[str]) -> HttpResponseBase:
    """The file."""
    blocks = stream_export(kind, ids)
    name = export_file_name(kind, timezone.now())
    headers = {"Content-Type": "application/json", "Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(blocks, headers=headers)


@_of_a_kind
def preview(request: HttpRequest, kind: Kind, ids: list[str]) -> HttpResponseBase:
    """The file to look at, as a page or as a part of one; of a large one its beginning."""
    text = b"".join(stream_export(kind, ids)).decode()
    shown = {
        "kind": kind,
        "slug": kind.slug.replace("_", "-"),
        "text": text[:_SHOWN_CHARACTERS],
        "size": len(text.encode()),
        "is_whole": len(text) <= _SHOWN_CHARACTERS,
    }
    template = "web/_export_preview.html" if _is_fragment(request) else "web/export_preview.html"
    return render(request, template, shown)


def _is_fragment(request: HttpRequest) -> bool:
    return request.headers.get("HX-Target", "").startswith("preview-")
