"""Reading of JSON as events, within limits. Errors name line and column."""

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
_PARTS = 41  # its third power exceeds a block, so an error is usually found in three passes
_STRING_OR_NUMBER = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[-+.eE0-9]{16,}', re.DOTALL)
# The parser raises one of the last three for a number with more digits than Python converts.
_REFUSALS = (ijson.JSONError, ValueError, SystemError, ArithmeticError)


class Event(NamedTuple):
    """An event of ijson, with the value or the member's name."""

    name: str
    value: Any


_END_OF_LIST = Event("end_array", None)
_END_OF_OBJECT = Event("end_map", None)


def read_events(source: BinaryIO, max_members: int = MAX_MEMBERS) -> Iterator[Event]:
    """Return the events of a JSON file in UTF-8, or in UTF-16 with a byte order mark.

    Raises what `events_of` raises, `FileTooLarge`, `EncodingUnsupported`, or `BackupNotExport` (by the first bytes).
    """
    text = read_as_utf8(source, MAX_BYTES)
    _refuse_other_formats(text)
    return events_of(text, max_members)


def events_of(text: bytes, max_members: int = MAX_MEMBERS) -> Iterator[Event]:
    """Return the events of one JSON text.

    Raises `FileTooLarge` for too much nesting or too many members of one object, and `NotJson` with line and column.
    """
    _refuse_lone_surrogates(text)
    return _checked(_parse(text), max_members)


def value_of(text: bytes, max_members: int = MAX_MEMBERS) -> Any:
    """Return the value of a JSON text, with the limits and errors of `events_of`; fractions are `Decimal`."""
    events = events_of(text, max_members)
    value = _built(next(events), events)
    deque(events, maxlen=0)  # reading to the end finds errors after the value
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
        raise NotJson("The file is empty. Expected an export.")
    if found := name_backup_type(text):
        raise BackupNotExport(
            "This is {found}. Expected an export (a JSON file). Backups are restored, not imported.", found=found
        )


def _refuse_lone_surrogates(text: bytes) -> None:
    """Refuse an unpaired surrogate, which the parser would silently replace."""
    waiting: re.Match[bytes] | None = None
    for escape in _ESCAPE.finditer(text) if rb"\u" in text else ():
        point = int(escape[1], 16) if escape[1] else 0
        follows = waiting is not None and waiting.end() == escape.start()
        if 0xDC00 <= point <= 0xDFFF:
            if not follows:
                raise _error_at(text, escape.start(), "unpaired surrogate")
            waiting = None
            continue
        if waiting is not None:
            break
        waiting = escape if 0xD800 <= point <= 0xDBFF else None
    if waiting is not None:
        raise _error_at(text, waiting.start(), "unpaired surrogate")


def _parse(text: bytes) -> Iterator[Event]:
    """Yield the events block by block, so that a file that is refused early is not parsed further."""
    events = ijson.sendable_list()
    parser = ijson.basic_parse_coro(events)
    for start, end in _blocks(text, events):
        try:
            parser.send(text[start:end])
        except _REFUSALS as problem:
            raise _parser_error(text, start, end, problem) from problem
        yield from (Event(*event) for event in events)
    try:
        parser.close()
    except _REFUSALS as problem:
        raise _error_at(text, len(text), "the JSON is incomplete") from problem
    yield from (Event(*event) for event in events)


def _blocks(text: bytes, events: list[Any]) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each block. `events` has the events of the last block, and is cleared for the next.

    The parser reads an incomplete value again with each block, so blocks grow until it ends.
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
    """Return the position after the first unescaped quotation mark from `start`, at most `end`."""
    before = text[:start]
    escaped = (len(before) - len(before.rstrip(b"\\"))) % 2
    quote = _TO_QUOTE.match(text, start + escaped, end)
    return quote.end() if quote else end


def _parser_error(text: bytes, start: int, end: int, problem: Exception) -> NotJson:
    """Return the error for a problem that the parser has found in the block from `start` to `end`."""
    if not isinstance(problem, ijson.JSONError):
        for token in _STRING_OR_NUMBER.finditer(text):
            if not token[0].startswith(b'"') and not _is_readable(token[0]):
                return _error_at(text, token.start(), "this number has too many digits")
    return _error_at(text, _find_failing_byte(text, start, end), _reason(problem))


