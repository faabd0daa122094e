"""Fixtures of the fault tests: the shim, the world, and the table at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.harness import Bench, Driver, build_library
from tests.faults.world import World, build_world

_PLUGIN = "tests.faults.figures"


def pytest_configure(config: pytest.Config) -> None:
    if not config.pluginmanager.has_plugin(_PLUGIN):
        config.pluginmanager.import_plugin(_PLUGIN)


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled library."""
    return build_library(tmp_path_factory.mktemp("shim"), "shim")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """What every case starts from."""
    return build_world(tmp_path_factory.mktemp("world"), tmp_path_factory.mktemp("scratch"))


@pytest.fixture(scope="session")
def bench(shim: Path, world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Runs cases with the program as it is."""
    with Driver(shim) as driver:
        yield Bench(driver, world, tmp_path_factory.mktemp("bench"))
