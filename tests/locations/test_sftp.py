"""Locations on SFTP servers: OpenSSH's own, and one of the tests' own for what that cannot do."""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncssh
import pytest

from tests.locations.proxy import Proxy, running_proxy
from tests.locations.ssh_server import (
    PASSWORD,
    BrokenListingServer,
    HostileServer,
    PlainServer,
    UnwritableServer,
    running_ssh_server,
)
from tests.locations.sshd import SSHD, Disk, running_sshd
from tests.locations.test_stores import CancelAfter, Canceled
from tvarr_backup.errors import (
    LocationDenied,
    LocationError,
    LocationFailed,
    LocationFull,
    LocationInvalid,
    LocationReadOnly,
    LocationUnreachable,
    LocationUntrusted,
    ObjectExists,
    ObjectMissing,
)
from tvarr_backup.locations import sftp_store, stores
from tvarr_backup.locations.addresses import Address
from tvarr_backup.locations.sftp_store import SFTPStore
from tvarr_backup.locations.stores import BytesSource, Entry, FileSource

MB = 10**6


@pytest.fixture(scope="module")
def sshd() -> Iterator[SSHD]:
    with running_sshd() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(sshd: SSHD) -> Iterator[Proxy]:
    with running_proxy(sshd.port) as proxy:
        yield proxy


@pytest.fixture
def folder(sshd: SSHD, request: pytest.FixtureRequest) -> str:
    """A folder of the test's own. The store has not made it yet."""
    return hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]


@pytest.fixture
def store(sshd: SSHD) -> Iterator[SFTPStore]:
    with SFTPStore(sshd.address) as store:
        yield store


@pytest.fixture
def proxied(sshd: SSHD, proxy: Proxy) -> Iterator[SFTPStore]:
    proxy.heal()
    with SFTPStore(sshd.address.with_options(port=str(proxy.port))) as store:
        yield store
    proxy.heal()


@pytest.fixture
def become_impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setattr(stores, "TIMEOUT_SECONDS", 0.5)


def parts(sshd: SSHD, folder: str) -> list[Path]:
    return list((sshd.folder / folder).glob("*.part"))


# --- Objects ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 255 * 1024, 255 * 1024 + 1])
def test_sizes_around_a_block(store: SFTPStore, folder: str, size: int) -> None:
    store.write(f"{folder}/one", BytesSource(b"x" * size))
    assert store.list_objects(folder) == [Entry("one", size)]
    assert b"".join(store.read(f"{folder}/one")) == b"x" * size


def test_a_reading_outlives_its_store(sshd: SSHD, store: SFTPStore, folder: str, source: FileSource) -> None:
    store.write(f"{folder}/one", source)
    with SFTPStore(sshd.address) as other:
        pieces = other.read(f"{folder}/one")
        next(pieces)
    pieces.close()  # type: ignore[attr-defined]  # it is a generator


def test_a_missing_path_is_not_an_empty_location(sshd: SSHD) -> None:
    with SFTPStore(sshd.address.with_options(path="/nowhere")) as store:
        for action in (store.list_folders, lambda: store.list_objects("a"), lambda: store.delete_unfinished("a")):
            with pytest.raises(ObjectMissing, match="nowhere"):
                action()
        with pytest.raises(ObjectMissing):
            store.write("a/one", BytesSource(b"x"))
    assert not Path("/nowhere").exists()


def test_folders_links_and_unfinished_objects_are_not_listed(sshd: SSHD, store: SFTPStore, folder: str) -> None:
    store.write(f"{folder}/one", BytesSource(b"x"))
    (sshd.folder / folder / "below").mkdir()
    (sshd.folder / folder / "link").symlink_to("one")
    (sshd.folder / folder / "two.0123456789abcdef.part").touch()
    assert [entry.name for entry in store.list_objects(folder)] == ["one"]
    store.delete_unfinished(folder)
    assert parts(sshd, folder) == []


# --- Unfinished writes -----------------------------------------------------------------------------------------------


