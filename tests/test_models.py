"""The four kinds: live rows, deletion, and validation."""

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connections, transaction
from django.utils import timezone
from factory.django import DjangoModelFactory

from tests.factories import (
    ClientDetectionRuleFactory,
    DataMappingRuleFactory,
    EncodingProfileFactory,
    FilterFactory,
    ProxyFilterFactory,
    StreamProxyFactory,
)
from tvarr_backup.codec_names import AUDIO_CODECS, PREFERRED_FORMATS, VIDEO_CODECS
from tvarr_backup.errors import ItemInUse, SystemRowReadOnly
from tvarr_backup.models import (
    ClientDetectionRule,
    DataMappingRule,
    EncodingProfile,
    Filter,
    PortableRow,
    StreamProxy,
)
from tvarr_backup.quoting import format_choices

pytestmark = pytest.mark.django_db

Factory = type[DjangoModelFactory[Any]]
FACTORIES: list[Factory] = [
    FilterFactory,
    DataMappingRuleFactory,
    ClientDetectionRuleFactory,
    EncodingProfileFactory,
]
KEPT_WHEN_DELETED: list[Factory] = FACTORIES[:3]


def raw(row: Any) -> dict[str, Any] | None:
    """Return the row as it is stored."""
    with connections["tvarr"].cursor() as cursor:
        cursor.execute(f"SELECT * FROM {row._meta.db_table} WHERE id = %s", [row.pk])
        values = cursor.fetchone()
        names = [column[0] for column in cursor.description]
    return None if values is None else dict(zip(names, values, strict=True))


def problems(row: Any) -> dict[str, list[tuple[str | None, str]]]:
    """Return codes and messages of validation, by field."""
    with pytest.raises(ValidationError) as refused:
        row.full_clean()
    return {
        field: [(error.code, error.messages[0]) for error in errors]
        for field, errors in refused.value.error_dict.items()
    }


# --- Managers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factory", [*FACTORIES, StreamProxyFactory])
def test_a_row_that_tvarr_has_deleted_is_only_among_all_rows(factory: Factory) -> None:
    live, dead = factory.create(), factory.create(deleted_at=timezone.now())
    model = type(live)
    assert list(model.objects.filter(pk__in=[live.pk, dead.pk])) == [live]
    assert set(model.all_rows.filter(pk__in=[live.pk, dead.pk])) == {live, dead}


def test_a_link_to_a_deleted_row_can_still_be_followed() -> None:
    rule = ClientDetectionRuleFactory.create(encoding_profile=EncodingProfileFactory.create(deleted_at=timezone.now()))
    assert ClientDetectionRule.objects.get(pk=rule.pk).encoding_profile.deleted_at is not None


def test_a_deleted_row_can_be_saved() -> None:
    row = FilterFactory.create(deleted_at=timezone.now())
    row.name = "Harbour, renamed"
    row.save()
    assert Filter.all_rows.get(name="Harbour, renamed") == row


# --- Deleting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factory", KEPT_WHEN_DELETED)
def test_deleting_writes_the_time_and_nothing_else(factory: Factory) -> None:
    row = factory.create()
    before = raw(row)
    row.name = "Changed, but never saved"
    assert row.delete() == (1, {row._meta.label: 1})
    after = raw(row)
    assert before is not None
    assert after is not None
    assert after["deleted_at"] is not None
    assert after | {"deleted_at": None} == before


def test_a_profile_is_removed() -> None:
    profile = EncodingProfileFactory.create()
    assert profile.delete() == (1, {"tvarr_backup.EncodingProfile": 1})
    assert raw(profile) is None


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_built_in_row_is_not_deleted(factory: Factory) -> None:
    row = factory.create(name="Harbour Own", is_system=True)
    with pytest.raises(
        SystemRowReadOnly, match=r"Harbour Own.* is one of tvarr's built-in .+s and cannot be deleted\.$"
    ):
        row.delete()
    assert type(row).objects.filter(pk=row.pk).exists()


def test_a_filter_that_a_proxy_uses_is_not_deleted() -> None:
    link = ProxyFilterFactory.create(filter__name="Harbour", proxy__name="Living room")
    with pytest.raises(
        ItemInUse, match=r"Harbour.* cannot be deleted, because the stream proxy .Living room. uses it\.$"
    ):
        link.filter.delete()
    assert Filter.objects.filter(pk=link.filter.pk).exists()


