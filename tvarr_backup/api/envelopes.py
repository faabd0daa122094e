"""Exports, plans and results as the schema describes them, and how a request is read that carries an export."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from tvarr_backup.api.schema import RESTART_REQUIRED, ProblemSerializer
from tvarr_backup.api.strict import OPTIONAL, Flag, StrictSerializer, Text, Texts, TextsByName, Whole, refusal
from tvarr_backup.errors import FileTooLarge, NotJson
from tvarr_backup.fields import parse_ulid
from tvarr_backup.portable.answers import Answers, Resolution, read_answers
from tvarr_backup.portable.envelope import FORMAT_VERSION, MAX_ITEMS, Envelope, read_envelope, read_wrapped_envelope
from tvarr_backup.portable.export import MAX_IDS, WRITTEN_BY
from tvarr_backup.portable.json_events import value_of
from tvarr_backup.portable.kinds import JsonType, Kind, Member
from tvarr_backup.portable.steps import ItemAction, ItemState

# The settings name these, so that the schema has one name for each.
ACTIONS = [action.value for action in ItemAction]
STATES = [state.value for state in ItemState]
RESOLUTIONS = [resolution.value for resolution in Resolution]

# --- Files -----------------------------------------------------------------------------------------------------------


class GivenMetadataSerializer(serializers.Serializer[Any]):
    """What a file that is read must say about itself, and what it may say."""

    version = serializers.CharField(help_text="Of the format.")
    tvarr_version = serializers.CharField(**OPTIONAL, allow_blank=True, help_text="Which program wrote it.")
    export_type = serializers.CharField()
    exported_at = serializers.CharField(**OPTIONAL, allow_blank=True)
    item_count = serializers.IntegerField(**OPTIONAL)


class MetadataSerializer(serializers.Serializer[Any]):
    """What a file says about itself."""

    version = serializers.CharField(help_text=f"Of the format; this program writes {FORMAT_VERSION}.")
    tvarr_version = serializers.CharField(help_text="Which program wrote it.")
    export_type = serializers.CharField()
    exported_at = serializers.DateTimeField()
    item_count = serializers.IntegerField()


def file_serializer(kind: Kind, *, is_read: bool) -> type[serializers.Serializer[Any]]:
    """Return a file of the kind as the schema describes it: one that is written, or one that is read.

    What is missing in an item of a file that is read gets tvarr's default, or the preview says so.
    """
    name = f"{kind.model.__name__}{'Given' if is_read else 'Export'}"
    members = {
        member.name: _field(member, required=not is_read and not member.may_be_left_out, allow_null=is_read)
        for member in kind.members
    }
    item: Any = type(f"{name}ItemSerializer", (serializers.Serializer,), {**members, "__doc__": "An item of a file."})
    parts = {
        "metadata": GivenMetadataSerializer() if is_read else MetadataSerializer(),
        "items": item(many=True, allow_null=is_read),
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
            return Whole(**options)
        case JsonType.TEXTS:
            return serializers.ListField(child=Text(allow_blank=options["allow_null"]), **options)


# --- What is chosen for an export ------------------------------------------------------------------------------------


class SelectionSerializer(StrictSerializer):
    """Either ids or all."""

    ids = Texts(required=False, max_length=MAX_IDS, help_text="Of user-created rows.")
    all = Flag(required=False, help_text="All user-created rows.")

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        """Exactly one of the two."""
        if ("ids" in values) == values.get("all", False):
            raise ValidationError("Allowed is either “ids” or “all”: true.", code="selection")
        return values


class _IdText(Text):
    def to_internal_value(self, data: Any) -> str:
        try:
            return parse_ulid(super().to_internal_value(data))
        except DjangoValidationError as problem:
            raise ValidationError(problem.messages[0], "invalid_ulid") from problem


class TvarrSelectionSerializer(StrictSerializer):
    """As tvarr's clients send it: no ids is everything."""

    ids = Texts(**OPTIONAL, child=_IdText(), max_length=MAX_IDS, help_text="None or an empty list: everything.")
    export_all = Flag(required=False, help_text="Everything, whatever the ids.")


# --- Requests with an export -----------------------------------------------------------------------------------------


@extend_schema_field({"type": ["string", "null"], "enum": ["", None, *RESOLUTIONS]})
class _BulkResolution(Text):
    """A word that is checked where answers are read, so that the refusal is the same everywhere."""


@extend_schema_field({"type": "object", "additionalProperties": {"type": "string", "enum": RESOLUTIONS}})
class _Resolutions(TextsByName):
    """Words that are checked where answers are read, so that the refusal is the same everywhere."""

    child = Text(allow_blank=True)


