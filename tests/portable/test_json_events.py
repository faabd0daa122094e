"""Places of errors in a JSON text of any length, however it is cut into blocks."""

import random

import ijson
import pytest

from tvarr_backup.errors import NotJson
from tvarr_backup.portable import json_events
from tvarr_backup.portable.json_events import value_of

BLOCK = 2**16


def refused(text: bytes) -> str:
    with pytest.raises(NotJson) as refusal:
        value_of(text)
    return str(refusal.value)


def first_refused_byte(text: bytes) -> int | None:
    """Return the position at which the parser fails when it gets one byte at a time."""
    parser = ijson.basic_parse_coro(ijson.sendable_list())
    for position in range(len(text)):
        try:
            parser.send(text[position : position + 1])
        except ijson.JSONError:
            return position
    return None


@pytest.mark.parametrize("seed", range(20))
def test_the_place_is_the_first_byte_that_the_parser_refuses(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_events, "_BLOCK", 64)
    chance = random.Random(seed)
    whole = b'{"a": ["' + b"x" * 500 + b'\\"\\\\", ' + b"12345, " * 40 + b" " * 300 + b'{"b": null}]}'
    position = chance.randrange(len(whole))
    broken = whole[:position] + chance.choice([b"?", b"\xff", b'"', b"\\", b"]", b"}"]) + whole[position + 1 :]
    place = first_refused_byte(broken)
    if place is not None:
        assert refused(broken).startswith(f"Line 1, column {place + 1}: ")


@pytest.mark.parametrize("filling", [b"x", b'\\"', b"\\\\", b"\\u0041", "é".encode()])
@pytest.mark.parametrize("length", [BLOCK - 10, BLOCK, 3 * BLOCK + 1, 10 * BLOCK])
def test_long_texts_are_read_whole(filling: bytes, length: int) -> None:
    text = filling * (length // len(filling))
    assert value_of(b'["' + text + b'", 1]') == [value_of(b'"' + text + b'"'), 1]


@pytest.mark.parametrize("number", [b"9" * 5_000, b"-" + b"9" * 500_000, b"1e" + b"9" * 30])
@pytest.mark.parametrize("before", [b'{"a": ', b'["' + b"9" * 5_000 + b'", 1e10, ' + b" " * BLOCK])
def test_a_number_with_too_many_digits_is_named(before: bytes, number: bytes) -> None:
    sentence = f"Line 1, column {len(before) + 1}: this number has too many digits."
    assert refused(before + number + b"}") == sentence


def test_a_long_fraction_is_accepted() -> None:
    assert str(value_of(b"[0." + b"1" * 5_000 + b"]")[0]) == "0." + "1" * 5_000