@pytest.mark.parametrize("gone", ["proxy", "link"])
def test_a_filter_whose_use_has_been_deleted_is_deleted(gone: str) -> None:
    link = ProxyFilterFactory.create()
    (link if gone == "link" else link.proxy).mark_deleted()
    link.filter.delete()
    assert not Filter.objects.filter(pk=link.filter.pk).exists()


def test_a_profile_that_a_proxy_uses_is_not_deleted() -> None:
    profile = EncodingProfileFactory.create(name="Attic")
    StreamProxyFactory.create(name="Living room", encoding_profile=profile)
    with pytest.raises(
        ItemInUse, match=r"Attic.* cannot be deleted, because the stream proxy .Living room. uses it\.$"
    ):
        profile.delete()


@pytest.mark.parametrize("deleted_at", [None, timezone.now()])
def test_a_profile_that_a_rule_uses_is_not_deleted_even_if_the_rule_is(deleted_at: Any) -> None:
    profile = EncodingProfileFactory.create(name="Attic")
    ClientDetectionRuleFactory.create(name="Tablet", encoding_profile=profile, deleted_at=deleted_at)
    with pytest.raises(
        ItemInUse, match=r"Attic.* cannot be deleted, because the client detection rule .Tablet. uses it\.$"
    ):
        profile.delete()
    assert EncodingProfile.objects.filter(pk=profile.pk).exists()


def test_tvarrs_foreign_key_would_refuse_it_too(attached: Any) -> None:
    (rule,) = ClientDetectionRule.objects.all()
    rule.delete()
    with closing(sqlite3.connect(attached)) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("DELETE FROM encoding_profiles WHERE id = ?", [rule.encoding_profile_id])


# --- Names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factory", KEPT_WHEN_DELETED)
def test_names_may_repeat(factory: Factory) -> None:
    factory.create(name="Harbour")
    factory.build(name="Harbour").full_clean()


@pytest.mark.parametrize("deleted_at", [None, timezone.now()])
def test_the_name_of_a_profile_is_taken_even_by_a_deleted_one(deleted_at: Any) -> None:
    EncodingProfileFactory.create(name="Attic", deleted_at=deleted_at)
    row = EncodingProfileFactory.build(name="Attic")
    assert [code for code, _ in problems(row)["name"]] == ["unique"]
    row.full_clean(exclude=["name"])
    EncodingProfileFactory.build(name="attic").full_clean()
    with pytest.raises(IntegrityError), transaction.atomic(using="tvarr"):
        EncodingProfileFactory.create(name="Attic")


# --- What may be stored ----------------------------------------------------------------------------------------------

# tvarr's registry as its reference lists it, not as our code does.
VIDEO_WORDS = [
    "h264",
    "avc",
    "avc1",
    "h.264",
    "libx264",
    "h264_nvenc",
    "h264_qsv",
    "h264_vaapi",
    "h264_videotoolbox",
    "h264_amf",
    "h264_mf",
    "h264_omx",
    "h264_v4l2m2m",
    "h265",
    "hevc",
    "hev1",
    "hvc1",
    "h.265",
    "libx265",
    "hevc_nvenc",
    "hevc_qsv",
    "hevc_vaapi",
    "hevc_videotoolbox",
    "hevc_amf",
    "hevc_mf",
    "hevc_v4l2m2m",
    "vp8",
    "libvpx",
    "vp9",
    "vp09",
    "libvpx-vp9",
    "vp9_qsv",
    "vp9_vaapi",
    "av1",
    "av01",
    "libaom-av1",
    "libsvtav1",
    "librav1e",
    "av1_nvenc",
    "av1_qsv",
    "av1_vaapi",
    "av1_amf",
    "mpeg1",
    "mpeg1video",
    "mpeg2",
    "mpeg2video",
    "mpeg4",
    "vc1",
    "wmv3",
    "prores",
    "prores_ks",
    "dnxhd",
    "dnxhr",
    "theora",
    "libtheora",
]
AUDIO_WORDS = [
    "aac",
    "mp4a",
    "libfdk_aac",
    "aac_at",
    "mp3",
    "mp3float",
    "libmp3lame",
    "ac3",
    "ac-3",
    "a52",
    "ac3_fixed",
    "eac3",
    "ec-3",
    "opus",
    "libopus",
    "vorbis",
    "libvorbis",
    "flac",
    "libflac",
    "dts",
    "dca",
    "truehd",
    "mlp",
    "pcm",
    "pcm_s16le",
    "pcm_s24le",
    "pcm_s32le",
]
FORMAT_WORDS = ["hls-fmp4", "fmp4", "hls-ts", "ts", "dash", "mpegts"]

