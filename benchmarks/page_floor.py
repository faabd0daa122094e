"""Plain views of Django: each renders a table of the rows that one of our pages shows."""

from collections.abc import Callable, Iterable
from typing import Any

from django.apps import apps
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import path

from config.urls import handler400, handler403, handler404, handler500
from config.urls import urlpatterns as _ours
from tvarr_backup.models import Filter
from tvarr_backup.operations.models import Backup, BackupSettings, Operation
from tvarr_backup.portable.kinds import KINDS

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]

_TABLE = engines["django"].from_string(
    """<!DOCTYPE html>
<html lang="en">
  <head><title>{{ title }}</title></head>
  <body>
    <p>{{ user.get_username }}</p>
    <table>
      {% for row in rows %}
        <tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
      {% endfor %}
    </table>
  </body>
</html>
"""
)


def _page(rows: QuerySet[Any, Any], number: int) -> Iterable[Any]:
    return Paginator(rows, number).get_page(1)


def _backups() -> Iterable[Any]:
    shown = ("filename", "created_at", "kind", "note", "compressed_size", "protected", "state")
    return _page(Backup.objects.values_list(*shown), 25)


def _operations() -> Iterable[Any]:
    shown = ("pk", "created_at", "kind", "arguments", "requested_by__username", "state", "message")
    return _page(Operation.objects.values_list(*shown), 25)


def _filters() -> Iterable[Any]:
    shown = ("name", "source_type", "action", "expression", "description", "is_system")
    return _page(Filter.objects.values_list(*shown), 50)


def _changes() -> Iterable[Any]:
    """A backup, and the live rows of each table."""
    models = apps.get_app_config("tvarr_backup").get_models()
    counts = [(model._meta.db_table, QuerySet(model).count()) for model in models]
    return [*Backup.objects.values_list()[:1], *counts]


TABLES: dict[str, Callable[[], Iterable[Any]]] = {
    "nothing": lambda: (),
    "backups": _backups,
    "backup": lambda: Backup.objects.values_list()[:1],
    "changes": _changes,
    "kinds": lambda: [(kind.slug, kind.model.objects.count()) for kind in KINDS.values()],
    "operations": _operations,
    "operation": lambda: Operation.objects.values_list()[:1],
    "settings": BackupSettings.objects.values_list,
    "filters": _filters,
}


@login_required
def table(request: HttpRequest, name: str) -> HttpResponse:
    """The rows, for a user who is signed in."""
    return HttpResponse(_TABLE.render({"title": name, "rows": TABLES[name]()}, request))


urlpatterns: list[Any] = [path("floor/<name>/", table), *_ours]
