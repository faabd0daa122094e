"""The one place where an operation ends."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet

from tvarr_backup.operations.models import Operation, OperationState, sentence_columns
from tvarr_backup.sentences import NOTHING, Sentence


def end_operations(
    rows: QuerySet[Operation],
    state: OperationState,
    *,
    message: Sentence = NOTHING,
    error: Sentence = NOTHING,
    **columns: Any,
) -> bool:
    """Store the final state of the operations that `rows` still finds, in one UPDATE. Return whether it found any.

    The sending process takes note of the end (`Operation.is_noticed`), which is the only way in which alerts hear of it.
    """
    values = end_columns(state, message=message, error=error) | columns | {"is_noticed": False}
    return bool(rows.update(**values))


def end_columns(state: OperationState, *, message: Sentence = NOTHING, error: Sentence = NOTHING) -> dict[str, Any]:
    """Return the columns of an operation that ends now."""
    return sentence_columns(message=message, error=error) | {"state": state, "finished_at": datetime.now(UTC)}