ACCEPTED: list[tuple[Factory, dict[str, Any]]] = [
    *[(factory, {"name": "n" * 255}) for factory in KEPT_WHEN_DELETED],
    *[(factory, {"description": "d" * 1024}) for factory in KEPT_WHEN_DELETED],
    *[(factory, {"description": None}) for factory in FACTORIES],
    *[(factory, {"name": "ü" * 100}) for factory in FACTORIES],
    *[(factory, {"name": "“Grüße” 🌊 <b>"}) for factory in FACTORIES],
    *[
        (factory, {"priority": number})
        for factory in (DataMappingRuleFactory, ClientDetectionRuleFactory)
        for number in (-(2**63), -1, 0, 2**63 - 1)
    ],
    (FilterFactory, {"action": "exclude", "source_type": "epg", "expression": 'programme_title contains "x"'}),
    (FilterFactory, {"source_id": "01ka31s5he6q4m3d68zs9w6cvm"}),
    (DataMappingRuleFactory, {"source_type": "epg", "expression": 'programme_title contains "x" SET category = "y"'}),
    *[(ClientDetectionRuleFactory, {"accepted_video_codecs": [name]}) for name in VIDEO_WORDS],
    *[(ClientDetectionRuleFactory, {"accepted_audio_codecs": [name]}) for name in AUDIO_WORDS],
    *[(ClientDetectionRuleFactory, {"preferred_format": name}) for name in FORMAT_WORDS],
    (ClientDetectionRuleFactory, {"accepted_video_codecs": [], "accepted_audio_codecs": []}),
    (ClientDetectionRuleFactory, {"preferred_video_codec": " HEVC ", "preferred_audio_codec": "mp4a"}),
    (ClientDetectionRuleFactory, {"preferred_video_codec": "", "preferred_audio_codec": "", "preferred_format": ""}),
    (ClientDetectionRuleFactory, {"supports_fmp4": False, "supports_mpegts": True}),
    (ClientDetectionRuleFactory, {"supports_fmp4": True, "supports_mpegts": False}),
    (EncodingProfileFactory, {"description": "d" * 500}),
    (EncodingProfileFactory, {"global_flags": "g" * 500, "input_flags": "i" * 500, "output_flags": "o" * 1000}),
    (EncodingProfileFactory, {"hw_accel": ""}),
    (EncodingProfileFactory, {"output_flags": "-c:v copy", "target_video_codec": "copy", "quality_preset": "own"}),
    (EncodingProfileFactory, {"output_flags": "-c:a copy", "target_audio_codec": "copy"}),
    (EncodingProfileFactory, {"output_flags": "-c copy", "target_video_codec": "", "quality_preset": ""}),
    (EncodingProfileFactory, {"input_flags": "-hwaccel rkmpp", "hw_accel": "rkmpp"}),
    *[(EncodingProfileFactory, {"target_video_codec": word}) for word in ("h264", "h265", "vp9", "av1")],
    *[(EncodingProfileFactory, {"target_audio_codec": word}) for word in ("aac", "opus", "ac3", "eac3", "mp3")],
    *[(EncodingProfileFactory, {"quality_preset": word}) for word in ("low", "medium", "high", "ultra")],
    *[
        (EncodingProfileFactory, {"hw_accel": word})
        for word in ("auto", "none", "cuda", "qsv", "vaapi", "videotoolbox")
    ],
]

TOO_LONG = "Expected at most {1} characters, got {0}."
NO_HIDDEN = "Expected a name without control characters, line breaks, text direction marks and invisible characters,"
NOT_WELL_FORMED = "Expected text without NUL and unpaired surrogates, got U+{1} at character {0}."
UNKNOWN = 'Expected {1}, or an alias of one of these, got "{0}".'
VIDEO, AUDIO, FORMATS = map(format_choices, (VIDEO_CODECS, AUDIO_CODECS, PREFERRED_FORMATS))


def not_a_choice(value: str, *choices: str) -> str:
    return f'Expected {format_choices(choices)}, got "{value}".'


