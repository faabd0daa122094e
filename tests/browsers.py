"""A person at the admin of a real server: pages over HTTP, with the cookies of one browser."""

from __future__ import annotations

import html
import http.cookiejar
import re
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

from tests.ups import Up

_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')


@dataclass(frozen=True)
class Page:
    """What a browser has got after all redirections; every other status than 200 is an error of urllib's."""

    url: str
    source: str

    @property
    def text(self) -> str:
        """What a person reads: no tags, single blanks."""
        return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", self.source)))

    @property
    def path(self) -> str:
        return urllib.parse.urlsplit(self.url).path


class Browser:
    """Signed in as the first person of an installation, with the password that `up` has printed."""

    def __init__(self, up: Up) -> None:
        self._address = up.address
        self._cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._cookies))
        (password,) = re.findall(r"One-time password: (\S+)", up.log)
        page = self.send("/sign-in/", username="admin", password=password, next="/admin/")
        assert page.path in ("/account/password/", "/admin/")

    @property
    def cookie(self) -> str | None:
        """The one that stands for the session."""
        return next((cookie.value for cookie in self._cookies if cookie.name.startswith("tvarr_backup_session_")), None)

    def open(self, path: str) -> Page:
        return self._fetch(path, None)

    def send(self, path: str, *, to: str = "", **fields: str | Sequence[str]) -> Page:
        """Open the page with a form, and send the form with these fields, to another address where it says so."""
        token = _TOKEN.findall(self.open(path).source)[-1]
        data = urllib.parse.urlencode(fields | {"csrfmiddlewaretoken": token}, doseq=True)
        return self._fetch(to or path, data.encode())

    def act(self, path: str, action: str, *keys: str, **fields: str) -> Page:
        """Choose rows in their list and run an action on them."""
        return self.send(path, action=action, _selected_action=keys, **fields)

    def _fetch(self, path: str, data: bytes | None) -> Page:
        with self._opener.open(self._address + path, data, timeout=20) as answer:
            return Page(answer.url, answer.read().decode())
