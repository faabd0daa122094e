"""The Dockerfile and what stands around it: rules that a build would not miss."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import yaml

from deploy.rehearse_image import instructions
from tests.installation import ROOT
from tests.test_wheel import in_git
from tvarr_backup import supervisor

STEPS = list(instructions(ROOT / "Dockerfile"))
LONGEST_END_SECONDS = supervisor.GRACE_SECONDS + supervisor._KILL_SECONDS


def texts(word: str) -> list[str]:
    return [text for step, text in STEPS if step == word]


def test_every_stage_begins_from_a_named_release_or_another_stage() -> None:
    stages = {text.partition(" AS ")[2] for text in texts("FROM")}
    for source in (text.split()[0] for text in texts("FROM")):
        assert source in stages or re.fullmatch(r"[a-z/]+:(?!latest)[a-z0-9.-]+", source), source


def test_it_runs_as_a_user_who_is_not_root_and_named_by_number() -> None:
    assert re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", texts("USER")[-1])


def test_what_an_engine_starts_needs_no_shell() -> None:
    started = [*texts("ENTRYPOINT"), *texts("CMD"), texts("HEALTHCHECK")[0].partition("CMD ")[2]]
    assert len(started) == 3
    assert all(text.startswith("[") for text in started)


def test_no_list_of_packages_is_left_and_no_library_comes_without_its_hash() -> None:
    for step in texts("RUN"):
        assert ("apt-get update" in step) == step.endswith("rm -rf /var/lib/apt/lists/*"), step
        for install in re.findall(r"pip\S*(?: --python \S+)? install [^&]*", step):
            assert "--require-hashes" in install or "--no-index" in install, install


def test_the_wheel_can_be_built_from_what_an_engine_is_sent(tmp_path: Path) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for name in [line[1:] for line in ignored if line.startswith("!")]:
        place = tmp_path / name
        shutil.copytree(ROOT / name, place) if (ROOT / name).is_dir() else shutil.copy(ROOT / name, place)
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", "dist"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("dist/*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert {*in_git("config", "tvarr_backup")} < {*archive.namelist()}


def test_who_stops_it_waits_until_all_its_programs_have_ended() -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    grace = compose["services"]["tvarr-backup"]["stop_grace_period"]
    (timeout,) = re.findall(r"^TimeoutStopSec=(\d+)$", (ROOT / "deploy/tvarr-backup.service").read_text(), re.MULTILINE)
    assert int(grace.removesuffix("s")) > LONGEST_END_SECONDS
    assert int(timeout) > LONGEST_END_SECONDS
