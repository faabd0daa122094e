"""The pages of an import: a file is chosen, its items are reviewed, and what became of each is shown."""

from __future__ import annotations

from http import HTTPStatus
from io import BytesIO
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_cache_control
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET, require_http_methods

from tvarr_backup.errors import (
    AnswerInvalid,
    BackupNotExport,
    FileTooLarge,
    MemberInvalid,
    PageIncomplete,
    PlanStale,
    TvarrBackupError,
)
from tvarr_backup.operations.imports import import_file
from tvarr_backup.operations.models import Origin
from tvarr_backup.portable.answers import Answers
from tvarr_backup.portable.apply import ImportResult, ResultLine
from tvarr_backup.portable.envelope import Envelope, read_envelope
from tvarr_backup.portable.export import WRITTEN_BY
from tvarr_backup.portable.json_events import MAX_BYTES
from tvarr_backup.portable.kinds import kind_named
from tvarr_backup.portable.plan import Planner
from tvarr_backup.portable.steps import Action, Plan, State
from tvarr_backup.web import review
from tvarr_backup.web.large_forms import receive_form
from tvarr_backup.web.review import Choices, Review

_Content = tuple[str, dict[str, Any]]
_MOST_BYTES = MAX_BYTES + MAX_BYTES // 2
"""Of a form: a file that does not shrink when it is packed grows by a third in its field."""

_MOST_FIELDS = 10 * review.ROWS_ON_A_PAGE
_MOST_LINES = 1_000
_SIGNED_IN_ANEW = (
    "You have signed in anew since this page was made, so nothing was imported yet. "
    "Your choices are all still here: press the button once more."
)
_RESULT = "import_result"
_REVIEW = "web/import_review.html"


@csrf_exempt
@login_required
@permission_required("access.import_configuration", raise_exception=True)
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest) -> HttpResponseBase:
    """The form for a file; a POST brings a file to review, or a reviewed one with the choices that were made."""
    if request.method == "GET":
        return render(request, *_form())
    try:
        receive_form(request, _MOST_BYTES, _MOST_FIELDS)
        answer = csrf_protect(_received)(request)
        is_too_old = answer.status_code == HTTPStatus.FORBIDDEN and _is_from_here(request)
        return _received(request, is_too_old=True) if is_too_old else answer
    except TvarrBackupError as problem:
        return render(request, *_form(problem, request))
    except (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent):
        return render(request, *_form(FileTooLarge("The form holds more than a file; nothing of it was read.")))


def _is_from_here(request: HttpRequest) -> bool:
    """Whether a page of ours has sent the form, by the browser's word; with an old token that is enough to look, not to import."""
    return request.headers.get("Origin") == f"{request.scheme}://{request.get_host()}"


def _form(problem: Exception | None = None, sent: HttpRequest | None = None) -> _Content:
    """The form for a file, and why what was sent cannot be imported."""
    if isinstance(problem, MemberInvalid):
        sentences = [*review.problem_lines(problem.found), *([f"And {problem.more} more."] if problem.more else [])]
    else:
        sentences = [str(problem)] if problem else []
    return "web/import.html", {
        "sentences": sentences,
        "is_no_export": isinstance(problem, BackupNotExport),
        "file_name": _file_name(sent) if sent else "",
        "text": sent.POST.get("text", "") if sent else "",
        "most_bytes": MAX_BYTES,
    }


def _file_name(request: HttpRequest) -> str:
    upload = request.FILES.get("file")
    return str(upload.name) if upload else request.POST.get("file_name", "")


def _received(request: HttpRequest, *, is_too_old: bool = False) -> HttpResponseBase:
    """The review, or the import; of a page from before another sign-in the review anew, with its choices and a new token."""
    if "import" in request.POST or "HX-Request" in request.headers:
        done = _reviewed(request, is_too_old=is_too_old)
        return done if isinstance(done, HttpResponse) else _page(request, done, is_whole=is_too_old)
    response = render(request, *_to_look_at(request, is_too_old=is_too_old))
    # A browser cannot go back to the answer to a form that it may not store.
    patch_cache_control(response, private=True, no_cache=True)
    return response


def _to_look_at(request: HttpRequest, *, is_too_old: bool) -> _Content:
    try:
        found = _reviewed(request, is_too_old=is_too_old)
    except TvarrBackupError as problem:
        return _form(problem, request)
    assert not isinstance(found, HttpResponse)  # nothing is imported without its button
    return _REVIEW, found


def _content(request: HttpRequest) -> bytes:
    """Of the file. Raises `PageIncomplete`."""
    form = request.POST
    if "packed" in form:
        return review.unpack(form["packed"])
    if upload := request.FILES.get("file"):
        return bytes(upload.read())
    if form.get("text", "").strip():
        return form["text"].encode()
    raise PageIncomplete("No file was chosen, and no text was pasted. Choose the file of an export.")


