"""Rows of the four kinds as JSON: their members, and how a row is stored from them."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from datetime import UTC
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from drf_spectacular.drainage import get_override
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.fields import empty, get_attribute

from tvarr_backup import codecs, models
from tvarr_backup.api.schema import RESTART_REQUIRED
from tvarr_backup.api.strict import Flag, StrictSerializer, Text, Texts, Whole, Word
from tvarr_backup.fields import parse_ulid
from tvarr_backup.validation import expression_findings

_CODEC_LISTS = ("accepted_video_codecs", "accepted_audio_codecs")
_RECORD = ("is_system", "created_at", "updated_at", "warnings")


class ItemWarningSerializer(serializers.Serializer[Any]):
    """Something that tvarr accepts and does differently from what it seems to say."""

    field = serializers.CharField()
    code = serializers.CharField()
    column = serializers.IntegerField(allow_null=True, help_text="In the text of the field, 1 for the first character.")
    message = serializers.CharField()


class Kept(serializers.Field[Any, Any, Any, Any]):
    """A member that is sent as it was read is not checked: the row keeps what tvarr has stored."""

    def run_validation(self, data: Any = empty) -> Any:
        row = getattr(self.parent, "instance", None)
        if not isinstance(row, models.PortableRow) or data is empty:
            return super().run_validation(data)
        shown = self.get_attribute(row)
        shown = None if shown is None else self.to_representation(shown)
        stored: Any = row.unreadable.get(str(self.source), shown)
        if type(data) is type(shown) and data == shown == stored:
            return get_attribute(row, self.source_attrs)
        return super().run_validation(data)


class ItemText(Kept, Text):
    """A text of a row."""


class ItemFlag(Kept, Flag):
    """A flag of a row."""


class ItemWord(Kept, Word):
    """One of a few words; another one that is stored is shown."""


class Priority(Kept, Whole):
    """tvarr reads a missing one as 0."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            default=0, min_value=-(2**63), max_value=2**63 - 1, help_text="Lower ones are first.", **kwargs
        )

    def get_attribute(self, instance: Any) -> Any:
        return super().get_attribute(instance) or 0


class CodecNames(Kept, Texts):
    """A stored text that is no list is shown as tvarr reads it: everything is accepted; a warning says so."""

    def to_representation(self, data: Any) -> list[Any]:
        return super().to_representation(data) if isinstance(data, list) else []


class Id(Kept, Text):
    """The id of another row, in its one stored form."""

    default_error_messages = {"null": "It is null; allowed is an id."}

    def to_internal_value(self, data: Any) -> str:
        return parse_ulid(super().to_internal_value(data))


class ItemSerializer(StrictSerializer):
    """What the four have in common; the rules are those of the models."""

    model: ClassVar[type[models.PortableRow]]
    ignored = StrictSerializer.ignored | {"restart_required"}

    id = Text(read_only=True)
    is_system = Flag(read_only=True, help_text="Whether tvarr brings it along; then little of it can be changed.")
    created_at = serializers.DateTimeField(read_only=True, allow_null=True, default_timezone=UTC)
    updated_at = serializers.DateTimeField(read_only=True, allow_null=True, default_timezone=UTC)
    warnings = serializers.SerializerMethodField(help_text="What tvarr will misunderstand.")

    def get_fields(self) -> dict[str, Any]:
        """The fields of the kind before those that are only a record."""
        fields = super().get_fields()
        return {name: field for name, field in fields.items() if name not in _RECORD} | {
            name: fields[name] for name in _RECORD
        }

    @extend_schema_field(ItemWarningSerializer(many=True))
    def get_warnings(self, row: Any) -> list[dict[str, Any]]:
        return list(_warnings(row))

    def create(self, values: dict[str, Any]) -> models.PortableRow:
        """Store a new row; raises Django's `ValidationError`."""
        row = self.model(**values)
        row.full_clean(_not_checked(row))
        row.save(force_insert=True)
        return row

    def update(self, row: Any, values: dict[str, Any]) -> models.PortableRow:
        """Store what differs, and no other column: a running tvarr may write others of the row at the same time.

        Raises `SystemRowReadOnly`, or Django's `ValidationError`.
        """
        changed = [name for name, value in values.items() if row.unreadable.get(name, getattr(row, name)) != value]
        row.refuse_to_change(changed)
        stored = copy(row)
        for name in changed:
            setattr(row, name, values[name])
        row.clean_change(stored, _not_checked(row))
        if changed:
            row.save(update_fields=[*changed, "updated_at"])
            row.unreadable = {name: stored for name, stored in row.unreadable.items() if name not in changed}
        return row  # type: ignore[no-any-return]  # of this very class


