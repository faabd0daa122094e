"""Fixtures of the cells: a world to copy, a process that forks for each cell, and the table."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.matrix.actions import ACTIONS
from tests.matrix.apart import CannotRun, Forks
from tests.matrix.cells import run_cell, warm_up
from tests.matrix.entrances import Entrance
from tests.matrix.outcomes import Code, Expected, Outcome, read_table
from tests.matrix.states import POSTGRESQL, STATES
from tests.matrix.world import World, build_base
from tests.servers import PostgreSQL, running
from tests.tvarr_own import build_tvarr_on_server

_PLUGIN = "tests.faults.figures"
_CELLS, _UNEXPECTED = "The matrix: outcomes of cells", "The matrix: unexpected cells"
_CANNOT_RUN = "The matrix: states that this machine cannot bring about"
Cell = Callable[..., None]


def pytest_configure(config: pytest.Config) -> None:
    if not config.pluginmanager.has_plugin(_PLUGIN):
        config.pluginmanager.import_plugin(_PLUGIN)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> World:
    """Build the world that every cell starts from."""
    with django_db_blocker.unblock():
        return build_base(tmp_path_factory.mktemp("matrix") / "base")


@pytest.fixture(scope="session")
def forks(base: World, django_db_blocker: Any) -> Iterator[Forks]:
    """Start a process that has imported, compiled and cached what cells need, and forks for each."""
    with django_db_blocker.unblock(), Forks(run_cell, base.root.parent, lambda: warm_up(base)) as forks:
        yield forks


@pytest.fixture(scope="session")
def expected() -> dict[tuple[str, str], Expected]:
    """Read the table."""
    return read_table()


@pytest.fixture(scope="session")
def new_server_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """Create databases of tvarr's on a PostgreSQL server; calls return their addresses."""
    numbers = itertools.count()
    with running(PostgreSQL) as server:
        build_tvarr_on_server(server.create("own"), tmp_path_factory.mktemp("server"))

        def create() -> str:
            name = f"cell{next(numbers)}"
            with psycopg.connect(server.url(), autocommit=True) as connection:
                connection.execute(f'CREATE DATABASE "{name}" TEMPLATE own'.encode())
            return server.url(name)

        yield create


@pytest.fixture
def cell(
    request: pytest.FixtureRequest,
    base: World,
    forks: Forks,
    expected: dict[tuple[str, str], Expected],
    figures: Any,
    tmp_path: Path,
) -> Cell:
    """Compare the outcome of an action in a state with the table."""

    def check(state: str, action: str, way: Entrance = Entrance.FUNCTION, **world_changes: Any) -> None:
        wanted = expected[state, action]
        if way is Entrance.PROCESS:
            wanted = replace(wanted, errors=frozenset())
        world = replace(base.copy_to(tmp_path / "world"), **world_changes)
        if state == POSTGRESQL:
            world = replace(world, server=request.getfixturevalue("new_server_database")())
        # A process waits twenty seconds for each lock, and an import of four kinds meets four of them.
        seconds = 60 if way is Entrance.FUNCTION and not world_changes else 600
        try:
            outcome = forks.run(tmp_path, world, state, action, way, seconds=seconds)
        except CannotRun as problem:
            figures.count(_CANNOT_RUN, state, reason=str(problem))
            pytest.skip(f"{state}: {problem}")
        except AssertionError as problem:
            outcome = Outcome(Code.UNEXPLAINED, detail=str(problem).strip().splitlines()[-1])
        except TimeoutError as problem:
            outcome = Outcome(Code.TIMEOUT, detail=str(problem))
        is_met = wanted.is_met(outcome)
        shutil.rmtree(world.root)
        figures.count(
            _CELLS if way is Entrance.FUNCTION else f"{_CELLS} ({way})",
            wanted.words,
            cells=1,
            unexpected=int(not is_met),
        )
        if not is_met:
            got = " ".join(str(outcome).replace(f"{tmp_path}/", "").split())
            figures.count(
                _UNEXPECTED,
                f"{state}, {action}{'' if way is Entrance.FUNCTION else f' {way}'}",
                expected=wanted.words,
                got=got[:400],
            )
        assert is_met, f"{state}, {action}: expected “{wanted.words}”, got {outcome}"

    return check


def cells_of(*of: str) -> pytest.MarkDecorator:
    """Parametrize with every action in every state of these subjects."""
    found = [(state.name, action) for state in STATES.values() if state.of in of for action in ACTIONS]
    return pytest.mark.parametrize(("state", "action"), found)
