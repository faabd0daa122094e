"""Locations on WebDAV servers: wsgidav, and one that answers what a test says."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from tests.locations.proxy import Proxy, running_proxy
from tests.locations.sshd import find_free_port
from tests.locations.webdav_server import (
    PASSWORD,
    Answer,
    Asked,
    Authority,
    Scripted,
    SignIn,
    WebDAV,
    multistatus,
    running_scripted,
    running_webdav,
    silent_server,
)
from tests.processes import wait_until
from tvarr_backup.errors import (
    LocationDenied,
    LocationError,
    LocationFailed,
    LocationFull,
    LocationInvalid,
    LocationRedirected,
    LocationUnreachable,
    LocationUntrusted,
    ObjectExists,
    ObjectMissing,
)
from tvarr_backup.locations import listings, stores, webdav_listing
from tvarr_backup.locations.addresses import Address, LocationKind, read_address
from tvarr_backup.locations.stores import BytesSource, Entry, FileSource
from tvarr_backup.locations.webdav_store import WebDAVStore

MB = 10**6


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def running() -> Iterator[WebDAV]:
    with running_webdav() as server:
        yield server


@pytest.fixture
def webdav(running: WebDAV) -> Iterator[WebDAV]:
    yield running
    running.heal()


@pytest.fixture(scope="module")
def proxy(running: WebDAV) -> Iterator[Proxy]:
    with running_proxy(running.port) as proxy:
        yield proxy


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> str:
    """A folder of the test's own. The store has not made it yet."""
    return hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]


@pytest.fixture
def store(webdav: WebDAV) -> Iterator[WebDAVStore]:
    with WebDAVStore(webdav.address) as store:
        yield store


@pytest.fixture
def proxied(webdav: WebDAV, proxy: Proxy) -> Iterator[WebDAVStore]:
    proxy.heal()
    with WebDAVStore(webdav.address.with_options(url=f"http://127.0.0.1:{proxy.port}/dav")) as store:
        yield store
    proxy.heal()


@pytest.fixture
def become_impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return lambda: monkeypatch.setattr(stores, "TIMEOUT_SECONDS", 0.5)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> FileSource:
    path = tmp_path_factory.mktemp("source") / "archive"
    path.write_bytes(os.urandom(9 * MB))
    return FileSource(path, 9 * MB, tag="sha256:one")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@contextmanager
def scripted_store(answer: Answer | Callable[[Asked], Answer]) -> Iterator[tuple[Scripted, WebDAVStore]]:
    find = answer if callable(answer) else lambda _asked: answer
    with running_scripted(find) as server, WebDAVStore(server.address) as store:
        yield server, store


def names_in(webdav: WebDAV, folder: str) -> list[str]:
    return [path.name for path in (webdav.folder / folder).iterdir()]


# --- Objects ---------------------------------------------------------------------------------------------------------


def test_an_object_is_written_listed_read_and_deleted(store: WebDAVStore, folder: str, source: FileSource) -> None:
    done: list[int] = []
    store.write(f"{folder}/one", source, report=done.append)
    assert store.list_objects(folder) == [Entry("one", source.size)]
    assert folder in store.list_folders()
    assert b"".join(store.read(f"{folder}/one")) == source.path.read_bytes()
    assert done == sorted(done)
    assert done[-1] == source.size
    store.delete(f"{folder}/one")
    store.delete(f"{folder}/one")
    assert store.list_objects(folder) == []


@pytest.mark.parametrize("name", ["a b", "ü", "100%", "a#b", "a+b", "a&b", "a%2Fb"])
def test_names_are_encoded(store: WebDAVStore, webdav: WebDAV, folder: str, name: str) -> None:
    store.write(f"{folder}/{name}", BytesSource(b"x"))
    assert names_in(webdav, folder) == [name]
    assert store.list_objects(folder) == [Entry(name, 1)]
    assert b"".join(store.read(f"{folder}/{name}")) == b"x"


def test_an_empty_object(store: WebDAVStore, folder: str) -> None:
    store.write(f"{folder}/one", BytesSource(b""))
    assert store.list_objects(folder) == [Entry("one", 0)]
    assert b"".join(store.read(f"{folder}/one")) == b""


