"""Items of each kind with everything that tvarr stores, for imports into another installation."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tvarr_backup.portable.kinds import Slug

_EMOJI = (
    "\U0001f3f4\u200d\u2620\ufe0f",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "e\u0301",
    "\u0130",
    "\u2028",
    "\u00a0",
    "\ufeff",
)
"""Joiners, combining marks, a letter that gets longer with case folding, and characters that JSON may escape."""

_ANY = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
_PIECE = st.text(_ANY, max_size=12) | st.sampled_from(
    [*_EMOJI, " ", "\t", "\r\n", "“”", '"', "\\", "</script>", "ß", "日本"]
)
TEXT = st.lists(_PIECE, max_size=4).map("".join)
NAME = (
    st.sampled_from(["No adult", " No adult", "No adult ", "no adult", "A", "A (1)"])
    | TEXT.filter(bool)
    | st.text("N", min_size=290, max_size=300)
)
LONG_TEXT = TEXT | st.integers(1_000, 3_000).map(lambda number: "d" * number)
ID = st.none() | st.just("01KAEHXEGJ5GMS392SP1ZYMK59") | st.just("01KAEHXEGJ5GMS392SP1ZYMK60")
FLAG = st.sampled_from([None, 0, 1])
INTEGER = st.none() | st.integers(-(2**63), 2**63 - 1) | st.just(0)
CODECS = st.sampled_from([None, "", '["h264","h265"]', '["betamax"]', "[]", '["\U0001f3f4\u200d\u2620\ufe0f"]'])


def _channels(number: int) -> str:
    return " OR ".join(f'channel_name equals "Harbour Channel {each} HD \u2693"' for each in range(number))


EXPRESSION = (
    st.sampled_from(['group_title equals "News"', "channel_name", "((", " ", "", 'x contains "a" AND', "true"])
    | TEXT
    | st.sampled_from([330, 1_500]).map(_channels)
)
SOURCE_TYPE = st.sampled_from(["stream", "epg", "radio", ""])

_OF_ALL = {"name": NAME, "description": st.none() | LONG_TEXT}
COLUMNS: dict[Slug, dict[str, st.SearchStrategy[Any]]] = {
    Slug.FILTERS: {
        **_OF_ALL,
        "source_type": SOURCE_TYPE,
        "action": st.sampled_from(["include", "exclude", "nuke", ""]),
        "expression": EXPRESSION,
        "source_id": ID,
    },
    Slug.DATA_MAPPING_RULES: {
        **_OF_ALL,
        "source_type": SOURCE_TYPE,
        "expression": EXPRESSION,
        "priority": INTEGER,
        "stop_on_match": FLAG,
        "is_enabled": FLAG,
        "source_id": ID,
    },
    Slug.CLIENT_DETECTION_RULES: {
        **_OF_ALL,
        "expression": EXPRESSION,
        "priority": INTEGER,
        "is_enabled": FLAG,
        "accepted_video_codecs": CODECS,
        "accepted_audio_codecs": CODECS,
        "preferred_video_codec": st.none() | st.sampled_from(["", "h264", "vhs"]),
        "preferred_audio_codec": st.none() | TEXT,
        "supports_fmp4": FLAG,
        "supports_mpegts": FLAG,
        "preferred_format": st.none() | st.sampled_from(["", "hls-ts", "tape"]),
        "encoding_profile_id": st.sampled_from([None, "profile"]),
    },
    Slug.ENCODING_PROFILES: {
        **_OF_ALL,
        "target_video_codec": st.sampled_from(["h264", "h265", "vp9", "av1", None, ""]),
        "target_audio_codec": st.sampled_from(["aac", "opus", "ac3", "eac3", "mp3", None, ""]),
        "quality_preset": st.sampled_from(["low", "medium", "high", "ultra", None, ""]),
        "hw_accel": st.sampled_from(["auto", "none", "cuda", "vaapi", None, ""]),
        "global_flags": st.none() | LONG_TEXT,
        "input_flags": st.none() | TEXT,
        "output_flags": st.none() | TEXT,
        "is_default": FLAG,
        "enabled": FLAG,
    },
}
"""Values that tvarr stores in each column; its import does not validate them."""


def make_rows(slug: Slug, number: int) -> list[dict[str, Any]]:
    """Return rows of a kind, some of them equal. Names of profiles differ, because of tvarr's index."""
    made: list[dict[str, Any]] = []

    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(st.fixed_dictionaries(COLUMNS[slug]))
    def collect(row: dict[str, Any]) -> None:
        made.append(row)

    collect()
    names: set[str] = set()
    for row in made if slug is Slug.ENCODING_PROFILES else ():
        while row["name"] in names:
            row["name"] += "'"
        names.add(row["name"])
    repeated = () if slug is Slug.ENCODING_PROFILES else made[: number // 20]
    return [*made, *repeated, *made][:number] if len(made) < number and repeated else [*repeated, *made][:number]
