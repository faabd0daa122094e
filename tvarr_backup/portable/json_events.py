"""Reading of JSON as events, within limits, with errors by line and column."""

import codecs
import io
import re
from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, BinaryIO, NamedTuple

import ijson

from tvarr_backup.errors import BackupNotExport, EncodingUnsupported, FileTooLarge, NotJson
from tvarr_backup.file_types import name_backup_type
from tvarr_backup.quoting import quoted

MAX_BYTES = 32 * 2**20
MAX_DEPTH = 32
MAX_MEMBERS = 1_000
_BLOCK = 64 * 2**10
_ESCAPE = re.compile(rb"\\(?:u([0-9A-Fa-f]{4})|.)", re.DOTALL)
_TO_QUOTE = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_PARTS = 41  # to the third power it is more than a block: a mistake is usually found in three passes
_STRING_OR_NUMBER = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[-+.eE0-9]{16,}', re.DOTALL)
# A number with more digits than Python converts makes the parser raise one of the others.
_REFUSALS = (ijson.JSONError, ValueError, SystemError, ArithmeticError)


class Event(NamedTuple):
    """An event of ijson, with its value or member name."""

    name: str
    value: Any


_END_OF_LIST = Event("end_array", None)
_END_OF_OBJECT = Event("end_map", None)


def read_events(source: BinaryIO, max_members: int = MAX_MEMBERS) -> Iterator[Event]:
    """Return the events of a file that is one JSON text, in UTF-8 or in UTF-16 with a byte order mark.

    Raises what `events_of` does, `FileTooLarge` over 32 MiB, `EncodingUnsupported`, `BackupNotExport` (by the first bytes), or
    `NotJson` for an empty file.
    """
    text = read_as_utf8(source, MAX_BYTES)
    _refuse_other_formats(text)
    return events_of(text, max_members)


def events_of(text: bytes, max_members: int = MAX_MEMBERS) -> Iterator[Event]:
    """Return the events of one JSON text.

    Raises `FileTooLarge` (nested deeper than 32, over `max_members` members in one object), or `NotJson` with line and column:
    invalid JSON or UTF-8, NaN, a lone surrogate, a repeated member.
    """
    _refuse_lone_surrogates(text)
    return _checked(_parse(text), max_members)


def value_of(text: bytes, max_members: int = MAX_MEMBERS) -> Any:
    """Return the value of a JSON text, with the limits and errors of `events_of`; fractions are `Decimal`."""
    events = events_of(text, max_members)
    value = _built(next(events), events)
    deque(events, maxlen=0)  # the parser refuses what follows the value
    return value


def _built(first: Event, events: Iterator[Event]) -> Any:
    """Return the value that starts with `first`."""
    if first.name == "start_array":
        return [_built(event, events) for event in iter(lambda: next(events), _END_OF_LIST)]
    if first.name == "start_map":
        return {name.value: _built(next(events), events) for name in iter(lambda: next(events), _END_OF_OBJECT)}
    return first.value


def _refuse_other_formats(text: bytes) -> None:
    if not text or text.isspace():
        raise NotJson("The file is empty; an export is wanted.")
    if what := name_backup_type(text):
        raise BackupNotExport(f"This is {what}; an export (a JSON file) is wanted. Backups are restored, not imported.")


def _refuse_lone_surrogates(text: bytes) -> None:
    """Refuse half of a surrogate pair, which the parser would silently replace."""
    waiting: re.Match[bytes] | None = None
    for escape in _ESCAPE.finditer(text) if rb"\u" in text else ():
        point = int(escape[1], 16) if escape[1] else 0
        follows = waiting is not None and waiting.end() == escape.start()
        if 0xDC00 <= point <= 0xDFFF:
            if not follows:
                raise _wrong(text, escape.start(), "half of a surrogate pair stands alone")
            waiting = None
            continue
        if waiting is not None:
            break
        waiting = escape if 0xD800 <= point <= 0xDBFF else None
    if waiting is not None:
        raise _wrong(text, waiting.start(), "half of a surrogate pair stands alone")


def _parse(text: bytes) -> Iterator[Event]:
    """Yield the events block by block: what a caller refuses early needs no memory for the rest."""
    events = ijson.sendable_list()
    parser = ijson.basic_parse_coro(events)
    for start, end in _blocks(text, events):
        try:
            parser.send(text[start:end])
        except _REFUSALS as problem:
            raise _refusal(text, start, end, problem) from problem
        yield from (Event(*event) for event in events)
    try:
        parser.close()
    except _REFUSALS as problem:
        raise _wrong(text, len(text), "the text ends before the JSON does") from problem
    yield from (Event(*event) for event in events)


