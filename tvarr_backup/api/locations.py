"""Set up locations, which hold copies of backups, and copy to them: `/locations`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from tvarr_backup.api.operations import STARTED_EXAMPLE, StartedSerializer, build_started
from tvarr_backup.api.permissions import CHECKED_BY_ACTION
from tvarr_backup.api.queries import PAGE_PARAMETERS
from tvarr_backup.api.schema import header, problems, request_example, response_example
from tvarr_backup.api.strict import OPTIONAL, Choice, Flag, Integer, StrictSerializer, Text, TextMap
from tvarr_backup.api.views import StrictView
from tvarr_backup.locations.addresses import OPTIONS, LocationKind, parse_url
from tvarr_backup.operations import actions
from tvarr_backup.operations.location_report import location_as_data
from tvarr_backup.operations.models import MOST_KEPT, Location, LocationState, validate_max_age

KINDS = [str(kind) for kind in LocationKind]
STATES = LocationState.values
_COLUMNS = {
    "key_saved": "is_key_saved",
    "enabled": "is_enabled",
    **{name: name for name in ("recipient", "keep", "daily", "weekly", "monthly", "yearly", "max_age")},
}
"""The columns of a location by their members."""
_OPTIONS_OF_KINDS = "; ".join(
    f"`{kind}`: " + ", ".join(f"`{option.name}`" for option in options) for kind, options in OPTIONS.items()
)
_SECRETS = sorted({option.name for options in OPTIONS.values() for option in options if option.is_secret})

# --- Answers ---------------------------------------------------------------------------------------------------------


class LocationSerializer(serializers.Serializer[Any]):
    """A location. Credentials are never part of an answer."""

    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=KINDS)
    url = serializers.CharField(help_text="The address, without credentials.")
    options = serializers.DictField(
        child=serializers.CharField(), help_text="The options of the address that have a value and are not secret."
    )
    has_secrets = serializers.ListField(
        child=serializers.CharField(),
        help_text="Names of the secret options that are stored and can be read with the present secret key.",
    )
    recipient = serializers.CharField(
        allow_blank=True, help_text="The recipient of age to which copies are encrypted; empty for no encryption."
    )
    key_saved = serializers.BooleanField(help_text="Whether the recovery key is saved. Encrypted copies wait for it.")
    identity_stored = serializers.BooleanField(
        help_text="Whether the identity is stored on this machine, so that encrypted copies can be rehearsed."
    )
    enabled = serializers.BooleanField(help_text="`false` if the location is paused.")
    keep = serializers.IntegerField(allow_null=True, help_text="Number of copies to keep; null keeps all.")
    daily = serializers.IntegerField(help_text="Also keep the newest good copy of each of this many days.")
    weekly = serializers.IntegerField(help_text="Also keep one for each of this many weeks.")
    monthly = serializers.IntegerField(help_text="Also keep one for each of this many months.")
    yearly = serializers.IntegerField(help_text="Also keep one for each of this many years.")
    max_age = serializers.CharField(
        allow_blank=True, help_text="Delete copies that are older, such as `90d`; empty or `none` for no limit."
    )
    state = serializers.ChoiceField(choices=STATES)
    state_since = serializers.DateTimeField(
        allow_null=True,
        help_text="When the state began, as far as it is known. For `in_sync`, when the location was compared last.",
    )
    reason = serializers.CharField(allow_blank=True, help_text="Human-readable reason of the last failure.")
    error_code = serializers.CharField(allow_blank=True, help_text="The code of the last failure.")
    offered_host_key = serializers.CharField(
        allow_blank=True, help_text="The host key that the server offered in the last test, to be confirmed."
    )
    copies = serializers.IntegerField(help_text="Number of known copies.")
    bytes = serializers.IntegerField(help_text="Their size there.")
    last_copy = serializers.CharField(allow_null=True, help_text="The name of the newest backup that has a copy there.")
    in_sync_at = serializers.DateTimeField(allow_null=True, help_text="When everything was there the last time.")
    tested_at = serializers.DateTimeField(
        allow_null=True, help_text="When the last test succeeded. A changed address must be tested again."
    )


class KeySerializer(serializers.Serializer[Any]):
    """A recovery key. The identity decrypts the copies, and is not stored here: save it."""

    identity = serializers.CharField(help_text="Secret. It is answered only once.")
    recipient = serializers.CharField()


# --- Requests --------------------------------------------------------------------------------------------------------


class _Unshown(Text):
    """A text that may be secret, so errors do not show it."""

    default_error_messages = {"invalid": "Expected a text.", "null": "Expected a text, got null."}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return data


class _OptionMap(TextMap):
    child = _Unshown(allow_blank=True, allow_null=True)


class _Number(Integer):
    def __init__(self, low: int, expected: str, **kwargs: Any) -> None:
        refused = f"Expected {expected}, got %(show_value).20s."
        kwargs |= {"error_messages": {"min_value": refused, "max_value": refused}, "required": False}
        super().__init__(min_value=low, max_value=MOST_KEPT, **kwargs)


def _number_of_period() -> _Number:
    return _Number(0, f"a number from 0 to {MOST_KEPT}", help_text="0 keeps none by this rule.")


class _MembersSerializer(StrictSerializer):
    """Members of a location that can be sent."""

    url = Text(
        required=False, help_text="The address without credentials. It replaces all options that are not secret."
    )
    options = _OptionMap(
        required=False,
        help_text=f"Options of the address, also secret ones: {_OPTIONS_OF_KINDS}. An empty text resets an option. "
        f"Secret options ({', '.join(f'`{name}`' for name in _SECRETS)}) keep their value if they are left out or empty; "
        "`null` removes them.",
    )
    recipient = _Unshown(
        required=False,
        allow_blank=True,
        help_text="Encrypt copies to this recipient of age, or public key of SSH. Empty for no encryption.",
    )
    enabled = Flag(required=False, help_text="`false` pauses the location.")
    keep = _Number(1, f"a number from 1 to {MOST_KEPT}, or null", allow_null=True, help_text="`null` keeps all copies.")
    daily = _number_of_period()
    weekly = _number_of_period()
    monthly = _number_of_period()
    yearly = _number_of_period()
    max_age = Text(required=False, validators=[validate_max_age], help_text="A duration, or `none` for no limit.")


class LocationChangeSerializer(_MembersSerializer):
    """Changes of a location. Members that are left out stay as they are."""

    agreed = Text(
        required=False,
        help_text="Confirms the deletions of a shorter retention: `agreed` of the refusal, which confirms just those, or "
        f"`{actions.AGREED_TO_ALL}` for any.",
    )


class NewLocationSerializer(_MembersSerializer):
    """A new location: its name, and its address as `url`, or as `kind` and `options`."""

    name = Text(help_text="Lower-case letters, digits and hyphens, such as `nas-2`.")
    kind = Choice(choices=KINDS, required=False)
    key_saved = Flag(required=False, help_text="`true` if the recovery key of `recipient` is already saved.")


class SyncSerializer(StrictSerializer):
    """Options of copying."""

    accept_empty = Flag(required=False, help_text="`true` to start again in a location that was emptied.")


class HostKeySerializer(StrictSerializer):
    """The host key to confirm."""

    host_key = Text(help_text="`offered_host_key`, after you have compared it with the one of the server.")


class RehearsalSerializer(StrictSerializer):
    """What to rehearse."""

    filename = Text(
        required=False, help_text="The backup whose copy is rehearsed; the newest good one if it is left out."
    )


class IdentitySerializer(StrictSerializer):
    """The identity to store."""

    identity = _Unshown(help_text="The identity, or the content of a file of age-keygen. It is never answered.")


class KeyConfirmationSerializer(StrictSerializer):
    """Either the identity, which proves that it is saved, or `key_saved`."""

    identity = _Unshown(**OPTIONAL, help_text="The identity, or the content of a file of age-keygen.")
    key_saved = Flag(required=False, help_text="`true` if the identity is saved and should not be sent.")

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        if bool(values.get("identity")) == values.get("key_saved", False):
            raise serializers.ValidationError('Expected either "identity" or "key_saved": true.', code="key")
        return values


# --- Examples --------------------------------------------------------------------------------------------------------

LOCATION_EXAMPLE: dict[str, Any] = {
    "name": "nas",
    "kind": "sftp",
    "url": "sftp://marit@nas.example.com/srv/backups?host_key=ssh-ed25519+AAAAC3NzaC1lZDI1NTE5AAAAIDg",
    "options": {
        "host": "nas.example.com",
        "port": "22",
        "user": "marit",
        "path": "/srv/backups",
        "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDg",
    },
    "has_secrets": ["password"],
    "recipient": "",
    "key_saved": False,
    "identity_stored": False,
    "enabled": True,
    "keep": 30,
    "daily": 0,
    "weekly": 0,
    "monthly": 12,
    "yearly": 0,
    "max_age": "",
    "state": "in_sync",
    "state_since": "2026-03-01T18:00:00.120000Z",
    "reason": "",
    "error_code": "",
    "offered_host_key": "",
    "copies": 42,
    "bytes": 440_401_920,
    "last_copy": "tvarr-backup-2026-03-01T02-00-01.db.gz",
    "in_sync_at": "2026-03-01T18:00:00.120000Z",
    "tested_at": "2026-02-01T18:00:00.120000Z",
}
_ANSWER = response_example("A location", LOCATION_EXAMPLE)
_NEW = [
    request_example("A mounted share", {"name": "nas", "kind": "folder", "options": {"path": "/mnt/nas/backups"}}),
    request_example(
        "SFTP",
        {"name": "nas", "url": "sftp://marit@nas.example.com/srv/backups", "options": {"password": "..."}, "keep": 30},
    ),
]
_STARTED = response_example(
    "Started", STARTED_EXAMPLE | {"message": "The test is queued. Its operation shows the progress."}, 202
)
_KEY_EXAMPLE = {
    "identity": "AGE-SECRET-KEY-1...",
    "recipient": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
}
_NAME = OpenApiParameter("name", str, OpenApiParameter.PATH, description="The name of a location.")
_ADDRESS = header("Location", "The address of the new location.", 201)


def _location_for_api(location: Location) -> dict[str, Any]:
    data = location_as_data(location)
    return data | {"reason": data["reason"].without_paths()}


def _read_options(kind: LocationKind | None, sent: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the options of a body: those of its URL, which must be of the kind, and then its options.

    Raises `LocationInvalid` and `ValidationError`.
    """
    options: dict[str, str | None] = {}
    if "url" in sent:
        address = parse_url(sent["url"])
        if address.kind != kind:
            raise serializers.ValidationError({"url": [f"Expected an address of the kind {kind}, got {address.kind}."]})
        options |= address.replacements
    given: Mapping[str, str | None] = sent.get("options", {})
    return {**options, **given}


