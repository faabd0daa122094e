"""The table of actions: the entrances of each, and the outcomes by state and role.

Entrances may differ in how they answer, but not in what they do or in the code of a refusal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tests.portable.files import FILTERS, document, filter_item
from tests.roles.rows import ADMINISTRATOR, OPERATOR, SUPERUSER, VIEWER
from tests.roles.table import (
    CHANGED_LOCATION,
    CHANGED_RECEIVER,
    FILTER,
    LOCATION,
    NEW_LOCATION,
    NEW_RECEIVER,
    RECEIVER,
)
from tvarr_backup.operations.models import OperationKind


class Entrance(StrEnum):
    """Where a user takes an action."""

    PAGE = "page"
    API = "API"
    ADMIN = "admin"
    COMMAND = "command"


PAGE, API, ADMIN, COMMAND = Entrance


@dataclass(frozen=True)
class Ask:
    """A request, as in `rows.Row`, or a command and its arguments."""

    key: str
    body: Any = None
    query: str = ""
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """An action in a state. `code` is `DONE` or the code of the refusal; a mapping if roles differ.

    `on` is the backup, as in `rows.Row`, or `missing`; `queued` is an operation that is queued; `stdin` is for the command.
    """

    action: str
    state: str
    first: str
    code: str | Mapping[str, str]
    asks: Mapping[Entrance, Ask]
    on: str = "plain"
    queued: OperationKind | None = None
    stdin: bytes = b"correct horse\n"


DONE = "done"
DENIED = "permission_denied"
NOT_CALLED = "the action was not called"
"""Correct only for users without permission who do not get the form or the choice either."""

_ONE, _V1, _LIST = "/backups/<str:filename>/", "/api/v1/backups", "/admin/operations/backup/"
_CALL = f"{_V1}/<str:filename>"
_TOO_LONG = "x" * 600
_HIDDEN_CHARACTER = "a note\u202e"


def _command(*arguments: str) -> dict[Entrance, Ask]:
    return {COMMAND: Ask("", arguments=("backup", *arguments))}


def _selected(action: str) -> Ask:
    return Ask(f"POST {_LIST} {action}", {"action": action, "_selected_action": "{object_id}"})


def _create(note: str) -> dict[Entrance, Ask]:
    return {
        PAGE: Ask("POST /backups/create/", {"note": note}),
        API: Ask(f"POST {_V1}", {"note": note}),
        **_command("create", "--note", note),
    }


def _verify() -> dict[Entrance, Ask]:
    return {
        PAGE: Ask(f"POST {_ONE}verify/"),
        API: Ask(f"POST {_CALL}/verify", {}),
        ADMIN: _selected("verify"),
        **_command("verify", "{filename}"),
    }


def _rehearse() -> dict[Entrance, Ask]:
    return {
        PAGE: Ask(f"POST {_ONE}rehearse/"),
        API: Ask(f"POST {_CALL}/rehearse", {}),
        **_command("rehearse", "{filename}"),
    }


def _restore(*accepted: str) -> dict[Entrance, Ask]:
    return {
        PAGE: Ask(f"POST {_ONE}restore/", dict.fromkeys(accepted, "true")),
        API: Ask(f"POST {_CALL}/restore", dict.fromkeys(accepted, True), "confirm=true"),
        **_command("restore", "{filename}", "--yes", *(f"--{word}" for word in accepted)),
    }


def _download() -> dict[Entrance, Ask]:
    return {PAGE: Ask(f"GET {_ONE}download/"), API: Ask(f"GET {_CALL}/download")}


def _delete() -> dict[Entrance, Ask]:
    return {
        PAGE: Ask("POST /backups/delete/", {"name": "{filename}"}),
        API: Ask(f"DELETE {_CALL}"),
        **_command("delete", "{filename}", "--yes"),
    }


def _change_note(note: str) -> dict[Entrance, Ask]:
    return {
        PAGE: Ask(f"POST {_ONE}note/", {"note": note}),
        API: Ask(f"PATCH {_CALL}", {"note": note}),
        **_command("note", "{filename}", note),
    }


def _protect() -> dict[Entrance, Ask]:
    return {
        PAGE: Ask(f"POST {_ONE}protect/", {"protected": "true"}),
        API: Ask(f"PATCH {_CALL}/protection", {"protected": True}),
        ADMIN: _selected("protect"),
        **_command("protect", "{filename}"),
    }


def _unprotect() -> dict[Entrance, Ask]:
    return {
        PAGE: Ask(f"POST {_ONE}protect/", {"protected": "false"}),
        API: Ask(f"PATCH {_CALL}/protection", {"protected": False}),
        ADMIN: _selected("unprotect"),
        **_command("protect", "{filename}", "--off"),
    }


def _location(method: str, path: str, body: Any, *arguments: str) -> dict[Entrance, Ask]:
    route = f"/api/v1/locations{path and '/<str:name>'}{path.removeprefix('.')}"
    return {API: Ask(f"{method} {route}", body), COMMAND: Ask("", arguments=("location", *arguments))}


def _cancel() -> dict[Entrance, Ask]:
    return {
        PAGE: Ask("POST /operations/<ulid:pk>/cancel/"),
        API: Ask("POST /api/v1/operations/<str:operation_id>/cancel"),
        ADMIN: Ask("POST /admin/operations/operation/ cancel", {"action": "cancel", "_selected_action": "{object_id}"}),
        COMMAND: Ask("", arguments=("operation", "cancel", "{operation}")),
    }


def _read() -> dict[Entrance, Ask]:
    return {PAGE: Ask(f"POST {_ONE}read/"), API: Ask(f"POST {_CALL}/read", {})}


def _take(name: str) -> dict[Entrance, Ask]:
    return {
        API: Ask("POST /api/v1/configuration/take", {"from": "now", "items": [name]}),
        COMMAND: Ask("", arguments=("config", "take", "now", "--item", name)),
    }


def _try_expression(text: str, *options: str, **members: str) -> dict[Entrance, Ask]:
    body = {"expression": text, "domain": "stream_filter", **members}
    return {
        API: Ask("POST /api/v1/expressions/test", body),
        COMMAND: Ask(
            "", arguments=("expression", "test", text, "--domain", "stream_filter", *options, *members.values())
        ),
    }


def _create_user(name: str) -> dict[Entrance, Ask]:
    form = {"username": name, "role": "operator", "usable_password": "true"}
    return {
        ADMIN: Ask("POST /admin/auth/user/add/", form | dict.fromkeys(("password1", "password2"), "correct horse")),
        COMMAND: Ask("", arguments=("user", "create", name, "--role", "operator")),
    }


_LOCATION = "/locations/<slug:location>/"


def _on_location(page: str, body: Any = None) -> dict[Entrance, Ask]:
    return {PAGE: Ask(f"POST {_LOCATION}{page}/", body)}


def _add_location(**changes: str) -> dict[Entrance, Ask]:
    return {PAGE: Ask("POST /locations/add/", NEW_LOCATION | changes, "kind=folder")}


def _receiver(method: str, path: str, body: Any, *arguments: str) -> dict[Entrance, Ask]:
    route = f"/api/v1/receivers{path and '/<str:name>'}{path.removeprefix('.')}"
    return {API: Ask(f"{method} {route}", body), COMMAND: Ask("", arguments=("receiver", *arguments))}


_RECEIVERS, _RECEIVER = "/settings/receivers/", "/settings/receivers/<slug:receiver>/"
_URL = b"ntfys://ntfy.example.com/new\n"


def _on_receiver(page: str, body: Any = None) -> dict[Entrance, Ask]:
    return {PAGE: Ask(f"POST {_RECEIVER}{page}/", body)}


_KEEP_ONE = {"enabled": "True", "often": "day", "at": "02:00", "keeping": "newest", "keep": "1", "time_zone": "UTC"}


def _without(asks: dict[Entrance, Ask], *entrances: Entrance) -> dict[Entrance, Ask]:
    return {entrance: ask for entrance, ask in asks.items() if entrance not in entrances}


BACKUP, COPY = OperationKind.BACKUP, OperationKind.COPY
CASES = [
    Case("request_backup", "nothing in the way", OPERATOR, DONE, _without(_create("by hand"), COMMAND)),
    Case("request_backup", "the note is too long", OPERATOR, "note_invalid", _create(_TOO_LONG)),
    Case("request_backup", "the note turns text round", OPERATOR, "note_invalid", _create(_HIDDEN_CHARACTER)),
    Case("request_backup", "another one is open", OPERATOR, "operation_running", _create(""), queued=BACKUP),
    Case("request_verification", "nothing in the way", OPERATOR, DONE, _without(_verify(), COMMAND)),
    Case(
        "request_verification",
        "the backup is gone",
        OPERATOR,
        "backup_not_found",
        _without(_verify(), ADMIN),
        on="missing",
    ),
    Case("request_verification", "another one is open", OPERATOR, "operation_running", _verify(), queued=BACKUP),
    Case("request_rehearsal", "nothing in the way", OPERATOR, DONE, _without(_rehearse(), COMMAND)),
    Case("request_rehearsal", "the backup is gone", OPERATOR, "backup_not_found", _rehearse(), on="missing"),
    Case(
        "request_rehearsal",
        "another one is open",
        OPERATOR,
        "operation_running",
        _rehearse(),
        queued=OperationKind.REHEARSE,
    ),
    Case("request_rehearsal", "a backup is queued", OPERATOR, DONE, _without(_rehearse(), COMMAND), queued=BACKUP),
    Case(
        "request_rehearsal",
        "the identity is not stored",
        ADMINISTRATOR,
        "identity_required",
        {
            PAGE: Ask("POST /locations/<slug:location>/rehearse/"),
            API: Ask("POST /api/v1/locations/<str:name>/rehearse", {}),
            **_command("rehearse", "--location", LOCATION),
        },
    ),
    Case("request_restore", "nothing in the way", ADMINISTRATOR, DONE, _without(_restore(), COMMAND)),
    Case("request_restore", "the backup is damaged", ADMINISTRATOR, "restore_refused", _restore(), on="damaged"),
    Case("request_restore", "the schema is newer", ADMINISTRATOR, "confirmation_required", _restore(), on="newer"),
    Case("request_restore", "offline is not needed", ADMINISTRATOR, "restore_refused", _restore("offline")),
    Case("request_restore", "the backup is gone", ADMINISTRATOR, "backup_not_found", _restore(), on="missing"),
    Case("request_restore", "another one is open", ADMINISTRATOR, "operation_running", _restore(), queued=BACKUP),
    Case("find_archive", "nothing in the way", OPERATOR, DONE, _download()),
    Case("find_archive", "the backup is gone", OPERATOR, "backup_not_found", _download(), on="missing"),
    Case("delete_backup", "nothing in the way", ADMINISTRATOR, DONE, _delete()),
    Case("delete_backup", "the backup is protected", ADMINISTRATOR, "backup_protected", _delete(), on="protected"),
    Case(
        "delete_backup",
        "the backup is gone",
        ADMINISTRATOR,
        "backup_not_found",
        _delete(),
        on="missing",
    ),
    Case("delete_backup", "another one is open", ADMINISTRATOR, "operation_running", _delete(), queued=BACKUP),
    Case("change_backup", "nothing in the way", OPERATOR, DONE, _protect()),
    Case("change_backup", "another note", OPERATOR, DONE, _change_note("another")),
    Case("change_backup", "the note is too long", OPERATOR, "note_invalid", _change_note(_TOO_LONG)),
    Case("change_backup", "the note turns text round", OPERATOR, "note_invalid", _change_note(_HIDDEN_CHARACTER)),
    Case(
        "change_backup",
        "the backup is gone",
        OPERATOR,
        "backup_not_found",
        _without(_protect(), ADMIN),
        on="missing",
    ),
    Case(
        "change_backup",
        "it unprotects a safety backup",
        OPERATOR,
        {OPERATOR: "unprotect_denied", ADMINISTRATOR: DONE, COMMAND: DONE},
        _unprotect(),
        on="safety",
    ),
    Case("cancel_operation", "it is queued", OPERATOR, DONE, _cancel(), queued=BACKUP),
    Case("cancel_operation", "it has ended", OPERATOR, "operation_ended", _cancel()),
    Case(
        "change_settings",
        "cleanup would delete backups, and the user has not seen them",
        ADMINISTRATOR,
        "confirmation_required",
        {
            PAGE: Ask("POST /settings/", _KEEP_ONE),
            COMMAND: Ask("", arguments=("schedule", "set", "--keep", "1")),
        },
    ),
    Case(
        "change_settings",
        "cleanup will delete backups, and a script has confirmed it",
        ADMINISTRATOR,
        DONE,
        {
            API: Ask(f"PUT {_V1}/schedule", {"retention": 1}),
            COMMAND: Ask("", arguments=("schedule", "set", "--keep", "1", "--yes")),
        },
    ),
    Case(
        "change_settings",
        "nothing would be deleted",
        ADMINISTRATOR,
        DONE,
        {
            PAGE: Ask("POST /settings/", _KEEP_ONE | {"keep": "90"}),
            API: Ask(f"PUT {_V1}/schedule", {"retention": 90}),
            COMMAND: Ask("", arguments=("schedule", "set", "--keep", "90")),
        },
    ),
    Case(
        "add_backup",
        "the note is too long",
        OPERATOR,
        "note_invalid",
        {
            PAGE: Ask("POST /backups/upload/", {"file": b"x", "note": _TOO_LONG}),
            API: Ask(f"POST {_V1}/upload", {"file": b"x", "note": _TOO_LONG}),
            **_command("adopt", "{filename}", "--note", _TOO_LONG),
        },
    ),
    Case(
        "add_backup",
        "it accepts the code in the file",
        OPERATOR,
        {OPERATOR: "accept_code_denied", ADMINISTRATOR: "upload_refused"},
        {
            PAGE: Ask("POST /backups/upload/", {"file": b"x", "accept_code_1": "1"}),
            API: Ask(f"POST {_V1}/upload", {"file": b"x", "accept_code": "true"}),
        },
    ),
    Case(
        "export_items",
        "nothing in the way",
        VIEWER,
        DONE,
        {
            API: Ask("POST /api/v1/filters/export", {"all": True}),
            ADMIN: Ask(
                "POST /admin/tvarr_backup/filter/ export_selected",
                {"action": "export_selected", "_selected_action": "{object_id}"},
            ),
            COMMAND: Ask("", arguments=("portable", "export", "filters", "--all", "-o", "/dev/null")),
        },
    ),
    Case(
        "export_selection",
        "nothing in the way",
        VIEWER,
        DONE,
        {PAGE: Ask("POST /export/download/", {"all": "filters"})},
    ),
    Case(
        "export_bundle",
        "nothing in the way",
        VIEWER,
        DONE,
        {
            PAGE: Ask("POST /export/download/", {"as": "bundle", "all": ["filters", "encoding-profiles"]}),
            API: Ask("POST /api/v1/bundle/export", {"filters": None}),
            COMMAND: Ask("", arguments=("portable", "export", "--bundle", "-o", "/dev/null")),
        },
    ),
    Case(
        "import_bundle",
        "nothing in the way",
        OPERATOR,
        DONE,
        {
            API: Ask("POST /api/v1/bundle/import", {"export": document(FILTERS, filter_item())}),
            COMMAND: Ask("", arguments=("portable", "import", "bundle", "{export}")),
        },
    ),
    Case("export_selection", "nothing is selected", VIEWER, "selection_empty", {PAGE: Ask("POST /export/download/")}),
    Case(
        "import_items",
        "nothing in the way",
        OPERATOR,
        DONE,
        {
            API: Ask("POST /api/v1/filters/import", {"export": document(FILTERS, filter_item())}),
            COMMAND: Ask("", arguments=("portable", "import", "filters", "{export}")),
        },
    ),
    Case(
        "import_pending",
        "nothing in the way",
        OPERATOR,
        DONE,
        {PAGE: Ask("POST /import/<ulid:record>/apply/ own", {"promise": "1,0,0"})},
    ),
    Case("find_imports", "nothing in the way", VIEWER, DONE, {API: Ask("GET /api/v1/imports")}),
    Case(
        "find_import",
        "nothing in the way",
        VIEWER,
        DONE,
        {API: Ask("GET /api/v1/imports/<str:import_id> own")},
    ),
    Case(
        "preview_undo",
        "nothing in the way",
        OPERATOR,
        DONE,
        {
            PAGE: Ask("GET /import/<ulid:applied>/undo/ own"),
            API: Ask("POST /api/v1/imports/<str:import_id>/undo own", {}, query="preview=true"),
            COMMAND: Ask("", arguments=("portable", "undo", "{applied}", "--dry-run")),
        },
    ),
    Case(
        "undo_import",
        "nothing in the way",
        OPERATOR,
        DONE,
        {
            PAGE: Ask("POST /import/<ulid:applied>/undo/ own"),
            API: Ask("POST /api/v1/imports/<str:import_id>/undo own", {}),
            COMMAND: Ask("", arguments=("portable", "undo", "{applied}")),
        },
    ),
    Case(
        "read_state",
        "nothing in the way",
        VIEWER,
        DONE,
        {
            API: Ask("GET /api/v1/configuration/diff", query="from=latest"),
            COMMAND: Ask("", arguments=("config", "diff", "latest")),
        },
    ),
    Case(
        "read_state",
        "there is no such state",
        VIEWER,
        "state_not_found",
        {
            API: Ask("GET /api/v1/configuration/diff", query="from=soon"),
            COMMAND: Ask("", arguments=("config", "diff", "soon")),
        },
    ),
    Case(
        "find_item",
        "nothing in the way",
        VIEWER,
        DONE,
        {PAGE: Ask("GET /configuration/items/<str:kind>/<str:row_id>/matches/")},
    ),
    Case(
        "count_item_matches",
        "nothing in the way",
        VIEWER,
        DONE,
        {PAGE: Ask("GET /configuration/items/<str:kind>/<str:row_id>/matches/")},
    ),
    Case(
        "prepare_expression_test",
        "nothing in the way",
        VIEWER,
        DONE,
        {PAGE: Ask("GET /expressions/")},
    ),
    Case(
        "try_expression",
        "nothing in the way",
        VIEWER,
        DONE,
        _try_expression("true") | {PAGE: Ask("POST /expressions/", {"expression": "true", "domain": "stream_filter"})},
    ),
    Case(
        "explain_expression",
        "there is no such channel",
        VIEWER,
        "row_not_found",
        _try_expression("true", "--explain", explain="Nobody"),
    ),
    Case(
        "explain_expression",
        "it reads addresses of streams",
        OPERATOR,
        "row_not_found",
        _try_expression('stream_url contains "a"', "--explain", explain="Nobody"),
    ),
    Case(
        "count_stored_matches",
        "nothing in the way",
        VIEWER,
        DONE,
        {
            API: Ask(
                "POST /api/v1/filters/test", {"source_type": "stream", "filter_expression": "true", "is_inverse": False}
            )
        },
    ),
    Case(
        "match_request",
        "nothing in the way",
        VIEWER,
        DONE,
        {API: Ask("POST /api/v1/client-detection-rules/test", {"expression": "true", "user_agent": ""})},
    ),
    Case(
        "preview_matches",
        "nothing in the way",
        OPERATOR,
        DONE,
        {COMMAND: Ask("", arguments=("portable", "plan", "filters", "{export}", "--matches"))},
    ),
    Case(
        "compare_matches",
        "nothing in the way",
        VIEWER,
        DONE,
        {
            PAGE: Ask("GET /configuration/compare/matches/"),
            COMMAND: Ask("", arguments=("config", "diff", "latest", "--matches")),
        },
    ),
    Case("request_reading", "nothing in the way", OPERATOR, DONE, _read()),
    Case("request_reading", "the backup is gone", OPERATOR, "backup_not_found", _read(), on="missing"),
    Case("request_reading", "another one is open", OPERATOR, "operation_running", _read(), queued=BACKUP),
    Case("take_items", "nothing in the way", OPERATOR, DONE, _take(FILTER)),
    Case("take_items", "there is no such item", OPERATOR, "item_not_found", _take("Nobody")),
    Case(
        "preview_taking",
        "nothing in the way",
        OPERATOR,
        DONE,
        {PAGE: Ask("POST /configuration/take/", {"source": "now", "item": f"filters/{FILTER}"})},
    ),
    Case(
        "find_events",
        "nothing in the way",
        VIEWER,
        DONE,
        {
            PAGE: Ask("GET /configuration/"),
            API: Ask("GET /api/v1/configuration/history"),
            COMMAND: Ask("", arguments=("config", "history")),
        },
    ),
    Case(
        "find_event",
        "nothing in the way",
        VIEWER,
        DONE,
        {
            PAGE: Ask("GET /configuration/events/<int:number>/"),
            API: Ask("GET /api/v1/configuration/history/<int:event_id>"),
        },
    ),
    Case(
        "find_versions",
        "nothing in the way",
        VIEWER,
        DONE,
        {
            PAGE: Ask("GET /configuration/items/<str:kind>/<str:row_id>/"),
            API: Ask("GET /api/v1/configuration/items/<str:kind>/<str:item_id>"),
        },
    ),
    Case(
        "find_versions_by_name",
        "nothing in the way",
        VIEWER,
        DONE,
        {COMMAND: Ask("", arguments=("config", "history", "filters", FILTER))},
    ),
    Case("request_cleanup", "nothing in the way", OPERATOR, DONE, _command("prune")),
    Case("request_cleanup", "another one is open", OPERATOR, "operation_running", _command("prune"), queued=BACKUP),
    Case(
        "find_locations",
        "nothing in the way",
        ADMINISTRATOR,
        DONE,
        _location("GET", "", None, "list") | {PAGE: Ask("GET /locations/")},
    ),
    Case(
        "find_location",
        "nothing in the way",
        ADMINISTRATOR,
        DONE,
        _location("GET", ".", None, "show", LOCATION) | {PAGE: Ask(f"GET {_LOCATION}")},
    ),
    Case(
        "add_location",
        "nothing in the way",
        ADMINISTRATOR,
        DONE,
        _location("POST", "", {"name": "attic", "url": "folder:/mnt"}, "add", "attic", "--url", "folder:/mnt")
        | _add_location(),
    ),
    Case(
        "add_location",
        "the name is taken",
        ADMINISTRATOR,
        "location_invalid",
        _location("POST", "", {"name": LOCATION, "url": "folder:/mnt"}, "add", LOCATION, "--url", "folder:/mnt"),
    ),
    Case("add_location_with_key", "nothing in the way", ADMINISTRATOR, DONE, _add_location(encryption="new")),
    Case(
        "change_location",
        "nothing in the way",
        ADMINISTRATOR,
        DONE,
        _location("PATCH", ".", {"keep": 3}, "change", LOCATION, "--keep", "3")
        | _on_location("change", CHANGED_LOCATION),
    ),
    Case(
        "change_location",
        "cleanup would delete copies, and the user has not seen them",
        ADMINISTRATOR,
        "confirmation_required",
        _location("PATCH", ".", {"keep": 1}, "change", LOCATION, "--keep", "1")
        | _on_location("change", CHANGED_LOCATION | {"keeping": "newest", "keep": "1"}),
    ),
    Case(
        "change_location",
        "cleanup will delete copies, and a script has confirmed it",
        ADMINISTRATOR,
        DONE,
        _location("PATCH", ".", {"keep": 1, "agreed": "*"}, "change", LOCATION, "--keep", "1", "--yes"),
    ),
    Case("change_location", "it is paused", ADMINISTRATOR, DONE, _on_location("pause", {"enabled": "false"})),
    Case(
        "remove_location",
        "nothing in the way",
        ADMINISTRATOR,
        DONE,
        _location("DELETE", ".", None, "remove", LOCATION, "--yes") | _on_location("remove"),
    ),
    Case(
        "remove_location",
        "its operation is open",
        ADMINISTRATOR,
        "location_busy",
        _location("DELETE", ".", None, "remove", LOCATION, "--yes") | _on_location("remove"),
        queued=COPY,
    ),
    Case(
        "request_location_test",
        "nothing in the way",
        ADMINISTRATOR,
        DONE,
        _location("POST", "/test", None, "test", LOCATION) | _on_location("test"),
    ),
    Case(
        "request_location_test",
        "another one is open",
        ADMINISTRATOR,
        "location_busy",
        _location("POST", "/test", None, "test", LOCATION) | _on_location("test"),
        queued=COPY,
    ),
    Case(
        "request_copies",
        "nothing in the way",
        ADMINISTRATOR,
        DONE,
        _location("POST", "/sync", {"accept_empty": True}, "sync", LOCATION, "--accept-empty") | _on_location("copy"),
    ),
    Case(
        "request_copies",
        "another one is open",
        ADMINISTRATOR,
        "location_busy",
        _location("POST", "/sync", {}, "sync", LOCATION) | _on_location("copy"),
        queued=OperationKind.CHECK_COPY,
    ),
    Case(
        "request_copy_check",
        "nothing in the way",
        ADMINISTRATOR,
        DONE,
        _location("POST", "/check", None, "check", LOCATION) | _on_location("check"),
    ),
    Case(
        "request_copy_check", "another one is open", ADMINISTRATOR, "location_busy", _on_location("check"), queued=COPY
    ),
    Case(
        "confirm_host_key",
        "nothing in the way",
        ADMINISTRATOR,
        DONE,
        _on_location("host-key", {"host_key": "{host_key}"}),
    ),
    Case(
        "confirm_host_key",
        "another one was offered",
        ADMINISTRATOR,
        "location_invalid",
        {API: _location("POST", "/host-key", {"host_key": "ssh-rsa BBBB"})[API]}
        | _on_location("host-key", {"host_key": "ssh-rsa BBBB"}),
    ),
    Case(
        "new_location_key",
        "it has encrypted copies",
        ADMINISTRATOR,
        "location_invalid",
        _location("POST", "/key", None, "key", "new", LOCATION) | _on_location("key", {"make": "yes"}),
    ),
    Case(
        "confirm_location_key",
        "nothing in the way",
        ADMINISTRATOR,
        DONE,
        _on_location("key", {"identity": "{identity}"}),
    ),
    Case(
        "confirm_location_key",
        "the user says so",
        ADMINISTRATOR,
        DONE,
        {API: _location("POST", "/key/confirm", {"key_saved": True})[API]},
    ),
    Case(
        "confirm_location_key",
        "it is not an identity",
        ADMINISTRATOR,
        "identity_invalid",
        _location("POST", "/key/confirm", {"identity": "correct horse"}, "key", "confirm", LOCATION)
        | _on_location("key", {"identity": "correct horse"}),
    ),
    Case(
        "find_receivers",
        "nothing in the way",
        ADMINISTRATOR,
        DONE,
        _receiver("GET", "", None, "list") | {PAGE: Ask(f"GET {_RECEIVERS}")},
    ),
    Case(
        "find_receiver",
        "nothing in the way",
        ADMINISTRATOR,
        DONE,
        _receiver("GET", ".", None, "show", RECEIVER) | {PAGE: Ask(f"GET {_RECEIVER}")},
    ),
    Case(
        "add_receiver",
        "nothing in the way",
        ADMINISTRATOR,
        DONE,
        _receiver("POST", "", {"name": "new", "url": _URL.decode().strip()}, "add", "new", "--url-file", "-")
        | {PAGE: Ask(f"POST {_RECEIVERS}add/", NEW_RECEIVER, "kind=apprise")},
        stdin=_URL,
    ),
    Case(
        "add_receiver",
        "the name is taken",
        ADMINISTRATOR,
        "receiver_invalid",
        _receiver("POST", "", {"name": RECEIVER, "url": _URL.decode().strip()}, "add", RECEIVER, "--url-file", "-"),
        stdin=_URL,
    ),
    Case(
        "change_receiver",
        "nothing in the way",
        ADMINISTRATOR,
        DONE,
        _receiver("PATCH", ".", {"name": "bell"}, "change", RECEIVER, "--new-name", "bell")
        | _on_receiver("change", CHANGED_RECEIVER),
    ),
    Case("change_receiver", "it is paused", ADMINISTRATOR, DONE, _on_receiver("pause", {"enabled": "false"})),
    Case(
        "remove_receiver",
        "nothing in the way",
        ADMINISTRATOR,
        DONE,
        _receiver("DELETE", ".", None, "remove", RECEIVER, "--yes") | _on_receiver("remove"),
    ),
    Case(
        "request_receiver_test",
        "nothing in the way",
        ADMINISTRATOR,
        DONE,
        {API: _receiver("POST", "/test", None)[API]} | _on_receiver("test"),
    ),
    Case(
        "find_messages",
        "nothing in the way",
        ADMINISTRATOR,
        DONE,
        {
            PAGE: Ask(f"GET {_RECEIVERS}messages/"),
            API: Ask("GET /api/v1/receivers/messages"),
            COMMAND: Ask("", arguments=("receiver", "messages")),
        },
    ),
    Case(
        "find_message",
        "nothing in the way",
        ADMINISTRATOR,
        DONE,
        {API: Ask("GET /api/v1/receivers/messages/<str:message_id>")},
    ),
    Case(
        "find_alerts",
        "nothing in the way",
        ADMINISTRATOR,
        DONE,
        {API: Ask("GET /api/v1/receivers/alerts"), COMMAND: Ask("", arguments=("receiver", "alerts"))},
    ),
    Case(
        "dismiss_receiver_advice",
        "nothing in the way",
        ADMINISTRATOR,
        DONE,
        {PAGE: Ask(f"POST {_RECEIVERS}advice/")},
    ),
    Case(
        "store_rehearsal_identity",
        "nothing in the way",
        ADMINISTRATOR,
        DONE,
        _on_location("identity", {"identity": "{identity}"}),
    ),
    Case(
        "store_rehearsal_identity",
        "it is not an identity",
        ADMINISTRATOR,
        "identity_invalid",
        _location("PUT", "/identity", {"identity": "correct horse"}, "key", "store", LOCATION)
        | _on_location("identity", {"identity": "correct horse"}),
    ),
    Case(
        "forget_rehearsal_identity",
        "nothing in the way",
        ADMINISTRATOR,
        DONE,
        _location("DELETE", "/identity", None, "key", "forget", LOCATION) | _on_location("identity", {"forget": "yes"}),
    ),
    Case("create_user", "nothing in the way", SUPERUSER, DONE, _create_user("marit")),
]

ROLES_ASKED = (VIEWER, OPERATOR, ADMINISTRATOR)
