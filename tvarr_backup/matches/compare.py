"""What two versions of an expression match, and what differs."""

from __future__ import annotations

from tvarr_backup.expressions import Domain
from tvarr_backup.expressions.limits import Limit
from tvarr_backup.matches.items import Change, Item, changes_of_comparison, slug_of
from tvarr_backup.matches.preview import SAMPLE, Preview, Progress, preview_changes
from tvarr_backup.portable.states import Comparison


def compare_expressions(
    before: str,
    after: str,
    domain: Domain,
    *,
    priority: int = 0,
    size: int = SAMPLE,
    limit: Limit | None = None,
    may_read_addresses: bool = True,
) -> Preview:
    """Return a preview with one effect. Both see rows as `count_matches` says. Raises what `preview_changes` raises."""
    old, new = (Item(slug_of(domain), "", domain, text, priority=priority) for text in (before, after))
    change = Change("", old, new, is_planned=False)
    return preview_changes([change], limit=limit, size=size, may_read_addresses=may_read_addresses)


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
