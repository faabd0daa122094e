"""Messages through apprise, received by a real server that speaks the protocol of the service."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.locations.webdav_server import silent_server
from tests.receivers.conftest import MakeContext
from tests.receivers.messages import make_message
from tests.receivers.web_receiver import Received, Reply, running_receiver
from tvarr_backup.errors import ReceiverFailed, ReceiverInvalid, ReceiverUnreachable, ReceiverUnsupported
from tvarr_backup.receivers.addresses import parse_receiver
from tvarr_backup.receivers.apprise_receiver import check_apprise_address
from tvarr_backup.receivers.messages import OutgoingMessage
from tvarr_backup.receivers.send import send


class Ntfy:
    """Answers as ntfy does: a message is published by a POST to "/" whose JSON names the topic, with a password."""

    def __init__(self) -> None:
        self.published: list[dict[str, Any]] = []

    def answer(self, received: Received) -> Reply:
        if received.headers.get("Authorization") != "Basic bWU6czNjcmV0":  # me:s3cret
            return Reply(401, b'{"code":40101,"http":401,"error":"unauthorized"}')
        message = json.loads(received.body)
        if not {"topic", "message"} <= message.keys() or received.method != "POST":
            return Reply(400, b'{"code":40009,"http":400,"error":"invalid request"}')
        self.published.append(message)
        return Reply(200, json.dumps({"id": "sPs71M8A2T", "event": "message", **message}).encode())


def _send(url: str, message: OutgoingMessage | None = None, timeout_seconds: float = 60) -> str:
    return send(parse_receiver(url), message or make_message(), timeout_seconds=timeout_seconds)


def test_a_message_is_published_on_ntfy() -> None:
    ntfy = Ntfy()
    with running_receiver(ntfy.answer) as receiver:
        answer = _send(f"ntfy://me:s3cret@127.0.0.1:{receiver.port}/alerts")
    (message,) = ntfy.published
    assert (message["topic"], message["title"]) == ("alerts", "Backup failed")
    assert message["message"] == make_message().text
    assert answer == "ntfy accepted the message."


def test_a_wrong_password_is_reported_without_it() -> None:
    ntfy = Ntfy()
    with running_receiver(ntfy.answer) as receiver, pytest.raises(ReceiverFailed) as caught:
        _send(f"ntfy://me:wr0ng@127.0.0.1:{receiver.port}/alerts")
    assert "401" in caught.value.answer
    assert "wr0ng" not in f"{caught.value!r} {caught.value.facts}"
    assert not caught.value.is_permanent


def test_a_webhook_of_apprise_gets_text_and_the_end_of_a_problem() -> None:
    hostile = make_message(text="<b>bold</b> & \x1b[31m *stars*", is_over=True)
    with running_receiver() as receiver:
        _send(f"json://127.0.0.1:{receiver.port}/path", hostile)
    body = json.loads(receiver.received[0].body)
    assert (body["title"], body["message"], body["type"]) == ("Backup failed", hostile.text, "success")


@pytest.mark.usefixtures("_trusted")
def test_a_certificate_that_the_machine_trusts_is_accepted(make_context: MakeContext) -> None:
    with running_receiver(context=make_context()) as receiver:
        assert _send(f"jsons://127.0.0.1:{receiver.port}/path").endswith("accepted the message.")


def test_an_unknown_certificate_is_refused(make_context: MakeContext) -> None:
    with running_receiver(context=make_context()) as receiver, pytest.raises(ReceiverFailed):
        _send(f"jsons://127.0.0.1:{receiver.port}/path")
    assert receiver.received == []


def test_a_silent_service_is_left_at_the_time_limit(silent_port: int) -> None:
    with pytest.raises(ReceiverUnreachable) as caught:
        _send(f"json://127.0.0.1:{silent_port}/path", timeout_seconds=3)
    assert caught.value.facts["seconds"] == 3


def test_a_service_that_trickles_is_left_at_the_time_limit(trickling_port: int) -> None:
    with pytest.raises(ReceiverUnreachable):
        _send(f"json://127.0.0.1:{trickling_port}/path", timeout_seconds=3)


@pytest.mark.parametrize("url", ["nothing://word/of", "tgram://word", "json://"])
def test_an_address_that_apprise_does_not_know_is_refused(url: str) -> None:
    with pytest.raises(ReceiverInvalid) as caught:
        check_apprise_address(parse_receiver(url))
    assert "word" not in f"{caught.value!r} {caught.value.facts}"
    with pytest.raises(ReceiverUnsupported) as refused:
        _send(url)
    assert refused.value.is_permanent


def test_a_check_sends_nothing() -> None:
    with running_receiver() as receiver:
        check_apprise_address(parse_receiver(f"json://127.0.0.1:{receiver.port}/path"))
    assert receiver.received == []


def test_this_process_does_not_import_apprise() -> None:
    program = (
        "import sys\n"
        "from tvarr_backup.receivers.addresses import parse_receiver\n"
        "from tvarr_backup.receivers.apprise_receiver import check_apprise_address\n"
        "check_apprise_address(parse_receiver('json://127.0.0.1/path'))\n"
        "print('apprise' in sys.modules, 'requests' in sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout == "False False\n"
    assert finished.stderr == ""


def test_without_apprise_the_message_says_what_to_install(tmp_path: Path) -> None:
    """Runs with a Python that has no packages."""
    base = Path(sys.base_prefix) / "bin" / Path(sys.executable).resolve().name
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from tvarr_backup.errors import ReceiverUnsupported\n"
        "from tvarr_backup.receivers.addresses import ReceiverAddress, ReceiverKind\n"
        "from tvarr_backup.receivers.apprise_receiver import check_apprise_address\n"
        "try:\n"
        "    check_apprise_address(ReceiverAddress(ReceiverKind.APPRISE, 'json://…', 'json://127.0.0.1/path'))\n"
        "except ReceiverUnsupported as problem:\n"
        "    print(problem.code, problem.is_permanent)"
    )
    root = Path(__file__).parents[2]
    command = [str(base), "-I", "-S", "-c", program, str(root)]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert finished.stdout == "receiver_unsupported True\n"


_PROGRAM = """
import sys
from tests.receivers.messages import make_message
from tvarr_backup.receivers.addresses import parse_receiver
from tvarr_backup.receivers.send import send
send(parse_receiver(sys.stdin.read()), make_message(), timeout_seconds=600)
"""


@contextmanager
def _sending(url: str) -> Iterator[tuple["subprocess.Popen[bytes]", psutil.Process]]:
    """A process that sends a message, and the one of its own that uses apprise."""
    command = [sys.executable, "-c", _PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=Path(__file__).parents[2]) as parent:
        try:
            assert parent.stdin is not None
            parent.stdin.write(url.encode())
            parent.stdin.close()
            while not (children := psutil.Process(parent.pid).children()):
                assert parent.poll() is None
                time.sleep(0.01)
            yield parent, children[0]
        finally:
            parent.kill()


def test_the_process_ends_with_its_parent() -> None:
    with silent_server() as port, _sending(f"json://127.0.0.1:{port}/path") as (parent, child):
        _wait_for_connection(child)
        parent.kill()
        child.wait(timeout=60)


def test_the_address_is_not_visible_to_other_users() -> None:
    with silent_server() as port, _sending(f"json://me:s3cret@127.0.0.1:{port}/path") as (_parent, child):
        _wait_for_connection(child)
        assert "s3cret" not in f"{child.cmdline()} {child.environ()}"


def _wait_for_connection(child: psutil.Process) -> None:
    while not child.net_connections("tcp4"):
        time.sleep(0.01)
