"""What is in the database already, as far as an import needs to know it: read with one query."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from tvarr_backup.models import PortableRow
from tvarr_backup.portable.kinds import Kind

_BEGINNING = datetime.min.replace(tzinfo=UTC)


class Present:
    """Live rows that bear one of the wanted names, every name that is taken, and names that deleted rows still hold."""

    def __init__(self, kind: Kind, wanted: Collection[str]) -> None:
        self.names: set[str] = set()
        """Names of all live rows."""
        self.retired: dict[str, PortableRow] = {}
        """Rows marked as deleted by name, where the table's index still counts them."""
        self._rows: dict[str, list[PortableRow]] = defaultdict(list)
        self._by_folded_name: dict[str, str] = {}
        folded = {name.casefold() for name in wanted}
        rows = kind.model.all_rows if kind.unique_names else kind.model.objects
        for row in rows.iterator():
            if row.deleted_at is not None:
                self.retired[row.name] = row
                continue
            self.names.add(row.name)
            if row.name in wanted:
                self._rows[row.name].append(row)
            if row.name.casefold() in folded:
                self._by_folded_name[row.name.casefold()] = row.name

    def row_named(self, name: str, source_type: Any) -> PortableRow | None:
        """The live row that is meant by a name: of several, one with the same source type, then the oldest."""
        return min(
            self._rows.get(name, []),
            key=lambda row: (getattr(row, "source_type", None) != source_type, row.created_at or _BEGINNING, row.id),
            default=None,
        )

    def how_many_named(self, name: str) -> int:
        """The number of live rows with just this name."""
        return len(self._rows.get(name, []))

    def name_in_other_case(self, name: str) -> str | None:
        """A live row's name that differs from this one in nothing but letter case."""
        other = self._by_folded_name.get(name.casefold())
        return None if other == name or name in self.names else other
