"""Export files for tests, as tvarr writes them."""

import io
import json
from typing import Any

from tvarr_backup.portable.envelope import Envelope, read_envelope
from tvarr_backup.portable.kinds import KINDS, Kind, Slug

FILTERS = KINDS[Slug.FILTERS]
MAPPING = KINDS[Slug.DATA_MAPPING_RULES]
CLIENTS = KINDS[Slug.CLIENT_DETECTION_RULES]
PROFILES = KINDS[Slug.ENCODING_PROFILES]

OWN_VERSION = "tvarr-backup test"


def document(kind: Kind, *items: Any, **metadata: Any) -> dict[str, Any]:
    """An export as a JSON value."""
    head = {
        "version": "1.0.0",
        "tvarr_version": OWN_VERSION,
        "export_type": kind.slug,
        "exported_at": "2026-01-02T03:04:05.123456789Z",
        "item_count": len(items),
    }
    return {"metadata": head | metadata, "items": list(items)}


def bundle(*sections: tuple[Kind, Any], **metadata: Any) -> dict[str, Any]:
    """An export of several kinds as a JSON value."""
    count = sum(len(items) for _, items in sections)
    head = document(FILTERS)["metadata"] | {"version": "1.1.0", "export_type": "bundle", "item_count": count}
    return {"metadata": head | metadata, "sections": {str(kind.slug): items for kind, items in sections}}


ENCODINGS = ("utf-8-sig", "utf-16-le", "utf-16-be")


def encoded(value: Any, encoding: str) -> bytes:
    """A JSON value as text with a byte order mark."""
    mark = "" if encoding == "utf-8-sig" else "\ufeff"
    return (mark + json.dumps(value, ensure_ascii=False)).encode(encoding)


def read(value: Any, kind: Kind = FILTERS) -> Envelope:
    """Read a JSON value, a text or bytes as an export of `kind`."""
    if not isinstance(value, str | bytes):
        value = json.dumps(value)
    raw = value.encode() if isinstance(value, str) else value
    return read_envelope(io.BytesIO(raw), kind)


def envelope(kind: Kind, *items: Any) -> Envelope:
    """An export of these items, read."""
    return read(document(kind, *items), kind)


def filter_item(name: str = "Harbour News", **members: Any) -> dict[str, Any]:
    """A filter as an item."""
    base = {"name": name, "expression": 'group_title == "News"', "source_type": "stream", "action": "include"}
    return base | members


def mapping_item(name: str = "Tidy Names", **members: Any) -> dict[str, Any]:
    """A data mapping rule as an item."""
    base = {
        "name": name,
        "expression": 'channel_name contains "HD" SET tvg_name = "x"',
        "source_type": "stream",
        "priority": 10,
        "stop_on_match": False,
        "is_enabled": True,
    }
    return base | members


def client_item(name: str = "Kitchen Tablet", **members: Any) -> dict[str, Any]:
    """A client detection rule as an item."""
    base = {
        "name": name,
        "expression": '@dynamic(request.headers):user-agent contains "Tablet"',
        "priority": 50,
        "is_enabled": True,
        "supports_fmp4": True,
        "supports_mpegts": True,
    }
    return base | members


def profile_item(name: str = "Tablet HEVC", **members: Any) -> dict[str, Any]:
    """An encoding profile as an item."""
    base = {
        "name": name,
        "target_video_codec": "h265",
        "target_audio_codec": "aac",
        "quality_preset": "low",
        "hw_accel": "auto",
        "is_default": False,
        "enabled": True,
    }
    return base | members


EXAMPLES = {
    Slug.FILTERS: filter_item,
    Slug.DATA_MAPPING_RULES: mapping_item,
    Slug.CLIENT_DETECTION_RULES: client_item,
    Slug.ENCODING_PROFILES: profile_item,
}