def _reviewed(request: HttpRequest, *, is_too_old: bool) -> HttpResponse | dict[str, Any]:
    """The review of a file with the choices so far, for its page; where that is the button that was pressed, the import."""
    form, content, file_name = request.POST, _content(request), _file_name(request)
    envelope = read_envelope(BytesIO(content), None, WRITTEN_BY)
    kept = review.read_choices(form["kept"]) if "kept" in form else Choices()
    choices = review.choose(kept, envelope, form)
    refusal = _SIGNED_IN_ANEW if is_too_old and "import" in form else ""
    planner = Planner(envelope)
    choices, plan, problem = _planned(planner, envelope, choices)
    if "bulk" in form:
        choices = review.choose_for_all(choices, plan, form["bulk"], also_by_hand="also-by-hand" in form)
        choices, plan, problem = _planned(planner, envelope, choices)
    answers = choices.answers(envelope)
    if "import" in form and not problem and not is_too_old:
        is_as_shown = plan.fingerprint == choices.fingerprint
        if is_as_shown and form["import"] != Review(envelope, plan, choices).agreed:
            refusal = "Nothing was imported yet: your last choices changed what would happen. Look at the totals again."
        else:
            try:
                done = import_file(
                    envelope,
                    answers,
                    choices.fingerprint,
                    requested_by=request.user,
                    origin=Origin.WEB,
                    file_name=file_name,
                )
                return _imported(request, done, choices, file_name)
            except PlanStale:
                if (url := _result_of(request, choices)) is not None:
                    return HttpResponseRedirect(url)
            except TvarrBackupError as failure:
                refusal = f"{failure} Your choices are all still here."
    choices, changed = review.without_changed(choices, plan)
    if changed:
        choices, plan, problem = _planned(planner, envelope, choices)
    found = Review(envelope, plan, review.as_shown(choices, plan), changed)
    return {
        "review": found,
        "problem": refusal or problem,
        "packed": form.get("packed") or review.pack(content),
        "file_name": file_name,
    }


def _planned(planner: Planner, envelope: Envelope, choices: Choices) -> tuple[Choices, Plan, str]:
    """The plan; an answer that fits nothing here any more is given up, and the sentence says so."""
    try:
        return choices, planner.plan(choices.answers(envelope)), ""
    except AnswerInvalid as problem:
        choices = review.without_lost(choices, planner.plan(Answers()))
        return choices, planner.plan(choices.answers(envelope)), str(problem)


def _page(request: HttpRequest, shown: dict[str, Any], *, is_whole: bool) -> HttpResponse:
    is_other = is_whole or shown["problem"] or shown["review"].changed
    is_part = request.headers.get("HX-Target") == "import-totals" and not is_other
    response = render(request, "web/_import_totals.html" if is_part else _REVIEW, shown)
    if request.headers.get("HX-Target") == "import-totals" and not is_part:
        response["HX-Retarget"], response["HX-Reswap"], response["HX-Reselect"] = "#review", "outerHTML", "#review"
    return response


# --- Results ---------------------------------------------------------------------------------------------------------


def _imported(request: HttpRequest, done: ImportResult, choices: Choices, file_name: str) -> HttpResponse:
    """Keep what became of each item with the session, and lead there."""
    mark = review.mark_of_import(choices)
    request.session[_RESULT] = {
        "mark": mark,
        "kind": done.kind.slug,
        "file_name": file_name,
        "counts": {
            "added": done.count(Action.CREATE),
            "overwritten": done.count(Action.OVERWRITE),
            "copied": done.count(Action.RENAME),
            "skipped": done.skipped,
            "unchanged": done.unchanged,
        },
        "notes": list(done.notes),
        "lines": [_line(line) for line in done.lines[:_MOST_LINES]],
        "more": max(0, len(done.lines) - _MOST_LINES),
    }
    request.session.save()  # at once: a second press of the button looks for it
    return HttpResponseRedirect(reverse("import-result", args=[mark]))


def _result_of(request: HttpRequest, choices: Choices) -> str | None:
    """Where the result of just this import stands, if it was done a moment ago: the button was pressed twice."""
    mark = review.mark_of_import(choices)
    kept = type(request.session)(request.session.session_key).get(_RESULT)
    return reverse("import-result", args=[mark]) if kept and kept["mark"] == mark else None


@login_required
@permission_required("access.import_configuration", raise_exception=True)
@require_GET
def result(request: HttpRequest, mark: str) -> HttpResponse:
    """What became of each item; the last import's is kept as long as one is signed in."""
    kept = request.session.get(_RESULT)
    if not kept or kept["mark"] != mark:
        messages.info(request, "The result of that import is no longer kept: only that of your last one is.")
        return HttpResponseRedirect(reverse("import"))
    kind = kind_named(kept["kind"])
    model = kind.model._meta
    may_look = request.user.is_staff and request.user.has_perm(f"{model.app_label}.view_{model.model_name}")
    shown = {
        **kept,
        "kind": kind,
        "change_url": f"admin:{model.app_label}_{model.model_name}_change" if may_look else "",
    }
    return render(request, "web/import_result.html", shown)


_DONE = {
    Action.CREATE: "Added",
    Action.OVERWRITE: "Overwritten",
    Action.RENAME: "Copied",
    Action.SKIP: "Skipped",
}


def _line(line: ResultLine) -> dict[str, Any]:
    same = line.action is Action.SKIP and line.state is State.IDENTICAL
    return {
        "done": "Same, nothing to do" if same else _DONE[line.action],
        "original_name": line.original_name,
        "final_name": line.final_name,
        "row_id": line.row_id,
        "warnings": [[finding.field, finding.message] for finding in line.warnings],
    }
