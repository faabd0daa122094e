"""A preview of many items takes little memory: measured in a fresh process for each, from before it begins."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.installation import ROOT, Installation
from tests.portable.files import FILTERS, document, filter_item

pytestmark = pytest.mark.long

MANY = 90_000
MOST_BYTES = 128 * 2**20

_PEAK = """
import sys
import django
django.setup()
from django.core.management import call_command
from tvarr_backup.portable.envelope import read_envelope
from tvarr_backup.portable.kinds import KINDS
from tvarr_backup.portable.plan import plan_import
from tvarr_backup.portable.report import plan_as_json

def peak():
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM:"))

before = peak()
"""
_PLAN = """
with open(sys.argv[1], "rb") as file:
    plan = plan_import(read_envelope(file, KINDS["filters"]))
assert len(plan.steps) == int(sys.argv[2])
assert sum(map(len, plan_as_json(plan))) > 100 * len(plan.steps)
"""
_COMMAND = """
with open("/dev/null", "w") as out:
    call_command("portable", "plan", "filters", sys.argv[1], "--json", stdout=out)
"""


@pytest.mark.parametrize("preview", [_PLAN, _COMMAND], ids=["plan", "command"])
def test_a_preview_of_90_000_items_takes_little_memory(prepared: Installation, tmp_path: Path, preview: str) -> None:
    file = tmp_path / "filters.json"
    file.write_text(json.dumps(document(FILTERS, *[_filter(number) for number in range(MANY)])))
    done = subprocess.run(
        [sys.executable, "-c", f"{_PEAK}{preview}print(peak() - before)", str(file), str(MANY)],
        cwd=ROOT,
        env=prepared.variables() | {"DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        timeout=900,
        check=True,
    )
    assert int(done.stdout) < MOST_BYTES


def _filter(number: int) -> dict[str, object]:
    expression = f'group_title == "Group {number}" AND (channel_name contains "HD" OR tvg_id starts_with "x{number}")'
    return filter_item(f"Filter {number}", description=f"Keeps what belongs to group {number}", expression=expression)
