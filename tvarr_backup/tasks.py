"""The task of the queue."""

from __future__ import annotations

import contextlib

from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.operations.run import perform
from tvarr_backup.operations.track import begin


def run_operation(operation_id: str) -> None:
    """Perform the operation, unless it was started or canceled before. Its row has the result."""
    operation = begin(operation_id)
    if operation is None:
        return
    with contextlib.suppress(TvarrBackupError):
        perform(operation)
