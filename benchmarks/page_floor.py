"""Plain Django pages, each with the rows of one of our pages in a table."""

from collections.abc import Callable, Iterable
from typing import Any

from django.apps import apps
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.forms import ModelForm, modelform_factory
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import path

from config.urls import handler400, handler403, handler404, handler500
from config.urls import urlpatterns as _ours
from tvarr_backup.access.models import ApiToken
from tvarr_backup.models import Filter
from tvarr_backup.operations.models import Backup, BackupSettings, Operation
from tvarr_backup.portable.kinds import KINDS

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

_TABLE = engines["django"].from_string(
    """{% load static %}<!DOCTYPE html>
<html lang="en">
  <head><title>{{ title }}</title><link rel="stylesheet" href="{% static 'css/app.css' %}"></head>
  <body>
    <nav>
      <a href="{% url 'home' %}">Home</a>
      {% if perms.operations.view_backup %}<a href="{% url 'home' %}">Backups</a>{% endif %}
      {% if perms.access.export_configuration %}<a href="{% url 'export' %}">Export</a>{% endif %}
      {% if perms.access.import_configuration %}<a href="{% url 'import' %}">Import</a>{% endif %}
      {% if perms.operations.view_operation %}<a href="{% url 'history' %}">History</a>{% endif %}
      {% if perms.operations.view_backupsettings %}<a href="{% url 'settings' %}">Settings</a>{% endif %}
      {{ user.get_username }} <form method="post" action="{% url 'sign-out' %}">{% csrf_token %}<button>Sign out</button></form>
    </nav>
    {% for message in messages %}<p class="{{ message.tags }}">{{ message }}</p>{% endfor %}
    <table>
      {% for row in rows %}
        <tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
      {% endfor %}
    </table>
    {% if form %}<form method="post">{% csrf_token %}{{ form.as_div }}<button>Save</button></form>{% endif %}
  </body>
</html>
"""
)


def _page(rows: QuerySet[Any, Any], number: int) -> Iterable[Any]:
    return Paginator(rows, number).get_page(1)


def _backups() -> Iterable[Any]:
    fields = ("filename", "created_at", "kind", "note", "compressed_size", "protected", "state")
    return _page(Backup.objects.values_list(*fields), 25)


def _kinds() -> Iterable[Any]:
    for kind in KINDS.values():
        yield kind.slug, kind.model.objects.filter(is_system=False).count()
        yield from kind.model.objects.filter(is_system=True).order_by("name").values_list("name")


def _operations() -> Iterable[Any]:
    fields = ("pk", "created_at", "kind", "arguments", "requested_by__username", "state", "message")
    return _page(Operation.objects.values_list(*fields), 25)


def _filters() -> Iterable[Any]:
    fields = ("name", "source_type", "action", "expression", "description", "is_system")
    return _page(Filter.objects.order_by("name").values_list(*fields), 50)


def _changes() -> Iterable[Any]:
    models = apps.get_app_config("tvarr_backup").get_models()
    counts = [(model._meta.db_table, QuerySet(model).count()) for model in models]
    return [*Backup.objects.values_list()[:1], *counts]


TABLES: dict[str, Callable[[], Iterable[Any]]] = {
    "nothing": lambda: (),
    "backups": _backups,
    "backup": lambda: Backup.objects.values_list()[:1],
    "changes": _changes,
    "kinds": _kinds,
    "operations": _operations,
    "operation": lambda: Operation.objects.values_list()[:1],
    "settings": lambda: (),
    "tokens": lambda: ApiToken.objects.order_by("created").values_list("name", "created", "expiry"),
    "filters": _filters,
}
"""Rows by page. The settings page has a form instead."""


@login_required
def table(request: HttpRequest, name: str) -> HttpResponse:
    form: ModelForm[BackupSettings] | None = None
    if name == "settings":
        form = modelform_factory(BackupSettings, fields="__all__")(instance=BackupSettings.objects.first())
    return HttpResponse(_TABLE.render({"title": name, "rows": TABLES[name](), "form": form}, request))


urlpatterns: list[Any] = [path("floor/<name>/", table), *_ours]
