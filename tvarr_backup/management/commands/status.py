"""`status`: whether all is well, on one screen."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from tvarr_backup.formatting import format_exact_time, format_size
from tvarr_backup.management.terminal import TerminalCommand
from tvarr_backup.operations.health import Health, HealthState, check_health, health_as_data
from tvarr_backup.operations.models import Operation

_WORDS = {
    HealthState.OK: "All is well.",
    HealthState.WARNING: "The work is done, but there is something to read.",
    HealthState.FAILING: "Something is not as it must be.",
}


class Command(TerminalCommand):
    """Exit status 1 where something is sick; a warning fails nobody. Nothing is changed, and no worker is needed."""

    help = "Say whether all is well: databases, worker, schedule, last good backup, space; 1 where it is not."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON value")

    def handle(self, *_args: Any, **_options: Any) -> None:
        health = check_health()
        self.print_result(health_as_data(health), *_screen(health))
        if health.state is HealthState.FAILING:
            self.stdout.flush()
            sys.exit(1)


def _screen(health: Health) -> Iterator[str]:
    yield _WORDS[health.state]
    yield ""
    for subject, check in health.checks.items():
        yield f"{check.state:<8} {subject.label:<17} {check.message}"
    yield ""
    good, expected, seen = health.last_good, health.expected, health.observation
    overdue = ", overdue" if expected.is_overdue else ""
    yield _fact("Last good", f"{format_exact_time(good.sidecar.created_at)}, {good.filename}" if good else "-")
    yield _fact("Next run", f"{format_exact_time(expected.next_run)}{overdue}" if expected.next_run else "-")
    yield _fact("Running", _running(seen.running) if seen.running else "-")
    yield _fact("Free space", _space(health) or "-")


def _fact(name: str, words: str) -> str:
    return f"{name:<11} {words}"


def _running(operation: Operation) -> str:
    percent = "" if operation.percent is None else f", {operation.percent} %"
    phase = f", {operation.phase}" if operation.phase else ""
    since = f" since {format_exact_time(operation.started_at)}" if operation.started_at else ""
    return f"{operation.get_kind_display()}{since}{phase}{percent}"


def _space(health: Health) -> str:
    seen = health.observation
    places = {"in the backup folder": seen.folder.free, "beside tvarr's database": seen.free_beside_live}
    return ", ".join(f"{format_size(free)} {where}" for where, free in places.items() if free is not None)
