"""What is in the database already, as far as an import needs to know it: read with one query."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

from tvarr_backup.fields import is_ulid
from tvarr_backup.lookalikes import appearance_of
from tvarr_backup.models import PortableRow
from tvarr_backup.portable.kinds import Identity, Kind, identity_of

_BEGINNING = datetime.min.replace(tzinfo=UTC)


class Present:
    """Live rows with one of the wanted identities, all that are taken, and names that deleted rows still hold."""

    def __init__(self, kind: Kind, wanted: set[Identity]) -> None:
        self.taken: set[Identity] = set()
        """Identities of all live rows."""
        self.names: set[str] = set()
        """Names of all live rows."""
        self.retired: dict[str, PortableRow] = {}
        """Rows marked as deleted by name, where the table's index still counts them."""
        self._rows: dict[Identity, list[PortableRow]] = defaultdict(list)
        self._by_appearance: dict[str, str] = {}
        appearances = {appearance_of(identity.name) for identity in wanted}
        rows = kind.model.all_rows if kind.unique_names else kind.model.objects
        for row in rows.iterator():
            if row.deleted_at is not None:
                self.retired[row.name] = row
                continue
            identity = identity_of(row)
            self.taken.add(identity)
            self.names.add(row.name)
            if identity in wanted and is_ulid(row.id):  # no other row can be written
                self._rows[identity].append(row)
            if (appearance := appearance_of(row.name)) in appearances:
                self._by_appearance[appearance] = row.name
        for same in self._rows.values():
            same.sort(key=lambda row: (row.is_system, row.created_at or _BEGINNING, row.id))

    def rows_of(self, identity: Identity) -> list[PortableRow]:
        """Return the live rows with this identity: those that users created first, then by age."""
        return self._rows.get(identity, [])

    def name_that_looks_like(self, name: str) -> str | None:
        """Return the name of a live row that looks like this one and is another; None where this one itself is taken."""
        other = self._by_appearance.get(appearance_of(name))
        return None if other == name or name in self.names else other
