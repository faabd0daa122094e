"""Many expressions of one domain over the same rows, in one pass."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.evaluate import Outcome, Program, chunk_rows
from tvarr_backup.expressions.limits import Limit
from tvarr_backup.expressions.rows import RowReader


class ProgramSet:
    """Programs of one domain that read each row once, and keep none."""

    def __init__(self, programs: Sequence[Program], domain: Domain) -> None:
        """Raise `ValueError` for a program of another domain."""
        if any(program.domain is not domain for program in programs):
            raise ValueError(domain)
        self.programs = tuple(programs)
        self.reader = RowReader(
            [column for program in programs for column in program.fields],
            [column for program in programs for column in program.folded],
            domain,
        )

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns of a row that can affect any result."""
        return self.reader.columns

    def evaluate_rows(self, rows: Iterable[Sequence[Any]], limit: Limit | None = None) -> Iterator[tuple[Outcome, ...]]:
        """Yield for each record what each program gives. Values are in the order of `fields`; further values are ignored.

        Raise `EvaluationTooSlow` or `EvaluationCanceled` in between.
        """
        limit = limit or Limit()
        tests = [program.evaluate_texts for program in self.programs]
        for chunk in self.reader.read_rows(rows, chunk_rows(sum(program.weight for program in self.programs) or 1)):
            limit.check()
            for texts in chunk:
                yield tuple([test(texts) for test in tests])
