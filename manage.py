#!/usr/bin/env python3
"""The command line of tvarr-backup, in a checkout."""

from tvarr_backup.__main__ import main

if __name__ == "__main__":
    main()
