"""Shows on a terminal how far something is, and says it in plain lines everywhere else."""

from __future__ import annotations

import contextlib
import sys
from types import TracebackType
from typing import Any, Self, TextIO

from tqdm import tqdm

from tvarr_backup.backups.progress import Phase

_WORDS = {
    Phase.COPY: "Copying the database",
    Phase.RECEIVE: "Receiving the file",
    Phase.UNPACK: "Unpacking",
    Phase.PACK: "Packing",
    Phase.CHECK: "Checking",
    Phase.PUBLISH: "Publishing",
    Phase.PRUNE: "Cleaning up",
    Phase.SAFETY: "Copying what is there now",
    Phase.REPLACE: "Replacing",
}


class ProgressDisplay:
    """A `backups.progress.Progress` for people: a bar a phase on a terminal, else a line a phase."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        self._phase: Phase | None = None
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._close()

    def __call__(self, phase: Phase, done: int, total: int) -> None:
        """Show it; a stream that nobody reads any more is no reason to end the work."""
        with contextlib.suppress(BrokenPipeError):
            if phase is not self._phase:
                self._begin(phase, total)
            if self._bar is not None:
                self._bar.total = total
                self._bar.update(max(0, done - self._bar.n))

    def _begin(self, phase: Phase, total: int) -> None:
        self._close()
        self._phase = phase
        if self._stream.isatty():
            bytes_ = phase is not Phase.PRUNE
            self._bar = tqdm(
                desc=_WORDS[phase],
                total=total,
                unit="B" if bytes_ else "",
                unit_scale=bytes_,
                leave=False,
                file=self._stream,
            )
        else:
            self._stream.write(f"{_WORDS[phase]}\n")
            self._stream.flush()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
