"""Collect the figures of the long tests and show them in tables at the end.

A plugin: `pytest -p tests.faults.figures`; the tests' `conftest.py` loads it where nobody has named it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

_KEY = "fault figures"
Table = dict[str, dict[str, Any]]


@dataclass
class Figures:
    """Rows by the name of a table and their own first word; numbers are summed up, words replace each other."""

    tables: dict[str, Table] = field(default_factory=lambda: defaultdict(dict))

    def count(self, table: str, row: str, **cells: Any) -> None:
        """Add to a row."""
        _merge(self.tables[table].setdefault(row, {}), cells)

    def merge(self, tables: Mapping[str, Table]) -> None:
        """Add the figures of another test."""
        for table, rows in tables.items():
            for row, cells in rows.items():
                self.count(table, row, **cells)


def _merge(row: dict[str, Any], cells: Mapping[str, Any]) -> None:
    for name, value in cells.items():
        if isinstance(value, int):
            row[name] = row.get(name, 0) + value
        elif isinstance(value, float):
            row[name] = max(row.get(name, 0.0), value)
        else:
            row[name] = value


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterable[Figures]:
    """What this test counts."""
    counted = Figures()
    yield counted
    request.node.user_properties.append((_KEY, {name: dict(rows) for name, rows in counted.tables.items()}))


@pytest.hookimpl
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the tables."""
    total = Figures()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", []):
                if name == _KEY and report.when == "teardown":
                    total.merge(value)
    for name, rows in total.tables.items():
        terminalreporter.section(name)
        for line in _lines(dict(sorted(rows.items()))):
            terminalreporter.write_line(line)


def _lines(rows: Table) -> list[str]:
    columns = list(dict.fromkeys(column for cells in rows.values() for column in cells))
    numeric = {
        column for column in columns if all(isinstance(row.get(column, 0), int | float) for row in rows.values())
    }
    table = [
        ["", *columns],
        *([name, *(_shown(cells.get(column, "")) for column in columns)] for name, cells in rows.items()),
    ]
    sums = [sum(row.get(column, 0) for row in rows.values()) if column in numeric else "" for column in columns]
    if len(rows) > 1 and all(isinstance(value, int) for value in sums):
        table.append(["all", *map(_shown, sums)])
    widths = [max(len(line[index]) for line in table) for index in range(len(columns) + 1)]
    return [
        "  ".join(
            cell.ljust(width) if not index or columns[index - 1] not in numeric else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]


def _shown(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
