"""One cell of the matrix, in a separate process."""

from __future__ import annotations

import os

from django.core.management import call_command
from django.db import connections

from tests.matrix.actions import ACTIONS
from tests.matrix.entrances import Entrance, entrance
from tests.matrix.outcomes import Outcome
from tests.matrix.states import APP_ON_FULL_DISK, STATES
from tests.matrix.world import World
from tvarr_backup.backups import live
from tvarr_backup.operations import app_database

_WARM = ("status", "home page", "readyz", "list", "download", "export", "edit", "prepare", "up")


def run_cell(world: World, state: str, action: str, way: Entrance = Entrance.FUNCTION) -> Outcome:
    """Take an action in a state, and return the outcome."""
    entrance.set(way)
    os.environ["TESTS_SESSION"] = world.session
    live.LOCK_SECONDS = world.patience
    app_database.PATIENCE_SECONDS = world.patience
    if state == APP_ON_FULL_DISK:
        world.beat()
    with STATES[state].build(world):
        world.enter()
        if state != APP_ON_FULL_DISK:
            world.beat()
        outcome = ACTIONS[action](world)
        connections.close_all()
        return outcome


def warm_up(base: World) -> None:
    """Import, compile and cache in this process what all cells need."""
    world = base.copy_to(base.root.with_name("warm"))
    world.enter()
    for action in _WARM:
        ACTIONS[action](world)
    call_command("check")
    connections.close_all()
