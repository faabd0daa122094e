"""Webhooks over TLS."""

import pytest

from tests.receivers.conftest import MakeContext
from tests.receivers.messages import make_message
from tests.receivers.web_receiver import running_receiver
from tvarr_backup.errors import ReceiverUnreachable, ReceiverUntrusted
from tvarr_backup.receivers.addresses import parse_receiver
from tvarr_backup.receivers.send import send


@pytest.mark.usefixtures("_trusted")
def test_a_trusted_certificate_is_accepted(make_context: MakeContext) -> None:
    with running_receiver(context=make_context()) as receiver:
        assert send(parse_receiver(f"webhook+{receiver.url}/hook"), make_message()) == "200 OK: ok"


def test_an_unknown_certificate_is_refused(make_context: MakeContext) -> None:
    with running_receiver(context=make_context()) as receiver, pytest.raises(ReceiverUntrusted) as caught:
        send(parse_receiver(f"webhook+{receiver.url}/hook"), make_message())
    assert receiver.received == []
    assert caught.value.facts["reason"].facts["setting"] == "SSL_CERT_FILE"


@pytest.mark.usefixtures("_trusted")
@pytest.mark.parametrize(("host", "age_days"), [("other.example.com", 1), ("127.0.0.1", 40)])
def test_a_certificate_for_another_name_or_an_expired_one_is_refused(
    host: str, age_days: int, make_context: MakeContext
) -> None:
    with running_receiver(context=make_context(host, age_days)) as receiver, pytest.raises(ReceiverUntrusted):
        send(parse_receiver(f"webhook+{receiver.url}/hook"), make_message())
    assert receiver.received == []


def test_a_server_without_tls_is_reported() -> None:
    with running_receiver() as receiver, pytest.raises((ReceiverUntrusted, ReceiverUnreachable)):
        send(parse_receiver(f"webhook+{receiver.url.replace('http:', 'https:')}/hook"), make_message())
    assert receiver.received == []
