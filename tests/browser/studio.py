"""Take screenshots of pages: the windows of users, and their image files."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from playwright.sync_api import Page

from tests.browser.people import Look, People, Person, Site
from tests.installation import ROOT

Show: TypeAlias = Callable[[Person], object]
"""Brings a window into the state to show."""

FOLDER = ROOT / "screenshots"
HEIGHT = 800
LONGEST = 1200
LOOKS = {"wide": Look.WIDE_LIGHT, "narrow": Look.NARROW_DARK, "dark": Look.WIDE_DARK}

_TO_WEBP = """async png => {
    const bytes = Uint8Array.from(atob(png), each => each.charCodeAt(0));
    const picture = await createImageBitmap(new Blob([bytes], {type: "image/png"}));
    const canvas = Object.assign(document.createElement("canvas"), {width: picture.width, height: picture.height});
    canvas.getContext("2d").drawImage(picture, 0, 0);
    return canvas.toDataURL("image/webp", 0.18).split(",")[1];
}"""
_AS_IF_AT_THE_ROOT = """folder => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(folder, "");
    for (const field of document.querySelectorAll("textarea, input")) {
        if (field.value.includes(folder)) field.value = field.value.replaceAll(folder, "");
    }
}"""


class Studio:
    """Takes screenshots. The temporary folder is removed from paths."""

    def __init__(self, people: People, site: Site, page: Page) -> None:
        self.people, self.site, self.installation = people, site, site.installation
        self._page = page
        self._windows: dict[tuple[str, Look], Person] = {}

    def person(self, name: str = "admin", look: Look = Look.WIDE_LIGHT) -> Person:
        """Return the window of a user; `name` is that of `People.come`."""
        if (name, look) not in self._windows:
            self._windows[name, look] = self.people.come(name, look)
        return self._windows[name, look]

    @contextmanager
    def in_other_windows(self) -> Iterator[None]:
        """Use other windows in the meantime, which are closed afterwards."""
        kept, self._windows = self._windows, {}
        try:
            yield
        finally:
            for person in self._windows.values():
                person.page.context.close()
            self._windows = kept

    def take(
        self,
        picture: str,
        show: Show,
        *,
        who: str = "admin",
        looks: tuple[str, ...] = ("wide", "narrow"),
        settles: bool = True,
        longest: int = LONGEST,
    ) -> None:
        """Take a screenshot for each look, after `show` and, if it `settles`, when the network is idle.

        It is cut off below `longest` pixels, or `LONGEST` in a narrow window.
        """
        for look in looks:
            person = self.person(who, LOOKS[look])
            show(person)
            if settles:
                person.page.wait_for_load_state("networkidle")
            person.page.evaluate(_AS_IF_AT_THE_ROOT, str(self.installation.data.parent))
            target = FOLDER / f"{picture}-{look}.webp"
            target.write_bytes(self._small(_whole(person.page, LONGEST if look == "narrow" else longest)))
            sys.stdout.write(f"{target.name}: {target.stat().st_size // 1000} KB\n")

    def _small(self, png: bytes) -> bytes:
        """Convert an image to WebP in the browser."""
        return base64.b64decode(self._page.evaluate(_TO_WEBP, base64.b64encode(png).decode()))


def _whole(page: Page, longest: int) -> bytes:
    """Return the whole page as PNG, in a window of its height, so that sticky elements are in place."""
    width, height = page.evaluate("[innerWidth, document.documentElement.scrollHeight]")
    height = min(max(height, HEIGHT), longest)
    page.set_viewport_size({"width": width, "height": height})
    page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
    png = page.screenshot(animations="disabled")
    page.set_viewport_size({"width": width, "height": HEIGHT})
    return png
