"""Files in other encodings than UTF-8: those of Windows are read, others are refused with a reason."""

from __future__ import annotations

import codecs
import io
import json
import tracemalloc

import pytest

from tests.portable.files import FILTERS, document, filter_item, read
from tvarr_backup import errors
from tvarr_backup.portable.json_events import MAX_BYTES, read_as_utf8

NAMES = ["Новости Москва", "Die Ärzte", "Café NFC", "Hafen \U0001f6a2"]
TEXT = json.dumps(document(FILTERS, *map(filter_item, NAMES)), ensure_ascii=False, indent=1)
WITH_BOM = {
    "utf-8": codecs.BOM_UTF8 + TEXT.encode(),
    "utf-16-le": codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
    "utf-16-be": codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
}


@pytest.mark.parametrize("encoding", WITH_BOM)
def test_a_byte_order_mark_says_how_to_read_the_file(encoding: str) -> None:
    assert [item.name for item in read(WITH_BOM[encoding]).items] == NAMES


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (TEXT.encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (TEXT.encode("utf-16-be"), "UTF-16 without a byte order mark"),
        (codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"), "UTF-32"),
        (codecs.BOM_UTF32_BE + TEXT.encode("utf-32-be"), "UTF-32"),
        (TEXT.encode("utf-32-le"), "UTF-32"),
        (TEXT.encode("utf-32-be"), "UTF-32"),
    ],
)
def test_an_unsupported_encoding_is_refused_with_advice(raw: bytes, found: str) -> None:
    with pytest.raises(errors.EncodingUnsupported) as refused:
        read(raw)
    assert str(refused.value) == (
        f"The file is encoded as {found}. Expected UTF-8, or UTF-16 with a byte order mark. Save it as UTF-8 and try again."
    )


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_a_file_with_only_a_mark_is_empty(mark: bytes) -> None:
    with pytest.raises(errors.NotJson, match="The file is empty"):
        read(mark)


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (b"\x00\xd8\x22\x00", "Line 2, column 4: this is not valid UTF-16."),
        (b"\x00\xdc", "Line 2, column 4: this is not valid UTF-16."),
        (b"\x00", "Line 2, column 4: this is not valid UTF-16."),
    ],
    ids=["half a pair", "the other half", "half a character"],
)
def test_broken_utf16_is_refused_at_its_place(tail: bytes, reason: str) -> None:
    with pytest.raises(errors.NotJson) as refused:
        read(codecs.BOM_UTF16_LE + '{\n "é'.encode("utf-16-le") + tail)
    assert str(refused.value) == reason


def test_an_error_in_utf16_has_the_line_and_column_of_the_text() -> None:
    with pytest.raises(errors.NotJson) as refused:
        read(codecs.BOM_UTF16_LE + '{\n "é": nope}'.encode("utf-16-le"))
    assert str(refused.value) == "Line 2, column 8: this is not valid JSON."


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_character_may_be_split_across_two_reads(cut: int) -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, cut) if size != -1 else cut)

    raw = "\ufeff{ \U0001f6a2é }".encode("utf-16-le")
    assert read_as_utf8(Slow(raw), 100) == "{ \U0001f6a2é }".encode()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_one_byte_more_than_the_limit_is_refused(encoding: str) -> None:
    raw = b"" if encoding == "utf-8" else codecs.BOM_UTF16_LE
    whole = raw + ("x" * 500).encode(encoding)
    assert read_as_utf8(io.BytesIO(whole), len(whole)) == b"x" * 500
    with pytest.raises(errors.FileTooLarge, match="larger than the limit"):
        read_as_utf8(io.BytesIO(whole), len(whole) - 1)


def test_utf16_that_grows_over_the_limit_as_utf8_is_refused() -> None:
    raw = codecs.BOM_UTF16_LE + ("ニ" * 500).encode("utf-16-le")
    with pytest.raises(errors.FileTooLarge, match="larger than the limit"):
        read_as_utf8(io.BytesIO(raw), 1_200)


def test_reading_needs_no_more_memory_than_the_text() -> None:
    raw = codecs.BOM_UTF16_LE + ("ab" * 2**22).encode("utf-16-le")
    source = io.BytesIO(raw)
    tracemalloc.start()
    try:
        text = read_as_utf8(source, MAX_BYTES)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(text) == 2**23
    assert peak < 2 * len(text)
