"""What commands that import have in common: the options with answers, and the output of plans and results."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tvarr_backup import program
from tvarr_backup.errors import AnswerInvalid
from tvarr_backup.formatting import format_count
from tvarr_backup.management.terminal import TerminalCommand
from tvarr_backup.matches.items import key_of_step
from tvarr_backup.matches.preview import Preview
from tvarr_backup.matches.report import describe_effect, describe_outputs, preview_as_data
from tvarr_backup.portable.answers import Answers, read_answers
from tvarr_backup.portable.apply import BundleResult, ImportResult
from tvarr_backup.portable.bundles import BundlePlan
from tvarr_backup.portable.report import (
    bundle_plan_as_data,
    bundle_result_as_data,
    plan_as_data,
    plan_as_json,
    result_as_data,
)
from tvarr_backup.portable.steps import ItemAction, ItemState, Plan
from tvarr_backup.quoting import quoted

_STATES = {ItemState.IDENTICAL: "unchanged", ItemState.DIFFERENT: "changed", ItemState.SYSTEM: "built-in"}
_PLANNED = {
    ItemAction.CREATE: "add",
    ItemAction.SKIP: "skip",
    ItemAction.RENAME: "rename to",
    ItemAction.OVERWRITE: "overwrite",
    ItemAction.BLOCKED: "blocked",
}
_COUNTED = _PLANNED | {ItemAction.RENAME: "rename"}
_DONE = {
    ItemAction.CREATE: "added",
    ItemAction.SKIP: "skipped",
    ItemAction.RENAME: "renamed",
    ItemAction.OVERWRITE: "overwritten",
}
_MOST_LISTED = 20
"""Items listed for each action without `--verbose`."""


class ImportCommand(TerminalCommand):
    """Base class of commands that import."""

    def show_plan(
        self, plan: BundlePlan, options: Mapping[str, Any], *, is_bundle: bool, matches: Preview | None = None
    ) -> None:
        """Print a plan: of one kind, or with a heading for each kind. `matches` is what its expressions match."""
        if options["json"]:
            if matches is not None:
                whole = (
                    bundle_plan_as_data(plan)
                    if is_bundle
                    else plan_as_data(replace(plan.plans[0], warnings=plan.warnings))
                )
                self.print_json(whole | {"matches": preview_as_data(matches)})
            elif is_bundle:
                self.print_json(bundle_plan_as_data(plan))
            else:
                self.print_json_text(plan_as_json(replace(plan.plans[0], warnings=plan.warnings)))
            return
        for warning in plan.warnings:
            self.message(f"warning: {warning}")
        for part in plan.plans:
            if is_bundle and part.steps:
                self.line(f"{part.kind.label}:")
            self._show_steps(part, matches, everything=options["verbose"])
        for line in describe_outputs(matches) if matches else ():
            self.line(line)
        counts = ", ".join(f"{_COUNTED[action]} {plan.count(action)}" for action in ItemAction if plan.count(action))
        self.line(f"{format_count(len(plan.steps), 'item')}: {counts or 'nothing to do'}")
        self.line(f"fingerprint {plan.fingerprint}")

    def _show_steps(self, plan: Plan, matches: Preview | None, *, everything: bool) -> None:
        listed = _Listed(everything=everything)
        for step in plan.steps:
            if not listed.add(_PLANNED[step.action]):
                continue
            target = f' "{step.final_name}"' if step.action is ItemAction.RENAME else ""
            self.line(
                f"#{step.position} {_STATES.get(step.state, step.state)}: {step.name} -> {_PLANNED[step.action]}{target}"
            )
            for difference in step.differences:
                self.line(
                    f"    {difference.field}: now {abbreviate(difference.now)}, in file {abbreviate(difference.in_file)}"
                )
            for problem in step.problems:
                self.line(f"    problem: {problem.field}: {problem.message}")
            for finding in step.warnings:
                self.line(f"    warning: {finding.field}: {finding.message}")
            effect = matches.effect(key_of_step(plan.kind.slug, step)) if matches else None
            for line in describe_effect(effect) if effect else ():
                self.line(line)
        for line in listed.omissions():
            self.line(line)

    def show_result(self, done: BundleResult, options: Mapping[str, Any], *, is_bundle: bool) -> None:
        """Print a result like a plan."""
        if options["json"]:
            self.print_json(bundle_result_as_data(done) if is_bundle else result_as_data(done.only))
            return
        for note in done.notes:
            self.message(note)
        for result in done.results:
            if is_bundle and result.lines:
                self.line(f"{result.kind.label}:")
            self._show_lines(result, everything=options["verbose"])
        numbers = {
            "added": done.count(ItemAction.CREATE),
            "renamed": done.count(ItemAction.RENAME),
            "overwritten": done.count(ItemAction.OVERWRITE),
            "unchanged": done.unchanged,
            "skipped": done.skipped,
        }
        counts = ", ".join(f"{number} {label}" for label, number in numbers.items() if number)
        total = format_count(sum(len(result.lines) for result in done.results), "item")
        self.line(f"{total}: {counts or 'nothing to do'}")
        if done.record_id and done.log.changes:
            self.message(f"To undo this import: `{program.NAME} portable undo {done.record_id}`")

    def _show_lines(self, result: ImportResult, *, everything: bool) -> None:
        listed = _Listed(everything=everything)
        for line in result.lines:
            is_unchanged = line.state is ItemState.IDENTICAL and line.action is ItemAction.SKIP
            outcome = "unchanged" if is_unchanged else _DONE[line.action]
            if not listed.add(outcome):
                continue
            target = f" -> {line.final_name}" if line.final_name != line.original_name else ""
            self.line(f"{outcome}: {line.original_name}{target}")
            for finding in line.warnings:
                self.message(f"warning: {line.original_name}: {finding.field}: {finding.message}")
        for omission in listed.omissions():
            self.line(omission)


class _Listed:
    """Counts the items of each group, and how many of them are too many to list."""

    def __init__(self, *, everything: bool) -> None:
        self._everything = everything
        self._counts: Counter[str] = Counter()

    def add(self, group: str) -> bool:
        """Count an item, and return whether to list it."""
        self._counts[group] += 1
        return self._everything or self._counts[group] <= _MOST_LISTED

    def omissions(self) -> Iterator[str]:
        """Yield a line about the items that are not listed, if there are any."""
        omitted = {group: count - _MOST_LISTED for group, count in self._counts.items() if count > _MOST_LISTED}
        if omitted and not self._everything:
            counts = ", ".join(f"{group} {count}" for group, count in omitted.items())
            yield f"Not listed: {counts}. `--verbose` lists all."


def add_answers(command: ArgumentParser) -> None:
    """Add the options with the answers to conflicts, and how much of the result is printed."""
    command.add_argument("--bulk", metavar="ANSWER", help="for all changed items: skip, rename or overwrite")
    command.add_argument(
        "--resolve",
        metavar="NAME=ANSWER",
        action="append",
        default=[],
        help="answer for the items with this name; epg:NAME for one source type, #3 for the third item, KIND/NAME for one kind in a bundle",
    )
    command.add_argument("--new-name", metavar="NAME=NEW", action="append", default=[], help="import under this name")
    command.add_argument(
        "--map",
        metavar="REFERENCE=NAME",
        action="append",
        default=[],
        help="the item here to use for a missing reference",
    )
    command.add_argument("--json", action="store_true", help="print one JSON object")
    command.add_argument(
        "--verbose", action="store_true", help=f"list all items, not only {_MOST_LISTED} for each action"
    )


def read_given_answers(options: Mapping[str, Any], *, bulk: str | None = None) -> Answers:
    """Return the answers that the options give. `bulk` is used without `--bulk`. Raises `AnswerInvalid`."""
    resolutions = _pairs("--resolve", options["resolve"], str.rpartition)  # a name may contain "="
    new_names = _pairs(
        "--new-name", options["new_name"], str.partition
    )  # an item whose name contains "=" can be given as #3
    references = _pairs("--map", options["map"], str.partition)
    return read_answers(resolutions, options["bulk"] or bulk, new_names, references)


def _pairs(option: str, texts: Sequence[str], divide: Callable[[str, str], tuple[str, str, str]]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, divider, value = divide(text, "=")
        if not divider or not name:
            raise AnswerInvalid("{option}: Expected NAME=VALUE, got {text}.", option=option, text=quoted(text))
        pairs[name] = value
    return pairs


def abbreviate(value: Any) -> str:
    """Return a value as JSON of at most 100 characters."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else text[:99] + "…"
