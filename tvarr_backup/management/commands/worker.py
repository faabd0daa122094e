"""The command `worker`."""

from typing import Any

from tvarr_backup.management.terminal import TerminalCommand
from tvarr_backup.worker import Worker


class Command(TerminalCommand):
    """Exits with 0 after SIGTERM, SIGINT or SIGHUP."""

    help = "Run only the worker, which performs operations."

    def handle(self, *_args: Any, **_options: Any) -> None:
        Worker().run()
