"""Refusals of ours as pages that stay: what happened, and where to go from there."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from tvarr_backup.errors import (
    BackupFolderUnusable,
    BackupNotFound,
    BackupUnsupported,
    DatabaseBusy,
    DatabaseUnusable,
    NoRoom,
    TvarrBackupError,
)
from tvarr_backup.operations.failures import explain_failure
from tvarr_backup.web.advice import buttons_for

_STATUS: tuple[tuple[type[TvarrBackupError], HTTPStatus], ...] = (
    (BackupNotFound, HTTPStatus.NOT_FOUND),
    (BackupFolderUnusable, HTTPStatus.SERVICE_UNAVAILABLE),
    (DatabaseBusy, HTTPStatus.SERVICE_UNAVAILABLE),
    (DatabaseUnusable, HTTPStatus.SERVICE_UNAVAILABLE),
    (NoRoom, HTTPStatus.INSUFFICIENT_STORAGE),
)


def sentence_of_failure(problem: BaseException | None) -> str:
    """For people: which database cannot be used and what to do, or that it is our fault. The log has more."""
    explained = explain_failure(problem)
    return (
        explained.sentence.for_page()
        if explained
        else "Something failed that should not; the log of the service says what."
    )


def status_of(problem: TvarrBackupError) -> HTTPStatus:
    """The status that a failure of ours is answered with."""
    return next((status for kind, status in _STATUS if isinstance(problem, kind)), HTTPStatus.CONFLICT)


def of_backups(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Turn the refusals of a view into pages."""

    @wraps(view)
    def told(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except TvarrBackupError as problem:
            return refuse(request, problem)

    return told


def refuse(request: HttpRequest, problem: TvarrBackupError) -> HttpResponse:
    """The sentence as a page; a page to look at says as its content that there are no backups of such a database."""
    if isinstance(problem, BackupUnsupported) and request.method == "GET":
        return render(request, "web/unsupported.html", {"sentence": problem.sentence.for_page()})
    shown = {"sentence": problem.sentence.for_page(), "buttons": buttons_for(problem.advice)}
    return render(request, "web/refused.html", shown, status=status_of(problem))
