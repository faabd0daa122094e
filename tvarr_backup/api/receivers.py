"""Set up receivers of alerts, and read their messages and the present problems: `/receivers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_field
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from tvarr_backup.api.permissions import CHECKED_BY_ACTION
from tvarr_backup.api.queries import PAGE_PARAMETERS
from tvarr_backup.api.schema import header, problems, request_example, response_example
from tvarr_backup.api.strict import Flag, StrictSerializer, Text, field_error
from tvarr_backup.api.views import StrictView
from tvarr_backup.operations import actions
from tvarr_backup.operations.alert_models import (
    PING,
    Alert,
    AlertEvent,
    MessageState,
    OutboxMessage,
    Receiver,
    ReceiverState,
)
from tvarr_backup.operations.receiver_report import alert_as_data, message_as_data, receiver_as_data
from tvarr_backup.operations.receivers import SavedReceiver
from tvarr_backup.quoting import format_choices, quoted
from tvarr_backup.receivers.addresses import ReceiverKind

_COLUMNS = {"name": "name", "enabled": "is_enabled", "daily_reminder": "reminds_daily"}
"""The columns of a receiver by their members."""
KINDS = [*map(str, ReceiverKind), PING]
STATES = ReceiverState.values
MESSAGE_STATES = MessageState.values
_EVENT_HELP = f"One of {', '.join(f'`{event}`' for event in AlertEvent.values)}. Newer versions may have more."

# --- Answers ---------------------------------------------------------------------------------------------------------


class ReceiverSerializer(serializers.Serializer[Any]):
    """A receiver of alerts. Secrets are never part of an answer."""

    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=KINDS, help_text="`ping` is the monitor of `TVARR_BACKUP_PING_URL`.")
    url = serializers.CharField(help_text="The address, without the parts that may be secret.")
    from_environment = serializers.BooleanField(
        help_text="Whether it is set in the environment. Then only `enabled` and `daily_reminder` can be changed."
    )
    enabled = serializers.BooleanField(help_text="`false` if the receiver is paused.")
    daily_reminder = serializers.BooleanField(help_text="Whether it is reminded once a day of problems that last.")
    state = serializers.ChoiceField(choices=STATES)
    failing_since = serializers.DateTimeField(allow_null=True)
    failures = serializers.IntegerField(help_text="How many attempts have failed in a row.")
    next_attempt_at = serializers.DateTimeField(
        allow_null=True, help_text="When messages are sent again after a failure; null for immediately."
    )
    reason = serializers.CharField(allow_blank=True, help_text="Human-readable reason of the last failure.")
    error_code = serializers.CharField(allow_blank=True, help_text="The code of the last failure.")
    last_sent_at = serializers.DateTimeField(allow_null=True, help_text="When it accepted a message the last time.")
    answer = serializers.CharField(allow_blank=True, help_text="What it answered then.")


class SavedReceiverSerializer(ReceiverSerializer):
    """A receiver that was stored."""

    new_signing_secret = serializers.CharField(
        allow_blank=True,
        help_text="Secret. The signing secret of a webhook, if one was made. It is answered only once: save it.",
    )


@extend_schema_field(OpenApiTypes.OBJECT)
class _Facts(serializers.JSONField):
    pass


class ReceiverMessageSerializer(serializers.Serializer[Any]):
    """A message to one receiver."""

    id = serializers.CharField(help_text="The same at each attempt. Webhooks get it, so they can ignore duplicates.")
    receiver = serializers.CharField()
    event = serializers.CharField(help_text=_EVENT_HELP)
    is_over = serializers.BooleanField(help_text="Whether it says that the problem has ended.")
    subject = serializers.CharField()
    text = serializers.CharField()
    data = _Facts(help_text="What webhooks get as `data`.")  # type: ignore[assignment]  # the property is of the base
    state = serializers.ChoiceField(choices=MESSAGE_STATES)
    attempts = serializers.IntegerField()
    next_attempt_at = serializers.DateTimeField(
        allow_null=True, help_text="When a waiting message is sent again after a failure; null for immediately."
    )
    created_at = serializers.DateTimeField()
    sent_at = serializers.DateTimeField(allow_null=True)
    answer = serializers.CharField(allow_blank=True, help_text="What the receiver answered, in one line.")
    reason = serializers.CharField(allow_blank=True, help_text="Human-readable reason of the last failure.")
    error_code = serializers.CharField(allow_blank=True, help_text="The code of the last failure.")


class AlertSerializer(serializers.Serializer[Any]):
    """A problem that was reported and still holds."""

    key = serializers.CharField(help_text="Identifies the problem, such as `location_behind:nas`.")
    event = serializers.CharField(help_text=_EVENT_HELP)
    message = serializers.CharField(help_text="Human-readable.")
    since = serializers.DateTimeField()
    reminded_at = serializers.DateTimeField(help_text="When it was reported or reminded of the last time.")


# --- Requests --------------------------------------------------------------------------------------------------------


class _Unshown(Text):
    """A text that may be secret, so errors do not show it."""

    default_error_messages = {"invalid": "Expected a text.", "null": "Expected a text, got null."}

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return data


_URL_HELP = (
    "Such as `mailto:me@example.com`, `webhook+https://example.com/path`, or an address of apprise such as "
    "`ntfys://ntfy.sh/topic`. It is stored encrypted."
)
_SIGNING_HELP = "The signing secret of a webhook: `whsec_` and 24 to 64 bytes in base64."


class NewReceiverSerializer(StrictSerializer):
    """A new receiver."""

    name = Text(help_text="Lower-case letters, digits and hyphens, such as `phone-2`.")
    url = _Unshown(help_text=_URL_HELP)
    signing_secret = _Unshown(required=False, help_text=f"{_SIGNING_HELP} Without it, one is made and answered once.")
    enabled = Flag(required=False, help_text="`false` pauses the receiver.")
    daily_reminder = Flag(required=False, help_text="Remind once a day of problems that last.")


class ReceiverChangeSerializer(NewReceiverSerializer):
    """Changes of a receiver. Members that are left out stay as they are."""

    name = Text(required=False, help_text="Another name.")
    url = _Unshown(required=False, help_text=_URL_HELP)
    signing_secret = _Unshown(required=False, help_text=_SIGNING_HELP)


# --- Examples --------------------------------------------------------------------------------------------------------

RECEIVER_EXAMPLE: dict[str, Any] = {
    "name": "hook",
    "kind": "webhook",
    "url": "webhook+https://hooks.example.com/…",
    "from_environment": False,
    "enabled": True,
    "daily_reminder": False,
    "state": "working",
    "failing_since": None,
    "failures": 0,
    "next_attempt_at": None,
    "reason": "",
    "error_code": "",
    "last_sent_at": "2026-03-01T18:00:02.120000Z",
    "answer": "204 No Content",
}
SAVED_EXAMPLE = RECEIVER_EXAMPLE | {"new_signing_secret": "whsec_..."}
MESSAGE_EXAMPLE: dict[str, Any] = {
    "id": "01JQ4Z6V9M3N8W5X2Y7T1K0CDE",
    "receiver": "hook",
    "event": "receiver_test",
    "is_over": False,
    "subject": "tvarr-backup: test message",
    "text": "This is a test message. Alerts about backups will be sent here.",
    "data": {},
    "state": "waiting",
    "attempts": 0,
    "next_attempt_at": None,
    "created_at": "2026-03-01T18:00:00.120000Z",
    "sent_at": None,
    "answer": "",
    "reason": "",
    "error_code": "",
}
ALERT_EXAMPLE: dict[str, Any] = {
    "key": "location_behind:nas",
    "event": "location_behind",
    "message": "nas has been without all copies since 28 Feb 2026, 02:00.",
    "since": "2026-03-01T02:00:05.120000Z",
    "reminded_at": "2026-03-01T02:00:05.120000Z",
}
_ANSWER = response_example("A receiver", RECEIVER_EXAMPLE)
_SAVED = response_example("A receiver", SAVED_EXAMPLE)
_NEW = [
    request_example("Mail", {"name": "me", "url": "mailto:me@example.com", "daily_reminder": True}),
    request_example("A webhook", {"name": "hook", "url": "webhook+https://hooks.example.com/wharf-lantern"}),
    request_example("ntfy", {"name": "phone", "url": "ntfys://ntfy.sh/wharf-lantern"}),
]
_NAME = OpenApiParameter("name", str, OpenApiParameter.PATH, description="The name of a receiver.")
_ID = OpenApiParameter("message_id", str, OpenApiParameter.PATH, description="The `id` of a message.")
_ADDRESS = header("Location", "The address of the new receiver.", 201)
_MESSAGE_ADDRESS = header("Location", "The address of the message.", 202)


def _receiver_for_api(receiver: Receiver) -> dict[str, Any]:
    data = receiver_as_data(receiver)
    return data | {"reason": data["reason"].without_paths()}


def _saved_for_api(saved: SavedReceiver) -> dict[str, Any]:
    return _receiver_for_api(saved.receiver) | {"new_signing_secret": saved.new_signing_secret}


def _message_for_api(message: OutboxMessage) -> dict[str, Any]:
    data = message_as_data(message)
    return data | {"reason": data["reason"].without_paths()}


def _alert_for_api(alert: Alert) -> dict[str, Any]:
    data = alert_as_data(alert)
    return data | {"message": data["message"].without_paths()}


def _read_columns(sent: Mapping[str, Any]) -> dict[str, Any]:
    return {column: sent[member] for member, column in _COLUMNS.items() if member in sent}


class ReceiverViewSet(StrictView, viewsets.GenericViewSet[Receiver]):
    """Receivers of alerts."""

    queryset = Receiver.objects.none()
    serializer_class = ReceiverSerializer
    filter_backends = ()
    lookup_url_kwarg = "name"
    required_permissions = dict.fromkeys(
        ("list", "create", "retrieve", "partial_update", "destroy", "test"), CHECKED_BY_ACTION
    )
    parameters = {"list": PAGE_PARAMETERS}

    @extend_schema(
        summary="List receivers of alerts",
        responses={200: ReceiverSerializer(many=True), **problems(400, 404)},
        examples=[_ANSWER],
    )
    def list(self, _request: Request) -> Response:
        on_page = self.paginate_queryset(actions.find_receivers(self.actor)) or []
        return self.get_paginated_response([_receiver_for_api(receiver) for receiver in on_page])

    @extend_schema(
        summary="Add a receiver",
        description="Nothing is sent. Send a test message to learn whether it works.",
        request=NewReceiverSerializer,
        parameters=[_ADDRESS],
        responses={201: SavedReceiverSerializer, **problems(400, 413, 415)},
        examples=[_SAVED, *_NEW],
    )
    def create(self, _request: Request) -> Response:
        sent = self.read_body(NewReceiverSerializer)
        saved = actions.add_receiver(
            self.actor, sent["name"], sent["url"], signing_secret=sent.get("signing_secret", ""), **_options(sent)
        )
        headers = {"Location": reverse("api-receiver-detail", args=[saved.receiver.name])}
        return Response(_saved_for_api(saved), status.HTTP_201_CREATED, headers=headers)

    @extend_schema(
        summary="Show a receiver",
        parameters=[_NAME],
        responses={200: ReceiverSerializer, **problems(400, 404)},
        examples=[_ANSWER],
    )
    def retrieve(self, _request: Request, name: str) -> Response:
        return Response(_receiver_for_api(actions.find_receiver(self.actor, name)))

    @extend_schema(
        summary="Change a receiver",
        description="Members that are left out stay as they are. Messages that wait are sent to a changed address. Pausing a "
        "receiver drops them.",
        request=ReceiverChangeSerializer,
        parameters=[_NAME],
        responses={200: SavedReceiverSerializer, **problems(400, 404, 409, 413, 415)},
        examples=[
            response_example("A receiver", RECEIVER_EXAMPLE | {"new_signing_secret": ""}),
            request_example("Pause", {"enabled": False}),
            request_example("Daily reminders", {"daily_reminder": True}),
        ],
    )
    def partial_update(self, _request: Request, name: str) -> Response:
        sent = self.read_body(ReceiverChangeSerializer)
        secrets = {member: sent[member] for member in ("url", "signing_secret") if member in sent}
        return Response(_saved_for_api(actions.change_receiver(self.actor, name, **secrets, **_read_columns(sent))))

    @extend_schema(
        summary="Remove a receiver",
        description="Its messages are removed too. A receiver of the environment is refused.",
        parameters=[_NAME],
        responses={204: OpenApiResponse(description="The receiver is removed."), **problems(400, 404, 409)},
    )
    def destroy(self, _request: Request, name: str) -> Response:
        actions.remove_receiver(self.actor, name)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        operation_id="receivers_test",
        summary="Send a test message",
        description="The message is sent once, also to a paused receiver. Request its address in `Location` until `state` is no "
        "longer `waiting`: then `answer` or `reason` says what the receiver answered.",
        parameters=[_NAME, _MESSAGE_ADDRESS],
        request=None,
        responses={202: ReceiverMessageSerializer, **problems(400, 404)},
        examples=[response_example("A test message", MESSAGE_EXAMPLE, 202)],
    )
    @action(detail=True, methods=["post"])
    def test(self, _request: Request, name: str) -> Response:
        message = actions.request_receiver_test(self.actor, name)
        headers = {"Location": reverse("api-receiver-message-detail", args=[message.pk])}
        return Response(_message_for_api(message), status.HTTP_202_ACCEPTED, headers=headers)


def _options(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a new receiver, without its name."""
    return _read_columns({member: value for member, value in sent.items() if member != "name"})


