"""Every entrance answers every role as the table says, and every entrance has a row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.roles.enumerated import admin_actions, methods_of, routes
from tests.roles.rows import (
    ANYONE,
    NO_ONE,
    NOTHING,
    OPERATOR,
    ROLES,
    SIGN_IN,
    SIGNED_IN,
    SUPERUSER,
    VIEWER,
    Expected,
    Row,
)
from tests.roles.table import COMMANDS, DISAGREEMENTS, OUTSIDE, TABLE
from tests.roles.world import NOBODY, Person, World, all_permissions
from tvarr_backup import conf
from tvarr_backup.backups.folder import prepare_folder

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]  # writes are counted by SQLite; roles are the same elsewhere

GROUPS = ROLES[2:-1]
_AREAS = ("/api/", "/admin/auth", "/admin/operations", "/admin/tvarr_backup", "/admin/", "/")


@pytest.fixture
def world(tmp_path: Path, settings: Any) -> World:
    settings.BACKUP_DIRECTORY = tmp_path / "backups"
    return World(prepare_folder(conf.backup_path()), tmp_path / "template")


def area_of(key: str) -> str:
    return next((area for area in _AREAS if key.split(" ")[1].startswith(area)), "/")


def is_api(key: str) -> bool:
    return key.split(" ")[1].startswith(("/api/", "/readyz", "/metrics", "/status.svg"))


def is_admins(key: str) -> bool:
    return key.split(" ")[1].startswith("/admin/")


# --- Everything has a row --------------------------------------------------------------------------------------------


def entrances() -> Iterator[str]:
    for route, view in routes().items():
        if hasattr(view, "cls"):
            yield from (f"{method} {route}" for method in methods_of(view))
        else:
            yield from (f"{method} {route}" for method in ("GET", "POST"))
    yield from (f"POST {address} {action}" for address, action in admin_actions())


def without_use(key: str) -> str:
    return " ".join(key.split(" ")[:2])


def unlisted() -> list[str]:
    return sorted(set(entrances()) - {" ".join(key.split(" ")[:words]) for key in TABLE for words in (2, 3)})


def is_other_method(key: str) -> bool:
    """Return whether a page has a row for its other method."""
    addresses = {row.split(" ")[1] for row in TABLE}
    return not is_api(key) and len(key.split(" ")) == 2 and key.split(" ")[1] in addresses


def test_every_entrance_has_a_row() -> None:
    assert [key for key in unlisted() if not is_other_method(key)] == []


def test_a_method_without_a_row_is_refused_or_is_as_get(world: World) -> None:
    root = world.person(staff=True, root=True)
    found: list[str] = []
    for key in (key for key in unlisted() if is_other_method(key)):
        if world.answer(root, key, Row(SUPERUSER)) != (405, False):
            found += complaints(world, key, TABLE[f"GET {key.split(' ')[1]}"])
    assert not found, "\n".join(found)


def test_every_row_has_an_entrance() -> None:
    found = set(entrances())
    assert sorted(key for key in TABLE if key not in OUTSIDE and without_use(key) not in found) == []


def test_every_command_is_known_to_have_no_roles() -> None:
    folder = Path(conf.__file__).parent / "management" / "commands"
    assert {path.stem for path in folder.glob("[a-z]*.py")} == COMMANDS


# --- The answers -----------------------------------------------------------------------------------------------------


def expected(key: str, row: Row, role: str, permissions: frozenset[str]) -> Expected:
    """Return the expected answer to a user in one of `ROLES`, or with these permissions."""
    if role == ANYONE and row.first != ANYONE:
        return row.stranger or (401 if is_api(key) else SIGN_IN)
    if role == ANYONE:
        return row.stranger or row.answer
    if row.first == NO_ONE:
        return 403
    if role == SUPERUSER or (role in ROLES and ROLES.index(role) >= ROLES.index(row.first)):
        return row.answer
    lacking = [number for number, need in enumerate(row.needs, 1) if not permissions & set(need.split("|"))]
    if not lacking:
        return row.answer
    return row.lacking if lacking[0] == 1 and len(row.needs) > 1 else row.refused


def users(world: World, key: str, row: Row) -> Iterator[tuple[str, frozenset[str], Person]]:
    """Yield the users that a row is about: the role or a description, the permissions, and the person."""
    staff = is_admins(key)
    yield ANYONE, frozenset(), NOBODY
    for role in (SIGNED_IN, *(GROUPS if row.needs else ())):
        person = world.person(role.replace(SIGNED_IN, ""), staff=staff)
        assert person.user is not None
        yield role, frozenset(person.user.get_all_permissions()), person
    yield SUPERUSER, all_permissions(), world.person(staff=staff, root=True)
    for special, permissions in specials(row):
        yield special, permissions, world.person(permissions=permissions, staff=staff)


def specials(row: Row) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield users with just the needed permissions, and users with all but one of them."""
    first = [need.split("|")[0] for need in row.needs]
    for number, need in enumerate(row.needs):
        for one in need.split("|"):
            just = frozenset([*first[:number], one, *first[number + 1 :]])
            yield f"just {', '.join(sorted(just))}", just
        yield f"all but {need}", all_permissions() - set(need.split("|"))


