"""The form of the log: one for our events and for the lines of Django, django-q2 and gunicorn."""

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
HEALTH_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Programs ask for these every few seconds, so their answers are not logged."""

_OURS = ("tvarr_backup", "config")
_CONTEXT = ("operation", "kind", "origin", "user")
"""What several lines may have in common comes first."""
_HIDDEN = "(hidden)"
_SECRET_MEMBER = re.compile(
    r"passw|secret|token|authori[sz]ation|api_?key|cookie|session|credential|dsn", re.IGNORECASE
)
_SECRET_IN_TEXT = re.compile(
    r"(?<=//)[^\s/@:]*:[^\s/@]*(?=@)|(?<=\bbearer )\S{16,}|(?<=\bbasic )\S{16,}", re.IGNORECASE
)
_LONGEST_TURN_SECONDS = 5
_BARE = re.compile(r'[^\s"=\\]+')

_Event = MutableMapping[str, Any]


def logging_settings(level: str, form: str) -> dict[str, Any]:
    """Return `LOGGING`: everything from `level` on goes to standard error, as `text` or `json`."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "health": {"()": "config.logs.WithoutHealth"},
            "repeats": {"()": "config.logs.WithoutRepeats"},
        },
        "formatters": {
            form: {
                "()": "structlog.stdlib.ProcessorFormatter",
                "foreign_pre_chain": [merge_contextvars, structlog.processors.format_exc_info],
                "processors": [_headed, _answered, _masked, _as_json if form == "json" else _as_text],
            }
        },
        "handlers": {"console": {"class": "config.logs.WholeLines", "formatter": form}},
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            "django": {"level": level},
            "django.db.backends": {"level": "INFO"},  # statements have values in them
            "django.request": {"filters": ["health", "repeats"]},
            "django.server": {"handlers": [], "propagate": True},
            "gunicorn.error": {"level": level, "handlers": [], "propagate": True},
            # Its five lines for each task say less than the operation's own ones.
            "django-q": {"level": "DEBUG" if level == "DEBUG" else "WARNING"},
            # Our own events tell of wrong passwords, and of names that are closed.
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
            _leave_to_commands,
            merge_contextvars,
            structlog.processors.format_exc_info,
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


class WholeLines(logging.StreamHandler[TextIO]):
    """Writes each line in one piece, among all processes of the service.

    The kernel keeps a write of up to `PIPE_BUF` bytes together in a pipe. Longer lines, such as tracebacks, could tear each other
    when the reader is slow, so they wait for a lock, which ends with its process.
    """

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record) + self.terminator
            is_long = len(line.encode(errors="backslashreplace")) > select.PIPE_BUF
            with _turn(self.stream) if is_long else contextlib.nullcontext():
                self.stream.write(line)
                self.flush()
        except Exception:  # noqa: BLE001  # as every handler does
            self.handleError(record)


@contextlib.contextmanager
def _turn(stream: TextIO) -> Iterator[None]:
    """Hold the lock; after some seconds, write without it."""
    give_up = time.monotonic() + _LONGEST_TURN_SECONDS
    with contextlib.suppress(OSError, ValueError):  # no file, or one that knows no locks
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


class WithoutHealth(logging.Filter):
    """Drops failed health checks, which are how a health check says that something is wrong."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)
        return record.exc_info is not None or getattr(request, "path_info", None) not in HEALTH_PATHS


class WithoutRepeats(logging.Filter):
    """Drops requests that fail by the same database error within a minute: each of them would."""

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


def _leave_to_commands(logger: logging.Logger, method: str, event: _Event) -> _Event:
    """Drop what a command tells its user on the same screen, except for `debug`."""
    if method == "info" and get_contextvars().get("origin") == "command" and not logger.isEnabledFor(logging.DEBUG):
        raise structlog.DropEvent
    return event


def _headed(_logger: Any, _method: str, event: _Event) -> _Event:
    """Put what every line has first; no member can replace it."""
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


def _answered(_logger: Any, _method: str, event: _Event) -> _Event:
    """Call members that are functions, and drop those that are None."""
    answered = {name: value() if callable(value) else value for name, value in event.items()}
    return {name: value for name, value in answered.items() if value is not None}


def _masked(_logger: Any, _method: str, event: _Event) -> _Event:
    """Hide secrets. This is the last line of defense: callers do not log them."""
    return {name: _without_secrets(name, value) for name, value in event.items()}


def _without_secrets(name: str, value: Any) -> Any:
    if _SECRET_MEMBER.search(name):
        return _HIDDEN
    if isinstance(value, str):
        return _SECRET_IN_TEXT.sub(_HIDDEN, value)
    if isinstance(value, Mapping):
        return {str(key): _without_secrets(str(key), member) for key, member in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_without_secrets("", member) for member in value]
    return value


def _as_json(_logger: Any, _method: str, event: _Event) -> str:
    """Return one line of ASCII."""
    return escape_for_json(json.dumps(event, default=str))


def _as_text(_logger: Any, _method: str, event: _Event) -> str:
    """Return `TIME LEVEL EVENT MEMBER=VALUE ...`, with an exception indented below it."""
    moment, level, what, logger = (event.pop(name) for name in ("time", "level", "event", "logger"))
    exception = str(event.pop("exception", ""))
    members = event if logger.split(".")[0] in _OURS else {**event, "logger": logger}
    words = [f"{moment} {level:<8} {_sentence(what)}", *(f"{name}={_value(value)}" for name, value in members.items())]
    return "\n    ".join([" ".join(words), *map(_printable, exception.splitlines())])


def _sentence(text: str) -> str:
    return text if text and _is_printable(text) and not re.search(r'["=\\]', text) else _quoted(text)


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if _BARE.fullmatch(text) and _is_printable(text) else _quoted(text)


def _quoted(text: str) -> str:
    return '"' + _printable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _printable(text: str) -> str:
    """Escape line breaks, control characters and whatever else could make a value look like another line."""
    shown = escape_hidden(text)
    return "".join(char if char.isprintable() else escape_character(char) for char in shown)


def _is_printable(text: str) -> bool:
    return text.isprintable() and not find_hidden(text)
