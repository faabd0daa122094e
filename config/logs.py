"""The log: one format for our events and for lines of Django, django-q2 and gunicorn."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import logging.config
import re
import select
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping, MutableMapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

import structlog
from django.db import Error
from structlog.contextvars import get_contextvars, merge_contextvars
from structlog.stdlib import ProcessorFormatter

from tvarr_backup.repeats import Repeats
from tvarr_backup.texts import escape_character, escape_for_json, escape_hidden, find_hidden

FORMS = ("text", "json")
HEALTH_PATHS = frozenset({"/healthz", "/readyz", "/metrics", "/status.svg"})
"""Requested every few seconds, so they are not logged."""

_OURS = ("tvarr_backup", "config")
_CONTEXT = ("operation", "kind", "origin", "user")
"""Members that come first, because several lines share them."""
_HIDDEN = "(hidden)"
_SECRET_MEMBER = re.compile(
    r"passw|secret|token|authori[sz]ation|api_?key|cookie|session|credential|dsn", re.IGNORECASE
)
_SECRET_IN_TEXT = re.compile(
    r"(?<=//)[^\s/@:]*:[^\s/@]*(?=@)|(?<=\bbearer )\S{16,}|(?<=\bbasic )\S{16,}|(?<=[?&]token=)[^\s&]+", re.IGNORECASE
)
_LOCK_SECONDS = 5
_BARE = re.compile(r'[^\s"=\\]+')

_Event = MutableMapping[str, Any]


def logging_settings(level: str, form: str) -> dict[str, Any]:
    """Return `LOGGING`: everything of at least `level` goes to standard error, as `text` or `json`."""
    unless_debugging = "DEBUG" if level == "DEBUG" else "WARNING"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "health": {"()": "config.logs.SkipHealthChecks"},
            "repeats": {"()": "config.logs.SkipRepeats"},
        },
        "formatters": {
            form: {
                "()": "structlog.stdlib.ProcessorFormatter",
                "foreign_pre_chain": [merge_contextvars, structlog.processors.format_exc_info],
                "processors": [
                    _order_members,
                    _call_members,
                    _hide_secrets,
                    _format_json if form == "json" else _format_text,
                ],
            }
        },
        "handlers": {"console": {"class": "config.logs.WholeLineHandler", "formatter": form}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            "django": {"level": level},
            "django.db.backends": {"level": "INFO"},  # statements contain values
            "django.request": {"filters": ["health", "repeats"]},
            "django.server": {"handlers": [], "propagate": True},
            "gunicorn.error": {"level": level, "handlers": [], "propagate": True},
            # They log each step of a task, a request or a connection. Operations have events of their own.
            "django-q": {"level": unless_debugging},
            "httpx": {"level": unless_debugging},
            "asyncssh": {"level": unless_debugging},
            # Our own events report wrong passwords and locked names.
            "axes": {"level": "DEBUG" if level == "DEBUG" else "ERROR"},
        },
    }


def configure(settings: Mapping[str, Any]) -> None:
    """Apply `LOGGING`, and log our events, warnings and uncaught exceptions (for `LOGGING_CONFIG`)."""
    logging.config.dictConfig(dict(settings))
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            _skip_command_events,
            merge_contextvars,
            structlog.processors.format_exc_info,
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


class WholeLineHandler(logging.StreamHandler[TextIO]):
    """Writes each line in one piece, also when several processes share the stream.

    The kernel keeps writes of up to `PIPE_BUF` bytes to a pipe together. Longer lines, such as tracebacks, take a lock.
    """

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record) + self.terminator
            is_long = len(line.encode(errors="backslashreplace")) > select.PIPE_BUF
            with _lock(self.stream) if is_long else contextlib.nullcontext():
                self.stream.write(line)
                self.flush()
        except Exception:  # noqa: BLE001  # as in every handler
            self.handleError(record)


@contextlib.contextmanager
def _lock(stream: TextIO) -> Iterator[None]:
    """Lock the stream. Continue without the lock after some seconds, or if the stream cannot be locked."""
    give_up = time.monotonic() + _LOCK_SECONDS
    with contextlib.suppress(OSError, ValueError):
        while time.monotonic() < give_up:
            try:
                fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except (BlockingIOError, PermissionError):
                time.sleep(0.001)
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            fcntl.lockf(stream, fcntl.LOCK_UN)


class SkipHealthChecks(logging.Filter):
    """Drops 503 responses of health checks."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)
        return record.exc_info is not None or getattr(request, "path_info", None) not in HEALTH_PATHS


