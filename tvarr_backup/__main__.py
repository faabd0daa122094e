"""The entry point: `tvarr-backup` where this is installed, `manage.py` in a checkout."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from tvarr_backup import __version__
from tvarr_backup.errors import OwnerUnreachable
from tvarr_backup.management.command_line import CommandLine
from tvarr_backup.management.terminal import Terminal
from tvarr_backup.owner import become_owner_of
from tvarr_backup.program import NAME


def main() -> None:
    """Run the command that was typed. An invalid setting ends it with one sentence."""
    if sys.argv[1:] in (["--version"], ["version"]):
        Terminal(sys.stdout).write_line(f"tvarr-backup {__version__}")
        return
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        _become_owner()
        CommandLine([NAME, *sys.argv[1:]]).execute()
    except ImproperlyConfigured as problem:
        _fail(problem)
    except BrokenPipeError:  # the program that read our output has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _become_owner() -> None:
    """Continue as the owner of the storage folder, who could not change files that root creates in it."""
    try:
        sentence = become_owner_of(Path(settings.STORAGE_BASE_DIR))
    except OwnerUnreachable as problem:
        _fail(problem)
    if sentence:
        Terminal(sys.stderr).write_line(sentence)


def _fail(problem: Exception) -> NoReturn:
    Terminal(sys.stderr).write(f"error: {problem}")
    sys.exit(1)


if __name__ == "__main__":
    main()
