"""nginx and Caddy in front of an `up`, each with one port per way to pass requests on."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.processes import wait_until
from tests.servers import _program, _Server
from tests.ups import free_port

BASE = "/backup"


@dataclass(frozen=True)
class Route:
    """How a proxy passes requests below `BASE` on to a port of this machine."""

    to: int
    removes_base: bool = False
    drops_port: bool = False
    """Whether `Host` loses its port, as with `proxy_set_header Host $host`."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers that replace those of the client. An empty one is removed."""
    port: int = field(default_factory=free_port)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        return self.origin + BASE


class _Proxy(_Server, ABC):
    end = signal.SIGTERM

    def __init__(self, folder: Path, routes: list[Route]) -> None:
        super().__init__(folder)
        self.routes = routes
        self.config = folder / "config"
        self.config.write_text(self.configuration())

    @abstractmethod
    def configuration(self) -> str:
        """The text of the configuration file."""

    def answers(self) -> bool:
        try:
            return all(_status(f"{route.address}/healthz") == 200 for route in self.routes)
        except OSError:
            return False


def _status(address: str) -> int:
    with urllib.request.urlopen(address, timeout=10) as answer:
        return int(answer.status)


class Nginx(_Proxy):
    def command(self) -> list[str]:
        return [_program("nginx"), "-p", str(self.folder), "-c", str(self.config), "-e", "stderr"]

    def configuration(self) -> str:
        temporary = "".join(
            f"{kind}_temp_path {self.folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        servers = "".join(map(self._server, self.routes))
        head = f"daemon off;\nerror_log stderr;\npid {self.folder}/pid;\nevents {{}}\n"
        return f"{head}http {{\naccess_log off;\nclient_max_body_size 10g;\n{temporary}{servers}}}\n"

    def _server(self, route: Route) -> str:
        headers = {"Host": "$host" if route.drops_port else "$http_host", **route.headers}
        lines = "".join(f'proxy_set_header {name} "{value}";\n' for name, value in headers.items())
        return (
            f"server {{\nlisten 127.0.0.1:{route.port};\nlocation {BASE}/ {{\n"
            f"proxy_pass http://127.0.0.1:{route.to}{'/' if route.removes_base else ''};\n"
            f"proxy_http_version 1.1;\nproxy_request_buffering off;\nproxy_buffering off;\n{lines}}}\n}}\n"
        )


class Caddy(_Proxy):
    def command(self) -> list[str]:
        environment = ["env", f"XDG_DATA_HOME={self.folder}", f"XDG_CONFIG_HOME={self.folder}"]
        return [*environment, _program("caddy"), "run", "--adapter", "caddyfile", "--config", str(self.config)]

    def configuration(self) -> str:
        return "{\nadmin off\nauto_https off\n}\n" + "".join(map(self._server, self.routes))

    def _server(self, route: Route) -> str:
        headers = {**({"Host": "{host}"} if route.drops_port else {}), **route.headers}
        lines = "".join(
            f'header_up {name} "{value}"\n' if value else f"header_up -{name}\n" for name, value in headers.items()
        )
        handle = "handle_path" if route.removes_base else "handle"
        return f"{route.origin} {{\n{handle} {BASE}/* {{\nreverse_proxy 127.0.0.1:{route.to} {{\n{lines}}}\n}}\n}}\n"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self) -> Any:
        return json.loads(self.content)


class Visitor:
    """A browser without pages: it keeps cookies, says where its forms come from, and can send them in chunks."""

    def __init__(self, address: str, *, in_chunks: bool = False, origin: str = "") -> None:
        parts = urlsplit(address)
        self._host, self._base = parts.netloc, parts.path
        self._origin = origin or f"http://{parts.netloc}"
        self._in_chunks = in_chunks
        self.cookies: dict[str, str] = {}

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, None, headers)

    def post(self, path: str, fields: dict[str, str] | None = None) -> Answer:
        """Send a form with the token of the page at `path`, or of the sign-in page."""
        form = urlencode({**(fields or {}), "csrfmiddlewaretoken": self.token})
        return self.ask("POST", path, form.encode(), {"Content-Type": "application/x-www-form-urlencoded"})

    def call(self, path: str, body: bytes = b"{}", kind: str = "application/json") -> Answer:
        return self.ask("POST", path, body, {"Content-Type": kind, "X-CSRFToken": self.token})

    @property
    def token(self) -> str:
        return next((value for name, value in self.cookies.items() if name.startswith("tvarr_backup_csrf_")), "")

    def sign_in(self, name: str, password: str) -> Answer:
        self.get("/sign-in/")
        return self.post("/sign-in/", {"username": name, "password": password})

    def ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        connection = HTTPConnection(self._host, timeout=120)
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()), **headers}
        if body is not None:
            sent["Origin"] = self._origin
        chunked = body is not None and self._in_chunks
        data = _pieces(body) if body is not None and chunked else body
        connection.request(method, self._base + path, data, sent, encode_chunked=chunked)
        response = connection.getresponse()
        answer = Answer(
            response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        )
        for line in response.headers.get_all("Set-Cookie", []):
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
        connection.close()
        return answer


def _pieces(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 2**20):
        yield body[start : start + 2**20]


def form_of(content: bytes, filename: str) -> tuple[bytes, str]:
    """A multipart form with one file, and its media type."""
    head = f'--wharf\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'
    return head.encode() + content + b"\r\n--wharf--\r\n", "multipart/form-data; boundary=wharf"


def wait_for_operations(visitor: Visitor) -> None:
    """Wait until the newest operation has succeeded."""

    def newest() -> bool:
        states = [each["state"] for each in visitor.get("/api/v1/operations").json()["results"]]
        assert not {"failed", "interrupted"} & {*states[:1]}, states
        return states[:1] == ["succeeded"]

    wait_until(newest, "the operation has succeeded", seconds=60)
