"""No gate is idle: with any of them taken out, the table of entrances is red."""

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
    "admin/access.py:get_queryset",
    "admin/access.py:has_view_permission",
    "admin/access.py:has_delete_permission",
    "admin/backups.py:_may",
    "admin/kinds.py:has_export_permission",
    "admin/operations.py:has_cancel_permission",
    "api/backups.py:get",
    "operations/cancelling.py:may_cancel",
    "operations/imports.py:_may_open",
    "operations/protection.py:may_unprotect",
    "web/schedule.py:_require_change",
}
"""Functions that ask for a permission and refuse; all of them are among `all_gates`."""

SHOWN_OR_NOT = {
    "api/backups.py:_is_administrator",
    "web/backups.py:_may",
    "web/backups.py:backups",
    "web/backups.py:_operation_to_show",
    "web/context.py:_navigation",
    "web/context.py:_running",
    "web/imports.py:_result",
    "web/operations.py:history",
}
"""Functions that ask what to show; they refuse nothing."""

ABOUT_A_MEMBER = {"operations/found_code.py:require_may_accept_code"}
"""Functions that ask about one member of a request; the tests of that member say who may send it."""


def test_with_any_gate_taken_out_the_table_is_red(tmp_path: Path, settings: Any) -> None:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    world = World(prepare_folder(conf.backup_path()), tmp_path / "template")
    gates, idle = list(all_gates()), []
    for gate in gates:
        with gate.out():
            if not any(line for key in gate.rows for line in complaints(world, key, TABLE[key], only_refused=True)):
                idle.append(gate.name)
    assert not idle, "\n".join(idle)
    assert len(gates) > 150


def test_a_permission_is_asked_for_in_no_other_function() -> None:
    assert set(inline_questions()) == GATES | SHOWN_OR_NOT | ABOUT_A_MEMBER
