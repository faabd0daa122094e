"""The log of a running service: one format, all facts and no secrets."""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import urllib.parse
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.config.test_logs import TIME
from tests.installation import Installation
from tests.processes import wait_until
from tests.ups import Up, free_port, start_up
from tests.workers import RunningWorker, hold_in_the_middle, resume_when_it_must_end, work_files

PASSWORD = "lighthouse-keeper-9"
WRONG = "wrong-harbour-password"
KEY = "the key of this installation " * 3
LINE = re.compile(
    TIME + r' (debug|info|warning|error|critical) +([^"=\\]+?|"([^"\\]|\\.)*")( \w+=([^\s"=\\]+|"([^"\\]|\\.)*"))*'
)


@dataclass
class Service:
    """A service with a token, and a backup that was made through the API."""

    up: Up
    token: str
    backup: dict[str, Any]
    program_pids: dict[str, int]

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.up.log.splitlines()]

    def told(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line["event"] == event]

    def output(self) -> str:
        return self.up.log + self.up.log_path.with_suffix(".out").read_text()


def ask(up: Up, method: str, path: str, body: str = "", **headers: str) -> Any:
    with closing(http.client.HTTPConnection("127.0.0.1", up.port, timeout=30)) as connection:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        content = answer.read()
    kind = answer.getheader("Content-Type", "")
    return json.loads(content) if "json" in kind else answer


def service(folder: Path, form: str, level: str) -> Service:
    installation = Installation(folder / "data")
    installation.environment |= {"TVARR_LOGGING_FORMAT": form, "TVARR_LOGGING_LEVEL": level}
    installation.environment |= {"TVARR_ADMIN_PASSWORD": PASSWORD, "SECRET_KEY": KEY}
    up = start_up(installation, free_port(), apart=True)
    wait_until(lambda: up.process.poll() is not None or ("worker.started" in up.log and up.answers()), "it", seconds=60)
    assert up.process.poll() is None, up.log
    token = installation.json("token", "create", "Harbour script", "--user", "admin", "--json")["token"]
    with_token = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    asked = ask(up, "POST", "/api/v1/backups", '{"note": "Hafen"}', **with_token)["operation"]["id"]

    def done() -> Any:
        operation = ask(up, "GET", f"/api/v1/operations/{asked}", **with_token)
        return operation if operation["state"] not in ("queued", "running") else None

    operation = wait_until(done, "the backup", seconds=40)
    return Service(up, token, operation, {word: up.program(word).pid for word in ("gunicorn", "worker")})


def stopped(running: Service) -> None:
    running.up.process.terminate()
    assert running.up.process.wait(timeout=30) == 0


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """A stopped service that logged JSON at `debug`, after valid and invalid requests."""
    running = service(tmp_path_factory.mktemp("json"), "json", "debug")
    try:
        misuse(running.up, running.token)
        psutil.Process(running.program_pids["worker"]).kill()
        wait_until(lambda: len(running.told("worker.started")) == 2, "the next worker")
    finally:
        stopped(running)
    return running


def misuse(up: Up, token: str) -> None:
    """Send secrets in every way that could bring them into a log."""
    for name in ("admin", WRONG, "harbour\n2026-01-01T00:00:00.000Z info forged"):
        basic = base64.b64encode(f"{name}:{WRONG}".encode()).decode()
        assert ask(up, "GET", "/api/v1/backups", Authorization=f"Basic {basic}")["status"] == 401
    right = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
    assert "backups" in ask(up, "GET", "/api/v1/backups", Authorization=f"Basic {right}")
    assert "backups" in ask(up, "GET", "/api/v1/backups", X_Api_Key=token)
    assert ask(up, "GET", "/api/v1/backups", X_Api_Key=token[:-1] + "g")["status"] == 401
    assert ask(up, "GET", f"/api/v1/backups?token={token}", X_Api_Key=token)["status"] == 400
    assert ask(up, "GET", f"/nothing%0aforged%1b%5b31m?token={token}").status == 404
    page = ask(up, "GET", "/sign-in/")
    cookie = page.getheader("Set-Cookie").split(";")[0]
    form = {"username": "admin", "password": WRONG, "csrfmiddlewaretoken": cookie.partition("=")[2], "next": "/admin/"}
    sign_in = {"Content_Type": "application/x-www-form-urlencoded", "Cookie": cookie}
    assert ask(up, "POST", "/sign-in/", urllib.parse.urlencode(form), **sign_in).status == 200
    form["password"] = PASSWORD
    assert ask(up, "POST", "/sign-in/", urllib.parse.urlencode(form), **sign_in).status == 302
    for broken in (f"GET /?token={token} HTTP/9.9", f"GET\t/?token={token}", f"GET / HTTP/1.1\r\nX-Api-Key {token}"):
        with closing(socket.create_connection(("127.0.0.1", up.port), timeout=30)) as connection:
            connection.sendall(f"{broken}\r\nHost: 127.0.0.1\r\n\r\n".encode())
            assert b"400 Bad Request" in connection.recv(4096)


def test_every_line_is_an_object_with_time_level_event_and_logger(spoken: Service) -> None:
    lines = spoken.lines()
    assert len(lines) > 50
    for line in lines:
        assert list(line)[:4] == ["time", "level", "event", "logger"]
        assert re.fullmatch(TIME, line["time"])


