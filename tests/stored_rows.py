"""Rows as tvarr's import stores them, without a check of what they hold."""

from __future__ import annotations

from typing import Any

from tvarr_backup.models import PortableRow
from tvarr_backup.portable.kinds import KINDS, Slug

QUESTIONABLE: dict[Slug, dict[str, Any]] = {
    Slug.FILTERS: {
        "name": " Harbour ",
        "description": "d" * 2000,
        "source_type": "radio",
        "action": "nuke",
        "expression": "channel_name",
        "source_id": "01KAEHXEGJ5GMS392SP1ZYMK59",
    },
    Slug.DATA_MAPPING_RULES: {
        "name": "N" * 300,
        "description": "d" * 2000,
        "source_type": "radio",
        "expression": "SET",
        "source_id": "01KAEHXEGJ5GMS392SP1ZYMK59",
    },
    Slug.CLIENT_DETECTION_RULES: {
        "name": "\tTablet",
        "description": "d" * 2000,
        "expression": "(",
        "accepted_video_codecs": ["betamax"],
        "accepted_audio_codecs": ["cd"],
        "preferred_video_codec": "vhs",
        "preferred_audio_codec": "cd",
        "preferred_format": "tape",
        "supports_fmp4": False,
        "supports_mpegts": False,
    },
    Slug.ENCODING_PROFILES: {
        "name": f" {'N' * 200} ",
        "description": "d" * 2000,
        "target_video_codec": "betamax",
        "global_flags": "f" * 2000,
        "input_flags": "f" * 2000,
        "output_flags": "f" * 2000,
    },
}


def store_questionable(slug: Slug, **values: Any) -> PortableRow:
    """Store a row of the kind that no form of ours would take, and return it."""
    row: PortableRow = KINDS[slug].model.objects.create(**(QUESTIONABLE[slug] | values))
    return row
