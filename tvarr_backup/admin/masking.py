"""Shows addresses without what opens them: providers put names, passwords and tokens everywhere in a URL."""

import re

# A scheme is short: with any length, a long text without one would be read again from each of its letters.
_URL = re.compile(r"""([a-z][a-z0-9+.-]{0,30}://)([^\s/?#"'<>]*)([^\s"'<>]*)""", re.IGNORECASE)
_HOST = re.compile(r"([a-z0-9._-]*|\[[0-9a-f:.]+\])(:[0-9]*)?", re.IGNORECASE)


def mask_urls(text: str) -> str:
    """The text with scheme, host and port of every URL, and `…` for the rest of it."""
    return _URL.sub(_mask, text)


def mask_address(address: str) -> str:
    """Like `mask_urls`, for a whole value that should be a URL; of one without a scheme the query is hidden."""
    if "://" in address:
        return mask_urls(address)
    place, question_mark, _query = address.partition("?")
    return f"{place}?…" if question_mark else place


def _mask(url: re.Match[str]) -> str:
    scheme, authority, rest = url.groups()
    host = authority.rpartition("@")[2]
    if "@" in rest or not _HOST.fullmatch(host):  # a password with a slash in it: what looks like a host may be a name
        return f"{scheme}…"
    return f"{scheme}{host}{rest}" if rest in ("", "/") else f"{scheme}{host}/…"
