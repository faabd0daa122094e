"""What a row of the table of entrances says, and the rows that all models have in the admin."""

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
"""The answer that leads to the page to sign in, as a redirect or as htmx wants it."""
NOTHING = "nothing"
"""The answer without a status of its own: the page is shown again, with nothing changed."""

Expected = int | str


@dataclass(frozen=True)
class Row:
    """Who may use an entrance, and what it answers.

    `first` is the first of `ROLES` that may; so may those after it. `needs` are the permissions (`app.codename`) that are
    necessary, each for itself, and sufficient together; `a|b` is either of two. `answer` is what a user gets who may;
    `refused` is what a user gets who may not, and `lacking` where the first of several `needs` is not there. `stranger` is the
    answer to nobody in particular, where it is not that of the entrance.

    `does` names the action, so that the entrances of one action can be compared. `body` is sent as a form, or as JSON
    below `/api/`; `query` follows the `?`; `target` is what htmx says it will replace. `queued` is waiting meanwhile. `on`
    is the backup that it is about: one that is not protected, one that is, or a safety backup.
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
    """Return a row; what it needs is said in the order in which it is asked for."""
    return Row(first, needs, **more)


# --- The admin -------------------------------------------------------------------------------------------------------


_SELECTED = {"action": "delete_selected", "_selected_action": "{object_id}"}


def pages_of(model: str, first: str, *, does: str = "") -> Iterator[tuple[str, Row]]:
    """Yield the pages of a model that can be looked at only."""
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
    """Return an action on a row that is selected in its list."""
    app, _, name = model.partition(".")
    body = {"action": action, "_selected_action": "{object_id}"}
    view = f"{app}.view_{name}|{app}.change_{name}"
    found = row(first, view, *needs, **{"answer": 302, "refused": NOTHING if needs else 403, "body": body} | more)
    use = f" {found.queued}" if found.queued else ""
    use += f" {found.on}" if found.on == "safety" else ""
    return f"POST /admin/{app}/{name}/ {action}{use}", found
