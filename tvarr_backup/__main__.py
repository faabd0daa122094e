"""The command line: `tvarr-backup` where this is installed, `manage.py` in a checkout."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from tvarr_backup.program import NAME


def main() -> None:
    """Run the command named on the command line; a bad setting ends it with one sentence."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        execute_from_command_line([NAME, *sys.argv[1:]])
    except ImproperlyConfigured as problem:
        sys.exit(f"error: {problem}")
    except BrokenPipeError:  # whoever read our output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
