"""Serializers of exports, plans and results, and the parsing of requests that contain an export."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from tvarr_backup.api.schema import RESTART_REQUIRED, ProblemSerializer
from tvarr_backup.api.strict import OPTIONAL, Flag, Integer, StrictSerializer, Text, TextList, TextMap, field_error
from tvarr_backup.errors import FileTooLarge, NotJson
from tvarr_backup.fields import parse_ulid
from tvarr_backup.portable.answers import Answers, Resolution, read_answers
from tvarr_backup.portable.envelope import (
    FORMAT_VERSION,
    MAX_ITEMS,
    Bundle,
    Envelope,
    read_bundle,
    read_envelope,
    read_wrapped_bundle,
    read_wrapped_envelope,
)
from tvarr_backup.portable.export import MAX_IDS
from tvarr_backup.portable.json_events import value_of
from tvarr_backup.portable.kinds import KINDS, JsonType, Kind, Member
from tvarr_backup.portable.steps import ItemAction, ItemState

# `config.settings` refers to these, so that each enum has one name in the OpenAPI document.
ACTIONS = [action.value for action in ItemAction]
SLUGS = [slug.value for slug in KINDS]
STATES = [state.value for state in ItemState]
RESOLUTIONS = [resolution.value for resolution in Resolution]

# --- Files -----------------------------------------------------------------------------------------------------------


class GivenMetadataSerializer(serializers.Serializer[Any]):
    """The metadata of a file to import."""

    version = serializers.CharField(help_text="Version of the format.")
    tvarr_version = serializers.CharField(**OPTIONAL, allow_blank=True, help_text="The program that wrote the file.")
    export_type = serializers.CharField()
    exported_at = serializers.CharField(**OPTIONAL, allow_blank=True)
    item_count = serializers.IntegerField(**OPTIONAL)


class MetadataSerializer(serializers.Serializer[Any]):
    """The metadata of an export."""

    version = serializers.CharField(help_text=f"Version of the format, now {FORMAT_VERSION}.")
    tvarr_version = serializers.CharField(help_text="The program that wrote the file.")
    export_type = serializers.CharField()
    exported_at = serializers.DateTimeField()
    item_count = serializers.IntegerField()


def build_file_serializer(kind: Kind, *, for_import: bool) -> type[serializers.Serializer[Any]]:
    """Return the serializer of an export or of a file to import.

    In a file to import, members may be missing: they get tvarr's defaults, or the preview reports them.
    """
    name = f"{kind.model.__name__}{'Given' if for_import else 'Export'}"
    members = {
        member.name: _field(member, required=not for_import and not member.may_be_left_out, allow_null=for_import)
        for member in kind.members
    }
    item: Any = type(f"{name}ItemSerializer", (serializers.Serializer,), {**members, "__doc__": "An item of a file."})
    parts = {
        "metadata": GivenMetadataSerializer() if for_import else MetadataSerializer(),
        "items": item(many=True, allow_null=for_import),
        "__doc__": f"A file of {kind.label}.",
    }
    return type(f"{name}Serializer", (serializers.Serializer,), parts)


def _field(member: Member, **options: Any) -> Any:
    match member.type:
        case JsonType.TEXT:
            return Text(allow_blank=True, **options)
        case JsonType.FLAG:
            return Flag(**options)
        case JsonType.INTEGER:
            return Integer(**options)
        case JsonType.TEXTS:
            return serializers.ListField(child=Text(allow_blank=options["allow_null"]), **options)


# --- The selection of an export --------------------------------------------------------------------------------------


class SelectionSerializer(StrictSerializer):
    """The items to export: either `ids` or `all`."""

    ids = TextList(required=False, max_length=MAX_IDS, help_text="Ids of items. Built-in items are refused.")
    all = Flag(required=False, help_text="`true` for all items except built-in ones.")

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        if ("ids" in values) == values.get("all", False):
            raise ValidationError('Expected either "ids" or "all": true.', code="selection")
        return values


class _IdText(Text):
    def to_internal_value(self, data: Any) -> str:
        try:
            return parse_ulid(super().to_internal_value(data))
        except DjangoValidationError as problem:
            raise ValidationError(problem.messages[0], "invalid_ulid") from problem


class TvarrSelectionSerializer(StrictSerializer):
    """The items to export, as tvarr's clients send them: all items if there are no ids."""

    ids = TextList(**OPTIONAL, child=_IdText(), max_length=MAX_IDS, help_text="Ids of items. Null or empty for all.")
    export_all = Flag(required=False, help_text="`true` for all items; `ids` is ignored.")


