"""tvarr's database on PostgreSQL: all of export and import, and for backups one clear sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.backups.makers import changed
from tests.installation import Installation
from tests.machines import Machine
from tests.processes import wait_until
from tests.servers import PostgreSQL, running
from tests.tvarr_own import FILTER_ID, build_tvarr_database, build_tvarr_on_server

UNSUPPORTED = "tvarr's database is on PostgreSQL. Only SQLite databases can be backed up here. Use pg_dump"
_numbers = count()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with running(PostgreSQL) as server:
        yield server


@pytest.fixture
def empty(server: PostgreSQL) -> str:
    """The address of a new database."""
    return server.create(f"tvarr{next(_numbers)}")


@pytest.fixture(scope="module")
def own(server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """With tvarr's own database, as tvarr has made it; tests leave it as it is, but for the two that import."""
    folder = tmp_path_factory.mktemp("own")
    url = build_tvarr_on_server(server.create("own"), folder)
    return Installation(folder / "data", {"TVARR_DATABASE_DSN": url}).prepared()


def name_of(url: str) -> str:
    """What a database is called in sentences."""
    place, _, name = url.removeprefix("postgresql://postgres@").partition("/")
    return f"postgresql://{place.replace('%2F', '/')}/{name}"


def ask(url: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode(), values or None).fetchall()


def schema_of(url: str) -> list[tuple[Any, ...]]:
    query = "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns "
    indexes = ask(url, "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1")
    return [*ask(url, query + "WHERE table_schema = 'public' ORDER BY 1, 2"), *indexes]


# --- What lies there -------------------------------------------------------------------------------------------------


def test_tvarrs_own_is_attached_and_nothing_is_created_in_it(
    installation: Installation, empty: str, tmp_path: Path
) -> None:
    installation.environment["TVARR_DATABASE_DSN"] = build_tvarr_on_server(empty, tmp_path)
    before = schema_of(empty)
    assert f"Using tvarr's database: {name_of(empty)}\n" in installation.ok("prepare")
    installation.ok("portable", "export", "filters", "--all")
    installation.ok("check", "--fail-level", "WARNING")
    assert schema_of(empty) == before


def test_an_empty_one_is_filled_only_when_that_is_said(installation: Installation, empty: str) -> None:
    installation.environment["TVARR_DATABASE_DSN"] = empty
    assert f"TVARR_DATABASE_DSN names {name_of(empty)}, which is empty." in installation.refused("prepare")
    assert schema_of(empty) == []
    assert f"Created a new database: {name_of(empty)}\n" in installation.ok("prepare", "--create")
    assert ask(empty, "SELECT count(*) FROM filters WHERE is_system") == [(8,)]
    assert installation.ok("prepare") == ""


def test_integers_have_64_bits_there_too(installation: Installation, empty: str) -> None:
    installation.environment["TVARR_DATABASE_DSN"] = empty
    installation.ok("prepare", "--create")
    kinds = dict(
        ask(empty, "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s", _RULES)
    )
    assert (kinds["priority"], kinds["is_enabled"], kinds["created_at"], kinds["id"]) == (
        "bigint",
        "boolean",
        "timestamp with time zone",
        "character varying",
    )


_RULES = "data_mapping_rules"


_MIGRATED = "CREATE TABLE django_migrations (id int, app text, name text, applied timestamptz); {}"
_MIGRATED = _MIGRATED.format("INSERT INTO django_migrations VALUES (1, '{}', '{}', now())")


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (
            "CREATE TABLE recipes (id int)",
            "is not tvarr's database. It has neither tvarr's nor our tables, but recipes.",
        ),
        (_MIGRATED.format("shop", "0001"), "is the database of another Django program, not tvarr's or ours."),
    ],
)
def test_what_is_not_tvarrs_is_refused(installation: Installation, empty: str, prepare: str, words: str) -> None:
    with psycopg.connect(empty) as connection:
        connection.execute(prepare.encode())
    before = schema_of(empty)
    installation.environment["TVARR_DATABASE_DSN"] = empty
    assert f"TVARR_DATABASE_DSN: {name_of(empty)} {words}" in installation.refused("prepare")
    assert schema_of(empty) == before
    assert not (installation.data / "tvarr.db").exists()


@pytest.mark.parametrize(
    ("leave_out", "words"),
    [
        ("encoding_profiles", "does not have the table encoding_profiles, which tvarr-backup"),
        ("client_detection_rules.preferred_format", "does not have the column client_detection_rules.preferred_format"),
    ],
)
def test_what_tvarr_does_not_have_is_named_only_where_it_is_needed(
    installation: Installation, empty: str, tmp_path: Path, leave_out: str, words: str
) -> None:
    installation.environment["TVARR_DATABASE_DSN"] = build_tvarr_on_server(empty, tmp_path, leave_out=leave_out)
    installation.ok("prepare")
    kind = leave_out.partition(".")[0]
    assert words in installation.refused("portable", "export", kind, "--all")
    installation.ok("portable", "export", "filters", "--all")


