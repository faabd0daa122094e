"""Every measured combination of filters, mapping rules and client detection rules."""

from typing import Any

import pytest

from tests.expressions.vectors import COMBINATIONS
from tvarr_backup.expressions import Domain
from tvarr_backup.expressions.cases import name_refusal
from tvarr_backup.expressions.client_rules import ClientRule, ClientRules
from tvarr_backup.expressions.filter_stage import FilterAction, FilterStage, FilterUse, StageStopped
from tvarr_backup.expressions.mapping_stage import ChannelGroups, MappingRule, MappingStage

DOMAINS = {
    "filters": {"stream": Domain.STREAM_FILTER, "epg": Domain.EPG_FILTER},
    "rules": {"stream": Domain.STREAM_MAPPING, "epg": Domain.EPG_MAPPING},
}


def named(kind: str) -> list[Any]:
    cases = [case for case in COMBINATIONS if case["kind"] == kind]
    return [pytest.param(case, id=case["note"]) for case in cases]


def refusal(case: dict[str, Any], stopped: StageStopped) -> str:
    refused = case[case["kind"]][stopped.position]
    return name_refusal(refused["expression"], DOMAINS[case["kind"]][refused["for"]])


def test_there_are_74_cases() -> None:
    assert len(COMBINATIONS) == 74
    assert {case["kind"] for case in COMBINATIONS} == {"filters", "rules", "client"}


@pytest.mark.parametrize("case", named("filters"))
def test_filters_of_a_proxy(case: dict[str, Any]) -> None:
    filters = [
        FilterUse(
            each["expression"],
            DOMAINS["filters"][each["for"]],
            FilterAction(each["action"]),
            each["priority"],
            is_active=each.get("active", True),
        )
        for each in case["filters"]
    ]
    channels, programmes = case["channels"], case.get("programmes", [])
    found: dict[str, Any] = {"channels_left": None, "error": None, "programmes_left": None}
    try:
        stage = FilterStage(filters)
    except StageStopped as stopped:
        found["error"] = refusal(case, stopped)
    else:
        left = [row for row, stays in zip(channels, stage.filter_channels(channels), strict=True) if stays]
        guide_ids = {row["tvg_id"] for row in left}
        kept = zip(programmes, stage.filter_programmes(programmes, guide_ids), strict=True)
        found["channels_left"] = [row["channel_name"] for row in left]
        found["programmes_left"] = [row["programme_title"] for row, stays in kept if stays]

    assert found == case["expected"]


@pytest.mark.parametrize("case", named("rules"))
def test_all_mapping_rules(case: dict[str, Any]) -> None:
    rules = [
        MappingRule(
            each["expression"],
            DOMAINS["rules"][each["for"]],
            each["priority"],
            is_enabled=each.get("enabled", True),
            stop_on_match=each.get("stop_on_match", False),
        )
        for each in case["rules"]
    ]
    channels = [{"stream_url": "http://stream.example/1", **row} for row in case["channels"]]
    found: dict[str, Any] = {"channels_after": [{} for _ in channels], "error": None, "programmes_after": []}
    groups = ChannelGroups()
    try:
        stage = MappingStage(rules)
    except StageStopped as stopped:
        found["error"] = refusal(case, stopped)
    else:
        mapped = list(stage.map_channels(channels))
        for row, result in zip(channels, mapped, strict=True):
            groups.add(row, result)
        found["channels_after"] = [result.after for result in mapped]
        programmes = stage.map_programmes(case.get("programmes", []), groups)
        found["programmes_after"] = [result.after for result in programmes]

    assert found == case["expected"]


@pytest.mark.parametrize("case", named("client"))
def test_all_client_detection_rules(case: dict[str, Any]) -> None:
    rules = [
        ClientRule(
            each["expression"],
            each["priority"],
            is_enabled=each.get("enabled", True),
            preferred_video_codec=each.get("video", ""),
            preferred_audio_codec=each.get("audio", ""),
            preferred_format=each.get("format", ""),
            supports_fmp4=each.get("fmp4"),
            supports_mpegts=each.get("mpegts"),
        )
        for each in case["rules"]
    ]

    detected = ClientRules(rules).detect(case["row"])

    assert {
        "accepted_audio": [detected.audio_codec],  # the rules of these cases have no lists of accepted codecs
        "accepted_video": [detected.video_codec],
        "audio": detected.audio_codec,
        "first_matching_rule": case["rules"][detected.matching[0]]["name"] if detected.matching else None,
        "fmp4": detected.supports_fmp4,
        "format": detected.format,
        "mpegts": detected.supports_mpegts,
        "video": detected.video_codec,
    } == case["expected"]["result"]