# --- Requests with an export -----------------------------------------------------------------------------------------


@extend_schema_field({"type": ["string", "null"], "enum": ["", None, *RESOLUTIONS]})
class _BulkResolution(Text):
    """Checked by `read_answers`, as in commands."""


@extend_schema_field({"type": "object", "additionalProperties": {"type": "string", "enum": RESOLUTIONS}})
class _Resolutions(TextMap):
    """Checked by `read_answers`, as in commands."""

    child = Text(allow_blank=True)


class AnswersSerializer(StrictSerializer):
    """Answers to conflicts, by key.

    A name means all items of that name, `stream:NAME` or `epg:NAME` those of one source type, `#3` the third item. The most
    specific key counts.
    """

    resolutions = _Resolutions(**OPTIONAL)
    bulk_resolution = _BulkResolution(**OPTIONAL, allow_blank=True, help_text="The answer for all other changed items.")
    new_names = TextMap(**OPTIONAL, help_text="New names of items.")
    references = TextMap(**OPTIONAL, help_text="The local name for each name or id that items refer to.")
    fingerprint = Text(
        **OPTIONAL, help_text="The preview's fingerprint. If anything has changed since, nothing is imported."
    )


_ANSWERS = frozenset(AnswersSerializer().fields)
_JSON_FIELDS = ("resolutions", "conflicts", "new_names", "references")


def build_import_serializer(kind: Kind, file: type[serializers.Serializer[Any]]) -> type[serializers.Serializer[Any]]:
    members = {"export": file(help_text="The file."), "__doc__": f"A file of {kind.label}, and answers to its preview."}
    return type(f"Import{kind.model.__name__}Serializer", (AnswersSerializer,), members)


class ImportFormSerializer(serializers.Serializer[Any]):
    """A file in a form, and answers to its preview."""

    file = serializers.FileField(help_text="The file.")
    resolutions = serializers.CharField(required=False, help_text="A JSON object.")
    conflicts = serializers.CharField(required=False, help_text="Another name for `resolutions`.")
    bulk_resolution = _BulkResolution(required=False)
    new_names = serializers.CharField(required=False, help_text="A JSON object.")
    references = serializers.CharField(required=False, help_text="A JSON object.")
    fingerprint = serializers.CharField(required=False)


@dataclass(frozen=True)
class ImportRequest:
    """A file of one kind, answers to its preview, and the fingerprint of that."""

    envelope: Envelope
    answers: Answers
    fingerprint: str | None
    file_name: str = ""


@dataclass(frozen=True)
class BundleRequest:
    """A file of several kinds, answers to its preview, and the fingerprint of that."""

    bundle: Bundle
    answers: Answers
    fingerprint: str | None
    file_name: str = ""


def read_file(request: Request, kind: Kind) -> Envelope:
    """Read the body as an export."""
    return read_envelope(io.BytesIO(_body(request)), kind)


def is_form(request: Request) -> bool:
    return str(request.content_type).startswith("multipart/form-data")


def read_import(request: Request, kind: Kind) -> ImportRequest:
    """Read a JSON body or a form. Raises `FileRefused`, `AnswerInvalid` or `ValidationError`."""
    if is_form(request):
        file, given = _read_form(request)
        return ImportRequest(read_envelope(file, kind), *_read_answers(given), file_name=str(file.name))
    body = io.BytesIO(_body(request))
    envelope, others = read_wrapped_envelope(body, kind, member="export", other_members=_ANSWERS)
    return ImportRequest(envelope, *_read_answers(others))


def read_bundle_import(request: Request) -> BundleRequest:
    """Do what `read_import` does, for a file of several kinds."""
    if is_form(request):
        file, given = _read_form(request)
        return BundleRequest(read_bundle(file), *_read_answers(given), file_name=str(file.name))
    body = io.BytesIO(_body(request))
    bundle, others = read_wrapped_bundle(body, member="export", other_members=_ANSWERS)
    return BundleRequest(bundle, *_read_answers(others))


def _body(request: Request) -> bytes:
    body: Any = request.data
    if not isinstance(body, bytes):
        raise NotJson("Expected an export, but the request has no body.")
    return body


def _read_form(request: Request) -> tuple[Any, dict[str, Any]]:
    """Return the file of a form, and its other fields."""
    files = request.FILES
    for name, sent in [*request.POST.lists(), *files.lists()]:
        if len(sent) > 1:
            raise field_error(name[:80], f"Expected one value, got {len(sent)}.", "twice")
    values = {name: _form_value(name, str(text)) for name, text in request.POST.items()}
    if "conflicts" in values:
        if "resolutions" in values:
            raise field_error("conflicts", 'Expected "resolutions" or "conflicts", got both.', "twice")
        values["resolutions"] = values.pop("conflicts")
    if "file" not in files:
        raise field_error("file", "Expected the export as a file.", "required")
    for name in set(files) - {"file"}:
        raise field_error(name[:80], 'Expected one file, in the field "file".', "unknown_member")
    return files["file"], values


