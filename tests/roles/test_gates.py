"""Every gate is needed: with any of them removed, the table of entrances fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.roles.gates import all_gates, inline_questions
from tests.roles.table import TABLE
from tests.roles.test_table import complaints
from tests.roles.world import World
from tvarr_backup import conf
from tvarr_backup.backups.folder import prepare_folder

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]  # writes are counted by SQLite; roles are the same elsewhere

GATES = {
    "access/admin_site.py:has_permission",
    "access/models.py:has_perm",  # tried by `test_scopes`
    "admin/access.py:get_queryset",
    "admin/access.py:has_view_permission",
    "admin/access.py:has_delete_permission",
    "admin/backups.py:has_delete_permission",
    "admin/backups.py:has_download_permission",
    "admin/backups.py:has_protect_permission",
    "admin/backups.py:has_restore_permission",
    "admin/backups.py:has_verify_permission",
    "admin/kinds.py:has_export_permission",
    "admin/operations.py:has_cancel_permission",
    "operations/actors.py:require",
    "operations/imports.py:may_open_import",
    "web/schedule.py:schedule",
}
"""Functions that check a permission and refuse; the others are among `all_gates`."""

SHOWN_OR_NOT = {
    "api/backups/views.py:_add_path",
    "api/backups/views.py:list",
    "operations/actors.py:is_administrator",
    "operations/actors.py:may",
    "web/backups.py:backups",
    "web/backups.py:_operation_to_show",
    "web/backups.py:create",
    "web/context.py:_navigation",
    "web/context.py:_running",
    "web/imports.py:_address_of_row",
    "web/locations.py:location",
    "web/operations.py:_find_location",
    "web/operations.py:_import_row",
    "web/operations.py:history",
}
"""Functions that check a permission to decide what to show."""


@pytest.mark.long
def test_with_any_gate_removed_the_table_fails(tmp_path: Path, settings: Any) -> None:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    world = World(prepare_folder(conf.backup_path()), tmp_path / "template")
    gates, idle = list(all_gates()), []
    for gate in gates:
        with gate.out():
            if not any(line for key in gate.rows for line in complaints(world, key, TABLE[key], only_refused=True)):
                idle.append(gate.name)
    assert not idle, "\n".join(idle)
    assert len(gates) > 150


def test_no_other_function_checks_a_permission() -> None:
    asking = {place for place in inline_questions() if not place.startswith("operations/actions.py:")}
    assert asking == GATES | SHOWN_OR_NOT
