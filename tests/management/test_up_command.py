"""`up`: prepare, then serve and work, in real processes on a real port."""

from __future__ import annotations

import http.cookiejar
import os
import re
import signal
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from django.templatetags.static import static

from tests.installation import Installation
from tests.processes import family, none_is_left, told_to_end, wait_until
from tests.ups import Up, free_port, start_up

Start = Callable[[Installation, int], Up]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `up`s that do not outlive their test."""
    started = []

    def start(installation: Installation, port: int) -> Up:
        started.append(start_up(installation, port))
        return started[-1]

    yield start
    for up in started:
        if up.process.poll() is None:
            up.process.terminate()
            up.process.wait(timeout=30)


def complete(running: Up) -> Up:
    wait_until(lambda: running.process.poll() is not None or running.is_complete(), "it is complete", seconds=60)
    assert running.process.poll() is None, running.log
    return running


@pytest.fixture
def up(prepared: Installation, start: Start) -> Up:
    """A service of the test's own, complete."""
    return complete(start(prepared, free_port()))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A running service of a new installation, shared by tests that do not change it."""
    running = start_up(Installation(tmp_path_factory.mktemp("fresh") / "data"), free_port())
    try:
        yield complete(running)
    finally:
        running.process.terminate()
        running.process.wait(timeout=30)


def test_a_user_signs_in_with_the_printed_password(fresh: Up) -> None:
    password = re.findall(r"One-time password: (\S+)", fresh.log)[0]
    cookies = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
    with browser.open(f"{fresh.address}/", timeout=10) as page:
        assert "/sign-in/" in page.url
        assert "default-src 'self'" in page.headers["Content-Security-Policy"]
        token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.read().decode())[0]
    form = {"username": "admin", "password": password, "csrfmiddlewaretoken": token, "next": "/admin/"}
    with browser.open(f"{fresh.address}/sign-in/", urllib.parse.urlencode(form).encode(), timeout=10) as page:
        text = page.read().decode()
    assert page.url == f"{fresh.address}/account/password/?next=%2Fadmin%2F"
    assert "one-time password" in text


def test_its_style_sheets_are_served(fresh: Up) -> None:
    for name in ("css/app.css", "css/admin.css", "admin/css/base.css"):
        with urllib.request.urlopen(f"{fresh.address}{static(name)}", timeout=10) as answer:
            assert (answer.status, answer.headers.get_content_type()) == (200, "text/css")


def test_it_logs_what_it_started(fresh: Up) -> None:
    assert f"Serving {fresh.address}/\n" in fresh.log
    assert f'program.started program="web server" pid={fresh.program("gunicorn").pid}\n' in fresh.log
    assert f"program.started program=worker pid={fresh.program('worker').pid}\n" in fresh.log


def test_each_program_has_a_session_of_its_own(fresh: Up) -> None:
    """So Ctrl-C reaches only the supervisor, which then stops the others in order."""
    for word in ("gunicorn", "worker", "notify"):
        assert os.getsid(fresh.program(word).pid) == fresh.program(word).pid


@told_to_end
def test_a_signal_stops_it_and_nothing_is_left_behind(up: Up, number: signal.Signals, send: object) -> None:
    processes = family(up.process.pid)
    assert callable(send)
    send(up.process.pid, number)
    assert up.process.wait(timeout=12) == 0
    none_is_left(processes, seconds=0.1)
    assert " worker.stopped " in up.log
    assert " sender.stopped " in up.log


def test_killed_it_takes_everything_along(up: Up) -> None:
    processes = family(up.process.pid)
    up.process.kill()
    up.process.wait()
    none_is_left(processes, seconds=10)


@pytest.mark.parametrize(("word", "name"), [("gunicorn", "web server"), ("worker", "worker"), ("notify", "alerts")])
def test_a_program_that_is_killed_is_started_again(up: Up, word: str, name: str) -> None:
    killed = up.program(word)
    old = family(killed.pid)
    killed.kill()
    none_is_left(old, seconds=5)
    wait_until(lambda: up.starts(name) == 2 and up.is_complete(), "it is complete again")
    assert re.search(rf' program.ended program="?{name}"? how="killed by SIGKILL" restart_seconds=1\n', up.log)
    assert up.program(word).pid != killed.pid


def test_what_a_killed_program_leaves_behind_is_killed_before_it_is_started_again(up: Up) -> None:
    killed = up.program("gunicorn")
    held = killed.children()
    for process in held:
        process.suspend()
    killed.kill()
    none_is_left(held)
    wait_until(lambda: up.starts("web server") == 2 and up.is_complete(), "it is complete again")


def test_no_request_is_refused_while_the_web_server_is_started_again(up: Up) -> None:
    up.program("gunicorn").kill()
    wait_until(lambda: ' program.ended program="web server" ' in up.log, "its end is seen")
    assert up.answers()


def test_a_program_that_keeps_ending_is_started_less_and_less_often(up: Up) -> None:
    for delay in (1, 2):
        wait_until(up.is_complete, "it is complete")
        up.program("worker").kill()
        wait_until(lambda delay=delay: f" restart_seconds={delay}\n" in up.log, f"the delay of {delay} s")  # type: ignore[misc]  # a default argument


def test_a_port_in_use_ends_it_with_a_message(installation: Installation, start: Start) -> None:
    installation.prepared()
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        up = start(installation, port)
        assert up.process.wait(timeout=60) == 1
    assert up.log.endswith(
        f"error: The web server cannot listen on TVARR_SERVER_HOST=127.0.0.1, TVARR_SERVER_PORT={port}: "
        "Address already in use.\n"
    )


def test_a_web_server_that_cannot_start_ends_it_with_a_message(prepared: Installation, start: Start) -> None:
    prepared.environment["GUNICORN_CMD_ARGS"] = "--certfile=/nowhere"
    up = start(prepared, free_port())
    processes = wait_until(lambda: family(up.process.pid)[1:], "its programs")
    assert up.process.wait(timeout=60) == 1
    none_is_left(processes)
    assert "error: The web server could not start (exit status 1). Its own message is above.\n" in up.log
