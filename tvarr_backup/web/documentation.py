"""The documentation as pages: the Markdown files of `docs`. They need no sign-in."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tvarr_backup.program import ASSETS

FOLDER = ASSETS / "docs"
START = "index"
_FILE_TYPES = {".webp": "image/webp", ".yaml": "application/yaml", ".json": "application/json"}


@require_safe
def documentation(request: HttpRequest, name: str = START) -> HttpResponse:
    """Render a page such as `guides/install`, or send a file that pages link to."""
    path = _find_files().get(name.removesuffix("/"))
    if path is None:
        raise Http404
    if path.suffix in _FILE_TYPES:
        return HttpResponse(path.read_bytes(), content_type=_FILE_TYPES[path.suffix])
    title, content = _render(path)
    return render(
        request, "web/documentation.html", {"title": title, "content": content, "is_start": path.stem == START}
    )


@cache
def _find_files() -> dict[str, Path]:
    """Return the files by name; pages are named without their suffix. No other file can be requested."""
    found = {path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*.*")}
    return {name.removesuffix(".md"): path for name, path in found.items() if path.suffix in {".md", *_FILE_TYPES}}


def _render(path: Path) -> tuple[str, SafeString]:
    """Return the title and the HTML of a page."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(path.read_text(encoding="utf-8"))
    title = _name_headings(tokens)
    for token in tokens:
        if token.type == "table_open":
            token.attrSet("class", "table")
        elif token.type == "inline":
            token.children = list(_resolve_links(token.children or (), path))
    # The text is ours, and HTML in it is escaped.
    return title, mark_safe(markdown.renderer.render(tokens, markdown.options, {}))  # noqa: S308


def _name_headings(tokens: list[Token]) -> str:
    """Give each heading an id, as code hosts make them. Return the text of the first heading."""
    seen: Counter[str] = Counter()
    texts: list[str] = []
    for token, inline in pairwise(tokens):
        if token.type == "heading_open":
            anchor = re.sub(r"[^\w\- ]", "", inline.content.lower()).replace(" ", "-")
            token.attrSet("id", f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
            seen[anchor] += 1
            texts.append(inline.content.replace("`", ""))
    return texts[0]


def _resolve_links(tokens: Iterable[Token], page: Path) -> Iterator[Token]:
    """Yield the tokens with the addresses of our pages and files. A link to another file becomes its text."""
    is_dropped = False
    for token in tokens:
        attribute = {"link_open": "href", "image": "src"}.get(token.type)
        if attribute:
            address = _resolve(str(token.attrs[attribute]), page)
            is_dropped = address is None and token.type == "link_open"
            if address is None:
                continue
            token.attrSet(attribute, address)
        if token.type == "link_close" and is_dropped:
            is_dropped = False
            continue
        yield token


def _resolve(link: str, page: Path) -> str | None:
    """Return the address that a link in a page leads to, or None for a file that is not served."""
    parts = urlsplit(link)
    if parts.scheme or not parts.path:
        return link
    folder = page.parent.relative_to(FOLDER).as_posix()
    name = posixpath.normpath(posixpath.join(folder, parts.path)).removesuffix(".md")
    if name not in _find_files():
        return None
    address = reverse("documentation") if name == START else reverse("documentation-page", args=[name])
    return f"{address}#{parts.fragment}" if parts.fragment else address
