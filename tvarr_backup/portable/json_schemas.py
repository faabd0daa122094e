"""JSON Schemas of export files and bundles, made from the kinds. `docs/schemas` has them; `make schemas` writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tvarr_backup.models import Filter, SourceType
from tvarr_backup.portable.envelope import BUNDLE, BUNDLE_VERSION, FORMAT_VERSION, MAX_ITEMS
from tvarr_backup.portable.kinds import KINDS, JsonType, Kind, Member
from tvarr_backup.program import ASSETS

FOLDER = ASSETS / "docs" / "schemas"
_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_TYPES: dict[JsonType, dict[str, Any]] = {
    JsonType.TEXT: {"type": "string"},
    JsonType.FLAG: {"type": "boolean"},
    JsonType.INTEGER: {"type": "integer"},
    JsonType.TEXTS: {"type": "array", "items": {"type": "string"}},
}
_WORDS = {"source_type": SourceType.values, "action": Filter.Action.values}


def export_schema() -> dict[str, Any]:
    """Return the schema of a file with one kind, as tvarr reads it too."""
    of_kinds = [
        {
            "if": {"properties": {"metadata": {"properties": {"export_type": {"const": str(kind.slug)}}}}},
            "then": {"properties": {"items": _items(kind)}},
        }
        for kind in KINDS.values()
    ]
    return {
        "$schema": _DRAFT,
        "title": "Export of tvarr-backup",
        "description": "Items of one kind. tvarr refuses members that are not listed here.",
        "type": "object",
        "properties": {
            "metadata": _metadata([str(slug) for slug in KINDS], FORMAT_VERSION),
            "items": {"type": "array"},
        },
        "required": ["metadata", "items"],
        "allOf": of_kinds,
        "$defs": dict(_definitions()),
    }


def bundle_schema() -> dict[str, Any]:
    """Return the schema of a file with several kinds, which only tvarr-backup reads."""
    return {
        "$schema": _DRAFT,
        "title": "Bundle of tvarr-backup",
        "description": "Items of several kinds, imported together. tvarr itself reads only files of one kind.",
        "type": "object",
        "properties": {
            "metadata": _metadata([BUNDLE], BUNDLE_VERSION),
            "sections": {
                "type": "object",
                "properties": {str(kind.slug): _items(kind) for kind in KINDS.values()},
                "minProperties": 1,
                "additionalProperties": False,
            },
        },
        "required": ["metadata", "sections"],
        "$defs": dict(_definitions()),
    }


def as_text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2) + "\n"


def write() -> None:
    """Write the files of `docs/schemas`."""
    FOLDER.mkdir(exist_ok=True)
    for name, schema in (("export", export_schema()), ("bundle", bundle_schema())):
        (FOLDER / f"{name}.json").write_text(as_text(schema), encoding="utf-8")


def _metadata(types: list[str], version: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "version": {"const": version},
            "tvarr_version": {"type": "string"},
            "export_type": {"enum": types},
            "exported_at": {"type": "string", "format": "date-time"},
            "item_count": {"type": "integer", "minimum": 0, "maximum": MAX_ITEMS},
        },
        "required": ["version", "export_type"],
        "additionalProperties": False,
    }


def _items(kind: Kind) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": f"#/$defs/{kind.slug}"}}


def _definitions() -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in KINDS.values():
        properties = {member.name: _property(kind, member) for member in kind.members}
        required = [member.name for member in kind.members if member.name in kind.required]
        definition = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        yield str(kind.slug), definition


def _property(kind: Kind, member: Member) -> dict[str, Any]:
    if member.name in _WORDS:
        return {"enum": list(_WORDS[member.name])}
    if member.name == "name":
        return {"type": "string", "minLength": 1, "maxLength": kind.name_limit}
    return dict(_TYPES[member.type])
