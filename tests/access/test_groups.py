"""The three groups, as `prepare` creates them and as administrators change them."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from tests.installation import Installation
from tvarr_backup.access.groups import ADMINISTRATOR, GROUPS, OPERATOR, VIEWER

_QUERY = """
    SELECT g.name, t.app_label || '.' || p.codename
    FROM auth_group g
    JOIN auth_group_permissions gp ON gp.group_id = g.id
    JOIN auth_permission p ON p.id = gp.permission_id
    JOIN django_content_type t ON t.id = p.content_type_id
"""


def stored(installation: Installation) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    with closing(sqlite3.connect(installation.data / "app.db")) as connection:
        for name, permission in connection.execute(_QUERY):
            found.setdefault(name, set()).add(permission)
    return found


def test_each_group_includes_the_one_before() -> None:
    assert VIEWER < OPERATOR < ADMINISTRATOR


def test_a_new_installation_has_the_groups(prepared: Installation) -> None:
    assert stored(prepared) == GROUPS


def test_prepare_keeps_changes_by_administrators(prepared: Installation) -> None:
    with closing(sqlite3.connect(prepared.data / "app.db")) as connection, connection:
        connection.execute(
            "DELETE FROM auth_group_permissions WHERE group_id = (SELECT id FROM auth_group WHERE name = 'Viewer')"
        )
    prepared.ok("prepare")

    assert set(stored(prepared)) == {"Operator", "Administrator"}
