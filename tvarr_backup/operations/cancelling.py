"""Who may cancel an operation, whichever entrance the request comes by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied

from tvarr_backup.errors import OperationNotFound
from tvarr_backup.operations import track
from tvarr_backup.operations.models import Operation, OperationKind
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.quoting import quoted

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User

PERMISSION_OF_KIND = {
    OperationKind.BACKUP: "operations.create_backup",
    OperationKind.ADOPT: "operations.create_backup",
    OperationKind.VERIFY: "operations.verify_backup",
    OperationKind.RESTORE: "operations.restore_backup",
    OperationKind.PRUNE: "operations.delete_backup",
    OperationKind.DELETE: "operations.delete_backup",
}
"""The permission to start an operation of a kind. A user who may start one may cancel it."""


def may_cancel(user: User | AnonymousUser, operation: Operation) -> bool:
    """Return whether a user may cancel an operation, whoever started it."""
    return user.has_perm(PERMISSION_OF_KIND[OperationKind(operation.kind)])


def find_operation(operation_id: str) -> Operation:
    """Return an operation with the user who started it. Raises `OperationNotFound`."""
    wanted = str(operation_id)
    is_possible = "\0" not in wanted  # PostgreSQL refuses to look for it
    found = Operation.objects.select_related("requested_by").filter(pk=wanted).first() if is_possible else None
    if found is None:
        raise OperationNotFound("There is no operation {wanted}.", wanted=quoted(wanted))
    return found


def cancel_operation(operation_id: str, *, user: User | AnonymousUser) -> Operation:
    """Cancel an operation as `track.cancel` does, and return it.

    Raises `OperationNotFound`, `PermissionDenied` and `OperationEnded`; then nothing is changed.
    """
    operation = find_operation(operation_id)
    if not may_cancel(user, operation):
        raise PermissionDenied
    reconcile()
    return track.cancel(operation_id)
