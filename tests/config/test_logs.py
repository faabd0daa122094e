"""The format of log lines."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from django.http import HttpRequest
from structlog.contextvars import bound_contextvars

from config.logs import FORMS, SkipHealthChecks, WholeLineHandler, logging_settings
from tests.installation import ROOT
from tvarr_backup.texts import find_hidden

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
FORGED = "harbour\n2026-01-01T00:00:00.000Z info backup.created\r\x1b[31m\x85\u2028\u202e\0\x7f\u3164\u200b a=b"

Written = Callable[[str], str]


@pytest.fixture
def written() -> Iterator[Written]:
    """Starts a log in one of the formats. The result returns what was written since the last call."""
    stream = io.StringIO()
    root = logging.getLogger()
    handler = logging.StreamHandler(stream)

    def begin(form: str) -> str:
        if handler not in root.handlers:
            (asked,) = logging_settings("INFO", form)["formatters"].values()
            made = logging.config.DictConfigurator({}).configure_formatter(dict(asked))
            handler.setFormatter(made)
            root.addHandler(handler)
        return stream.getvalue()

    before = root.level
    root.setLevel(logging.INFO)
    yield begin
    root.removeHandler(handler)
    root.setLevel(before)


def ours() -> Any:
    return structlog.stdlib.get_logger("tvarr_backup.harbour")


def theirs() -> logging.Logger:
    return logging.getLogger("django.harbour")


def test_text_has_time_level_event_and_members(written: Written) -> None:
    written("text")
    ours().info("backup.created", filename="a.db.gz", archive_bytes=12, seconds=0.5, note="two words", empty="")
    assert re.fullmatch(
        TIME + ' info     backup.created filename=a.db.gz archive_bytes=12 seconds=0.5 note="two words" empty=""\n',
        written("text"),
    )


def test_json_has_the_same_as_an_object(written: Written) -> None:
    written("json")
    ours().warning("backup.created", filename="Hafen ü", archive_bytes=12)
    line = json.loads(written("json"))
    assert re.fullmatch(TIME, line.pop("time"))
    assert line == {
        "level": "warning",
        "event": "backup.created",
        "logger": "tvarr_backup.harbour",
        "filename": "Hafen ü",
        "archive_bytes": 12,
    }


def test_lines_of_libraries_have_the_same_format_and_a_logger(written: Written) -> None:
    written("text")
    theirs().error("Not Found: %s", "/harbour")
    assert re.fullmatch(TIME + " error    Not Found: /harbour logger=django.harbour\n", written("text"))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("log", [lambda: ours().info("odd", name=FORGED), lambda: theirs().error("odd: %s", FORGED)])
def test_no_value_can_look_like_a_line(form: str, log: Callable[[], None], written: Written) -> None:
    written(form)
    log()
    text = written(form)
    assert text.endswith("\n")
    assert len(text.splitlines()) == 1
    assert text.removesuffix("\n").isprintable()
    assert find_hidden(text.removesuffix("\n")) == []


def test_in_json_the_value_is_complete(written: Written) -> None:
    written("json")
    ours().info("odd", name=FORGED)
    assert json.loads(written("json"))["name"] == FORGED


def test_a_value_cannot_pretend_to_be_two_members(written: Written) -> None:
    written("text")
    ours().info("odd", name='a" user="admin', path="b\\")
    assert written("text").endswith(r'odd name="a\" user=\"admin" path="b\\"' + "\n")


def fail() -> None:
    try:
        _fail()
    except ValueError:
        ours().exception("odd")


def _fail() -> None:
    raise ValueError(FORGED)


def test_in_text_a_traceback_is_indented(written: Written) -> None:
    written("text")
    fail()
    first, *others = written("text").splitlines()
    assert first.endswith(" odd")
    assert "    Traceback (most recent call last):" in others
    assert all(line.startswith("    ") for line in others)


@pytest.mark.parametrize("log", [fail, lambda: theirs().error("odd", exc_info=ValueError(FORGED))])
def test_in_json_it_is_a_member(log: Callable[[], None], written: Written) -> None:
    written("json")
    log()
    (line,) = written("json").splitlines()
    assert f"ValueError: {FORGED}" in json.loads(line)["exception"]


SECRETS = {
    "password": "hunter2",
    "api_key": "hunter2",
    "Authorization": "Bearer hunter2",
    "DATABASE_DSN": "hunter2",
    "deep": {"list": [{"session_cookie": "hunter2"}]},
    "address": "postgres://keeper:hunter2@db.example/app",
    "header": "Authorization: Bearer hunter2hunter2hunter2",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SECRETS)
def test_members_with_names_of_secrets_are_hidden(name: str, form: str, written: Written) -> None:
    written(form)
    ours().info("odd", **{name: SECRETS[name]})
    assert "hunter2" not in written(form)
    assert "(hidden)" in written(form)


def test_secrets_in_lines_of_libraries_are_hidden(written: Written) -> None:
    written("text")
    theirs().error("cannot reach %s", SECRETS["address"])
    assert "cannot reach postgres://(hidden)@db.example/app" in written("text")


@pytest.mark.parametrize("address", ["/status.svg?token=TOKEN", "http://127.0.0.1/status.svg?a=1&token=TOKEN&b=2"])
def test_tokens_in_addresses_are_hidden(address: str, written: Written) -> None:
    written("text")
    theirs().error("failed: GET %s", address.replace("TOKEN", "0123456789abcdef" * 4))
    line = written("text")
    assert address.replace("TOKEN", "(hidden)") in line
    assert "0123" not in line


def test_bound_values_are_in_every_line(written: Written) -> None:
    written("text")
    with bound_contextvars(operation="01HARBOUR", user=lambda: "marit", asked=None):
        ours().info("odd")
        theirs().error("odd")
    assert written("text").count(" odd operation=01HARBOUR user=marit") == 2
    assert "asked" not in written("text")


def test_commands_do_not_log_what_they_print(written: Written) -> None:
    written("text")
    with bound_contextvars(origin="command"):
        ours().info("backup.created")
        ours().warning("odd")
    (line,) = written("text").splitlines()
    assert " odd " in line


def setting(script: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    """The command and the environment of a script that logs as JSON."""
    variables = {"DJANGO_SETTINGS_MODULE": "config.settings", "TVARR_LOGGING_FORMAT": "json"}
    command = [sys.executable, "-c", f"import django\ndjango.setup()\n{script}"]
    return command, os.environ | variables | {"TVARR_STORAGE_BASE_DIR": str(folder)}


def printed(script: str, folder: Path, level: str = "info") -> list[dict[str, Any]]:
    """Return the log of a process, which may fail."""
    command, environment = setting(script, folder)
    environment["TVARR_LOGGING_LEVEL"] = level
    done = subprocess.run(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_uncaught_errors_have_the_same_format(tmp_path: Path) -> None:
    (line,) = printed("raise KeyError('harbour')", tmp_path)
    assert (line["level"], line["event"]) == ("critical", "process.failed")
    assert "KeyError: 'harbour'" in line["exception"]


def test_warnings_have_the_same_format(tmp_path: Path) -> None:
    (line,) = printed("import warnings\nwarnings.warn('harbour')", tmp_path)
    assert (line["level"], line["logger"]) == ("warning", "py.warnings")
    assert "UserWarning: harbour" in line["event"]


@pytest.mark.parametrize("library", ["httpx", "asyncssh"])
def test_every_step_of_a_client_is_logged_only_for_debugging(library: str, tmp_path: Path) -> None:
    script = f"import logging\nlogging.getLogger('{library}').info('GET /harbour')"
    assert printed(script, tmp_path) == []
    (line,) = printed(script, tmp_path, level="debug")
    assert line["event"] == "GET /harbour"


_GUNICORN = """
from gunicorn.config import Config
from config.gunicorn import Logger
log = Logger(Config())
log.exception("Error handling request %s %s", "GET", "/a?token=hunter2")
log.warning("Invalid request from ip=192.0.2.7: Invalid HTTP request line: 'GET /b?token=hunter2'")
"""


def test_gunicorn_logs_requests_without_their_content(tmp_path: Path) -> None:
    assert [line["event"] for line in printed(_GUNICORN, tmp_path)] == [
        "Error handling request GET /a",
        "Invalid request from ip=192.0.2.7: Invalid HTTP request line: ...",
    ]


_WRITERS = """
import os, structlog
children = [os.fork() for _ in range(2)]
for number in range(40):
    structlog.get_logger("tvarr_backup").info("odd", text=str(os.getpid()) * 1200)
