"""A running service with a backup and a copy of it, watched from outside."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.installation import Installation
from tests.locations.rebuilding import add_location, copy_now
from tests.processes import wait_until
from tests.ups import Up, free_port, start_up

EXAMPLE_ADDRESS = "192.0.2.10:8081"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Site:
    """The service, and the secrets of its tokens by scope."""

    up: Up
    tokens: Mapping[str, str]

    def fill(self, example: str, scope: str = "read") -> str:
        """Return an example of the guide with the address and a token of this service."""
        return example.replace(EXAMPLE_ADDRESS, f"127.0.0.1:{self.up.port}").replace("TOKEN", self.tokens[scope])

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        assert url.startswith(self.up.address), url
        request = urllib.request.Request(url, headers=dict(headers or {}))
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as refused:
            return Answer(refused.code, dict(refused.headers), refused.read())

    def status(self) -> Any:
        return self.get(f"{self.up.address}/api/v1/status", {"X-Api-Key": self.tokens["read"]}).json()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("watched")
    (folder / "nas").mkdir()
    logged = {"TVARR_LOGGING_LEVEL": "debug", "TVARR_BACKUP_SCHEDULE_ENABLED": "true"}
    installation = Installation(folder / "data", logged).prepared()
    installation.ok("backup", "create")
    add_location(installation, f"folder:{folder / 'nas'}")
    copy_now(installation)
    installation.ok("backup", "rehearse")
    tokens = {
        scope: installation.json("token", "create", scope, "--user", "admin", "--scope", scope, "--json")["token"]
        for scope in ("read", "badge", "all")
    }
    up = start_up(installation, free_port())
    try:
        wait_until(lambda: up.process.poll() is not None or up.is_complete(), "it is complete", seconds=180)
        assert up.process.poll() is None, up.log
        yield Site(up, tokens)
    finally:
        up.process.terminate()
        up.process.wait(timeout=30)