def _is_readable(number: bytes) -> bool:
    digits = number.decode()
    try:
        Decimal(digits) if set(digits) & set(".eE") else int(digits)
    except (ValueError, ArithmeticError):
        return False
    return True


def _find_failing_byte(text: bytes, start: int, end: int) -> int:
    """Return the position in the block at which the parser fails, by parsing smaller and smaller parts."""
    while end - start > 1:
        start, end = _find_failing_part(text, start, end)
    return start


def _find_failing_part(text: bytes, start: int, end: int) -> tuple[int, int]:
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
    """Return the reason of a parser error. The parser has no codes, so its sentence is read, and only here."""
    sentence = str(problem).split("\n")[0].strip().lower()
    if "utf8" in sentence or "utf-8" in sentence:
        return "this is not valid UTF-8"
    if "trailing garbage" in sentence:
        return "there is more text after the JSON"
    return "this is not valid JSON"


def _error_at(text: bytes, position: int, reason: str) -> NotJson:
    before = text[:position]
    line = before.count(b"\n") + 1
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", errors="replace")) + 1
    return NotJson("Line {line}, column {column}: {reason}.", line=line, column=column, reason=reason)


def _checked(events: Iterator[Event], max_members: int) -> Iterator[Event]:
    """Yield the events. Raise for too much nesting, too many members and repeated members."""
    objects: list[set[str]] = []
    for event in events:
        if event.name in ("start_map", "start_array"):
            objects.append(set())
            if len(objects) > MAX_DEPTH:
                raise FileTooLarge("The JSON has more than {limit} levels of nesting.", limit=MAX_DEPTH)
        elif event.name in ("end_map", "end_array"):
            objects.pop()
        elif event.name == "map_key":
            if event.value in objects[-1]:
                raise NotJson("The member {member} appears twice in one object.", member=quoted(event.value))
            objects[-1].add(event.value)
            if len(objects[-1]) > max_members:
                raise FileTooLarge("An object of the JSON has more than {limit} members.", limit=max_members)
        yield event


# --- Encodings: PowerShell writes UTF-16 ------------------------------------------------------------------------------

_UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_READ = {codecs.BOM_UTF8: "", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
# JSON begins with two ASCII characters, so zeros among the first bytes show the width of characters (RFC 4627, 3).
_UNMARKED = (
    (re.compile(rb"\0\0\0[^\0]|[^\0]\0\0\0", re.DOTALL), "UTF-32"),
    (re.compile(rb"(?:\0[^\0]){1,2}\Z|(?:[^\0]\0){1,2}\Z", re.DOTALL), "UTF-16 without a byte order mark"),
)
_LONGEST_MARK = 4


def read_as_utf8(source: BinaryIO, most_bytes: int) -> bytes:
    """Return a whole file as UTF-8, without its byte order mark, in no more memory than the text needs.

    UTF-8 is not validated. Raises `FileTooLarge`, `EncodingUnsupported`, and `NotJson` for invalid UTF-16.
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
            raise FileTooLarge("The file is larger than the limit of {limit} MiB.", limit=most_bytes // 2**20)
        if not block:
            return text.getvalue()
        block = source.read(_BLOCK)


def _read_start(source: BinaryIO) -> bytes:
    """Read at least the byte order mark, even from a source that returns few bytes at a time."""
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
        "The file is encoded as {found}. Expected UTF-8, or UTF-16 with a byte order mark. Save it as UTF-8 and try again.",
        found=found,
    )


def _as_utf8(decoder: codecs.IncrementalDecoder, block: bytes, before: io.BytesIO, *, is_last: bool) -> bytes:
    try:
        return decoder.decode(block, is_last).encode()
    except UnicodeDecodeError as problem:
        readable = before.getvalue() + problem.object[: problem.start].decode(problem.encoding).encode()
        raise _error_at(readable, len(readable), "this is not valid UTF-16") from problem
