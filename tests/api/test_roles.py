"""Who may do what: every call with every role, from the list of addresses. A call that the table lacks fails by its name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from tests.api.conftest import signed_in
from tests.factories import (
    ClientDetectionRuleFactory,
    DataMappingRuleFactory,
    EncodingProfileFactory,
    FilterFactory,
    UserFactory,
)
from tvarr_backup.access.groups import ADMINISTRATOR, OPERATOR, VIEWER
from tvarr_backup.operations.models import OperationKind, Origin
from tvarr_backup.tasks import submit
from tvarr_backup.web.urls import urlpatterns as pages

pytestmark = pytest.mark.django_db

KINDS = ("filters", "data-mapping-rules", "client-detection-rules", "encoding-profiles")
ROLES = ("anonymous", "no group", "Viewer", "Operator", "Administrator", "superuser")

# The first role that may; so may those after it.
TABLE: dict[str, str] = {
    "GET schema": "no group",
    "GET docs": "no group",
    "POST expressions/validate": "no group",
    "GET backups": "Viewer",
    "POST backups": "Operator",
    "POST backups/upload": "Operator",
    "GET backups/<filename>": "Viewer",
    "PATCH backups/<filename>": "Operator",
    "DELETE backups/<filename>": "Administrator",
    "GET backups/<filename>/download": "Operator",
    "PATCH backups/<filename>/protection": "Operator",
    "POST backups/<filename>/verify": "Operator",
    "POST backups/<filename>/restore": "Administrator",
    "GET backups/schedule": "Viewer",
    "PUT backups/schedule": "Administrator",
    "GET operations": "Viewer",
    "GET operations/<operation_id>": "Viewer",
    "POST operations/<operation_id>/cancel": "Operator",
    **{
        call.format(kind): role
        for kind in KINDS
        for call, role in {
            "GET {}": "Viewer",
            "POST {}": "Operator",
            "GET {}/<id>": "Viewer",
            "PUT {}/<id>": "Operator",
            "PATCH {}/<id>": "Operator",
            "DELETE {}/<id>": "Operator",
            "GET {}/export": "Viewer",
            "POST {}/export": "Viewer",
            "POST {}/import": "Operator",
            "POST export/{}": "Viewer",
            "POST import/{}/preview": "Operator",
            "POST import/{}": "Operator",
        }.items()
    },
}


def patterns(resolver: Sequence[Any], prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for part in resolver:
        route = prefix + str(part.pattern)
        if isinstance(part, URLResolver):
            yield from patterns(part.url_patterns, route)
        else:
            yield route, part


def calls() -> list[str]:
    """Every method of every address below `/api/v1/`, as the views have them; HEAD and OPTIONS are looked at by themselves."""
    found = []
    for route, pattern in patterns(get_resolver().url_patterns):
        if not route.startswith("api/"):
            continue
        view: Any = pattern.callback
        methods = getattr(view, "actions", None) or [
            name for name in view.cls.http_method_names if hasattr(view.cls, name)
        ]
        address = re.sub(r"<\w+:", "<", route.removeprefix("api/v1/"))
        found += [f"{method.upper()} {address}" for method in methods if method not in {"head", "options"}]
    return found


CALLS = calls()


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, settings: Any) -> None:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"


@pytest.fixture
def rows() -> dict[str, str]:
    """Something real for each kind of address."""
    return {
        "filters": str(FilterFactory.create().pk),
        "data-mapping-rules": str(DataMappingRuleFactory.create().pk),
        "client-detection-rules": str(ClientDetectionRuleFactory.create().pk),
        "encoding-profiles": str(EncodingProfileFactory.create().pk),
        "operations": str(
            submit(OperationKind.BACKUP, requested_by=None, origin=Origin.WEB, arguments={"note": ""}).pk
        ),
        "backups": "tvarr-backup-2026-01-14T10-30-00.db.gz",
    }


def client_of(role: str) -> Any:
    if role == "anonymous":
        client = APIClient()
    elif role == "superuser":
        client = APIClient()
        client.force_login(UserFactory.create())
    else:
        may = {"no group": frozenset(), "Viewer": VIEWER, "Operator": OPERATOR, "Administrator": ADMINISTRATOR}
        client = signed_in(may[role])
    client.raise_request_exception = False
    return client


@pytest.fixture
def clients() -> dict[str, Any]:
    return {role: client_of(role) for role in ROLES}


def ask(client: Any, method: str, address: str, rows: dict[str, str]) -> int:
    """The status of a call with an empty object for its body."""
    kind = address.partition("/")[0]
    filled = re.sub(r"<\w+>", lambda _: rows[kind], address)
    return int(client.generic(method, f"/api/v1/{filled}", "{}", content_type="application/json").status_code)


def test_every_call_is_in_the_table() -> None:
    assert sorted(set(CALLS) - set(TABLE)) == []


def test_the_table_has_no_call_that_is_not_there() -> None:
    assert sorted(set(TABLE) - set(CALLS)) == []


def test_outside_of_it_there_are_only_the_admin_the_pages_and_what_test_health_looks_at() -> None:
    routes = [route for route, pattern in patterns(get_resolver().url_patterns) if pattern not in pages]
    others = [route for route in routes if not route.startswith(("api/v1/", "admin/"))]
    assert others == ["healthz", "readyz", "metrics"]


@pytest.mark.parametrize("call", CALLS)
def test_a_call_is_answered_for_those_who_may(call: str, clients: dict[str, Any], rows: dict[str, str]) -> None:
    method, address = call.split(" ")
    first = ROLES.index(TABLE[call])

    for asked in ("HEAD", "GET") if method == "GET" else (method,):
        statuses = {role: ask(clients[role], asked, address, rows) for role in ROLES}
        assert statuses.pop("anonymous") == 401
        assert set(ROLES[1:first]) == {role for role, status in statuses.items() if status == 403}
        assert [status for status in statuses.values() if status in {401, 429} or status >= 500] == []


def test_which_methods_there_are_is_told_to_users_only(clients: dict[str, Any], rows: dict[str, str]) -> None:
    for address in {call.split(" ")[1] for call in CALLS}:
        for method, status in (("OPTIONS", 200), ("PROPFIND", 405)):
            assert ask(clients["anonymous"], method, address, rows) == 401
            assert ask(clients["no group"], method, address, rows) == status


def test_without_rights_no_other_method_does_anything(clients: dict[str, Any], rows: dict[str, str]) -> None:
    for address in {call.split(" ")[1] for call in CALLS}:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            if f"{method} {address}" not in TABLE:
                assert ask(clients["no group"], method, address, rows) == 405
