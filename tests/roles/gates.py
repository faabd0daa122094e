"""All gates of the program, each of which can be removed for a moment."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin import site
from django.contrib.auth.views import PasswordChangeView

from tests.roles.enumerated import methods_of, routes
from tests.roles.table import MODELS, TABLE
from tvarr_backup import conf
from tvarr_backup.access.models import ApiToken
from tvarr_backup.api.permissions import CHECKED_BY_ACTION
from tvarr_backup.operations import actions, imports
from tvarr_backup.operations.actors import Actor
from tvarr_backup.web import account

DOUBLED = {
    "/admin/access/apitoken/, has_view_permission",  # the queryset has no others' tokens
    "/admin/access/apitoken/, has_view_or_change_permission",
    "/admin/operations/backup/, action unprotect",  # `may_unprotect` checks it too
    "/admin/operations/operation/, action cancel",  # `cancel_operation` checks it too
    "/admin/operations/operation/, has_cancel_permission",
    # Redirects to the page of the settings, which checks the permission
    *(f"/admin/operations/backupsettings/, has_{what}_permission" for what in ("view", "change", "view_or_change")),
    *(
        f"/admin/tvarr_backup/{model}/, action export_selected" for model in MODELS.values()
    ),  # `export_items` checks it too
    *(f"/admin/tvarr_backup/{model}/, has_export_permission" for model in MODELS.values()),
}
"""Gates with another one behind them, which decide only what is offered."""
_PAGES_THAT_ASK_NOTHING = {
    "/backups/create/",
    "/backups/<str:filename>/note/",
    "/backups/<str:filename>/protect/",
    "/backups/<str:filename>/verify/",
    "/backups/<str:filename>/rehearse/",
    "/locations/<slug:location>/rehearse/",
    "/locations/<slug:location>/test/",
    "/locations/<slug:location>/copy/",
    "/locations/<slug:location>/check/",
    "/locations/<slug:location>/pause/",
    "/locations/<slug:location>/host-key/",
    "/operations/<ulid:pk>/cancel/",
    "/settings/receivers/advice/",
    "/settings/receivers/<slug:receiver>/test/",
    "/settings/receivers/<slug:receiver>/pause/",
    "/settings/",
    "/settings/reset/",
    "/export/download/",
    "/export/preview/",
}
_OTHER = "auth.view_permission"
"""A permission that no entrance requires."""
_QUESTIONS = {"has_perm", "may", "require", "is_administrator"}


@dataclass(frozen=True)
class Gate:
    """A check that refuses: its name, a context that removes it, and the rows that it is about."""

    name: str
    out: Callable[[], AbstractContextManager[Any]]
    rows: tuple[str, ...]


def all_gates() -> Iterator[Gate]:
    yield from _of_pages()
    yield from _of_calls()
    yield from (gate for gate in _of_the_admin() if gate.name not in DOUBLED)
    yield from _in_functions()


def _rows(is_about: Callable[[str, str], bool]) -> tuple[str, ...]:
    return tuple(key for key in TABLE if is_about(*key.split(" ")[:2]))


@contextmanager
def _replaced(thing: Any, name: str, value: Any) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(thing, name, value, raising=False)
        yield


# --- Pages: the decorators -------------------------------------------------------------------------------------------


def _of_pages() -> Iterator[Gate]:
    for route, callback in routes().items():
        if hasattr(callback, "cls") or route.startswith("/admin/"):
            continue
        for number, cell in enumerate(_tests_of(callback), 1):
            yield Gate(f"{route}, decorator {number}", lambda cell=cell: _let_pass(cell), _at(route))  # type: ignore[misc]
    dispatch: Any = inspect.unwrap(PasswordChangeView.dispatch)  # without its `login_required`
    route = "/account/password/"
    yield Gate(f"{route}, dispatch", lambda: _replaced(account.Password, "dispatch", dispatch), _at(route))


def _at(route: str) -> tuple[str, ...]:
    return _rows(lambda _method, address: address == route)


def _tests_of(view: Any) -> Iterator[Any]:
    """Yield the cells with the conditions of `login_required` and `permission_required`, outermost first."""
    while view is not None:
        names = getattr(getattr(view, "__code__", None), "co_freevars", ())
        if "test_func" in names:
            yield view.__closure__[names.index("test_func")]
        view = getattr(view, "__wrapped__", None)


@contextmanager
def _let_pass(cell: Any) -> Iterator[None]:
    before, cell.cell_contents = cell.cell_contents, lambda _user: True
    try:
        yield
    finally:
        cell.cell_contents = before


# --- API: the permission classes, and each permission that a view names ----------------------------------------------


def _of_calls() -> Iterator[Gate]:
    for route, callback in routes().items():
        cls = getattr(callback, "cls", None)
        if cls is None or route == "/healthz":
            continue
        yield Gate(f"{route}, classes", lambda cls=cls: _replaced(cls, "permission_classes", ()), _at(route))  # type: ignore[misc]
        for method in methods_of(callback):
            name = _name_in_permissions(callback, method)
            if getattr(cls, "required_permissions", {}).get(name, CHECKED_BY_ACTION) == CHECKED_BY_ACTION:
                continue
            keys = _rows(lambda asked, address, route=route, method=method: (asked, address) == (method, route))  # type: ignore[misc]
            required = {**cls.required_permissions, name: _OTHER}
            yield Gate(
                f"{method} {route}, permission",
                lambda cls=cls, required=required: _replaced(cls, "required_permissions", required),  # type: ignore[misc]
                keys,
            )


def _name_in_permissions(callback: Any, method: str) -> str:
    """Return the name under which an API view lists what a method requires: the action, or the method."""
    return str(getattr(callback, "actions", {}).get(method.lower(), method.lower()))


# --- Admin: staff, permissions of models, and permissions of actions -------------------------------------------------


def _of_the_admin() -> Iterator[Gate]:
    everything = _rows(lambda _method, address: address.startswith("/admin/") and "log" not in address)
    yield Gate("the admin, staff only", lambda: _replaced(site, "has_permission", lambda _request: True), everything)
    registry: dict[Any, Any] = site._registry
    for model, one in registry.items():
        base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        keys = _rows(lambda _method, address, base=base: address.startswith(base))  # type: ignore[misc]
        names = [name for name in dir(one) if name.startswith("has_") and name.endswith("_permission")]
        for name in set(names) - {"has_module_permission"}:
            yield Gate(
                f"{base}, {name}",
                lambda one=one, name=name: _replaced(one, name, lambda *_args, **_named: True),  # type: ignore[misc]
                keys,
            )
        for action, name, _ in one._get_base_actions():
            if hasattr(action, "allowed_permissions") and one.actions:
                keys_of_action = tuple(key for key in TABLE if key.startswith(f"POST {base} {name}"))
                yield Gate(f"{base}, action {name}", lambda action=action: _asked_for_nothing(action), keys_of_action)  # type: ignore[misc]
    tokens: Any = site._registry[ApiToken]
    every = ApiToken.objects.all
    keys = _rows(lambda _method, address: address.startswith("/admin/access/apitoken/"))
    yield Gate("tokens of others", lambda: _replaced(tokens, "get_queryset", lambda _request: every()), keys)


@contextmanager
def _asked_for_nothing(action: Any) -> Iterator[None]:
    function = getattr(action, "__func__", action)
    before = function.__dict__.pop("allowed_permissions")
    try:
        yield
    finally:
        function.allowed_permissions = before


# --- Functions that all entrances call, and checks in views ----------------------------------------------------------


def _in_functions() -> Iterator[Gate]:
    def yes(*_args: Any, **_named: Any) -> bool:
        return True

    for key in asked_by_the_action():
        yield Gate(f"Actor.require, {key}", lambda: _replaced(Actor, "require", yes), (key,))
    safety = tuple(key for key, row in TABLE.items() if row.on == "safety")
    for entrance in ("/admin/", "/api/", "/backups/"):
        keys = tuple(key for key in safety if key.split(" ")[1].startswith(entrance))
        yield Gate(f"may_unprotect, {entrance}", lambda: _replaced(actions, "may_unprotect", yes), keys)
    of_imports = ("/import/<ulid:record>/", "/import/<ulid:applied>/", "/imports/<str:import_id>")
    others = tuple(key for key in TABLE if any(part in key for part in of_imports) and not key.endswith(" own"))
    for key in others:
        yield Gate(f"may_open_import, {key}", lambda: _replaced(imports, "may_open_import", yes), (key,))


def asked_by_the_action() -> Iterator[str]:
    """Yield the entrances whose only gate is the one in the action."""
    views = routes()
    for key, row in TABLE.items():
        method, route = key.split(" ")[:2]
        cls = getattr(views.get(route), "cls", None)
        required = getattr(cls, "required_permissions", {})
        name = _name_in_permissions(views.get(route), method)
        if required.get(name) == CHECKED_BY_ACTION and row.on != "safety":
            yield key
    yield from (key for key in TABLE if key.startswith("POST ") and key.split(" ")[1] in _PAGES_THAT_ASK_NOTHING)
    yield from (key for key in TABLE if key.endswith((" archive", "/download/")))
    yield from (key for key in TABLE if key.split(" ")[1].startswith("/import/"))
    yield from (key for key in TABLE if key.startswith("POST /admin/operations/operation/ cancel"))


def inline_questions() -> dict[str, int]:
    """Count the permission checks in each function."""
    found: dict[str, int] = {}
    root = Path(conf.__file__).parent
    for path in sorted(root.rglob("*.py")):
        tree = ast.parse(path.read_text())
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        for function in functions:
            calls = [node for node in ast.walk(function) if isinstance(node, ast.Attribute) and node.attr in _QUESTIONS]
            if calls:
                found[f"{path.relative_to(root).as_posix()}:{function.name}"] = len(calls)
    return found