def test_the_same_database_by_two_names_is_refused(installation: Installation, server: PostgreSQL, empty: str) -> None:
    installation.environment["TVARR_DATABASE_DSN"] = empty
    installation.environment["DATABASE_URL"] = (
        f"postgres:///{empty.rpartition('/')[2]}?user=postgres&host={server.folder}"
    )
    words = f"DATABASE_URL and TVARR_DATABASE_DSN are the same database, {name_of(empty)}. Set them to two databases."
    assert words in installation.refused("prepare")


def test_tvarrs_own_is_refused_for_our_bookkeeping(installation: Installation, own: Installation) -> None:
    installation.environment["DATABASE_URL"] = own.environment["TVARR_DATABASE_DSN"]
    assert "DATABASE_URL names tvarr's own database, postgresql://" in installation.refused("prepare")


@pytest.mark.parametrize(
    ("variable", "command"),
    [("TVARR_DATABASE_DSN", "prepare"), ("DATABASE_URL", "prepare")],
)
def test_one_that_does_not_answer_is_told_in_a_sentence(
    installation: Installation, tmp_path: Path, variable: str, command: str
) -> None:
    installation.environment[variable] = f"postgresql://ada:s3cret@{str(tmp_path).replace('/', '%2F')}/tvarr"
    words = installation.refused(command)
    (sentence,) = [line for line in words.splitlines() if line.startswith("error: ")]
    assert f"postgresql://{tmp_path}/tvarr cannot be " in sentence or "which cannot be read" in sentence
    assert "s3cret" not in words


# --- Export and import -----------------------------------------------------------------------------------------------


def items_of(text: str) -> Any:
    return json.loads(text)["items"]


def test_an_export_is_that_of_the_same_rows_in_sqlite(
    own: Installation, prepared: Installation, tvarr_own: Path
) -> None:
    prepared.environment["TVARR_DATABASE_DSN"] = str(tvarr_own)
    for kind in ("filters", "data_mapping_rules", "client_detection_rules", "encoding_profiles"):
        here, there = (one.ok("portable", "export", kind, "--all") for one in (own, prepared))
        assert items_of(here) == items_of(there) != [], kind


def test_an_import_writes_what_it_showed(own: Installation) -> None:
    exported = own.ok("portable", "export", "filters", "--all")
    items = json.loads(exported)
    items["items"][0] |= {"description": "Changed."}
    items["items"].append(items["items"][0] | {"name": "Another"})
    items["metadata"]["item_count"] += 1
    plan = own.json("portable", "plan", "filters", "-", "--json", stdin=json.dumps(items))
    done = own.json("portable", "import", "filters", "-", "--bulk", "overwrite", "--json", stdin=json.dumps(items))
    url = own.environment["TVARR_DATABASE_DSN"]
    assert [item["state"] for item in plan["items"]] == ["different", "new"]
    assert (done["overwritten"], done["imported"]) == (1, 1)
    assert ask(url, "SELECT id, description FROM filters WHERE name = 'Harbour Sports'") == [(FILTER_ID, "Changed.")]
    assert ask(url, "SELECT count(*) FROM filters WHERE name = 'Another' AND is_system IS FALSE") == [(1,)]
    with psycopg.connect(url) as connection:
        connection.execute("DELETE FROM filters WHERE name = 'Another'")
        connection.execute(
            "UPDATE filters SET description = %s WHERE id = %s", ["Only the harbour's sports", FILTER_ID]
        )


def test_an_import_of_client_rules_says_that_tvarr_must_reload(own: Installation) -> None:
    items = json.loads(own.ok("portable", "export", "client-detection-rules", "--all"))
    items["items"] = [items["items"][0] | {"name": "Another", "is_enabled": True}]
    items["metadata"]["item_count"] = 1
    done = own.json("portable", "import", "client-detection-rules", "-", "--json", stdin=json.dumps(items))
    assert (done["imported"], done["restart_required"]) == (1, True)
    with psycopg.connect(own.environment["TVARR_DATABASE_DSN"]) as connection:
        connection.execute("DELETE FROM client_detection_rules WHERE name = 'Another'")


def test_an_import_that_others_keep_waiting_ends_in_words_and_changes_nothing(own: Installation) -> None:
    exported = own.ok("portable", "export", "filters", "--all")
    url = own.environment["TVARR_DATABASE_DSN"]
    impatient = Installation(
        own.data, own.environment | {"TVARR_DATABASE_DSN": f"{url}?options=-c%20lock_timeout%3D200"}
    )
    with psycopg.connect(url) as other:
        other.execute("UPDATE filters SET description = 'In the middle.' WHERE id = %s", [FILTER_ID])
        refusal = impatient.refused("portable", "import", "filters", "-", "--bulk", "rename", stdin=exported)
        other.rollback()
    assert "Another process is writing to tvarr's database. Nothing was imported. Try again." in refusal
    assert ask(url, "SELECT count(*) FROM filters WHERE name LIKE 'Harbour Sports%'") == [(1,)]