@pytest.mark.parametrize("logger", ["gunicorn.error", "django-q", "django.request", "tvarr_backup.worker"])
def test_all_loggers_use_one_format(spoken: Service, logger: str) -> None:
    assert {line["logger"] for line in spoken.lines()} >= {logger}


def test_both_kinds_of_gunicorn_processes_do(spoken: Service) -> None:
    said = " ".join(line["event"] for line in spoken.lines() if line["logger"] == "gunicorn.error")
    for words in (
        "Starting gunicorn",
        "Listening at: ",
        "Booting worker with pid: ",
        "Worker exiting",
        "Shutting down",
    ):
        assert words in said


def test_a_backup_is_logged_with_its_user_and_size(spoken: Service) -> None:
    (event,) = spoken.told("backup.created")
    made = spoken.backup["result"]["backup"]
    assert (event["operation"], event["kind"]) == (spoken.backup["id"], "backup")
    assert (event["origin"], event["user"]) == ("api", "admin")
    assert (event["filename"], event["database_bytes"], event["archive_bytes"]) == (
        made["filename"],
        made["database_size"],
        made["compressed_size"],
    )
    assert 0 < event["seconds"] < 30


def test_events_of_an_operation_in_two_processes_share_its_id(spoken: Service) -> None:
    way = [line["event"] for line in spoken.lines() if line.get("operation") == spoken.backup["id"]]
    assert [event for event in way if "." in event] == [
        "operation.queued",
        "operation.started",
        "backup.created",
        "operation.succeeded",
    ]


def test_a_failed_sign_in_has_a_name_only_if_the_user_exists(spoken: Service) -> None:
    found = spoken.told("login.failed")
    assert [event.get("user") for event in found] == ["admin", None, None, "admin"]
    assert {event["address"] for event in found} == {"127.0.0.1"}
    assert [event["user"] for event in spoken.told("login.succeeded")] == ["admin"]


def test_programs_are_logged_with_their_pids(spoken: Service) -> None:
    first = {event["program"]: event["pid"] for event in spoken.told("program.started")[:2]}
    assert first == {"web server": spoken.program_pids["gunicorn"], "worker": spoken.program_pids["worker"]}
    (ended,) = spoken.told("program.ended")
    assert (ended["program"], ended["how"], ended["restart_seconds"]) == ("worker", "killed by SIGKILL", 1)


def test_the_last_lines_are_written(spoken: Service) -> None:
    assert len(spoken.told("worker.stopped")) == 1
    assert sorted(event["program"] for event in spoken.told("program.stopped")) == ["alerts", "web server", "worker"]


def test_requests_are_logged_without_their_queries(spoken: Service) -> None:
    answered = spoken.told("request.answered")
    asked = {(event["method"], event["path"], event["status"], event.get("user")) for event in answered}
    assert ("GET", "/api/v1/backups", 401, None) in asked
    assert ("GET", "/api/v1/backups", 200, "admin") in asked
    assert ("GET", "/nothing\nforged\x1b[31m", 404, None) in asked


def test_no_request_can_forge_a_line(spoken: Service) -> None:
    assert not [line for line in spoken.lines() if line["event"].startswith("forged")]
    assert "\x1b" not in spoken.output()


def test_no_secret_is_in_anything_it_prints(spoken: Service) -> None:
    output = spoken.output()
    coded = [base64.b64encode(f"admin:{word}".encode()).decode() for word in (PASSWORD, WRONG)]
    for secret in (PASSWORD, WRONG, KEY.strip(), spoken.token, spoken.token[:-1], *coded):
        assert secret not in output
        assert secret[8:24] not in output


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """The same as text, with default settings."""
    running = service(tmp_path_factory.mktemp("text"), "text", "info")
    stopped(running)
    return running


def test_every_line_of_text_has_one_format(written: Service) -> None:
    lines = written.up.log.splitlines()
    assert len(lines) > 10
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert re.search(
        r" backup\.created operation=\w+ kind=backup origin=api user=admin filename=tvarr-", written.up.log
    )


def test_requests_are_not_logged_by_default(written: Service) -> None:
    assert "request.answered" not in written.up.log
    assert "django-q" not in written.up.log


def test_standard_output_has_no_log_lines(written: Service) -> None:
    printed = written.up.log_path.with_suffix(".out").read_text()
    assert f"Serving {written.up.address}/\n" in printed
    assert not re.search(TIME, printed)


def test_the_last_lines_of_a_stopped_task_are_written(large: Installation) -> None:
    large.environment["TVARR_LOGGING_FORMAT"] = "json"
    worker = RunningWorker(large)
    task = hold_in_the_middle(large, lambda: worker.process.pid)
    worker.process.terminate()
    resume_when_it_must_end(task)
    assert worker.ends() == 0
    events = [json.loads(line)["event"] for line in worker.log.splitlines()]
    assert events == [
        "worker.started",
        "schema.seen",
        "operation.started",
        "task.told_to_end",
        "operation.interrupted",
        "worker.stopped",
    ]
    assert work_files(large) == []