def _not_checked(row: models.PortableRow) -> set[str]:
    """The reference was looked up by its own field; NULL in other columns is tvarr's way to write the default."""
    null = {field.name for field in row._meta.fields if field.null and getattr(row, field.attname) is None}
    return {"encoding_profile", *null}


def _warnings(row: Any) -> Iterator[dict[str, Any]]:
    for name, sentence in row.unreadable_sentences.items():
        code = "invalid_codec_list" if name in _CODEC_LISTS else "unreadable"
        member = row._meta.get_field(name).name
        yield {"field": member, "code": code, "column": None, "message": sentence}
    if isinstance(row, models.EncodingProfile):
        return
    for warned in expression_findings(row.expression, row.domain).warnings:
        yield {
            "field": "expression",
            "code": str(warned.code),
            "column": warned.column,
            "message": warned.message,
        }


def _name(limit: int) -> ItemText:
    return ItemText(max_length=limit, help_text="Without blanks around it; compared exactly.")


def _description(limit: int) -> ItemText:
    return ItemText(max_length=limit, allow_blank=True, default="")


def _expression(domain: str) -> ItemText:
    return ItemText(help_text=f"In tvarr's language, as {domain}; `POST /expressions/validate` explains what is wrong.")


def _source_id() -> Id:
    return Id(allow_null=True, default=None, help_text="The only source that it is for; null: all.")


def _examples(name: str, sent: dict[str, Any], **members: Any) -> list[OpenApiExample]:
    """What may be sent, and the answer to it."""
    record = {
        "is_system": False,
        "created_at": "2026-03-01T18:00:00.120000Z",
        "updated_at": "2026-03-01T18:00:00.120000Z",
        "warnings": [],
    }
    answer = {"id": "01JN9Q4T7V8W2X5Y6Z0A1B2C3D", **sent, **members, **record}
    return [
        OpenApiExample(name, value=sent, request_only=True),
        OpenApiExample(name, value=answer, response_only=True, status_codes=["200", "201"]),
    ]


@extend_schema_serializer(
    examples=_examples(
        "Only the news",
        {
            "name": "Harbour News",
            "description": "Keeps what the harbour town likes.",
            "source_type": "stream",
            "action": "include",
            "expression": 'group_title equals "News"',
            "source_id": None,
        },
    )
)
class FilterSerializer(ItemSerializer):
    """Keeps or drops channels or programmes of a proxy."""

    model = models.Filter

    name = _name(255)
    description = _description(1024)
    source_type = ItemWord(choices=models.SourceType.choices)
    action = ItemWord(choices=models.Filter.Action.choices, default=models.Filter.Action.INCLUDE)
    expression = _expression("a filter")
    source_id = _source_id()


@extend_schema_serializer(
    examples=_examples(
        "One group for the coast",
        {
            "name": "Coast",
            "description": "",
            "source_type": "stream",
            "expression": 'channel_name contains "Lighthouse" SET group_title = "Coast"',
            "priority": 10,
            "stop_on_match": False,
            "is_enabled": True,
            "source_id": None,
        },
    )
)
class DataMappingRuleSerializer(ItemSerializer):
    """Rewrites fields of channels or programmes."""

    model = models.DataMappingRule

    name = _name(255)
    description = _description(1024)
    source_type = ItemWord(choices=models.SourceType.choices)
    expression = _expression("a data mapping rule")
    priority = Priority()
    stop_on_match = ItemFlag(default=False)
    is_enabled = ItemFlag(default=True)
    source_id = _source_id()


