"""Who may lift the protection of a backup."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group

from tests.factories import UserFactory
from tests.web.backup_parts import make
from tvarr_backup.backups.catalogue import find_backup, rewrite_sidecar
from tvarr_backup.backups.folder import work_in
from tvarr_backup.backups.sidecar import BackupKind
from tvarr_backup.errors import UnprotectDenied
from tvarr_backup.operations.protection import change_backup, may_unprotect

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC)


def member_of(group: str) -> Any:
    user = UserFactory.create(is_superuser=False, is_staff=False)
    user.groups.set(Group.objects.filter(name=group))
    return user


def protected(folder: Path, kind: BackupKind, until: datetime | None = None) -> str:
    """The name of a new backup with a protection."""
    backup = make(folder, kind=kind)
    with work_in(folder) as work:
        rewrite_sidecar(folder, work, backup, protected=True, protected_until=until)
    return backup.filename


@pytest.mark.parametrize(
    ("group", "kind", "may"),
    [
        ("Viewer", BackupKind.MANUAL, False),
        ("Viewer", BackupKind.PRE_RESTORE, False),
        ("Operator", BackupKind.MANUAL, True),
        ("Operator", BackupKind.PRE_RESTORE, False),
        ("Administrator", BackupKind.MANUAL, True),
        ("Administrator", BackupKind.PRE_RESTORE, True),
    ],
)
def test_the_protection_of_a_safety_backup_needs_the_right_to_delete(
    folder: Path, group: str, kind: BackupKind, may: bool
) -> None:
    filename = protected(folder, kind)
    assert may_unprotect(member_of(group), find_backup(folder, filename).sidecar, NOW) is may


def test_a_safety_backup_that_is_no_longer_protected_is_one_like_others(folder: Path) -> None:
    filename = protected(folder, BackupKind.PRE_RESTORE, until=NOW - timedelta(hours=1))
    assert may_unprotect(member_of("Operator"), find_backup(folder, filename).sidecar, NOW)


def test_commands_have_no_user_and_may(folder: Path) -> None:
    filename = protected(folder, BackupKind.PRE_RESTORE)
    assert not change_backup(filename, user=None, protected=False).sidecar.protected


def test_a_refusal_names_the_backup_and_leaves_it_protected(folder: Path) -> None:
    filename = protected(folder, BackupKind.PRE_RESTORE, until=NOW + timedelta(days=7))
    before = find_backup(folder, filename).sidecar
    with pytest.raises(UnprotectDenied, match=f"{filename} is still protected.*right to delete backups"):
        change_backup(filename, user=member_of("Operator"), protected=False)
    assert find_backup(folder, filename).sidecar == before


def test_an_operator_may_keep_a_safety_backup_for_good_and_change_its_note(folder: Path) -> None:
    filename = protected(folder, BackupKind.PRE_RESTORE, until=NOW + timedelta(days=7))
    changed = change_backup(filename, user=member_of("Operator"), protected=True, note="keep").sidecar
    assert (changed.protected, changed.protected_until, changed.note) == (True, None, "keep")