@pytest.mark.parametrize("ignore_range", [False, True])
@pytest.mark.parametrize("start", [0, 1, 5 * MB, 9 * MB, 10 * MB])
def test_reading_starts_anywhere(
    webdav: WebDAV, store: WebDAVStore, folder: str, source: FileSource, start: int, ignore_range: bool
) -> None:
    store.write(f"{folder}/one", source)
    webdav.change(ignore_range=ignore_range)
    assert b"".join(store.read(f"{folder}/one", start)) == source.path.read_bytes()[start:]


def test_reading_can_be_given_up(store: WebDAVStore, folder: str, source: FileSource) -> None:
    store.write(f"{folder}/one", source)
    pieces = store.read(f"{folder}/one")
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]  # it is a generator
    assert store.list_objects(folder) == [Entry("one", source.size)]


def test_an_existing_object_is_not_overwritten(store: WebDAVStore, folder: str) -> None:
    store.write(f"{folder}/one", BytesSource(b"old"))
    with pytest.raises(ObjectExists):
        store.write(f"{folder}/one", BytesSource(b"new"))
    assert b"".join(store.read(f"{folder}/one")) == b"old"
    store.write(f"{folder}/one", BytesSource(b"new"), replace=True)
    assert b"".join(store.read(f"{folder}/one")) == b"new"


def test_an_object_that_appears_during_the_write_is_not_overwritten(
    webdav: WebDAV, store: WebDAVStore, folder: str, source: FileSource
) -> None:
    def interfere(done: int) -> None:
        (webdav.folder / folder / "one").write_bytes(b"other")

    with pytest.raises(ObjectExists):
        store.write(f"{folder}/one", source, report=interfere)
    assert (webdav.folder / folder / "one").read_bytes() == b"other"
    assert names_in(webdav, folder) == ["one"]


def test_what_does_not_exist_is_missing(store: WebDAVStore, folder: str) -> None:
    assert store.list_objects(folder) == []
    store.delete_unfinished(folder)
    with pytest.raises(ObjectMissing):
        list(store.read(f"{folder}/one"))


def test_a_missing_path_is_not_an_empty_location(webdav: WebDAV) -> None:
    url = f"{webdav.address.options['url']}/nowhere"
    with WebDAVStore(webdav.address.with_options(url=url)) as store:
        for action in (store.list_folders, lambda: store.list_objects("a"), lambda: store.delete_unfinished("a")):
            with pytest.raises(ObjectMissing, match="nowhere"):
                action()
        with pytest.raises(ObjectMissing):
            store.write("a/one", BytesSource(b"x"))
    assert not (webdav.folder / "nowhere").exists()


def test_an_address_of_a_file_is_not_a_folder(webdav: WebDAV) -> None:
    (webdav.folder / "file").write_bytes(b"x")
    url = f"{webdav.address.options['url']}/file"
    with WebDAVStore(webdav.address.with_options(url=url)) as store, pytest.raises(LocationError):
        store.list_folders()


def test_folders_and_unfinished_objects_are_not_listed(webdav: WebDAV, store: WebDAVStore, folder: str) -> None:
    store.write(f"{folder}/one", BytesSource(b"x"))
    (webdav.folder / folder / "below").mkdir()
    (webdav.folder / folder / "two.0123456789abcdef.part").touch()
    assert [entry.name for entry in store.list_objects(folder)] == ["one"]
    store.delete_unfinished(folder)
    assert sorted(names_in(webdav, folder)) == ["below", "one"]


def test_thousands_of_objects_are_listed() -> None:
    names = [f"/dav/tvarr-backup-{number:04}.age" for number in range(5_000)]
    with scripted_store(multistatus(*names)) as (server, store):
        assert len(store.list_objects("")) == 5_000
    assert len(server.asked) == 1


@pytest.mark.long
def test_thousands_of_objects_are_listed_by_a_real_server(webdav: WebDAV, store: WebDAVStore, folder: str) -> None:
    (webdav.folder / folder).mkdir()
    for number in range(5_000):
        (webdav.folder / folder / f"tvarr-backup-{number:04}.age").touch()
    assert len(store.list_objects(folder)) == 5_000


