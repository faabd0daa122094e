"""Code in databases from elsewhere: what an operation refused, and what it was asked to accept."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from tvarr_backup.errors import CodeNotAccepted, FoundCode
from tvarr_backup.operations.models import Operation, OperationKind, OperationState

_MEMBER = "refused_code"
_MOST_KEPT_CHARACTERS = 2**16
"""More SQL than a user would read is not kept, and so cannot be accepted on a page."""


def accepted_by(arguments: Mapping[str, Any]) -> bool | Collection[str]:
    """Return what an operation was asked to accept: all code, none, or that with these identities."""
    given = arguments.get("accept_code", False)
    return bool(given) if isinstance(given, bool) else frozenset(map(str, given))


def refused_code(problem: CodeNotAccepted) -> dict[str, Any]:
    """Return what an operation keeps of a refusal."""
    return {_MEMBER: code_as_data(problem.found)}


def code_as_data(found: Iterable[FoundCode]) -> list[dict[str, str]]:
    """Return code as pages and answers show it; empty where it is more than a user would read."""
    listed = [{name: getattr(one, name) for name in ("kind", "name", "sql", "identity")} for one in found]
    return listed if sum(len(one["sql"]) for one in listed) <= _MOST_KEPT_CHARACTERS else []


def code_refused_in(operation: Operation | None) -> list[dict[str, str]]:
    """Return the code that an operation refused, as `code_as_data`."""
    return list(((operation.result if operation else None) or {}).get(_MEMBER) or ())


def last_refusal(filename: str) -> Operation | None:
    """Return the last restore of a backup, where it was refused for the code in it."""
    last = Operation.objects.filter(kind=OperationKind.RESTORE, arguments__filename=filename).order_by("-pk").first()
    is_refusal = last is not None and last.state == OperationState.FAILED and last.error_code == CodeNotAccepted.code
    return last if is_refusal else None
