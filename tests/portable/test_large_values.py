"""Values of megabytes are cut in answers."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from tests.factories import FilterFactory
from tvarr_backup.errors import ImportBlocked
from tvarr_backup.portable.apply import apply_import
from tvarr_backup.portable.envelope import Envelope, read_envelope
from tvarr_backup.portable.plan import plan_import
from tvarr_backup.portable.report import plan_as_data

pytestmark = pytest.mark.django_db

LARGE = 2_000_000
GOOD = {"name": "Good", "source_type": "stream", "action": "include", "expression": 'channel_name contains "x"'}


def envelope(*items: dict[str, Any]) -> Envelope:
    file = {"metadata": {"version": "1.0.0", "export_type": "filters"}, "items": [GOOD | item for item in items]}
    return read_envelope(io.BytesIO(json.dumps(file).encode()), None)


@pytest.mark.parametrize(
    "item",
    [
        {"name": "n" * LARGE},
        {"name": " " + "n" * LARGE},
        {"source_type": "s" * LARGE},
        {"action": "a" * LARGE},
        {"expression": "e" * LARGE},
        {"description": "d" * LARGE},
        {"x" * LARGE: 1},
        {"source_id": "i" * LARGE},
    ],
    ids=lambda item: next(iter(item))[:20],
)
def test_a_large_value_does_not_make_a_large_answer(item: dict[str, Any]) -> None:
    data = plan_as_data(plan_import(envelope(item, item)))
    assert len(json.dumps(data)) < 20_000


def test_a_large_value_that_differs_is_cut() -> None:
    FilterFactory.create(name="Good", description="short")
    (step,) = plan_as_data(plan_import(envelope({"description": "d" * LARGE})))["items"]
    (shown,) = [difference for difference in step["diff"] if difference["field"] == "description"]
    assert shown["now"] == "short"
    assert shown["in_file"].startswith("ddd")
    assert len(shown["in_file"]) == 20_000


def test_a_refused_import_has_a_short_message() -> None:
    with pytest.raises(ImportBlocked) as refused:
        apply_import(envelope({"name": "n" * LARGE, "expression": None}, {"name": "m" * LARGE, "expression": None}))
    assert len(str(refused.value)) < 3_000