# --- Unfinished writes -----------------------------------------------------------------------------------------------


class Canceled(Exception):
    pass


def cancel(_done: int) -> None:
    raise Canceled


def test_a_canceled_write_leaves_nothing(webdav: WebDAV, store: WebDAVStore, folder: str, source: FileSource) -> None:
    with pytest.raises(Canceled):
        store.write(f"{folder}/one", source, report=cancel)
    assert store.list_objects(folder) == []
    store.delete_unfinished(folder)
    store.write(f"{folder}/one", source)
    assert b"".join(store.read(f"{folder}/one")) == source.path.read_bytes()


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_source_that_changed_is_not_published(
    store: WebDAVStore, folder: str, source: FileSource, difference: int
) -> None:
    with pytest.raises(LocationFailed):
        store.write(f"{folder}/one", FileSource(source.path, source.size + difference))
    assert store.list_objects(folder) == []


def test_an_error_of_the_source_is_not_one_of_the_location(store: WebDAVStore, folder: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.write(f"{folder}/one", FileSource(tmp_path / "missing", 1))


_WRITER = """
import sys
from pathlib import Path
from tvarr_backup.locations.addresses import parse_url
from tvarr_backup.locations.stores import FileSource
from tvarr_backup.locations.webdav_store import WebDAVStore
address = parse_url(sys.argv[1]).with_options(password=sys.stdin.read())
source = FileSource(Path(sys.argv[3]), Path(sys.argv[3]).stat().st_size)
with WebDAVStore(address) as store:
    store.write(sys.argv[2], source)
"""


def test_a_killed_write_is_not_listed(
    webdav: WebDAV, proxy: Proxy, store: WebDAVStore, folder: str, source: FileSource
) -> None:
    proxy.heal()
    proxy.stall_after(sent=6 * MB)
    address = webdav.address.with_options(url=f"http://127.0.0.1:{proxy.port}/dav")
    command = [sys.executable, "-c", _WRITER, address.url, f"{folder}/one", str(source.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(PASSWORD.encode())
        process.stdin.close()
        wait_until(lambda: (webdav.folder / folder).exists() and names_in(webdav, folder), "the write has begun")
        process.send_signal(signal.SIGKILL)
    proxy.heal()
    assert store.list_objects(folder) == []
    store.delete_unfinished(folder)
    store.write(f"{folder}/one", source)
    assert b"".join(store.read(f"{folder}/one")) == source.path.read_bytes()


# --- Connections -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [0, 10, 1_000, 100_000, 8 * MB])
def test_a_write_that_is_cut_can_be_repeated(
    proxy: Proxy, proxied: WebDAVStore, store: WebDAVStore, folder: str, source: FileSource, sent: int
) -> None:
    proxy.cut_after(sent=sent)
    with pytest.raises(LocationUnreachable):
        proxied.write(f"{folder}/one", source)
    assert store.list_objects(folder) == []
    proxy.heal()
    proxied.write(f"{folder}/one", source)
    assert b"".join(store.read(f"{folder}/one")) == source.path.read_bytes()


@pytest.mark.parametrize("received", [0, 10, 1_000, 5 * MB])
def test_a_read_that_is_cut_can_be_continued(
    proxy: Proxy, proxied: WebDAVStore, folder: str, source: FileSource, received: int
) -> None:
    proxied.write(f"{folder}/one", source)
    proxy.cut_after(received=received)
    pieces: list[bytes] = []
    with pytest.raises(LocationUnreachable):
        pieces.extend(proxied.read(f"{folder}/one"))
    proxy.heal()
    found = b"".join(pieces)
    assert found + b"".join(proxied.read(f"{folder}/one", len(found))) == source.path.read_bytes()


def test_a_listing_that_is_cut_is_an_error(proxy: Proxy, proxied: WebDAVStore, folder: str) -> None:
    for number in range(20):
        proxied.write(f"{folder}/{number}", BytesSource(b"x"))
    proxy.cut_after(received=1_000)
    with pytest.raises(LocationUnreachable):
        proxied.list_objects(folder)


@pytest.mark.parametrize("sent", [0, 1_000, 3 * MB])
def test_a_stalled_write_ends(
    proxy: Proxy,
    proxied: WebDAVStore,
    folder: str,
    source: FileSource,
    become_impatient: Callable[[], None],
    sent: int,
) -> None:
    proxied.list_folders()
    become_impatient()
    proxy.stall_after(sent=sent)
    with pytest.raises(LocationUnreachable, match=r"0\.5 s"):
        proxied.write(f"{folder}/one", source)


@pytest.mark.parametrize("received", [0, 1_000, 5 * MB])
def test_a_stalled_read_ends(
    proxy: Proxy,
    proxied: WebDAVStore,
    folder: str,
    source: FileSource,
    become_impatient: Callable[[], None],
    received: int,
) -> None:
    proxied.write(f"{folder}/one", source)
    become_impatient()
    proxy.stall_after(received=received)
    with pytest.raises(LocationUnreachable, match=r"0\.5 s"):
        list(proxied.read(f"{folder}/one"))


def test_a_server_that_never_answers(become_impatient: Callable[[], None]) -> None:
    become_impatient()
    with silent_server() as port:
        address = read_address(LocationKind.WEBDAV, {"url": f"http://127.0.0.1:{port}/dav"})
        with WebDAVStore(address) as store, pytest.raises(LocationUnreachable, match=r"0\.5 s"):
            store.list_folders()


def test_a_connection_that_was_lost_between_calls_is_made_again(proxy: Proxy, proxied: WebDAVStore) -> None:
    proxied.list_folders()
    proxy.cut()
    proxied.list_folders()


def test_a_slow_network_is_not_an_error(proxy: Proxy, proxied: WebDAVStore, folder: str) -> None:
    proxy.delay_seconds = 0.01
    proxied.write(f"{folder}/one", BytesSource(b"x" * MB))
    assert proxied.list_objects(folder) == [Entry("one", MB)]


def test_nobody_listens() -> None:
    port = find_free_port()
    address = read_address(LocationKind.WEBDAV, {"url": f"http://127.0.0.1:{port}/dav"})
    with WebDAVStore(address) as store, pytest.raises(LocationUnreachable) as refusal:
        store.list_folders()
    assert (refusal.value.facts["host"], refusal.value.facts["port"]) == ("127.0.0.1", port)


def test_a_host_that_does_not_exist() -> None:
    address = read_address(LocationKind.WEBDAV, {"url": "http://nas.invalid/dav"})
    with WebDAVStore(address) as store, pytest.raises(LocationUnreachable) as refusal:
        store.list_folders()
    assert "nas.invalid" in refusal.value.facts["host"]


def test_proxies_of_the_environment_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_scripted(lambda _asked: multistatus()) as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.port}")
        monkeypatch.setenv("NO_PROXY", "")
        with WebDAVStore(read_address(LocationKind.WEBDAV, {"url": "http://nas.invalid/dav"})) as store:
            assert store.list_folders() == []
        assert server.asked[0].path == "http://nas.invalid/dav/"


# --- Identity and credentials ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign_in", list(SignIn))
def test_ways_to_sign_in(sign_in: SignIn, source: FileSource) -> None:
    with running_webdav(sign_in) as server:
        with WebDAVStore(server.address) as store:
            store.write("a/one", source)
            assert b"".join(store.read("a/one")) == source.path.read_bytes()
        if sign_in is SignIn.NONE:
            return
        wrong, nothing = (
            server.address.with_options(password="wr0ng-word"),
            server.address.with_options(user="", password=""),
        )
        for address in (wrong, nothing):
            with WebDAVStore(address) as store, pytest.raises(LocationDenied) as refusal:
                store.list_folders()
            assert "wr0ng-word" not in str(refusal.value)


def test_a_write_is_repeated_if_only_writing_needs_a_password(source: FileSource) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.method == "PROPFIND":
            return (
                multistatus(asked.path, size=source.size)
                if "part" in asked.path or "." not in asked.path
                else Answer(404)
            )
        if "Authorization" not in asked.headers:
            return Answer(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        return Answer(201)

    with scripted_store(answer) as (server, store):
        store.write("one.age", source)
    puts = [asked for asked in server.asked if asked.method == "PUT"]
    assert ["Authorization" in put.headers for put in puts] == [False, True]


def test_bytes_are_sent_once(webdav: WebDAV, source: FileSource) -> None:
    done: list[int] = []
    with WebDAVStore(webdav.address) as store:
        store.write("sent-once", source, replace=True, report=done.append)
    assert done.count(source.size) == 1


def test_nothing_is_sent_before_the_server_asks() -> None:
    with scripted_store(multistatus()) as (server, store):
        store.list_folders()
    assert "Authorization" not in server.asked[0].headers


@pytest.mark.parametrize("challenge", ["Negotiate", 'Digest realm="x", nonce="y", algorithm=UNKNOWN', "Digest x", ""])
def test_an_unknown_way_to_sign_in(challenge: str) -> None:
    refusal = Answer(401, headers={"WWW-Authenticate": challenge})
    with scripted_store(refusal) as (server, store), pytest.raises((LocationDenied, LocationFailed)):
        store.list_folders()
    assert all("Authorization" not in asked.headers for asked in server.asked)


def test_a_certificate_of_the_file(authority: Authority) -> None:
    with running_scripted(lambda _asked: multistatus(), authority.make_context()) as server:
        address = server.address.with_options(ca_file=str(authority.file))
        with WebDAVStore(address) as store:
            assert store.list_folders() == []


@pytest.mark.parametrize(
    ("days", "names", "is_known", "reason"),
    [
        (-1, None, True, "expired"),
        (10, [x509.DNSName("other.example.com")], True, "another host name"),
        (10, None, False, "does not know who signed it"),
    ],
)
def test_a_certificate_that_proves_nothing(
    authority: Authority, days: int, names: list[x509.GeneralName] | None, is_known: bool, reason: str
) -> None:
    context = authority.make_context(days=days, names=names)
    with running_scripted(lambda _asked: multistatus(), context) as server:
        address = server.address.with_options(ca_file=str(authority.file) if is_known else "")
        with WebDAVStore(address) as store, pytest.raises(LocationUntrusted) as refusal:
            store.list_folders()
        assert reason in refusal.value.facts["reason"].template
    assert server.asked == []


def test_a_server_without_tls() -> None:
    with running_scripted(lambda _asked: multistatus()) as server:
        address = server.address.with_options(url=server.url.replace("http:", "https:"))
        with WebDAVStore(address) as store, pytest.raises((LocationUntrusted, LocationUnreachable)):
            store.list_folders()
    assert server.asked == []


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_an_invalid_certificate_file_names_the_option(webdav: WebDAV, tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    with pytest.raises(LocationInvalid, match=r"^ca_file: "):
        WebDAVStore(webdav.address.with_options(ca_file=str(tmp_path / "ca.pem")))


# --- Redirects -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["list", "read", "write", "delete"])
def test_a_redirect_to_another_host_is_not_followed(action: str) -> None:
    with running_scripted(lambda _asked: multistatus()) as other:
        redirect = Answer(307, headers={"Location": f"{other.url}/?a=1"})
        with scripted_store(redirect) as (server, store), pytest.raises(LocationRedirected) as refusal:
            _act(store, action)
        assert str(server.port) in refusal.value.facts["host"]
        assert str(other.port) in refusal.value.facts["target"]
        assert other.asked == []


def _act(store: WebDAVStore, action: str) -> None:
    actions: dict[str, Callable[[], object]] = {
        "list": store.list_folders,
        "read": lambda: list(store.read("one")),
        "write": lambda: store.write("one", BytesSource(b"x"), replace=True),
        "delete": lambda: store.delete("one"),
    }
    actions[action]()


@pytest.mark.parametrize(
    "location", ["https://127.0.0.1/dav/", "ftp://127.0.0.1/", "http://127.0.0.1:1/", "//other.invalid/x"]
)
def test_another_scheme_or_port_is_another_server(location: str) -> None:
    redirect = Answer(301, headers={"Location": location})
    with scripted_store(redirect) as (_server, store), pytest.raises(LocationRedirected):
        store.list_folders()


def test_a_redirect_on_the_same_server_is_followed_for_reading() -> None:
    def answer(asked: Asked) -> Answer:
        if asked.path == "/dav/":
            return Answer(302, headers={"Location": "/other/"})
        return Answer(207, multistatus("/other/a/").body.replace(b"/dav/", b"/other/"))

    with scripted_store(answer) as (_server, store):
        assert store.list_folders() == ["a"]


@pytest.mark.parametrize("location", ["/other", "", "/dav/one"])
def test_a_redirect_on_the_same_server_is_not_followed_for_changes(location: str) -> None:
    redirect = Answer(307, headers={"Location": location})
    with scripted_store(redirect) as (server, store), pytest.raises(LocationFailed):
        store.delete("one")
    assert len(server.asked) == 1


def test_redirects_in_a_circle_end() -> None:
    redirect = Answer(302, headers={"Location": "/dav/"})
    with scripted_store(redirect) as (server, store), pytest.raises(LocationFailed):
        store.list_folders()
    assert len(server.asked) < 10


# --- Space and permissions -------------------------------------------------------------------------------------------


def test_a_full_server(webdav: WebDAV, store: WebDAVStore, folder: str, source: FileSource) -> None:
    webdav.change(space=MB)
    with pytest.raises(LocationFull) as refusal:
        store.write(f"{folder}/one", source)
    assert refusal.value.facts["needed"] == source.size
    webdav.change(most=MB)
    with pytest.raises(LocationFull):
        store.write(f"{folder}/one", source)
    assert names_in(webdav, folder) == []


def test_a_read_only_server(webdav: WebDAV, store: WebDAVStore, folder: str) -> None:
    store.write(f"{folder}/one", BytesSource(b"x"))
    webdav.make_read_only()
    assert store.list_objects(folder) == [Entry("one", 1)]
    for name in (f"{folder}/two", f"{folder}-other/one"):
        with pytest.raises(LocationDenied):
            store.write(name, BytesSource(b"x"))
    with pytest.raises(LocationDenied):
        store.delete(f"{folder}/one")


@pytest.mark.parametrize("method", ["PUT", "MKCOL", "MOVE", "DELETE", "PROPFIND", "GET"])
@pytest.mark.parametrize("status", ["423 Locked", "500 Broken"])
def test_other_answers_are_shown(webdav: WebDAV, store: WebDAVStore, folder: str, method: str, status: str) -> None:
    webdav.change(refuse={method: status})
    actions: dict[str, Callable[[], object]] = {
        "DELETE": lambda: store.delete("one"),
        "GET": lambda: list(store.read("one")),
        "PROPFIND": store.list_folders,
    }
    with pytest.raises(LocationFailed) as refusal:
        actions.get(method, lambda: store.write(f"{folder}/one", BytesSource(b"x")))()
    assert status in refusal.value.facts["answer"]


@pytest.mark.parametrize("status", ["405 Method Not Allowed", "501 Not Implemented"])
def test_a_server_that_cannot_move(
    webdav: WebDAV, store: WebDAVStore, folder: str, source: FileSource, status: str
) -> None:
    webdav.change(refuse={"MOVE": status})
    store.write(f"{folder}/one", source)
    store.write(f"{folder}/two", BytesSource(b"x"))
    with pytest.raises(ObjectExists):
        store.write(f"{folder}/two", BytesSource(b"y"))
    store.write(f"{folder}/two", BytesSource(b"y"), replace=True)
    assert b"".join(store.read(f"{folder}/one")) == source.path.read_bytes()
    assert b"".join(store.read(f"{folder}/two")) == b"y"
    assert sorted(names_in(webdav, folder)) == ["one", "two"]


# --- Odd servers -----------------------------------------------------------------------------------------------------

_ONE = '<d:response xmlns:d="DAV:"><d:href>/dav/</d:href></d:response>'


def test_names_that_lead_elsewhere_are_ignored() -> None:
    names = (
        *(
            "/dav/good",
            "/dav/..",
            "/dav/../up",
            "/dav/a%2Fb",
            "/dav/a/b",
            "/etc/passwd",
            "http://other.invalid/x",
            "/dav",
        ),
        *(
            "/dav/%07bell",
            "/dav/line%0Abreak",
            "/dav/%FF",
            "/dav/%E2%80%AEeman",
            "http://[",
            "x",
            "",
            "/dav/a%5Cb",
            "/dav/.",
        ),
        *("/dav/folder/", "/dav/folder/below/"),
    )
    with scripted_store(multistatus(*names)) as (_server, store):
        assert [entry.name for entry in store.list_objects("")] == ["good"]
        assert store.list_folders() == ["folder"]


@pytest.mark.parametrize("prefix", ["", "http://127.0.0.1/", "https://cloud.example.com"])
def test_forms_of_references(prefix: str) -> None:
    body = multistatus(f"{prefix}/dav/a%20b", f"{prefix}/dav/c").body
    with scripted_store(Answer(207, body)) as (_server, store):
        assert [entry.name for entry in store.list_objects("")] == ["a b", "c"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no XML",
        b"<a/>",
        multistatus("/dav/one").body[:-30],
        multistatus("/dav/one").body.replace(b">1<", b">-1<"),
        multistatus("/dav/one").body.replace(b">1<", b"><"),
        multistatus("/dav/one").body.replace(b"/dav/<", b"/other/<"),
        b'<!DOCTYPE d [<!ENTITY a "aaaa">]>' + multistatus("/dav/one").body.partition(b"?>")[2],
        b'<!DOCTYPE d SYSTEM "file:///etc/passwd">' + multistatus("/dav/one").body.partition(b"?>")[2],
        multistatus("/dav/one").body.replace(b"</d:href>", b"</d:href><d:status>HTTP/1.1 507 X</d:status>"),
    ],
)
def test_an_invalid_listing_is_an_error(body: bytes) -> None:
    with scripted_store(Answer(207, body)) as (_server, store), pytest.raises(LocationFailed):
        store.list_objects("")


def test_an_endless_listing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = multistatus(*(f"/dav/{number}" for number in range(20)))
    with scripted_store(answer) as (_server, store):
        monkeypatch.setattr(webdav_listing, "MOST_ENTRIES", 10)
        with pytest.raises(LocationFailed):
            store.list_objects("")
        monkeypatch.undo()
        monkeypatch.setattr(listings, "MOST_OF_DOCUMENT", 1_000)
        with pytest.raises(LocationFailed):
            store.list_objects("")


@pytest.mark.parametrize("status", [200, 405])
def test_a_server_without_webdav(status: int) -> None:
    with scripted_store(Answer(status, b"Hello")) as (_server, store), pytest.raises(LocationFailed):
        store.list_folders()


@pytest.mark.parametrize(
    "answer",
    [
        Answer(206, b"xyz", {"Content-Range": "bytes 0-2/3"}),
        Answer(206, b"xyz"),
        Answer(200, b"xyz", {"Content-Encoding": "gzip"}),
    ],
)
def test_another_part_than_the_one_asked_for_is_not_used(answer: Answer) -> None:
    with scripted_store(answer) as (_server, store), pytest.raises(LocationFailed):
        list(store.read("one", 2))


def test_a_server_that_loses_bytes() -> None:
    def answer(asked: Asked) -> Answer:
        if asked.method == "PROPFIND":
            return multistatus(asked.path, size=2) if "part" in asked.path else Answer(404)
        return Answer(201)

    with scripted_store(answer) as (server, store), pytest.raises(LocationFailed):
        store.write("one", BytesSource(b"xyz"))
    assert [asked.method for asked in server.asked][-1] == "DELETE"
    assert all(asked.method != "MOVE" for asked in server.asked)


def test_a_stopped_server_is_unreachable(source: FileSource) -> None:
    with running_webdav() as server, WebDAVStore(server.address) as store:
        store.list_folders()
        server.stop()
        with pytest.raises(LocationUnreachable):
            store.list_folders()
        server.start()
        assert store.list_folders() == []


def test_a_store_shows_no_secrets(webdav: WebDAV) -> None:
    address: Address = webdav.address
    with WebDAVStore(address) as store:
        assert PASSWORD not in repr(vars(store))
