"""`docs/reference/health.md` has every check and every metric."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.installation import ROOT
from tvarr_backup.api.metrics import metrics
from tvarr_backup.operations.alert_models import Receiver
from tvarr_backup.operations.health import Subject
from tvarr_backup.operations.models import Location, OperationKind, Origin, Rehearsal
from tvarr_backup.operations.run import run_here

pytestmark = pytest.mark.django_db


@pytest.fixture
def names(tmp_path: Path, settings: Any) -> set[str]:
    """Of every metric that there can be."""
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    run_here(OperationKind.BACKUP, origin=Origin.COMMAND)
    now = datetime.now(UTC)
    Location.objects.create(name="nas", kind="folder", options={"path": "/mnt/nas"}, created_at=now, in_sync_at=now)
    Receiver.objects.create(name="phone", kind="webhook", url="https://hooks.example", created_at=now)
    Rehearsal.objects.create(
        place=Rehearsal.LOCAL, filename="a backup", ended_at=now, seconds=1, operation="an operation"
    )
    families = text_string_to_metric_families(metrics().decode())
    return {sample.name for family in families for sample in family.samples}


def first_cells(heading: str) -> list[str]:
    text = (ROOT / "docs" / "reference" / "health.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*)\|", section, re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def test_every_check_has_its_row() -> None:
    assert first_cells("The checks") == list(Subject)


def test_every_metric_has_its_row(names: set[str]) -> None:
    assert {f"tvarr_backup_{name}" for name in first_cells("Metrics")} == names
