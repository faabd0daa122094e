"""Rows that a running tvarr keeps in memory and does not reload after a change."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import DatabaseError, router

from tvarr_backup.models import ClientDetectionRule, EncodingProfile, PortableRow
from tvarr_backup.sentences import Sentence
from tvarr_backup.tvarr_database import is_attached

RELOAD_ADVICE = Sentence(
    "tvarr keeps client detection rules and their encoding profiles in memory. To apply this change, turn any client "
    "detection rule off and on in tvarr, or restart tvarr."
)

EVERYTHING = None
"""The rows that a restore changes."""


def needs_reload(changed: Iterable[PortableRow | None] | None) -> bool:
    """Return whether a running tvarr must reload after a change. It loads client detection rules when it starts.

    `changed` has each row before and after the change (None for no row). Only live, enabled rules and their profiles matter.
    Returns False if the database is not tvarr's own or cannot be read.
    """
    if changed is not None and not _is_any_in_memory([row for row in changed if row is not None]):
        return False
    try:
        return is_attached(router.db_for_write(ClientDetectionRule))
    except DatabaseError:
        return False


def _is_any_in_memory(rows: list[PortableRow]) -> bool:
    rules = [row for row in rows if isinstance(row, ClientDetectionRule)]
    if any(rule.is_enabled and rule.deleted_at is None for rule in rules):
        return True
    profiles = {row.pk for row in rows if isinstance(row, EncodingProfile)}
    if not profiles:
        return False
    enabled = ClientDetectionRule.objects.filter(is_enabled=True)
    return not profiles.isdisjoint(enabled.values_list("encoding_profile_id", flat=True))
