"""Twice as much text takes twice as long: every reader of text that comes from outside, at 1, 2 and 4 times a size.

Time is the processor's own, the best of several, and the limit lies between what grows with the length (4 times as long
for 4 times as much) and what grows with its square (16 times).
"""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from config import logs
from config.gunicorn import _UNREADABLE
from config.gunicorn_worker import Incoming
from tvarr_backup.api.parsers import _NUL
from tvarr_backup.backups.names import moment_in, parse_name
from tvarr_backup.backups.sidecar import decode_sidecar
from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.expressions import Domain, check_expression, reading
from tvarr_backup.expressions.evaluate import compile_expression
from tvarr_backup.fields import read_codec_list
from tvarr_backup.portable.envelope import read_envelope
from tvarr_backup.portable.json_events import value_of
from tvarr_backup.timestamps import read_timestamp
from tvarr_backup.web.differences import mark_differences

pytestmark = pytest.mark.long

LIMIT = 9
ENOUGH_SECONDS = 0.03
LARGEST = 2**22
_EQUALS = 'channel_name contains "abc"'

Text = Any
Case = tuple[Callable[[Any], object], Callable[[int], Text]]


def repeated(part: Text, before: Any = None, after: Any = None) -> Callable[[int], Text]:
    """A text of about `n` characters, of the type of its part."""
    nothing = part[:0]
    return lambda n: (before or nothing) + part * (n // len(part)) + (after or nothing)


def numbered(part: str, between: str = " AND ", after: str = "") -> Callable[[int], str]:
    return lambda n: between.join(part.format(number) for number in range(n // len(part))) + after


stream = partial(check_expression, domain=Domain.STREAM_MAPPING)
client = partial(check_expression, domain=Domain.CLIENT_DETECTION)


def export(text: Text) -> object:
    return read_envelope(io.BytesIO(text if isinstance(text, bytes) else text.encode()), None)


def masked(text: str) -> object:
    event = logs._hide_secrets(None, "", {"time": "", "level": "info", "event": text, "note": text, "logger": "web"})
    return logs._format_text(None, "", event), logs._format_json(None, "", event)


def in_pieces(text: bytes) -> bool:
    incoming = Incoming(b"")
    for start in range(0, len(text), 64):
        incoming.add(text[start : start + 64])
        incoming.is_ready()
    return incoming.is_ready()


def _evaluate(expression: str, value: str) -> object:
    program = compile_expression(expression, Domain.STREAM_FILTER)
    return program.evaluate({"channel_name": value})


def evaluated(expression: str) -> object:
    return _evaluate(expression, "Harbour")


def changed(expression: str) -> object:
    return compile_expression(expression, Domain.STREAM_MAPPING).apply({"channel_name": "Harbour"})


JSON: dict[str, Case] = {
    "digits": (value_of, repeated(b"1", b'{"a": ', b"}")),
    "digits without an end": (value_of, repeated(b"1", b'{"a": ')),
    "fraction": (value_of, repeated(b"1", b"[0.", b"]")),
    "exponent": (value_of, repeated(b"1", b"[1e", b"]")),
    "text": (value_of, repeated(b"x", b'["', b'"]')),
    "text without an end": (value_of, repeated(b"x", b'["')),
    "text with a control character at its end": (value_of, repeated(b"x", b'["', b'\x01"]')),
    "text that is not UTF-8 at its end": (value_of, repeated(b"x", b'["', b'\xff"]')),
    "escaped quotes": (value_of, repeated(b'\\"', b'["', b'"]')),
    "backslashes without an end": (value_of, repeated(b"\\\\", b'["')),
    "surrogates": (value_of, repeated(b"\\ud83d\\ude00", b'["', b'"]')),
    "half a surrogate at the end": (value_of, repeated(b"\\u0041", b'["', b'\\ud800"]')),
    "blanks": (value_of, repeated(b" ", b"", b"x")),
    "line breaks": (value_of, repeated(b"\n", b"", b"x")),
    "numbers": (value_of, repeated(b"0,", b"[", b"0]")),
    "numbers with a mistake at the end": (value_of, repeated(b"0,", b"[", b"x]")),
    "words with a mistake at the end": (value_of, repeated(b"null,", b"[", b"nul]")),
    "lists": (value_of, repeated(b"[],", b"[", b"0]")),
    "objects": (value_of, repeated(b'{"a":1},', b"[", b"0]")),
    "depth": (value_of, repeated(b"[")),
    "members": (value_of, lambda n: json.dumps(dict.fromkeys(map(str, range(n // 10)))).encode()),
    "something after the end": (value_of, repeated(b" ", b"[]", b"x")),
    "NUL": (_NUL.search, repeated(b"\\\\u000")),
}
EXPRESSIONS: dict[str, Case] = {
    "AND": (stream, repeated(f"{_EQUALS} AND ", after=_EQUALS)),
    "OR": (stream, repeated(f"{_EQUALS} OR ", after=_EQUALS)),
    "of a client": (client, repeated('ua = "x" AND ', after='ua = "x"')),
    "unknown fields": (stream, numbered('nam{:05} = "x"')),
    "regular expressions": (stream, numbered('channel_name matches "a{:05}(b)"')),
    "groups": (
        stream,
        lambda n: (
            " OR ".join(f'channel_name matches "{"()" * i}"' for i in range(int(n**0.5)))
            + f' SET channel_name = "{"$9999" * (n // 5)}"'
        ),
    ),
    "actions": (stream, repeated(', channel_name = "$1"', 'true SET name = "a"')),
    "unknown targets": (stream, numbered("nam{:05} = $fiel{:05}".replace("{:05}", "{0:05}"), ", ", "")),
    "a text": (stream, repeated("x", 'name = "', '"')),
    "escapes": (stream, repeated("\\x", 'name = "', '"')),
    "signs in a text": (stream, repeated("!~", 'name = "', '"')),
    "signs in texts": (stream, repeated('name = "a!=b" AND ', after="true")),
    "signs": (stream, repeated(">=")),
    "not": (stream, repeated("not ", after=_EQUALS)),
    "blanks": (stream, repeated(" \t\n", after=_EQUALS)),
    "a mistake at the end": (stream, repeated(f"{_EQUALS} AND ", after="AND")),
    "a text without an end": (stream, repeated('"', "name = '")),
    "letters that are none at the end": (stream, repeated("é", after="²")),
    "a word": (stream, repeated("channel_name", after=" = 1")),
    "depth": (stream, repeated("(")),
    "parentheses": (stream, repeated(f"({_EQUALS}) AND ", after="true")),
    "references without an end": (client, repeated("@dynamic(")),
    "references": (client, repeated('@dynamic(request.headers):x = "a" AND ', after="true")),
    "parentheses in a reference": (client, repeated("()", "true SET a = @dynamic(", "):x")),
    "digits": (stream, repeated("1", "tvg_id > ")),
    "digits of base 16": (stream, repeated("f", 'tvg_id > "0x', '"')),
    "captures": (stream, repeated("$12 ", 'name matches "(a)" SET name = "', '"')),
}
EVALUATIONS: dict[str, Case] = {
    "conditions": (evaluated, repeated(f"{_EQUALS} OR ", after=_EQUALS)),
    "conditions that fail": (evaluated, repeated("channel_name > 1 OR ", after=_EQUALS)),
    "not": (evaluated, repeated("not ", after=_EQUALS)),
    "depth": (evaluated, lambda n: "(" * (n // 10_000) + f"{_EQUALS} AND " * (n // 30) + "true" + ")" * (n // 10_000)),
    "regular expressions": (evaluated, numbered('channel_name matches "a{:05}(b)"', " OR ")),
    "a regular expression": (evaluated, repeated("(a|b)*", 'channel_name matches "', '$"')),
    "a value": (
        partial(_evaluate, 'channel_name matches "(a+)+$" OR channel_name contains "aab"'),
        repeated("a", after="!"),
    ),
    "a value that is a number": (partial(_evaluate, "channel_name > 1"), repeated("1")),
    "captures": (changed, repeated("$1 ", 'channel_name matches "(.*)" SET tvg_name = "', '"')),
    "actions": (changed, repeated(', tvg_name += "a"', 'true SET tvg_name = "a"')),
}
OTHERS: dict[str, Case] = {
    "items of an export": (export, repeated(b'{"name": "A"}, ', b'{"items": [', b"0]}")),
    "an export's unknown member": (export, repeated(b"[0, 1], ", b'{"more": [', b"0]}")),
    "offsets of a time": (read_timestamp, repeated(" +0000 A")),
    "zone of a time": (read_timestamp, repeated("A", "2026-01-01 00:00:00 +0000 ", "!")),
    "fraction of a time": (read_timestamp, repeated("1", "2026-01-01T00:00:00.")),
    "name of a backup": (parse_name.__wrapped__, repeated("tvarr-backup-")),
    "times in a name": (moment_in, repeated("tvarr-backup-2026-01-01T00-00-00")),
    "metadata": (decode_sidecar, repeated(b"x", b'{"a": "', b'"}')),
    "digits of metadata": (decode_sidecar, repeated(b"1", b'{"database_size": ', b"}")),
    "depth of metadata": (decode_sidecar, repeated(b"[")),
    "depth of a stored list": (read_codec_list, repeated("[")),
    "digits of a stored list": (read_codec_list, repeated("1", "[", "]")),
    "two texts side by side": (
        lambda text: mark_differences(text, text + "x"),
        repeated("a b "),
    ),
    "addresses in the log": (masked, repeated("//a:b:")),
    "colons in the log": (masked, repeated(":", "//")),
    "slashes in the log": (masked, repeated("/")),
    "tokens in the log": (masked, repeated("bearer ")),
    "control characters in the log": (masked, repeated("\x00\u202e")),
    "the web server's log": (partial(_UNREADABLE.sub, ""), repeated("Invalid request from ip=1: ")),
    "lines of a head": (in_pieces, repeated(b"X-A: b\r\n", b"GET / HTTP/1.1\r\n")),
    "a line of a head": (in_pieces, repeated(b"\r\n\r", b"GET / HTTP/1.1\r\n", b"\n")),
}


def seconds(read: Callable[[Any], object], text: Text, times: int) -> float:
    best = float("inf")
    for _ in range(times):
        began = time.process_time()
        with contextlib.suppress(TvarrBackupError, ValueError):
            read(text)
        best = min(best, time.process_time() - began)
    return best


def growth(case: Case) -> tuple[int, list[float]]:
    """A size that takes some time, if any does, and the seconds for it, for twice and for four times as much."""
    read, make = case
    size = 2**12
    while size < LARGEST and seconds(read, make(size), 1) < ENOUGH_SECONDS:
        size *= 2
    return size, [seconds(read, make(size * factor), 3) for factor in (1, 2, 4)]


ALL = {
    **{f"JSON: {name}": case for name, case in JSON.items()},
    **{f"expression: {name}": case for name, case in EXPRESSIONS.items()},
    **{f"evaluation: {name}": case for name, case in EVALUATIONS.items()},
    **OTHERS,
}


@pytest.mark.parametrize("name", ALL)
def test_four_times_as_much_takes_about_four_times_as_long(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_BYTES", 2**25)
    size, found = growth(ALL[name])
    print(f"| {name} | {size:,} | {' | '.join(f'{each * 1000:.1f}' for each in found)} |")  # noqa: T201  # the table for whoever looks, with `-s`
    assert found[2] < LIMIT * max(found[0], ENOUGH_SECONDS / 4)
