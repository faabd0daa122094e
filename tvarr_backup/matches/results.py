"""What was counted: for one expression, for each item of a preview, and for the outputs of proxies.

Names and values are texts of tvarr's database. `expressions.values.shown` makes them displayable, and entrances escape hidden
characters in them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from tvarr_backup.expressions import Domain
from tvarr_backup.expressions.combination_warnings import CombinationWarning
from tvarr_backup.expressions.domains import RowKind
from tvarr_backup.expressions.failures import FailureCode
from tvarr_backup.expressions.problems import Problem
from tvarr_backup.portable.kinds import Slug


class Stop(StrEnum):
    """Why a count is not complete."""

    TIME = "time"
    """Its time was used up. The count covers the first rows."""
    TOO_LARGE = "too_large"
    """The regular expressions of the expression need more time or memory than is allowed. Nothing was counted."""
    DENIED = "denied"
    """The expression reads addresses of streams, which the user may not see. Nothing was counted."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The rows that were evaluated.

    `in_database` is their number in tvarr's database, for programmes with those of disabled sources. If `ending` is not "", only
    programmes were read whose id ends in two characters below it. `not_utf8` rows have a text that is not UTF-8.
    """

    row_kind: RowKind
    in_database: int = 0
    evaluated: int = 0
    ending: str = ""
    not_utf8: int = 0

    @property
    def is_sampled(self) -> bool:
        return bool(self.ending)


@dataclass(frozen=True, slots=True)
class NamedRow:
    """A row of a sample: the id of a channel or programme and its name, or the name of a player."""

    row_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Names:
    """How many rows there are, and the first of them in the order of their ids."""

    count: int = 0
    sample: tuple[NamedRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """An error at run time, how many rows it happened in, and the first of them."""

    code: FailureCode
    count: int
    example: NamedRow


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A column that a mapping rule changes, with both texts."""

    column: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """A row that a mapping rule changes."""

    row: NamedRow
    changes: tuple[ValueChange, ...]


@dataclass(frozen=True, slots=True)
class Matches:
    """What one expression matches.

    `evaluated` rows were tried; the expression failed in `failed` of them. `changed` rows would get other values from a mapping
    rule, and a client detection rule would assign these settings (`honored`) to the players in `matched`. If tvarr refuses the
    expression, `problem` is set and the rest is empty. `is_blank` means that tvarr skips it.
    """

    evaluated: int = 0
    matched: Names = field(default_factory=Names)
    failures: tuple[Failure, ...] = ()
    changed: int = 0
    changes: tuple[ChangedRow, ...] = ()
    problem: Problem | None = None
    is_blank: bool = False
    stop: Stop | None = None

    @property
    def failed(self) -> int:
        return sum(failure.count for failure in self.failures)

    @property
    def is_counted(self) -> bool:
        """Whether the numbers mean anything."""
        return self.problem is None and not self.is_blank and self.stop in {None, Stop.TIME}


@dataclass(frozen=True, slots=True)
class Effect:
    """What one item matches, before and after a change. A new item has no `before`, a removed one no `after`.

    `key` identifies the item for the caller. `added` are the rows that only the new expression matches, `removed` those that only
    the old one does. `expression` and `priority` are those after the change.
    """

    key: str
    slug: Slug
    name: str
    domain: Domain
    before: Matches | None
    after: Matches | None
    added: Names = field(default_factory=Names)
    removed: Names = field(default_factory=Names)
    warnings: tuple[CombinationWarning, ...] = ()
    expression: str = ""
    priority: int = 0

    @property
    def current(self) -> Matches:
        """The later of the two."""
        found = self.after or self.before
        assert found is not None
        return found


@dataclass(frozen=True, slots=True)
class ProxyOutput:
    """The channels in a proxy's list before and after a change.

    None for a side means that tvarr could not make a list, because it refuses the filter `refused`. `has_sources` is false if
    the database does not say which sources the proxy has; then those of all sources are counted.
    """

    proxy_id: str
    name: str
    channels: int
    before: int | None
    after: int | None
    added: Names = field(default_factory=Names)
    removed: Names = field(default_factory=Names)
    refused_before: str = ""
    refused_after: str = ""
    has_sources: bool = True
    warnings: tuple[CombinationWarning, ...] = ()
    """About the filters after the change, together."""
