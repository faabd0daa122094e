"""What each scope of a token leaves of its user's permissions, at every entrance of the API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.roles.table import CALLS, HEALTH
from tests.roles.world import World
from tvarr_backup import conf
from tvarr_backup.access.scopes import DESCRIPTIONS, Scope
from tvarr_backup.backups.folder import prepare_folder

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]  # writes are counted by SQLite; roles are the same elsewhere

ROWS = CALLS | HEALTH
_SECRET = ("/api/v1/locations", "/api/v1/receivers")
"""Only administrators see them."""
_BADGE = "GET /status.svg"
_BACKUPS = (*_SECRET, "/api/v1/backups", "/api/v1/operations", "/api/v1/status", "/readyz", "/metrics", "/status.svg")
_OF_OTHERS = ("GET /api/v1/imports/", "POST /api/v1/imports/")
_READING = (
    "POST /api/v1/export/",
    "POST /api/v1/expressions/test",
    "POST /api/v1/filters/test",
    "POST /api/v1/data-mapping/test",
    "POST /api/v1/client-detection-rules/test",
)
_WITH_ADDRESSES = ("expressions/test addresses", "filters/test channels")
"""Addresses of streams contain credentials, so they require the right to download backups."""


def is_in(scope: Scope, key: str) -> bool:
    """Return whether a scope includes a call, by its method and address."""
    method, address = key.split(" ")[:2]
    is_about_backups = address.startswith(_BACKUPS)
    return {
        Scope.ALL: True,
        Scope.BADGE: key == _BADGE,
        Scope.READ: (method == "GET" and not address.startswith(_SECRET))
        or key.startswith(_READING)
        or address.endswith("/export"),
        Scope.BACKUPS: is_about_backups,
        Scope.CONFIGURATION: not is_about_backups and not key.endswith(_WITH_ADDRESSES),
    }[scope]


def complaints(world: World, scope: Scope) -> Iterator[str]:
    """Yield deviations with the token of a user who may do everything. Some calls need no permission."""
    person = world.person(staff=False, root=True, scope=scope).by_token()
    for key, row in ROWS.items():
        is_allowed = not row.needs or is_in(scope, key)
        # Only administrators see imports of others, and a scope that does not include restoring makes nobody one.
        is_hidden = key.startswith(_OF_OTHERS) and not key.endswith(" own") and scope is not Scope.ALL
        expected = 404 if is_hidden else row.answer
        found, has_changed = world.answer(person, key, row)
        if found != (expected if is_allowed else 403):
            yield f"{key}: got {found} with the scope {scope}"
        if has_changed and not is_allowed:
            yield f"{key}: was refused with the scope {scope}, and something has changed"


def test_every_scope_has_a_sentence() -> None:
    assert set(DESCRIPTIONS) == set(Scope)


@pytest.mark.parametrize("scope", Scope)
def test_a_token_does_what_its_scope_includes_and_nothing_else(scope: Scope, tmp_path: Path, settings: Any) -> None:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    world = World(prepare_folder(conf.backup_path()), tmp_path / "template")
    found = list(complaints(world, scope))
    assert not found, "\n".join(found)
