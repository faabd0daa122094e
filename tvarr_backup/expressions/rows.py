"""Reading of rows into the texts that conditions compare.

Conditions find a text by its slot. A record of a domain is a sequence with a slot for nothing (empty text), one for each column,
and for filters one more for each column in lower case. A request is a mapping, because it may have any header.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice, repeat
from typing import Any

from tvarr_backup.expressions.columns import CHANNEL_COLUMNS, PROGRAMME_COLUMNS, TIME_COLUMNS
from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.requests import read_request
from tvarr_backup.expressions.values import fold, read_time, read_value

Row = Mapping[str, Any]
"""A record, by the names of its columns (`CHANNEL_COLUMNS`, `PROGRAMME_COLUMNS`), with `Value` as values; a missing column is
empty. Times are in RFC 3339. The row of a request has the members that `read_request` describes."""
Slot = Any
"""An index, or the name of a column of a request."""
Texts = Any
"""A sequence or a mapping from slots to texts."""

NOTHING = 0
_COLUMNS: Mapping[Domain, tuple[str, ...]] = {
    Domain.STREAM_FILTER: CHANNEL_COLUMNS,
    Domain.STREAM_MAPPING: CHANNEL_COLUMNS,
    Domain.EPG_FILTER: PROGRAMME_COLUMNS,
    Domain.EPG_MAPPING: PROGRAMME_COLUMNS,
}


def find_slot(column: str | None, domain: Domain, *, compared: bool = False) -> Slot:
    """Return where the text of a column is, as it is or as text operators compare it. No column is a slot with empty text."""
    if column is None:
        return NOTHING
    if domain is Domain.CLIENT_DETECTION:
        return column
    columns = _COLUMNS[domain]
    return 1 + columns.index(column) + (len(columns) if compared and domain.is_filter else 0)


class RowReader:
    """Reads the columns that some programs of one domain need. `folded` are those that text operators compare."""

    def __init__(self, columns: Iterable[str], folded: Iterable[str], domain: Domain) -> None:
        self.columns = tuple(dict.fromkeys(columns))
        self._domain = domain
        self._folded = frozenset(folded if domain.is_filter else ())
        self._readers = [read_time if column in TIME_COLUMNS else read_value for column in self.columns]

    def read(self, row: Row) -> Texts:
        """Return the texts of one row, in a new list or dictionary."""
        if self._domain is Domain.CLIENT_DETECTION:
            found = read_request(row)
            return {NOTHING: "", **{column: found.get(column, "") for column in self.columns}}
        values = [[row.get(column)] for column in self.columns]
        return list(next(self._prepare(values)))

    def read_rows(self, rows: Iterable[Sequence[Any]], chunk_rows: int) -> Iterator[Sequence[Texts]]:
        """Yield the texts of chunks of rows, whose values are in the order of `columns`. Further values are ignored."""
        rows = iter(rows)
        while chunk := list(islice(rows, chunk_rows)):
            yield list(self._prepare(list(zip(*chunk, strict=True)))) if self.columns else [[""]] * len(chunk)

    def _prepare(self, values: Sequence[Sequence[Any]]) -> Iterator[tuple[str, ...]]:
        """Yield one tuple of slots for each row. A column at a time is twice as fast as a row at a time."""
        columns = _COLUMNS[self._domain]
        slots: list[Iterable[str]] = [repeat("")] * (1 + len(columns) * (1 + self._domain.is_filter))
        for column, read, column_values in zip(self.columns, self._readers, values, strict=False):
            texts = _read_column(column_values, read)
            slots[find_slot(column, self._domain)] = texts
            if column in self._folded:
                slots[find_slot(column, self._domain, compared=True)] = [
                    text.lower() if text.isascii() else fold(text) for text in texts
                ]
        return zip(*slots, strict=False)


def _read_column(values: Sequence[Any], read: Callable[[Any], str]) -> Sequence[str]:
    if read is read_value and set(map(type, values)) == {str}:
        return values
    return [read(value) for value in values]
