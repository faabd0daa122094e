"""Every entrance of an action calls the action's function, with the outcomes of the table for each role."""

from __future__ import annotations

import inspect
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import wraps
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command

from tests.roles.actions import ADMIN, CASES, COMMAND, DENIED, DONE, NOT_CALLED, ROLES_ASKED, Ask, Case, Entrance
from tests.roles.rows import ROLES, SUPERUSER, Row
from tests.roles.world import World
from tvarr_backup import conf
from tvarr_backup.backups.folder import prepare_folder
from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.operations import actions
from tvarr_backup.operations.models import Operation

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]  # writes are counted by SQLite; roles are the same elsewhere

FORMS = {
    "POST /backups/upload/",
    "POST /backups/delete/",
    "POST /backups/<str:filename>/restore/",
    "POST /settings/",
    "GET /locations/",
    "GET /locations/<slug:location>/",
    "POST /locations/add/",
    "GET /settings/receivers/",
    "GET /settings/receivers/messages/",
    "GET /settings/receivers/<slug:receiver>/",
    "POST /settings/receivers/add/",
    *(f"POST /settings/receivers/<slug:receiver>/{page}/" for page in ("change", "remove")),
    *(f"POST /locations/<slug:location>/{page}/" for page in ("change", "key", "identity", "remove")),
}
IN_THE_HISTORY = {"backup_protected", "upload_refused"}
"""Refusals of operations that had started; only their records change."""
NOT_ONE_FOR_ALL = {
    "prepare_upload",  # what comes before `add_backup`
    "prepare_import",  # what comes before `import_items` and `import_pending`
    "find_undoable",  # what comes before `preview_undo` and `undo_import`
    "prepare_deletions",  # what comes before `delete_backup` in the command
    "delete_backups",  # many times `delete_backup`
}


def all_actions() -> set[str]:
    """Return the functions that take an action for an actor."""
    functions = inspect.getmembers(actions, inspect.isfunction)
    taking = (name for name, function in functions if next(iter(inspect.signature(function).parameters), "") == "actor")
    return {name for name in taking if not name.startswith(("_", "may_"))}


@pytest.fixture
def world(tmp_path: Path, settings: Any) -> Iterator[World]:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    signals = (signal.SIGTERM, signal.SIGINT)
    handlers = [signal.getsignal(number) for number in signals]
    more = ("damaged", "newer", "older", "scheduled")
    yield World(prepare_folder(conf.backup_path()), tmp_path / "template", *more)
    for number, handler in zip(signals, handlers, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Return the actions that were called, with `DONE` or the code of the refusal."""
    found: list[tuple[str, str]] = []
    for name in all_actions():
        monkeypatch.setattr(actions, name, _noting(name, getattr(actions, name), found))
    return found


def _noting(name: str, action: Callable[..., Any], found: list[tuple[str, str]]) -> Callable[..., Any]:
    @wraps(action)
    def noting(*arguments: Any, **named: Any) -> Any:
        try:
            result = action(*arguments, **named)
        except PermissionDenied:
            found.append((name, DENIED))
            raise
        except TvarrBackupError as refusal:
            found.append((name, refusal.code))
            raise
        found.append((name, DONE))
        return result

    return noting


# --- The table -------------------------------------------------------------------------------------------------------


def test_every_action_has_its_rows() -> None:
    assert {case.action for case in CASES} == all_actions() - NOT_ONE_FOR_ALL


def complaints(world: World, taken: list[tuple[str, str]], case: Case) -> Iterator[str]:
    """Yield deviations from the table: another outcome, or an entrance that decides by itself."""
    for entrance, ask in case.asks.items():
        for role in (COMMAND,) if entrance is COMMAND else {*ROLES_ASKED, case.first}:
            taken.clear()
            is_changed = _taken_by(world, case, entrance, ask, role)
            wanted = _expected(case, entrance, ask, role)
            asked = {case.action, "prepare_upload", "prepare_import", "find_undoable", "prepare_deletions"}
            found = next((code for name, code in reversed(taken) if name in asked), NOT_CALLED)
            if found != wanted:
                yield f"{case.action}, {case.state}: {entrance} for {role}: {found}, not {wanted}"
            if is_changed and wanted not in {DONE, *IN_THE_HISTORY}:
                yield f"{case.action}, {case.state}: {entrance} for {role}: refused, and something has changed"


def _expected(case: Case, entrance: Entrance, ask: Ask, role: str) -> str:
    if role != COMMAND and ROLES.index(role) < ROLES.index(case.first):
        return NOT_CALLED if _is_not_offered(entrance, ask) else DENIED
    return case.code if isinstance(case.code, str) else case.code[role]


def _is_not_offered(entrance: Entrance, ask: Ask) -> bool:
    """Return whether users without permission are refused before the action, like its form."""
    return ask.key in FORMS or (entrance is ADMIN and not ask.key.endswith("create/"))


def _taken_by(world: World, case: Case, entrance: Entrance, ask: Ask, role: str) -> bool:
    """Take an action, and return whether anything has changed."""
    filename = world.backups.get(case.on, "tvarr-backup-2001-01-01T00-00-00.db.gz")
    if entrance is not COMMAND:
        person = world.person("" if role == SUPERUSER else role, staff=True, root=role == SUPERUSER)
        body = _with_file(ask.body)
        row = Row(case.first, body=body, query=ask.query, queued=case.queued, on=case.on)
        return world.answer(person, ask.key, row)[1]
    with world.undoing():
        if case.queued:
            world.queue(case.queued)
        applied = world.make_import(None, is_applied=True)
        before, newest = world.state(), Operation.objects.first()
        given = {"filename": filename, "export": world.export, "operation": newest and newest.pk, "applied": applied}
        command, *arguments = [word.format(**given) for word in ask.arguments]
        with suppress(CommandError), pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdin", TextIOWrapper(BytesIO(case.stdin)))
            call_command(command, *arguments, stdout=StringIO(), stderr=StringIO())
        return bool(world.state() != before)


def _with_file(body: Any) -> Any:
    if isinstance(body, dict) and "file" in body:
        return body | {"file": SimpleUploadedFile("elsewhere.db", body["file"])}
    return body


@pytest.mark.parametrize("action", sorted(all_actions() - NOT_ONE_FOR_ALL))
def test_all_entrances_of_an_action_do_the_same(action: str, world: World, taken: list[tuple[str, str]]) -> None:
    found = [line for case in CASES if case.action == action for line in complaints(world, taken, case)]
    assert not found, "\n".join(found)