def _read_columns(sent: Mapping[str, Any]) -> dict[str, Any]:
    return {column: sent[member] for member, column in _COLUMNS.items() if member in sent}


class LocationViewSet(StrictView, viewsets.GenericViewSet[Location]):
    """Locations."""

    queryset = Location.objects.none()
    serializer_class = LocationSerializer
    filter_backends = ()
    lookup_url_kwarg = "name"
    required_permissions = dict.fromkeys(
        (
            "list",
            "create",
            "retrieve",
            "partial_update",
            "destroy",
            "test",
            "sync",
            "check",
            "rehearse",
            "identity",
            "host_key",
            "key",
            "confirm_key",
        ),
        CHECKED_BY_ACTION,
    )
    parameters = {"list": PAGE_PARAMETERS}

    @extend_schema(
        summary="List locations",
        responses={200: LocationSerializer(many=True), **problems(400, 404)},
        examples=[_ANSWER],
    )
    def list(self, _request: Request) -> Response:
        on_page = self.paginate_queryset(actions.find_locations(self.actor)) or []
        return self.get_paginated_response([_location_for_api(location) for location in on_page])

    @extend_schema(
        summary="Add a location",
        description="No copies are made before a test has succeeded and, with a recipient, the recovery key is confirmed.",
        request=NewLocationSerializer,
        parameters=[_ADDRESS],
        responses={201: LocationSerializer, **problems(400, 413, 415)},
        examples=[_ANSWER, *_NEW],
    )
    def create(self, _request: Request) -> Response:
        sent = self.read_body(NewLocationSerializer)
        if "kind" not in sent and "url" not in sent:
            raise serializers.ValidationError({"kind": ['Expected "kind" and "options", or "url".']})
        kind = LocationKind(sent["kind"]) if "kind" in sent else parse_url(sent["url"]).kind
        location = actions.add_location(
            self.actor, sent["name"], kind, _read_options(kind, sent), **_read_columns(sent)
        )
        headers = {"Location": reverse("api-location-detail", args=[location.name])}
        return Response(_location_for_api(location), status.HTTP_201_CREATED, headers=headers)

    @extend_schema(
        summary="Show a location",
        parameters=[_NAME],
        responses={200: LocationSerializer, **problems(400, 404)},
        examples=[_ANSWER],
    )
    def retrieve(self, _request: Request, name: str) -> Response:
        return Response(_location_for_api(actions.find_location(self.actor, name)))

    @extend_schema(
        summary="Change a location",
        description="Members that are left out stay as they are. A changed address must be tested again. Another "
        "`recipient` must be confirmed again. If a shorter retention would let the next cleanup delete copies, the answer is "
        "400 `confirmation_required` with their names in `deletions`, and nothing is changed. Send the same again with `agreed`.",
        request=LocationChangeSerializer,
        parameters=[_NAME],
        responses={200: LocationSerializer, **problems(400, 404, 413, 415)},
        examples=[
            _ANSWER,
            request_example("Pause", {"enabled": False}),
            request_example("Keep 10 copies", {"keep": 10}),
        ],
    )
    def partial_update(self, _request: Request, name: str) -> Response:
        sent = self.read_body(LocationChangeSerializer)
        kind = LocationKind(actions.find_location(self.actor, name).kind) if "url" in sent else None
        agreed = sent.get("agreed", "")
        location = actions.change_location(
            self.actor, name, _read_options(kind, sent), agreed=agreed, **_read_columns(sent)
        )
        return Response(_location_for_api(location))

    @extend_schema(
        summary="Remove a location",
        description="Its copies stay there. A location of which an operation is open is refused.",
        parameters=[_NAME],
        responses={204: OpenApiResponse(description="The location is removed."), **problems(400, 404, 409)},
    )
    def destroy(self, _request: Request, name: str) -> Response:
        actions.remove_location(self.actor, name)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        operation_id="locations_test",
        summary="Test a location",
        description="Signs in, writes, lists, reads and deletes a small file. An unknown host key ends the operation with "
        "`location_untrusted`; then the location has `offered_host_key`.",
        parameters=[_NAME],
        request=None,
        responses={202: StartedSerializer, **problems(400, 404, 409)},
        examples=[_STARTED],
    )
    @action(detail=True, methods=["post"])
    def test(self, _request: Request, name: str) -> Response:
        operation = actions.request_location_test(self.actor, name)
        return build_started(operation, "The test is queued. Its operation shows the progress.")

    @extend_schema(
        operation_id="locations_sync",
        summary="Copy what is missing",
        description="Copies backups, updates their metadata, and deletes the copies that retention does not keep. A worker does "
        "this automatically after each backup.",
        parameters=[_NAME],
        request=SyncSerializer,
        responses={202: StartedSerializer, **problems(400, 404, 409, 413, 415)},
        examples=[_STARTED, request_example("No options", {})],
    )
    @action(detail=True, methods=["post"])
    def sync(self, _request: Request, name: str) -> Response:
        accept_empty = self.read_body(SyncSerializer).get("accept_empty", False)
        operation = actions.request_copies(self.actor, name, accept_empty=accept_empty)
        return build_started(operation, "Copying is queued. Its operation shows the progress.")

    @extend_schema(
        operation_id="locations_check",
        summary="Check a copy",
        description="Reads the copy whose check is oldest, and compares its checksum. A worker does this automatically at night.",
        parameters=[_NAME],
        request=None,
        responses={202: StartedSerializer, **problems(400, 404, 409)},
        examples=[_STARTED],
    )
    @action(detail=True, methods=["post"])
    def check(self, _request: Request, name: str) -> Response:
        operation = actions.request_copy_check(self.actor, name)
        return build_started(operation, "The check is queued. Its operation shows the progress.")

    @extend_schema(
        operation_id="locations_rehearse",
        summary="Rehearse the restore of a copy",
        description="Fetches the newest good copy, or that of a backup, and restores it into a scratch copy of the database. "
        "Encrypted copies need a stored identity (`identity_required`).",
        parameters=[_NAME],
        request=RehearsalSerializer,
        responses={202: StartedSerializer, **problems(400, 404, 409, 413, 415, 507)},
        examples=[_STARTED, request_example("The newest good copy", {})],
    )
    @action(detail=True, methods=["post"])
    def rehearse(self, _request: Request, name: str) -> Response:
        filename = self.read_body(RehearsalSerializer).get("filename")
        operation = actions.request_rehearsal(self.actor, filename, location=name)
        return build_started(operation, "The rehearsal is queued. Its operation shows the progress.")

    @extend_schema(
        methods=["put"],
        operation_id="locations_identity_store",
        summary="Store the identity for rehearsals",
        description="It is stored on this machine, encrypted with the secret key, and never answered. Anyone who can read this "
        "machine's files, or a settings archive in the backup folder, can then decrypt the copies.",
        parameters=[_NAME],
        request=IdentitySerializer,
        responses={200: LocationSerializer, **problems(400, 404, 413, 415)},
        examples=[_ANSWER, request_example("The identity", {"identity": _KEY_EXAMPLE["identity"]})],
    )
    @extend_schema(
        methods=["delete"],
        operation_id="locations_identity_forget",
        summary="Delete the stored identity",
        description="Encrypted copies of this location are no longer rehearsed.",
        parameters=[_NAME],
        request=None,
        responses={204: OpenApiResponse(description="No identity is stored."), **problems(400, 404)},
    )
    @action(detail=True, methods=["put", "delete"])
    def identity(self, request: Request, name: str) -> Response:
        if request.method == "DELETE":
            actions.forget_rehearsal_identity(self.actor, name)
            return Response(status=status.HTTP_204_NO_CONTENT)
        identity = self.read_body(IdentitySerializer)["identity"]
        return Response(_location_for_api(actions.store_rehearsal_identity(self.actor, name, identity)))

    @extend_schema(
        operation_id="locations_host_key",
        summary="Confirm a host key",
        description="Stores the host key that the server offered in the last test. The location must be tested again.",
        parameters=[_NAME],
        request=HostKeySerializer,
        responses={200: LocationSerializer, **problems(400, 404, 413, 415)},
        examples=[_ANSWER, request_example("A host key", {"host_key": LOCATION_EXAMPLE["options"]["host_key"]})],
    )
    @action(detail=True, methods=["post"], url_path="host-key")
    def host_key(self, _request: Request, name: str) -> Response:
        host_key = self.read_body(HostKeySerializer)["host_key"]
        return Response(_location_for_api(actions.confirm_host_key(self.actor, name, host_key)))

    @extend_schema(
        operation_id="locations_key",
        summary="Make a recovery key",
        description="Stores its recipient, so that copies are encrypted. The identity is answered only here, and is not stored. "
        "Copies start when the key is confirmed. A location that has encrypted copies is refused.",
        parameters=[_NAME],
        request=None,
        responses={200: KeySerializer, **problems(400, 404)},
        examples=[response_example("A key", _KEY_EXAMPLE)],
    )
    @action(detail=True, methods=["post"])
    def key(self, _request: Request, name: str) -> Response:
        key = actions.new_location_key(self.actor, name)
        return Response({"identity": key.identity, "recipient": key.recipient})

    @extend_schema(
        operation_id="locations_key_confirm",
        summary="Confirm that the recovery key is saved",
        description="The identity is compared with the recipient, and is not stored.",
        parameters=[_NAME],
        request=KeyConfirmationSerializer,
        responses={200: LocationSerializer, **problems(400, 404, 413, 415)},
        examples=[
            _ANSWER,
            request_example("The identity", {"identity": _KEY_EXAMPLE["identity"]}),
            request_example("Without the identity", {"key_saved": True}),
        ],
    )
    @action(detail=True, methods=["post"], url_path="key/confirm")
    def confirm_key(self, _request: Request, name: str) -> Response:
        identity = self.read_body(KeyConfirmationSerializer).get("identity") or None
        return Response(_location_for_api(actions.confirm_location_key(self.actor, name, identity)))
