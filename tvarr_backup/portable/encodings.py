"""Reads files as UTF-8 whichever encoding their byte order mark announces: PowerShell writes UTF-16."""

from __future__ import annotations

import codecs
import io
import re
from typing import BinaryIO

from tvarr_backup.errors import EncodingUnsupported, FileTooLarge

_BLOCK = 64 * 2**10
_UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_READ = {codecs.BOM_UTF8: "", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
# JSON begins with two ASCII characters, so zeros among the first bytes show how wide characters are (RFC 4627, 3).
_UNMARKED = (
    (re.compile(rb"\0\0\0[^\0]|[^\0]\0\0\0", re.DOTALL), "UTF-32"),
    (re.compile(rb"(?:\0[^\0]){1,2}\Z|(?:[^\0]\0){1,2}\Z", re.DOTALL), "UTF-16 without a byte order mark"),
)
_LONGEST_MARK = 4


class Undecodable(Exception):
    """A file is not in the encoding of its byte order mark; `before` is what could be read, as UTF-8."""

    def __init__(self, before: bytes) -> None:
        super().__init__(before)
        self.before = before


def read_as_utf8(source: BinaryIO, most_bytes: int) -> bytes:
    """Return all of a file as UTF-8, without its byte order mark.

    Holds no more than the text. Bytes of a file in UTF-8 are not checked. Raises `FileTooLarge` for more than `most_bytes`,
    read or returned, `EncodingUnsupported` for UTF-32 and for UTF-16 without a mark, and `Undecodable`.
    """
    start = _read_start(source)
    mark, encoding = _mark_of(start)
    text, size, block = io.BytesIO(), 0, start
    decoder = codecs.getincrementaldecoder(encoding)() if encoding else None
    while True:
        size += len(block)
        content = block.removeprefix(mark) if block is start else block
        text.write(content if decoder is None else _as_utf8(decoder, content, text, is_last=not block))
        if max(size, text.tell()) > most_bytes:
            raise FileTooLarge(f"The file is larger than {most_bytes // 2**20} MiB, which is the most that is read.")
        if not block:
            return text.getvalue()
        block = source.read(_BLOCK)


def _read_start(source: BinaryIO) -> bytes:
    """Return enough to see the mark, also of a source that gives few bytes at a time."""
    start = source.read(_BLOCK)
    while len(start) < _LONGEST_MARK and (more := source.read(_BLOCK)):
        start += more
    return start


def _mark_of(start: bytes) -> tuple[bytes, str]:
    """Return the mark at the start of a file and its encoding; both empty for UTF-8 without a mark."""
    if start.startswith(_UTF32):
        raise _unsupported("UTF-32")
    for mark, encoding in _READ.items():
        if start.startswith(mark):
            return mark, encoding
    for pattern, found in _UNMARKED:
        if pattern.match(start[:_LONGEST_MARK]):
            raise _unsupported(found)
    return b"", ""


def _unsupported(found: str) -> EncodingUnsupported:
    return EncodingUnsupported(
        f"The file is encoded as {found}. Expected UTF-8, or UTF-16 with a byte order mark. Save it as UTF-8 and try again."
    )


def _as_utf8(decoder: codecs.IncrementalDecoder, block: bytes, before: io.BytesIO, *, is_last: bool) -> bytes:
    try:
        return decoder.decode(block, is_last).encode()
    except UnicodeDecodeError as problem:
        readable = problem.object[: problem.start].decode(problem.encoding)
        raise Undecodable(before.getvalue() + readable.encode()) from problem
