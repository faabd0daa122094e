"""Conversion of plans and results to JSON, with tvarr's members and ours."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from tvarr_backup.portable.apply import BundleResult, ImportResult
from tvarr_backup.portable.bundles import BundlePlan
from tvarr_backup.portable.envelope import BUNDLE
from tvarr_backup.portable.findings import Finding
from tvarr_backup.portable.steps import ItemAction, ItemState, Plan, PlannedItem
from tvarr_backup.portable.undo import UndoAction, UndoPlan
from tvarr_backup.quoting import MOST_OF_NAME, MOST_OF_TEXT, cut, cut_value


def plan_as_data(plan: Plan) -> dict[str, Any]:
    """Return tvarr's preview (`total_items`, `new_items`, `conflicts`, `errors`, `version_warning`) and our members."""
    return {name: list(value) if isinstance(value, Iterator) else value for name, value in _members(plan).items()}


def plan_as_json(plan: Plan) -> Iterator[str]:
    """Yield `plan_as_data` as JSON text, one item per line. For 90,000 items it is 30 MB."""
    start = "{"
    for name, value in _members(plan).items():
        yield f"{start}{_as_json(name)}:"
        if isinstance(value, Iterator):
            yield from _list_as_json(value)
        else:
            yield _as_json(value)
        start = ","
    yield "}"


def _list_as_json(values: Iterator[Any]) -> Iterator[str]:
    start = "["
    for value in values:
        yield f"{start}{_as_json(value)}"
        start = ",\n"
    yield "[]" if start == "[" else "]"


_as_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _members(plan: Plan) -> dict[str, Any]:
    """Return the members. Those with an entry for each item are iterators."""
    taken = (ItemState.IDENTICAL, ItemState.DIFFERENT, ItemState.SYSTEM)
    return {
        "total_items": len(plan.steps),
        "new_items": (
            {"name": cut(step.name, MOST_OF_NAME)}
            for step in plan.steps
            if step.state is ItemState.NEW and not step.is_repeated
        ),
        "conflicts": (
            {
                "import_name": cut(step.name, MOST_OF_NAME),
                "existing_id": step.existing_id or "",
                "existing_name": cut(step.name, MOST_OF_NAME),
                "resolution": step.action.value if step.action is not ItemAction.BLOCKED else ItemAction.SKIP.value,
            }
            for step in plan.steps
            if step.state in taken or (step.is_repeated and not step.problems)
        ),
        "errors": (
            {
                "item_name": cut(step.name, MOST_OF_NAME),
                "error": "; ".join(f"{problem.field}: {problem.message}" for problem in step.problems),
            }
            for step in plan.steps
            if step.problems
        ),
        "version_warning": "; ".join(plan.warnings) or None,
        "kind": plan.kind.slug.value,
        "items": (_step_as_data(step) for step in plan.steps),
        "warnings": list(plan.warnings),
        "counts": {action.value: plan.count(action) for action in ItemAction},
        "can_import": not plan.blocked,
        "fingerprint": plan.fingerprint,
    }


def result_as_data(result: ImportResult, *, like_tvarr: bool = False) -> dict[str, Any]:
    """Return tvarr's answer to an import (up to `imported_items`) and our members.

    `skipped` contains the unchanged items if it is `like_tvarr`, whose client does not know `unchanged`.
    """
    ours = {} if like_tvarr else {"import_id": result.record_id or None}
    return {
        "total_items": len(result.lines),
        "imported": result.count(ItemAction.CREATE),
        "skipped": result.skipped + (result.unchanged if like_tvarr else 0),
        "overwritten": result.count(ItemAction.OVERWRITE),
        "renamed": result.count(ItemAction.RENAME),
        "errors": 0,
        "imported_items": [
            {
                "original_name": line.original_name,
                "final_name": line.final_name,
                "id": line.row_id,
                "action": _TVARRS_ACTIONS[line.action],
            }
            for line in result.lines
            if line.action is not ItemAction.SKIP
        ],
        "kind": result.kind.slug.value,
        "unchanged": result.unchanged,
        "items": [
            {
                "position": line.position,
                "original_name": line.original_name,
                "source_type": cut(line.source_type, MOST_OF_NAME) or None,
                "final_name": line.final_name,
                "id": line.row_id,
                "state": line.state.value,
                "action": line.action.value,
                "warnings": _findings(line.warnings),
            }
            for line in result.lines
        ],
        "notes": list(result.notes),
        "restart_required": result.restart_required,
        **ours,
    }


def undo_as_data(plan: UndoPlan) -> dict[str, Any]:
    """Return what an undo does or would do."""
    return {
        "removed": plan.count(UndoAction.REMOVE),
        "put_back": plan.count(UndoAction.PUT_BACK),
        "added_back": plan.count(UndoAction.ADD_BACK),
        "kept": plan.count(UndoAction.KEEP),
        "items": [
            {
                "kind": step.change.kind.slug.value,
                "id": step.change.row_id,
                "name": cut(step.change.name, MOST_OF_NAME),
                "source_type": cut(step.change.source_type, MOST_OF_NAME) or None,
                "action": step.action.value,
                "reason": step.reason and step.reason.value,
            }
            for step in plan.steps
        ],
        "fingerprint": plan.fingerprint,
    }


def bundle_plan_as_data(plan: BundlePlan) -> dict[str, Any]:
    """Return the plan of each kind as `plan_as_data`, and what is about all of them."""
    return {
        "kind": BUNDLE,
        "total_items": len(plan.steps),
        "parts": [plan_as_data(part) for part in plan.plans],
        "warnings": list(plan.warnings),
        "counts": {action.value: plan.count(action) for action in ItemAction},
        "can_import": not plan.blocked,
        "fingerprint": plan.fingerprint,
    }


def bundle_result_as_data(done: BundleResult) -> dict[str, Any]:
    """Return the result of each kind as `result_as_data`, and what is about all of them."""
    shared = {"notes", "restart_required", "import_id"}
    parts = [result_as_data(result) for result in done.results]
    return {
        "kind": BUNDLE,
        "total_items": sum(len(result.lines) for result in done.results),
        "parts": [{name: value for name, value in part.items() if name not in shared} for part in parts],
        "notes": list(done.notes),
        "restart_required": done.restart_required,
        "import_id": done.record_id or None,
    }


_TVARRS_ACTIONS = {ItemAction.CREATE: "created", ItemAction.OVERWRITE: "overwritten", ItemAction.RENAME: "renamed"}


def _step_as_data(step: PlannedItem) -> dict[str, Any]:
    return {
        "position": step.position,
        "name": cut(step.name, MOST_OF_NAME),
        "source_type": cut(step.source_type, MOST_OF_NAME) or None,
        "state": step.state.value,
        "action": step.action.value,
        "final_name": cut(step.final_name, MOST_OF_NAME),
        "suggested_name": step.suggested_name or None,
        "existing_id": step.existing_id,
        "diff": [
            {
                "field": difference.field,
                "now": cut_value(difference.now, MOST_OF_TEXT),
                "in_file": cut_value(difference.in_file, MOST_OF_TEXT),
            }
            for difference in step.differences
        ],
        "problems": _findings(step.problems),
        "warnings": _findings(step.warnings),
    }


def _findings(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    return [asdict(finding) for finding in findings]
