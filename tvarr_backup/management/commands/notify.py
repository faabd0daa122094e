"""The command `notify`."""

from typing import Any

from tvarr_backup.management.terminal import TerminalCommand
from tvarr_backup.sender import Sender


class Command(TerminalCommand):
    """Exits with 0 after SIGTERM, SIGINT or SIGHUP."""

    help = "Run only the process that sends alerts."

    def handle(self, *_args: Any, **_options: Any) -> None:
        Sender().run()
