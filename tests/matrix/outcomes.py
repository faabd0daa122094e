"""The outcomes of actions, and the expected ones from `docs/reference/matrix.md`, which users read too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.installation import ROOT

DOCUMENT = ROOT / "docs" / "reference" / "matrix.md"
_STATE = "state"
_FOOTNOTE = re.compile(r"\[\^\w+\]")


class Code(StrEnum):
    """The outcomes in the legend of the document, and those that are never expected."""

    WORKS = "works"
    SAYS = "says"
    UNRECORDED = "unrecorded"
    PREVIEW = "preview"
    CONFIRM = "confirm"
    OFFLINE = "offline"
    OTHERS = "others"
    PROBLEM = "problem"
    EMERGENCY = "emergency"
    REFUSED = "refused"

    WRONG = "wrong"
    """Done, but the data is wrong afterwards."""
    HIDDEN = "hidden"
    """A problem is missing on the page, or an unrecorded operation is not reported."""
    UNEXPLAINED = "unexplained"
    """An error without a code."""
    TIMEOUT = "timeout"


@dataclass(frozen=True)
class Outcome:
    """The outcome of an action: `error` is the code of a refusal, `detail` explains a failure of the test."""

    code: Code
    error: str = ""
    detail: str = ""

    def __str__(self) -> str:
        error = f" ({self.error})" if self.error else ""
        return f"{self.code}{error}" + (f": {self.detail}" if self.detail else "")


@dataclass(frozen=True)
class Expected:
    """The expected outcome of a cell; `errors` are the codes that a refusal may have."""

    words: str
    code: Code
    errors: frozenset[str] = frozenset()

    def is_met(self, outcome: Outcome) -> bool:
        if outcome.code is not self.code:
            return False
        return not self.errors or outcome.error in self.errors


def read_table(document: Path = DOCUMENT) -> dict[tuple[str, str], Expected]:
    """Return the expected outcomes by state and action. Raises `AssertionError` if the document contradicts itself."""
    tables, legend = list(_tables(document.read_text(encoding="utf-8"))), read_legend(document)
    cells: dict[tuple[str, str], Expected] = {}
    for head, *rows in tables:
        if head[0].lower() != _STATE:
            continue
        for state, *words in rows:
            assert len(words) == len(head) - 1, f"{state}: {len(words)} cells under {len(head) - 1} actions"
            for action, word in zip(head[1:], words, strict=True):
                assert word in legend, f"{state}, {action}: “{word}” is not in the legend"
                assert (state, action) not in cells, f"{state}, {action} is there twice"
                cells[state, action] = legend[word]
    return cells


def read_legend(document: Path = DOCUMENT) -> Mapping[str, Expected]:
    """Return the table of words, codes and meanings; a refusal's code is followed by those of its errors."""
    tables = _tables(document.read_text(encoding="utf-8"))
    (rows,) = [rows for head, *rows in tables if head[:2] == ["In the tables", "Code"]]
    legend = {}
    for words, codes, *_ in rows:
        code, _, errors = codes.replace("`", "").partition(":")
        legend[words] = Expected(words, Code(code), frozenset(errors.replace(",", " ").split()))
    return legend


def _tables(text: str) -> Iterator[list[list[str]]]:
    """Yield the tables of a Markdown document, each a list of rows with the head first."""
    table: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            cells = [_FOOTNOTE.sub("", cell).strip() for cell in line.strip().strip("|").split("|")]
            if not set("".join(cells)) <= set("-: "):
                table.append(cells)
        elif table:
            yield table
            table = []