def _form_value(name: str, text: str) -> Any:
    if name not in _JSON_FIELDS:
        return text
    try:
        return value_of(text.encode(), max_members=MAX_ITEMS)
    except (NotJson, FileTooLarge) as problem:
        raise field_error(name, str(problem), "not_json") from problem


def _read_answers(given: Mapping[str, Any]) -> tuple[Answers, str | None]:
    """Return the answers and the fingerprint. Raises `AnswerInvalid` or `ValidationError`."""
    serializer = AnswersSerializer(data=given)
    serializer.is_valid(raise_exception=True)
    values = serializer.validated_data
    return build_answers(values), values.get("fingerprint")


def build_answers(values: Mapping[str, Any], *, bulk: str | None = None) -> Answers:
    """Return the answers in a validated body. `bulk` is the default of `bulk_resolution`. Raises `AnswerInvalid`."""
    return read_answers(
        values.get("resolutions") or {},
        values.get("bulk_resolution") or bulk,  # tvarr's clients may send an empty text
        values.get("new_names"),
        values.get("references"),
    )


_SOURCE_TYPE = "`stream` or `epg`; null for kinds without a source type."

# --- Responses -------------------------------------------------------------------------------------------------------


class _NameSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()


class ConflictSerializer(serializers.Serializer[Any]):
    """An item whose name exists. With tvarr's path also one that has the name of an earlier item of the file."""

    import_name = serializers.CharField()
    existing_id = serializers.CharField(allow_blank=True, help_text="Empty if only an earlier item has the name.")
    existing_name = serializers.CharField()
    resolution = serializers.ChoiceField(choices=RESOLUTIONS)


class ItemErrorSerializer(serializers.Serializer[Any]):
    """Why an item is invalid, in tvarr's form."""

    item_name = serializers.CharField(allow_blank=True)
    error = serializers.CharField()


class FindingSerializer(serializers.Serializer[Any]):
    """A problem or a warning about one member of an item."""

    field = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()
    value = serializers.JSONField(help_text="Any JSON value.")


class DifferenceSerializer(serializers.Serializer[Any]):
    """A member in which the existing item and the one in the file differ."""

    field = serializers.CharField()
    now = serializers.JSONField(help_text="Any JSON value.")
    in_file = serializers.JSONField(help_text="Any JSON value.")


class PlannedItemSerializer(serializers.Serializer[Any]):
    """What an import would do with an item."""

    position = serializers.IntegerField(help_text="Position in the file, from 1.")
    name = serializers.CharField(allow_blank=True)
    source_type = serializers.CharField(allow_null=True, help_text=_SOURCE_TYPE)
    state = serializers.ChoiceField(choices=STATES)
    action = serializers.ChoiceField(choices=ACTIONS)
    final_name = serializers.CharField(allow_blank=True)
    suggested_name = serializers.CharField(allow_null=True, help_text="A free name for `rename`.")
    existing_id = serializers.CharField(allow_null=True)
    diff = DifferenceSerializer(many=True)
    problems = FindingSerializer(many=True)
    warnings = FindingSerializer(many=True)


_counts = {action.value: serializers.IntegerField() for action in ItemAction}
CountsSerializer = type(
    "CountsSerializer", (serializers.Serializer,), {**_counts, "__doc__": "The number of items for each action."}
)


class PlanSerializer(serializers.Serializer[Any]):
    """The preview of an import: tvarr's members up to `version_warning`, then ours."""

    total_items = serializers.IntegerField()
    new_items = _NameSerializer(many=True)
    conflicts = ConflictSerializer(many=True)
    errors = ItemErrorSerializer(many=True)  # type: ignore[assignment]  # a field of that name; the property is of the base
    version_warning = serializers.CharField(allow_null=True)
    kind = serializers.CharField()
    items = PlannedItemSerializer(many=True)
    warnings = serializers.ListField(child=serializers.CharField(), help_text="Warnings about the whole file.")
    counts = CountsSerializer()
    can_import = serializers.BooleanField()
    fingerprint = serializers.CharField(
        help_text="Send it with the import, so that nothing is imported if anything has changed."
    )