def test_demo_data_is_made_there(installation: Installation, empty: str) -> None:
    installation.environment["TVARR_DATABASE_DSN"] = empty
    installation.ok("prepare", "--create")
    installation.ok("demo_data", "--channels", "10", "--programmes", "50")
    assert ask(empty, "SELECT count(*), min(start) IS NULL FROM epg_programs") == [(50, False)]


# --- Backups ---------------------------------------------------------------------------------------------------------


COMMANDS = ["create", "create --note x"]


def test_existing_backups_are_listed_verified_and_cleaned_up(own: Installation) -> None:
    for words in ("list", "verify --all", "prune --dry-run"):
        own.ok("backup", *words.split())


def test_a_backup_from_elsewhere_is_added_and_seen_by_the_api(own: Installation, tmp_path: Path) -> None:
    source = build_tvarr_database(tmp_path / "elsewhere.db")
    changed(source, "PRAGMA journal_mode=DELETE")
    name = own.json("backup", "adopt", str(source), "--json")["filename"]
    assert own.json("backup", "verify", name, "--json")["problems"] == []
    assert own.json("backup", "show", name, "--json")["filename"] == name
    assert UNSUPPORTED in own.refused("backup", "restore", name, "--yes")
    own.ok("backup", "protect", name, "--off")
    own.ok("backup", "delete", name, "--yes")


def test_commands_that_need_a_file_say_why_not(own: Installation) -> None:
    script = f"""
from django.core.management import CommandError, call_command
for words in {COMMANDS}:
    try:
        call_command("backup", *words.split())
    except CommandError as refusal:
        print(refusal)
"""
    said = own.ok("shell", "--no-imports", "-c", script).splitlines()
    assert [sentence.startswith(UNSUPPORTED) for sentence in said] == [True] * len(COMMANDS)


def test_the_api_says_why_not_and_the_worker_once(own: Installation, tmp_path: Path) -> None:
    scheduled = {"TVARR_BACKUP_SCHEDULE_ENABLED": "true", "TVARR_BACKUP_SCHEDULE_CRON": "* * * * *"}
    machine = Machine(tmp_path / "machine", {})
    machine.installation = Installation(own.data, own.environment | scheduled)
    machine.token = own.json("token", "create", "tests", "--user", "admin", "--json")["token"]
    machine.start_web()
    try:
        worker = machine.start_worker()
        wait_until(lambda: "schedule.unsupported" in worker.log, "it says so")
        for method, path in _DOORS:
            status, answer = machine.call(method, f"/api/v1/backups{path}")
            assert (status, answer["code"], answer["detail"][: len(UNSUPPORTED)]) == (
                409,
                "backup_unsupported",
                UNSUPPORTED,
            )
        assert machine.call("GET", "/api/v1/backups")[0] == 200
        assert machine.call("GET", "/api/v1/filters")[0] == machine.call("GET", "/api/v1/operations")[0] == 200
        assert worker.log.count("schedule.unsupported") == 1
        assert " error " not in worker.log
    finally:
        machine.end()


_DOORS = [("POST", ""), ("GET", "/schedule"), ("PUT", "/schedule")]


def test_the_pages_say_why_not_and_the_others_are_there(own: Installation) -> None:
    answers = json.loads(own.ok("shell", "--no-imports", "-c", _PAGES).splitlines()[-1])
    said = UNSUPPORTED.removeprefix("tvarr's")
    assert {path: (status, said in page) for path, (status, page) in answers.items()} == {
        **dict.fromkeys(_OF_BACKUPS, (200, True)),
        **dict.fromkeys(_FORMS, (200, True)),
        **dict.fromkeys(_WISHES, (409, True)),
        **dict.fromkeys(_OTHERS, (200, False)),
    }


_OF_BACKUPS = ["", "settings/?"]
_WISHES = ["settings/", "settings/reset/"]
_FORMS = ["backups/create/"]
_OTHERS = ["backups/upload/", "admin/operations/backup/", "export/", "import/", "history/", "account/", "admin/"]
_PAGES = f"""
import json
from django.contrib.auth.models import User
from django.test import Client
client = Client(headers={{"host": "localhost"}})
client.force_login(User.objects.get())
answers = {{path: client.get("/" + path) for path in {_OF_BACKUPS + _OTHERS}}}
for path in {_FORMS + _WISHES}:
    answers[path] = client.post("/" + path, {{"action": "verify", "cron": "0 3 * * *"}}, follow=True)
print(json.dumps({{path: [answer.status_code, answer.getvalue().decode()] for path, answer in answers.items()}}))
"""


def test_status_says_it_and_is_content(own: Installation) -> None:
    status = json.loads(own.run("status", "--json").stdout)  # it ends with 1, since no worker runs
    checks = {check["name"]: check for check in status["checks"]}
    assert checks["tvarr_database"]["message"] == "It can be used (created by tvarr, on PostgreSQL)."
    assert checks["schedule"]["message"].startswith(UNSUPPORTED)
    assert checks["last_backup"]["message"].startswith(UNSUPPORTED)
