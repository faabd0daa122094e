"""Counts as tvarr's own tests of expressions make them, which differ from its generation.

Channels and programmes are those in the database, before the mapping rules, and also of disabled sources. Mapping rules are
tested with the names and the comparisons of filters. A request has only its headers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tvarr_backup.expressions import Domain
from tvarr_backup.expressions.domains import RowKind
from tvarr_backup.expressions.evaluate import Outcome, compile_expression
from tvarr_backup.expressions.limits import Limit
from tvarr_backup.matches.preview import SECONDS
from tvarr_backup.matches.rows import Share, find_sources, read_channels, read_programmes
from tvarr_backup.models import StreamSource

_CLIENT_ADDRESS = "127.0.0.1:0"


@dataclass(frozen=True, slots=True)
class StoredCount:
    """Matching and all rows, and the ids of the matching rows that were asked for, by id."""

    matched: int
    total: int
    ids: tuple[str, ...] = ()


def count_stored(
    text: str,
    domain: Domain,
    sources: Sequence[str] | None,
    *,
    is_inverse: bool = False,
    listed: range = range(0),
    limit: Limit | None = None,
) -> StoredCount:
    """Count the rows of these sources, or of all stream sources, on which an expression gives the result, or its inverse.

    Rows on which it fails do not count. `listed` are the numbers of the matching rows whose ids are returned. Raises
    `InvalidExpression`, `ExpressionTooLarge`, `EvaluationTooSlow` and `EvaluationCanceled`.
    """
    row_kind = domain.row_kind
    limit = limit or Limit(SECONDS)
    program = compile_expression(text, Domain.STREAM_FILTER if row_kind is RowKind.CHANNELS else Domain.EPG_FILTER)
    if sources is None:
        sources = find_sources(StreamSource, with_disabled=True)
    columns = program.fields
    everything = Share(0)
    batches = (
        read_channels(columns, sources)
        if row_kind is RowKind.CHANNELS
        else read_programmes(columns, everything, sources)
    )
    matched = total = 0
    ids: list[str] = []
    for rows in batches:
        outcomes = program.evaluate_rows([[row[column] for column in columns] for row in rows], limit)
        for row, outcome in zip(rows, outcomes, strict=True):
            total += 1
            if outcome.matches is not None and outcome.matches is not is_inverse:
                if matched in listed:
                    ids.append(row["id"])
                matched += 1
    return StoredCount(matched, total, tuple(ids))


def match_headers(text: str, headers: Mapping[str, str]) -> Outcome:
    """Return whether a client detection rule matches a request with only these headers.

    Raises `InvalidExpression` and `ExpressionTooLarge`.
    """
    program = compile_expression(text, Domain.CLIENT_DETECTION)
    request = {"method": "", "remote_addr": _CLIENT_ADDRESS, "headers": [list(pair) for pair in headers.items()]}
    return program.evaluate(request)
