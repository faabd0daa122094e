"""A day's work behind a real nginx and a real Caddy, below a base path that they remove or keep."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.backups.makers import tvarrs
from tests.installation import Installation
from tests.proxies import BASE, Caddy, Nginx, Route, Visitor, form_of, wait_for_operations
from tests.servers import running
from tests.test_wheel import serving
from tests.ups import Up, free_port

PASSWORD = "quay-lantern-52-gull"


class Site(NamedTuple):
    """A running `up`, and the routes to it by program and name."""

    up: Up
    routes: dict[tuple[str, str], Route]


@pytest.fixture(scope="module")
def site(_prepared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    port = free_port()
    routes = {(program, name): route for program in ("nginx", "caddy") for name, route in _routes_to(port).items()}
    trusted = [route.origin for (_, name), route in routes.items() if name == "without port, trusted"]
    installation = Installation(tmp_path_factory.mktemp("proxies") / "data")
    shutil.copytree(_prepared_folder, installation.data)
    installation.ok("shell", "--no-imports", "-c", _SET_PASSWORD)
    installation.environment |= {"TVARR_SERVER_BASE_PATH": BASE, "CSRF_TRUSTED_ORIGINS": ",".join(trusted)}
    installation.environment |= {"TVARR_PROXY_USER_HEADER": "Remote-User", "TVARR_PROXY_ROLES_HEADER": "Remote-Groups"}
    installation.environment |= {"TVARR_PROXY_ADDRESSES": "127.0.0.1"}
    nginx = [route for (program, _), route in routes.items() if program == "nginx"]
    caddy = [route for (program, _), route in routes.items() if program == "caddy"]
    with (
        serving(installation, port) as up,
        running(lambda folder: Nginx(folder, nginx)),
        running(lambda folder: Caddy(folder, caddy)),
    ):
        yield Site(up, routes)


_SET_PASSWORD = (
    "from django.contrib.auth.models import User; user = User.objects.get(); "
    f"user.set_password('{PASSWORD}'); user.save()"
)


def _routes_to(port: int) -> dict[str, Route]:
    return {
        "kept": Route(port),
        "removed": Route(port, removes_base=True),
        "signs in": Route(port, headers={"Remote-User": "marit", "Remote-Groups": "operator"}),
        "without port": Route(port, drops_port=True),
        "without port, trusted": Route(port, drops_port=True),
    }


@pytest.mark.parametrize(
    ("program", "name", "in_chunks"),
    [
        ("nginx", "removed", False),
        ("caddy", "kept", True),
        *(
            pytest.param(program, name, in_chunks, marks=pytest.mark.long)
            for program in ("nginx", "caddy")
            for name in ("kept", "removed", "without port, trusted")
            for in_chunks in (False, True)
            if (program, name, in_chunks) not in (("nginx", "removed", False), ("caddy", "kept", True))
        ),
    ],
)
def test_a_day_of_work(program: str, name: str, in_chunks: bool, site: Site, tmp_path: Path) -> None:
    visitor = Visitor(site.routes[program, name].address, in_chunks=in_chunks)
    assert visitor.sign_in("admin", PASSWORD).headers["location"] == f"{BASE}/"
    assert visitor.post("/backups/create/").status == 302
    wait_for_operations(visitor)
    (backup, *_) = visitor.get("/api/v1/backups").json()["backups"]
    part = visitor.get(f"/backups/{backup['filename']}/download/", Range="bytes=0-1")
    assert (part.status, part.content) == (206, b"\x1f\x8b")
    database = tvarrs(tmp_path / "tvarr.db", f"UPDATE filters SET name = name || ' {program} {name} {in_chunks}'")
    uploaded = visitor.call("/api/v1/backups/upload", *form_of(database.read_bytes(), "tvarr.db"))
    assert uploaded.status == 201, uploaded.content
    assert uploaded.headers["location"].startswith(f"{BASE}/api/v1/backups/")
    assert visitor.call(f"/api/v1/backups/{backup['filename']}/restore?confirm=true").status == 202
    wait_for_operations(visitor)


@pytest.mark.parametrize("program", ["nginx", "caddy"])
def test_a_proxy_that_drops_the_port_is_named_by_its_effect(program: str, site: Site) -> None:
    route = site.routes[program, "without port"]
    page = Visitor(route.address).sign_in("admin", PASSWORD)
    assert page.status == 403
    assert f"sent from {route.origin}, and this service expects http://127.0.0.1." in page.text


@pytest.mark.parametrize("prefix", ["", BASE])
def test_health_checks_answer_with_and_without_the_base_path(prefix: str, site: Site) -> None:
    direct = Visitor(site.up.address)
    assert direct.get(f"{prefix}/healthz").status == 200
    assert {direct.get(f"{prefix}/{name}").status for name in ("readyz", "metrics")} == {401}


@pytest.mark.parametrize(("program", "name"), [("nginx", "kept"), ("caddy", "removed")])
def test_every_address_on_a_page_is_found(program: str, name: str, site: Site) -> None:
    visitor = Visitor(site.routes[program, name].origin)
    page = visitor.get(f"{BASE}/sign-in/")
    addresses = {*re.findall(r'(?:src|href)="(/[^"#]*)', page.text)}
    assert len(addresses) > 5
    assert all(address.startswith(f"{BASE}/") for address in addresses)
    assert {visitor.get(address).status for address in addresses} <= {200, 302}


@pytest.mark.parametrize("program", ["nginx", "caddy"])
def test_a_proxy_signs_its_user_in_whatever_the_client_sends(program: str, site: Site) -> None:
    visitor = Visitor(site.routes[program, "signs in"].address)
    page = visitor.get("/account/", **{"Remote-User": "admin", "Remote-Groups": "administrator"})
    assert page.status == 200
    assert "<h1" in page.text
    assert "marit" in page.text
    assert visitor.get("/admin/auth/user/").status == 403
    assert visitor.post("/backups/create/").status == 302


ATTACKS = {
    "from elsewhere": ("127.0.0.2", [("Remote-User", "marit")]),
    "for another address": ("127.0.0.2", [("Remote-User", "marit"), ("X-Forwarded-For", "127.0.0.1")]),
    "with an underscore": ("127.0.0.1", [("Remote_User", "marit")]),
    "empty": ("127.0.0.1", [("Remote-User", "")]),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_nobody_else_signs_anybody_in(attack: str, site: Site) -> None:
    assert ask_directly(site.up, *ATTACKS[attack]) == 302


def test_a_name_that_arrives_twice_is_refused(site: Site) -> None:
    assert ask_directly(site.up, "127.0.0.1", [("Remote-User", "marit")]) == 200
    assert ask_directly(site.up, "127.0.0.1", [("Remote-User", "admin"), ("Remote-User", "marit")]) == 403


def ask_directly(up: Up, source: str, headers: list[tuple[str, str]]) -> int:
    """Open a page from an address of this machine, without a proxy. 302 leads to the sign-in page."""
    with closing(HTTPConnection("127.0.0.1", up.port, timeout=60, source_address=(source, 0))) as connection:
        connection.putrequest("GET", "/account/")
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status
