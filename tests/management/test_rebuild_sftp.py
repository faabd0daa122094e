"""`rebuild` from a server of SFTP whose host key is not known yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backups.makers import backup, tvarrs
from tests.installation import Installation
from tests.locations.rebuilding import KEY, dump, save_identity
from tests.locations.sshd import SSHD, running_sshd
from tests.management.terminals import type_into
from tests.management.test_rebuild_command import ID, Machine
from tvarr_backup.backups.sidecar import read_sidecar
from tvarr_backup.locations.copies import CopyFolder
from tvarr_backup.locations.stores import open_store
from tvarr_backup.management.commands.rebuild import describe_host_key


@pytest.fixture
def server() -> Iterator[SSHD]:
    with running_sshd() as running:
        yield running


@pytest.fixture
def machine(server: SSHD, installation: Installation, tmp_path: Path) -> Machine:
    """An empty machine; the location has an encrypted copy."""
    machine = Machine(installation, server.folder, tvarrs(tmp_path / "lost.db"), save_identity(tmp_path / "identity"))
    machine.target.parent.mkdir()
    made = backup(machine.live, tmp_path)
    with open_store(server.address) as store:
        copies = CopyFolder(store, ID)
        copies.mark()
        copies.write_copy(tmp_path / made.filename, read_sidecar(tmp_path / made.name.sidecar), [KEY.recipient])
    (tmp_path / "private_key").write_bytes(server.private_key.export_private_key())
    installation.environment["TVARR_BACKUP_LOCATION_PRIVATE_KEY_FILE"] = str(tmp_path / "private_key")
    return machine


def arguments(machine: Machine, server: SSHD, host_key: str = "") -> list[str]:
    url = server.address.with_options(host_key=host_key).url
    return ["rebuild", "--from", url, "--to", str(machine.target), "--identity", str(machine.identity)]


def test_a_terminal_shows_the_fingerprint_and_asks(machine: Machine, server: SSHD) -> None:
    status, shown = type_into(machine.installation, b"y\n", *arguments(machine, server))
    kind, fingerprint = describe_host_key(server.host_key)
    assert (status, kind in shown, fingerprint in shown) == (0, True, True), shown
    assert dump(machine.target) == dump(machine.live)


def test_another_answer_ends_it(machine: Machine, server: SSHD) -> None:
    status, _shown = type_into(machine.installation, b"n\n", *arguments(machine, server))
    assert (status, machine.target.exists()) == (1, False)


def test_elsewhere_the_message_has_the_url_with_the_key(machine: Machine, server: SSHD) -> None:
    found = machine.refused(*arguments(machine, server)[1:])
    url = server.address.url
    assert url in found
    machine.installation.ok(*arguments(machine, server, server.host_key))
    assert machine.target.exists()


def test_another_key_than_the_given_one_cannot_be_confirmed(machine: Machine, server: SSHD) -> None:
    given = arguments(machine, server, server.host_key)
    server.change_host_key()
    status, shown = type_into(machine.installation, b"y\n", *given)
    assert (status, "[y/N]" in shown, machine.target.exists()) == (1, False, False)
