"""Expressions with what tvarr itself made of them, as written (`raw`) and after its rewriting (`rewritten`)."""

import json
from pathlib import Path
from typing import Any

VECTORS: list[dict[str, Any]] = [
    json.loads(line) for line in (Path(__file__).parent / "vectors.jsonl").read_text(encoding="utf-8").splitlines()
]
SYSTEM: list[dict[str, Any]] = [vector for vector in VECTORS if vector.get("system")]
