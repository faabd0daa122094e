"""Locations in a bucket of an S3 service.

The library, obstore, has errors without a code: what the service answered is only in their text. `Answer` reads it there,
and nothing else does. Where the text says too little (a host that is unknown, a certificate, a redirect), a request without
credentials finds the cause.
"""

from __future__ import annotations

import errno
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import Message
from http import HTTPStatus
from http.client import HTTPException
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from obstore import exceptions
from obstore.store import S3Store as Bucket

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config

from tvarr_backup.errors import (
    LocationDenied,
    LocationError,
    LocationFailed,
    LocationRedirected,
    LocationUnreachable,
    LocationUntrusted,
    ObjectMissing,
)
from tvarr_backup.locations import failures, stores
from tvarr_backup.locations.addresses import Address, require_credentials
from tvarr_backup.locations.listings import ListingInvalid
from tvarr_backup.locations.names import is_object, is_plain, require_folder, split_name
from tvarr_backup.locations.s3_answers import Answer, Endpoint, build_opener, read_certificates
from tvarr_backup.locations.s3_listing import Keys, list_keys
from tvarr_backup.locations.stores import CHUNK, Entry, Report, Source, Store, no_report
from tvarr_backup.quoting import quoted
from tvarr_backup.sentences import Sentence

PART_BYTES = 5 * 2**20
"""Larger objects are written in parts. The service does not accept smaller parts."""
_MOST_PARTS = 9_000
"""The service accepts 10,000."""
_PARTS_AT_A_TIME = 2
_SLOWEST_BYTES_PER_SECOND = 2**17
_CONNECT_SECONDS = 6
RETRIES = 3
_RETRY_SECONDS = 12
"""No request is repeated later than this, so that a dead server is reported within half a minute."""

_ABSENT = ".tvarr-backup-absent"
"""No object has this name."""
_environment = Lock()


