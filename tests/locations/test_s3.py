"""Locations in buckets: what services, networks and settings can do wrong."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.measure import peak_bytes
from tests.locations.certificates import Authority
from tests.locations.places import ZerosSource
from tests.locations.proxy import Proxy, running_proxy
from tests.locations.s3_server import S3Place, S3Server, answering, error_xml, running_moto, s3_address
from tests.locations.test_stores import CancelAfter, Canceled, content_of
from tests.ups import free_port
from tvarr_backup.errors import (
    LocationDenied,
    LocationError,
    LocationFailed,
    LocationFull,
    LocationInvalid,
    LocationRedirected,
    LocationUnreachable,
    LocationUntrusted,
    ObjectMissing,
)
from tvarr_backup.locations import s3_store, stores
from tvarr_backup.locations.addresses import Address
from tvarr_backup.locations.listings import ListingInvalid
from tvarr_backup.locations.s3_answers import build_opener
from tvarr_backup.locations.s3_listing import list_keys
from tvarr_backup.locations.s3_store import PART_BYTES, S3Store
from tvarr_backup.locations.stores import BytesSource, Entry

SIZE = 12 * 2**20


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[Proxy]:
    with running_proxy(int(s3_server.url.rpartition(":")[2])) as running:
        yield running


@pytest.fixture(autouse=True)
def _few_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_store, "RETRIES", 1)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "TIMEOUT_SECONDS", 1)


def refusal_of(address: Address, kind: type[LocationError] = LocationError) -> str:
    """Return the message with which a listing is refused."""
    with pytest.raises(kind) as refused, S3Store(address) as store:
        store.list_folders()
    assert type(refused.value) is kind or kind is LocationError
    return str(refused.value)


# --- Keys and settings -----------------------------------------------------------------------------------------------


def test_wrong_keys_are_named(s3_server: S3Server, s3_place: S3Place) -> None:
    with s3_server.checking_keys() as keys:
        right = s3_place.address.with_options(**keys)
        with S3Store(right) as store:
            assert store.list_objects("mine") == []
            for use in (
                lambda: store.write("mine/a.age", BytesSource(b"content")),
                lambda: store.write("mine/a.age", ZerosSource(SIZE)),
                lambda: content_of(store, "mine/a.age"),
                lambda: store.delete("mine/a.age"),
            ):
                with pytest.raises(LocationDenied) as denied:
                    use()
                assert "AccessDenied" in str(denied.value)
        wrong_key = refusal_of(right.with_options(access_key="AKIAWRONG"), LocationDenied)
        wrong_secret = refusal_of(right.with_options(secret_key="wrong"), LocationDenied)
    assert wrong_key.endswith("does not know the access key (InvalidAccessKeyId). Check it.")
    assert wrong_secret.endswith("refused the secret key (SignatureDoesNotMatch). Check it.")


def test_missing_keys_are_named() -> None:
    with pytest.raises(LocationInvalid, match="access_key"):
        S3Store(s3_address("http://127.0.0.1:1", access_key=""))


def test_a_missing_bucket_is_named(s3_place: S3Place) -> None:
    message = refusal_of(s3_place.missing, ObjectMissing)
    assert f'has no bucket "{s3_place.missing.options["bucket"]}". Create it there, or correct the address.' in message


def test_variables_of_the_environment_are_ignored(
    s3_place: S3Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, text in {
        "AWS_ACCESS_KEY_ID": "of-the-environment",
        "AWS_SECRET_ACCESS_KEY": "of-the-environment",
        "AWS_SESSION_TOKEN": "of-the-environment",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        "AWS_DEFAULT_REGION": "eu-north-1",
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_PROXY_URL": "http://127.0.0.1:1",
        "AWS_SERVER_SIDE_ENCRYPTION": "aws:kms",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true",
    }.items():
        monkeypatch.setenv(name, text)
    with S3Store(s3_place.address) as store:
        store.write("mine/a.age", BytesSource(b"content"))
        store.write("mine/b.age", ZerosSource(SIZE))
        assert len(store.list_objects("mine")) == 2
    with answering(403, error_xml("AccessDenied")) as answers:
        refusal_of(s3_address(answers.url), LocationDenied)
    assert {"Credential=an-access-key" in signature for signature in answers.signed} == {True}
    assert {"us-east-1" in signature for signature in answers.signed} == {True}
    assert not any("token" in signature for signature in answers.signed)


def test_without_a_prefix_the_bucket_itself_is_used(s3_place: S3Place, s3_server: S3Server) -> None:
    with S3Store(s3_place.address.with_options(prefix="")) as store:
        store.write("mine/a.age", BytesSource(b"content"))
        assert store.list_folders() == ["mine"]
        assert store.list_objects("mine") == [Entry("a.age", 7)]
    assert s3_server.keys_of(s3_place.address.options["bucket"]) == ["mine/a.age"]


def test_the_bucket_may_be_in_the_host_name() -> None:
    message = refusal_of(s3_address("https://s3.invalid", path_style="no"), LocationUnreachable)
    assert 'The host name "backups.s3.invalid" was not found' in message
    message = refusal_of(s3_address("https://s3.invalid"), LocationUnreachable)
    assert 'The host name "s3.invalid" was not found' in message


def test_folder_markers_and_odd_keys_are_ignored(s3_place: S3Place) -> None:
    for name in ("", "mine/", "mine/a.age", "mine/b.part", ".../x"):
        s3_place.put(name, b"1")
    with S3Store(s3_place.address) as store:
        assert store.list_folders() == ["mine"]
        assert store.list_objects("mine") == [Entry("a.age", 1)]


def test_keys_that_are_not_paths_are_listed_with_the_same_keys_and_prefix(
    s3_server: S3Server, s3_place: S3Place
) -> None:
    for name in ("mine//a.age", "mine/a.age", "b/c.age"):
        s3_place.put(name, b"123")
    with s3_server.checking_keys() as keys:
        right = s3_place.address.with_options(**keys)
        with S3Store(right) as store:
            assert store.list_objects("mine") == [Entry("a.age", 3)]
            assert store.list_folders() == ["b", "mine"]
        with S3Store(right.with_options(prefix="")) as store:
            assert store.list_folders() == ["home"]


def test_the_listing_of_any_keys_has_all_pages(s3_place: S3Place) -> None:
    found = list_keys(s3_place.with_objects(5_000), build_opener(None), "home/tvarr/mine/", 30)
    assert sorted(found.objects) == sorted((f"home/tvarr/mine/{number}.age", 1) for number in range(5_000))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>",
        "<html/>",
        "<ListBucketResult>",
        "<!DOCTYPE a [<!ENTITY b 'c'>]><ListBucketResult/>",
        "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a</Key><Size>x</Size></Contents></ListBucketResult>",
    ],
)
def test_the_listing_of_any_keys_is_complete_or_refused(body: str) -> None:
    with answering(200, body) as answers, pytest.raises(ListingInvalid):
        list_keys(s3_address(answers.url), build_opener(None), "", 30)


# --- Answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "kind", "part"),
    [
        (403, error_xml("ExpiredToken"), LocationDenied, "expired (ExpiredToken)"),
        (400, error_xml("InvalidToken"), LocationDenied, "InvalidToken"),
        (403, error_xml("AllAccessDisabled"), LocationDenied, "403 (AllAccessDisabled)"),
        (
            403,
            error_xml("RequestTimeTooSkewed", "<ServerTime>2026-11-30T05:00:00Z</ServerTime>"),
            LocationDenied,
            "there 2026-11-30T05:00:00Z. Set the clock",
        ),
        (403, error_xml("RequestTimeTooSkewed"), LocationDenied, "the clock of this machine differs"),
        (403, error_xml("QuotaExceeded"), LocationFull, "quota is used up"),
        (507, "", LocationFull, "no space left"),
        (
            400,
            error_xml("AuthorizationHeaderMalformed", "<Region>eu-west-9</Region>"),
            LocationRedirected,
            'but in "eu-west-9". Set "region" to "eu-west-9"',
        ),
        (503, error_xml("SlowDown"), LocationUnreachable, "503 (SlowDown)"),
        (502, "<html>Bad gateway</html>", LocationUnreachable, "502"),
        (500, error_xml("InternalError"), LocationFailed, "500 (InternalError)"),
        (404, "<html>Not found</html>", LocationFailed, "404"),
        (200, "<html>Welcome. Sign in</html>", LocationFailed, "does not answer as an S3 service does"),
        (200, "", LocationFailed, ""),
        (401, "", LocationDenied, "401"),
        (418, "", LocationFailed, "418"),
    ],
)
def test_an_answer_has_its_cause(status: int, body: str, kind: type[LocationError], part: str) -> None:
    with answering(status, body) as answers:
        assert part in refusal_of(s3_address(answers.url), kind)
        if status in {200, 404}:
            return
        for size in (7, SIZE):
            with pytest.raises(kind) as refused, S3Store(s3_address(answers.url)) as store:
                store.write("mine/a.age", ZerosSource(size))
            assert part in str(refused.value)


def test_a_service_that_cannot_check_names_is_used(s3_server: S3Server) -> None:
    """It answers 501 to `If-None-Match`, so the name is checked before. Here it answers that to everything."""
    with answering(501, error_xml("NotImplemented")) as answers, S3Store(s3_address(answers.url)) as store:
        with pytest.raises(LocationFailed):
            store.write("mine/a.age", BytesSource(b"content"))
        assert "GET /backups/mine/a.age" in answers.requests


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_another_host_is_not_used(status: int) -> None:
    with answering(200, "<ListBucketResult/>") as other:
        host = other.url.replace("127.0.0.1", "localhost")
        with answering(status, headers={"Location": f"{host}{{path}}"}) as answers:
            message = refusal_of(s3_address(answers.url), LocationRedirected)
            for size in (7, SIZE):
                with pytest.raises(LocationRedirected), S3Store(s3_address(answers.url)) as store:
                    store.write("mine/a.age", ZerosSource(size))
    assert f'redirects to "{host.removeprefix("http://")}"' in message
    assert other.signed == []
    assert all(request.startswith("GET") for request in other.requests)


def test_a_bucket_in_another_region_is_named() -> None:
    with answering(301, error_xml("PermanentRedirect"), headers={"x-amz-bucket-region": "eu-west-9"}) as answers:
        message = refusal_of(s3_address(answers.url), LocationRedirected)
    assert message == (
        'The bucket "backups" is not in the region "us-east-1", but in "eu-west-9". Set "region" to "eu-west-9", and the '
        "endpoint to that of this region."
    )


# --- Certificates ----------------------------------------------------------------------------------------------------


def test_a_certificate_of_an_authority_of_our_own_is_trusted(authority: Authority, tmp_path: Path) -> None:
    with running_moto(tmp_path, authority.certify("127.0.0.1"), many=0) as server:
        place = S3Place(server, "backups")
        with S3Store(place.address.with_options(ca_file=str(authority.path))) as store:
            assert store.list_folders() == []
            store.write("mine/a.age", ZerosSource(SIZE, byte=b"x"))
            assert content_of(store, "mine/a.age") == b"x" * SIZE
        assert "does not know who signed it" in refusal_of(place.address, LocationUntrusted)


@pytest.mark.parametrize(
    ("host", "age_days", "part"),
    [
        ("nas.example.com", 1, "issued for another host name"),
        ("127.0.0.2", 1, "issued for another host name"),
        ("127.0.0.1", 100, "it has expired"),
        ("127.0.0.1", -100, "not valid yet"),
    ],
)
def test_a_certificate_for_something_else_is_not_trusted(
    authority: Authority, host: str, age_days: int, part: str
) -> None:
    with answering(200, certificate=authority.certify(host, age_days=age_days)) as answers:
        assert part in refusal_of(s3_address(answers.url, ca_file=str(authority.path)), LocationUntrusted)
    assert answers.requests == []


def test_a_server_without_encryption_is_not_asked_by_https(s3_server: S3Server) -> None:
    message = refusal_of(s3_address(s3_server.url.replace("http:", "https:")), LocationUntrusted)
    assert 'should begin with "http:"' in message


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
def test_a_file_without_a_certificate_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LocationInvalid, match="ca_file: expected a readable PEM file"):
        S3Store(s3_address("https://127.0.0.1:1", ca_file=str(path)))


# --- Networks --------------------------------------------------------------------------------------------------------


def test_a_server_that_does_not_run_is_reported() -> None:
    port = free_port()
    started = time.monotonic()
    message = refusal_of(s3_address(f"http://127.0.0.1:{port}"), LocationUnreachable)
    assert f"127.0.0.1 did not accept a connection on port {port}: no server is listening there." in message
    assert time.monotonic() - started < 15


def test_a_host_that_does_not_exist_is_reported() -> None:
    message = refusal_of(s3_address("https://nas.invalid"), LocationUnreachable)
    assert 'The host name "nas.invalid" was not found' in message


@pytest.mark.long
def test_a_host_that_never_answers_is_reported_within_half_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_store, "RETRIES", 3)
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(3)]  # the kernel drops further connections
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        started = time.monotonic()
        message = refusal_of(s3_address(f"http://127.0.0.1:{port}"), LocationUnreachable)
        for filler in fillers:
            filler.close()
    assert time.monotonic() - started < 30
    assert "no answer within" in message


@pytest.mark.usefixtures("_impatient")
def test_a_server_that_stalls_is_reported(proxy: Proxy, s3_place: S3Place) -> None:
    with S3Store(s3_place.through(proxy.port)) as store:
        store.write("mine/a.age", ZerosSource(SIZE))
        for received in (0, SIZE // 2):
            proxy.heal()
            proxy.stall_after(received=received)
            started = time.monotonic()
            with pytest.raises(LocationUnreachable, match="no answer within 1 s"):
                content_of(store, "mine/a.age")
            assert time.monotonic() - started < 20
            proxy.cut()


def test_a_short_interruption_of_a_read_is_not_noticed(
    proxy: Proxy, s3_place: S3Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_store, "RETRIES", 3)
    with S3Store(s3_place.through(proxy.port)) as store:
        store.write("mine/a.age", ZerosSource(SIZE, byte=b"x"))
        reading = store.read("mine/a.age")
        found = next(reading)
        proxy.cut()
        assert found + b"".join(reading) == b"x" * SIZE


# --- Large objects ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES])
def test_sizes_around_a_part_are_kept(s3_place: S3Place, size: int) -> None:
    with S3Store(s3_place.address) as store:
        store.write("mine/a.age", ZerosSource(size, byte=b"x"))
        assert content_of(store, "mine/a.age") == b"x" * size
    assert s3_place.unfinished() == 0


def test_parts_of_a_canceled_write_are_removed(s3_place: S3Place) -> None:
    seen: list[int] = []

    class Cancel(CancelAfter):
        def __call__(self, done: int) -> None:
            if done > 10 * 2**20:
                seen.append(s3_place.unfinished())
            super().__call__(done)

    with S3Store(s3_place.address) as store, pytest.raises(Canceled):
        store.write("mine/a.age", ZerosSource(SIZE), report=Cancel(SIZE))
    assert max(seen) == 1
    assert s3_place.unfinished() == 0


_USE = """
import sys, time
from tests.locations.places import ZerosSource
from tests.locations.s3_server import s3_address
from tvarr_backup.locations.s3_store import S3Store
store = S3Store(s3_address(sys.argv[1], bucket=sys.argv[2], prefix="home/tvarr"))
"""


@pytest.mark.long
def test_a_large_object_does_not_fill_the_memory(s3_place: S3Place, s3_server: S3Server) -> None:
    code = f"{_USE}store.write('mine/a.age', ZerosSource(400 * 2**20))\nassert sum(map(len, store.read('mine/a.age')))"
    command = [sys.executable, "-c", code, s3_server.url, s3_place.address.options["bucket"]]
    assert peak_bytes(command) < 160 * 2**20
