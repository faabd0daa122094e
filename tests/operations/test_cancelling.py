"""Who may cancel an operation."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import PermissionDenied

from tests.factories import UserFactory
from tests.roles.world import named
from tvarr_backup.errors import OperationNotFound
from tvarr_backup.operations.cancelling import PERMISSION_OF_KIND, cancel_operation
from tvarr_backup.operations.models import Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.track import create_operation

pytestmark = pytest.mark.django_db


def user_with(*permissions: str) -> Any:
    user = UserFactory.create(is_superuser=False, is_staff=False)
    user.user_permissions.set(named(permissions))
    return user


def queued(kind: OperationKind) -> Operation:
    return create_operation(kind, origin=Origin.WEB, state=OperationState.QUEUED)


@pytest.mark.parametrize("kind", OperationKind)
def test_a_user_who_may_start_an_operation_may_cancel_it(kind: OperationKind) -> None:
    operation = queued(kind)
    assert cancel_operation(operation.pk, user=user_with(PERMISSION_OF_KIND[kind])).state == OperationState.CANCELLED


@pytest.mark.parametrize("kind", OperationKind)
def test_other_permissions_are_not_enough_and_nothing_changes(kind: OperationKind) -> None:
    operation = queued(kind)
    others = set(PERMISSION_OF_KIND.values()) - {PERMISSION_OF_KIND[kind]}
    with pytest.raises(PermissionDenied):
        cancel_operation(operation.pk, user=user_with("operations.view_operation", *others))
    operation.refresh_from_db()
    assert (operation.state, operation.cancel_requested) == (OperationState.QUEUED, False)


def test_an_operation_that_never_was_is_not_found() -> None:
    with pytest.raises(OperationNotFound):
        cancel_operation("01JZZZZZZZZZZZZZZZZZZZZZZZ", user=user_with("operations.create_backup"))