def complaints(world: World, key: str, row: Row, *, only_refused: bool = False) -> Iterator[str]:
    """Yield deviations from the table, for all users or only for those without permission."""
    for role, permissions, person in users(world, key, row):
        wanted = expected(key, row, role, permissions)
        if only_refused and wanted == row.answer != NOTHING:
            continue
        askers = [("", person, wanted)]
        if is_api(key) and role in ROLES and person.token:
            askers.append((", with a token", person.by_token(), wanted))
        elif role == SUPERUSER:
            askers.append((", with a token", person.by_token(), expected(key, row, ANYONE, frozenset())))
        for how, asker, answer in askers:
            found, changed = world.answer(asker, key, row)
            if found != answer:
                yield f"{key}: {role}{how} got {found}, not {answer}"
            if changed and answer != row.answer and row.stranger is None:
                yield f"{key}: {role}{how} was refused, and something has changed"
        if key.startswith("GET ") and (role.startswith("all but") or (not row.needs and wanted == SIGN_IN)):
            found, _ = world.answer(person, key, row, method="HEAD")
            if found != wanted:
                yield f"{key}: {role} got {found} for HEAD, not {wanted}"
    if is_admins(key):
        editing = {permission for permission in all_permissions() if permission.startswith("tvarr_backup.change_")}
        outsider = world.person(permissions=all_permissions() - editing, staff=False)
        wanted = 403 if "/admin/login/" in key else (row.stranger or SIGN_IN)
        found, _ = world.answer(outsider, key, row)
        if found != wanted:
            yield f"{key}: not staff got {found}, not {wanted}"


@pytest.mark.parametrize("area", _AREAS)
def test_everybody_gets_what_the_table_says(area: str, world: World) -> None:
    found = [line for key, row in TABLE.items() if area_of(key) == area for line in complaints(world, key, row)]
    assert not found, "\n".join(found)


def test_an_operator_is_let_into_the_admin_to_edit_filters(world: World) -> None:
    operator, viewer = world.person(OPERATOR, staff=False), world.person(VIEWER, staff=False)
    for key in ("GET /admin/", "GET /admin/tvarr_backup/filter/add/"):
        assert (key, world.answer(operator, key, TABLE[key])[0]) == (key, 200)
        assert (key, world.answer(viewer, key, TABLE[key])[0]) == (key, SIGN_IN)
    key = "GET /admin/auth/user/"
    assert world.answer(operator, key, TABLE[key])[0] == 403


def calls() -> set[str]:
    return {key.split(" ")[1] for key in TABLE if key.split(" ")[1].startswith("/api/") and key not in OUTSIDE}


def test_which_methods_a_call_has_is_told_to_users_only(world: World) -> None:
    person = world.person(staff=False)
    for method, status in (("OPTIONS", 200), ("PROPFIND", 405)):
        for address in calls():
            key = f"{method} {address}"
            assert (key, world.answer(NOBODY, key, Row(ANYONE))[0]) == (key, 401)
            assert (key, world.answer(person, key, Row(ANYONE))[0]) == (key, status)


def test_no_call_has_other_methods(world: World) -> None:
    person, rows = world.person(staff=False), {without_use(key) for key in TABLE}
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for key in {f"{method} {address}" for address in calls()} - rows:
            assert (key, world.answer(person, key, Row(ANYONE))[0]) == (key, 405)


def test_entrances_agree_who_may_take_an_action() -> None:
    needed: dict[str, dict[str, list[str]]] = {}
    for key, row in TABLE.items():
        if row.does:
            needed.setdefault(row.does, {}).setdefault(row.needs[-1].split("|")[0], []).append(key)
    assert {does for does, found in needed.items() if len(found) > 1} == set(DISAGREEMENTS), needed
