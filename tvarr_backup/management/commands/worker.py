"""`worker`: run the queue's tasks until told to stop."""

from typing import Any

from tvarr_backup.management.terminal import TerminalCommand
from tvarr_backup.worker import Worker


class Command(TerminalCommand):
    """Ends in an orderly way on SIGTERM, SIGINT and SIGHUP, with exit status 0."""

    help = "Run the tasks of the queue, one at a time, until told to stop."

    def handle(self, *_args: Any, **_options: Any) -> None:
        Worker().run()
