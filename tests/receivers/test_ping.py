"""Pings in the forms of Healthchecks and Uptime Kuma, received by a real server."""

import time
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.receivers.web_receiver import Received, Reply, running_receiver
from tvarr_backup.errors import ReceiverFailed, ReceiverInvalid, ReceiverRedirected, ReceiverUnreachable
from tvarr_backup.receivers.addresses import check_ping_url
from tvarr_backup.receivers.ping import MOST_OF_REASON, PingKind, ping

CHECK = "5bf66975-d4c7-4bf5-bcc8-b8d8a82ea278"


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (PingKind.START, f"/{CHECK}/start"),
        (PingKind.SUCCESS, f"/{CHECK}"),
        (PingKind.FAILURE, f"/{CHECK}/fail"),
        (PingKind.TEST, f"/{CHECK}/log"),
    ],
)
@pytest.mark.parametrize(("ending", "query"), [("", ""), ("/", ""), ("?create=1", "?create=1"), ("#part", "")])
def test_healthchecks_gets_the_signal_in_the_path_and_the_reason_in_the_body(
    kind: PingKind, path: str, ending: str, query: str
) -> None:
    with running_receiver(lambda _received: Reply(200, b"OK")) as receiver:
        assert ping(f"{receiver.url}/{CHECK}{ending}", kind, "Backup failed: é.") == "200 OK: OK"
    (received,) = receiver.received
    assert (received.method, received.path, received.body.decode()) == ("POST", path + query, "Backup failed: é.")
    assert received.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("body", [b"OK (not found)", b"OK (rate limited)"])
def test_a_ping_that_healthchecks_ignored_is_a_failure(body: bytes) -> None:
    with running_receiver(lambda _received: Reply(200, body)) as receiver, pytest.raises(ReceiverFailed) as caught:
        ping(f"{receiver.url}/{CHECK}", PingKind.SUCCESS, "")
    assert caught.value.status == 200


@pytest.mark.parametrize(
    ("kind", "status"), [(PingKind.SUCCESS, "up"), (PingKind.FAILURE, "down"), (PingKind.TEST, "up")]
)
@pytest.mark.parametrize("query", ["", "?status=up&msg=OK&ping=", "?status=down&extra=1"])
def test_uptime_kuma_gets_status_and_reason_in_the_query(kind: PingKind, status: str, query: str) -> None:
    with running_receiver(lambda _received: Reply(200, b'{"ok":true}')) as receiver:
        ping(f"{receiver.url}/kuma/api/push/abcDEF123{query}", kind, "Backup failed:\nthe disk is full & more.")
    (received,) = receiver.received
    split = urlsplit(received.path)
    assert (received.method, split.path) == ("GET", "/kuma/api/push/abcDEF123")
    found = dict(parse_qsl(split.query, keep_blank_values=True))
    extra = {"extra": "1"} if "extra" in query else {}
    assert found == {"status": status, "msg": "Backup failed: the disk is full & more.", "ping": "", **extra}


def test_uptime_kuma_gets_nothing_at_the_start() -> None:
    with running_receiver() as receiver:
        assert ping(f"{receiver.url}/api/push/abc", PingKind.START, "Backup started.") == ""
    assert receiver.received == []


def test_a_monitor_that_does_not_exist_is_a_failure() -> None:
    reply = Reply(404, b'{"ok":false,"msg":"Monitor not found or not active."}')
    with running_receiver(lambda _received: reply) as receiver, pytest.raises(ReceiverFailed) as caught:
        ping(f"{receiver.url}/api/push/abcDEF123", PingKind.SUCCESS, "")
    assert caught.value.answer == '404 Not Found: {"ok":false,"msg":"Monitor not found or not active."}'


def test_long_reasons_are_cut_and_escaped() -> None:
    with running_receiver() as receiver:
        ping(f"{receiver.url}/{CHECK}", PingKind.FAILURE, "\x1b[31m" + "é" * 100_000)
        ping(f"{receiver.url}/api/push/abc", PingKind.FAILURE, "é" * 100_000)
    first, second = receiver.received
    assert first.body.decode().startswith("\\x1b[31mééé")
    assert len(first.body.decode()) == MOST_OF_REASON
    assert len(second.path) < 2000


def test_a_slow_answer_is_waited_for() -> None:
    def answer(_received: Received) -> Reply:
        time.sleep(0.5)
        return Reply(200, b"OK")

    with running_receiver(answer) as receiver:
        assert ping(f"{receiver.url}/{CHECK}", PingKind.SUCCESS, "") == "200 OK: OK"


def test_a_monitor_that_never_answers_is_left_at_the_time_limit(silent_port: int) -> None:
    with pytest.raises(ReceiverUnreachable):
        ping(f"http://127.0.0.1:{silent_port}/{CHECK}", PingKind.SUCCESS, "", timeout_seconds=0.2)


@pytest.mark.parametrize("path", [CHECK, "api/push/abc"])
def test_a_redirect_to_another_server_is_not_followed(path: str) -> None:
    with running_receiver() as other:
        reply = Reply(302, b"", {"Location": f"{other.url}/stolen"})
        with running_receiver(lambda _received: reply) as receiver, pytest.raises(ReceiverRedirected):
            ping(f"{receiver.url}/{path}", PingKind.FAILURE, "reason")
    assert other.received == []


def test_a_redirect_on_the_same_server_is_followed_by_uptime_kuma() -> None:
    def answer(received: Received) -> Reply:
        return Reply() if received.path.startswith("/new") else Reply(302, b"", {"Location": "/new?status=up"})

    with running_receiver(answer) as receiver:
        ping(f"{receiver.url}/api/push/abc", PingKind.SUCCESS, "")
    assert [received.method for received in receiver.received] == ["GET", "GET"]


def test_the_displayed_address_has_no_path() -> None:
    assert check_ping_url(f"https://me:word@hc-ping.com/{CHECK}?create=1") == "https://hc-ping.com/…"


@pytest.mark.parametrize(
    "url", ["", "secret", "ftp://host/secret", "https:///secret", "https://host/secret\n", "https://host/secret x"]
)
def test_an_invalid_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ReceiverInvalid) as caught:
        ping(url, PingKind.SUCCESS, "")
    assert "secret" not in f"{caught.value!r} {caught.value.facts}"
