"""Serializers of the kinds. The class of a column decides the type of its member, its default the member's default."""

from __future__ import annotations

from copy import copy
from datetime import UTC
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from drf_spectacular.drainage import get_override
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.fields import empty, get_attribute

from tvarr_backup import codec_names, models
from tvarr_backup.api.examples import EXAMPLES, row_examples
from tvarr_backup.api.schema import RESTART_REQUIRED
from tvarr_backup.api.strict import Choice, Flag, Integer, StrictSerializer, Text, TextList
from tvarr_backup.fields import (
    CodecListColumn,
    FlagColumn,
    IntegerColumn,
    TextChoiceColumn,
    TextColumn,
    ULIDField,
    parse_ulid,
)
from tvarr_backup.portable.kinds import Kind


class ItemWarningSerializer(serializers.Serializer[Any]):
    """A value that tvarr accepts but understands differently."""

    field = serializers.CharField()
    code = serializers.CharField()
    column = serializers.IntegerField(allow_null=True, help_text="Position of the character in the field, from 1.")
    message = serializers.CharField()


class StoredField(serializers.Field[Any, Any, Any, Any]):
    """A member that keeps the stored value unchecked if it is sent back as it was read."""

    def run_validation(self, data: Any = empty) -> Any:
        row = getattr(self.parent, "instance", None)
        if not isinstance(row, models.PortableRow) or data is empty:
            return super().run_validation(data)
        current = self.get_attribute(row)
        current = None if current is None else self.to_representation(current)
        stored: Any = row.unreadable.get(str(self.source), current)
        if type(data) is type(current) and data == current == stored:
            return get_attribute(row, self.source_attrs)
        return super().run_validation(data)


class ItemText(StoredField, Text):
    """A text."""


class ItemFlag(StoredField, Flag):
    """A flag."""


class ItemChoice(StoredField, Choice):
    """One of a few fixed texts. Another stored text is shown as it is."""


class ItemInteger(StoredField, Integer):
    """A whole number. tvarr reads NULL as 0."""

    def get_attribute(self, instance: Any) -> Any:
        return super().get_attribute(instance) or 0


class CodecList(StoredField, TextList):
    """A list of codecs. tvarr reads a stored text that is not a list as an empty one, and a warning says so."""

    def to_representation(self, data: Any) -> list[Any]:
        return super().to_representation(data) if isinstance(data, list) else []


class Id(StoredField, Text):
    """The id of another row, in its stored form."""

    default_error_messages = {"null": "Expected an id, got null."}

    def to_internal_value(self, data: Any) -> str:
        return parse_ulid(super().to_internal_value(data))