REFUSED: list[tuple[Factory, str, Any, str, str]] = [
    *[(factory, "name", "", "blank", "This field cannot be blank.") for factory in FACTORIES],
    *[(factory, "name", "n" * 256, "max_length", TOO_LONG.format(256, 255)) for factory in KEPT_WHEN_DELETED],
    *[
        (factory, "name", name, "blanks_around", f'Expected a name without spaces around it, got "{name}".')
        for factory in FACTORIES
        for name in (" Harbour", "Harbour\u2003", "\u00a0Harbour", "Harbour\u3000")
    ],
    *[
        (factory, "name", name, "hidden_characters", f"{NO_HIDDEN} got {found}.")
        for factory in FACTORIES
        for name, found in {
            "Har\x1b[2Jbour\x07": "U+001B at character 4 (and 1 more)",
            "Har\nbour": "U+000A at character 4",
            "H\u202earbour": "U+202E at character 2",
            "Harbour\u200b": "U+200B at character 8",
            "\U000e0041Harbour": "U+E0041 at character 1",
        }.items()
    ],
    *[(factory, "name", "Har\0bour", "malformed_text", NOT_WELL_FORMED.format(4, "0000")) for factory in FACTORIES],
    *[(factory, "description", "\ud800", "malformed_text", NOT_WELL_FORMED.format(1, "D800")) for factory in FACTORIES],
    *[
        (factory, "description", "d" * 1025, "max_length", TOO_LONG.format(1025, 1024))
        for factory in KEPT_WHEN_DELETED
    ],
    *[(factory, "expression", "", "blank", "This field cannot be blank.") for factory in KEPT_WHEN_DELETED],
    *[
        (factory, "expression", 'channel_name contains "x', "invalid_expression", "Column ")
        for factory in KEPT_WHEN_DELETED
    ],
    *[
        (factory, "priority", number, code, f"Ensure this value is {word} than or equal to {limit}.")
        for factory in (DataMappingRuleFactory, ClientDetectionRuleFactory)
        for number, code, word, limit in (
            (2**63, "max_value", "less", 2**63 - 1),
            (-(2**63) - 1, "min_value", "greater", -(2**63)),
        )
    ],
    *[
        (factory, "source_type", "radio", "invalid_choice", not_a_choice("radio", "stream", "epg"))
        for factory in (FilterFactory, DataMappingRuleFactory)
    ],
    *[
        (factory, "source_id", "harbour", "invalid_ulid", "Expected an id of 26 characters")
        for factory in (FilterFactory, DataMappingRuleFactory)
    ],
    (FilterFactory, "action", "drop", "invalid_choice", not_a_choice("drop", "include", "exclude")),
    (FilterFactory, "action", "Include", "invalid_choice", not_a_choice("Include", "include", "exclude")),
    (FilterFactory, "action", "", "blank", "This field cannot be blank."),
    (ClientDetectionRuleFactory, "accepted_video_codecs", ["h264", "h.266"], "unknown_codec", UNKNOWN.format("h.266", VIDEO)),
    (ClientDetectionRuleFactory, "accepted_video_codecs", ["aac"], "unknown_codec", UNKNOWN.format("aac", VIDEO)),
    (ClientDetectionRuleFactory, "accepted_audio_codecs", ["mp5"], "unknown_codec", UNKNOWN.format("mp5", AUDIO)),
    (
        ClientDetectionRuleFactory,
        "accepted_video_codecs",
        '["h264"',
        "invalid_codec_list",
        "Expected a list of codec names, or an empty list to accept everything, got",
    ),
    (ClientDetectionRuleFactory, "preferred_video_codec", "h266", "unknown_codec", UNKNOWN.format("h266", VIDEO)),
    (ClientDetectionRuleFactory, "preferred_audio_codec", "h264", "unknown_codec", UNKNOWN.format("h264", AUDIO)),
    (ClientDetectionRuleFactory, "preferred_format", "mkv", "unknown_format", UNKNOWN.format("mkv", FORMATS)),
    (EncodingProfileFactory, "name", "n" * 101, "max_length", TOO_LONG.format(101, 100)),
    (EncodingProfileFactory, "description", "d" * 501, "max_length", TOO_LONG.format(501, 500)),
    (EncodingProfileFactory, "global_flags", "g" * 501, "max_length", TOO_LONG.format(501, 500)),
    (EncodingProfileFactory, "input_flags", "i" * 501, "max_length", TOO_LONG.format(501, 500)),
    (EncodingProfileFactory, "output_flags", "o" * 1001, "max_length", TOO_LONG.format(1001, 1000)),
    (EncodingProfileFactory, "target_video_codec", "hevc", "invalid_choice", not_a_choice("hevc", "h264", "h265", "vp9", "av1")),
    (EncodingProfileFactory, "target_audio_codec", "AAC", "invalid_choice", not_a_choice("AAC", "aac", "opus", "ac3", "eac3", "mp3")),
    (EncodingProfileFactory, "quality_preset", "best", "invalid_choice", not_a_choice("best", "low", "medium", "high", "ultra")),
    (EncodingProfileFactory, "hw_accel", "rkmpp", "invalid_choice", not_a_choice("rkmpp", "auto", "none", "cuda", "qsv", "vaapi", "videotoolbox")),
]  # fmt: skip


