"""Rows of the kinds as JSON: their members, which are the columns of the model, and how a row is stored from them."""

from __future__ import annotations

from copy import copy
from datetime import UTC
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from drf_spectacular.drainage import get_override
from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers
from rest_framework.fields import empty, get_attribute

from tvarr_backup import codecs, models
from tvarr_backup.api.examples import EXAMPLES, row_examples
from tvarr_backup.api.schema import RESTART_REQUIRED
from tvarr_backup.api.strict import Flag, StrictSerializer, Text, Texts, Whole, Word
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
    """Something that tvarr accepts and does differently from what it seems to say."""

    field = serializers.CharField()
    code = serializers.CharField()
    column = serializers.IntegerField(allow_null=True, help_text="In the text of the field, 1 for the first character.")
    message = serializers.CharField()


class StoredField(serializers.Field[Any, Any, Any, Any]):
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


class ItemText(StoredField, Text):
    """A text of a row."""


class ItemFlag(StoredField, Flag):
    """A flag of a row."""


class ItemWord(StoredField, Word):
    """One of a few words; another one that is stored is shown."""


class ItemWhole(StoredField, Whole):
    """A whole number of a row; tvarr reads a missing one as 0."""

    def get_attribute(self, instance: Any) -> Any:
        return super().get_attribute(instance) or 0


class CodecNames(StoredField, Texts):
    """A stored text that is no list is shown as tvarr reads it: everything is accepted; a warning says so."""

    def to_representation(self, data: Any) -> list[Any]:
        return super().to_representation(data) if isinstance(data, list) else []


class Id(StoredField, Text):
    """The id of another row, in its one stored form."""

    default_error_messages = {"null": "It is null; allowed is an id."}

    def to_internal_value(self, data: Any) -> str:
        return parse_ulid(super().to_internal_value(data))


class ReferenceId(Id):
    """The id of a live row of `model`, or of the one that the row has: changing another member must not cut that link."""

    def __init__(self, *, model: type[models.PortableRow], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def to_internal_value(self, data: Any) -> str:
        row_id, row = super().to_internal_value(data), getattr(self.parent, "instance", None)
        has_it = row is not None and self.get_attribute(row) == row_id
        if has_it or self.model.objects.filter(pk=row_id).exists():
            return row_id
        raise ValidationError(f"There is no {self.model._meta.verbose_name} with this id.", code="does_not_exist")


class ItemSerializer(StrictSerializer, serializers.ModelSerializer[Any]):
    """What the kinds have in common; the rules are those of the models. `serializer_of` makes the one of a kind."""

    kind: ClassVar[Kind]
    ignored = StrictSerializer.ignored | {"restart_required"}

    serializer_choice_field = ItemWord
    serializer_field_mapping = {
        TextColumn: ItemText,
        FlagColumn: ItemFlag,
        IntegerColumn: ItemWhole,
        CodecListColumn: CodecNames,
        ULIDField: Id,
    }

    id = Text(read_only=True)
    is_system = Flag(read_only=True, help_text="Whether tvarr brings it along; then little of it can be changed.")
    created_at = serializers.DateTimeField(read_only=True, allow_null=True, default_timezone=UTC)
    updated_at = serializers.DateTimeField(read_only=True, allow_null=True, default_timezone=UTC)
    warnings = serializers.SerializerMethodField(help_text="What tvarr will misunderstand.")

    def build_standard_field(self, name: str, column: Any) -> Any:
        """Return the class of a member, by that of its column, and its options; NULL is tvarr's way to write defaults."""
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
        """Return the class of a member that refers to another row by its id, and its options."""
        column = relation.model_field
        options = {"source": column.attname, "model": column.related_model, "allow_null": column.null}
        return ReferenceId, self._options(column) | options

    def _options(self, column: Any) -> dict[str, Any]:
        """A member that files need is needed here, too; others have the default of their column."""
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
        """Store a new row; raises Django's `ValidationError`."""
        row = self.kind.model(**values)
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


# --- A kind ----------------------------------------------------------------------------------------------------------

_RECORD = ("is_system", "created_at", "updated_at", "warnings")
_HELP = {
    "name": "Without blanks around it; compared exactly.",
    "expression": "In tvarr's language, as a {kind}; `POST /expressions/validate` explains what is wrong.",
    "source_id": "The only source that it is for; null: all.",
    "priority": "Lower ones are first.",
    "accepted_video_codecs": "Names or aliases that tvarr knows; empty: all.",
    "accepted_audio_codecs": "Names or aliases that tvarr knows; empty: all.",
    "preferred_format": f"Empty, {', '.join(codecs.PREFERRED_FORMATS)} or an alias.",
    "encoding_profile": "The id of a profile.",
    "target_video_codec": "One of {words}; free with output_flags.",
    "target_audio_codec": "One of {words}; free with output_flags.",
    "quality_preset": "One of {words}; free with output_flags.",
    "hw_accel": "One of {words}; free with input_flags.",
    "global_flags": "Own flags for ffmpeg.",
    "input_flags": "Own flags; they replace the hardware acceleration.",
    "output_flags": "Own flags; they replace codecs and preset.",
    "is_default": "Whether proxies without a profile use it.",
}
"""What the schema says about members, by name; `{kind}` is the name of the kind, `{words}` are those of the column."""


def serializer_of(kind: Kind) -> type[ItemSerializer]:
    """Return the serializer of a kind: its columns in the model's order, then what can only be read."""
    columns = kind.model._meta.concrete_fields
    editable = [column.name for column in columns if column.editable]
    read_only = [column.name for column in columns if column.name not in ("id", "deleted_at", *editable, *_RECORD)]
    others = [member.name for member in kind.members if member.name not in (*editable, *read_only)]
    members = [*editable, *read_only, *others]
    words = {column.name: ", ".join(dict(getattr(column, "words", ()))) for column in columns}
    helps = {
        name: _HELP[name].format(kind=kind.model._meta.verbose_name, words=words[name])
        for name in members
        if name in _HELP
    }
    meta = {
        "model": kind.model,
        "fields": ["id", *members, *_RECORD],
        "extra_kwargs": {name: {"help_text": text} for name, text in helps.items()},
    }
    sent, answer = row_examples(kind)
    title = EXAMPLES[kind.slug].title
    examples = [
        OpenApiExample(title, value=sent, request_only=True),
        OpenApiExample(title, value=answer, response_only=True, status_codes=["200", "201"]),
    ]
    parts = {"__doc__": kind.model.__doc__, "kind": kind, "Meta": type("Meta", (), meta)}
    serializer = type(f"{kind.model.__name__}Serializer", (ItemSerializer,), parts)
    return extend_schema_serializer(examples=examples)(serializer)


def changed(serializer: type[ItemSerializer]) -> type[ItemSerializer]:
    """Return the schema of the answer to a change of a row: the row, and what a running tvarr needs then."""
    meta = type("Meta", (serializer.Meta,), {"fields": (*serializer.Meta.fields, "restart_required")})
    members = {
        "__doc__": serializer.__doc__,
        "Meta": meta,
        "restart_required": Flag(read_only=True, help_text=RESTART_REQUIRED),
    }
    answers = [
        OpenApiExample(example.name, value={**example.value, "restart_required": False}, response_only=True)
        for example in get_override(serializer, "examples", [])
        if example.response_only
    ]
    return extend_schema_serializer(examples=answers)(type(f"Changed{serializer.__name__}", (serializer,), members))
