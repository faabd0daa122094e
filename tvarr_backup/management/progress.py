"""Progress of an operation: a bar on a terminal, a line for each phase elsewhere."""

from __future__ import annotations

import contextlib
import sys
from typing import Any, TextIO

from tqdm import tqdm

from tvarr_backup.backups.progress import Phase
from tvarr_backup.management.terminal import Terminal
from tvarr_backup.operations.kinds import PHASE_LABELS

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
