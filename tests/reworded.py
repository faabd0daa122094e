"""A plugin for pytest with which the program says everything in other words: `-p tests.reworded`.

Each sentence begins with `X `, where sentences are made. What the program does must not change by it. A test that quotes
a sentence ends where it does so: it is left out if the comparison holds without the prefix, and counted. Every other
failure stays one: then logic reads a sentence. Tests of words that no comparison shows have the mark `wording`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Generator, Mapping
from typing import Any

import pytest

from tvarr_backup import sentences

PREFIX = "X "
LEFT_OUT = "quotes a sentence"
_render = sentences._render
_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "in": lambda part, whole: part in whole,
    "not in": lambda part, whole: part not in whole,
}
_ON_A_TEXT = re.compile(r"\.(startswith|endswith|search|match|fullmatch)\(|match=")


def _reworded(template: str, facts: Mapping[str, object], reader: Any) -> str:
    text = _render(template, facts, reader)
    return f"{PREFIX}{text}" if text else text


def pytest_configure() -> None:
    sentences._render = _reworded


class _Last:
    """The comparison that failed last: whether it holds without the prefix."""

    is_of_words: bool | None = None


def pytest_assertrepr_compare(op: str, left: object, right: object) -> None:
    compare = _OPERATORS.get(op)
    _Last.is_of_words = compare is not None and bool(compare(_without_prefix(left), _without_prefix(right)))


def _without_prefix(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(PREFIX, "")
    if isinstance(value, bytes):
        return value.replace(PREFIX.encode(), b"")
    if isinstance(value, Mapping):
        return {name: _without_prefix(one) for name, one in value.items()}
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(map(_without_prefix, value))
    return value


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and call.excinfo is not None and _quotes_a_sentence(call.excinfo):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1] or 0, f"Skipped: {LEFT_OUT}")
    _Last.is_of_words = None
    return report


def _quotes_a_sentence(failure: pytest.ExceptionInfo[BaseException]) -> bool:
    if not isinstance(failure.value, AssertionError):
        return False
    if _Last.is_of_words is not None:
        return _Last.is_of_words
    of_a_test = [str(entry.statement) for entry in failure.traceback if "/tests/" in str(entry.path)]
    return PREFIX in str(failure.value) and bool(of_a_test) and bool(_ON_A_TEXT.search(of_a_test[-1]))