def test_holes_near_the_end_of_an_unfinished_object_are_filled(
    sshd: SSHD, store: SFTPStore, folder: str, source: FileSource
) -> None:
    with pytest.raises(Canceled):
        store.write(f"{folder}/one", source, report=CancelAfter(source.size))
    part = parts(sshd, folder)[0]
    with part.open("r+b") as file:
        file.seek(-sftp_store.WINDOW, os.SEEK_END)
        file.write(b"\0" * sftp_store.WINDOW)
    store.write(f"{folder}/one", source)
    assert b"".join(store.read(f"{folder}/one")) == source.path.read_bytes()


def test_an_unfinished_object_that_is_too_long_is_not_used(
    sshd: SSHD, store: SFTPStore, folder: str, source: FileSource
) -> None:
    with pytest.raises(Canceled):
        store.write(f"{folder}/one", source, report=CancelAfter(MB))
    with parts(sshd, folder)[0].open("ab") as file:
        file.truncate(20 * MB)
    store.write(f"{folder}/one", source)
    assert b"".join(store.read(f"{folder}/one")) == source.path.read_bytes()


# --- Connections -----------------------------------------------------------------------------------------------------


def test_a_connection_that_stalls_at_once_ends(
    proxy: Proxy, proxied: SFTPStore, become_impatient: Callable[[], None]
) -> None:
    become_impatient()
    proxy.stall_after(received=0)
    with pytest.raises(LocationUnreachable, match=r"0\.5 s"):
        proxied.list_folders()


