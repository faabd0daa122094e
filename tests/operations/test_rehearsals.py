"""Rehearsals as operations: which backup, what is recorded, and what is compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.operations.test_run import do, made
from tvarr_backup.operations.models import Operation, OperationKind, Rehearsal

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("attached")]


@pytest.fixture(autouse=True)
def storage(tmp_path: Path, settings: Any) -> Path:
    settings.STORAGE_BASE_DIR = tmp_path
    return tmp_path


def rehearsed(**arguments: Any) -> Operation:
    return do(OperationKind.REHEARSE, **arguments)


def test_the_newest_good_backup_is_rehearsed_and_recorded() -> None:
    made()
    name = made()
    operation = rehearsed()
    assert operation.state == "succeeded"
    assert operation.result is not None
    assert operation.result["filename"] == name
    assert operation.result["items"]["filters"] == 1
    row = Rehearsal.objects.get()
    assert (row.place, row.filename, row.error_code, row.operation) == ("local", name, "", str(operation.pk))
