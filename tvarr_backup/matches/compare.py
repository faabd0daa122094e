"""What the expressions match that differ between two states."""

from __future__ import annotations

from tvarr_backup.expressions.limits import Limit
from tvarr_backup.matches.items import changes_of_comparison
from tvarr_backup.matches.preview import SAMPLE, Preview, Progress, preview_changes
from tvarr_backup.portable.states import Comparison


def compare_states(
    comparison: Comparison,
    *,
    size: int = SAMPLE,
    limit: Limit | None = None,
    progress: Progress | None = None,
    may_read_addresses: bool = True,
) -> Preview:
    """Return what the items that differ between two states match, on the rows and with the mapping rules of now.

    Raises what `preview_changes` raises.
    """
    changes = changes_of_comparison(comparison)
    return preview_changes(changes, limit=limit, progress=progress, size=size, may_read_addresses=may_read_addresses)