def test_a_server_of_another_protocol(sshd: SSHD, tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        port = server.stdout.readline().decode().split(" port ")[1].split()[0]
        try:
            with SFTPStore(sshd.address.with_options(port=port)) as store, pytest.raises(LocationError):
                store.list_folders()
        finally:
            server.kill()


def test_a_stopped_server_is_unreachable() -> None:
    with running_sshd() as server, SFTPStore(server.address) as store:
        store.list_folders()
        server.stop()
        with pytest.raises(LocationUnreachable):
            store.list_folders()
        server.start()
        assert store.list_folders() == []


# --- Identity and credentials ----------------------------------------------------------------------------------------


def test_an_unknown_host_key_is_shown_before_anything_is_sent(tmp_path: Path) -> None:
    with running_ssh_server(tmp_path) as server:
        with SFTPStore(server.address.with_options(host_key="")) as store:
            with pytest.raises(LocationUntrusted) as refusal:
                store.list_folders()
            assert refusal.value.host_key == server.host_key
        assert server.attempts == []
        with SFTPStore(server.address.with_options(host_key=refusal.value.host_key)) as store:
            assert store.list_folders() == []


@pytest.mark.parametrize("key_type", ["ssh-rsa", "ecdsa-sha2-nistp256", "ssh-ed25519"])
def test_host_keys_of_each_type(tmp_path: Path, key_type: str) -> None:
    with running_ssh_server(tmp_path, key_type=key_type) as server, SFTPStore(server.address) as store:
        assert store.list_folders() == []


@pytest.mark.parametrize("key_type", ["ssh-rsa", "ssh-ed25519"])
def test_another_host_key_is_refused_before_anything_is_sent(tmp_path: Path, key_type: str) -> None:
    other = asyncssh.generate_private_key(key_type).export_public_key().decode().strip()
    with running_ssh_server(tmp_path) as server, SFTPStore(server.address.with_options(host_key=other)) as store:
        with pytest.raises(LocationUntrusted) as refusal:
            store.list_folders()
        assert refusal.value.facts["expected"] == other
        assert refusal.value.host_key == server.host_key
        assert server.attempts == []


def test_a_host_key_that_changes_is_refused() -> None:
    with running_sshd() as server:
        address = server.address
        with SFTPStore(address) as store:
            store.list_folders()
        server.change_host_key()
        with SFTPStore(address) as store, pytest.raises(LocationUntrusted) as refusal:
            store.list_folders()
        assert refusal.value.host_key == server.host_key


def test_a_password(tmp_path: Path) -> None:
    with running_ssh_server(tmp_path) as server:
        with SFTPStore(server.address) as store:
            store.write("a/one", BytesSource(b"x"))
            assert store.list_objects("a") == [Entry("one", 1)]
        with (
            SFTPStore(server.address.with_options(password="wrong")) as store,
            pytest.raises(LocationDenied) as refusal,
        ):
            store.list_folders()
    assert "wrong" not in str(refusal.value)


def test_openssh_refuses_a_password_and_a_wrong_key(sshd: SSHD) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
    for options in ({"password": PASSWORD, "private_key": ""}, {"private_key": other}, {"user": "nobody-here"}):
        with SFTPStore(sshd.address.with_options(**options)) as store, pytest.raises(LocationDenied):
            store.list_folders()


@pytest.mark.parametrize("form", ["openssh", "pkcs1-pem", "pkcs8-pem"])
@pytest.mark.parametrize("passphrase", ["", "pass phrase"])
def test_forms_of_private_keys(sshd: SSHD, form: str, passphrase: str) -> None:
    key = asyncssh.generate_private_key("ssh-rsa")
    authorized = sshd.folder.parent / "authorized"
    before = authorized.read_bytes()
    authorized.write_bytes(before + key.export_public_key())
    text = key.export_private_key(form, passphrase or None, rounds=50).decode().replace("\n", "\r\n")
    with SFTPStore(sshd.address.with_options(private_key=text, passphrase=passphrase)) as store:
        store.list_folders()
    authorized.write_bytes(before)


@pytest.mark.parametrize("form", ["openssh", "pkcs8-pem"])
@pytest.mark.parametrize("passphrase", ["", "other-words"])
def test_a_wrong_passphrase_names_the_option_only(sshd: SSHD, form: str, passphrase: str) -> None:
    text = asyncssh.generate_private_key("ssh-ed25519").export_private_key(form, "pass phrase", rounds=50).decode()
    with pytest.raises(LocationInvalid, match=r"^passphrase: ") as refusal:
        SFTPStore(sshd.address.with_options(private_key=text, passphrase=passphrase))
    assert "other-words" not in str(refusal.value)


@pytest.mark.parametrize(
    "text", ["s3cret", "-----BEGIN OPENSSH PRIVATE KEY-----\ns3cret\n-----END OPENSSH PRIVATE KEY-----"]
)
def test_an_invalid_private_key_names_the_option_only(sshd: SSHD, text: str) -> None:
    with pytest.raises(LocationInvalid, match=r"^private_key: ") as refusal:
        SFTPStore(sshd.address.with_options(private_key=text))
    assert "s3cret" not in str(refusal.value)


def test_no_credentials(sshd: SSHD) -> None:
    with pytest.raises(LocationInvalid):
        SFTPStore(sshd.address.with_options(private_key=""))


def test_neither_the_agent_nor_the_keys_of_the_account_are_used(
    sshd: SSHD, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/id_ed25519").write_bytes(sshd.private_key.export_private_key())
    (tmp_path / ".ssh/config").write_text("Host *\n  Port 1\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with SFTPStore(sshd.address.with_options(private_key="", password="x")) as store, pytest.raises(LocationDenied):
        store.list_folders()


_LISTER = """
import sys
from tvarr_backup.locations.addresses import parse_url
from tvarr_backup.locations.sftp_store import SFTPStore
with SFTPStore(parse_url(sys.argv[1]).with_options(private_key=sys.stdin.read())) as store:
    store.list_folders()
    print("listed")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without a name")
def test_an_account_without_a_name(sshd: SSHD) -> None:
    command = ["setpriv", "--reuid=54321", "--clear-groups", sys.executable, "-c", _LISTER, sshd.address.url]
    environment = {"PYTHONPATH": ":".join(sys.path), "PATH": os.environ["PATH"]}
    key = sshd.address.options["private_key"]
    done = subprocess.run(command, input=key, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "listed\n", done.stderr


def test_a_server_without_sftp(tmp_path: Path) -> None:
    with running_ssh_server(tmp_path, None) as server, SFTPStore(server.address) as store:
        with pytest.raises(LocationFailed) as refusal:
            store.list_folders()
        assert refusal.value.facts["host"] == "127.0.0.1"


# --- Disks and permissions -------------------------------------------------------------------------------------------


def test_a_full_disk(source: FileSource) -> None:
    with running_sshd(Disk.SMALL) as server, SFTPStore(server.address) as store:
        with pytest.raises(LocationFull) as refusal:
            store.write("a/one", source)
        assert refusal.value.facts["free"] < refusal.value.facts["needed"] <= source.size
        assert store.list_objects("a") == []
        store.write("a/two", BytesSource(b"x" * MB))  # the unfinished object does not keep the space
        assert store.list_objects("a") == [Entry("two", MB)]


def test_a_read_only_disk() -> None:
    with running_sshd(Disk.READ_ONLY) as server, SFTPStore(server.address) as store:
        (server.folder / "a").mkdir()
        (server.folder / "a/one").write_bytes(b"x")
        assert store.list_objects("a") == [Entry("one", 1)]
        for name in ("a/two", "b/one"):
            with pytest.raises(LocationReadOnly):
                store.write(name, BytesSource(b"x"))
        with pytest.raises(LocationReadOnly):
            store.delete("a/one")


def test_a_server_that_does_not_permit_writing() -> None:
    with running_sshd(sftp_options="-R") as server, SFTPStore(server.address) as store:
        (server.folder / "a").mkdir()
        for name in ("a/two", "b/two"):
            with pytest.raises(LocationDenied):
                store.write(name, BytesSource(b"x"))


def test_a_server_that_gives_no_reason(tmp_path: Path) -> None:
    with running_ssh_server(tmp_path, UnwritableServer) as server, SFTPStore(server.address) as store:
        with pytest.raises(LocationFailed):
            store.write("a/one", BytesSource(b"x"))
        assert list((tmp_path / "a").iterdir()) == []


# --- Other servers ---------------------------------------------------------------------------------------------------


def test_a_server_without_extensions(tmp_path: Path) -> None:
    with running_ssh_server(tmp_path, PlainServer) as server, SFTPStore(server.address) as store:
        store.write("a/one", BytesSource(b"old"))
        with pytest.raises(ObjectExists):
            store.write("a/one", BytesSource(b"new"))
        store.write("a/one", BytesSource(b"new"), replace=True)
        store.write("a/two", BytesSource(b"new"), replace=True)
        assert b"".join(store.read("a/one")) == b"new"
        store.delete("a/two")
        assert [path.name for path in (tmp_path / "a").iterdir()] == ["one"]


def test_names_that_lead_elsewhere_are_ignored(tmp_path: Path) -> None:
    with running_ssh_server(tmp_path, HostileServer) as server, SFTPStore(server.address) as store:
        assert [entry.name for entry in store.list_objects("a")] == ["good"]
        assert store.list_folders() == ["folder"]


def test_an_incomplete_listing_is_an_error(tmp_path: Path) -> None:
    with running_ssh_server(tmp_path, BrokenListingServer) as server, SFTPStore(server.address) as store:
        (tmp_path / "a").mkdir()
        with pytest.raises(LocationFailed):
            store.list_objects("a")


def test_an_endless_listing_is_an_error(
    sshd: SSHD, store: SFTPStore, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sshd.folder / folder).mkdir()
    for number in range(20):
        (sshd.folder / folder / str(number)).touch()
    monkeypatch.setattr(sftp_store, "MOST_ENTRIES", 10)
    with pytest.raises(LocationFailed):
        store.list_objects(folder)


def test_two_writes_of_the_same_object(sshd: SSHD, folder: str, source: FileSource) -> None:
    failures: list[LocationError] = []

    def write(address: Address) -> None:
        with SFTPStore(address) as store:
            try:
                store.write(f"{folder}/one", source)
            except LocationError as failure:
                failures.append(failure)

    threads = [threading.Thread(target=write, args=(sshd.address,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 2
    assert (sshd.folder / folder / "one").read_bytes() == source.path.read_bytes()
