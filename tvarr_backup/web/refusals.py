"""Refusals of ours as pages that stay: what happened, and where to go from there."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from tvarr_backup.errors import BackupFolderUnusable, BackupNotFound, DatabaseUnusable, NoRoom, TvarrBackupError

_STATUS: tuple[tuple[type[TvarrBackupError], HTTPStatus], ...] = (
    (BackupNotFound, HTTPStatus.NOT_FOUND),
    (BackupFolderUnusable, HTTPStatus.SERVICE_UNAVAILABLE),
    (DatabaseUnusable, HTTPStatus.SERVICE_UNAVAILABLE),
    (NoRoom, HTTPStatus.INSUFFICIENT_STORAGE),
)


def telling(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """A view whose refusals become pages."""

    @wraps(view)
    def told(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except TvarrBackupError as problem:
            return refuse(request, problem)

    return told


def refuse(request: HttpRequest, problem: TvarrBackupError) -> HttpResponse:
    """The sentence as a page."""
    status = next((status for kind, status in _STATUS if isinstance(problem, kind)), HTTPStatus.CONFLICT)
    return render(request, "web/refused.html", {"sentence": str(problem)}, status=status)
