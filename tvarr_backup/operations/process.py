"""Identifies processes, so that a later one with the same number is not mistaken for an earlier one."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_DEAD_STATES = frozenset("ZXx")


@dataclass(frozen=True)
class ProcessIdentity:
    """A process. Its start is in clock ticks since the boot, which do not change when the clock is set."""

    host: str
    boot: str
    pid: int
    process_started: int


def this_process() -> ProcessIdentity:
    """Return the identity of this process."""
    started = start_of(os.getpid())
    assert started is not None
    return ProcessIdentity(this_host(), this_boot(), os.getpid(), started)


def this_host() -> str:
    return socket.gethostname()


@cache
def this_boot() -> str:
    """Return the kernel's id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def start_of(pid: int) -> int | None:
    """Return when a process started, in clock ticks since the boot; `None` if it has ended, also as a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0].decode() in _DEAD_STATES else int(fields[19])
