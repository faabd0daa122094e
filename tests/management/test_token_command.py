"""The command `token`, in real processes. A token is printed once and stored nowhere."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from tests.installation import Installation

SECRET = re.compile(r"[0-9a-f]{64}")


def test_it_prints_the_token_once_and_keeps_only_its_hash(prepared: Installation) -> None:
    printed = prepared.ok("token", "create", "Harbour script", "--user", "admin")

    (token,) = SECRET.findall(printed)
    with closing(sqlite3.connect(prepared.data / "app.db")) as connection:
        rows = connection.execute("SELECT * FROM access_apitoken").fetchall()
    assert len(rows) == 1
    assert token not in str(rows)
    assert token not in prepared.ok("token", "list")
    assert token not in prepared.ok("token", "list", "--json")


def test_as_json_it_is_one_object(prepared: Installation) -> None:
    made = prepared.json("token", "create", "Harbour script", "--user", "admin", "--json")

    assert SECRET.fullmatch(made.pop("token"))
    assert datetime.fromisoformat(made.pop("created")) > datetime.now(UTC) - timedelta(minutes=5)
    assert made == {"name": "Harbour script", "user": "admin", "scope": "all", "expires": None, "last_used": None}


def test_it_expires_after_the_given_time(prepared: Installation) -> None:
    made = prepared.json("token", "create", "Harbour script", "--user", "admin", "--expires", "1w2d", "--json")

    lasting = datetime.fromisoformat(made["expires"]) - datetime.fromisoformat(made["created"])
    assert abs(lasting - timedelta(days=9)) < timedelta(seconds=5)


def test_the_list_has_name_user_and_times(prepared: Installation) -> None:
    prepared.ok("token", "create", "Harbour script", "--user", "admin")
    prepared.ok("token", "create", "Attic", "--user", "admin", "--expires", "30d", "--scope", "backups")

    headings, attic, harbour = prepared.ok("token", "list").splitlines()
    assert re.split(r"  +", headings) == ["Name", "User", "Scope", "Created", "Expires", "Last used"]
    assert re.fullmatch(r"Attic +admin +backups +20\S+ \S+ UTC +20\S+ \S+ UTC +never", attic)
    assert re.fullmatch(r"Harbour script +admin +all +20\S+ \S+ UTC +never +never", harbour)


def test_the_list_may_be_that_of_one_user(prepared: Installation) -> None:
    prepared.ok("shell", "-c", "from django.contrib.auth.models import User; User.objects.create_user('marit')")
    prepared.ok("token", "create", "Harbour script", "--user", "admin")
    prepared.ok("token", "create", "Harbour script", "--user", "marit")

    listed = prepared.json("token", "list", "--user", "marit", "--json")
    assert [(token["name"], token["user"]) for token in listed] == [("Harbour script", "marit")]
    assert set(listed[0]) == {"name", "user", "scope", "created", "expires", "last_used"}


def test_without_tokens_the_list_says_so(prepared: Installation) -> None:
    assert prepared.ok("token", "list") == "There are no tokens.\n"
    assert prepared.json("token", "list", "--json") == []


def test_a_revoked_token_is_gone_and_its_name_is_free(prepared: Installation) -> None:
    prepared.ok("token", "create", "Harbour script", "--user", "admin")

    assert prepared.ok("token", "revoke", "Harbour script", "--user", "admin") == (
        'Revoked token "Harbour script" of admin\n'
    )
    assert prepared.json("token", "list", "--json") == []
    prepared.ok("token", "create", "Harbour script", "--user", "admin")


REFUSED = [
    (("create", "Attic", "--user", "nobody"), 'There is no user "nobody".'),
    (("list", "--user", "nobody"), 'There is no user "nobody".'),
    (("revoke", "Attic", "--user", "nobody"), 'There is no user "nobody".'),
    (("revoke", "Attic", "--user", "admin"), "List the tokens with `token list`."),
    (("create", "Harbour script", "--user", "admin"), "Choose another name, or revoke that token first."),
    (("create", "", "--user", "admin"), "Expected a name of 1 to 100 visible characters on one line, got "),
    (("create", "two\nlines", "--user", "admin"), "visible characters on one line, got "),
    (("create", "x" * 101, "--user", "admin"), "visible characters on one line, got "),
    (("create", "Attic", "--user", "admin", "--expires", "soon"), 'Expected a duration such as "30d"'),
    (("create", "Attic", "--user", "admin", "--expires", "0d"), "Expected a duration from 1h to 9999w"),
]


@pytest.mark.parametrize(("words", "sentence"), REFUSED)
def test_a_refusal_has_a_message(words: tuple[str, ...], sentence: str, prepared: Installation) -> None:
    prepared.ok("token", "create", "Harbour script", "--user", "admin")

    assert sentence in prepared.refused("token", *words)
    assert len(prepared.json("token", "list", "--json")) == 1


def test_a_user_who_may_not_sign_in_gets_no_token(prepared: Installation) -> None:
    make = "from django.contrib.auth.models import User; User.objects.create_user('marit', is_active=False)"
    prepared.ok("shell", "-c", make)

    assert "marit is not active" in prepared.refused("token", "create", "Attic", "--user", "marit")


def test_before_prepare_it_says_what_to_do(installation: Installation) -> None:
    assert "`manage.py prepare`" in installation.refused("token", "list")