class SkipRepeats(logging.Filter):
    """Drops requests that fail with the same database error within a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._repeats = Repeats()

    def filter(self, record: logging.LogRecord) -> bool:
        problem = record.exc_info[1] if record.exc_info else None
        return not isinstance(problem, (Error, sqlite3.Error)) or self._repeats.is_due(str(problem))


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    structlog.get_logger("tvarr_backup").critical("process.failed", exc_info=(kind, error, trace))


# --- Processors ------------------------------------------------------------------------------------------------------


def _skip_command_events(logger: logging.Logger, method: str, event: _Event) -> _Event:
    """Drop events that a command prints on the same screen, unless the level is `debug`."""
    if method == "info" and get_contextvars().get("origin") == "command" and not logger.isEnabledFor(logging.DEBUG):
        raise structlog.DropEvent
    return event


def _order_members(_logger: Any, _method: str, event: _Event) -> _Event:
    """Put time, level, event and logger first. No other member can replace them."""
    record: logging.LogRecord = event.pop("_record")
    del event["_from_structlog"]
    moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    head = {
        "time": moment.removesuffix("+00:00") + "Z",
        "level": record.levelname.lower(),
        "event": str(event["event"]),
        "logger": record.name,
    }
    context = {name: event[name] for name in _CONTEXT if name in event}
    return {**head, **context, **event, **head}


def _call_members(_logger: Any, _method: str, event: _Event) -> _Event:
    """Call members that are functions, and drop those that are None."""
    members = {name: value() if callable(value) else value for name, value in event.items()}
    return {name: value for name, value in members.items() if value is not None}


def _hide_secrets(_logger: Any, _method: str, event: _Event) -> _Event:
    """Hide secrets, although callers must not log them."""
    return {name: _hide_secret(name, value) for name, value in event.items()}


def _hide_secret(name: str, value: Any) -> Any:
    if _SECRET_MEMBER.search(name):
        return _HIDDEN
    if isinstance(value, str):
        return _SECRET_IN_TEXT.sub(_HIDDEN, value)
    if isinstance(value, Mapping):
        return {str(key): _hide_secret(str(key), member) for key, member in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_hide_secret("", member) for member in value]
    return value


def _format_json(_logger: Any, _method: str, event: _Event) -> str:
    return escape_for_json(json.dumps(event, default=str))


def _format_text(_logger: Any, _method: str, event: _Event) -> str:
    """Return `TIME LEVEL EVENT MEMBER=VALUE ...`, with an exception indented below it."""
    moment, level, title, logger = (event.pop(name) for name in ("time", "level", "event", "logger"))
    exception = str(event.pop("exception", ""))
    members = event if logger.split(".")[0] in _OURS else {**event, "logger": logger}
    pairs = [f"{name}={_format_value(value)}" for name, value in members.items()]
    line = " ".join([f"{moment} {level:<8} {_format_title(title)}", *pairs])
    return "\n    ".join([line, *map(_escape, exception.splitlines())])


def _format_title(text: str) -> str:
    return text if text and _is_printable(text) and not re.search(r'["=\\]', text) else _quote(text)


def _format_value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if _BARE.fullmatch(text) and _is_printable(text) else _quote(text)


def _quote(text: str) -> str:
    return '"' + _escape(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _escape(text: str) -> str:
    """Escape line breaks and other characters that could make a value look like another line."""
    return "".join(char if char.isprintable() else escape_character(char) for char in escape_hidden(text))


def _is_printable(text: str) -> bool:
    return text.isprintable() and not find_hidden(text)
