"""`up` as far as a cell can take it: everything before its programs run."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from tests.matrix.entrances import Done, command
from tvarr_backup.management.commands import up


class _Recorder:
    """Stands in for the supervisor, which would not return."""

    def __init__(self, programs: Any, *_others: Any, **_options: Any) -> None:
        self.words = [list(program.command) for program in programs]
        _started.extend(self.words)

    def run(self) -> None:
        """Return at once."""


_started: list[list[str]] = []


def start_up_without_waiting() -> tuple[Done, list[list[str]]]:
    """What `up` says until it would serve, and the commands of the programs that it would look after."""
    _started.clear()
    with patch.object(up, "Supervisor", _Recorder):
        done = command("up")
    return done, list(_started)
