"""The table of all entrances: who may use each, and what it answers.

A key is a method and a route, as in the URL patterns, and a word for the use if an address has several. A test
enumerates the URL patterns, so an entrance without a row fails.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.roles.rows import (
    ADMINISTRATOR,
    ANYONE,
    NO_ONE,
    NOTHING,
    OPERATOR,
    SIGN_IN,
    SIGNED_IN,
    SUPERUSER,
    VIEWER,
    Row,
    action,
    pages_of,
    pages_to_edit,
    row,
)
from tvarr_backup.operations.models import OperationKind
from tvarr_backup.portable.kinds import KINDS

# --- Permissions -----------------------------------------------------------------------------------------------------

VIEW, CREATE = "operations.view_backup", "operations.create_backup"
PROTECT, VERIFY = "operations.protect_backup", "operations.verify_backup"
DOWNLOAD, DELETE, RESTORE = "operations.download_backup", "operations.delete_backup", "operations.restore_backup"
VIEW_OPERATION = "operations.view_operation"
VIEW_SETTINGS, CHANGE_SETTINGS = "operations.view_backupsettings", "operations.change_backupsettings"
MANAGE_LOCATIONS = "operations.manage_locations"
MANAGE_RECEIVERS = "operations.manage_receivers"
EXPORT, IMPORT = "access.export_configuration", "access.import_configuration"

# Users who may start an operation may cancel it.
CANCEL = {
    OperationKind.BACKUP: (OPERATOR, CREATE),
    OperationKind.ADOPT: (OPERATOR, CREATE),
    OperationKind.VERIFY: (OPERATOR, VERIFY),
    OperationKind.READ: (OPERATOR, VERIFY),
    OperationKind.RESTORE: (ADMINISTRATOR, RESTORE),
    OperationKind.PRUNE: (ADMINISTRATOR, DELETE),
    OperationKind.DELETE: (ADMINISTRATOR, DELETE),
    OperationKind.COPY: (ADMINISTRATOR, MANAGE_LOCATIONS),
    OperationKind.CHECK_COPY: (ADMINISTRATOR, MANAGE_LOCATIONS),
    OperationKind.TEST_LOCATION: (ADMINISTRATOR, MANAGE_LOCATIONS),
    OperationKind.REHEARSE: (OPERATOR, VERIFY),
}

# --- Pages -----------------------------------------------------------------------------------------------------------

_ONE = "/backups/<str:filename>/"
_OPERATION = "/operations/<ulid:pk>/"
_LOCATION = "/locations/<slug:location>/"
NEW_LOCATION = {
    "name": "new",
    "option_path": "/mnt/nas",
    "keeping": "all",
    "encryption": "none",
}
CHANGED_LOCATION = {
    "name": "nas",
    "option_host": "nas.example.com",
    "option_port": "22",
    "option_user": "me",
    "option_path": "/elsewhere",
    "keeping": "all",
}
_RECEIVERS, _RECEIVER = "/settings/receivers/", "/settings/receivers/<slug:receiver>/"
NEW_RECEIVER = {"name": "new", "address": "ntfys://ntfy.example.com/new"}
CHANGED_RECEIVER = {"name": "bell", "address": ""}
_IMPORT, _APPLIED = "/import/<ulid:record>/", "/import/<ulid:applied>/"

PAGES: dict[str, Row] = {
    "GET /": row(VIEWER, VIEW, does="list backups"),
    "POST /backups/create/": row(OPERATOR, CREATE, answer=302, does="create a backup", body={"note": "by hand"}),
    "GET /backups/chart/": row(VIEWER, VIEW),
    "GET /backups/upload/": row(OPERATOR, CREATE),
    "POST /backups/upload/": row(OPERATOR, CREATE, answer=302, does="upload a backup"),
    "GET /backups/delete/": row(ADMINISTRATOR, DELETE, query="name={filename}"),
    "POST /backups/delete/": row(
        ADMINISTRATOR, DELETE, answer=302, does="delete a backup", body={"name": "{filename}"}
    ),
    f"GET {_ONE}": row(VIEWER, VIEW, does="show a backup"),
    f"POST {_ONE}note/": row(OPERATOR, PROTECT, answer=302, does="change a note", body={"note": "another"}),
    f"POST {_ONE}protect/": row(OPERATOR, PROTECT, answer=302, does="protect a backup", body={"protected": "true"}),
    f"POST {_ONE}protect/ safety": row(
        ADMINISTRATOR,
        PROTECT,
        DELETE,
        answer=302,
        refused=NOTHING,
        does="unprotect a safety backup",
        body={"protected": "false"},
        on="safety",
    ),
    f"POST {_ONE}verify/": row(OPERATOR, VERIFY, answer=302, does="verify a backup"),
    f"POST {_ONE}rehearse/": row(OPERATOR, VERIFY, answer=302, does="rehearse a backup"),
    f"GET {_ONE}download/": row(OPERATOR, DOWNLOAD, does="download a backup"),
    f"GET {_ONE}restore/": row(ADMINISTRATOR, RESTORE),
    f"POST {_ONE}restore/": row(ADMINISTRATOR, RESTORE, answer=302, does="restore a backup"),
    "GET /operations/bar/": row(VIEWER, VIEW_OPERATION, target="operation-bar"),
    f"GET {_OPERATION}": row(VIEWER, VIEW_OPERATION, does="show an operation"),
    f"GET {_OPERATION} fragment": row(VIEWER, VIEW_OPERATION, does="show an operation", target="operation"),
    **{
        f"POST {_OPERATION}cancel/ {kind}": row(first, permission, answer=302, does=f"cancel {kind}", queued=kind)
        for kind, (first, permission) in CANCEL.items()
    },
    f"POST {_OPERATION}dismiss/": row(SIGNED_IN, answer=302),
    f"POST {_ONE}read/": row(OPERATOR, VERIFY, answer=302, does="read a backup"),
    "GET /configuration/": row(VIEWER, EXPORT, does="read the history"),
    "GET /configuration/compare/": row(VIEWER, EXPORT),
    "GET /configuration/compare/ two": row(VIEWER, EXPORT, does="compare", query="from=now&to={filename}"),
    "GET /configuration/compare/matches/": row(VIEWER, EXPORT),
    "POST /configuration/take/": row(OPERATOR, EXPORT, IMPORT, answer=302, body={"source": "now", "item": "{item}"}),
    "GET /configuration/events/<int:number>/": row(VIEWER, EXPORT, does="read an event"),
    "GET /configuration/events/<int:number>/matches/": row(VIEWER, EXPORT),
    "GET /configuration/items/<str:kind>/<str:row_id>/": row(VIEWER, EXPORT, does="read the history of an item"),
    "GET /expressions/": row(VIEWER, EXPORT),
    "POST /expressions/": row(
        VIEWER,
        EXPORT,
        does="test an expression",
        body={"expression": "true", "domain": "stream_filter", "priority": "", "row": ""},
    ),
    "GET /configuration/items/<str:kind>/<str:row_id>/matches/": row(VIEWER, EXPORT, does="count what an item matches"),
    "GET /history/": row(VIEWER, VIEW_OPERATION, does="list operations"),
    "GET /locations/": row(ADMINISTRATOR, MANAGE_LOCATIONS, does="list locations"),
    "GET /locations/add/": row(ADMINISTRATOR, MANAGE_LOCATIONS),
    "POST /locations/add/": row(
        ADMINISTRATOR, MANAGE_LOCATIONS, answer=302, does="add a location", query="kind=folder", body=NEW_LOCATION
    ),
    f"GET {_LOCATION}": row(ADMINISTRATOR, MANAGE_LOCATIONS, does="show a location"),
    f"POST {_LOCATION}test/": row(ADMINISTRATOR, MANAGE_LOCATIONS, answer=302, does="test a location"),
    f"POST {_LOCATION}copy/": row(ADMINISTRATOR, MANAGE_LOCATIONS, answer=302, does="copy to a location"),
    f"POST {_LOCATION}check/": row(ADMINISTRATOR, MANAGE_LOCATIONS, answer=302, does="check a copy"),
    f"POST {_LOCATION}rehearse/": row(ADMINISTRATOR, VERIFY, MANAGE_LOCATIONS, answer=302, does="rehearse a copy"),
    f"GET {_LOCATION}identity/": row(ADMINISTRATOR, MANAGE_LOCATIONS),
    f"POST {_LOCATION}identity/": row(
        ADMINISTRATOR, MANAGE_LOCATIONS, answer=302, does="store an identity", body={"identity": "{identity}"}
    ),
    f"POST {_LOCATION}identity/ forget": row(
        ADMINISTRATOR, MANAGE_LOCATIONS, answer=302, does="forget an identity", body={"forget": "yes"}
    ),
    f"POST {_LOCATION}pause/": row(
        ADMINISTRATOR, MANAGE_LOCATIONS, answer=302, does="change a location", body={"enabled": "false"}
    ),
    f"POST {_LOCATION}host-key/": row(
        ADMINISTRATOR, MANAGE_LOCATIONS, answer=302, does="confirm a host key", body={"host_key": "{host_key}"}
    ),
    f"GET {_LOCATION}change/": row(ADMINISTRATOR, MANAGE_LOCATIONS),
    f"POST {_LOCATION}change/": row(
        ADMINISTRATOR, MANAGE_LOCATIONS, answer=302, does="change a location", body=CHANGED_LOCATION
    ),
    f"GET {_LOCATION}key/": row(ADMINISTRATOR, MANAGE_LOCATIONS),
    f"POST {_LOCATION}key/": row(ADMINISTRATOR, MANAGE_LOCATIONS, does="make a key", body={"make": "yes"}),
    f"POST {_LOCATION}key/ confirm": row(
        ADMINISTRATOR, MANAGE_LOCATIONS, answer=302, does="confirm a key", body={"identity": "{identity}"}
    ),
    f"GET {_LOCATION}remove/": row(ADMINISTRATOR, MANAGE_LOCATIONS),
    f"POST {_LOCATION}remove/": row(ADMINISTRATOR, MANAGE_LOCATIONS, answer=302, does="remove a location"),
    f"GET {_RECEIVERS}": row(ADMINISTRATOR, MANAGE_RECEIVERS, does="list receivers"),
    f"GET {_RECEIVERS}add/": row(ADMINISTRATOR, MANAGE_RECEIVERS),
    f"POST {_RECEIVERS}add/": row(
        ADMINISTRATOR, MANAGE_RECEIVERS, answer=302, does="add a receiver", query="kind=apprise", body=NEW_RECEIVER
    ),
    f"POST {_RECEIVERS}advice/": row(ADMINISTRATOR, MANAGE_RECEIVERS, answer=302),
    f"GET {_RECEIVERS}messages/": row(ADMINISTRATOR, MANAGE_RECEIVERS, does="list messages"),
    f"GET {_RECEIVER}": row(ADMINISTRATOR, MANAGE_RECEIVERS, does="show a receiver"),
    f"POST {_RECEIVER}test/": row(ADMINISTRATOR, MANAGE_RECEIVERS, answer=302, does="test a receiver"),
    f"POST {_RECEIVER}pause/": row(
        ADMINISTRATOR, MANAGE_RECEIVERS, answer=302, does="change a receiver", body={"enabled": "false"}
    ),
    f"GET {_RECEIVER}change/": row(ADMINISTRATOR, MANAGE_RECEIVERS),
    f"POST {_RECEIVER}change/": row(
        ADMINISTRATOR, MANAGE_RECEIVERS, answer=302, does="change a receiver", body=CHANGED_RECEIVER
    ),
    f"GET {_RECEIVER}remove/": row(ADMINISTRATOR, MANAGE_RECEIVERS),
    f"POST {_RECEIVER}remove/": row(ADMINISTRATOR, MANAGE_RECEIVERS, answer=302, does="remove a receiver"),
    "GET /export/": row(VIEWER, EXPORT),
    "GET /export/ fragment": row(VIEWER, EXPORT, query="open=filters", target="rows-filters"),
    "POST /export/download/": row(VIEWER, EXPORT, does="export", body={"all": "filters"}),
    "POST /export/preview/": row(VIEWER, EXPORT, does="export", body={"all": "filters"}),
    "POST /export/preview/ fragment": row(
        VIEWER, EXPORT, does="export", body={"all": "filters"}, target="export-preview"
    ),
    "GET /import/": row(OPERATOR, IMPORT),
    "POST /import/": row(OPERATOR, IMPORT, does="import", body={"text": "[]"}),
    f"GET {_IMPORT}": row(ADMINISTRATOR, IMPORT, RESTORE, refused=404),
    f"GET {_IMPORT} own": row(OPERATOR, IMPORT),
    f"GET {_IMPORT}matches/": row(ADMINISTRATOR, IMPORT, RESTORE, refused=404),
    f"GET {_IMPORT}matches/ own": row(OPERATOR, IMPORT),
    f"POST {_IMPORT}choices/": row(ADMINISTRATOR, IMPORT, RESTORE, answer=302, refused=404, body={"action-1": "skip"}),
    f"POST {_IMPORT}choices/ own": row(OPERATOR, IMPORT, answer=302, body={"action-1": "skip"}),
    f"POST {_IMPORT}choices/ fragment": row(
        ADMINISTRATOR, IMPORT, RESTORE, refused=404, body={"action-1": "skip"}, target="import-totals"
    ),
    f"POST {_IMPORT}check/": row(ADMINISTRATOR, IMPORT, RESTORE, refused=404, body={"fix-1-name": "Another"}),
    f"POST {_IMPORT}check/ own": row(OPERATOR, IMPORT, body={"fix-1-name": "Another"}),
    f"POST {_IMPORT}apply/": row(ADMINISTRATOR, IMPORT, RESTORE, answer=302, refused=404, body={"promise": "1,0,0"}),
    f"POST {_IMPORT}apply/ own": row(OPERATOR, IMPORT, answer=302, does="import", body={"promise": "1,0,0"}),
    f"POST {_IMPORT}discard/": row(ADMINISTRATOR, IMPORT, RESTORE, answer=302, refused=404),
    f"POST {_IMPORT}discard/ own": row(OPERATOR, IMPORT, answer=302),
    f"GET {_APPLIED}undo/": row(ADMINISTRATOR, IMPORT, RESTORE, refused=404),
    f"GET {_APPLIED}undo/ own": row(OPERATOR, IMPORT),
    f"POST {_APPLIED}undo/": row(ADMINISTRATOR, IMPORT, RESTORE, answer=302, refused=404),
    f"POST {_APPLIED}undo/ own": row(OPERATOR, IMPORT, answer=302, does="undo an import"),
    "GET /settings/": row(VIEWER, VIEW_SETTINGS, does="show the schedule"),
    "POST /settings/": row(ADMINISTRATOR, VIEW_SETTINGS, CHANGE_SETTINGS, does="change the schedule"),
    "GET /settings/preview/": row(ADMINISTRATOR, CHANGE_SETTINGS, target="outlook"),
    "POST /settings/reset/": row(ADMINISTRATOR, CHANGE_SETTINGS, answer=302, does="change the schedule"),
    "GET /account/": row(SIGNED_IN),
    "POST /account/": row(SIGNED_IN, body={"name": "a program", "lifetime": "30d", "scope": "read"}),
    "POST /account/tokens/revoke/": row(SIGNED_IN, answer=302, body={"name": "of a role"}),
    "GET /account/password/": row(SIGNED_IN),
    "POST /account/password/": row(SIGNED_IN),
    "GET /docs/": row(ANYONE),
    "GET /docs/<path:name>": row(ANYONE),
    "GET /sign-in/": row(ANYONE, answer=302, stranger=200),
    "POST /sign-in/": row(ANYONE, answer=302, stranger=200),
    "POST /sign-out/": row(ANYONE, answer=302),
}

# --- API -------------------------------------------------------------------------------------------------------------

_V1 = "/api/v1"
_BACKUP = f"{_V1}/backups/<str:filename>"
_API_LOCATION = f"{_V1}/locations/<str:name>"
_API_RECEIVERS, _API_RECEIVER = f"{_V1}/receivers", f"{_V1}/receivers/<str:name>"
FILTER = "A filter of the history"
"""A filter that exists."""
LOCATION = "nas"
"""A folder that is a tested location. Its recovery key is saved."""
RECEIVER = "phone"
MODELS = {kind.url_slug: kind.model.__name__.lower() for kind in KINDS.values()}


def _calls_of(kind: str, model: str) -> Iterator[tuple[str, Row]]:
    view, add, change, delete = (f"tvarr_backup.{what}_{model}" for what in ("view", "add", "change", "delete"))
    one = f"{_V1}/{kind}/<str:id>"
    yield f"GET {_V1}/{kind}", row(VIEWER, view, does=f"list {kind}")
    yield f"POST {_V1}/{kind}", row(OPERATOR, add, answer=400, does=f"add to {kind}", body={})
    yield f"GET {one}", row(VIEWER, view, does=f"show one of {kind}")
    yield f"PUT {one}", row(OPERATOR, change, answer=400, does=f"change one of {kind}", body={})
    yield f"PATCH {one}", row(OPERATOR, change, does=f"change one of {kind}", body={"description": "another"})
    yield f"DELETE {one}", row(OPERATOR, delete, answer=204, does=f"delete one of {kind}")
    yield f"GET {_V1}/{kind}/export", row(VIEWER, EXPORT, does="export", query="all=true")
    yield f"POST {_V1}/{kind}/export", row(VIEWER, EXPORT, does="export", body={"all": True})
    yield f"POST {_V1}/{kind}/import", row(OPERATOR, IMPORT, answer=400, does="import", body={})
    yield f"POST {_V1}/export/{kind}", row(VIEWER, EXPORT, does="export", body={})
    yield f"POST {_V1}/import/{kind}/preview", row(OPERATOR, IMPORT, answer=400, does="import", body={})
    yield f"POST {_V1}/import/{kind}", row(OPERATOR, IMPORT, answer=400, does="import", body={})


CALLS: dict[str, Row] = {
    f"GET {_V1}": row(SIGNED_IN),
    f"GET {_V1}/schema": row(SIGNED_IN),
    f"GET {_V1}/docs": row(SIGNED_IN),
    f"GET {_V1}/docs script": row(SIGNED_IN, query="script"),
    f"POST {_V1}/expressions/validate": row(SIGNED_IN, body={"expression": "", "domain": "stream_filter"}),
    f"GET {_V1}/status": row(VIEWER, VIEW, VIEW_OPERATION),
    f"POST {_V1}/expressions/test": row(VIEWER, EXPORT, body={"expression": "true", "domain": "stream_filter"}),
    f"POST {_V1}/expressions/test explain": row(
        VIEWER, EXPORT, answer=404, body={"expression": "true", "domain": "stream_filter", "explain": "Nobody"}
    ),
    f"POST {_V1}/expressions/test addresses": row(
        OPERATOR,
        EXPORT,
        DOWNLOAD,
        answer=404,
        body={"expression": 'stream_url contains "a"', "domain": "stream_filter", "explain": "Nobody"},
    ),
    f"POST {_V1}/filters/test": row(
        VIEWER, EXPORT, body={"source_type": "stream", "filter_expression": "true", "is_inverse": False}
    ),
    f"POST {_V1}/filters/test channels": row(
        OPERATOR,
        EXPORT,
        DOWNLOAD,
        body={"source_type": "stream", "filter_expression": "true", "is_inverse": False},
        query="include_channels=true",
    ),
    f"POST {_V1}/data-mapping/test": row(
        VIEWER, EXPORT, body={"source_ids": ["x"], "source_type": "stream", "expression": "true"}
    ),
    f"POST {_V1}/client-detection-rules/test": row(VIEWER, EXPORT, body={"expression": "true", "user_agent": ""}),
    f"GET {_V1}/backups": row(VIEWER, VIEW, does="list backups"),
    f"POST {_V1}/backups": row(OPERATOR, CREATE, answer=202, does="create a backup", body={}),
    f"POST {_V1}/backups/upload": row(OPERATOR, CREATE, answer=415, does="upload a backup", body={}),
    f"GET {_BACKUP}": row(VIEWER, VIEW, does="show a backup"),
    f"GET {_BACKUP} archive": row(OPERATOR, VIEW, DOWNLOAD),
    f"PATCH {_BACKUP}": row(OPERATOR, PROTECT, does="change a note", body={"note": "another"}),
    f"DELETE {_BACKUP}": row(ADMINISTRATOR, DELETE, does="delete a backup"),
    f"GET {_BACKUP}/download": row(OPERATOR, DOWNLOAD, does="download a backup"),
    f"PATCH {_BACKUP}/protection": row(OPERATOR, PROTECT, does="protect a backup", body={"protected": True}),
    f"PATCH {_BACKUP} safety": row(
        ADMINISTRATOR, PROTECT, DELETE, does="unprotect a safety backup", body={"protected": False}, on="safety"
    ),
    f"PATCH {_BACKUP}/protection safety": row(
        ADMINISTRATOR, PROTECT, DELETE, does="unprotect a safety backup", body={"protected": False}, on="safety"
    ),
    f"POST {_BACKUP}/verify": row(OPERATOR, VERIFY, answer=202, does="verify a backup", body={}),
    f"POST {_BACKUP}/rehearse": row(OPERATOR, VERIFY, answer=202, does="rehearse a backup", body={}),
    f"POST {_BACKUP}/read": row(OPERATOR, VERIFY, answer=202, does="read a backup", body={}),
    f"POST {_BACKUP}/restore": row(
        ADMINISTRATOR, RESTORE, answer=202, does="restore a backup", query="confirm=true", body={}
    ),
    f"GET {_V1}/backups/schedule": row(VIEWER, VIEW_SETTINGS, does="show the schedule"),
    f"PUT {_V1}/backups/schedule": row(ADMINISTRATOR, CHANGE_SETTINGS, does="change the schedule", body={}),
    **{
        f"{method} {route}": row(ADMINISTRATOR, MANAGE_LOCATIONS, **more)
        for method, route, more in (
            ("GET", f"{_V1}/locations", {"does": "list locations"}),
            (
                "POST",
                f"{_V1}/locations",
                {"does": "add a location", "answer": 201, "body": {"name": "attic", "url": "folder:/mnt/attic"}},
            ),
            ("GET", _API_LOCATION, {"does": "show a location"}),
            ("PATCH", _API_LOCATION, {"does": "change a location", "body": {"keep": 3}}),
            ("DELETE", _API_LOCATION, {"does": "remove a location", "answer": 204}),
            ("POST", f"{_API_LOCATION}/test", {"does": "test a location", "answer": 202}),
            ("POST", f"{_API_LOCATION}/sync", {"does": "copy to a location", "answer": 202, "body": {}}),
            ("POST", f"{_API_LOCATION}/check", {"does": "check a copy", "answer": 202}),
            (
                "POST",
                f"{_API_LOCATION}/host-key",
                {"does": "confirm a host key", "answer": 400, "body": {"host_key": "ssh-rsa AAAA"}},
            ),
            ("POST", f"{_API_LOCATION}/key", {"does": "make a recovery key"}),
            (
                "PUT",
                f"{_API_LOCATION}/identity",
                {"does": "store an identity", "answer": 400, "body": {"identity": "correct horse"}},
            ),
            ("DELETE", f"{_API_LOCATION}/identity", {"does": "forget an identity", "answer": 204}),
            ("POST", f"{_API_LOCATION}/key/confirm", {"does": "confirm a recovery key", "body": {"key_saved": True}}),
        )
    },
    **{
        f"{method} {route}": row(ADMINISTRATOR, MANAGE_RECEIVERS, **more)
        for method, route, more in (
            ("GET", _API_RECEIVERS, {"does": "list receivers"}),
            (
                "POST",
                _API_RECEIVERS,
                {
                    "does": "add a receiver",
                    "answer": 201,
                    "body": {"name": "new", "url": "ntfys://ntfy.example.com/new"},
                },
            ),
            ("GET", f"{_API_RECEIVERS}/alerts", {}),
            ("GET", f"{_API_RECEIVERS}/messages", {"does": "list messages"}),
            ("GET", f"{_API_RECEIVERS}/messages/<str:message_id>", {}),
            ("GET", _API_RECEIVER, {"does": "show a receiver"}),
            ("PATCH", _API_RECEIVER, {"does": "change a receiver", "body": {"daily_reminder": True}}),
            ("DELETE", _API_RECEIVER, {"does": "remove a receiver", "answer": 204}),
            ("POST", f"{_API_RECEIVER}/test", {"does": "test a receiver", "answer": 202}),
        )
    },
    # It has no copy yet.
    f"POST {_API_LOCATION}/rehearse": row(
        ADMINISTRATOR, VERIFY, MANAGE_LOCATIONS, answer=404, does="rehearse a copy", body={}
    ),
    f"GET {_V1}/operations": row(VIEWER, VIEW_OPERATION, does="list operations"),
    f"GET {_V1}/operations/<str:operation_id>": row(VIEWER, VIEW_OPERATION, does="show an operation"),
    **{
        f"POST {_V1}/operations/<str:operation_id>/cancel {kind}": row(
            first, permission, does=f"cancel {kind}", queued=kind
        )
        for kind, (first, permission) in CANCEL.items()
    },
    f"POST {_V1}/bundle/export": row(VIEWER, EXPORT, does="export", body={"filters": None}),
    f"POST {_V1}/bundle/import": row(OPERATOR, IMPORT, answer=400, does="import", body={}),
    f"GET {_V1}/imports": row(VIEWER, EXPORT),
    f"GET {_V1}/imports/<str:import_id>": row(ADMINISTRATOR, EXPORT, RESTORE, refused=404),
    f"GET {_V1}/imports/<str:import_id> own": row(VIEWER, EXPORT),
    f"POST {_V1}/imports/<str:import_id>/undo": row(ADMINISTRATOR, IMPORT, RESTORE, refused=404, body={}),
    f"POST {_V1}/imports/<str:import_id>/undo own": row(OPERATOR, IMPORT, does="undo an import", body={}),
    f"GET {_V1}/configuration/history": row(VIEWER, EXPORT, does="read the history"),
    f"GET {_V1}/configuration/history/<int:event_id>": row(VIEWER, EXPORT, does="read an event"),
    f"GET {_V1}/configuration/items/<str:kind>/<str:item_id>": row(VIEWER, EXPORT, does="read the history of an item"),
    f"GET {_V1}/configuration/diff": row(VIEWER, EXPORT, does="compare", query="from=now"),
    f"POST {_V1}/configuration/take": row(
        OPERATOR, EXPORT, IMPORT, does="take items", body={"from": "now", "items": [FILTER]}
    ),
    **{key: found for kind, model in MODELS.items() for key, found in _calls_of(kind, model)},
}

# --- Health, static files --------------------------------------------------------------------------------------------

HEALTH: dict[str, Row] = {
    "GET /healthz": row(ANYONE),
    "GET /readyz": row(VIEWER, VIEW, VIEW_OPERATION, answer=503),  # no worker runs here
    "GET /metrics": row(VIEWER, VIEW, VIEW_OPERATION),
    "GET /status.svg": row(VIEWER, VIEW, VIEW_OPERATION),
}
OUTSIDE: dict[str, Row] = {  # answered by middleware, or by nothing
    "GET {static}css/app.css": row(ANYONE),
    "GET {static}css/missing.css": row(ANYONE, answer=404),
    "GET /media/{filename}": row(ANYONE, answer=404),
    "GET /backups/": row(ANYONE, answer=404),
    f"GET {_V1}/missing": row(ANYONE, answer=404),
}

# --- Admin: for staff only; all others are led to the page to sign in --------------------------------------------------

_BACKUPS = "operations.backup"
_TOKENS = "/admin/access/apitoken/"
_ANY_OF_AXES = "|".join(f"axes.{what}_accessattempt" for what in ("view", "change", "delete"))

ADMIN: dict[str, Row] = {
    "GET /admin/": row(SIGNED_IN),
    "GET /admin/login/": row(SIGNED_IN, answer=SIGN_IN),
    "POST /admin/login/": row(SIGNED_IN, answer=SIGN_IN),
    "POST /admin/logout/": row(SIGNED_IN, answer=302, stranger=302),
    "GET /admin/password_change/": row(SIGNED_IN),
    "POST /admin/password_change/": row(SIGNED_IN),
    "GET /admin/password_change/done/": row(SIGNED_IN),
    "GET /admin/autocomplete/": row(NO_ONE),
    "GET /admin/jsi18n/": row(SIGNED_IN),
    "GET /admin/r/<path:content_type_id>/<path:object_id>/": row(SIGNED_IN, answer=404),
    "GET /admin/<app_label>/": row(SUPERUSER, _ANY_OF_AXES, refused=404),
    "GET /admin/<url>": row(SIGNED_IN, answer=404),
    # Backups and operations
    **dict(pages_of(_BACKUPS, VIEWER, does="backups")),
    "GET /admin/operations/backup/<path:object_id>/delete/": row(ADMINISTRATOR, DELETE, answer=302),
    "POST /admin/operations/backup/<path:object_id>/delete/": row(ADMINISTRATOR, DELETE, answer=302),
    **{
        f"{method} /admin/operations/backup/<path:object_id>/change/": row(
            VIEWER, "operations.view_backup|operations.change_backup", answer=302
        )
        for method in ("GET", "POST")
    },
    **dict(
        [
            action(_BACKUPS, "verify", OPERATOR, VERIFY, does="verify a backup"),
            action(_BACKUPS, "protect", OPERATOR, PROTECT, does="protect a backup"),
            action(_BACKUPS, "unprotect", OPERATOR, PROTECT, does="protect a backup", on="protected"),
            action(
                _BACKUPS, "unprotect", ADMINISTRATOR, PROTECT, DELETE, does="unprotect a safety backup", on="safety"
            ),
            action(_BACKUPS, "download", OPERATOR, DOWNLOAD),
            action(_BACKUPS, "restore", ADMINISTRATOR, RESTORE),
            action(_BACKUPS, "delete_selected", ADMINISTRATOR, DELETE),
        ]
    ),
    **dict(pages_of("operations.operation", VIEWER, does="operations")),
    **dict(
        action("operations.operation", "cancel", first, permission, does=f"cancel {kind}", queued=kind)
        for kind, (first, permission) in CANCEL.items()
    ),
    **dict(pages_of("operations.importrecord", SUPERUSER)),
    # The settings redirect to the page, which checks the permission
    **dict(pages_of("operations.backupsettings", VIEWER)),
    **{
        key: row(SIGNED_IN, answer=302)
        for key in (
            "GET /admin/operations/backupsettings/",
            "POST /admin/operations/backupsettings/ delete_selected",
            "GET /admin/operations/backupsettings/<path:object_id>/change/",
            "POST /admin/operations/backupsettings/<path:object_id>/change/",
            "GET /admin/operations/backupsettings/<path:object_id>/history/",
        )
    },
    # tvarr's tables
    **{
        key: found
        for kind, model in MODELS.items()
        for key, found in [
            *pages_to_edit(f"tvarr_backup.{model}", VIEWER, OPERATOR, does=kind),
            action(f"tvarr_backup.{model}", "export_selected", VIEWER, EXPORT, answer=200, does="export"),
        ]
    },
    # Users and groups
    **dict(pages_to_edit("auth.user", SUPERUSER, SUPERUSER)),
    "GET /admin/auth/user/add/": row(SUPERUSER, "auth.change_user", "auth.add_user"),
    "POST /admin/auth/user/add/": row(SUPERUSER, "auth.change_user", "auth.add_user"),
    "GET /admin/auth/user/<id>/password/": row(SUPERUSER, "auth.change_user"),
    "POST /admin/auth/user/<id>/password/": row(SUPERUSER, "auth.change_user"),
    **dict(pages_to_edit("auth.group", SUPERUSER, SUPERUSER)),
    **dict(pages_to_edit("axes.accessattempt", SUPERUSER, SUPERUSER)),
    "POST /admin/axes/accessattempt/<path:object_id>/change/": row(SUPERUSER, "axes.change_accessattempt", answer=302),
    "GET /admin/axes/accessattempt/add/": row(NO_ONE),
    "POST /admin/axes/accessattempt/add/": row(NO_ONE),
    # Tokens: the own ones need no permission
    **dict(pages_of("access.apitoken", SUPERUSER)),
    f"GET {_TOKENS}": row(SIGNED_IN),
    f"POST {_TOKENS} delete_selected": row(
        SUPERUSER,
        "access.view_apitoken",
        "access.delete_apitoken",
        answer=302,
        lacking=NOTHING,
        body={"action": "delete_selected", "_selected_action": "{object_id}", "post": "yes"},
    ),
    f"GET {_TOKENS}<path:object_id>/change/": row(SUPERUSER, "access.view_apitoken", refused=302),
    f"GET {_TOKENS}<path:object_id>/change/ own": row(SIGNED_IN),
    f"GET {_TOKENS}<path:object_id>/history/": row(SUPERUSER, "access.view_apitoken", refused=302),
    f"GET {_TOKENS}<path:object_id>/history/ own": row(SIGNED_IN),
    f"GET {_TOKENS}<path:object_id>/delete/": row(
        SUPERUSER, "access.view_apitoken", "access.delete_apitoken", lacking=302
    ),
    f"POST {_TOKENS}<path:object_id>/delete/": row(
        SUPERUSER, "access.view_apitoken", "access.delete_apitoken", answer=302, lacking=302, body={"post": "yes"}
    ),
    f"POST {_TOKENS}<path:object_id>/delete/ own": row(SIGNED_IN, answer=302, body={"post": "yes"}),
}

# --- Commands --------------------------------------------------------------------------------------------------------

COMMANDS = {
    *(
        "backup",
        "completion",
        "config",
        "expression",
        "location",
        "notify",
        "operation",
        "portable",
        "prepare",
        "rebuild",
        "receiver",
        "schedule",
        "status",
        "token",
    ),
    *("up", "user", "worker"),
}
"""Commands have no roles: users who can run them can read and write the files."""

TABLE = {**PAGES, **CALLS, **HEALTH, **OUTSIDE, **ADMIN}

# --- Actions whose entrances require different permissions -------------------------------------------------------------

DISAGREEMENTS: dict[str, str] = {}
