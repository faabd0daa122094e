"""A Prometheus of the tests."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

from tests.servers import _program, _Server
from tests.ups import free_port


def promtool(*arguments: str) -> list[str]:
    return [_program("promtool"), *arguments]


class Prometheus(_Server):
    """A Prometheus with these settings, which asks every few seconds."""

    end = signal.SIGTERM
    scraped_at = ""
    """A time at which the last scrape had succeeded. Later ones may fail on a busy machine."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        super().__init__(folder)
        self.port = free_port()
        often = {"global": {"scrape_interval": "10s", "scrape_timeout": "10s", "evaluation_interval": "1s"}}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(settings | often))

    def command(self) -> list[str]:
        folder = str(self.folder)
        data = f"--storage.tsdb.path={folder}/data"
        listen = f"--web.listen-address=127.0.0.1:{self.port}"
        return [_program("prometheus"), f"--config.file={folder}/prometheus.yml", data, listen]

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=10) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of Prometheus's API."""
        address = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urlencode(parameters)}"
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as refused:
            raise AssertionError(refused.read().decode()) from refused

    def has_scraped(self, job: str) -> bool:
        found = self.ask("query", query=f'up{{job="{job}"}} == 1')["result"]
        self.scraped_at = str(found[0]["value"][0]) if found else ""
        return bool(found)

    def samples(self, query: str) -> list[dict[str, Any]]:
        """Return the samples of a query at `scraped_at`, each with its labels (`metric`) and its value."""
        found: list[dict[str, Any]] = self.ask("query", query=query, time=self.scraped_at)["result"]
        return found