def _blocks(text: bytes, events: list[Any]) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each block, so that parsing takes time proportional to the length of the text.

    The parser reads an incomplete value again with each block. So blocks grow until the value ends: `events` has those of the
    last block, and is cleared for the next one.
    """
    start, size = 0, _BLOCK
    while start < len(text):
        end = min(start + size, len(text))
        if size > _BLOCK:
            end = _end_of_string(text, start, end)
        yield start, end
        size = _BLOCK if events or text[start:end].isspace() else 2 * size
        events.clear()
        start = end


def _end_of_string(text: bytes, start: int, end: int) -> int:
    """Return the place after the first unescaped quotation mark from `start`, or `end` if that comes first."""
    before = text[:start]
    escaped = (len(before) - len(before.rstrip(b"\\"))) % 2
    quote = _TO_QUOTE.match(text, start + escaped, end)
    return quote.end() if quote else end


def _refusal(text: bytes, start: int, end: int, problem: Exception) -> NotJson:
    """Return the error for what the parser refuses in the block from `start` to `end`."""
    if not isinstance(problem, ijson.JSONError):
        for token in _STRING_OR_NUMBER.finditer(text):
            if not token[0].startswith(b'"') and not _is_readable(token[0]):
                return _wrong(text, token.start(), "this number has too many digits")
    return _wrong(text, _failing_byte(text, start, end), _reason(problem))


def _is_readable(number: bytes) -> bool:
    word = number.decode()
    try:
        Decimal(word) if set(word) & set(".eE") else int(word)
    except (ValueError, ArithmeticError):
        return False
    return True


def _failing_byte(text: bytes, start: int, end: int) -> int:
    """Return where in the block the parser fails: each pass looks in smaller parts."""
    while end - start > 1:
        start, end = _failing_part(text, start, end)
    return start


def _failing_part(text: bytes, start: int, end: int) -> tuple[int, int]:
    events = ijson.sendable_list()
    parser = ijson.basic_parse_coro(events)
    for first, last in _blocks(text[:start], events):
        parser.send(text[first:last])
    step = -(-(end - start) // _PARTS)
    for first in range(start, end, step):
        last = min(first + step, end)
        try:
            parser.send(text[first:last])
        except _REFUSALS:
            return first, last
        events.clear()
    return end, end


def _reason(problem: Exception) -> str:
    """Return the reason of a parser error. It has no codes, so this is the one place that reads its sentences."""
    words = str(problem).split("\n")[0].strip().lower()
    if "utf8" in words or "utf-8" in words:
        return "this is no UTF-8 text"
    if "trailing garbage" in words:
        return "there is something after the end of the JSON"
    return "this is no JSON"


def _wrong(text: bytes, position: int, reason: str) -> NotJson:
    before = text[:position]
    line = before.count(b"\n") + 1
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", errors="replace")) + 1
    return NotJson(f"Line {line}, column {column}: {reason}.")


def _checked(events: Iterator[Event], max_members: int) -> Iterator[Event]:
    """Pass events on; raise for too much depth and for repeated members."""
    objects: list[set[str]] = []
    for event in events:
        if event.name in ("start_map", "start_array"):
            objects.append(set())
            if len(objects) > MAX_DEPTH:
                raise FileTooLarge(
                    f"The JSON is nested deeper than {MAX_DEPTH} levels, which is the most that is read."
                )
        elif event.name in ("end_map", "end_array"):
            objects.pop()
        elif event.name == "map_key":
            if event.value in objects[-1]:
                raise NotJson(f"The member {quoted(str(event.value))} stands twice in one object; allowed is once.")
            objects[-1].add(event.value)
            if len(objects[-1]) > max_members:
                raise FileTooLarge(f"An object has more than {max_members} members, which is the most that is read.")
        yield event


# --- Encodings: PowerShell writes UTF-16 ------------------------------------------------------------------------------

_UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_READ = {codecs.BOM_UTF8: "", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
# JSON begins with two ASCII characters, so zeros among the first bytes show how wide characters are (RFC 4627, 3).
_UNMARKED = (
    (re.compile(rb"\0\0\0[^\0]|[^\0]\0\0\0", re.DOTALL), "UTF-32"),
    (re.compile(rb"(?:\0[^\0]){1,2}\Z|(?:[^\0]\0){1,2}\Z", re.DOTALL), "UTF-16 without a byte order mark"),
)
_LONGEST_MARK = 4


def read_as_utf8(source: BinaryIO, most_bytes: int) -> bytes:
    """Return a whole file as UTF-8, without its byte order mark, in no more memory than the text needs.

    UTF-8 is not validated. Raises `FileTooLarge` for more than `most_bytes`, read or returned, `EncodingUnsupported` for UTF-32
    and for UTF-16 without a mark, and `NotJson` for invalid UTF-16.
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
    """Read enough to see the mark, even from a source that returns few bytes at a time."""
    start = source.read(_BLOCK)
    while len(start) < _LONGEST_MARK and (more := source.read(_BLOCK)):
        start += more
    return start


def _mark_of(start: bytes) -> tuple[bytes, str]:
    """Return the byte order mark of a file and its encoding; both empty for UTF-8 without a mark."""
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
        readable = before.getvalue() + problem.object[: problem.start].decode(problem.encoding).encode()
        raise _wrong(readable, len(readable), "this is not valid UTF-16") from problem
