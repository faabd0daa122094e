"""Error pages: the message, the status code, and buttons for what to do next."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from http import HTTPStatus
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from tvarr_backup.errors import (
    BackupFolderUnusable,
    BackupNotFound,
    BackupUnsupported,
    DatabaseBusy,
    DatabaseUnusable,
    LocationNotFound,
    NoRoom,
    ReceiverNotFound,
    StateNotFound,
    TvarrBackupError,
)
from tvarr_backup.operations.failures import explain_failure
from tvarr_backup.sentences import Advice

_STATUS: tuple[tuple[type[TvarrBackupError], HTTPStatus], ...] = (
    (BackupNotFound, HTTPStatus.NOT_FOUND),
    (LocationNotFound, HTTPStatus.NOT_FOUND),
    (ReceiverNotFound, HTTPStatus.NOT_FOUND),
    (StateNotFound, HTTPStatus.NOT_FOUND),
    (BackupFolderUnusable, HTTPStatus.SERVICE_UNAVAILABLE),
    (DatabaseBusy, HTTPStatus.SERVICE_UNAVAILABLE),
    (DatabaseUnusable, HTTPStatus.SERVICE_UNAVAILABLE),
    (NoRoom, HTTPStatus.INSUFFICIENT_STORAGE),
)


class Button(NamedTuple):
    label: str
    address: str


_PAGES = {
    Advice.FREE_SPACE: ("Choose backups to delete", "home"),
    Advice.IMPORT: ("Import file", "import"),
    Advice.RESTORE: ("Choose a backup to restore", "home"),
    Advice.BRING_BACK: ("Choose a backup to restore", "home"),
}


def buttons_for(advice: Iterable[Advice]) -> list[Button]:
    """Return a button for each advice that a page can carry out."""
    return [Button(label, reverse(name)) for label, name in (_PAGES[one] for one in advice if one in _PAGES)]


def sentence_of_failure(problem: BaseException | None) -> str:
    """Return the message for an unexpected failure: which database cannot be used, or that it is a bug."""
    explained = explain_failure(problem)
    return explained.sentence.for_page() if explained else "Something is wrong. See the log of the service for details."


def status_of(problem: TvarrBackupError) -> HTTPStatus:
    return next((status for kind, status in _STATUS if isinstance(problem, kind)), HTTPStatus.CONFLICT)


def refuse_on_page(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Decorate a view: show its errors as pages."""

    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except TvarrBackupError as problem:
            return _refuse(request, problem)

    return answer


def _refuse(request: HttpRequest, problem: TvarrBackupError) -> HttpResponse:
    """Render an error. Unsupported backups are a normal page with status 200."""
    if isinstance(problem, BackupUnsupported) and request.method == "GET":
        return render(request, "web/unsupported.html", {"sentence": problem.sentence.for_page()})
    status = status_of(problem)
    context = {
        "title": "Not found" if status is HTTPStatus.NOT_FOUND else "This is not possible now",
        "sentence": problem.sentence.for_page(),
        "buttons": buttons_for(problem.advice),
        "was_change": request.method not in ("GET", "HEAD"),
    }
    return render(request, "web/refused.html", context, status=status)
