"""Examples of items, files, previews and results for the OpenAPI document."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from tvarr_backup.portable.apply import BundleResult, ImportResult, ResultLine
from tvarr_backup.portable.envelope import BUNDLE, BUNDLE_VERSION, FORMAT_VERSION, read_envelope
from tvarr_backup.portable.export import WRITTEN_BY
from tvarr_backup.portable.kinds import KINDS, Kind, Slug
from tvarr_backup.portable.references import Resolved
from tvarr_backup.portable.report import bundle_result_as_data, plan_as_data, result_as_data
from tvarr_backup.portable.steps import Difference, Draft, ItemAction, ItemState, Plan, PlannedItem

EXAMPLE_ID = "01JN9Q4T7V8W2X5Y6Z0A1B2C3D"
_RECORD = {
    "is_system": False,
    "created_at": "2026-03-01T18:00:00.120000Z",
    "updated_at": "2026-03-01T18:00:00.120000Z",
    "warnings": [],
}
_FINGERPRINT = "sha256:2f0c7d5c3f6b9f1f4a77f0f6a8c1e5b7b2f0c7d5c3f6b9f1f4a77f0f6a8c1e5b"


@dataclass(frozen=True)
class Example:
    """An item of a kind. Other columns have their defaults."""

    title: str
    members: Mapping[str, Any]
    read_only: Mapping[str, Any] = field(default_factory=dict)


EXAMPLES: Mapping[Slug, Example] = {
    Slug.FILTERS: Example(
        "Only the news",
        {
            "name": "Harbour News",
            "description": "Keeps what the harbour town likes.",
            "expression": 'group_title equals "News"',
        },
    ),
    Slug.DATA_MAPPING_RULES: Example(
        "One group for the coast",
        {"name": "Coast", "expression": 'channel_name contains "Lighthouse" SET group_title = "Coast"', "priority": 10},
    ),
    Slug.CLIENT_DETECTION_RULES: Example(
        "A tablet",
        {
            "name": "Kitchen tablet",
            "expression": '@dynamic(request.headers):user-agent contains "KitchenTablet"',
            "priority": 50,
            "accepted_video_codecs": ["h264", "h265"],
            "accepted_audio_codecs": ["aac"],
            "preferred_video_codec": "h264",
            "preferred_audio_codec": "aac",
            "encoding_profile": "01JN9Q4T7V8W2X5Y6Z0A1B2C3E",
        },
        {"encoding_profile_name": "Attic projector"},
    ),
    Slug.ENCODING_PROFILES: Example(
        "For the attic",
        {"name": "Attic projector", "target_video_codec": "h265", "quality_preset": "high", "hw_accel": "vaapi"},
        {"is_default": False},
    ),
}


def row_examples(kind: Kind) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the body that adds the example, and the answer."""
    example = EXAMPLES[kind.slug]
    columns = kind.model._meta.concrete_fields
    defaults = {column.name: column.get_default() for column in columns if column.editable}
    sent = defaults | dict(example.members)
    read_only = {member.name: example.read_only[member.name] for member in kind.members if member.name not in sent}
    return sent, {"id": EXAMPLE_ID, **sent, **read_only, **_RECORD}


def item_example(kind: Kind) -> dict[str, Any]:
    _, row = row_examples(kind)
    return {member.name: row[member.name] for member in kind.members if row[member.name] or not member.may_be_left_out}


def file_example(kind: Kind) -> dict[str, Any]:
    metadata = {
        "version": FORMAT_VERSION,
        "tvarr_version": WRITTEN_BY,
        "export_type": kind.slug.value,
        "exported_at": "2026-03-01T18:00:00Z",
        "item_count": 1,
    }
    return {"metadata": metadata, "items": [item_example(kind)]}


def bundle_example() -> dict[str, Any]:
    kinds = (KINDS[Slug.ENCODING_PROFILES], KINDS[Slug.FILTERS])
    metadata = file_example(kinds[0])["metadata"] | {"version": BUNDLE_VERSION, "export_type": BUNDLE, "item_count": 2}
    return {"metadata": metadata, "sections": {kind.slug.value: [item_example(kind)] for kind in kinds}}


def bundle_import_example() -> dict[str, Any]:
    return {"export": bundle_example(), "resolutions": {"filters/#1": "rename"}, "bulk_resolution": "skip"}


def bundle_plan_example() -> dict[str, Any]:
    part = plan_example(KINDS[Slug.FILTERS])
    shared = {name: part[name] for name in ("total_items", "counts", "can_import", "fingerprint")}
    return {"kind": BUNDLE, "parts": [part], "warnings": [], **shared}


def bundle_result_example() -> dict[str, Any]:
    kind = KINDS[Slug.FILTERS]
    return bundle_result_as_data(BundleResult((_result(kind),), (), record_id=EXAMPLE_ID))


def import_example(kind: Kind) -> dict[str, Any]:
    return {
        "export": file_example(kind),
        "resolutions": {item_example(kind)["name"]: "rename"},
        "bulk_resolution": "skip",
        "fingerprint": _FINGERPRINT,
    }


def plan_example(kind: Kind) -> dict[str, Any]:
    item = item_example(kind)
    name = item["name"]
    (read,) = read_envelope(io.BytesIO(orjson.dumps(file_example(kind))), kind).items
    draft = Draft(
        read,
        ItemState.DIFFERENT,
        existing=kind.model(id=EXAMPLE_ID),
        differences=(Difference("description", "An older one.", item.get("description", "")),),
        problems=(),
        warnings=(),
        resolved=Resolved(),
        resolved_unmapped=Resolved(),
        suggested_name=f"{name} (1)",
    )
    return plan_as_data(Plan(kind, (PlannedItem(draft, ItemAction.SKIP, name, (), ()),), (), _FINGERPRINT))


def result_example(kind: Kind, *, like_tvarr: bool = False) -> dict[str, Any]:
    return result_as_data(replace(_result(kind), record_id=EXAMPLE_ID), like_tvarr=like_tvarr)


def _result(kind: Kind) -> ImportResult:
    item = item_example(kind)
    name, source_type = item["name"], item.get("source_type", "")
    line = ResultLine(1, name, source_type, f"{name} (1)", ItemAction.RENAME, ItemState.DIFFERENT, EXAMPLE_ID, ())
    return ImportResult(kind, (line,), ())
