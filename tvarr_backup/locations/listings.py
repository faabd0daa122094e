"""Listings of servers, which may be anything."""

from __future__ import annotations

from collections.abc import Iterable
from xml.parsers import expat

from tvarr_backup.texts import find_hidden

MOST_ENTRIES = 1_000_000
"""A longer listing is refused, so that a faulty server cannot use up the memory."""
MOST_OF_DOCUMENT = 2**26


def is_safe_name(name: str) -> bool:
    """Return whether a name can be joined to a path. Others are not ours, and are ignored."""
    return name not in {"", ".", ".."} and "/" not in name and "\\" not in name and not find_hidden(name)


class ListingInvalid(Exception):
    """The document is not a complete listing. Its text says why."""


def read_size(text: str) -> int:
    """Return the size of an object in bytes. Raises `ListingInvalid`."""
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ListingInvalid(f'it has the size "{text[:40]}"')
    return int(text)


class DocumentReader:
    """Reads an XML document as it arrives, and calls `started` and `ended` for its elements.

    A document with a DTD is refused, so entities are never expanded. The path of an element has its name and those of the
    elements around it, without `namespace`.
    """

    def __init__(self, root: str, namespace: str) -> None:
        self._root, self._namespace = root, f"{namespace} "
        self._path: list[str] = []
        self._text: list[str] = []
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text.append
        self._parser.StartDoctypeDeclHandler = self._refuse_dtd

    def read(self, pieces: Iterable[bytes]) -> None:
        """Read a whole document. Raises `ListingInvalid`, and what `pieces` raises."""
        read = 0
        try:
            for piece in pieces:
                read += len(piece)
                if read > MOST_OF_DOCUMENT:
                    raise ListingInvalid("it is too long")
                self._parser.Parse(piece, False)  # noqa: FBT003  # positional only
            self._parser.Parse(b"", True)  # noqa: FBT003  # positional only
        except expat.ExpatError as problem:
            raise ListingInvalid(f"it is not valid XML ({problem})") from problem

    def started(self, path: list[str]) -> None:
        """Called when an element begins."""

    def ended(self, path: list[str], text: str) -> None:
        """Called when an element ends, with the text since the last tag."""

    def _refuse_dtd(self, *_parts: object) -> None:
        raise ListingInvalid("it has a DTD")

    def _start(self, tag: str, _attributes: object) -> None:
        name = tag.removeprefix(self._namespace)
        if not self._path and name != self._root:
            raise ListingInvalid(f"it is not a {self._root} document")
        self._path.append(name)
        self._text.clear()
        self.started(self._path)

    def _end(self, _tag: str) -> None:
        self.ended(self._path, "".join(self._text))
        self._text.clear()
        self._path.pop()