class AnswersSerializer(StrictSerializer):
    """What becomes of each item whose name is taken.

    Keys are names of items, `stream:NAME` or `epg:NAME` for those of one source type, or `#3` for the third item. A bare
    name means all items of that name; the narrowest key counts.
    """

    resolutions = _Resolutions(**OPTIONAL)
    bulk_resolution = _BulkResolution(
        **OPTIONAL, allow_blank=True, help_text="For items that differ and have no answer of their own."
    )
    new_names = TextsByName(**OPTIONAL, help_text="Names under which items are stored instead.")
    references = TextsByName(
        **OPTIONAL, help_text="For names or ids that items refer to: the name of what is meant here."
    )
    fingerprint = Text(**OPTIONAL, help_text="Of the preview; if what it rests on has changed, nothing is imported.")


_ANSWERS = frozenset(AnswersSerializer().fields)
_JSON_FIELDS = ("resolutions", "conflicts", "new_names", "references")


def import_serializer(kind: Kind, file: type[serializers.Serializer[Any]]) -> type[serializers.Serializer[Any]]:
    """The JSON body of an import, as the schema describes it."""
    members = {
        "export": file(help_text="The file itself."),
        "__doc__": f"A file of {kind.label}, and answers to its preview.",
    }
    return type(f"Import{kind.model.__name__}Serializer", (AnswersSerializer,), members)


class ImportFormSerializer(serializers.Serializer[Any]):
    """A file in a form, and answers to its preview."""

    file = serializers.FileField(help_text="The file itself.")
    resolutions = serializers.CharField(required=False, help_text="A JSON object, as in the JSON body.")
    conflicts = serializers.CharField(required=False, help_text="Another name for `resolutions`.")
    bulk_resolution = _BulkResolution(required=False)
    new_names = serializers.CharField(required=False, help_text="A JSON object, as in the JSON body.")
    references = serializers.CharField(required=False, help_text="A JSON object, as in the JSON body.")
    fingerprint = serializers.CharField(required=False)


@dataclass(frozen=True)
class ImportRequest:
    """What an import was asked for."""

    envelope: Envelope
    answers: Answers
    fingerprint: str | None
    file_name: str = ""


def read_file(request: Request, kind: Kind) -> Envelope:
    """The export that is the whole body."""
    return read_envelope(io.BytesIO(_body(request)), kind, WRITTEN_BY)


def is_form(request: Request) -> bool:
    """Whether the body is a form, with the export as its file."""
    return str(request.content_type).startswith("multipart/form-data")


def read_import(request: Request, kind: Kind) -> ImportRequest:
    """What a JSON body or a form asks for. Raises `FileRefused`, `AnswerInvalid` or `ValidationError`."""
    if is_form(request):
        return _read_form(request, kind)
    envelope, others = read_wrapped_envelope(
        io.BytesIO(_body(request)), kind, WRITTEN_BY, member="export", other_members=_ANSWERS
    )
    return _import_request(envelope, others)


def _body(request: Request) -> bytes:
    body: Any = request.data
    if not isinstance(body, bytes):
        raise NotJson("The request has no body; an export is wanted.")
    return body


def _read_form(request: Request, kind: Kind) -> ImportRequest:
    files = request.FILES
    for name, sent in [*request.POST.lists(), *files.lists()]:
        if len(sent) > 1:
            raise refusal(name[:80], "It stands twice in the form; allowed is once.", "twice")
    values = {name: _form_value(name, str(text)) for name, text in request.POST.items()}
    if "conflicts" in values:
        if "resolutions" in values:
            raise refusal("conflicts", "It is the same as “resolutions”; allowed is one.", "twice")
        values["resolutions"] = values.pop("conflicts")
    if "file" not in files:
        raise refusal("file", "It is missing; the export is wanted, as a file.", "required")
    for name in set(files) - {"file"}:
        raise refusal(name[:80], "Allowed is one file, named “file”.", "unknown_member")
    asked = _import_request(read_envelope(files["file"], kind, WRITTEN_BY), values)
    return replace(asked, file_name=str(files["file"].name))


def _form_value(name: str, text: str) -> Any:
    if name not in _JSON_FIELDS:
        return text
    try:
        return value_of(text.encode(), max_members=MAX_ITEMS)
    except (NotJson, FileTooLarge) as problem:
        raise refusal(name, str(problem), "not_json") from problem


def _import_request(envelope: Envelope, given: Mapping[str, Any]) -> ImportRequest:
    serializer = AnswersSerializer(data=given)
    serializer.is_valid(raise_exception=True)
    values = serializer.validated_data
    answers = read_answers(
        values.get("resolutions") or {},
        values.get("bulk_resolution") or None,  # tvarr's clients may send an empty one for none
        values.get("new_names"),
        values.get("references"),
    )
    return ImportRequest(envelope, answers, values.get("fingerprint"))


