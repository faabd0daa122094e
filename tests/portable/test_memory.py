"""A preview of many items takes little memory for each: measured in a fresh process, between two numbers of items."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.installation import ROOT, Installation

pytestmark = pytest.mark.long

MOST_BYTES_AN_ITEM = 2_200
PREVIEWS = """
import io, json, resource
import django
django.setup()
from tvarr_backup.portable.envelope import read_envelope
from tvarr_backup.portable.kinds import KINDS
from tvarr_backup.portable.plan import plan_import
from tvarr_backup.portable.report import plan_as_json

for number in (10_000, 30_000):
    items = ({"name": f"Filter {n}", "expression": f'tvg_id == "x{n}"', "source_type": "stream"} for n in range(number))
    file = io.BytesIO(b'{"metadata": {"version": "1.0.0", "export_type": "filters"}, "items": [')
    file.seek(0, io.SEEK_END)
    file.write(b", ".join(json.dumps(item).encode() for item in items) + b"]}")
    file.seek(0)
    plan = plan_import(read_envelope(file, KINDS["filters"], ""))
    assert len(plan.steps) == number
    assert sum(map(len, plan_as_json(plan))) > 100 * number
    del plan
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def test_a_preview_of_more_items_takes_little_more_memory(prepared: Installation) -> None:
    variables = prepared.variables() | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run(
        [sys.executable, "-c", PREVIEWS],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    few, many = map(int, done.stdout.split())
    assert (many - few) / 20_000 < MOST_BYTES_AN_ITEM