class ImportedSerializer(serializers.Serializer[Any]):
    """A stored item."""

    original_name = serializers.CharField()
    final_name = serializers.CharField()
    id = serializers.CharField()
    action = serializers.ChoiceField(choices=["created", "overwritten", "renamed"])


class ImportedItemSerializer(serializers.Serializer[Any]):
    """What the import did with an item."""

    position = serializers.IntegerField()
    original_name = serializers.CharField(allow_blank=True)
    source_type = serializers.CharField(allow_null=True, help_text=_SOURCE_TYPE)
    final_name = serializers.CharField(allow_blank=True)
    id = serializers.CharField(allow_null=True)
    state = serializers.ChoiceField(choices=STATES)
    action = serializers.ChoiceField(choices=ACTIONS)
    warnings = FindingSerializer(many=True)


class ResultSerializer(serializers.Serializer[Any]):
    """The result of an import: tvarr's members up to `imported_items`, then ours."""

    total_items = serializers.IntegerField()
    imported = serializers.IntegerField(help_text="Items created under their own names.")
    skipped = serializers.IntegerField()
    overwritten = serializers.IntegerField()
    renamed = serializers.IntegerField()
    errors = serializers.IntegerField()  # type: ignore[assignment]  # a field of that name; the property is of the base
    imported_items = ImportedSerializer(many=True)
    kind = serializers.CharField()
    unchanged = serializers.IntegerField(help_text="Items that already exist with the same content.")
    items = ImportedItemSerializer(many=True)
    notes = serializers.ListField(child=serializers.CharField())
    restart_required = serializers.BooleanField(help_text=RESTART_REQUIRED)
    import_id = serializers.CharField(
        allow_null=True, required=False, help_text="The import, which can be undone. Absent on tvarr's own path."
    )


class BundlePlanSerializer(serializers.Serializer[Any]):
    """The preview of an import of several kinds."""

    kind = serializers.CharField()
    total_items = serializers.IntegerField()
    parts = PlanSerializer(many=True, help_text="The plan of each kind, in the order of the import.")
    warnings = serializers.ListField(child=serializers.CharField(), help_text="Warnings about the whole file.")
    counts = CountsSerializer()
    can_import = serializers.BooleanField()
    fingerprint = serializers.CharField(help_text="Covers all kinds.")


class PartResultSerializer(serializers.Serializer[Any]):
    """The result for one kind."""

    total_items = serializers.IntegerField()
    imported = serializers.IntegerField()
    skipped = serializers.IntegerField()
    overwritten = serializers.IntegerField()
    renamed = serializers.IntegerField()
    errors = serializers.IntegerField()  # type: ignore[assignment]  # a field of that name; the property is of the base
    imported_items = ImportedSerializer(many=True)
    kind = serializers.CharField()
    unchanged = serializers.IntegerField()
    items = ImportedItemSerializer(many=True)


class BundleResultSerializer(serializers.Serializer[Any]):
    """The result of an import of several kinds."""

    kind = serializers.CharField()
    total_items = serializers.IntegerField()
    parts = PartResultSerializer(many=True)
    notes = serializers.ListField(child=serializers.CharField())
    restart_required = serializers.BooleanField(help_text=RESTART_REQUIRED)
    import_id = serializers.CharField(allow_null=True, help_text="The import, which can be undone.")


class StaleBundlePlanSerializer(ProblemSerializer):
    """An error with the new plan."""

    plan = BundlePlanSerializer()


class BundleFileSerializer(serializers.Serializer[Any]):
    """A bundle. `/docs/schemas/bundle.json` describes its items."""

    metadata = MetadataSerializer()
    sections = serializers.DictField(child=serializers.ListField(child=serializers.DictField()))


class BundleImportSerializer(AnswersSerializer):
    """A bundle, or a file of one kind, and answers to its preview. A key such as `filters/#1` is for one kind."""

    export = BundleFileSerializer(help_text="The file.")


_SELECTIONS = {
    str(kind.slug): TextList(
        required=False,
        allow_null=True,
        max_length=MAX_IDS,
        help_text=f"Ids of {kind.label}, or `null` for all except built-in ones. Absent for none.",
    )
    for kind in KINDS.values()
}
_WITH_PROFILES = Flag(default=True, help_text="Add the encoding profiles to which the selected rules refer.")
BundleSelectionSerializer: type[StrictSerializer] = type(
    "BundleSelectionSerializer",
    (StrictSerializer,),
    {**_SELECTIONS, "with_profiles": _WITH_PROFILES, "__doc__": "The items to export, by kind."},
)


class StalePlanSerializer(ProblemSerializer):
    """An error with the new plan."""

    plan = PlanSerializer()