@extend_schema_serializer(
    examples=_examples(
        "A tablet",
        {
            "name": "Kitchen tablet",
            "description": "",
            "expression": '@dynamic(request.headers):user-agent contains "KitchenTablet"',
            "priority": 50,
            "is_enabled": True,
            "accepted_video_codecs": ["h264", "h265"],
            "accepted_audio_codecs": ["aac"],
            "preferred_video_codec": "h264",
            "preferred_audio_codec": "aac",
            "supports_fmp4": True,
            "supports_mpegts": True,
            "preferred_format": "",
            "encoding_profile": "01JN9Q4T7V8W2X5Y6Z0A1B2C3E",
        },
        encoding_profile_name="Attic projector",
    )
)
class ClientDetectionRuleSerializer(ItemSerializer):
    """Recognises a player and says what it can play."""

    model = models.ClientDetectionRule

    name = _name(255)
    description = _description(1024)
    expression = _expression("a client detection rule")
    priority = Priority()
    is_enabled = ItemFlag(default=True)
    accepted_video_codecs = CodecNames(default=list, help_text="Names or aliases that tvarr knows; empty: all.")
    accepted_audio_codecs = CodecNames(default=list, help_text="Names or aliases that tvarr knows; empty: all.")
    preferred_video_codec = ItemText(allow_blank=True, default="")
    preferred_audio_codec = ItemText(allow_blank=True, default="")
    supports_fmp4 = ItemFlag(default=True)
    supports_mpegts = ItemFlag(default=True)
    preferred_format = ItemText(
        allow_blank=True, default="", help_text=f"Empty, {', '.join(codecs.PREFERRED_FORMATS)} or an alias."
    )
    encoding_profile = Id(source="encoding_profile_id", allow_null=True, default=None, help_text="The id of a profile.")
    encoding_profile_name = serializers.SerializerMethodField(help_text="Null where it has none, or a deleted one.")

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_encoding_profile_name(self, rule: models.ClientDetectionRule) -> str | None:
        profile = rule.encoding_profile
        return None if profile is None or profile.deleted_at is not None else str(profile.name)

    def validate_encoding_profile(self, profile_id: str | None) -> str | None:
        """Allowed are live profiles, and the one that the rule has: changing another member must not cut that link."""
        has_it = self.instance is not None and self.instance.encoding_profile_id == profile_id
        if profile_id is None or has_it or models.EncodingProfile.objects.filter(pk=profile_id).exists():
            return profile_id
        raise ValidationError("There is no encoding profile with this id.", code="does_not_exist")


@extend_schema_serializer(
    examples=_examples(
        "For the attic",
        {
            "name": "Attic projector",
            "description": "",
            "target_video_codec": "h265",
            "target_audio_codec": "aac",
            "quality_preset": "high",
            "hw_accel": "vaapi",
            "global_flags": "",
            "input_flags": "",
            "output_flags": "",
            "enabled": True,
        },
        is_default=False,
    )
)
class EncodingProfileSerializer(ItemSerializer):
    """How a proxy or a client rule has streams encoded."""

    model = models.EncodingProfile

    name = _name(100)
    description = _description(500)
    target_video_codec = ItemText(
        allow_blank=True,
        default="h264",
        help_text=f"One of {', '.join(codecs.TargetVideoCodec)}; free with output_flags.",
    )
    target_audio_codec = ItemText(
        allow_blank=True,
        default="aac",
        help_text=f"One of {', '.join(codecs.TargetAudioCodec)}; free with output_flags.",
    )
    quality_preset = ItemText(
        allow_blank=True,
        default="medium",
        help_text=f"One of {', '.join(codecs.QualityPreset)}; free with output_flags.",
    )
    hw_accel = ItemText(
        allow_blank=True,
        default="auto",
        help_text=f"One of {', '.join(codecs.HardwareAcceleration)}; free with input_flags.",
    )
    global_flags = ItemText(max_length=500, allow_blank=True, default="", help_text="Own flags for ffmpeg.")
    input_flags = ItemText(
        max_length=500, allow_blank=True, default="", help_text="Own flags; they replace the hardware acceleration."
    )
    output_flags = ItemText(
        max_length=1000, allow_blank=True, default="", help_text="Own flags; they replace codecs and preset."
    )
    enabled = ItemFlag(default=True)
    is_default = Flag(read_only=True, help_text="Whether proxies without a profile use it.")


def changed(serializer: type[ItemSerializer]) -> type[ItemSerializer]:
    """Return the schema of the answer to a change of a row: the row, and what a running tvarr needs then."""
    name = f"Changed{serializer.__name__}"
    members = {"__doc__": serializer.__doc__, "restart_required": Flag(read_only=True, help_text=RESTART_REQUIRED)}
    answers = [
        OpenApiExample(example.name, value={**example.value, "restart_required": False}, response_only=True)
        for example in get_override(serializer, "examples", [])
        if example.response_only
    ]
    return extend_schema_serializer(examples=answers)(type(name, (serializer,), members))
