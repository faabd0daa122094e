"""The committed OpenAPI document, and thousands of requests generated from it against a real server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command

from tests.installation import ROOT, Installation
from tests.processes import wait_until
from tests.ups import free_port

COMMITTED = ROOT / "docs" / "openapi.yaml"
FLOOD = ("--max-examples", "30", "--phases", "fuzzing,stateful")
UPLOAD = "/api/v1/backups/upload"
CONFIGURATION = ROOT / "tests" / "api" / "schemathesis.toml"
HANGS_SECONDS = 1_000
"""Far more than the slowest machine needs for a part of the requests."""


@pytest.fixture(scope="module")
def schema() -> Any:
    return yaml.safe_load(COMMITTED.read_text())


def test_the_committed_document_is_up_to_date() -> None:
    """`make openapi` updates it."""
    written = StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=written)
    assert written.getvalue().rstrip("\n") == COMMITTED.read_text().rstrip("\n")


def _bodies(schema: Any) -> Iterator[tuple[str, Any]]:
    for path, calls in schema["paths"].items():
        for method, call in calls.items():
            parts = {"request": call.get("requestBody", {})} | {
                status: answer for status, answer in call["responses"].items() if status.startswith("2")
            }
            for part, body in parts.items():
                for kind, content in body.get("content", {}).items():
                    yield f"{method} {path} {part} {kind}", content


def test_each_json_body_has_an_example(schema: Any) -> None:
    without = [
        name for name, content in _bodies(schema) if name.endswith(" application/json") and not content.get("examples")
    ]
    assert not without, without


# --- Generated requests, valid and invalid ---------------------------------------------------------------------------


@contextmanager
def serving(installation: Installation, folder: Path) -> Iterator[str]:
    """Run a web server, yield its address, and require that it logged no traceback."""
    port, log = free_port(), folder / "server.log"
    command = [sys.executable, "-m", "gunicorn", "config.wsgi", "--bind", f"127.0.0.1:{port}", "--worker-class", "gthread",
               "--workers", "1", "--threads", "4", "--no-control-socket",
               "--limit-request-line", "0"]  # fmt: skip  # long addresses have an answer of the web server's own
    environment = installation.variables() | {"DJANGO_SETTINGS_MODULE": "tests.api.unlimited"}
    with (
        log.open("wb") as written,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=written, stderr=written) as server,
    ):
        try:
            wait_until(lambda: "Booting worker" in log.read_text(), "the web server")
            yield f"http://127.0.0.1:{port}"
            assert "Traceback" not in log.read_text(), log.read_text()[-5000:]
        finally:
            server.terminate()


def generated(address: str, *options: str) -> dict[str, Any]:
    """Run generated requests, require that none fails, and return their number and the summary."""
    command = [str(Path(sys.executable).with_name("st")), "--config-file", str(CONFIGURATION), "run", str(COMMITTED)]
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "SCHEMATHESIS_REPORT": "false"}
    done = subprocess.run(
        [*command, "--url", address, "--no-color", "--request-timeout", "60", *options],
        env=environment,
        cwd=CONFIGURATION.parent,
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-2000:]
    cases = re.search(r"([\d,]+) generated, ([\d,]+) (?:passed|found)", done.stdout)
    assert cases, done.stdout[-3000:]
    return {"cases": int(cases[1].replace(",", "")), "summary": done.stdout}


def token(installation: Installation) -> str:
    """Create an administrator's token."""
    return str(installation.json("token", "create", "generated", "--user", "admin", "--json")["token"])


def stocked(installation: Installation) -> Installation:
    """Add items and a backup."""
    installation.ok("demo_data", "--items=5", "--channels=1", "--programmes=1")
    installation.ok("backup", "create", "--note", "for requests")
    return installation


def test_generated_requests_have_documented_answers(prepared: Installation, tmp_path: Path) -> None:
    key = token(stocked(prepared))
    phases = ("--phases", "examples,coverage")  # the long tests have the other phases
    options = ("--header", f"Authorization:Bearer {key}", "--generation-deterministic", "--max-examples", "1", *phases)
    with serving(prepared, tmp_path) as address:
        # Uploads come first: they wait for queued operations, and there is no worker.
        assert generated(address, *options, "--include-path", UPLOAD)["cases"] > 10
        assert generated(address, *options, "--exclude-path", UPLOAD)["cases"] > 500


@pytest.mark.long
@pytest.mark.parametrize("seed", ["1", "2", "3", "4", "5", "6", "7"])
def test_ten_thousand_generated_requests_have_documented_answers(
    prepared: Installation, tmp_path: Path, seed: str
) -> None:
    """Run seven parts, each with its own server."""
    key = token(stocked(prepared))
    with serving(prepared, tmp_path) as address:
        done = generated(address, "--header", f"Authorization:Bearer {key}", "--seed", seed, *FLOOD)
    assert done["cases"] >= 1_450
    sys.stdout.write(done["summary"][-1500:])


@pytest.mark.long
def test_generated_requests_without_a_user_have_documented_answers(prepared: Installation, tmp_path: Path) -> None:
    options = ("--generation-deterministic", "--max-examples", "1", "--phases", "coverage")
    with serving(stocked(prepared), tmp_path) as address:
        assert generated(address, *options)["cases"] > 100
