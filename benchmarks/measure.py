"""Measure other processes."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_MEASURE = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[2:], stdout=open(sys.argv[1], "wb"))
_pid, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss * 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Return the output of a command. Exit with its messages if it fails."""
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def peak_bytes(
    command: Sequence[str], *, output: Path = Path(os.devnull), environment: Mapping[str, str] | None = None
) -> int:
    """Return the peak resident memory of a command, which writes to `output`.

    A small process starts it, because a child's peak includes the memory of the process that forked it.
    """
    return int(run([sys.executable, "-S", "-c", _MEASURE, str(output), *command], environment))
