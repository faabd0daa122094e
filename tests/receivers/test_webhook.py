"""Messages to a webhook, received by a real server."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator

import pytest

from tests.receivers.messages import make_message
from tests.receivers.web_receiver import Received, Reply, running_receiver
from tvarr_backup.errors import (
    ReceiverDenied,
    ReceiverFailed,
    ReceiverRedirected,
    ReceiverUnreachable,
)
from tvarr_backup.receivers.addresses import make_signing_secret, parse_receiver
from tvarr_backup.receivers.send import send


def test_a_message_arrives_as_json() -> None:
    with running_receiver() as receiver:
        answer = send(parse_receiver(f"webhook+{receiver.url}/hook?channel=tv"), make_message())
    (received,) = receiver.received
    assert answer == "200 OK: ok"
    assert (received.method, received.path) == ("POST", "/hook?channel=tv")
    assert received.headers["Content-Type"] == "application/json"
    assert received.headers["Host"] == receiver.url.removeprefix("http://")
    assert "webhook-signature" not in received.headers
    assert json.loads(received.body) == {
        "id": "01JDXJ5Q0000000000000000AB",
        "event": "backup_failed",
        "is_over": False,
        "subject": "Backup failed",
        "text": "Backup failed: the disk is full.\nYour existing backups are unchanged.",
        "created_at": "2026-11-30T02:00:00Z",
        "installation": "harbour",
        "data": {"error_code": "no_room"},
    }


def test_a_message_is_signed_over_its_id_the_time_and_the_body() -> None:
    secret = make_signing_secret()
    with running_receiver() as receiver:
        address = parse_receiver(f"webhook+{receiver.url}/hook").with_signing_secret(secret)
        send(address, make_message())
    (received,) = receiver.received
    moment, name = received.headers["webhook-timestamp"], received.headers["webhook-id"]
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.digest(key, f"{name}.{moment}.".encode() + received.body, hashlib.sha256))
    assert received.headers["webhook-signature"] == f"v1,{expected.decode()}"
    assert name == make_message().id


def test_credentials_of_the_address_are_sent_in_a_header() -> None:
    with running_receiver() as receiver:
        send(parse_receiver(f"webhook+{receiver.url.replace('://', '://me:w%40rd@')}/hook"), make_message())
    (received,) = receiver.received
    assert received.headers["Authorization"] == f"Basic {base64.b64encode(b'me:w@rd').decode()}"
    assert "@" not in received.headers["Host"]


def test_the_same_message_is_accepted_after_an_error_of_the_server() -> None:
    statuses = [500, 200]
    with running_receiver(lambda _received: Reply(statuses.pop(0), b"sorry")) as receiver:
        address = parse_receiver(f"webhook+{receiver.url}/hook")
        with pytest.raises(ReceiverFailed) as caught:
            send(address, make_message())
        assert send(address, make_message()) == "200 OK: sorry"
    assert (caught.value.status, caught.value.answer) == (500, "500 Internal Server Error: sorry")
    assert not caught.value.is_permanent
    assert receiver.received[0].body == receiver.received[1].body


@pytest.mark.parametrize(
    ("status", "code", "is_permanent"),
    [
        (400, "receiver_failed", True),
        (401, "receiver_denied", False),
        (403, "receiver_denied", False),
        (404, "receiver_failed", False),
        (410, "receiver_failed", True),
        (413, "receiver_failed", True),
        (429, "receiver_failed", False),
        (503, "receiver_failed", False),
        (304, "receiver_failed", False),
    ],
)
def test_other_answers_are_failures(status: int, code: str, is_permanent: bool) -> None:
    with running_receiver(lambda _received: Reply(status, b"")) as receiver, pytest.raises(ReceiverFailed) as caught:
        send(parse_receiver(f"webhook+{receiver.url}/hook"), make_message())
    assert (caught.value.code, caught.value.status, caught.value.is_permanent) == (code, status, is_permanent)


def test_a_refusal_says_where_it_came_from() -> None:
    with running_receiver(lambda _received: Reply(403, b"no")) as receiver, pytest.raises(ReceiverDenied) as caught:
        send(parse_receiver(f"webhook+{receiver.url}/hook"), make_message())
    assert str(caught.value) == (
        f'"{receiver.url}" refused the request: 403 Forbidden: no. Check the address and its password or token.'
    )


def test_a_long_answer_is_cut_to_one_line() -> None:
    with running_receiver(lambda _received: Reply(200, b"a\nb \x1b[31m" + b"c" * 100_000)) as receiver:
        answer = send(parse_receiver(f"webhook+{receiver.url}/hook"), make_message())
    assert answer.startswith(r"200 OK: a b \x1b[31mccc")
    assert len(answer) == 300


def test_a_page_is_left_out_of_the_answer() -> None:
    reply = Reply(502, b"<html><script>alert(1)</script>", {"Content-Type": "text/html; charset=utf-8"})
    with running_receiver(lambda _received: reply) as receiver, pytest.raises(ReceiverFailed) as caught:
        send(parse_receiver(f"webhook+{receiver.url}/hook"), make_message())
    assert caught.value.answer == "502 Bad Gateway"


def test_html_in_a_message_arrives_as_text() -> None:
    with running_receiver() as receiver:
        send(parse_receiver(f"webhook+{receiver.url}/hook"), make_message(text="<b>bold</b> & \x1b[31m"))
    assert json.loads(receiver.received[0].body)["text"] == r"<b>bold</b> & \x1b[31m"


# --- Redirects -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_on_the_same_server_is_followed(status: int) -> None:
    def answer(received: Received) -> Reply:
        return Reply() if received.path == "/new" else Reply(status, b"", {"Location": "/new"})

    with running_receiver(answer) as receiver:
        address = parse_receiver(f"webhook+{receiver.url.replace('://', '://me:word@')}/hook")
        send(address, make_message())
    first, second = receiver.received
    assert (second.method, second.path, second.body) == ("POST", "/new", first.body)
    assert second.headers["Authorization"] == first.headers["Authorization"]


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_would_drop_the_message_is_an_error(status: int) -> None:
    reply = Reply(status, b"", {"Location": "/new-secret"})
    with running_receiver(lambda _received: reply) as receiver, pytest.raises(ReceiverRedirected) as caught:
        send(parse_receiver(f"webhook+{receiver.url}/hook"), make_message())
    assert caught.value.status == status
    assert len(receiver.received) == 1
    assert "new-secret" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_server_is_not_followed(status: int) -> None:
    with running_receiver() as other:
        reply = Reply(status, b"", {"Location": f"{other.url}/stolen"})
        with running_receiver(lambda _received: reply) as receiver, pytest.raises(ReceiverRedirected) as caught:
            send(parse_receiver(f"webhook+{receiver.url}/hook"), make_message())
    assert other.received == []
    assert caught.value.facts["target"] == f'"{other.url}"'


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "//localhost:{port}/x",
        "https://127.0.0.1:{port}/x",
        "http://me@127.0.0.1/x",
        "file:///etc/passwd",
        "http://[",
        "http://host:port/",
    ],
)
def test_another_name_scheme_or_port_is_another_server(location: str) -> None:
    def answer(_received: Received) -> Reply:
        return Reply(307, b"", {"Location": location.format(port=receiver.port)})

    with running_receiver(answer) as receiver, pytest.raises(ReceiverRedirected):
        send(parse_receiver(f"webhook+{receiver.url}/hook"), make_message())
    assert len(receiver.received) == 1


def test_redirects_in_a_circle_end() -> None:
    reply = Reply(307, b"", {"Location": "/hook"})
    with running_receiver(lambda _received: reply) as receiver, pytest.raises(ReceiverRedirected):
        send(parse_receiver(f"webhook+{receiver.url}/hook"), make_message())
    assert len(receiver.received) == 3


# --- Slow and dead ---------------------------------------------------------------------------------------------------


def _endless(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece


def test_a_receiver_that_never_answers_is_left_at_the_time_limit(silent_port: int) -> None:
    with pytest.raises(ReceiverUnreachable) as caught:
        send(parse_receiver(f"webhook+http://127.0.0.1:{silent_port}/hook"), make_message(), timeout_seconds=0.2)
    assert caught.value.facts["reason"].facts == {"seconds": 0.2}
    assert not caught.value.is_permanent


def test_a_receiver_that_never_completes_tls_is_left_at_the_time_limit(silent_port: int) -> None:
    with pytest.raises(ReceiverUnreachable):
        send(parse_receiver(f"webhook+https://127.0.0.1:{silent_port}/hook"), make_message(), timeout_seconds=0.2)


def test_a_body_without_end_does_not_matter() -> None:
    with running_receiver(lambda _received: Reply(200, pieces=_endless(b"x" * 1000))) as receiver:
        assert send(parse_receiver(f"webhook+{receiver.url}/hook"), make_message()).startswith("200 OK: xxx")


def test_a_body_that_trickles_is_left_at_the_time_limit(trickling_port: int) -> None:
    """Each byte comes in time, but the answer never ends."""
    with pytest.raises(ReceiverUnreachable):
        send(parse_receiver(f"webhook+http://127.0.0.1:{trickling_port}/hook"), make_message(), timeout_seconds=0.5)


def test_nobody_listens(free_port: int) -> None:
    with pytest.raises(ReceiverUnreachable) as caught:
        send(parse_receiver(f"webhook+http://127.0.0.1:{free_port}/hook"), make_message())
    assert str(caught.value) == (
        f'"127.0.0.1" did not accept a connection on port {free_port}: no server is listening there. '
        "Check the address, and that the server is running."
    )


@pytest.mark.parametrize("name", ["nothing.invalid", "a" * 70 + ".invalid", "a..invalid"])
def test_a_name_that_does_not_exist(name: str) -> None:
    with pytest.raises(ReceiverUnreachable):
        send(parse_receiver(f"webhook+http://{name}/hook"), make_message())


def test_another_protocol(mail_banner_port: int) -> None:
    with pytest.raises(ReceiverFailed) as caught:
        send(parse_receiver(f"webhook+http://127.0.0.1:{mail_banner_port}/hook"), make_message())
    assert caught.value.code == "receiver_failed"
