"""The users of the table, an object behind each address, and the answers."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.db import connections, transaction
from django.test import Client

from tests import factories
from tests.operations.alert_parts import add_message
from tests.portable.files import FILTERS, document, filter_item
from tests.roles.rows import NOTHING, SIGN_IN, Expected, Row
from tests.roles.table import FILTER, LOCATION, RECEIVER
from tvarr_backup import conf
from tvarr_backup.access.models import ApiToken
from tvarr_backup.access.scopes import Scope
from tvarr_backup.access.tokens import create_token
from tvarr_backup.backups.catalogue import Backup, protect_backup, rewrite_sidecar
from tvarr_backup.backups.create import create_backup
from tvarr_backup.backups.folder import work_in
from tvarr_backup.backups.sidecar import BackupKind, Checked, CheckLevel, encode_sidecar
from tvarr_backup.locations.addresses import LocationKind, read_address
from tvarr_backup.locations.copies import CopyFolder
from tvarr_backup.locations.stores import open_store
from tvarr_backup.operations import history, locations, receivers
from tvarr_backup.operations.imports import import_file, keep_import, open_import
from tvarr_backup.operations.index import refresh_index
from tvarr_backup.operations.kinds import KINDS as OPERATION_KINDS
from tvarr_backup.operations.models import (
    HistoryEvent,
    ImportRecord,
    ImportState,
    Installation,
    ItemVersion,
    Location,
    Operation,
    OperationKind,
    OperationState,
    Origin,
)
from tvarr_backup.operations.run import run_here
from tvarr_backup.operations.track import create_operation
from tvarr_backup.portable.kinds import KINDS

_MISSING = "tvarr-backup-2001-01-01T00-00-00.db.gz"
_ALIASES = ("default", "tvarr")
_HOST, _HOST_KEY = "box", "ssh-ed25519 AAAA"
_EXPORT = json.dumps(document(FILTERS, filter_item())).encode()


_RECORDED: dict[str, dict[str, Any]] = {
    "damaged": {"checked": Checked(CheckLevel.FULL, datetime(2026, 1, 1, tzinfo=UTC), ("Row 4 is gone.",), ())},
    "newer": {"schema": "tvarr 999"},
    "scheduled": {"kind": BackupKind.SCHEDULED},
    "older": {"kind": BackupKind.SCHEDULED},
}
"""Changes to the metadata of backups that only some tests need."""


@dataclass(frozen=True)
class Person:
    """A user of the table, or `None` for an anonymous one. With a token and no session it is a script of that user."""

    user: User | None = None
    session: str = ""
    token: str = ""

    def by_token(self) -> Person:
        return Person(self.user, token=self.token)

    def client(self) -> Client:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token and not self.session else {}
        client = Client(headers=headers)
        client.raise_request_exception = False
        if self.session:
            client.cookies[settings.SESSION_COOKIE_NAME] = self.session
        return client


NOBODY = Person()


class World:
    """An installation with an object of each kind. Changes by a request are undone after it."""

    def __init__(self, folder: Path, template: Path, *more: str) -> None:
        self._folder, self._template = folder, template
        self._people: dict[Any, Person] = {}
        backups = {on: _backup(folder, on) for on in ("plain", "protected", "safety", *more)}
        self.export = template.with_name("filters.json")
        self.export.write_bytes(_EXPORT)
        self.backups = {on: backup.filename for on, backup in backups.items()}
        self._operation = run_here(
            OperationKind.VERIFY, origin=Origin.WEB, arguments={"filenames": [self.backups["plain"]]}
        )
        refresh_index()
        shutil.copytree(folder, template, symlinks=True)
        self._rows: dict[str, Any] = {
            KINDS[slug].url_slug: factory.create() for slug, factory in factories.KIND_FACTORIES.items()
        }
        factories.FilterFactory.create(name=FILTER)
        rows = [*self._rows.values(), self._operation]
        rows += [
            Group.objects.create(name="A group"),
            AccessAttempt.objects.create(username="a stranger", failures_since_start=1),
        ]
        applied = {"state": ImportState.APPLIED, "kind": "filters", "origin": Origin.WEB}
        rows += [ImportRecord.objects.create(created_at=datetime.now(UTC), **applied)]
        history.record_changes(history.OUTSIDE)
        self._owner = factories.UserFactory.create()
        rows += [create_token(factories.UserFactory.create().username, "of another user", None)[0]]
        rows += [factories.UserFactory.create()]  # with nothing that would be deleted, too
        key = locations.new_key()
        self.location = _make_location(template.with_name("nas"), key.recipient)
        _copy_backups(self.location, folder, [backups[on] for on in ("older", "scheduled") if on in backups])
        locations.add_location(
            _HOST,
            LocationKind.SFTP,
            {"host": "nas.example.com", "user": "me", "path": "/backups", "password": "wharf-lantern"},
            offered_host_key=_HOST_KEY,
        )
        self._message = add_message(receivers.add_receiver(RECEIVER, "ntfys://ntfy.example.com/wharf-lantern").receiver)
        self._objects = {f"/admin/{row._meta.app_label}/{row._meta.model_name}/": str(row.pk) for row in rows}
        self._objects["/admin/operations/backupsettings/"] = "1"
        self._known = {
            "content_type_id": str(ContentType.objects.get(app_label="auth", model="user").pk),
            "static": f"/{settings.STATIC_URL.lstrip('/')}",
            "item": f"filters/{self._rows['filters'].name}",
            "host_key": _HOST_KEY,
            "identity": key.identity,
            "message": str(self._message.pk),
        }

    # --- People -------------------------------------------------------------------------------------------------------

    def person(
        self,
        group: str = "",
        permissions: Collection[str] = (),
        *,
        staff: bool,
        root: bool = False,
        scope: Scope = Scope.ALL,
    ) -> Person:
        """Return a user of a group, or with these permissions, who has a session and a token that was used before."""
        key = (group, frozenset(permissions), staff, root, scope)
        if key not in self._people:
            user = factories.UserFactory.create(is_staff=staff, is_superuser=root)
            user.groups.set(Group.objects.filter(name=group))
            if permissions:
                user.user_permissions.set(named(permissions))
            client = Client()
            client.force_login(user)
            made, token = create_token(user.username, "of a role", None, scope)
            made.store_use()
            self._people[key] = Person(user, client.cookies[settings.SESSION_COOKIE_NAME].value, token)
        return self._people[key]

    # --- Asking -------------------------------------------------------------------------------------------------------

    def answer(self, person: Person, key: str, row: Row, *, method: str = "") -> tuple[Expected, bool]:
        """Return the answer to a user, and whether it has changed anything. Then undo it."""
        named_method, route, *use = key.split(" ")
        method = method or named_method
        with self.undoing():
            known = self._known | {
                "filename": self.backups.get(row.on, _MISSING),
                "operation": str(self._operation.pk),
                "object_id": self._object(person, route, row, use),
            }
            owner = person.user if use == ["own"] else self._owner
            known["record"] = self.make_import(owner, is_applied="/undo" in route or "/imports/" in route)
            if row.queued:
                queued = self.queue(row.queued)
                known["operation"] = str(queued.pk)
                if "/admin/operations/operation/" in route:
                    known["object_id"] = str(queued.pk)
            before = self.state()
            address = _filled(route, known)
            response = _send(person.client(), method, address, row, known, use)
            if response.streaming:
                b"".join(response)  # closes the files
            changed = method not in {"GET", "HEAD"} and self.state() != before
        return _outcome(response, row, address, changed=changed), changed

    def queue(self, kind: OperationKind) -> Operation:
        """Store a queued operation, without a task."""
        arguments = {"location": str(self.location.pk)} if OPERATION_KINDS[kind].has_location else {}
        return create_operation(kind, origin=Origin.WEB, state=OperationState.QUEUED, arguments=arguments)

    def make_import(self, owner: User | None, *, is_applied: bool) -> str:
        """Return the key of a new import of a user."""
        record = keep_import(_EXPORT, file_name="mine.json", user=owner)
        if is_applied:
            envelope = open_import(record).envelope
            import_file(envelope, None, None, requested_by=owner, origin=Origin.WEB, record=record)
        return str(record.pk)

    def _object(self, person: Person, route: str, row: Row, use: list[str]) -> str:
        if route.startswith("/admin/operations/backup/"):
            return self.backups.get(row.on, _MISSING)
        if use == ["own"]:
            own = ApiToken.objects.filter(user=person.user).first()
            return str(own.pk) if own else "0"
        _, _, _, kind, *_ = [*route.split("/"), ""] if route.startswith("/api/") else [""] * 4
        if kind in self._rows:
            return str(self._rows[kind].pk)
        return next((pk for start, pk in self._objects.items() if route.startswith(start)), "1")

    def state(self) -> Any:
        """Return a value that changes when rows or files are written, even if that is undone."""
        return self._files(), [connections[alias].connection.total_changes for alias in _ALIASES]

    @contextmanager
    def undoing(self) -> Iterator[None]:
        """Undo changes to the databases and the backup folder at the end."""
        cache.clear()
        files = self._files()
        with ExitStack() as stack:
            for alias in _ALIASES:
                stack.enter_context(transaction.atomic(using=alias))
            yield
            for alias in _ALIASES:
                transaction.set_rollback(True, using=alias)
        if self._files() != files:
            shutil.rmtree(self._folder)
            shutil.copytree(self._template, self._folder, symlinks=True)

    def _files(self) -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in self._folder.iterdir() if path.is_file()}


def _backup(folder: Path, on: str) -> Backup:
    kind = BackupKind.PRE_RESTORE if on == "safety" else BackupKind.MANUAL
    backup = create_backup(conf.live_database(), folder, conf.required_schema(), kind=kind, note="a note")
    if on not in _RECORDED:
        return backup if on == "plain" else protect_backup(folder, backup.filename, protected=True)
    with work_in(folder) as work:
        return rewrite_sidecar(folder, work, backup, **_RECORDED[on])


def _make_location(folder: Path, recipient: str) -> Location:
    folder.mkdir()
    now = datetime.now(UTC)
    with open_store(read_address(LocationKind.FOLDER, {"path": str(folder)})) as store:
        CopyFolder(store, Installation.load()).mark()  # as its first test did
    return Location.objects.create(
        name=LOCATION,
        kind=LocationKind.FOLDER,
        options={"path": str(folder)},
        recipient=recipient,
        is_key_saved=True,
        created_at=now,
        tested_at=now,
    )


def _copy_backups(location: Location, folder: Path, backups: Sequence[Backup]) -> None:
    """Copy automatic backups, so that a retention can let cleanup delete copies."""
    with open_store(read_address(LocationKind.FOLDER, location.options)) as store:
        there = CopyFolder(store, Installation.load())
        for backup in backups:
            metadata = there.write_copy(folder / backup.filename, backup.sidecar, [location.recipient])
            location.copies.create(
                filename=backup.filename,
                size=metadata.size,
                checksum=metadata.checksum,
                is_encrypted=True,
                sidecar=encode_sidecar(backup.sidecar.with_changes(configuration="")).decode(),
                described=backup.etag,
                copied_at=datetime.now(UTC),
            )


def named(permissions: Collection[str]) -> list[Permission]:
    found = [
        permission
        for permission in Permission.objects.select_related("content_type")
        if f"{permission.content_type.app_label}.{permission.codename}" in permissions
    ]
    assert len(found) == len(set(permissions)), permissions
    return found


def all_permissions() -> frozenset[str]:
    content = Permission.objects.select_related("content_type")
    return frozenset(f"{one.content_type.app_label}.{one.codename}" for one in content)


def _filled(route: str, known: dict[str, str]) -> str:
    values = {
        "filename": known["filename"],
        "pk": known["operation"],
        "operation_id": known["operation"],
        "object_id": known["object_id"],
        "id": known["object_id"],
        "slug": "filters",
        "record": known["record"],
        "applied": known["record"],
        "import_id": known["record"],
        "name": _name_in(route),
        "event_id": str(HistoryEvent.objects.latest("pk").pk),
        "number": str(HistoryEvent.objects.latest("pk").pk),
        "kind": "filters",
        "location": _HOST if "host-key" in route else LOCATION,
        "receiver": RECEIVER,
        "message_id": known["message"],
        "item_id": ItemVersion.objects.filter(kind="filters").latest("pk").row_id,
        "row_id": ItemVersion.objects.filter(kind="filters").latest("pk").row_id,
        "app_label": "axes",
        "url": "missing",
        "content_type_id": known["content_type_id"],
    }
    address = re.sub(r"<(?:\w+:)?(\w+)>", lambda found: values[found[1]], route)
    return address.format(**known)


def _name_in(route: str) -> str:
    if "/receivers/" in route:
        return RECEIVER
    if "/locations/" in route:
        return _HOST if "host-key" in route else LOCATION
    return "guides/install"


def _send(client: Client, method: str, address: str, row: Row, known: dict[str, str], use: list[str]) -> Any:
    headers = {"HX-Request": "true", "HX-Target": row.target} if row.target else {}
    headers |= {"Accept": "application/gzip"} if use == ["archive"] else {}
    address += f"?{row.query.format(**known)}" if row.query else ""
    has_file = isinstance(row.body, dict) and "file" in row.body
    if address.startswith("/api/") and not has_file:
        return client.generic(method, address, json.dumps(row.body), "application/json", headers=headers)
    if method == "POST":
        texts = {name: value for name, value in (row.body or {}).items() if isinstance(value, str)}
        body = (row.body or {}) | {name: value.format(**known) for name, value in texts.items()}
        return client.post(address, body, headers=headers)
    return client.generic(method, address, headers=headers)


def _outcome(response: Any, row: Row, address: str, *, changed: bool) -> Expected:
    place = urlsplit(response.get("Location") or response.get("HX-Redirect") or "")
    if place.path in {"/sign-in/", "/admin/login/"} and place.query.startswith("next="):
        return SIGN_IN
    if NOTHING in {row.answer, row.refused, row.lacking} and not changed:
        is_admins = address.startswith("/admin/")
        is_list = is_admins and "cl" in (getattr(response, "context_data", None) or {})
        if is_list or (response.status_code == 302 and (not is_admins or place.path == address)):
            return NOTHING
    return int(response.status_code)