class ReferenceId(Id):
    """The id of a row of `model`. A deleted row that is linked already stays linked when other members change."""

    def __init__(self, *, model: type[models.PortableRow], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def to_internal_value(self, data: Any) -> str:
        row_id, row = super().to_internal_value(data), getattr(self.parent, "instance", None)
        is_linked = row is not None and self.get_attribute(row) == row_id
        if is_linked or self.model.objects.filter(pk=row_id).exists():
            return row_id
        raise ValidationError(f"There is no {self.model._meta.verbose_name} with this id.", code="does_not_exist")


class ItemSerializer(StrictSerializer, serializers.ModelSerializer[Any]):
    """Base of the serializers of the kinds, which `build_serializer` creates. The models contain the rules."""

    kind: ClassVar[Kind]
    ignored = StrictSerializer.ignored | {"restart_required"}

    serializer_choice_field = ItemChoice
    serializer_field_mapping = {
        TextColumn: ItemText,
        FlagColumn: ItemFlag,
        IntegerColumn: ItemInteger,
        CodecListColumn: CodecList,
        ULIDField: Id,
    }

    id = Text(read_only=True)
    is_system = Flag(
        read_only=True, help_text="Whether this is a built-in item of tvarr, of which little can be changed."
    )
    created_at = serializers.DateTimeField(read_only=True, allow_null=True, default_timezone=UTC)
    updated_at = serializers.DateTimeField(read_only=True, allow_null=True, default_timezone=UTC)
    warnings = serializers.SerializerMethodField(help_text="Values that tvarr accepts but understands differently.")

    def build_standard_field(self, name: str, column: Any) -> Any:
        """Return the class and options of a member. tvarr stores NULL for defaults."""
        field_class, _ = super().build_standard_field(name, column)
        options = self._options(column)
        match column:
            case TextChoiceColumn():
                options["choices"] = column.choices
            case TextColumn():
                options |= {"max_length": column.max_length, "allow_blank": column.blank}
            case IntegerColumn():
                options |= {"min_value": -(2**63), "max_value": 2**63 - 1}
            case ULIDField():
                options["allow_null"] = column.null
        return field_class, options

    def build_relational_field(self, _name: str, relation: Any) -> Any:
        """Return the class and options of a member with the id of another row."""
        column = relation.model_field
        options = {"source": column.attname, "model": column.related_model, "allow_null": column.null}
        return ReferenceId, self._options(column) | options

    def _options(self, column: Any) -> dict[str, Any]:
        """Return options by which members are required if files require them, or have their column's default."""
        if not column.editable:
            return {"read_only": True}
        if column.name in self.kind.required:
            return {}
        return {"default": column.default if column.has_default() else None}

    @extend_schema_field(ItemWarningSerializer(many=True))
    def get_warnings(self, row: Any) -> list[dict[str, Any]]:
        found = []
        for name, sentence in row.unreadable_sentences.items():
            column = row._meta.get_field(name)
            code = "invalid_codec_list" if isinstance(column, CodecListColumn) else "unreadable"
            found.append({"field": column.name, "code": code, "column": None, "message": sentence})
        for warning in row.expression_warnings():
            place = {"field": "expression", "code": str(warning.code), "column": warning.column}
            found.append({**place, "message": warning.message})
        return found

    def create(self, values: dict[str, Any]) -> models.PortableRow:
        """Store a new row. Raises Django's `ValidationError`."""
        row = self.kind.model(**values)
        row.full_clean(_find_unchecked(row))
        row.save(force_insert=True)
        return row

    def update(self, row: Any, values: dict[str, Any]) -> models.PortableRow:
        """Write only columns that differ, because tvarr may write others at the same time.

        Raises `SystemRowReadOnly`, or Django's `ValidationError`.
        """
        changed = [name for name, value in values.items() if row.unreadable.get(name, getattr(row, name)) != value]
        row.refuse_to_change(changed)
        stored = copy(row)
        for name in changed:
            setattr(row, name, values[name])
        row.clean_change(stored, _find_unchecked(row))
        if changed:
            row.save(update_fields=[*changed, "updated_at"])
            row.unreadable = {name: stored for name, stored in row.unreadable.items() if name not in changed}
        return row  # type: ignore[no-any-return]  # it has this class


def _find_unchecked(row: models.PortableRow) -> set[str]:
    """Return fields that need no validation: the reference, which was looked up, and NULLs, which tvarr stores for defaults."""
    null = {field.name for field in row._meta.fields if field.null and getattr(row, field.attname) is None}
    return {"encoding_profile", *null}


# --- A kind ----------------------------------------------------------------------------------------------------------

_RECORD = ("is_system", "created_at", "updated_at", "warnings")
_HELP = {
    "name": "Without spaces at its ends. Compared exactly.",
    "expression": "In tvarr's language, as a {kind}. `POST /expressions/validate` checks it.",
    "source_id": "The id of the only source it applies to; null for all.",
    "priority": "Lower numbers come first.",
    "accepted_video_codecs": "Names or aliases of codecs; empty for all.",
    "accepted_audio_codecs": "Names or aliases of codecs; empty for all.",
    "preferred_format": f"{', '.join(codec_names.PREFERRED_FORMATS)} or an alias; may be empty.",
    "encoding_profile": "The id of a profile.",
    "target_video_codec": "One of {values}; any text with `output_flags`.",
    "target_audio_codec": "One of {values}; any text with `output_flags`.",
    "quality_preset": "One of {values}; any text with `output_flags`.",
    "hw_accel": "One of {values}; any text with `input_flags`.",
    "global_flags": "Additional flags of ffmpeg.",
    "input_flags": "Flags of ffmpeg that replace the hardware acceleration.",
    "output_flags": "Flags of ffmpeg that replace codecs and preset.",
    "is_default": "Whether proxies without a profile use it.",
}
"""Descriptions of members, by name."""


def build_serializer(kind: Kind) -> type[ItemSerializer]:
    """Return the serializer of a kind: columns in the model's order, then read-only members."""
    columns = kind.model._meta.concrete_fields
    editable = [column.name for column in columns if column.editable]
    read_only = [column.name for column in columns if column.name not in ("id", "deleted_at", *editable, *_RECORD)]
    others = [member.name for member in kind.members if member.name not in (*editable, *read_only)]
    members = [*editable, *read_only, *others]
    values = {column.name: ", ".join(dict(getattr(column, "words", ()))) for column in columns}
    helps = {
        name: {"help_text": _HELP[name].format(kind=kind.model._meta.verbose_name, values=values[name])}
        for name in members
        if name in _HELP
    }
    meta = {"model": kind.model, "fields": ["id", *members, *_RECORD], "extra_kwargs": helps}
    sent, answer = row_examples(kind)
    title = EXAMPLES[kind.slug].title
    examples = [
        OpenApiExample(title, value=sent, request_only=True),
        OpenApiExample(title, value=answer, response_only=True, status_codes=["200", "201"]),
    ]
    parts = {"__doc__": kind.model.__doc__, "kind": kind, "Meta": type("Meta", (), meta)}
    serializer = type(f"{kind.model.__name__}Serializer", (ItemSerializer,), parts)
    return extend_schema_serializer(examples=examples)(serializer)


def build_change_serializer(serializer: type[ItemSerializer]) -> type[ItemSerializer]:
    """Return the serializer of the answer to a change: the row and `restart_required`."""
    meta = type("Meta", (serializer.Meta,), {"fields": (*serializer.Meta.fields, "restart_required")})
    flag = Flag(read_only=True, help_text=RESTART_REQUIRED)
    members = {"__doc__": serializer.__doc__, "Meta": meta, "restart_required": flag}
    answers = [
        OpenApiExample(example.name, value={**example.value, "restart_required": False}, response_only=True)
        for example in get_override(serializer, "examples", [])
        if example.response_only
    ]
    return extend_schema_serializer(examples=answers)(type(f"Changed{serializer.__name__}", (serializer,), members))
