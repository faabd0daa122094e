"""Every warning about one expression."""

from collections.abc import Iterator
from itertools import islice

from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.lint_actions import warn_about_actions
from tvarr_backup.expressions.lint_conditions import warn_about_condition
from tvarr_backup.expressions.lint_texts import warn_about_moved_not, warn_about_texts
from tvarr_backup.expressions.parse import Parsed
from tvarr_backup.expressions.warned import Warned

MOST_WARNINGS = 100
"""The suggestion of a field takes a third of a millisecond, and nobody reads more."""


def find_warnings(parsed: Parsed, domain: Domain) -> tuple[Warned, ...]:
    """In the order of their columns; of more than `MOST_WARNINGS` the first that are found."""
    return tuple(sorted(islice(_warn(parsed, domain), MOST_WARNINGS), key=lambda warned: warned.column))


def _warn(parsed: Parsed, domain: Domain) -> Iterator[Warned]:
    expression = parsed.expression
    if expression.condition is not None:
        yield from warn_about_condition(expression.condition, domain)
        yield from warn_about_actions(expression.condition, expression.actions, domain)
    yield from warn_about_texts(parsed, domain)
    yield from warn_about_moved_not(parsed)
