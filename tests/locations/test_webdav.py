"""Locations on WebDAV servers: wsgidav, and one that answers what a test says."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.locations.certificates import Authority
from tests.locations.proxy import Proxy, running_proxy
from tests.locations.webdav_server import (
    PASSWORD,
    Answer,
    Asked,
    Scripted,
    SignIn,
    WebDAV,
    multistatus,
    running_scripted,
    running_webdav,
    silent_server,
)
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


@contextmanager
def scripted_store(answer: Answer | Callable[[Asked], Answer]) -> Iterator[tuple[Scripted, WebDAVStore]]:
    find = answer if callable(answer) else lambda _asked: answer
    with running_scripted(find) as server, WebDAVStore(server.address) as store:
        yield server, store


def names_in(webdav: WebDAV, folder: str) -> list[str]:
    return [path.name for path in (webdav.folder / folder).iterdir()]


# --- Objects ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a b", "ü", "100%", "a#b", "a+b", "a&b", "a%2Fb"])
def test_names_are_encoded(store: WebDAVStore, webdav: WebDAV, folder: str, name: str) -> None:
    store.write(f"{folder}/{name}", BytesSource(b"x"))
    assert names_in(webdav, folder) == [name]
    assert store.list_objects(folder) == [Entry(name, 1)]
    assert b"".join(store.read(f"{folder}/{name}")) == b"x"


@pytest.mark.parametrize("ignore_range", [False, True])
@pytest.mark.parametrize("start", [0, 1, 5 * MB, 9 * MB, 10 * MB])
def test_reading_starts_anywhere(
    webdav: WebDAV, store: WebDAVStore, folder: str, source: FileSource, start: int, ignore_range: bool
) -> None:
    store.write(f"{folder}/one", source)
    webdav.change(ignore_range=ignore_range)
    assert b"".join(store.read(f"{folder}/one", start)) == source.path.read_bytes()[start:]


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


# --- Connections -----------------------------------------------------------------------------------------------------


def test_a_listing_that_is_cut_is_an_error(proxy: Proxy, proxied: WebDAVStore, folder: str) -> None:
    for number in range(20):
        proxied.write(f"{folder}/{number}", BytesSource(b"x"))
    proxy.cut_after(received=1_000)
    with pytest.raises(LocationUnreachable):
        proxied.list_objects(folder)


def test_a_server_that_never_answers(become_impatient: Callable[[], None]) -> None:
    become_impatient()
    with silent_server() as port:
        address = read_address(LocationKind.WEBDAV, {"url": f"http://127.0.0.1:{port}/dav"})
        with WebDAVStore(address) as store, pytest.raises(LocationUnreachable, match=r"0\.5 s"):
            store.list_folders()


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
    with running_scripted(lambda _asked: multistatus(), authority.certify("127.0.0.1").context()) as server:
        address = server.address.with_options(ca_file=str(authority.path))
        with WebDAVStore(address) as store:
            assert store.list_folders() == []


@pytest.mark.parametrize(
    ("host", "age_days", "is_known", "reason"),
    [
        ("127.0.0.1", 100, True, "expired"),
        ("other.example.com", 1, True, "another host name"),
        ("127.0.0.1", 1, False, "does not know who signed it"),
    ],
)
def test_a_certificate_that_proves_nothing(
    authority: Authority, host: str, age_days: int, is_known: bool, reason: str
) -> None:
    context = authority.certify(host, age_days=age_days).context()
    with running_scripted(lambda _asked: multistatus(), context) as server:
        address = server.address.with_options(ca_file=str(authority.path) if is_known else "")
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
