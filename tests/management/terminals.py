"""A command on a terminal, with a user who types."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import time

from tests.installation import Installation

_QUESTIONS = (b"[y/N] ", b"Password: ", b"(again): ", b"(AGE-SECRET-KEY-1...): ", b"Address: ")
_PATIENCE = 60
"""Seconds without output after which a command counts as hanging."""


def type_into(installation: Installation, typed: bytes, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run a command on a terminal, type as soon as it asks, and return its exit status and all that it showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", *installation.command(*arguments)],  # Ctrl+C reaches only its own session
        env=installation.variables() | {"TERM": "xterm"} | environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown, lines = b"", typed.splitlines(keepends=True)
    with contextlib.suppress(OSError):  # the other end is closed
        while select.select([ours], [], [], _PATIENCE)[0] and (block := os.read(ours, 4096)):
            shown += block
            if lines and shown.endswith(_QUESTIONS):
                time.sleep(1)  # it reads now: a Ctrl+C just before that would be noticed only with the next key
                os.write(ours, lines.pop(0))
    os.close(ours)  # ends a command that still waits
    return process.wait(timeout=60), shown.decode(errors="replace").replace("\r\n", "\n")
