"""The entrances of an action: a command in this process, a separate process, or the API."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from io import StringIO
from typing import Any

from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client

from tests.installation import _HEED_MODES, ROOT
from tests.matrix.apart import heeds_modes
from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.operations.kinds import PHASE_LABELS
from tvarr_backup.operations.models import Operation, OperationState
from tvarr_backup.tasks import run_operation

_LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z (debug|info|warning|error) +[a-z_.]+ ")

UNKNOWN = "unknown"
"""Replaces the code of an error whose message is all that a process shows."""


class Entrance(StrEnum):
    """How `command` takes an action."""

    FUNCTION = "in this process"
    PROCESS = "as a process"
    API = "through the API"


@dataclass(frozen=True)
class Done:
    """An action that has ended: its output, and its error if it failed."""

    stdout: str
    stderr: str
    exit: int = 0
    error: TvarrBackupError | None = None
    problem: str = ""

    @property
    def data(self) -> Any:
        return json.loads(self.stdout)


entrance: ContextVar[Entrance] = ContextVar("entrance", default=Entrance.FUNCTION)


def command(*arguments: str) -> Done:
    """Take an action, named as on the command line, through the entrance of this cell."""
    if entrance.get() is Entrance.PROCESS:
        return _as_process(*arguments)
    if entrance.get() is Entrance.API and arguments[:2] in _CALLS:
        return _through_api(*arguments)
    return _in_this_process(*arguments)


def _in_this_process(*arguments: str) -> Done:
    out, err = StringIO(), StringIO()
    try:
        call_command(*arguments, stdout=out, stderr=err)
    except CommandError as problem:
        cause = problem.__cause__
        error = cause if isinstance(cause, TvarrBackupError) else None
        return Done(out.getvalue(), err.getvalue(), problem.returncode, error, str(problem))
    except SystemExit as problem:
        return Done(out.getvalue(), err.getvalue(), int(problem.code or 0))
    return Done(out.getvalue(), err.getvalue())


def _as_process(*arguments: str) -> Done:
    prefix = _HEED_MODES if os.geteuid() == 0 and heeds_modes() else ()
    program = [*prefix, sys.executable, str(ROOT / "manage.py"), *arguments]
    variables = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings", "TVARR_BACKUP_SCHEDULE_ENABLED": "false"}
    variables |= {
        "TVARR_BACKUP_DIRECTORY": str(settings.BACKUP_DIRECTORY),
        "TVARR_BACKUP_SCHEDULE_RETENTION": str(settings.BACKUP_RETENTION),
    }
    ended = subprocess.run(program, env=variables, capture_output=True, text=True, timeout=100, check=False)
    if ended.returncode == 0 or (arguments[0] == "status" and ended.stdout):
        return Done(ended.stdout, _without_progress(ended.stderr), ended.returncode)
    is_explained = "Traceback" not in ended.stderr and ended.returncode == 1 and ended.stderr.strip()
    return Done(ended.stdout, "", ended.returncode, _error(UNKNOWN) if is_explained else None, ended.stderr)


def _without_progress(text: str) -> str:
    """Return the text without phases and log lines, which functions of this process write elsewhere."""
    phases = {f"{label}\n" for label in PHASE_LABELS.values()}
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if line not in phases and not _LOG_LINE.match(line))


def _error(code: str) -> TvarrBackupError:
    error = TvarrBackupError()
    error.code = code
    return error


# --- The API ---------------------------------------------------------------------------------------------------------


def _through_api(*arguments: str) -> Done:
    if arguments[1] == "restore" and "--yes" not in arguments:
        return _in_this_process(*arguments)
    client = Client()
    client.cookies[settings.SESSION_COOKIE_NAME] = os.environ["TESTS_SESSION"]
    words = [word for word in arguments[2:] if word not in {"--json", "--yes"}]
    name = next((word for word in words if not word.startswith("--")), "")
    body = {word.removeprefix("--").replace("-", "_"): True for word in words if word.startswith("--")}
    answer = _CALLS[arguments[:2]](client, f"/api/v1/backups/{name}", body)
    data = json.loads(answer.content)
    if answer.status_code >= 400:
        return Done("", "", 1, _error(str(data.get("code"))), f"{answer.status_code} {data.get('detail')}")
    if answer.status_code == 202:
        return _of_operation(arguments[1], data["operation"]["id"])
    return Done(json.dumps(data), "")


def _of_operation(action: str, pk: str) -> Done:
    """Run an operation as the worker does, and return its result."""
    run_operation(pk)
    operation = Operation.objects.get(pk=pk)
    if operation.state not in {OperationState.SUCCEEDED, OperationState.ATTENTION}:
        return Done("", "", 1, _error(operation.error_code), operation.error or operation.message)
    result = operation.result or {}
    shown = {"create": lambda: result["backup"], "verify": lambda: result["verified"][0]}
    data = shown[action]() if action in shown else result
    return Done(json.dumps(data), operation.message)


def _post(what: str, *, confirmed: bool = False) -> Callable[[Client, str, dict[str, Any]], Any]:
    def call(client: Client, address: str, body: dict[str, Any]) -> Any:
        query = "?confirm=true" if confirmed else ""
        return client.post(f"{address.rstrip('/')}{what}{query}", json.dumps(body), content_type="application/json")

    return call


_CALLS: dict[tuple[str, ...], Callable[[Client, str, dict[str, Any]], Any]] = {
    ("backup", "list"): lambda client, _address, _body: client.get("/api/v1/backups"),
    ("backup", "show"): lambda client, address, _body: client.get(address),
    ("backup", "create"): _post(""),
    ("backup", "verify"): _post("/verify"),
    ("backup", "restore"): _post("/restore", confirmed=True),
    ("backup", "protect"): lambda client, address, _body: client.patch(
        f"{address}/protection", json.dumps({"protected": True}), content_type="application/json"
    ),
    ("backup", "delete"): lambda client, address, _body: client.delete(address),
}
