"""The percentage of a whole operation, and the step that it has reached."""

from __future__ import annotations

from tvarr_backup.backups.progress import Phase
from tvarr_backup.operations.kinds import KINDS
from tvarr_backup.operations.models import OperationKind

_MOST_BEFORE_THE_END = 99


def start_of_step(kind: OperationKind, number: int) -> int:
    """Return the percentage at which a step begins; 0 is the first step."""
    return sum(step.share for step in KINDS[kind].steps[:number])


def current_step(kind: OperationKind, phase: str, percent: int | None) -> int:
    """Return the number of the step that an operation has reached. 0 where its phase belongs to no step.

    Where several steps have the phase, the percentage tells them apart.
    """
    having = [number for number, step in enumerate(KINDS[kind].steps) if phase in step.shares]
    reached = [number for number in having if start_of_step(kind, number) <= (percent or 0)]
    return (reached or having or [0])[-1 if reached else 0]


class Percentage:
    """How much of a whole operation is done, from 0 to 99. It never goes back; only success makes it 100.

    Steps only go forward. A phase that comes again after its step does not count a second time, and a phase without a
    known size counts when the next step begins.
    """

    def __init__(self, kind: OperationKind) -> None:
        self.value = 0
        self._kind = kind
        self._item, self._items = 0, 1
        self._step = 0
        self._fractions: dict[Phase, float] = {}

    def begin_item(self, number: int, count: int) -> None:
        """Begin the steps again for one of several things that have equal shares; 1 is the first."""
        self._item, self._items = number - 1, max(1, count)
        self._step = 0
        self._fractions.clear()

    def report(self, phase: Phase, done: int, total: int) -> int:
        """Return the percentage after a report of a phase, whose numbers may be anything."""
        if not self._enter_step_of(phase):
            return self.value
        fraction = min(1.0, max(0, done) / total) if total > 0 else 0.0
        self._fractions[phase] = max(fraction, self._fractions.get(phase, 0.0))
        shares = KINDS[self._kind].steps[self._step].shares
        within = start_of_step(self._kind, self._step)
        item_percent = within + sum(shares[one] * part for one, part in self._fractions.items())
        whole = (100 * self._item + item_percent) / self._items
        self.value = max(self.value, min(_MOST_BEFORE_THE_END, int(whole)))
        return self.value

    def _enter_step_of(self, phase: Phase) -> bool:
        """Move to the present or the next step that has the phase. Return whether there is one."""
        steps = KINDS[self._kind].steps
        for number in range(self._step, len(steps)):
            if phase in steps[number].shares:
                if number > self._step:
                    self._step = number
                    self._fractions.clear()
                return True
        return False
