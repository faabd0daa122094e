"""The examples of `docs/guides/monitoring.md` work with a running service."""

from __future__ import annotations

import json
import re
import socket
from contextlib import closing
from datetime import datetime
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tests.monitoring.conftest import Site
from tests.monitoring.examples import example, examples
from tests.monitoring.homepage import show
from tests.processes import wait_until


def test_every_example_is_tried() -> None:
    assert {section: [language for language, _ in blocks] for section, blocks in examples().items()} == {
        "Badge": ["html"],
        "Prometheus": ["yaml"],  # by `test_prometheus`
        "Home Assistant": ["yaml"],
        "Homepage": ["yaml"],
        "Homarr": ["json"],
        "Uptime Kuma": ["yaml", "yaml"],
    }


# --- Home Assistant --------------------------------------------------------------------------------------------------

# Home Assistant derives its environment from this one: `homeassistant/helpers/template`.
HOME_ASSISTANT = ImmutableSandboxedEnvironment(undefined=StrictUndefined)


def rendered(template: str, answer: Any) -> str:
    return HOME_ASSISTANT.from_string(template).render(value_json=answer, value=json.dumps(answer)).strip()


def home_assistant(site: Site) -> tuple[Any, dict[str, Any]]:
    """Return the answer to the request of the example, and its sensors by their ids."""
    (resource,) = yaml.safe_load(site.fill(example("Home Assistant")))["rest"]
    answer = site.get(resource["resource"], resource["headers"])
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    sensors = [*resource["sensor"], *resource["binary_sensor"]]
    return answer.json(), {sensor["unique_id"]: sensor for sensor in sensors}


def test_home_assistant_shows_the_state(site: Site) -> None:
    answer, sensors = home_assistant(site)
    state = sensors["tvarr_backup_state"]["value_template"]
    problem = sensors["tvarr_backup_problem"]["value_template"]
    for value, word, is_problem in (("ok", "OK", "False"), ("warning", "warning", "True"), ("sick", "failing", "True")):
        changed = answer | {"state": value}
        assert (rendered(state, changed), rendered(problem, changed)) == (word, is_problem)
    assert answer["state"] in {"ok", "warning", "sick"}
    assert set(sensors["tvarr_backup_state"]["json_attributes"]) <= set(answer)


def test_home_assistant_shows_the_last_good_backup(site: Site) -> None:
    answer, sensors = home_assistant(site)
    sensor = sensors["tvarr_backup_last_good_backup"]
    assert sensor["device_class"] == "timestamp"  # which needs a time with a zone
    assert rendered(sensor["availability"], answer) == "True"
    assert datetime.fromisoformat(rendered(sensor["value_template"], answer)).tzinfo is not None
    assert rendered(sensor["availability"], answer | {"last_good_backup": None}) == "False"


def test_home_assistant_shows_the_free_space(site: Site) -> None:
    answer, sensors = home_assistant(site)
    assert int(rendered(sensors["tvarr_backup_free_space"]["value_template"], answer)) > 0


# --- Homepage, Homarr and Uptime Kuma --------------------------------------------------------------------------------


def test_homepage_shows_every_field(site: Site) -> None:
    service = yaml.safe_load(site.fill(example("Homepage")))[0]["Backups"][0]["tvarr-backup"]
    widget = service["widget"]
    answer = site.get(widget["url"], widget["headers"])
    assert (widget["type"], answer.status) == ("customapi", 200)
    shown = {mapping["label"]: show(mapping, answer.json()) for mapping in widget["mappings"]}
    assert list(shown) == ["State", "Last good backup", "Free", "Queued"]  # it shows at most four
    assert show(widget["mappings"][0], answer.json() | {"state": "ok"}) == "OK"
    assert show(widget["mappings"][0], answer.json() | {"state": "sick"}) == "failing"
    assert site.get(service["siteMonitor"]).status == 200
    assert site.get(service["href"]).status == 200


def test_homarr_finds_what_its_template_shows(site: Site) -> None:
    widget = json.loads(site.fill(example("Homarr")))
    source = widget["sources"]["default"]
    (name,) = widget["requests"]
    assert source["auth"] == "bearer"
    answer = site.get(
        source["baseUrl"] + widget["requests"][name]["path"], {"Authorization": f"Bearer {site.tokens['read']}"}
    )
    assert answer.status == 200
    paths = re.findall(r"\bdata\.([\w?.]+)", widget["template"])
    assert paths
    for path in paths:
        found = {name: answer.json()}
        for part in path.replace("?", "").split("."):
            found = found[part]


@pytest.mark.parametrize("number", [0, 1])
def test_uptime_kuma_is_up(number: int, site: Site) -> None:
    monitor = yaml.safe_load(site.fill(example("Uptime Kuma", number)))
    answer = site.get(monitor["URL"], json.loads(monitor["Headers"]))
    least, most = map(int, monitor["Accepted Status Codes"].split("-"))
    assert least <= answer.status <= most
    if number:
        assert str(answer.json()[monitor["Json Query Expression"]]) == site.status()["state"]
        assert monitor["Expected Value"] == "ok"


@pytest.mark.parametrize("section", ["Home Assistant", "Homepage", "Homarr", "Uptime Kuma"])
def test_the_examples_show_where_the_token_belongs(section: str, site: Site) -> None:
    assert "TOKEN" in example(section) or section == "Homarr"
    for path in ("/readyz", "/api/v1/status", "/metrics", "/status.svg"):
        assert site.get(f"{site.up.address}{path}").status == 401


# --- The badge -------------------------------------------------------------------------------------------------------


class _Image(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: dict[str, str | None] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag == "img"
        self.attributes = dict(attrs)


def test_the_badge_is_shown(site: Site) -> None:
    image = _Image(site.fill(example("Badge"), "badge")).attributes
    answer = site.get(str(image["src"]))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/svg+xml")
    assert answer.headers["Cache-Control"] == "no-store"
    assert ET.fromstring(answer.body).get("height") == image["height"]
    assert image["alt"]


def raw(site: Site, request: str) -> bytes:
    with closing(socket.create_connection(("127.0.0.1", site.up.port), timeout=30)) as client:
        client.sendall(request.encode())
        return client.recv(2**16)


def test_no_token_in_an_address_is_logged(site: Site) -> None:
    wrong = "0123456789abcdef" * 4
    secrets = (site.tokens["badge"], site.tokens["all"], wrong)
    for secret, status in zip(secrets, (200, 403, 401), strict=True):
        for path in ("/status.svg", "/status.svg/"):
            assert site.get(f"{site.up.address}{path}?token={secret}").status == status
        for path, status_there in (("/nothing", 404), ("/readyz", 401), ("/api/v1/nothing", 404), ("/backups/", 404)):
            assert site.get(f"{site.up.address}{path}?token={secret}").status == status_there
        address = f"/status.svg?token={secret}"
        assert b" 400 " in raw(site, f"GET {address} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        assert b" 400 " in raw(site, f"GET {address} HTTP/9.9.9\r\n\r\n")
        assert b" 400 " in raw(site, f"GET{address} \r\n\r\n")
    assert site.get(f"{site.up.address}/nothing-else").status == 404
    wait_until(lambda: "/nothing-else" in site.up.log, "the last request is logged")
    assert " debug " in site.up.log
    assert not [secret for secret in secrets if secret in site.up.log]
