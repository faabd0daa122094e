"""Texts of rows, as tvarr compares them.

A text is a `str` in which each byte that is not part of valid UTF-8 is a surrogate from U+DC80 to U+DCFF, as Python's error
handler `surrogateescape` writes it. Comparing two such texts compares their bytes.
"""

import re

Value = str | bytes | None

_BAD = re.compile("[\ud800-\udfff]")
_FRACTION = re.compile(r"(?<=:[0-9]{2})\.[0-9]+")


def read_value(value: object) -> str:
    """Return the text of a column. None is empty, and bytes are decoded. What is not text reads as empty, as in tvarr."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return ""


def read_time(value: object) -> str:
    """Return the text of a time in RFC 3339 without fractions of a second, which tvarr drops."""
    return _FRACTION.sub("", read_value(value))


def shown(text: str) -> str:
    """Return text with one U+FFFD for each byte that is not UTF-8. This is for display, filters and regular expressions."""
    return text if text.isascii() else _BAD.sub("\ufffd", text)


def as_bytes(text: str) -> bytes:
    """Return the bytes of a text, with those that are not UTF-8. Raise `UnicodeEncodeError` for other surrogates."""
    return text.encode("utf-8", "surrogateescape")


def join(*texts: str) -> str:
    """Join texts as bytes: halves of a character, which are not UTF-8 on their own, become the character."""
    joined = "".join(texts)
    return as_bytes(joined).decode("utf-8", "surrogateescape") if _BAD.search(joined) else joined


def remove(text: str, part: str) -> str:
    """Remove all occurrences of a part. Bytes that are not UTF-8 may be a part of a character."""
    if not _BAD.search(text + part):
        return text.replace(part, "") if part else text
    return as_bytes(text).replace(as_bytes(part), b"").decode("utf-8", "surrogateescape") if part else text


def fold(text: str) -> str:
    """Return text as filters compare it: each letter in its simple lower case, without special cases.

    Python's `lower` differs from that for two letters only: a dotted capital I, and a final sigma.
    """
    if text.isascii():
        return text.lower()
    return _BAD.sub("\ufffd", text).replace("\u0130", "i").replace("\u03a3", "\u03c3").lower()
