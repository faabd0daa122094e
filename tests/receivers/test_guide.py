"""What `docs/guides/alerts.md` says about webhooks."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.installation import ROOT
from tests.receivers.messages import make_message
from tests.receivers.web_receiver import Received, running_receiver
from tvarr_backup.operations.alert_models import AlertEvent
from tvarr_backup.receivers.addresses import make_signing_secret, parse_receiver
from tvarr_backup.receivers.messages import MOST_OF_SUBJECT, MOST_OF_TEXT
from tvarr_backup.receivers.send import send
from tvarr_backup.receivers.webhook import make_body, sign

GUIDE = (ROOT / "docs/guides/alerts.md").read_text(encoding="utf-8")
SECRET = make_signing_secret()
Verify = Callable[[str, Mapping[str, str], bytes], bool]


def _block(language: str) -> str:
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    return str(block)


@pytest.fixture
def is_genuine() -> Verify:
    names: dict[str, Any] = {}
    exec(_block("python"), names)
    found: Verify = names["is_genuine"]
    return found


def test_every_event_of_a_message_is_in_the_table() -> None:
    listed = {
        code for row in re.findall(r"^\| (`[^|]+`) \|", GUIDE, re.MULTILINE) for code in re.findall(r"`(\w+)`", row)
    }
    of_pings = {AlertEvent.BACKUP_STARTED, AlertEvent.BACKUP_SUCCEEDED}
    assert set(AlertEvent.values) - of_pings <= listed


@pytest.fixture
def received() -> Received:
    with running_receiver() as receiver:
        send(parse_receiver(f"webhook+{receiver.url}/hook").with_signing_secret(SECRET), make_message())
    return receiver.received[0]


def test_the_example_accepts_a_request(is_genuine: Verify, received: Received) -> None:
    assert is_genuine(SECRET, received.headers, received.body)


def test_the_example_refuses_other_requests(is_genuine: Verify, received: Received) -> None:
    assert not is_genuine(SECRET, received.headers, received.body + b" ")
    assert not is_genuine(make_signing_secret(), received.headers, received.body)
    assert not is_genuine(SECRET, {**received.headers, "webhook-id": "another"}, received.body)
    old = {"webhook-id": "1", "webhook-timestamp": "1700000000"}
    assert not is_genuine(SECRET, {**old, "webhook-signature": sign(SECRET, "1", "1700000000", b"{}")}, b"{}")


def test_the_example_of_a_message_has_its_members() -> None:
    assert json.loads(_block("json")).keys() == json.loads(make_body(make_message())).keys()


def test_the_lengths_are_those_of_the_guide() -> None:
    assert f"Subjects have at most {MOST_OF_SUBJECT} characters and texts {MOST_OF_TEXT:,}." in GUIDE
