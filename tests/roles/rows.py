"""The rows of the table of entrances, and those that all models have in the admin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tvarr_backup.operations.models import OperationKind

ANYONE = "nobody signed in"
SIGNED_IN = "signed in, without permissions"
VIEWER = "Viewer"
OPERATOR = "Operator"
ADMINISTRATOR = "Administrator"
SUPERUSER = "superuser"
NO_ONE = "no one"
ROLES = (ANYONE, SIGNED_IN, VIEWER, OPERATOR, ADMINISTRATOR, SUPERUSER)

SIGN_IN = "sign-in"
"""A redirect to the sign-in page, also in the form for htmx."""
NOTHING = "nothing"
"""The page is shown again, with nothing changed."""

Expected = int | str


@dataclass(frozen=True)
class Row:
    """An entrance: the roles that may use it, and the answers.

    `first` is the first of `ROLES` that may use it; so may those after it. `needs` are the necessary permissions
    (`app.codename`), sufficient together; `a|b` is either of two. `answer` is for users with them, `refused` for the
    rest, `lacking` if the first of several `needs` is missing, and `stranger` for anonymous users if that differs.

    `does` names the action, so that its entrances can be compared. `body` is sent as a form, or as JSON below `/api/`;
    `query` follows the `?`; `target` is htmx's target. `queued` is an operation that is queued. `on` is the backup: an
    unprotected one, a protected one, or a safety backup.
    """

    first: str
    needs: tuple[str, ...] = ()
    answer: Expected = 200
    does: str = ""
    refused: Expected = 403
    lacking: Expected = 403
    stranger: Expected | None = None
    body: Any = None
    query: str = ""
    target: str = ""
    queued: OperationKind | None = None
    on: str = "plain"


def row(first: str, *needs: str, **more: Any) -> Row:
    """Return a row; `needs` are in the order in which they are checked."""
    return Row(first, needs, **more)


# --- The admin -------------------------------------------------------------------------------------------------------


_SELECTED = {"action": "delete_selected", "_selected_action": "{object_id}"}


def pages_of(model: str, first: str, *, does: str = "") -> Iterator[tuple[str, Row]]:
    """Yield the pages of a read-only model."""
    app, _, name = model.partition(".")
    view, base = f"{app}.view_{name}|{app}.change_{name}", f"/admin/{app}/{name}/"
    yield f"GET {base}", row(first, view, does=f"list {does}" if does else "")
    yield f"GET {base}add/", row(NO_ONE)
    yield f"POST {base}add/", row(NO_ONE)
    yield f"GET {base}<path:object_id>/change/", row(first, view, does=f"show one of {does}" if does else "")
    yield f"POST {base}<path:object_id>/change/", row(NO_ONE)
    yield f"GET {base}<path:object_id>/history/", row(first, view)
    yield f"GET {base}<path:object_id>/delete/", row(NO_ONE)
    yield f"POST {base}<path:object_id>/delete/", row(NO_ONE, body={"post": "yes"})
    yield f"GET {base}<path:object_id>/", row(SIGNED_IN, answer=302)
    yield f"POST {base} delete_selected", row(first, view, answer=NOTHING, body=_SELECTED)


def pages_to_edit(model: str, viewer: str, editor: str, *, does: str = "") -> Iterator[tuple[str, Row]]:
    """Yield the pages of a model that can be edited."""
    app, _, name = model.partition(".")
    view, add, change, delete = (f"{app}.{what}_{name}" for what in ("view", "add", "change", "delete"))
    base = f"/admin/{app}/{name}/"

    def doing(what: str) -> str:
        return f"{what} {does}" if does else ""

    yield from pages_of(model, viewer, does=does)
    yield f"GET {base}add/", row(editor, add, does=doing("add to"))
    yield f"POST {base}add/", row(editor, add, does=doing("add to"))
    yield f"POST {base}<path:object_id>/change/", row(editor, change, does=doing("change one of"))
    yield f"GET {base}<path:object_id>/delete/", row(editor, delete, does=doing("delete one of"))
    yield (
        f"POST {base}<path:object_id>/delete/",
        row(editor, delete, answer=302, does=doing("delete one of"), body={"post": "yes"}),
    )
    yield (
        f"POST {base} delete_selected",
        row(
            editor,
            f"{view}|{change}",
            delete,
            refused=NOTHING,
            does=doing("delete one of"),
            body=_SELECTED,
        ),
    )


def action(model: str, action: str, first: str, *needs: str, **more: Any) -> tuple[str, Row]:
    """Return an action on a selected row of a list."""
    app, _, name = model.partition(".")
    body = {"action": action, "_selected_action": "{object_id}"}
    view = f"{app}.view_{name}|{app}.change_{name}"
    found = row(first, view, *needs, **{"answer": 302, "refused": NOTHING if needs else 403, "body": body} | more)
    use = f" {found.queued}" if found.queued else ""
    use += f" {found.on}" if found.on == "safety" else ""
    return f"POST /admin/{app}/{name}/ {action}{use}", found
