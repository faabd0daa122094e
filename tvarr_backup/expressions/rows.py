"""Reading of rows into the texts that conditions compare."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tvarr_backup.expressions.columns import TIME_COLUMNS
from tvarr_backup.expressions.conditions import NO_COLUMN, CompiledCondition, Texts
from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.requests import read_request
from tvarr_backup.expressions.tree import NUMBER_OPERATORS, REGEX_OPERATORS, Comparison
from tvarr_backup.expressions.values import fold, read_time, read_value

Row = Mapping[str, Any]
"""A record, by the names of its columns (`CHANNEL_COLUMNS`, `PROGRAMME_COLUMNS`), with `Value` as values; a missing column is
empty. Times are in RFC 3339. The row of a request has the members that `read_request` describes."""


class RowReader:
    """Reads the columns that some conditions and actions of one domain need, once for all of them."""

    def __init__(self, conditions: Iterable[CompiledCondition], domain: Domain, others: Iterable[str] = ()) -> None:
        comparisons = [comparison for condition in conditions for comparison in condition.comparisons()]
        columns = dict.fromkeys([*(comparison.column for comparison in comparisons), *others])
        folded = dict.fromkeys(comparison.column for comparison in comparisons if _compares_text(comparison))
        self._domain = domain
        self.columns = tuple(column for column in columns if column != NO_COLUMN)
        self._times = tuple(column for column in self.columns if column in TIME_COLUMNS)
        self._folded = tuple(column for column in folded if column != NO_COLUMN)

    def read(self, row: Row) -> tuple[Texts, Texts]:
        """Return the texts of a row as they are, and as the domain compares them."""
        texts = self._texts(row)
        if not self._domain.is_filter:
            return texts, texts
        compared = {column: fold(texts[column]) for column in self._folded}
        compared[NO_COLUMN] = ""
        return texts, compared

    def _texts(self, row: Row) -> dict[str, str]:
        if self._domain is Domain.CLIENT_DETECTION:
            row = read_request(row)
        get: Callable[..., Any] = row.get
        texts = {column: value if type(value := get(column)) is str else read_value(value) for column in self.columns}
        for column in self._times:
            texts[column] = read_time(texts[column])
        texts[NO_COLUMN] = ""
        return texts


def _compares_text(comparison: CompiledCondition) -> bool:
    source = comparison.source
    return isinstance(source, Comparison) and source.operator not in REGEX_OPERATORS | NUMBER_OPERATORS
