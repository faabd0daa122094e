"""Many expressions of one domain over the same rows, in one pass."""

from collections.abc import Iterable, Iterator, Sequence

from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.evaluate import Outcome, Program
from tvarr_backup.expressions.limits import Limit
from tvarr_backup.expressions.rows import Row, RowReader


class ProgramSet:
    """Programs of one domain that read each row once, and keep none."""

    def __init__(self, programs: Sequence[Program], domain: Domain) -> None:
        """Raise `ValueError` for a program of another domain."""
        if any(program.domain is not domain for program in programs):
            raise ValueError(domain)
        self.programs = tuple(programs)
        self.reader = RowReader(
            [program.condition for program in programs if program.condition is not None],
            domain,
            [column for program in programs for column in program.fields],
        )

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns of a row that can affect any result."""
        return self.reader.columns

    def evaluate(self, row: Row, limit: Limit) -> tuple[Outcome, ...]:
        """Return what each program gives for a row. Raise as `evaluate_rows`."""
        texts, compared = self.reader.read(row)
        outcomes: list[Outcome] = []
        for program in self.programs:
            limit.check()
            outcomes.append(program.evaluate_texts(texts, compared))
        return tuple(outcomes)

    def evaluate_rows(self, rows: Iterable[Row], limit: Limit | None = None) -> Iterator[tuple[Outcome, ...]]:
        """Yield for each row what each program gives. Raise `EvaluationTooSlow` or `EvaluationCanceled` in between."""
        limit = limit or Limit()
        for row in rows:
            yield self.evaluate(row, limit)
