"""The command `config`, in real processes."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.backups.makers import changed
from tests.backups.test_configuration import without_it
from tests.installation import Installation
from tests.management.test_portable_command import write
from tests.management.test_restore_command import content, live_of
from tests.portable.files import CLIENTS, FILTERS, PROFILES, bundle, client_item, filter_item, profile_item
from tests.processes import wait_until
from tests.workers import RunningWorker, rows

COMPARE = "from tvarr_backup.operations.history import compare_now; compare_now()"


def compare(installation: Installation) -> None:
    """Find what was changed outside, as the worker does half a minute later."""
    app = installation.data / "app.db"
    if app.exists():
        changed(app, "UPDATE operations_historyprogress SET compared_at = NULL")
    installation.ok("shell", "-v", "0", "-c", COMPARE)


@pytest.fixture
def used(prepared: Installation, tmp_path: Path) -> Installation:
    """An installation with four filters, a baseline, and a backup."""
    items = [filter_item(name) for name in ("Harbour", "Quay", "Pier", "Mole")]
    prepared.ok("portable", "import", "filters", write(tmp_path, FILTERS, *items))
    compare(prepared)
    prepared.ok("backup", "create")
    return prepared


def outside(installation: Installation, *statements: str) -> None:
    changed(live_of(installation), *statements)


def delete(installation: Installation, *names: str) -> None:
    listed = ", ".join(f"'{name}'" for name in names)
    outside(installation, f"UPDATE filters SET deleted_at = '2026-11-29 10:00:00+00:00' WHERE name IN ({listed})")


def names(installation: Installation) -> set[str]:
    with closing(sqlite3.connect(live_of(installation))) as connection:
        return {
            name
            for (name,) in connection.execute("SELECT name FROM filters WHERE deleted_at IS NULL AND NOT is_system")
        }


# --- diff -------------------------------------------------------------------------------------------------------------


def test_diff_shows_what_has_changed_since_a_backup(used: Installation) -> None:
    delete(used, "Pier")
    outside(used, "UPDATE filters SET action = 'exclude' WHERE name = 'Harbour'")
    shown = used.ok("config", "diff", "latest", "now")
    assert shown == (
        'filters:\n  changed: Harbour\n    action: "include" -> "exclude"\n  removed: Pier\n'
        "2 differences: 0 added, 1 removed, 1 changed\n"
    )
    assert used.ok("config", "diff", "now", "latest").endswith("2 differences: 1 added, 0 removed, 1 changed\n")


def test_diff_has_all_kinds_as_data(used: Installation) -> None:
    delete(used, "Pier")
    outside(used, "UPDATE filters SET action = 'exclude' WHERE name = 'Harbour'")
    nothing: dict[str, list[Any]] = {"added": [], "removed": [], "changed": []}
    assert used.json("config", "diff", "latest", "now", "--json") == {
        "filters": {"added": [], "removed": ["Pier"], "changed": [{"name": "Harbour", "fields": ["action"]}]},
        "data_mapping_rules": nothing,
        "client_detection_rules": nothing,
        "encoding_profiles": nothing,
    }
    assert used.json("config", "diff", "latest", "now", "--kind", "encoding_profiles", "--json")["filters"] == nothing


def test_diff_shows_what_expressions_match(used: Installation) -> None:
    delete(used, "Pier")
    shown = used.ok("config", "diff", "latest", "now", "--matches")
    assert "  removed: Pier\n    matches: 0 of 0 channels\n" in shown
    (item,) = used.json("config", "diff", "latest", "--matches", "--json")["matches"]["items"]
    assert (item["key"], item["before"]["matched"], item["after"]) == ("filters/stream:Pier", 0, None)


def test_diff_exits_with_3_only_if_it_is_asked_to(used: Installation) -> None:
    assert used.run("config", "diff", "latest", "--exit-code").returncode == 0
    assert used.ok("config", "diff", "latest") == "No differences.\n"
    delete(used, "Pier")
    assert used.run("config", "diff", "latest").returncode == 0
    assert used.run("config", "diff", "latest", "--exit-code").returncode == 3


def test_diff_reads_files_and_stdin(used: Installation, tmp_path: Path) -> None:
    file = write(tmp_path, FILTERS, filter_item("Harbour"), filter_item("Jetty"), name="other.json")
    from_file = used.json("config", "diff", file, "now", "--json")
    assert sorted(from_file["filters"]["added"]) == ["Mole", "Pier", "Quay"]
    assert from_file["filters"]["removed"] == ["Jetty"]
    assert used.json("config", "diff", "-", "now", "--json", stdin=Path(file).read_text()) == from_file
    assert "Only one of the states" in used.refused("config", "diff", "-", "-")


def test_an_older_backup_is_unpacked_once(used: Installation) -> None:
    folder = used.data / "backups"
    name = used.json("backup", "list", "--json")["backups"][0]["filename"]
    without_it(folder, name)
    delete(used, "Pier")
    first = used.run("config", "diff", "latest", "now")
    assert (first.returncode, "removed: Pier" in first.stdout, "Unpacking" in first.stderr) == (0, True, True)
    assert used.run("config", "diff", "latest", "now").stderr == ""
    assert [kind for (kind,) in rows(used, "SELECT kind FROM operations_operation WHERE kind = 'read'")] == ["read"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("soon", 'Expected "now", a backup'),
        ("2026-99-99", 'Expected a time such as "2026-11-24T18:00", got "2026-99-99".'),
        ("2001-01-01", "The history begins"),
        ("2999-01-01", "is in the future"),
        ("import:X", 'The history has no import "X".'),
        ("/nowhere.json", "/nowhere.json cannot be read: No such file"),
        ("tvarr-backup-2020-01-01T00-00-00.db.gz", "There is no backup"),
        ("latest~9", "latest~9"),
    ],
)
def test_what_names_no_state_is_refused(used: Installation, text: str, words: str) -> None:
    done = used.run("config", "diff", text, "now")
    assert (done.returncode, done.stdout, words in done.stderr) == (1, "", True), done.stderr


def test_the_start_of_two_names_is_refused(used: Installation) -> None:
    used.ok("backup", "create")
    assert "2 backups have names that start with" in used.refused("config", "diff", "tvarr-backup-2", "now")


# --- take -------------------------------------------------------------------------------------------------------------


def test_two_of_three_deleted_filters_are_taken_back_and_nothing_else_changes(used: Installation) -> None:
    delete(used, "Quay", "Pier", "Mole")
    before = content(live_of(used))
    done = used.run("config", "take", "latest", "--kind", "filters", "--item", "Quay", "--item", "filters/Mole")
    assert "2 items: 2 added\n" in done.stdout
    assert names(used) == {"Harbour", "Quay", "Mole"}
    assert set(before) < set(content(live_of(used)))
    new = set(content(live_of(used))) - set(before)
    assert [line.split()[2].strip(chr(34)) for line in new] == ["filters", "filters"]


def test_a_changed_item_gets_its_former_values_unless_told_otherwise(used: Installation) -> None:
    outside(used, "UPDATE filters SET action = 'exclude' WHERE NOT is_system")
    used.ok("config", "take", "latest", "--resolve", "Pier=skip", "--item", "Pier", "--item", "Quay")
    query = "SELECT name FROM filters WHERE action = 'exclude' AND NOT is_system"
    with closing(sqlite3.connect(live_of(used))) as connection:
        assert {name for (name,) in connection.execute(query)} == {"Harbour", "Pier", "Mole"}


def test_a_dry_run_shows_the_plan_and_changes_nothing(used: Installation) -> None:
    delete(used, "Quay")
    before = content(live_of(used))
    assert "new: Quay -> add\n" in used.ok("config", "take", "latest", "--item", "Quay", "--dry-run")
    assert used.json("config", "take", "latest", "--dry-run", "--json")["kind"] == "bundle"
    assert content(live_of(used)) == before


def test_what_was_taken_can_be_undone(used: Installation) -> None:
    delete(used, "Quay")
    before = content(live_of(used))
    made = used.json("config", "take", "latest", "--item", "Quay", "--json")["import_id"]
    used.ok("portable", "undo", made)
    assert content(live_of(used)) == before


def test_a_profile_is_taken_with_its_rule_if_it_is_missing(prepared: Installation, tmp_path: Path) -> None:
    rule = client_item("Kitchen", encoding_profile_name="Attic")
    file = tmp_path / "all.json"
    file.write_text(json.dumps(bundle((CLIENTS, [rule]), (PROFILES, [profile_item("Attic"), profile_item("Cellar")]))))
    prepared.ok("config", "take", str(file), "--item", "Kitchen")
    listed = prepared.json("portable", "export", "encoding_profiles", "--all")
    assert [item["name"] for item in listed["items"]] == ["Attic"]
    assert prepared.json("portable", "export", "client_detection_rules", "--all")["items"] == [rule]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--item", "Nobody"), 'The state has no item "Nobody".'),
        (("--kind", "proxies"), 'Expected "filters", "data_mapping_rules"'),
        (("--kind", "encoding_profiles"), "There is nothing to take."),
        (("--bulk", "merge"), 'Expected "skip", "rename" or "overwrite"'),
    ],
)
def test_what_cannot_be_taken_is_refused(used: Installation, arguments: tuple[str, ...], words: str) -> None:
    before = content(live_of(used))
    assert words in used.refused("config", "take", "latest", *arguments)
    assert content(live_of(used)) == before


# --- history ----------------------------------------------------------------------------------------------------------


def test_changes_of_several_kinds_made_in_tvarrs_tables_are_events(used: Installation, tmp_path: Path) -> None:
    used.ok("portable", "import", "client_detection_rules", write(tmp_path, CLIENTS, client_item("Kitchen")))
    outside(
        used,
        "UPDATE filters SET action = 'exclude', updated_at = '2026-11-29 10:00:00.123456789-05:00' WHERE name = 'Quay'",
    )
    compare(used)
    outside(used, "UPDATE client_detection_rules SET priority = 7 WHERE name = 'Kitchen'")
    compare(used)
    found = used.json("config", "history", "--limit", "2", "--json")
    assert [(event["event"], event["origin"], event["user"]) for event in found] == [("edit", None, None)] * 2
    rule, changed_filter = (event["changes"][0] for event in found)
    assert [(field["field"], field["after"]) for field in rule["fields"]] == [("priority", 7)]
    assert (changed_filter["name"], changed_filter["change"]) == ("Quay", "changed")


def test_history_is_read_from_top_to_bottom(used: Installation) -> None:
    outside(used, "UPDATE filters SET action = 'exclude' WHERE name = 'Quay'")
    compare(used)
    lines = used.ok("config", "history").splitlines()
    assert lines[0].endswith("  Edited outside this program")
    assert lines[1] == "    changed: Quay (filter)"
    assert lines[-1].endswith("  Start of the history")


def test_the_history_of_an_item_has_its_values(used: Installation) -> None:
    outside(used, "UPDATE filters SET name = 'Wharf' WHERE name = 'Quay'")
    compare(used)
    delete(used, "Wharf")
    compare(used)
    shown = used.ok("config", "history", "filters", "Quay")
    assert "  removed: Wharf\n" in shown
    assert '    name: "Quay" -> "Wharf"\n' in shown
    assert "  added: Quay\n" in shown
    assert 'The history has no item "Nobody"' in used.refused("config", "history", "filters", "Nobody")


def test_the_history_of_one_source_type_is_asked_for_with_it(used: Installation) -> None:
    assert "  added: Quay\n" in used.ok("config", "history", "filters", "stream:Quay")
    assert "The history has no item" in used.refused("config", "history", "filters", "epg:Quay")


def test_an_import_from_a_file_is_recorded_without_its_folder(prepared: Installation, tmp_path: Path) -> None:
    prepared.ok("config", "take", write(tmp_path, FILTERS, filter_item("Quay"), name="mine.json"))
    assert rows(prepared, "SELECT file_name FROM operations_importrecord") == [("mine.json",)]


def test_a_restore_is_one_event_with_its_backup(used: Installation) -> None:
    delete(used, "Quay", "Pier")
    used.ok("backup", "restore", "latest", "--yes")
    restored, before = used.json("config", "history", "--limit", "2", "--json")
    assert (restored["event"], restored["subject"].startswith("tvarr-backup-")) == ("restore", True)
    assert sorted(change["name"] for change in restored["changes"]) == ["Pier", "Quay"]
    assert [change["change"] for change in before["changes"]] == ["removed", "removed"]


def test_a_state_of_the_past_is_taken_from_the_history(used: Installation) -> None:
    moment = used.json("config", "history", "--json")[0]["at"]
    delete(used, "Quay")
    compare(used)
    assert used.json("config", "diff", moment, "now", "--json")["filters"]["removed"] == ["Quay"]
    used.ok("config", "take", moment, "--item", "Quay")
    assert "Quay" in names(used)


def test_a_worker_begins_the_history(prepared: Installation) -> None:
    running = RunningWorker(prepared)
    try:
        query = "SELECT kind FROM operations_historyevent"
        wait_until(lambda: rows(prepared, query) == [("baseline",)], "the baseline")
    finally:
        running.end()


def test_without_prepare_the_command_says_so(installation: Installation) -> None:
    assert "`manage.py prepare`" in installation.refused("config", "history")


def test_reading_from_a_closed_pipe_is_no_error(used: Installation) -> None:
    done = subprocess.run(
        f"{' '.join(used.command('config', 'history'))} | head -c 1",
        shell=True,
        capture_output=True,
        env=used.variables(),
        check=False,
    )
    assert b"Traceback" not in done.stderr
