"""The process that uses apprise: reads a task as JSON from stdin, and writes the outcome as JSON to stdout.

The outcome is `sent`, `failed`, `known` (a check), `unknown` (apprise does not accept the address) or `missing`.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import sys
from typing import Any

from tvarr_backup.processes import die_with_parent

_MOST_MEMORY_BYTES = 2**30
"""Of address space, which is enough for apprise and stops an answer without end."""


def main() -> None:
    task = json.load(sys.stdin)
    die_with_parent(task["parent"], signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY_BYTES, _MOST_MEMORY_BYTES))
    stdout = os.dup(1)
    os.dup2(2, 1)  # a plug-in may print
    answer = _send(task)
    with os.fdopen(stdout, "w") as stream:
        json.dump(answer, stream)


class _Collector(logging.Handler):
    """Keeps the warnings of apprise, which say why a service did not accept a message."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _send(task: dict[str, Any]) -> dict[str, str]:
    try:
        import apprise  # noqa: PLC0415  # an extra
    except ModuleNotFoundError:
        return {"outcome": "missing"}
    collector = _Collector()
    logger = logging.getLogger("apprise")
    logger.addHandler(collector)
    logger.propagate = False
    asset = apprise.AppriseAsset(
        app_id="tvarr-backup", app_desc="tvarr-backup", app_url="", async_mode=False, storage_path=None, plugin_paths=[]
    )
    service = apprise.Apprise.instantiate(task["url"], asset=asset, suppress_exceptions=True)
    if service is None:
        return {"outcome": "unknown", "answer": _last(collector) or "the form of the address is not known"}
    if "body" not in task:
        return {"outcome": "known"}
    _adjust(service, task["timeout_seconds"])
    accepted = service.notify(
        body=task["body"],
        title=task["title"],
        notify_type=apprise.NotifyType(task["tone"]),
        body_format=apprise.NotifyFormat.TEXT,
    )
    if accepted:
        return {"outcome": "sent", "answer": f"{service.service_name} accepted the message."}
    return {"outcome": "failed", "answer": _last(collector) or "the reason is not known"}


def _adjust(service: Any, timeout_seconds: float) -> None:
    """Let a slow service answer, or it would get the message again, and cut texts that are too long for it.

    What the address itself says about this has precedence.
    """
    kind = type(service)
    for name in ("socket_connect_timeout", "socket_read_timeout"):
        if getattr(service, name) == getattr(kind, name):
            setattr(service, name, timeout_seconds)
    if service.overflow_mode == kind.overflow_mode:
        service.overflow_mode = "truncate"


def _last(collector: _Collector) -> str:
    return collector.lines[-1] if collector.lines else ""
