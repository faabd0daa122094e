"""Events by name: what the code logs is what the documentation lists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.installation import ROOT
from tvarr_backup.operations.kinds import KINDS

EVENT = re.compile(r"[a-z]+\.[a-z_]+")
LEVELS = {"debug", "info", "warning", "error", "critical", "exception", "log"}


def first_words(path: Path) -> Iterator[tuple[str, ast.expr]]:
    """What every call of a logger in a module says first, with the name of the level."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        function, words = node.func, list(node.args)
        if isinstance(function, ast.Name) and function.id == "partial":  # partial(logger.info, "...")
            function = words.pop(0)
        if isinstance(function, ast.Attribute) and function.attr in LEVELS and _is_logger(function.value):
            yield function.attr, words[1 if function.attr == "log" else 0]


def _is_logger(node: ast.expr) -> bool:
    word = ast.unparse(node)
    return word in {"logger", "tracker", "self"} or "get_logger" in word


def logged() -> set[str]:
    modules = [path for folder in ("config", "tvarr_backup") for path in (ROOT / folder).rglob("*.py")]
    said = [word for path in modules if path != ROOT / "config/gunicorn.py" for _, word in first_words(path)]
    named = {word.value for word in said if isinstance(word, ast.Constant) and isinstance(word.value, str)}
    assert {ast.unparse(word) for word in said if not isinstance(word, ast.Constant)} <= {"event"}
    return named | {kind.failure_event for kind in KINDS.values()}


def listed() -> set[str]:
    rows = [line for line in (ROOT / "docs/reference/logs.md").read_text().splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([a-z]+\.[a-z_]+)`", row.split("|")[1])}


def test_every_event_is_listed_and_every_listed_one_is_logged() -> None:
    assert logged() == listed()
    assert len(listed()) > 40


def test_the_log_is_told_names_and_no_sentences() -> None:
    assert [name for name in logged() if not EVENT.fullmatch(name)] == []
