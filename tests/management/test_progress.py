"""The progress that commands show."""

from __future__ import annotations

from io import StringIO

from tvarr_backup.backups.progress import Phase
from tvarr_backup.management.progress import ProgressDisplay


class Terminal(StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_one_bar_for_the_whole_operation_with_the_phase() -> None:
    terminal = Terminal()
    with ProgressDisplay(terminal) as display:
        display(Phase.COPY, 25, 100)
        display(Phase.PACK, 60, 100)
        assert display._bar is not None
        display._bar.refresh()
        lines = terminal.getvalue().split("\r")
    assert lines[-1].startswith("Packing:  60% |")
    assert any(line.startswith("Copying the database:") for line in lines)


def test_elsewhere_there_is_a_line_for_each_phase() -> None:
    stream = StringIO()
    with ProgressDisplay(stream) as display:
        display(Phase.COPY, 25, 100)
        display(Phase.COPY, 50, 100)
        display(Phase.PACK, 60, 100)
    assert stream.getvalue() == "Copying the database\nPacking\n"
