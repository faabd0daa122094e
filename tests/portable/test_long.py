"""What takes minutes: full size, many processes, a great many broken files. `make test-long` runs it."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.installation import ROOT, Installation
from tests.portable.files import EXAMPLES, FILTERS, document, filter_item
from tvarr_backup.errors import FileRefused
from tvarr_backup.portable.envelope import MAX_ITEMS, read_envelope
from tvarr_backup.portable.kinds import KINDS

pytestmark = pytest.mark.long

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=12), inner, max_size=5),
    max_leaves=30,
)


def test_a_file_of_100_000_items_is_imported_and_exported_unchanged(prepared: Installation, tmp_path: Path) -> None:
    items = [filter_item(f"Filter {number}", expression=f'tvg_id == "x{number}"') for number in range(MAX_ITEMS)]
    file = tmp_path / "filters.json"
    file.write_text(json.dumps(document(FILTERS, *items)))
    command = [sys.executable, str(ROOT / "manage.py"), "portable", "import", "filters", str(file)]
    done = subprocess.run(command, env=prepared.variables(), capture_output=True, text=True, timeout=900, check=False)
    assert done.stdout.endswith("100000 items: 100000 added\n")
    assert prepared.json("portable", "export", "filters", "--all")["items"] == items


def test_many_simultaneous_imports_make_no_duplicates(prepared: Installation, tmp_path: Path) -> None:
    for round_number in range(10):
        file = tmp_path / f"{round_number}.json"
        file.write_text(json.dumps(document(FILTERS, *[filter_item(f"R{round_number} {n}") for n in range(100)])))
        command = [sys.executable, str(ROOT / "manage.py"), "portable", "import", "filters", str(file), "--json"]
        running = [
            subprocess.Popen(command, env=prepared.variables(), stdout=subprocess.PIPE, text=True) for _ in range(8)
        ]
        results = [json.loads(process.communicate(timeout=120)[0]) for process in running]
        assert sum(result["imported"] for result in results) == 100
    items = prepared.json("portable", "export", "filters", "--all")["items"]
    assert len({item["name"] for item in items}) == len(items) == 1_000


@pytest.mark.parametrize("kind", KINDS.values(), ids=[*KINDS])
@settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_damaged_file_is_refused_with_a_message_or_read(kind: Any, data: st.DataObject) -> None:
    value = document(kind, EXAMPLES[kind.slug](), EXAMPLES[kind.slug]("Other"))
    place: Any = data.draw(st.sampled_from([value, value["metadata"], value["items"][0]]))
    place[data.draw(st.sampled_from([*place, "new"]))] = data.draw(JSON)
    raw = bytearray(json.dumps(value).encode())
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FileRefused):
        assert len(read_envelope(io.BytesIO(bytes(raw)), kind).items) <= 5
