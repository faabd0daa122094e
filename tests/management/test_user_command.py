"""The command `user create`, in real processes."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tests.installation import Installation
from tests.management.terminals import type_into

GOOD = "harbour-lantern-42"


def users(installation: Installation) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(installation.data / "app.db")) as connection:
        return connection.execute(
            "SELECT username, auth_group.name FROM auth_user JOIN auth_user_groups ON auth_user.id = user_id "
            "JOIN auth_group ON auth_group.id = group_id"
        ).fetchall()


@pytest.mark.parametrize("role", ["administrator", "operator", "viewer"])
def test_a_user_gets_a_role_and_the_password_of_standard_input(prepared: Installation, role: str) -> None:
    made = prepared.json("user", "create", "marit", "--role", role, "--json", stdin=f"{GOOD}\n")
    assert made == {"name": "marit", "role": role}
    assert users(prepared) == [("marit", role.capitalize())]
    code = "from django.contrib.auth.models import User; print(User.objects.get(username='marit').check_password"
    assert prepared.ok("shell", "-v", "0", "-c", f"{code}('{GOOD}'))") == "True\n"


def test_a_terminal_is_asked_twice_and_shows_no_password(prepared: Installation) -> None:
    status, shown = type_into(prepared, f"{GOOD}\n{GOOD}\n".encode(), "user", "create", "marit", "--role", "viewer")
    assert (status, GOOD in shown, users(prepared)) == (0, False, [("marit", "Viewer")]), shown


@pytest.mark.parametrize("typed", [f"{GOOD}\nanother one\n".encode(), b"\x03"])
def test_with_another_password_or_none_no_user_is_created(prepared: Installation, typed: bytes) -> None:
    status, shown = type_into(prepared, typed, "user", "create", "marit", "--role", "viewer")
    assert (status != 0, "Traceback" in shown, users(prepared)) == (True, False, []), shown


@pytest.mark.parametrize(
    ("name", "role", "password"),
    [
        ("marit", "viewer", "12345678"),
        ("marit", "viewer", ""),
        ("admin", "viewer", GOOD),
        ("a b", "viewer", GOOD),
        ("marit", "king", GOOD),
    ],
)
def test_what_cannot_be_a_user_is_refused(prepared: Installation, name: str, role: str, password: str) -> None:
    prepared.refused("user", "create", name, "--role", role, stdin=password)
    assert users(prepared) == []


def test_the_help_describes_each_role(installation: Installation) -> None:
    text = installation.ok("user", "create", "--help")
    assert all(f"  {role} " in text for role in ("administrator", "operator", "viewer"))
