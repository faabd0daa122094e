"""Locations on WebDAV servers."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import quote

import httpx

from tvarr_backup.errors import LocationError, LocationFailed, LocationUnreachable, ObjectExists, ObjectMissing
from tvarr_backup.locations import stores
from tvarr_backup.locations.addresses import Address, require_credentials
from tvarr_backup.locations.failures import object_exists, object_missing, path_missing, source_changed, wrong_size
from tvarr_backup.locations.listings import ListingInvalid
from tvarr_backup.locations.names import is_part, require_plain
from tvarr_backup.locations.stores import PART_ENDING, Entry, Report, Source, Store, no_report
from tvarr_backup.locations.webdav_connection import Connection, discard
from tvarr_backup.locations.webdav_listing import REQUEST, Listing, parse_listing
from tvarr_backup.quoting import quoted

_UNKNOWN_METHOD = {405, 501}
_PIECE = 2**16
"""Bytes that are sent in one step. httpcore copies what is left of a piece after each call of the system."""


class WebDAVStore(Store):
    """A folder on a WebDAV server.

    An object is sent to an unfinished object in the same folder, whose size is checked, and moved. The server decides how
    durable that is. The protocol has no way to resume a write.

    A server without MOVE gets the object under its own name, with `If-None-Match: *` so that it does not overwrite. Whether a
    write that is cut then leaves nothing depends on the server.
    """

    def __init__(self, address: Address) -> None:
        require_credentials(address)
        self._base = address.options["url"]
        self._connection = Connection(address)
        self._host = self._connection.host
        self._can_move = True

    def list_folders(self) -> list[str]:
        return [member.name for member in self._list("").members if member.is_folder]

    def list_objects(self, folder: str) -> list[Entry]:
        return [entry for entry in self._list_files(folder) if not entry.name.endswith(PART_ENDING)]

    def read(self, name: str, start: int = 0) -> Iterator[bytes]:
        require_plain(name)
        headers = {"Range": f"bytes={start}-"} if start else {}
        response = self._connection.send("GET", self._url(name), headers)
        try:
            if response.status_code == 416:
                return
            if response.status_code not in {200, 206}:
                raise self._connection.refuse(response, name)
            skip = self._find_skip(response, name, start)
            for piece in response.iter_raw(stores.CHUNK):
                if skip < len(piece):
                    yield piece[skip:]
                skip = max(0, skip - len(piece))
        except httpx.TransportError as problem:
            raise self._connection.explain(problem) from problem
        finally:
            response.close()

    def write(self, name: str, source: Source, *, replace: bool = False, report: Report = no_report) -> None:
        require_plain(name)
        exists = self._find_size(name) is not None  # also finds out how to sign in, before any bytes are sent
        if exists and not replace:
            raise object_exists(self._host, name)
        self._make_folder(name.rpartition("/")[0])
        if self._can_move:
            self._write_and_move(name, source, report, replace=replace)
        if not self._can_move:
            self._write_directly(name, source, report, replace=replace)

    def delete(self, name: str) -> None:
        require_plain(name)
        self._delete(name)

    def delete_unfinished(self, folder: str) -> None:
        for entry in self._list_files(folder):
            if is_part(entry.name):
                self._delete(f"{folder}/{entry.name}" if folder else entry.name)

    def close(self) -> None:
        self._connection.close()

    def _delete(self, name: str) -> None:
        response = self._connection.send("DELETE", self._url(name))
        if response.status_code not in {200, 202, 204, 404}:
            raise self._connection.refuse(response, name)
        discard(response)
        if response.status_code == 404:
            self._list("", depth="0")  # raises if the path of the address does not exist

    # --- Writing -----------------------------------------------------------------------------------------------------

    def _write_and_move(self, name: str, source: Source, report: Report, *, replace: bool) -> None:
        """Write an object, or find out that the server cannot move and leave nothing."""
        part = f"{name}.{secrets.token_hex(8)}{PART_ENDING}"
        try:
            self._put(part, name, source, report, {})
            self._can_move = self._move(part, name, replace=replace)
        except LocationUnreachable:
            raise
        except BaseException:
            self._discard_object(part)
            raise
        if not self._can_move:
            self._discard_object(part)

    def _write_directly(self, name: str, source: Source, report: Report, *, replace: bool) -> None:
        try:
            self._put(name, name, source, report, {} if replace else {"If-None-Match": "*"})
        except (LocationUnreachable, ObjectExists):
            raise
        except BaseException:
            if not replace:
                self._discard_object(name)
            raise

    def _put(self, target: str, name: str, source: Source, report: Report, conditions: dict[str, str]) -> None:
        headers = {"Content-Length": str(source.size), "Content-Type": "application/octet-stream", **conditions}
        response = self._connection.send("PUT", self._url(target), headers, _Body(name, source, report))
        if response.status_code == 412:
            discard(response)
            raise object_exists(self._host, name)
        if response.status_code not in {200, 201, 204}:
            raise self._connection.refuse(response, name, source.size)
        discard(response)
        size = self._find_size(target)
        if size != source.size:
            raise wrong_size(self._host, name, source.size, size or 0)

    def _move(self, part: str, name: str, *, replace: bool) -> bool:
        """Return whether the server can move objects."""
        headers = {"Destination": self._url(name), "Overwrite": "T" if replace else "F"}
        response = self._connection.send("MOVE", self._url(part), headers)
        if response.status_code in _UNKNOWN_METHOD:
            discard(response)
            return False
        if response.status_code == 412:
            discard(response)
            raise object_exists(self._host, name)
        if response.status_code not in {201, 204}:
            raise self._connection.refuse(response, name)
        discard(response)
        return True

    def _make_folder(self, folder: str) -> None:
        if not folder or self._exists(folder):
            return
        response = self._connection.send("MKCOL", self._url(folder) + "/")
        if response.status_code in {404, 409}:
            discard(response)
            raise path_missing(self._host, self._base)
        if response.status_code not in {
            201,
            405,
        }:  # 405: it exists, because another program has made it in the meantime
            raise self._connection.refuse(response, folder)
        discard(response)

    def _discard_object(self, name: str) -> None:
        """Remove an unfinished object. If that fails, `delete_unfinished` removes it later."""
        with suppress(LocationError):
            self._delete(name)

    # --- Listings ----------------------------------------------------------------------------------------------------

    def _list_files(self, folder: str) -> list[Entry]:
        try:
            listing = self._list(folder)
        except ObjectMissing:
            self._list("", depth="0")
            return []
        return [
            Entry(member.name, self._require_size(member.name, member.size))
            for member in listing.members
            if not member.is_folder
        ]

    def _list(self, folder: str, depth: str = "1") -> Listing:
        """Raises `ObjectMissing`."""
        try:
            listing = self._find_properties(f"{self._url(folder).rstrip('/')}/", folder or self._base, depth)
        except ObjectMissing:
            if not folder:
                raise path_missing(self._host, self._base) from None
            raise
        if not listing.itself.is_folder:
            raise LocationFailed(
                "{host} has a file at {path}, expected a folder. Check the address.",
                host=self._host,
                path=quoted(folder or self._base),
            )
        return listing

    def _exists(self, folder: str) -> bool:
        try:
            self._list(folder, depth="0")
        except ObjectMissing:
            return False
        return True

    def _find_size(self, name: str) -> int | None:
        """Return the size of an object, or None if it does not exist."""
        try:
            itself = self._find_properties(self._url(name), name, "0").itself
        except ObjectMissing:
            return None
        return self._require_size(name, itself.size)

    def _find_properties(self, url: str, name: str, depth: str) -> Listing:
        headers = {"Depth": depth, "Content-Type": 'application/xml; charset="utf-8"'}
        response = self._connection.send("PROPFIND", url, headers, REQUEST)
        try:
            if response.status_code in {404, 410}:
                raise object_missing(self._host, name)
            if response.status_code != 207:
                raise self._connection.refuse(response, name)
            return parse_listing(response.iter_raw(), str(response.request.url))
        except httpx.TransportError as problem:
            raise self._connection.explain(problem) from problem
        except ListingInvalid as problem:
            raise LocationFailed(
                "{host} returned an invalid list of {name}: {reason}. Check that the address is a WebDAV folder.",
                host=self._host,
                name=quoted(name),
                reason=problem,
            ) from problem
        finally:
            discard(response)

    def _require_size(self, name: str, size: int | None) -> int:
        if size is None:
            raise LocationFailed(
                "{host} does not report the size of {name}. Use another server.", host=self._host, name=quoted(name)
            )
        return size

    def _find_skip(self, response: httpx.Response, name: str, start: int) -> int:
        """Return how many bytes of the answer come before `start`, because a server may ignore the range."""
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise LocationFailed(
                "{host} returned {name} compressed ({encoding}). Turn off compression for this folder there.",
                host=self._host,
                name=quoted(name),
                encoding=quoted(encoding),
            )
        if response.status_code == 200:
            return start
        found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""), re.ASCII)
        if found is None or int(found[1]) != start:
            raise LocationFailed(
                "{host} returned another part of {name} than the one from byte {start}. Check the log of the server.",
                host=self._host,
                name=quoted(name),
                start=start,
            )
        return 0

    def _url(self, name: str) -> str:
        path = "/".join(quote(part, safe="") for part in name.split("/"))
        return f"{self._base}/{path}" if name else self._base


class _Body:
    """The bytes of a source as the body of a request. It is read again if the server asks for credentials."""

    def __init__(self, name: str, source: Source, report: Report) -> None:
        self._name, self._source, self._report = name, source, report

    def __iter__(self) -> Iterator[bytes]:
        done, size = 0, self._source.size
        with self._source.open() as stream:
            while piece := stream.read(_PIECE):
                done += len(piece)
                if done > size:
                    raise source_changed(self._name, size, done)
                yield piece
                self._report(done)
        if done != size:
            raise source_changed(self._name, size, done)