class S3Store(Store):
    """Objects are keys `prefix/folder/name` of a bucket. Keys with other names are ignored.

    An object of up to `PART_BYTES` is only written if the service finds that its name is free. For a larger one, or if the
    service cannot do that, the name is checked before. So another writer of the same name at the same time may be overwritten.

    A write is never resumed: the library cannot continue the parts of an earlier one. It removes them if a write fails, but
    cannot find those of a process that was killed. They are not objects, but are charged for until the service removes them,
    for which a bucket can have a rule ("abort incomplete multipart uploads").

    Memory does not depend on the size up to 200 GB, because parts are sent from memory, and there are at most 10,000. The
    limit on silence is longer while a part is sent (`_SLOWEST_BYTES_PER_SECOND`), because a slow line is silent then.
    """

    def __init__(self, address: Address) -> None:
        require_credentials(address)
        self._address, options = address, address.options
        self._bucket, self._prefix = options["bucket"], options["prefix"]
        self._region = options["region"]
        self._endpoint = Endpoint.of(address)
        self._timeout_seconds: float = stores.TIMEOUT_SECONDS
        self._keys: S3Config = {"access_key_id": options["access_key"], "secret_access_key": options["secret_key"]}
        self._certificates, self._trust = read_certificates(options["ca_file"])
        self._store = self._open(self._timeout_seconds)
        self._is_known_to_be_s3 = False

    def list_folders(self) -> list[str]:
        place = f"{self._prefix}/" if self._prefix else ""
        names = (key.removeprefix(place).removesuffix("/") for key in self._list(place).folders)
        return [name for name in names if is_plain(name)]

    def list_objects(self, folder: str) -> list[Entry]:
        place = f"{self._key(require_folder(folder))}/"
        entries = (Entry(key.removeprefix(place), size) for key, size in self._list(place).objects)
        return [entry for entry in entries if is_object(entry.name)]

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        key = self._key(*split_name(name))
        try:
            found = self._store.get(key, options={"range": {"offset": start}} if start else {})
        except _PROBLEMS as problem:
            if Answer.of(problem).status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:  # nothing is left
                return
            raise self._explain(problem, name) from problem
        stream = iter(found.stream(min_chunk_size=CHUNK))
        while piece := self._next_piece(stream, name):
            yield piece

    def write(self, name: str, source: Source, *, replace: bool = False, report: Report = no_report) -> None:
        key, pieces = self._key(*split_name(name)), _Pieces(name, source, report)
        try:
            if source.size <= PART_BYTES:
                self._put_small(key, name, pieces, replace=replace)
                return
            if not replace:
                self._require_free(key, name)
            self._put_large(key, pieces)
        except _PROBLEMS as problem:
            if pieces.error is not None:
                raise pieces.error from pieces.error.__cause__
            raise self._explain(problem, name, source.size) from problem

    def delete(self, name: str) -> None:
        try:
            self._store.delete(self._key(*split_name(name)))
        except _PROBLEMS as problem:
            if not Answer.of(problem).is_missing_object:
                raise self._explain(problem, name) from problem

    def delete_unfinished(self, folder: str) -> None:
        """Do nothing: the library cannot find the parts that a killed process has left. They are in no listing."""
        require_folder(folder)

    def close(self) -> None:
        pass

    # --- Requests ----------------------------------------------------------------------------------------------------

    def _open(self, silence_seconds: float) -> Bucket:
        """Make a client. It knows nothing but the address: variables such as AWS_ENDPOINT_URL are hidden from it."""
        options: ClientConfig = {
            "allow_http": self._endpoint.scheme == "http",
            "connect_timeout": timedelta(seconds=min(_CONNECT_SECONDS, silence_seconds)),
            "read_timeout": timedelta(seconds=silence_seconds),
            "timeout": timedelta(days=7),  # of a whole request, which may read a large object
        }
        if self._certificates:
            options["root_certificate"] = self._certificates
        with _without_variables():
            return Bucket(
                self._bucket,
                endpoint=self._endpoint.for_library,
                virtual_hosted_style_request=not self._endpoint.is_path_style,
                region=self._region,
                config=self._keys,
                disable_bulk_delete=True,
                client_options=options,
                retry_config={
                    "max_retries": RETRIES,
                    "retry_timeout": timedelta(seconds=_RETRY_SECONDS),
                    "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=3), "base": 3},
                },
            )

    def _list(self, place: str) -> Keys:
        """Return the keys below a prefix, which ends with a slash or is empty."""
        try:
            found = self._store.list_with_delimiter(place or None)
        except exceptions.InvalidPathError:
            return self._list_all(place)
        except _PROBLEMS as problem:
            raise self._explain(problem) from problem
        if not found["common_prefixes"] and not found["objects"]:
            self._require_s3()
        # The library drops the slash at the end of folders.
        objects = tuple((one["path"], one["size"]) for one in found["objects"])
        return Keys(tuple(found["common_prefixes"]), objects)

    def _list_all(self, place: str) -> Keys:
        """Return the same with keys that the library cannot list, which are not ours."""
        try:
            return list_keys(self._address, build_opener(self._trust), place, self._timeout_seconds)
        except urllib.error.HTTPError as problem:
            with problem:
                raise failures.unexpected_answer(self._where, "GET", f"{problem.code} {problem.reason}") from problem
        except (OSError, HTTPException) as problem:
            raise failures.connection_lost(
                self._endpoint.name, self._endpoint.port, problem, self._timeout_seconds
            ) from problem
        except ListingInvalid as problem:
            raise LocationFailed(
                "{where} returned an invalid list: {reason}. Nothing was changed. Choose another prefix.",
                where=self._where,
                reason=problem,
            ) from problem

    def _require_s3(self) -> None:
        """Check that an empty listing is the answer of an S3 service. The library takes any web page for an empty one."""
        if self._is_known_to_be_s3:
            return
        try:
            self._store.get(self._key(_ABSENT))
        except _PROBLEMS as problem:
            if not Answer.of(problem).code:
                raise self._explain(problem) from problem
        else:
            raise self._redirected() or LocationFailed(
                "{where} does not answer as an S3 service does. Nothing was changed. Check the endpoint.",
                where=self._where,
            )
        self._is_known_to_be_s3 = True

    def _next_piece(self, stream: Iterator[bytes], name: str) -> bytes:
        try:
            return bytes(next(stream, b""))
        except _PROBLEMS as problem:
            raise self._explain(problem, name) from problem

    def _put_small(self, key: str, name: str, pieces: _Pieces, *, replace: bool) -> None:
        content = b"".join(pieces)
        if not replace:
            try:
                self._store.put(key, content, use_multipart=False, mode="create")
            except _PROBLEMS as problem:
                if not Answer.of(problem).is_unsupported:
                    raise
                self._require_free(key, name)
            else:
                return
        self._store.put(key, content, use_multipart=False)

    def _put_large(self, key: str, pieces: _Pieces) -> None:
        """Send the parts. The library takes them back if one fails, or if `pieces` raises."""
        part_bytes = max(PART_BYTES, -(-pieces.source.size // _MOST_PARTS))
        silence_seconds = self._timeout_seconds + _PARTS_AT_A_TIME * part_bytes / _SLOWEST_BYTES_PER_SECOND
        self._open(silence_seconds).put(
            key, iter(pieces), use_multipart=True, chunk_size=part_bytes, max_concurrency=_PARTS_AT_A_TIME
        )

    def _require_free(self, key: str, name: str) -> None:
        """Raise `ObjectExists` if the object exists. A `HEAD` request would not say why it is refused."""
        try:
            self._store.get(key, options={"range": (0, 1)})
        except _PROBLEMS as problem:
            answer = Answer.of(problem)
            if answer.is_missing_object:
                return
            if answer.status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:  # an empty object
                raise
        raise failures.object_exists(self._where, name)

    # --- Names -------------------------------------------------------------------------------------------------------

    def _key(self, *names: str) -> str:
        return "/".join(part for part in (self._prefix, *names) if part)

    @property
    def _where(self) -> str:
        return f"{self._bucket} ({self._endpoint.host})"

    # --- Errors ------------------------------------------------------------------------------------------------------

    def _explain(self, problem: Exception, name: str = "", needed: int = 0) -> LocationError:
        """Return the error for what the library raised about an object, of `needed` bytes, or about the bucket."""
        answer = Answer.of(problem)
        if answer.status is None and not answer.is_redirect:
            return self._not_answered(answer)
        if answer.code == "NoSuchBucket":
            return ObjectMissing(
                "{host} has no bucket {bucket}. Create it there, or correct the address.",
                host=self._endpoint.host,
                bucket=quoted(self._bucket),
            )
        if answer.region and answer.region != self._region:
            return self._wrong_region(answer.region)
        return (
            self._explain_object(answer, name, needed)
            or self._redirected()
            or self._refused(answer, name)
            or self._unexpected(answer, name)
        )

    def _explain_object(self, answer: Answer, name: str, needed: int) -> LocationError | None:
        if name and answer.is_missing_object:
            return failures.object_missing(self._where, name)
        if answer.status == HTTPStatus.PRECONDITION_FAILED:
            return failures.object_exists(self._where, name)
        if answer.code in _FULL or answer.status == HTTPStatus.INSUFFICIENT_STORAGE:
            return failures.no_space(self._where, needed)
        return None

    def _refused(self, answer: Answer, name: str) -> LocationError | None:
        if answer.code == "RequestTimeTooSkewed":
            return LocationDenied(
                "{where} refused the request, because the clock of this machine differs from its own: here it is {here}"
                + (", there {there}" if answer.server_time else "")
                + ". Set the clock, for example with NTP, then try again.",
                where=self._where,
                here=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
                there=answer.server_time,
            )
        if answer.code in _REFUSED:
            return LocationDenied("{where} {reason}", where=self._where, reason=Sentence(_REFUSED[answer.code]))
        if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return failures.not_permitted(self._where, name or self._prefix or self._bucket, answer.text)
        if answer.status in _OVERLOADED:
            return LocationUnreachable(
                "{where} is not available now (it answered {answer}). Try again later.",
                where=self._where,
                answer=answer.text,
            )
        return None

    def _unexpected(self, answer: Answer, name: str) -> LocationFailed:
        return failures.unexpected_answer(self._where, f"{answer.method} {name}".strip(), answer.text)

    def _wrong_region(self, region: str) -> LocationRedirected:
        return LocationRedirected(
            'The bucket {bucket} is not in the region {region}, but in {found}. Set "region" to {found}'
            + ("." if self._endpoint.is_default else ", and the endpoint to that of this region."),
            bucket=quoted(self._bucket),
            region=quoted(self._region),
            found=quoted(region),
        )

    def _redirected(self) -> LocationError | None:
        """Return an error if the service redirects to another host or region."""
        try:
            return self._redirected_by(self._endpoint.ask(self._trust, self._timeout_seconds))
        except (OSError, HTTPException):
            return None

    def _redirected_by(self, headers: Message) -> LocationError | None:
        region = headers.get("x-amz-bucket-region", "")
        if region and region != self._region:
            return self._wrong_region(region)
        host = urlsplit(headers.get("location", "")).netloc
        if not host or host == self._endpoint.host:
            return None
        return LocationRedirected(
            "{where} redirects to {host}. The keys were not sent there. If it is right, set the endpoint to that host.",
            where=self._where,
            host=quoted(host),
        )

    def _not_answered(self, answer: Answer) -> LocationError:
        """Return an error for a request without a status. What the library says about it, another request says better."""
        host, port = self._endpoint.name, self._endpoint.port
        if answer.was_silent:
            return failures.connection_lost(host, port, TimeoutError(), self._timeout_seconds)
        cause, redirected = self._try_again()
        if isinstance(cause, ssl.SSLError):
            return failures.certificate_refused(host, port, cause)
        if cause is not None:
            return failures.not_connected(host, port, cause, _CONNECT_SECONDS)
        if answer.is_untrusted:
            return LocationUntrusted(
                "The certificate of {host} on port {port} is not trusted. Nothing was sent. If the server has a certificate "
                'of its own, set "ca_file" to the certificate that signed it.',
                host=host,
                port=port,
            )
        if answer.was_cut:
            return failures.connection_lost(
                host, port, ConnectionResetError(errno.ECONNRESET, ""), self._timeout_seconds
            )
        return redirected or LocationFailed(
            "{where} answered in an unexpected way: {reason:clause}. Check the endpoint.",
            where=self._where,
            reason=answer.text,
        )

    def _try_again(self) -> tuple[Exception | None, LocationError | None]:
        """Return why there is no connection, if there is none, and an error if the service redirects."""
        try:
            return None, self._redirected_by(
                self._endpoint.ask(self._trust, min(self._timeout_seconds, _CONNECT_SECONDS))
            )
        except urllib.error.URLError as problem:
            return problem.reason if isinstance(problem.reason, Exception) else problem, None
        except (OSError, HTTPException):  # there was a connection
            return None, None


class _Pieces:
    """The bytes of a source for the library, in pieces. `error` is what stopped them.

    What the source or `report` raises passes through the library, and ends the write.
    """

    def __init__(self, name: str, source: Source, report: Report) -> None:
        self._name, self.source, self._report = name, source, report
        self.error: BaseException | None = None

    def __iter__(self) -> Generator[bytes]:
        try:
            yield from self._read()
        except GeneratorExit:
            raise
        except BaseException as error:
            self.error = error
            raise

    def _read(self) -> Generator[bytes]:
        done = 0
        with self.source.open() as stream:
            while piece := stream.read(CHUNK):
                done += len(piece)
                if done > self.source.size:
                    break
                self._report(done)
                yield piece
        if done != self.source.size:
            raise failures.source_changed(self._name, self.source.size, done)


_FULL = frozenset({"QuotaExceeded", "QuotaExceededException", "StorageFull", "XMinioStorageFull", "EntityTooLarge"})
_REFUSED = {
    "InvalidAccessKeyId": "does not know the access key (InvalidAccessKeyId). Check it.",
    "SignatureDoesNotMatch": "refused the secret key (SignatureDoesNotMatch). Check it.",
    "ExpiredToken": "refused the keys, because they have expired (ExpiredToken). Create new ones.",
    "InvalidToken": "refused the keys (InvalidToken). Create new ones.",
}
_OVERLOADED = frozenset({
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
})  # fmt: skip


_PROBLEMS = (exceptions.BaseError, OSError)
"""What the library raises. For a missing object, it raises `FileNotFoundError`."""


@contextmanager
def _without_variables() -> Iterator[None]:
    """Hide the variables that the library reads in addition to its options. It has no option to ignore them."""
    with _environment:
        hidden = {name: value for name, value in os.environ.items() if name.upper().startswith("AWS_")}
        for name in hidden:
            del os.environ[name]
        try:
            yield
        finally:
            os.environ.update(hidden)
