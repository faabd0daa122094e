"""What each action checks before it is taken, whoever asks and whichever way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import AnonymousUser, Group
from django.core.exceptions import PermissionDenied, ValidationError

from tests.events import told
from tests.factories import UserFactory
from tests.operations.elsewhere import queued
from tests.roles.world import named
from tests.web.backup_parts import make
from tvarr_backup.backups.catalogue import find_backup, read_folder, rewrite_sidecar
from tvarr_backup.backups.folder import work_in
from tvarr_backup.backups.sidecar import BackupKind, Checked, CheckLevel
from tvarr_backup.errors import (
    AcceptCodeDenied,
    BackupNotFound,
    BackupProtected,
    DeletionsUnconfirmed,
    NoteInvalid,
    OperationNotFound,
    OperationRunning,
    RestoreRefused,
    UnprotectDenied,
)
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import COMMAND_LINE, Actor
from tvarr_backup.operations.kinds import KINDS
from tvarr_backup.operations.models import BackupSettings, Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.run import run_here
from tvarr_backup.operations.track import create_operation

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("attached")]

NOW = datetime.now(UTC)


def with_permissions(*permissions: str) -> Actor:
    user = UserFactory.create(is_superuser=False, is_staff=False)
    user.user_permissions.set(named(permissions))
    return Actor(user, Origin.WEB)


def member_of(group: str) -> Actor:
    user = UserFactory.create(is_superuser=False, is_staff=False)
    user.groups.set(Group.objects.filter(name=group))
    return Actor(user, Origin.WEB)


def protected(folder: Path, kind: BackupKind, until: datetime | None = None) -> str:
    """The name of a new backup with a protection."""
    backup = make(folder, kind=kind)
    with work_in(folder) as work:
        rewrite_sidecar(folder, work, backup, protected=True, protected_until=until)
    return backup.filename


# --- Actors ----------------------------------------------------------------------------------------------------------


def test_an_operation_keeps_the_user_and_the_entrance() -> None:
    actor = member_of("Operator")
    operation = actions.request_backup(actor)
    assert (operation.requested_by, operation.origin) == (actor.user, Origin.WEB)


def test_the_system_administrator_may_do_everything_and_is_no_user() -> None:
    operation = actions.request_backup(COMMAND_LINE)
    assert (operation.requested_by, operation.origin) == (None, Origin.COMMAND)


def test_nobody_in_particular_may_do_nothing() -> None:
    with pytest.raises(PermissionDenied):
        actions.request_backup(Actor(AnonymousUser(), Origin.API))


# --- Backups ---------------------------------------------------------------------------------------------------------


def test_a_note_that_is_too_long_is_refused_before_anything_is_queued() -> None:
    with pytest.raises(NoteInvalid):
        actions.request_backup(member_of("Operator"), note="x" * 600)
    assert not Operation.objects.exists()


def test_a_second_request_of_the_same_user_for_the_same_thing_is_known_as_such() -> None:
    actor = member_of("Operator")
    first = actions.request_backup(actor, note="by hand")
    for asked, note, is_repeated in (
        (actor, "by hand", True),
        (actor, "other", False),
        (COMMAND_LINE, "by hand", False),
    ):
        with pytest.raises(OperationRunning) as refused:
            actions.request_backup(asked, note=note)
        assert (refused.value.operation, refused.value.is_repeated) == (str(first.pk), is_repeated)


def test_a_backup_that_is_not_there_is_not_queued_for_verification(folder: Path) -> None:
    there = make(folder).filename
    with pytest.raises(BackupNotFound):
        actions.request_verification(member_of("Operator"), [there, "tvarr-backup-2001-01-01T00-00-00.db.gz"])
    assert not Operation.objects.exists()


def test_a_backup_known_to_be_damaged_is_not_queued_for_a_restore(folder: Path) -> None:
    backup = make(folder)
    with work_in(folder) as work:
        rewrite_sidecar(folder, work, backup, checked=Checked(CheckLevel.FULL, NOW, ("Row 4 is gone.",), ()))
    for actor in (member_of("Administrator"), COMMAND_LINE):
        with pytest.raises(RestoreRefused, match="Row 4 is gone"):
            actions.request_restore(actor, backup.filename)
    assert not Operation.objects.exists()


def test_a_restore_keeps_only_what_was_accepted(folder: Path) -> None:
    filename = make(folder).filename
    operation = actions.request_restore(member_of("Administrator"), filename, accept_newer=True)
    assert operation.arguments == {"filename": filename, "accept_newer": True}


def test_code_in_an_upload_is_accepted_by_those_who_may_restore(folder: Path, tmp_path: Path) -> None:
    source = (folder / make(folder).filename).rename(tmp_path / "elsewhere.db.gz")
    with pytest.raises(AcceptCodeDenied):
        actions.add_backup(member_of("Operator"), source, accept_code=True)
    assert actions.add_backup(member_of("Administrator"), source, accept_code=True).state == OperationState.SUCCEEDED


def test_cleanup_takes_the_right_to_delete() -> None:
    with pytest.raises(PermissionDenied):
        actions.request_cleanup(member_of("Operator"))
    assert actions.request_cleanup(COMMAND_LINE, start=run_here).state == OperationState.SUCCEEDED


# --- Deleting --------------------------------------------------------------------------------------------------------


def test_a_refusal_stops_none_of_the_other_deletions(folder: Path) -> None:
    kept, going = protected(folder, BackupKind.MANUAL), make(folder).filename
    missing = "tvarr-backup-2001-01-01T00-00-00.db.gz"
    done = actions.delete_backups(member_of("Administrator"), [missing, kept, going])
    assert done.deleted == (going,)
    assert [(name, type(problem)) for name, problem in done.refused] == [
        (missing, BackupNotFound),
        (kept, BackupProtected),
    ]


def test_while_another_operation_is_open_all_deletions_wait(folder: Path) -> None:
    names = [make(folder).filename, make(folder).filename]
    create_operation(OperationKind.BACKUP, origin=Origin.WEB, state=OperationState.QUEUED)
    done = actions.delete_backups(member_of("Administrator"), names)
    assert (done.deleted, [name for name, _ in done.refused]) == ((), names[:1])
    assert len(read_folder(folder).backups) == 2


# --- Notes and protection --------------------------------------------------------------------------------------------


def test_a_change_is_logged_whichever_way_it_came(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    filename = make(folder).filename
    for actor in (member_of("Operator"), COMMAND_LINE):
        actions.change_backup(actor, filename, note=str(actor.origin))
    assert [event["filename"] for event in told(caplog, "backup.changed")] == [filename, filename]


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
    assert actions.may_unprotect(member_of(group), find_backup(folder, filename).sidecar, NOW) is may


def test_a_safety_backup_that_is_no_longer_protected_is_one_like_others(folder: Path) -> None:
    filename = protected(folder, BackupKind.PRE_RESTORE, until=NOW - timedelta(hours=1))
    assert actions.may_unprotect(member_of("Operator"), find_backup(folder, filename).sidecar, NOW)


def test_commands_may_unprotect_a_safety_backup(folder: Path) -> None:
    filename = protected(folder, BackupKind.PRE_RESTORE)
    assert not actions.change_backup(COMMAND_LINE, filename, protected=False).sidecar.protected


def test_a_refusal_names_the_backup_and_leaves_it_protected(folder: Path) -> None:
    filename = protected(folder, BackupKind.PRE_RESTORE, until=NOW + timedelta(days=7))
    before = find_backup(folder, filename).sidecar
    with pytest.raises(UnprotectDenied, match=f"{filename} is still protected.*right to delete backups"):
        actions.change_backup(member_of("Operator"), filename, protected=False)
    assert find_backup(folder, filename).sidecar == before


def test_an_operator_may_keep_a_safety_backup_for_good_and_change_its_note(folder: Path) -> None:
    filename = protected(folder, BackupKind.PRE_RESTORE, until=NOW + timedelta(days=7))
    changed = actions.change_backup(member_of("Operator"), filename, protected=True, note="keep").sidecar
    assert (changed.protected, changed.protected_until, changed.note) == (True, None, "keep")


# --- Operations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", OperationKind)
def test_a_user_who_may_start_an_operation_may_cancel_it(kind: OperationKind) -> None:
    actor = with_permissions(KINDS[kind].permission)
    assert actions.cancel_operation(actor, queued(kind).pk).state == OperationState.CANCELLED


@pytest.mark.parametrize("kind", OperationKind)
def test_other_permissions_are_not_enough_and_nothing_changes(kind: OperationKind) -> None:
    operation = queued(kind)
    others = {one.permission for one in KINDS.values()} - {KINDS[kind].permission}
    with pytest.raises(PermissionDenied):
        actions.cancel_operation(with_permissions("operations.view_operation", *others), operation.pk)
    operation.refresh_from_db()
    assert (operation.state, operation.cancel_requested) == (OperationState.QUEUED, False)


def test_an_operation_that_never_was_is_not_found() -> None:
    with pytest.raises(OperationNotFound):
        actions.cancel_operation(COMMAND_LINE, "01JZZZZZZZZZZZZZZZZZZZZZZZ")


# --- Settings --------------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(folder: Path) -> list[str]:
    """Three automatic backups, of which two would be deleted if one were kept; the names of these."""
    return [make(folder, kind=BackupKind.SCHEDULED).filename for _ in range(3)][:2]


def test_a_retention_that_deletes_backups_needs_agreement_to_just_these(kept: list[str]) -> None:
    actor = member_of("Administrator")
    for agreed in ("", actions.fingerprint_of_deletions(kept[:1])):
        with pytest.raises(DeletionsUnconfirmed, match="delete 2 more backups"):
            actions.change_settings(actor, {"keep": 1}, agreed=agreed)
    assert BackupSettings.load().keep is None
    actions.change_settings(actor, {"keep": 1}, agreed=actions.fingerprint_of_deletions(kept))
    assert BackupSettings.load().keep == 1


@pytest.mark.usefixtures("kept")
def test_a_program_that_sets_the_retention_agrees_to_what_follows() -> None:
    actions.change_settings(member_of("Administrator"), {"keep": 1}, agreed=actions.AGREED_TO_ALL)
    assert BackupSettings.load().keep == 1


def test_settings_that_are_not_valid_are_not_stored() -> None:
    with pytest.raises(ValidationError):
        actions.change_settings(COMMAND_LINE, {"cron": "at noon"}, agreed="")
    assert not BackupSettings.objects.exists()
