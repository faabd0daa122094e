"""The command `location test` and the host key of an SFTP server, which a user has to confirm."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.installation import Installation
from tests.locations.sshd import SSHD, running_sshd
from tests.management.terminals import type_into


@pytest.fixture(scope="module")
def sshd() -> Iterator[SSHD]:
    with running_sshd() as running:
        yield running


@pytest.fixture
def nas(prepared: Installation, sshd: SSHD) -> Installation:
    """An installation with a location on the server, whose host key is not known."""
    options = sshd.address.options
    prepared.ok(
        *("location", "add", "nas", "--kind", "sftp", "--host", options["host"], "--port", options["port"]),
        *("--user", options["user"], "--path", options["path"], "--private-key-file", "-"),
        stdin=options["private_key"],
    )
    return prepared


def test_without_a_confirmation_the_key_is_shown_and_nothing_is_sent(nas: Installation, sshd: SSHD) -> None:
    said = nas.refused("location", "test", "nas")
    assert sshd.host_key in said
    assert "Fingerprint: SHA256:" in said
    assert nas.json("location", "show", "nas", "--json")["offered_host_key"] == sshd.host_key


def test_an_option_confirms_it(nas: Installation, sshd: SSHD) -> None:
    assert "nas: OK" in nas.ok("location", "test", "nas", "--accept-host-key", f"{sshd.host_key} root@attic")
    assert nas.json("location", "show", "nas", "--json")["options"]["host_key"] == sshd.host_key


def test_an_option_with_another_key_is_refused(nas: Installation) -> None:
    nas.refused("location", "test", "nas", "--accept-host-key", "ssh-ed25519 AAAA")
    assert nas.json("location", "show", "nas", "--json")["tested_at"] is None


@pytest.mark.parametrize(("answer", "status"), [(b"y\n", 0), (b"n\n", 1)])
def test_a_user_confirms_it_on_a_terminal(nas: Installation, answer: bytes, status: int) -> None:
    exit_status, shown = type_into(nas, answer, "location", "test", "nas")
    assert exit_status == status, shown
    assert ("nas: OK" in shown) is (status == 0)
