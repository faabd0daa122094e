"""The command `status`."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from typing import Any

from tvarr_backup.formatting import format_exact_time, format_size
from tvarr_backup.management.terminal import TerminalCommand
from tvarr_backup.operations.health import Health, HealthState, check_health, health_as_data
from tvarr_backup.operations.models import Operation

_SUMMARIES = {
    HealthState.OK: "Everything is fine.",
    HealthState.WARNING: "Backups are made, but there are warnings.",
    HealthState.FAILING: "Something is wrong.",
}
_LABELS = {HealthState.OK: "OK", HealthState.WARNING: "warning", HealthState.FAILING: "failing"}
_LABEL_WIDTH = 8


class Command(TerminalCommand):
    """Exits with 1 if a check is failing. Changes nothing."""

    help = "Show the state of everything. Exit with 1 if something is failing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON value")

    def handle(self, *_args: Any, **options: Any) -> None:
        health = check_health()
        if options["json"]:
            self.print_json(health_as_data(health))
        else:
            self._print(health)
        if health.state is HealthState.FAILING:
            self.stdout.flush()
            sys.exit(1)

    def _print(self, health: Health) -> None:
        colors = {
            HealthState.OK: self.style.SUCCESS,
            HealthState.WARNING: self.style.WARNING,
            HealthState.FAILING: self.style.ERROR,
        }
        self.line(_SUMMARIES[health.state], colors[health.state])
        self.line()
        for subject, check in health.checks.items():
            text = f"{_LABELS[check.state]:<{_LABEL_WIDTH}} {subject.label:<17} {check.message}"
            self.line(text, _color_label(colors[check.state]))
        self.line()
        for fact in _facts(health):
            self.line(fact)


def _color_label(color: Callable[[str], str]) -> Callable[[str], str]:
    return lambda line: color(line[:_LABEL_WIDTH]) + line[_LABEL_WIDTH:]


def _facts(health: Health) -> Iterator[str]:
    good, expected, running = health.last_good, health.expected, health.observation.running
    overdue = ", overdue" if expected.is_overdue else ""
    yield _fact("Last good", f"{format_exact_time(good.sidecar.created_at)}, {good.filename}" if good else "-")
    yield _fact("Next run", f"{format_exact_time(expected.next_run)}{overdue}" if expected.next_run else "-")
    yield _fact("Running", _describe(running) if running else "-")
    yield _fact("Free space", _format_free_space(health) or "-")


def _fact(name: str, value: str) -> str:
    return f"{name:<11} {value}"


def _describe(operation: Operation) -> str:
    percent = "" if operation.percent is None else f", {operation.percent} %"
    phase = f", {operation.phase}" if operation.phase else ""
    since = f" since {format_exact_time(operation.started_at)}" if operation.started_at else ""
    return f"{operation.get_kind_display()}{since}{phase}{percent}"


def _format_free_space(health: Health) -> str:
    observation = health.observation
    places = {
        "in the backup folder": observation.folder.free,
        "next to tvarr's database": observation.free_beside_live,
    }
    return ", ".join(f"{format_size(free)} {where}" for where, free in places.items() if free is not None)
