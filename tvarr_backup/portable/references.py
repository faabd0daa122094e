"""References between rows: lookup of the name or id in a file, and of references that wait for their target."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import router, transaction
from django.utils import timezone

from tvarr_backup.models import EncodingProfile, EpgSource, PortableRow, SourceType, StreamSource
from tvarr_backup.portable.kinds import KINDS, Kind, ReferenceTarget, Slug
from tvarr_backup.portable.models import HeldReference


@dataclass(frozen=True, slots=True)
class Resolved:
    """The id for the column, or the value of the file if no row has it."""

    row_id: str | None = None
    unresolved: str = ""


_NOTHING = Resolved()


class References:
    """Lookup for the references of one kind, with those that wait for their target (in `default`) if `with_waiting`.

    `profiles` are the names of encoding profiles by id; those of the live database if it is None.
    """

    def __init__(self, kind: Kind, *, with_waiting: bool = True, profiles: Mapping[str, str] | None = None) -> None:
        self._reference = kind.reference
        self._names_by_id: dict[str, dict[str, str]] = {}
        self._ids_by_name: dict[str, dict[str, str]] = {}
        self._waiting: dict[tuple[str, datetime | None], str] = {}
        self._coming: Mapping[str, str] = {}
        if kind.reference is None:
            return
        by_name = kind.reference.target is ReferenceTarget.PROFILE_NAME
        self._names_by_id = (
            {"": dict(profiles)} if by_name and profiles is not None else _names_by_id(kind.reference.target)
        )
        self._ids_by_name = {
            group: {name: row_id for row_id, name in reversed(names.items())}
            for group, names in self._names_by_id.items()
        }
        if not with_waiting:
            return
        waiting = HeldReference.objects.filter(kind=kind.slug).values_list("row_id", "row_updated_at", "value")
        self._waiting = {(row_id, updated_at): value for row_id, updated_at, value in waiting}

    def exported(self, row: PortableRow) -> str:
        """Return the name or id of the row's target, or the value of its file if it waits; "" for none."""
        if self._reference is None:
            return ""
        row_id = getattr(row, self._reference.column)
        if row_id is None:
            return self._waiting.get((row.id, row.updated_at), "")
        if self._reference.target is ReferenceTarget.SOURCE_ID:
            return str(row_id)  # like tvarr, even if the source no longer exists
        return self._names_by_id[""].get(row_id, "")

    def with_coming(self, coming: Mapping[str, str]) -> References:
        """Return a lookup that also finds profiles which the same import stores: placeholders by their name in the file."""
        if not coming or self._reference is None or self._reference.target is not ReferenceTarget.PROFILE_NAME:
            return self
        found = copy(self)
        found._coming = coming  # noqa: SLF001  # a copy of this object
        return found

    def resolve(self, value: str, source_type: str, mapped_to: str | None = None) -> Resolved:
        """Look up the value of a file, or the name that the user has chosen instead."""
        if not value or self._reference is None:
            return _NOTHING
        if mapped_to is None and value in self._coming:
            return Resolved(row_id=self._coming[value])
        group = source_type if self._reference.target is ReferenceTarget.SOURCE_ID else ""
        if mapped_to is None and self._reference.target is ReferenceTarget.SOURCE_ID:
            exists = value in self._names_by_id.get(group, {})
            return Resolved(row_id=value) if exists else Resolved(unresolved=value)
        found = self._ids_by_name.get(group, {}).get(value if mapped_to is None else mapped_to)
        return Resolved(row_id=found) if found else Resolved(unresolved=value)

    def names_for(self, source_type: str) -> tuple[str, ...]:
        """Return the sorted names that an item of this source type can refer to."""
        by_source = self._reference is not None and self._reference.target is ReferenceTarget.SOURCE_ID
        return tuple(sorted(set(self._names_by_id.get(source_type if by_source else "", {}).values())))


def _names_by_id(target: ReferenceTarget) -> dict[str, dict[str, str]]:
    """Return names of live rows by id: sources by their type, profiles under ""."""
    if target is ReferenceTarget.PROFILE_NAME:
        return {"": dict(EncodingProfile.objects.values_list("id", "name"))}
    return {
        SourceType.STREAM: dict(StreamSource.objects.values_list("id", "name")),
        SourceType.EPG: dict(EpgSource.objects.values_list("id", "name")),
    }


def remember_references(kind: Kind, rows: Iterable[PortableRow], unresolved: Mapping[str, str]) -> None:
    """Store the unresolved references (by row id) of written rows, and delete older ones of these rows on commit.

    Call it inside the transaction on `tvarr` that writes the rows.
    """
    if kind.reference is None:
        return
    written = {row.id: row for row in rows}
    new = HeldReference.objects.bulk_create(
        HeldReference(
            kind=kind.slug,
            row_id=row_id,
            member=kind.reference.member,
            value=value,
            row_updated_at=written[row_id].updated_at,
        )
        for row_id, value in unresolved.items()
    )
    _delete_on_commit(kind, list(written), keep={reference.pk for reference in new})


def _delete_on_commit(kind: Kind, row_ids: list[str], keep: Collection[int] = ()) -> None:
    def delete() -> None:
        for ids in _batches(row_ids):
            old = HeldReference.objects.filter(kind=kind.slug, row_id__in=ids).values_list("pk", flat=True)
            HeldReference.objects.filter(pk__in=set(old).difference(keep)).delete()

    transaction.on_commit(delete, using=router.db_for_write(kind.model))


@dataclass(frozen=True)
class CompletedReference:
    """A row that was linked to the target it waited for."""

    kind: Kind
    row: Any
    value: str


def complete_references() -> list[CompletedReference]:
    """Complete every waiting reference whose target exists now. Call it inside a transaction on `tvarr`."""
    by_kind: dict[str, list[HeldReference]] = defaultdict(list)
    for reference in HeldReference.objects.all():
        by_kind[reference.kind].append(reference)
    return [completed for slug, waiting in by_kind.items() for completed in _complete_kind(KINDS[Slug(slug)], waiting)]


def _complete_kind(kind: Kind, waiting: list[HeldReference]) -> Iterable[CompletedReference]:
    references = References(kind)
    reference = kind.reference
    if reference is None:
        return
    for batch in _batches(waiting):
        rows = kind.model.objects.in_bulk([waiter.row_id for waiter in batch])
        for waiter in batch:
            row = rows.get(waiter.row_id)
            if row is None or references.exported(row) != waiter.value:
                continue
            resolved = references.resolve(waiter.value, getattr(row, "source_type", ""))
            if resolved.row_id is not None:
                setattr(row, reference.column, resolved.row_id)
                row.updated_at = timezone.now()
                row.save(update_fields=[reference.field, "updated_at"])
                _delete_on_commit(kind, [row.id])
                yield CompletedReference(kind, row, waiter.value)


def _batches(values: list[Any], size: int = 500) -> Iterable[list[Any]]:
    return (values[start : start + size] for start in range(0, len(values), size))
