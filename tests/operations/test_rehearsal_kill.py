"""A rehearsal whose process is killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.operations.elsewhere import heard, kill, start
from tests.operations.test_run import made
from tvarr_backup.operations.models import Operation, OperationKind, OperationState, Origin, Rehearsal
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.operations.rehearsals import rehearsal_folder
from tvarr_backup.operations.track import create_operation

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("attached")]

_REHEARSER = """
import tvarr_backup.operations.rehearsals as rehearsals
from tvarr_backup.operations.run import perform
original = rehearsals.rehearse
def held(*arguments, **named):
    say("rehearsing")
    sys.stdin.readline()
    return original(*arguments, **named)
rehearsals.rehearse = held
perform(begin(sys.argv[1]))
"""


def test_after_a_kill_nothing_is_left(settings: Any, tmp_path: Path, attached: Path) -> None:
    settings.STORAGE_BASE_DIR = tmp_path
    made()
    operation = create_operation(
        OperationKind.REHEARSE, origin=Origin.WEB, state=OperationState.QUEUED, arguments={"location": ""}
    )
    variables = {"TVARR_STORAGE_BASE_DIR": str(tmp_path), "TVARR_DATABASE_DSN": str(attached)}
    process = start(_REHEARSER, str(operation.pk), **variables)
    heard(process, "rehearsing")
    assert list(rehearsal_folder().iterdir())
    kill(process)
    assert [one.pk for one in reconcile()] == [operation.pk]
    assert Operation.objects.get(pk=operation.pk).state == OperationState.INTERRUPTED
    assert not rehearsal_folder().exists()
    assert not Rehearsal.objects.exists()