class MessageViewSet(StrictView, viewsets.GenericViewSet[OutboxMessage]):
    """Messages to receivers."""

    queryset = OutboxMessage.objects.none()
    serializer_class = ReceiverMessageSerializer
    filter_backends = ()
    lookup_url_kwarg = "message_id"
    required_permissions = {"list": CHECKED_BY_ACTION, "retrieve": CHECKED_BY_ACTION}
    parameters = {"list": {"receiver", "state", *PAGE_PARAMETERS}}

    @extend_schema(
        summary="List messages to receivers, newest first",
        parameters=[
            OpenApiParameter("receiver", str, description="The name of a receiver."),
            OpenApiParameter("state", str, enum=MESSAGE_STATES),
        ],
        responses={200: ReceiverMessageSerializer(many=True), **problems(400, 404)},
        examples=[response_example("A test message", MESSAGE_EXAMPLE)],
    )
    def list(self, request: Request) -> Response:
        found = actions.find_messages(self.actor, request.query_params.get("receiver"))
        state = request.query_params.get("state")
        if state is not None:
            if state not in MessageState:
                sentence = f"Expected {format_choices(MESSAGE_STATES)}, got {quoted(state)}."
                raise field_error("state", sentence, "invalid_choice")
            found = found.filter(state=state)
        return self.get_paginated_response([_message_for_api(one) for one in self.paginate_queryset(found) or []])

    @extend_schema(
        summary="Show a message",
        parameters=[_ID],
        responses={200: ReceiverMessageSerializer, **problems(400, 404)},
        examples=[response_example("A test message", MESSAGE_EXAMPLE)],
    )
    def retrieve(self, _request: Request, message_id: str) -> Response:
        return Response(_message_for_api(actions.find_message(self.actor, message_id)))


class AlertViewSet(StrictView, viewsets.GenericViewSet[Alert]):
    """Problems that were reported and still hold."""

    queryset = Alert.objects.none()
    serializer_class = AlertSerializer
    filter_backends = ()
    required_permissions = {"list": CHECKED_BY_ACTION}
    parameters = {"list": PAGE_PARAMETERS}

    @extend_schema(
        summary="List present problems, oldest first",
        description="They are those that were reported to receivers. `/readyz` reports all, also without receivers.",
        responses={200: AlertSerializer(many=True), **problems(400, 404)},
        examples=[response_example("A location is behind", ALERT_EXAMPLE)],
    )
    def list(self, _request: Request) -> Response:
        on_page = self.paginate_queryset(actions.find_alerts(self.actor)) or []
        return self.get_paginated_response([_alert_for_api(alert) for alert in on_page])