@pytest.mark.parametrize(("factory", "values"), ACCEPTED)
def test_it_is_accepted_and_read_unchanged(factory: Factory, values: dict[str, Any]) -> None:
    row = factory.build(**values)
    row.full_clean()
    row.save()
    read = type(row).objects.get(pk=row.pk)
    assert {name: getattr(read, name) or None for name in values} == {
        name: getattr(row, name) or None for name in values
    }


@pytest.mark.parametrize(
    "name",
    [
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 TV",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\u05e9\u05b0\u05c1",
    ],
)
@pytest.mark.parametrize("factory", FACTORIES)
def test_a_name_in_any_script_is_accepted(factory: Factory, name: str) -> None:
    factory.build(name=name).full_clean()


@pytest.mark.parametrize(("factory", "field", "value", "code", "sentence"), REFUSED)
def test_it_is_refused(factory: Factory, field: str, value: Any, code: str, sentence: str) -> None:
    found = problems(factory.build(**{field: value}))
    assert list(found) == [field]
    ((its_code, its_sentence),) = found[field]
    assert its_code == code
    assert its_sentence.startswith(sentence)


@pytest.mark.parametrize(
    ("registry", "names"), [(VIDEO_CODECS, VIDEO_WORDS), (AUDIO_CODECS, AUDIO_WORDS), (PREFERRED_FORMATS, FORMAT_WORDS)]
)
def test_tvarr_knows_every_known_name(registry: dict[str, tuple[str, ...]], names: list[str] | set[str]) -> None:
    assert frozenset(registry).union(*registry.values()) == set(names)


def test_a_client_that_can_play_nothing_is_refused() -> None:
    row = ClientDetectionRuleFactory.build(supports_fmp4=False, supports_mpegts=False)
    sentence = "Expected support for fMP4, MPEG-TS or both, got neither."
    assert problems(row) == {"supports_mpegts": [("no_container", sentence)]}


def test_output_flags_do_not_replace_the_hardware_acceleration() -> None:
    row = EncodingProfileFactory.build(output_flags="-c:v copy", target_video_codec="copy", hw_accel="rkmpp")
    assert list(problems(row)) == ["hw_accel"]


def test_input_flags_do_not_replace_the_codecs() -> None:
    row = EncodingProfileFactory.build(input_flags="-re", target_video_codec="copy", hw_accel="rkmpp")
    assert list(problems(row)) == ["target_video_codec"]


def test_all_problems_are_returned_together() -> None:
    row = EncodingProfileFactory.build(name=" Attic", target_video_codec="x", quality_preset="y", hw_accel="z")
    assert set(problems(row)) == {"name", "target_video_codec", "quality_preset", "hw_accel"}


@pytest.mark.parametrize(
    ("row", "domain"),
    [
        (Filter(source_type="stream"), "stream_filter"),
        (Filter(source_type="epg"), "epg_filter"),
        (DataMappingRule(source_type="stream"), "stream_mapping"),
        (DataMappingRule(source_type="epg"), "epg_mapping"),
        (ClientDetectionRule(), "client_detection"),
    ],
)
def test_kind_and_source_type_determine_the_domain(
    row: Filter | DataMappingRule | ClientDetectionRule, domain: str
) -> None:
    assert row.domain == domain


def test_every_refusal_names_a_field_of_its_kind() -> None:
    models: list[type[PortableRow]] = [Filter, DataMappingRule, ClientDetectionRule, EncodingProfile]
    for model in models:
        fields = {field.name for field in model._meta.concrete_fields}
        tried = {field for factory, field, *_ in REFUSED if factory._meta.model is model}
        assert tried <= fields
        assert {"name", "description"} < tried


def test_a_proxy_that_uses_a_profile_keeps_its_name() -> None:
    profile = EncodingProfileFactory.create()
    StreamProxyFactory.create(name="Living room", encoding_profile=profile, deleted_at=timezone.now())
    assert [str(user) for queryset in profile.users() for user in queryset] == ["Living room"]
    assert not StreamProxy.objects.filter(encoding_profile=profile).exists()
