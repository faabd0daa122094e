"""Sentences are made in one place and read by nobody: neither errors nor sentences are made of finished texts with values."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tvarr_backup import errors
from tvarr_backup.program import ROOT

PACKAGE = ROOT / "tvarr_backup"
ERRORS = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
MADE_HERE = [
    *sorted((PACKAGE / "access").glob("*.py")),
    *sorted((PACKAGE / "api").rglob("*.py")),
    *sorted((PACKAGE / "backups").glob("*.py")),
    *sorted((PACKAGE / "locations").glob("*.py")),
    *sorted((PACKAGE / "operations").glob("*.py")),
    *sorted((PACKAGE / "management").rglob("*.py")),
    *sorted((PACKAGE / "portable").glob("*.py")),
    *sorted((PACKAGE / "expressions").glob("*.py")),
    *sorted((PACKAGE / "transfer").glob("*.py")),
    *sorted((PACKAGE / "web").glob("*.py")),
    *sorted((PACKAGE / "admin").glob("*.py")),
    *(
        PACKAGE / f"{name}.py"
        for name in (
            *("columns", "conf", "etags", "models", "owner", "permissions", "schema", "supervisor", "tvarr_database"),
            "way_out",
        )
    ),
]
"""Modules whose sentences name files, numbers and other facts."""
READING = re.compile(
    r"""["'] (?:not )?in str\(|in str\((?:problem|error|refused)\)(?!\.splitlines)|without_paths\(str|str\(problem\)\.(?!split)"""
)
"""How a sentence would be read."""
FOREIGN = {"archive.py"}
"""Of zlib, which says what is wrong in a sentence alone."""


@pytest.mark.parametrize("path", MADE_HERE, ids=lambda path: path.stem)
def test_facts_are_given_by_name(path: Path) -> None:
    made = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS | {"Sentence"}
    ]
    for call in made:
        assert not any(isinstance(argument, ast.JoinedStr) for argument in call.args), f"{path.name}:{call.lineno}"


@pytest.mark.parametrize("path", MADE_HERE, ids=lambda path: path.stem)
def test_every_fact_of_a_template_is_given(path: Path) -> None:
    for call in ast.walk(ast.parse(path.read_text())):
        if not (
            isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ERRORS | {"Sentence"}
        ):
            continue
        given = {keyword.arg for keyword in call.keywords}
        texts = [one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        named = {name for text in texts if given for name in re.findall(r"(?<!\{)\{([a-z_]+)", text)}
        assert None in given or named <= given | {"damage"}, f"{path.name}:{call.lineno}: {named - given}"


def test_no_logic_reads_a_sentence() -> None:
    found = [path for path in PACKAGE.rglob("*.py") if path.name not in FOREIGN and READING.search(path.read_text())]
    assert found == []


def test_no_template_reads_a_sentence() -> None:
    found = [
        path
        for path in (ROOT / "templates").rglob("*.html")
        if re.search(r"""["'] in \w+\.(error|message)""", path.read_text())
    ]
    assert found == []
