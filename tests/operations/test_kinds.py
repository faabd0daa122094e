"""The table of the kinds of operations: complete, and what it says of two at a time."""

from __future__ import annotations

import dataclasses
import runpy
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, cast

import pytest

from tvarr_backup.backups import progress
from tvarr_backup.errors import OperationRunning
from tvarr_backup.operations import kinds
from tvarr_backup.operations import models as ours
from tvarr_backup.operations.kinds import KINDS, KindDescription
from tvarr_backup.operations.models import Operation, OperationKind, OperationState, Origin
from tvarr_backup.operations.track import create_operation


def with_another(words: Iterable[Any], another: str) -> Any:
    return StrEnum("Words", {one.name: one.value for one in words} | {another.upper(): another})


def import_anew() -> None:
    runpy.run_path(kinds.__file__)


def test_a_kind_without_an_entry_fails_at_import(monkeypatch: pytest.MonkeyPatch) -> None:
    import_anew()
    monkeypatch.setattr(ours, "OperationKind", with_another(OperationKind, "hum"))
    with pytest.raises(KeyError, match="no entry for hum"):
        import_anew()


def test_a_phase_without_a_label_fails_at_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "Phase", with_another(progress.Phase, "wait"))
    with pytest.raises(KeyError, match="no entry for wait"):
        import_anew()


def open_one(kind: OperationKind) -> Operation:
    return create_operation(kind, origin=Origin.WEB, state=OperationState.QUEUED)


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [kind for kind in OperationKind if KINDS[kind].is_exclusive])
def test_one_operation_at_a_time_writes_the_backup_folder_or_a_database(kind: OperationKind) -> None:
    """A verification keeps its result with the backup."""
    open_one(OperationKind.BACKUP)
    with pytest.raises(OperationRunning):
        open_one(kind)


@pytest.mark.django_db
def test_a_kind_that_only_reads_runs_beside_others(monkeypatch: pytest.MonkeyPatch) -> None:
    table: Any = cast("dict[OperationKind, KindDescription]", KINDS)
    reading = dataclasses.replace(KINDS[OperationKind.VERIFY], is_exclusive=False)
    monkeypatch.setitem(table, OperationKind.VERIFY, reading)
    open_one(OperationKind.VERIFY)
    backup = open_one(OperationKind.BACKUP)
    open_one(OperationKind.VERIFY)
    with pytest.raises(OperationRunning) as refused:
        open_one(OperationKind.RESTORE)
    assert refused.value.operation == str(backup.pk)
