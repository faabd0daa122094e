"""Events by name: what the code logs is what the documentation lists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.installation import ROOT
from tvarr_backup.operations.kinds import KINDS

EVENT = re.compile(r"[a-z_]+\.[a-z_]+")
LEVELS = {"debug", "info", "warning", "error", "critical", "exception", "log"}


def first_words(path: Path) -> Iterator[ast.expr]:
    """Yield the event of every call of a logger in a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        function, words = node.func, list(node.args)
        if isinstance(function, ast.Name) and function.id == "partial":  # partial(logger.info, "...")
            function = words.pop(0)
        if isinstance(function, ast.Attribute) and _is_logger(function):
            yield words[1 if function.attr == "log" else 0]


def _is_logger(function: ast.Attribute) -> bool:
    word = ast.unparse(function.value)
    is_outage = word in {"self.outage", "self._outage", "_database_outage"} and function.attr in {"log", "end"}
    return is_outage or (function.attr in LEVELS and (word in {"logger", "tracker", "self"} or "get_logger" in word))


def assigned_events(path: Path) -> Iterator[ast.expr]:
    """Yield what a variable `event` can be, which is logged later."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["event"]:
            yield from (one for one in ast.walk(node.value) if isinstance(one, ast.Constant))


def logged() -> set[str]:
    folders = [(ROOT / folder).rglob("*.py") for folder in ("config", "tvarr_backup")]
    modules = [path for paths in folders for path in paths if path != ROOT / "config/gunicorn.py"]
    said = [word for path in modules for word in first_words(path)]
    assert {ast.unparse(word) for word in said if not isinstance(word, ast.Constant)} <= {"event"}
    said += [word for path in modules for word in assigned_events(path)]
    named = {word.value for word in said if isinstance(word, ast.Constant) and isinstance(word.value, str)}
    return {name for name in named if EVENT.fullmatch(name)} | {kind.failure_event for kind in KINDS.values()}


def listed() -> set[str]:
    rows = [line for line in (ROOT / "docs/reference/logs.md").read_text().splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([a-z_]+\.[a-z_]+)`", row.split("|")[1])}


def test_every_event_is_listed_and_every_listed_one_is_logged() -> None:
    assert logged() == listed()
    assert len(listed()) > 40


def test_events_are_names_and_no_sentences() -> None:
    for path in (ROOT / "tvarr_backup").rglob("*.py"):
        for word in first_words(path):
            assert not isinstance(word, ast.Constant) or EVENT.fullmatch(str(word.value)), f"{path}: {word.value!r}"
