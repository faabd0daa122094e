"""What every kind of location on a network does when the network fails, or this process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.installation import ROOT
from tests.locations.places import SOURCE_BYTES, Place
from tests.locations.proxy import Proxy, running_proxy
from tests.locations.test_stores import content_of
from tests.processes import wait_until
from tests.ups import free_port
from tvarr_backup.errors import LocationUnreachable
from tvarr_backup.locations import s3_store, stores
from tvarr_backup.locations.addresses import LocationKind
from tvarr_backup.locations.stores import BytesSource, Entry, FileSource, Store, open_store

MB = 10**6


@pytest.fixture(autouse=True)
def _few_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_store, "RETRIES", 1)


@pytest.fixture(params=["s3", "sftp", "webdav"])
def place(request: pytest.FixtureRequest) -> Place:
    made: Place = request.getfixturevalue(f"{request.param}_place")
    return made


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with place.open() as opened:
        yield opened


@pytest.fixture
def proxy(place: Place) -> Iterator[Proxy]:
    with running_proxy(place.port) as running:
        yield running


@pytest.fixture
def proxied(place: Place, proxy: Proxy) -> Iterator[Store]:
    with open_store(place.through(proxy.port)) as opened:
        yield opened


@pytest.mark.parametrize("sent", [0, 10, 1_000, 200_000, 8 * MB])
def test_a_write_that_is_cut_can_be_repeated(
    proxy: Proxy, proxied: Store, store: Store, source: FileSource, sent: int
) -> None:
    proxy.cut_after(sent=sent)
    with pytest.raises(LocationUnreachable):
        proxied.write("mine/a.age", source)
    assert store.list_objects("mine") == []
    proxy.heal()
    proxied.write("mine/a.age", source)
    assert content_of(store, "mine/a.age") == source.path.read_bytes()


@pytest.mark.parametrize("received", [0, 10, 1_000, 5 * MB])
def test_a_read_that_is_cut_can_be_continued(
    proxy: Proxy, proxied: Store, store: Store, source: FileSource, received: int
) -> None:
    store.write("mine/a.age", source)
    proxy.cut_after(received=received)
    pieces: list[bytes] = []
    with pytest.raises(LocationUnreachable):
        pieces.extend(proxied.read("mine/a.age"))
    proxy.heal()
    found = b"".join(pieces)
    assert found + content_of(proxied, "mine/a.age", len(found)) == source.path.read_bytes()


@pytest.mark.parametrize("place", ["sftp", "webdav"], indirect=True)
@pytest.mark.parametrize("sent", [0, 1_500, 5 * MB])
def test_a_stalled_write_ends(
    proxy: Proxy, proxied: Store, source: FileSource, monkeypatch: pytest.MonkeyPatch, sent: int
) -> None:
    proxied.list_folders()
    monkeypatch.setattr(stores, "TIMEOUT_SECONDS", 0.5)
    proxy.stall_after(sent=sent)
    with pytest.raises(LocationUnreachable, match=r"0\.5 s"):
        proxied.write("mine/a.age", source)


@pytest.mark.parametrize("place", ["sftp", "webdav"], indirect=True)
@pytest.mark.parametrize("received", [0, 1_500, 5 * MB])
def test_a_stalled_read_ends(
    proxy: Proxy, proxied: Store, source: FileSource, monkeypatch: pytest.MonkeyPatch, received: int
) -> None:
    proxied.write("mine/a.age", source)
    monkeypatch.setattr(stores, "TIMEOUT_SECONDS", 0.5)
    proxy.stall_after(received=received)
    with pytest.raises(LocationUnreachable, match=r"0\.5 s"):
        list(proxied.read("mine/a.age"))


def test_a_connection_that_was_lost_between_calls_is_made_again(proxy: Proxy, proxied: Store) -> None:
    proxied.list_folders()
    proxy.cut()
    proxied.list_folders()
    assert proxy.connections > 1


def test_a_slow_network_is_not_an_error(proxy: Proxy, proxied: Store) -> None:
    proxy.delay_seconds = 0.01
    proxied.write("mine/a.age", BytesSource(b"x" * MB))
    assert proxied.list_objects("mine") == [Entry("a.age", MB)]


def test_nobody_listens(place: Place) -> None:
    port = free_port()
    with open_store(place.through(port)) as store, pytest.raises(LocationUnreachable) as refusal:
        store.list_folders()
    assert (refusal.value.facts["host"], refusal.value.facts["port"]) == ("127.0.0.1", port)


_WRITER = """
import json, sys
from pathlib import Path
from tvarr_backup.locations.addresses import LocationKind, read_address
from tvarr_backup.locations.stores import FileSource, open_store
address = read_address(LocationKind(sys.argv[1]), json.load(sys.stdin))
with open_store(address) as store:
    store.write("mine/a.age", FileSource(Path(sys.argv[2]), Path(sys.argv[2]).stat().st_size, "sha256:one"))
"""


def test_a_killed_write_is_not_listed(place: Place, proxy: Proxy, store: Store, source: FileSource) -> None:
    proxy.stall_after(sent=6 * MB)
    command = [sys.executable, "-c", _WRITER, place.address.kind, str(source.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(dict(place.through(proxy.port).options)).encode())
        process.stdin.close()
        wait_until(lambda: proxy.sent >= 5 * MB, "the write is halfway")
        process.send_signal(signal.SIGKILL)
    proxy.cut()
    assert store.list_objects("mine") == []
    done: list[int] = []
    store.write("mine/a.age", source, report=done.append)
    assert content_of(store, "mine/a.age") == source.path.read_bytes()
    if place.address.kind is LocationKind.SFTP:
        assert MB < done[0] <= SOURCE_BYTES  # it was resumed
