"""Removes secrets from what receivers answer, because many repeat the address or the password."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from tvarr_backup.quoting import cut
from tvarr_backup.texts import escape_hidden

MOST_OF_ANSWER = 300
_LONG = 4
"""Shorter secrets are only found as whole words, or they would tear other words apart."""


def hide_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return an answer in one line, cut, with "…" in place of each secret in any of its usual encodings."""
    forms = sorted({form for secret in secrets for form in _encode(secret) if form}, key=len, reverse=True)
    if forms:
        pattern = "|".join(re.escape(form) if len(form) >= _LONG else rf"\b{re.escape(form)}\b" for form in forms)
        text = re.sub(rf"(?:{pattern})(?:[.:/@-]?(?:{pattern}))*", "…", text, flags=re.IGNORECASE)
    return cut(escape_hidden(" ".join(text.split())), MOST_OF_ANSWER)


def find_secrets(url: str) -> list[str]:
    """Return the parts of an address that may be secrets: user, password, path, query and fragment, whole and in pieces."""
    split = urlsplit(url)
    credentials = split.netloc.rpartition("@")[0]
    found = [url, credentials, *credentials.split(":", 1), split.path.strip("/"), *split.path.split("/")]
    found += [split.query, split.fragment, *(value for _name, value in parse_qsl(split.query))]
    return [part for part in found if part]


def find_all_parts(url: str) -> list[str]:
    """Return every part of an address except the scheme, because the host name may be a secret too."""
    rest = url.partition("://")[2]
    return [part for part in [url, rest, *find_secrets(url), *re.split(r"[^A-Za-z0-9]+", unquote(rest))] if part]


def _encode(secret: str) -> Iterator[str]:
    for form in (secret, unquote(secret)):
        yield form
        yield quote(form, safe="")
        yield html.escape(form)
        for bytes_of_it in (form.encode("utf-8", "replace"), f"\0{form}".encode("utf-8", "replace")):
            encoded = base64.b64encode(bytes_of_it).decode()
            yield encoded
            yield encoded.rstrip("=")
