"""`docs/reference/health.md` has every check and every metric, and its examples use those that there are."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.installation import ROOT
from tvarr_backup.api.metrics import metrics
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
    Rehearsal.objects.create(
        place=Rehearsal.LOCAL, filename="a backup", ended_at=now, seconds=1, operation="an operation"
    )
    families = text_string_to_metric_families(metrics().decode())
    return {sample.name for family in families for sample in family.samples}


def text(name: str = "reference/health") -> str:
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def first_cells(heading: str) -> list[str]:
    section = text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*)\|", section, re.MULTILINE)
    return [name for row in rows for name in re.findall(r"`(\w+)`", row)]


def test_every_check_has_its_row() -> None:
    assert first_cells("The checks") == list(Subject)


def test_every_metric_has_its_row(names: set[str]) -> None:
    assert {f"tvarr_backup_{name}" for name in first_cells("Metrics")} == names


def test_the_examples_use_metrics_that_there_are(names: set[str]) -> None:
    examples = re.findall(r"^```yaml\n(.*?)^```$", text("guides/monitoring"), re.MULTILINE | re.DOTALL)
    scrape, alerts = (yaml.safe_load(example) for example in examples)
    assert scrape["scrape_configs"][0]["job_name"] == "tvarr-backup"
    used = {name for rule in alerts["groups"][0]["rules"] for name in re.findall(r"tvarr_backup_\w+", rule["expr"])}
    assert used <= names
