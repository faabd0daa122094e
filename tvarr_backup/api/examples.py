"""Examples for the schema: a file of each kind, and what comes of importing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tvarr_backup.portable.envelope import FORMAT_VERSION
from tvarr_backup.portable.export import WRITTEN_BY
from tvarr_backup.portable.kinds import Kind, Slug

EXAMPLE_ID = "01JN9Q4T7V8W2X5Y6Z0A1B2C3D"
_FINGERPRINT = "sha256:2f0c7d5c3f6b9f1f4a77f0f6a8c1e5b7b2f0c7d5c3f6b9f1f4a77f0f6a8c1e5b"

ITEMS: Mapping[Slug, Mapping[str, Any]] = {
    Slug.FILTERS: {
        "name": "Harbour News",
        "expression": 'group_title equals "News"',
        "source_type": "stream",
        "action": "include",
    },
    Slug.DATA_MAPPING_RULES: {
        "name": "Coast",
        "expression": 'channel_name contains "Lighthouse" SET group_title = "Coast"',
        "source_type": "stream",
        "priority": 10,
        "stop_on_match": False,
        "is_enabled": True,
    },
    Slug.CLIENT_DETECTION_RULES: {
        "name": "Kitchen tablet",
        "expression": '@dynamic(request.headers):user-agent contains "KitchenTablet"',
        "priority": 50,
        "is_enabled": True,
        "accepted_video_codecs": ["h264", "h265"],
        "supports_fmp4": True,
        "supports_mpegts": True,
        "encoding_profile_name": "Attic projector",
    },
    Slug.ENCODING_PROFILES: {
        "name": "Attic projector",
        "target_video_codec": "h265",
        "target_audio_codec": "aac",
        "quality_preset": "high",
        "hw_accel": "vaapi",
        "is_default": False,
        "enabled": True,
    },
}


def file_example(kind: Kind) -> dict[str, Any]:
    """A file with one item."""
    metadata = {
        "version": FORMAT_VERSION,
        "tvarr_version": WRITTEN_BY,
        "export_type": kind.slug.value,
        "exported_at": "2026-03-01T18:00:00Z",
        "item_count": 1,
    }
    return {"metadata": metadata, "items": [dict(ITEMS[kind.slug])]}


def import_example(kind: Kind) -> dict[str, Any]:
    """The file with an answer to its preview."""
    return {
        "export": file_example(kind),
        "resolutions": {ITEMS[kind.slug]["name"]: "rename"},
        "bulk_resolution": "skip",
        "fingerprint": _FINGERPRINT,
    }


def plan_example(kind: Kind) -> dict[str, Any]:
    """The preview of the file where its name is taken."""
    name, source_type = ITEMS[kind.slug]["name"], ITEMS[kind.slug].get("source_type")
    return {
        "total_items": 1,
        "new_items": [],
        "conflicts": [{"import_name": name, "existing_id": EXAMPLE_ID, "existing_name": name, "resolution": "skip"}],
        "errors": [],
        "version_warning": None,
        "kind": kind.slug.value,
        "items": [
            {
                "position": 1,
                "name": name,
                "source_type": source_type,
                "state": "different",
                "action": "skip",
                "final_name": name,
                "suggested_name": f"{name} (1)",
                "existing_id": EXAMPLE_ID,
                "diff": [{"field": "description", "now": "An older one.", "in_file": ""}],
                "problems": [],
                "warnings": [],
            }
        ],
        "warnings": [],
        "counts": {"create": 0, "skip": 1, "rename": 0, "overwrite": 0, "blocked": 0},
        "can_import": True,
        "fingerprint": _FINGERPRINT,
    }


def result_example(kind: Kind) -> dict[str, Any]:
    """The import of the file under another name."""
    name = ITEMS[kind.slug]["name"]
    final = {"original_name": name, "final_name": f"{name} (1)", "id": EXAMPLE_ID}
    item = {**final, "source_type": ITEMS[kind.slug].get("source_type")}
    return {
        "total_items": 1,
        "imported": 0,
        "skipped": 0,
        "overwritten": 0,
        "renamed": 1,
        "errors": 0,
        "imported_items": [{**final, "action": "renamed"}],
        "kind": kind.slug.value,
        "unchanged": 0,
        "items": [{"position": 1, **item, "state": "different", "action": "rename", "warnings": []}],
        "notes": [],
    }
