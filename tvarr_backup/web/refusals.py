"""Refusals of ours as pages that stay: what happened, and where to go from there."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from tvarr_backup import conf
from tvarr_backup.errors import (
    BackupFolderUnusable,
    BackupNotFound,
    BackupUnsupported,
    DatabaseUnusable,
    NoRoom,
    TvarrBackupError,
)

CANNOT_BE_USED = (OperationalError, InterfaceError)
"""What a database raises that is not there, or locked for too long."""

_STATUS: tuple[tuple[type[TvarrBackupError], HTTPStatus], ...] = (
    (BackupNotFound, HTTPStatus.NOT_FOUND),
    (BackupFolderUnusable, HTTPStatus.SERVICE_UNAVAILABLE),
    (DatabaseUnusable, HTTPStatus.SERVICE_UNAVAILABLE),
    (NoRoom, HTTPStatus.INSUFFICIENT_STORAGE),
)


def sentence_of_failure(problem: BaseException | None) -> str:
    """For people: what is our fault, or that a database cannot be used just now. The log has more."""
    if isinstance(problem, CANNOT_BE_USED):
        return "A database cannot be used just now; the log of the service says why. Try again."
    return "Something failed that should not; the log of the service says what."


def of_backups(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """A view whose refusals become pages; the first is that no backups are made of a database such as tvarr's."""

    @wraps(view)
    def told(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            conf.live_database()
            return view(request, *args, **kwargs)
        except TvarrBackupError as problem:
            return refuse(request, problem)

    return told


def refuse(request: HttpRequest, problem: TvarrBackupError) -> HttpResponse:
    """The sentence as a page; a page to look at says as its content that there are no backups of such a database."""
    if isinstance(problem, BackupUnsupported) and request.method == "GET":
        return render(request, "web/unsupported.html", {"sentence": str(problem)})
    status = next((status for kind, status in _STATUS if isinstance(problem, kind)), HTTPStatus.CONFLICT)
    return render(request, "web/refused.html", {"sentence": str(problem)}, status=status)
