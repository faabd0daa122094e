"""What tvarr itself made of expressions, as described in README.md."""

import gzip
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def _lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


VECTORS = _lines((FOLDER / "vectors.jsonl").read_text(encoding="utf-8"))
SYSTEM = [vector for vector in VECTORS if vector.get("system")]
EVALUATIONS = _lines(gzip.decompress((FOLDER / "evaluation_vectors.jsonl.gz").read_bytes()).decode())
COMBINATIONS = _lines((FOLDER / "combination_vectors.jsonl").read_text(encoding="utf-8"))
