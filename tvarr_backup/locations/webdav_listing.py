"""Listings of WebDAV servers (RFC 4918, PROPFIND)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes, urlsplit

from tvarr_backup.locations.listings import MOST_ENTRIES, DocumentReader, ListingInvalid, is_safe_name, read_size

REQUEST = (
    b'<?xml version="1.0" encoding="utf-8"?>'
    b'<propfind xmlns="DAV:"><prop><resourcetype/><getcontentlength/></prop></propfind>'
)


@dataclass(frozen=True)
class Member:
    """A file or folder in a listing. `size` is None if the server does not report it."""

    name: str
    size: int | None
    is_folder: bool


@dataclass(frozen=True)
class Listing:
    """The folder itself, or the file, and its members. Members whose names cannot be ours are left out."""

    itself: Member
    members: tuple[Member, ...]


def parse_listing(pieces: Iterable[bytes], url: str) -> Listing:
    """Read the answer to a request for `url`. Raises `ListingInvalid`, and what `pieces` raises."""
    reader = _Reader()
    reader.read(pieces)
    return _select(reader.found, url)


def _select(found: list[_Found], url: str) -> Listing:
    folder = _split_path(url)
    itself: Member | None = None
    members: list[Member] = []
    for one in found:
        path = _split_path(one.href)
        if path is None:
            continue
        name = path[-1] if path else ""
        if path == folder:
            itself = itself or Member(name, one.size, one.is_folder)
        elif path[:-1] == folder and is_safe_name(name):
            members.append(Member(name, one.size, one.is_folder))
    if itself is None:
        raise ListingInvalid("it does not contain the folder itself")
    return Listing(itself, tuple(members))


def _split_path(href: str) -> list[str] | None:
    """Return the decoded names of a path, without its host. Return None if it is not a path."""
    try:
        parts = [unquote_to_bytes(part).decode() for part in urlsplit(href.strip()).path.split("/")]
    except ValueError:
        return None
    return [part for part in parts if part]


@dataclass
class _Found:
    href: str = ""
    size: int | None = None
    is_folder: bool = False


@dataclass
class _Properties:
    size: int | None = None
    is_folder: bool = False
    status: str = ""


class _Reader(DocumentReader):
    """Collects the responses of a multistatus document."""

    def __init__(self) -> None:
        super().__init__("multistatus", "DAV:")
        self.found: list[_Found] = []
        self._response = _Found()
        self._properties = _Properties()
        self._status = ""

    def started(self, path: list[str]) -> None:
        if path[1:] == ["response"]:
            self._response, self._status = _Found(), ""
        elif path[1:] == ["response", "propstat"]:
            self._properties = _Properties()

    def ended(self, path: list[str], text: str) -> None:
        path, text = path[1:], text.strip()
        if path == ["response", "href"]:
            self._response.href = text
        elif path == ["response", "status"]:
            self._status = text
        elif path == ["response", "propstat", "status"]:
            self._properties.status = text
        elif path == ["response", "propstat", "prop", "getcontentlength"] and text:
            self._properties.size = read_size(text)
        elif path == ["response", "propstat", "prop", "resourcetype", "collection"]:
            self._properties.is_folder = True
        elif path == ["response", "propstat"]:
            self._accept_properties()
        elif path == ["response"]:
            self._accept_response()

    def _accept_properties(self) -> None:
        if _is_success(self._properties.status):
            self._response.is_folder |= self._properties.is_folder
            if self._properties.size is not None:
                self._response.size = self._properties.size

    def _accept_response(self) -> None:
        if self._status and not _is_success(self._status):
            raise ListingInvalid(f'it says "{self._status}" about "{self._response.href}"')
        self.found.append(self._response)
        if len(self.found) > MOST_ENTRIES:
            raise ListingInvalid("it has too many entries")


def _is_success(status: str) -> bool:
    """Read a status line such as "HTTP/1.1 200 OK"."""
    return status.split()[1:2] in (["200"], ["207"])
