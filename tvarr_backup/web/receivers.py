"""The pages of receivers of alerts, and their actions."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from tvarr_backup.errors import ReceiverError, ReceiverNotFound
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.alert_models import MessageState, Receiver
from tvarr_backup.operations.models import Origin
from tvarr_backup.operations.receivers import SavedReceiver
from tvarr_backup.receivers.addresses import ReceiverKind, make_signing_secret
from tvarr_backup.web.receiver_forms import ReceiverForm, ReminderForm
from tvarr_backup.web.receiver_rows import MessageRow, ReceiverRow, find_test
from tvarr_backup.web.refusals import refuse_on_page

_MESSAGES_ON_A_PAGE = 25
_MESSAGES_SHOWN = 10

_KINDS = (
    (ReceiverKind.MAIL, "Mail", "To one mail address"),
    (
        ReceiverKind.APPRISE,
        "ntfy, Telegram and others",
        "Gotify, Discord, Matrix, Home Assistant and all others that apprise knows",
    ),
    (ReceiverKind.WEBHOOK, "Webhook", "Signed JSON, for a program of your own"),
)


def _actor(request: HttpRequest) -> Actor:
    return Actor(request.user, Origin.WEB)


def _page_of(receiver: Receiver) -> HttpResponse:
    return HttpResponseRedirect(reverse("receiver", args=[receiver.name]))


# --- The list, and the messages --------------------------------------------------------------------------------------


@login_required
@permission_required(actions.MANAGE_RECEIVERS, raise_exception=True)
@require_GET
@refuse_on_page
def receivers(request: HttpRequest) -> HttpResponse:
    """List receivers with their states, the monitor that gets pings, and the present problems."""
    waiting = Count("messages", filter=Q(messages__state=MessageState.WAITING))
    found = actions.find_receivers(_actor(request)).annotate(waiting=waiting).order_by("name")
    rows = [ReceiverRow(one, one.waiting) for one in found]
    context = {
        "rows": [row for row in rows if not row.is_ping],
        "ping": next((row for row in rows if row.is_ping), None),
        "alerts": actions.find_alerts(_actor(request)),
    }
    return render(request, "web/receivers.html", context)


@login_required
@permission_required(actions.MANAGE_RECEIVERS, raise_exception=True)
@require_GET
@refuse_on_page
def outbox(request: HttpRequest) -> HttpResponse:
    """List the messages to all receivers, newest first."""
    found = actions.find_messages(_actor(request))
    state = request.GET.get("state", "")
    state = state if state in MessageState else ""
    if state:
        found = found.filter(state=state)
    page = Paginator(found, _MESSAGES_ON_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "messages_shown": [MessageRow(one) for one in page],
        "states": MessageState.choices,
        "state": state,
        "query": f"state={state}&" if state else "",
    }
    return render(request, "web/receiver_messages.html", context)


@login_required
@require_POST
@refuse_on_page
def dismiss_advice(request: HttpRequest) -> HttpResponse:
    """Do not advise to add a receiver any more."""
    actions.dismiss_receiver_advice(_actor(request))
    return HttpResponseRedirect(reverse("home"))


# --- A receiver ------------------------------------------------------------------------------------------------------


@login_required
@permission_required(actions.MANAGE_RECEIVERS, raise_exception=True)
@require_GET
@refuse_on_page
def receiver(request: HttpRequest, receiver: str) -> HttpResponse:
    """Show a receiver: its state, the answer to the last test message, and its latest messages."""
    found = actions.find_receiver(_actor(request), receiver)
    latest = found.messages.select_related("receiver")[:_MESSAGES_SHOWN]
    context = {
        "row": ReceiverRow(found, found.messages.filter(state=MessageState.WAITING).count()),
        "test": find_test(found),
        "messages_shown": [MessageRow(one) for one in latest],
    }
    return render(request, "web/receiver.html", context)


@login_required
@require_POST
@refuse_on_page
def test(request: HttpRequest, receiver: str) -> HttpResponse:
    """Queue a test message, whose answer the page of the receiver shows."""
    return _page_of(actions.request_receiver_test(_actor(request), receiver).receiver)


@login_required
@require_POST
@refuse_on_page
def pause(request: HttpRequest, receiver: str) -> HttpResponse:
    """Pause a receiver, or resume it."""
    is_enabled = request.POST.get("enabled") == "true"
    saved = actions.change_receiver(_actor(request), receiver, is_enabled=is_enabled)
    messages.success(request, "Receiver resumed." if is_enabled else "Receiver paused. Nothing is sent to it.")
    return _page_of(saved.receiver)


# --- Adding, changing, removing --------------------------------------------------------------------------------------


@login_required
@permission_required(actions.MANAGE_RECEIVERS, raise_exception=True)
@require_http_methods(["GET", "POST"])
@refuse_on_page
@never_cache
def add(request: HttpRequest) -> HttpResponse:
    """Choose a kind, and fill in its form. A new signing secret is shown in the answer, and only there."""
    kind = request.GET.get("kind", "")
    if kind not in set(ReceiverKind):
        return render(request, "web/receiver_kinds.html", {"kinds": _KINDS})
    form = ReceiverForm(Receiver(kind=kind), request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        columns = form.columns()
        secret = form.cleaned_data.get("signing_secret", "")
        try:
            saved = actions.add_receiver(
                _actor(request), columns.pop("name"), form.cleaned_data["address"], signing_secret=secret, **columns
            )
        except ReceiverError as problem:
            form.add_error(None, problem.sentence.for_page())
        else:
            messages.success(request, "Receiver added. Send a test message to see whether it works.")
            return _answer(request, saved, saved.new_signing_secret)
    title = next(label for known, label, _description in _KINDS if known == kind)
    return render(
        request,
        "web/receiver_add.html",
        {"form": form, "kind": kind, "title": title, "mail_server": settings.MAIL_SERVER},
    )


@login_required
@permission_required(actions.MANAGE_RECEIVERS, raise_exception=True)
@require_http_methods(["GET", "POST"])
@refuse_on_page
@never_cache
def change(request: HttpRequest, receiver: str) -> HttpResponse:
    """Change a receiver. Secret fields are empty, and keep what is stored. One of the environment has only the reminder."""
    found = actions.find_receiver(_actor(request), receiver)
    form_class = ReminderForm if found.is_from_environment else ReceiverForm
    form = form_class(found, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        made = make_signing_secret() if given.get("makes_signing_secret") else ""
        secrets = {"url": given.get("address", ""), "signing_secret": made or given.get("signing_secret", "")}
        try:
            saved = actions.change_receiver(_actor(request), receiver, **secrets, **form.columns())
        except ReceiverNotFound:
            raise
        except ReceiverError as problem:
            form.add_error(None, problem.sentence.for_page())
        else:
            messages.success(request, "Receiver saved.")
            return _answer(request, saved, made or saved.new_signing_secret)
    return render(request, "web/receiver_change.html", {"form": form, "row": ReceiverRow(found), "name": receiver})


def _answer(request: HttpRequest, saved: SavedReceiver, signing_secret: str) -> HttpResponse:
    """Show a new signing secret once, or else the page of the receiver."""
    if not signing_secret:
        return _page_of(saved.receiver)
    context = {"row": ReceiverRow(saved.receiver), "signing_secret": signing_secret}
    return render(request, "web/receiver_secret.html", context)


@login_required
@permission_required(actions.MANAGE_RECEIVERS, raise_exception=True)
@require_http_methods(["GET", "POST"])
@refuse_on_page
def remove(request: HttpRequest, receiver: str) -> HttpResponse:
    """Ask for a confirmation. A POST removes the receiver and its messages."""
    if request.method == "POST":
        actions.remove_receiver(_actor(request), receiver)
        messages.success(request, f"Receiver {receiver} removed.")
        return HttpResponseRedirect(reverse("receivers"))
    found = actions.find_receiver(_actor(request), receiver)
    row = ReceiverRow(found, found.messages.filter(state=MessageState.WAITING).count())
    return render(request, "web/receiver_remove.html", {"row": row})
