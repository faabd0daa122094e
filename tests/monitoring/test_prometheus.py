"""`deploy/prometheus-rules.yml` and `deploy/grafana-dashboard.json`, in a real Prometheus that asks a running service."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.installation import ROOT
from tests.monitoring.conftest import Site
from tests.monitoring.examples import GUIDE, example
from tests.monitoring.prometheus import Prometheus, promtool
from tests.processes import wait_until
from tests.servers import running

RULES = ROOT / "deploy" / "prometheus-rules.yml"
RULE_TESTS = ROOT / "tests" / "monitoring" / "rules_test.yml"
DASHBOARD = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], target) for panel in PANELS for target in panel["targets"]]
ALERTS = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]

_SELECTOR = re.compile(r"\btvarr_backup_\w+(?:\{[^}]*\})?")
_LABEL = re.compile(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}")


@pytest.fixture(scope="module")
def prometheus(site: Site) -> Iterator[Prometheus]:
    """A Prometheus with the settings of the guide and our rules, which has asked the service."""
    settings = yaml.safe_load(site.fill(example("Prometheus")))

    def make(folder: Path) -> Prometheus:
        token = folder / "tvarr-backup.token"
        token.write_text(site.tokens["read"])
        settings["scrape_configs"][0]["authorization"]["credentials_file"] = str(token)
        (name,) = settings["rule_files"]
        shutil.copy(RULES, folder / name)
        return Prometheus(folder, settings)

    with running(make) as started:
        wait_until(lambda: started.has_scraped("tvarr-backup"), "it has asked the service", seconds=180)
        yield started


# --- Rules -----------------------------------------------------------------------------------------------------------


def test_promtool_accepts_the_rules() -> None:
    done = subprocess.run(promtool("check", "rules", str(RULES)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"SUCCESS: {len(ALERTS)} rules found" in done.stdout


def test_the_unit_tests_of_the_rules_pass() -> None:
    done = subprocess.run(promtool("test", "rules", str(RULE_TESTS)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_in_a_unit_test_and_is_silent_in_another() -> None:
    tried = [one for test in yaml.safe_load(RULE_TESTS.read_text())["tests"] for one in test["alert_rule_test"]]
    names = {alert["alert"] for alert in ALERTS}
    assert {one["alertname"] for one in tried if one.get("exp_alerts")} == names
    assert {one["alertname"] for one in tried if not one.get("exp_alerts")} == names


def test_prometheus_evaluates_every_rule(prometheus: Prometheus) -> None:
    def states() -> dict[str, str]:
        (group,) = prometheus.ask("rules")["groups"]
        found = {rule["name"]: rule["health"] for rule in group["rules"]}
        return {} if "unknown" in found.values() else found

    found = wait_until(states, "the rules are evaluated", seconds=60)
    assert found == {alert["alert"]: "ok" for alert in ALERTS}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_is_about_metrics_and_labels_that_exist(alert: dict[str, Any], prometheus: Prometheus) -> None:
    selectors = _SELECTOR.findall(alert["expr"])
    assert selectors
    for selector in selectors:
        samples = prometheus.samples(selector)
        assert samples, selector
        assert set(_LABEL.findall(alert["annotations"]["summary"])) <= set(samples[0]["metric"])


def test_the_guide_lists_every_alert() -> None:
    listed = re.findall(r"^\| `(Tvarr\w+)` \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == [alert["alert"] for alert in ALERTS]


# --- The dashboard ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("title", "target"), QUERIES, ids=[f"{title} {one['refId']}" for title, one in QUERIES])
def test_a_query_of_the_dashboard_has_data(title: str, target: dict[str, Any], prometheus: Prometheus) -> None:
    samples = prometheus.samples(target["expr"].replace("$instance", ".+"))
    assert samples
    assert set(_LABEL.findall(target["legendFormat"])) <= set(samples[0]["metric"])
    for selector in _SELECTOR.findall(target["expr"]):
        assert 'instance=~"$instance"' in selector
        assert prometheus.samples(selector.replace("$instance", ".+")), selector


def test_the_instances_are_those_that_prometheus_has(prometheus: Prometheus) -> None:
    variable = next(one for one in DASHBOARD["templating"]["list"] if one["name"] == "instance")
    (found,) = re.findall(r"^label_values\((\w+), (\w+)\)$", variable["query"]["query"])
    metric, label = found
    assert prometheus.ask(f"label/{label}/values", **{"match[]": metric}) == prometheus.ask(f"label/{label}/values")


def leaves(data: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(data, dict) and data:
        for name, value in data.items():
            yield from leaves(value, f"{path}/{name}")
    elif isinstance(data, list) and data:
        for number, value in enumerate(data):
            yield from leaves(value, f"{path}/{number}")
    else:
        yield path, data


def test_grafanas_own_types_know_every_member_of_the_dashboard() -> None:
    """No Grafana runs here. Its types drop members that they do not know."""
    register_default_plugins()
    known = dict(leaves(json.loads(json.dumps(Dashboard.from_json(DASHBOARD), cls=JSONEncoder))))
    assert [path for path, value in leaves(DASHBOARD) if known.get(path, ...) != value] == []


def test_every_panel_has_a_number_a_place_a_title_and_a_description() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] and (panel["type"] == "row" or panel["description"]) for panel in panels)
    places = [panel["gridPos"] for panel in panels]
    cells = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_every_panel_asks_the_data_source_that_the_user_selects() -> None:
    variables = {one["name"]: one["type"] for one in DASHBOARD["templating"]["list"]}
    assert variables == {"datasource": "datasource", "instance": "query"}
    for each in [*PANELS, *(target for _, target in QUERIES)]:
        assert each["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
