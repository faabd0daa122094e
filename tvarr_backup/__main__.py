"""The command line: `tvarr-backup` where this is installed, `manage.py` in a checkout."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from tvarr_backup.errors import OwnerUnreachable
from tvarr_backup.management.terminal import Terminal
from tvarr_backup.owner import become_owner_of
from tvarr_backup.program import NAME


def main() -> None:
    """Run the command named on the command line; a bad setting ends it with one sentence."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        _become_owner()
        execute_from_command_line([NAME, *sys.argv[1:]])
    except ImproperlyConfigured as problem:
        _fail(problem)
    except BrokenPipeError:  # whoever read our output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _become_owner() -> None:
    """Before anything is opened or created: what root creates in another user's storage folder would stay root's."""
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