if all(children):
    for child in children:
        os.waitpid(child, 0)
"""


def test_long_lines_of_several_processes_stay_in_one_piece(tmp_path: Path) -> None:
    read = b""
    command, environment = setting(_WRITERS, tmp_path)
    with subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, bufsize=0) as writers:
        assert writers.stderr is not None
        while block := writers.stderr.read(2000):
            read += block
            time.sleep(0.0002)
    assert Counter(len(set(json.loads(line)["text"])) > 1 for line in read.splitlines()) == {True: 160}


_HOLDER = (
    "import fcntl, sys; fcntl.lockf(sys.stdout, fcntl.LOCK_EX); print('held', file=sys.stderr, flush=True); input()"
)


def test_a_short_line_does_not_wait_for_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.logs._LOCK_SECONDS", 20)
    with (
        (tmp_path / "log").open("a+") as log,
        subprocess.Popen(
            [sys.executable, "-c", _HOLDER], stdin=subprocess.PIPE, stdout=log, stderr=subprocess.PIPE
        ) as holder,
    ):
        assert holder.stderr is not None
        holder.stderr.readline()
        began = time.monotonic()
        WholeLineHandler(log).emit(logging.makeLogRecord({"msg": "x" * 1000}))
        assert time.monotonic() - began < 20
        assert (tmp_path / "log").read_text() == "x" * 1000 + "\n"


@pytest.mark.parametrize(
    ("path", "told"), [("/readyz", False), ("/metrics", False), ("/status.svg", False), ("/admin/", True)]
)
def test_failed_health_checks_are_not_logged(path: str, told: bool) -> None:
    record = logging.makeLogRecord({"request": HttpRequest()})
    record.request.path_info = path  # type: ignore[attr-defined]  # as Django does
    assert SkipHealthChecks().filter(record) is told
