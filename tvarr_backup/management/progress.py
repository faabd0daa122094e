"""Progress of an operation: a bar on a terminal, a line for each phase elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, TextIO

from tqdm import tqdm

from tvarr_backup.backups.progress import Phase
from tvarr_backup.management.terminal import Terminal
from tvarr_backup.operations import actions
from tvarr_backup.operations.kinds import PHASE_LABELS
from tvarr_backup.operations.models import Operation
from tvarr_backup.operations.run import run_here

_BAR = "{desc}{percentage:3.0f}% |{bar}| {elapsed}"


class ProgressDisplay(contextlib.AbstractContextManager["ProgressDisplay", None]):
    """The `watch` of an operation: a `Progress` whose total is that of the whole operation."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._phase: Phase | None = None
        self._bar: tqdm[Any] | None = None

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __call__(self, phase: Phase, done: int, total: int) -> None:
        """Show the progress. The operation continues if nothing reads the stream any more."""
        with contextlib.suppress(BrokenPipeError):
            if self._bar is None and self._stream.isatty():
                self._bar = tqdm(total=total, bar_format=_BAR, leave=False, file=self._stream)
            if phase is not self._phase:
                self._show_phase(phase)
            if self._bar is not None:
                self._bar.update(max(0, done - self._bar.n))

    def _show_phase(self, phase: Phase) -> None:
        self._phase = phase
        if self._bar is not None:
            self._bar.set_description(PHASE_LABELS[phase])
        else:
            terminal = Terminal(self._stream)
            terminal.write_line(PHASE_LABELS[phase])
            terminal.flush()


def run_with_progress(action: Callable[[actions.Start], Operation], message: Callable[[str], object]) -> Operation:
    """Perform an action in this process and record it in the history if possible. `message` is called if it is not."""
    begun: list[Operation] = []
    try:
        with ProgressDisplay() as display:
            return action(partial(run_here, watch=display, on_begin=begun.append))
    finally:
        for unrecorded in filter(None, (one.unrecorded for one in begun)):
            message(f"This operation could not be recorded in the history: {unrecorded}")
