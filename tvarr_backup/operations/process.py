"""Identity of a process, by which a later one with the same number is not mistaken for it."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_DEAD_STATES = frozenset("ZXx")


@dataclass(frozen=True)
class ProcessIdentity:
    """A process by host, boot of the kernel, number, and the moment it started in clock ticks since that boot.

    Ticks since the boot, not the time of day: that one moves when the clock is set, and a living process would look
    like another.
    """

    host: str
    boot: str
    pid: int
    process_started: int


def this_process() -> ProcessIdentity:
    """The process that asks."""
    started = start_of(os.getpid())
    assert started is not None
    return ProcessIdentity(this_host(), this_boot(), os.getpid(), started)


def this_host() -> str:
    return socket.gethostname()


@cache
def this_boot() -> str:
    """The kernel's id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def start_of(pid: int) -> int | None:
    """When a living process started, in clock ticks since the boot; `None` where there is none, or only its remains."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0].decode() in _DEAD_STATES else int(fields[19])
