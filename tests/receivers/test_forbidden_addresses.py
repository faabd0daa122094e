"""Addresses that webhooks and pings must not reach."""

import ipaddress
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.receivers.messages import make_message
from tests.receivers.web_receiver import running_receiver
from tvarr_backup.errors import ReceiverForbidden
from tvarr_backup.receivers.addresses import parse_receiver
from tvarr_backup.receivers.connections import is_forbidden
from tvarr_backup.receivers.ping import PingKind, ping
from tvarr_backup.receivers.send import send

FORMS = [
    "169.254.169.254",
    "169.254.0.1",
    "2852039166",
    "0xa9fea9fe",
    "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "[fe80::1]",
    "[fe80::a9fe:a9fe]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
]


@pytest.mark.parametrize("host", FORMS)
def test_link_local_and_metadata_addresses_are_refused_in_every_form(host: str) -> None:
    with pytest.raises(ReceiverForbidden) as caught:
        send(parse_receiver(f"webhook+http://{host}/latest/meta-data/"), make_message())
    assert caught.value.is_permanent
    with pytest.raises(ReceiverForbidden):
        ping(f"http://{host}/latest/meta-data/", PingKind.SUCCESS, "")


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.2", "172.16.0.1", "100.64.0.1", "8.8.8.8", "fd12::1", "2001:db8::1"],
)
def test_this_machine_home_networks_and_others_are_accepted(address: str) -> None:
    assert not is_forbidden(ipaddress.ip_address(address))


def test_an_address_of_ipv6_is_reached() -> None:
    with running_receiver(host="::1") as receiver:
        assert send(parse_receiver(f"webhook+{receiver.url}/hook"), make_message()) == "200 OK: ok"
    assert receiver.received[0].headers["Host"] == receiver.url.removeprefix("http://")


_PROGRAM = """
import json, sys
from tests.receivers.messages import make_message
from tvarr_backup.errors import ReceiverFailed
from tvarr_backup.receivers.addresses import parse_receiver
from tvarr_backup.receivers.send import send
try:
    print(json.dumps(["sent", send(parse_receiver(sys.argv[1]), make_message())]))
except ReceiverFailed as problem:
    print(json.dumps([problem.code, problem.facts["address"]]))
"""


def _send_with_hosts(hosts: str, url: str, folder: Path) -> list[str]:
    """Send a message in a process that resolves names with a file of its own in place of /etc/hosts."""
    file = folder / "hosts"
    file.write_text(hosts)
    mount = 'mount --bind "$0" /etc/hosts && exec "$@"'
    command = ["unshare", "-rm", "bash", "-c", mount, str(file), sys.executable, "-c", _PROGRAM, url]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    found: list[str] = json.loads(finished.stdout)
    return found


def test_a_name_for_a_metadata_service_is_refused(tmp_path: Path) -> None:
    found = _send_with_hosts("169.254.169.254 inside.example\n", "webhook+http://inside.example/x", tmp_path)
    assert found == ["receiver_forbidden", "169.254.169.254"]


def test_a_name_for_a_link_local_address_and_another_one_is_reached_at_the_other(tmp_path: Path) -> None:
    with running_receiver() as receiver:
        hosts = "169.254.1.1 nas.example\nfe80::1 nas.example\n127.0.0.1 nas.example\n"
        found = _send_with_hosts(hosts, f"webhook+http://nas.example:{receiver.port}/x", tmp_path)
    assert found == ["sent", "200 OK: ok"]