_SOURCE_TYPE = "What it looks at; null where its kind makes no difference."

# --- Answers ---------------------------------------------------------------------------------------------------------


class _NameSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()


class ConflictSerializer(serializers.Serializer[Any]):
    """An item whose name is taken."""

    import_name = serializers.CharField()
    existing_id = serializers.CharField()
    existing_name = serializers.CharField()
    resolution = serializers.ChoiceField(choices=RESOLUTIONS)


class ItemErrorSerializer(serializers.Serializer[Any]):
    """Why an item cannot be stored, as tvarr words it."""

    item_name = serializers.CharField(allow_blank=True)
    error = serializers.CharField()


class FindingSerializer(serializers.Serializer[Any]):
    """A problem or a warning about one member of an item."""

    field = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()
    value = serializers.JSONField(help_text="Any JSON value, null included.")


class DifferenceSerializer(serializers.Serializer[Any]):
    """A member in which the row that is here and the item differ."""

    field = serializers.CharField()
    now = serializers.JSONField(help_text="Any JSON value, null included.")
    in_file = serializers.JSONField(help_text="Any JSON value, null included.")


class PlannedItemSerializer(serializers.Serializer[Any]):
    """What would become of an item."""

    position = serializers.IntegerField(help_text="In the file, 1 for the first.")
    name = serializers.CharField(allow_blank=True)
    source_type = serializers.CharField(allow_null=True, help_text=_SOURCE_TYPE)
    state = serializers.ChoiceField(choices=STATES)
    action = serializers.ChoiceField(choices=ACTIONS)
    final_name = serializers.CharField(allow_blank=True)
    suggested_name = serializers.CharField(allow_null=True, help_text="Free, for a copy.")
    existing_id = serializers.CharField(allow_null=True)
    diff = DifferenceSerializer(many=True)
    problems = FindingSerializer(many=True)
    warnings = FindingSerializer(many=True)


_counts = {action.value: serializers.IntegerField() for action in ItemAction}
_counts_doc = "How many items each action is planned for."
CountsSerializer = type("CountsSerializer", (serializers.Serializer,), {**_counts, "__doc__": _counts_doc})


class PlanSerializer(serializers.Serializer[Any]):
    """What an import would do: tvarr's members up to `version_warning`, then ours."""

    total_items = serializers.IntegerField()
    new_items = _NameSerializer(many=True)
    conflicts = ConflictSerializer(many=True)
    errors = ItemErrorSerializer(many=True)  # type: ignore[assignment]  # a field of that name; the property is of the base
    version_warning = serializers.CharField(allow_null=True)
    kind = serializers.CharField()
    items = PlannedItemSerializer(many=True)
    warnings = serializers.ListField(child=serializers.CharField(), help_text="About the file as a whole.")
    counts = CountsSerializer()
    can_import = serializers.BooleanField()
    fingerprint = serializers.CharField(help_text="Send it with the import, to import only what was shown.")


class ImportedSerializer(serializers.Serializer[Any]):
    """An item that was written."""

    original_name = serializers.CharField()
    final_name = serializers.CharField()
    id = serializers.CharField()
    action = serializers.ChoiceField(choices=["created", "overwritten", "renamed"])


class ImportedItemSerializer(serializers.Serializer[Any]):
    """What became of an item."""

    position = serializers.IntegerField()
    original_name = serializers.CharField(allow_blank=True)
    source_type = serializers.CharField(allow_null=True, help_text=_SOURCE_TYPE)
    final_name = serializers.CharField(allow_blank=True)
    id = serializers.CharField(allow_null=True)
    state = serializers.ChoiceField(choices=STATES)
    action = serializers.ChoiceField(choices=ACTIONS)
    warnings = FindingSerializer(many=True)


class ResultSerializer(serializers.Serializer[Any]):
    """What an import did: tvarr's members up to `imported_items`, then ours."""

    total_items = serializers.IntegerField()
    imported = serializers.IntegerField(help_text="Created under their own names.")
    skipped = serializers.IntegerField()
    overwritten = serializers.IntegerField()
    renamed = serializers.IntegerField()
    errors = serializers.IntegerField()  # type: ignore[assignment]  # a field of that name; the property is of the base
    imported_items = ImportedSerializer(many=True)
    kind = serializers.CharField()
    unchanged = serializers.IntegerField(help_text="Here already, the same in every member.")
    items = ImportedItemSerializer(many=True)
    notes = serializers.ListField(child=serializers.CharField())
    restart_required = serializers.BooleanField(help_text=RESTART_REQUIRED)


class StalePlanSerializer(ProblemSerializer):
    """A refusal with the plan as it is now."""

    plan = PlanSerializer()
