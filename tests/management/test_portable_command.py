"""The command `portable`, in real processes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.installation import ROOT, Installation
from tests.operations.app_databases import UNUSABLE
from tests.portable.files import (
    CLIENTS,
    ENCODINGS,
    FILTERS,
    PROFILES,
    bundle,
    client_item,
    document,
    encoded,
    filter_item,
    profile_item,
)
from tests.tvarr_own import FILTER_ID, schema_of
from tvarr_backup.portable.kinds import Kind


def write(folder: Path, kind: Kind, *items: Any, name: str = "export.json") -> str:
    file = folder / name
    file.write_text(json.dumps(document(kind, *items)))
    return str(file)


def test_export_writes_the_envelope_to_stdout_and_nothing_else(prepared: Installation, tmp_path: Path) -> None:
    prepared.ok("portable", "import", "filters", write(tmp_path, FILTERS, filter_item()))
    done = prepared.run("portable", "export", "filters", "--all")
    assert json.loads(done.stdout)["items"] == [filter_item()]
    assert done.stderr == ""


def test_export_writes_a_whole_file_and_says_so_on_stderr(prepared: Installation, tmp_path: Path) -> None:
    target = tmp_path / "filters.json"
    target.write_text("older")
    done = prepared.run("portable", "export", "filters", "--all", "-o", str(target))
    assert (done.returncode, done.stdout, done.stderr.strip()) == (0, "", f"Wrote {target}")
    assert json.loads(target.read_text())["items"] == []
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["filters.json"]


def test_a_refused_export_leaves_the_older_file_as_it_was(prepared: Installation, tmp_path: Path) -> None:
    target = tmp_path / "filters.json"
    target.write_text("older")
    words = prepared.refused("portable", "export", "filters", "--ids", FILTER_ID, "-o", str(target))
    assert f"None of the filters has the id {FILTER_ID}" in words
    assert target.read_text() == "older"


def test_export_into_a_pipe_writes_into_it_and_leaves_it_there(prepared: Installation, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True) as reader:
        try:
            prepared.ok("portable", "export", "filters", "--all", "-o", str(pipe))
            assert json.loads(reader.communicate(timeout=20)[0])["items"] == []
        finally:
            reader.kill()
    assert pipe.is_fifo()


def test_export_through_a_link_keeps_the_link(prepared: Installation, tmp_path: Path) -> None:
    target, link = tmp_path / "filters.json", tmp_path / "link"
    link.symlink_to(target)
    prepared.ok("portable", "export", "filters", "--all", "-o", str(link))
    assert link.is_symlink()
    assert json.loads(target.read_text())["items"] == []


def test_export_into_a_folder_that_is_not_there_is_refused(prepared: Installation, tmp_path: Path) -> None:
    words = prepared.refused("portable", "export", "filters", "--all", "-o", str(tmp_path / "no" / "x.json"))
    assert "cannot be written: No such file or directory." in words


@pytest.mark.parametrize("slug", ["client_detection_rules", "client-detection-rules"])
def test_kinds_may_be_written_with_hyphens_too(prepared: Installation, slug: str) -> None:
    assert prepared.json("portable", "export", slug, "--all")["metadata"]["export_type"] == "client_detection_rules"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("export", "proxies", "--all"), 'Expected "filters", "data_mapping_rules"'),
        (("export", "filters", "--ids", ","), "Select at least one of the filters"),
        (("plan", "filters", "/nowhere/at/all.json"), "/nowhere/at/all.json cannot be read: No such file"),
        (("plan", "filters", "/"), "/ cannot be read: Is a directory"),
        (("plan", "filters", "-", "--bulk", "merge"), 'Expected "skip", "rename" or "overwrite" for all other items'),
        (("plan", "filters", "-", "--resolve", "News"), '--resolve: Expected NAME=VALUE, got "News".'),
        (("plan", "filters", "-", "--new-name", "=News"), '--new-name: Expected NAME=VALUE, got "=News".'),
        (("import", "filters", "-"), "The file is empty. Expected an export."),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(
    prepared: Installation, arguments: tuple[str, ...], words: str
) -> None:
    done = prepared.run("portable", *arguments, stdin="")
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_without_prepare_the_commands_say_so_and_create_nothing(installation: Installation) -> None:
    words = installation.refused("portable", "export", "filters", "--all")
    assert "`manage.py prepare`" in words
    assert not installation.data.exists()


@pytest.mark.parametrize("state", UNUSABLE)
def test_an_export_needs_only_tvarrs_database(prepared: Installation, tmp_path: Path, state: str) -> None:
    prepared.ok("portable", "import", "filters", write(tmp_path, FILTERS, filter_item()))
    app = prepared.data / "app.db"
    UNUSABLE[state][0](app)
    before = app.read_bytes() if app.exists() else None
    done = prepared.run("portable", "export", "filters", "--all")
    assert json.loads(done.stdout)["items"] == [filter_item()]
    assert done.stderr.count("warning: References to missing sources and encoding profiles are left out") == 1
    assert (app.read_bytes() if app.exists() else None) == before
    prepared.refused("portable", "import", "filters", write(tmp_path, FILTERS, filter_item("New")))


def test_an_export_of_a_kind_without_references_leaves_nothing_out(prepared: Installation) -> None:
    (prepared.data / "app.db").unlink()
    assert prepared.run("portable", "export", "encoding_profiles", "--all").stderr == ""


def test_an_export_warns_about_invalid_expressions_and_credentials(prepared: Installation, tmp_path: Path) -> None:
    items = [
        filter_item("Bad", expression="oops"),
        filter_item("Open", description="http://gull:feather7@tv.example.test"),
    ]
    prepared.ok("portable", "import", "filters", write(tmp_path, FILTERS, *items))
    for selection in (("filters", "--all"), ("--bundle",)):
        done = prepared.run("portable", "export", *selection)
        invalid, credentials = done.stderr.splitlines()
        assert (done.returncode, "Bad" in done.stdout) == (0, True)
        assert invalid.startswith('warning: filter "Bad" (stream): The expression is invalid')
        assert credentials.startswith('warning: filter "Open" (stream): The description may contain credentials')
        assert "feather7" not in done.stderr


def test_an_export_warns_about_a_file_that_tvarr_refuses(prepared: Installation, tmp_path: Path) -> None:
    items = [filter_item(f"Filter {number}", description="d" * 1000) for number in range(1000)]
    prepared.ok("portable", "import", "filters", write(tmp_path, FILTERS, *items))
    done = prepared.run("portable", "export", "filters", "--all")
    assert done.stderr.startswith("warning: The file is larger than 1 MiB, so tvarr refuses it.")
    assert (done.returncode, prepared.run("portable", "export", "--bundle").stderr) == (0, "")


def test_a_plan_shows_every_item_with_its_difference(prepared: Installation, tmp_path: Path) -> None:
    prepared.ok("portable", "import", "filters", write(tmp_path, FILTERS, filter_item("Old")))
    file = write(
        tmp_path, FILTERS, filter_item("Old", action="exclude"), filter_item("New"), filter_item("Bad", expression=None)
    )
    done = prepared.run("portable", "plan", "filters", file, "--resolve", "Old=overwrite")
    shown = done.stdout
    assert (done.returncode, "1 item cannot be imported." in done.stderr) == (1, True)
    assert '#1 changed: Old -> overwrite\n    action: now "include", in file "exclude"\n' in shown
    assert "#2 new: New -> add\n" in shown
    assert "#3 invalid: Bad -> blocked\n    problem: expression: Expected text, got nothing." in shown
    assert "3 items: add 1, overwrite 1, blocked 1\n" in shown


def test_a_plan_as_json_has_tvarrs_members_and_ours(prepared: Installation, tmp_path: Path) -> None:
    prepared.ok("portable", "import", "filters", write(tmp_path, FILTERS, filter_item("Old")))
    file = write(tmp_path, FILTERS, filter_item("Old", action="exclude"), filter_item("New"))
    plan = prepared.json("portable", "plan", "filters", file, "--json")
    assert plan["total_items"] == 2
    assert plan["new_items"] == [{"name": "New"}]
    (conflict,) = plan["conflicts"]
    assert (conflict["import_name"], conflict["existing_name"], conflict["resolution"]) == ("Old", "Old", "skip")
    assert plan["errors"] == []
    assert [item["state"] for item in plan["items"]] == ["different", "new"]
    assert plan["items"][0]["diff"] == [{"field": "action", "now": "include", "in_file": "exclude"}]
    assert plan["can_import"] is True
    assert plan["fingerprint"].startswith("sha256:")


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        (("--exit-code",), 3),
        ((), 0),
        (("--bulk", "skip", "--exit-code"), 0),
        (("--resolve", "Bad=skip", "--exit-code"), 3),
    ],
)
def test_the_exit_status_says_what_a_plan_would_do(
    prepared: Installation, tmp_path: Path, answers: tuple[str, ...], status: int
) -> None:
    prepared.ok("portable", "import", "filters", write(tmp_path, FILTERS, filter_item("Old")))
    change = filter_item("Old", action="exclude") if "--bulk" in answers else filter_item("New")
    bad = [filter_item("Bad", expression=None)] if "Bad=skip" in answers else []
    done = prepared.run("portable", "plan", "filters", write(tmp_path, FILTERS, change, *bad), *answers)
    assert done.returncode == status, done.stderr


@pytest.mark.parametrize("options", [("--exit-code",), ("--json",), ()])
def test_a_plan_with_an_invalid_item_exits_with_1(prepared: Installation, tmp_path: Path, options: tuple[str]) -> None:
    file = write(tmp_path, FILTERS, filter_item("Good"), filter_item("Bad", expression=None))
    assert prepared.run("portable", "plan", "filters", file, *options).returncode == 1


def test_long_lists_are_cut_unless_all_is_wanted(prepared: Installation, tmp_path: Path) -> None:
    file = write(tmp_path, FILTERS, *(filter_item(f"F{number}") for number in range(30)))
    for action, word in (("plan", "add"), ("import", "added")):
        short = prepared.ok("portable", action, "filters", file)
        assert short.count("F") == 20
        assert f"Not listed: {word} 10. `--verbose` lists all.\n30 items: " in short
    assert prepared.ok("portable", "plan", "filters", file, "--verbose").count("F") == 30


def test_a_plan_writes_nothing(prepared: Installation, tmp_path: Path) -> None:
    prepared.ok("portable", "plan", "filters", write(tmp_path, FILTERS, filter_item()))
    assert prepared.json("portable", "export", "filters", "--all")["items"] == []


def test_import_prints_what_became_of_every_item(prepared: Installation, tmp_path: Path) -> None:
    file = write(tmp_path, FILTERS, filter_item("A"), filter_item("B"))
    shown = prepared.ok("portable", "import", "filters", file, "--new-name", "B=Bee = two")
    assert shown == ("added: A\nrenamed: B -> Bee = two\n2 items: 1 added, 1 renamed\n")


def test_import_as_json_has_tvarrs_members_and_ours(prepared: Installation, tmp_path: Path) -> None:
    result = prepared.json("portable", "import", "filters", write(tmp_path, FILTERS, filter_item("A")), "--json")
    assert {name: result[name] for name in ("total_items", "imported", "skipped", "overwritten", "renamed", "errors")} == {
        "total_items": 1, "imported": 1, "skipped": 0, "overwritten": 0, "renamed": 0, "errors": 0,
    }  # fmt: skip
    (line,) = result["imported_items"]
    assert (line["original_name"], line["final_name"], line["action"]) == ("A", "A", "created")
    assert len(line["id"]) == 26
    assert result["unchanged"] == 0


def test_an_import_with_a_problem_stores_nothing_and_names_it(prepared: Installation, tmp_path: Path) -> None:
    file = write(tmp_path, FILTERS, filter_item("Good"), filter_item("Bad", expression=None))
    words = prepared.refused("portable", "import", "filters", file)
    assert "expression: Expected text, got nothing." in words
    assert prepared.json("portable", "export", "filters", "--all")["items"] == []
    prepared.ok("portable", "import", "filters", file, "--resolve", "#2=skip")
    assert len(prepared.json("portable", "export", "filters", "--all")["items"]) == 1


def test_a_stale_fingerprint_is_refused_with_the_new_plan(prepared: Installation, tmp_path: Path) -> None:
    file = write(tmp_path, FILTERS, filter_item())
    mark = prepared.json("portable", "plan", "filters", file, "--json")["fingerprint"]
    prepared.ok("portable", "import", "filters", file, "--fingerprint", mark)
    done = prepared.run("portable", "import", "filters", file, "--fingerprint", mark, "--json")
    assert done.returncode == 1
    assert "has changed since the preview. Nothing was imported." in done.stderr
    assert json.loads(done.stdout)["items"][0]["state"] == "identical"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_file_with_a_byte_order_mark_is_read_from_disk_and_from_stdin(
    prepared: Installation, tmp_path: Path, encoding: str
) -> None:
    file = tmp_path / "from-windows.json"
    file.write_bytes(encoded(document(FILTERS, filter_item("Новости")), encoding))
    assert "#1 new: Новости -> add" in prepared.ok("portable", "plan", "filters", str(file))
    with file.open("rb") as content:
        command = prepared.command("portable", "plan", "filters", "-")
        done = subprocess.run(command, env=prepared.variables(), stdin=content, capture_output=True, check=True)
    assert "#1 new: Новости -> add" in done.stdout.decode()


def test_references_can_be_mapped(prepared: Installation, tmp_path: Path) -> None:
    file = write(tmp_path, CLIENTS, client_item(encoding_profile_name="HEVC high"))
    prepared.ok("portable", "import", "client_detection_rules", file, "--map", "HEVC high=H.265/AAC (Modern)")
    (item,) = prepared.json("portable", "export", "client_detection_rules", "--all")["items"]
    assert item["encoding_profile_name"] == "H.265/AAC (Modern)"


def test_a_file_goes_from_one_installation_to_another_through_a_pipe(tmp_path: Path) -> None:
    one, two = (Installation(tmp_path / name / "data") for name in ("one", "two"))
    for place in (one, two):
        place.data.parent.mkdir()
        place.prepared()
    one.ok("portable", "import", "encoding_profiles", write(tmp_path, PROFILES, profile_item()))
    text = one.ok("portable", "export", "encoding_profiles", "--all")
    assert "1 added" in two.ok("portable", "import", "encoding_profiles", "-", stdin=text)


def test_a_reader_that_goes_away_is_no_traceback(prepared: Installation, tmp_path: Path) -> None:
    items = [filter_item(f"F{number}") for number in range(2_000)]
    prepared.ok("portable", "import", "filters", write(tmp_path, FILTERS, *items))
    command = [sys.executable, str(ROOT / "manage.py"), "portable", "export", "filters", "--all"]
    process = subprocess.Popen(
        command, env=prepared.variables(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    assert process.wait(timeout=30) != 0
    process.stderr.close()


def test_an_attached_database_is_exported_and_its_schema_left_alone(
    installation: Installation, tvarr_own: Path
) -> None:
    installation.environment["TVARR_DATABASE_DSN"] = str(tvarr_own)
    before = schema_of(tvarr_own)
    installation.ok("prepare")
    names = {
        slug: [item["name"] for item in installation.json("portable", "export", slug, "--all")["items"]]
        for slug in ("filters", "data_mapping_rules", "client_detection_rules", "encoding_profiles")
    }
    assert names == {
        "filters": ["Harbour Sports"],
        "data_mapping_rules": ["Tidy Harbour Names"],
        "client_detection_rules": ["Kitchen Tablet"],
        "encoding_profiles": ["Tablet HEVC"],
    }
    assert schema_of(tvarr_own) == before


# --- Undo ------------------------------------------------------------------------------------------------------------


def names_in(installation: Installation) -> list[str]:
    items = installation.json("portable", "export", "filters", "--all")["items"]
    return [item["name"] for item in items]


def test_an_import_is_undone_by_the_id_that_it_prints(prepared: Installation, tmp_path: Path) -> None:
    file = write(tmp_path, FILTERS, filter_item("One"), filter_item("Two"))
    key = prepared.json("portable", "import", "filters", file, "--json")["import_id"]
    shown = prepared.ok("portable", "undo", key, "--dry-run")
    assert shown == "remove: One\nremove: Two\n2 items: 2 remove\n"
    undone = prepared.json("portable", "undo", key, "--json")
    assert (undone["removed"], undone["undoes"]) == (2, key)
    assert names_in(prepared) == []
    done = prepared.run("portable", "undo", undone["import_id"].lower())
    assert done.stdout == "added back: One\nadded back: Two\n2 items: 2 added back\n"
    assert re.search(r"To undo this undo: `.*portable undo [0-9A-Z]{26}`", done.stderr)
    assert names_in(prepared) == ["One", "Two"]


def test_an_item_changed_since_is_undone_only_if_it_is_asked_for(prepared: Installation, tmp_path: Path) -> None:
    file = write(tmp_path, FILTERS, filter_item("One"), filter_item("Two"))
    key = prepared.json("portable", "import", "filters", file, "--json")["import_id"]
    other = write(tmp_path, FILTERS, filter_item("One", action="exclude"), name="other.json")
    prepared.ok("portable", "import", "filters", other, "--bulk", "overwrite")
    shown = prepared.ok("portable", "undo", key, "--dry-run")
    assert shown == "keep: One (changed since)\nremove: Two\n2 items: 1 remove, 1 keep\n"
    prepared.ok("portable", "undo", key, "--include-changed")
    assert names_in(prepared) == []


def test_an_id_without_an_import_is_refused(prepared: Installation) -> None:
    assert 'There is no import "nothing".' in prepared.refused("portable", "undo", "nothing")


def test_an_import_that_changes_something_says_how_to_undo_it(prepared: Installation, tmp_path: Path) -> None:
    file = write(tmp_path, FILTERS, filter_item("One"))
    hint = prepared.run("portable", "import", "filters", file).stderr
    assert re.search(r"To undo this import: `.*portable undo [0-9A-Z]{26}`", hint)
    assert prepared.run("portable", "import", "filters", file).stderr == ""


# --- Bundles ---------------------------------------------------------------------------------------------------------


def bundle_file(folder: Path) -> str:
    file = folder / "bundle.json"
    rules, profiles = [client_item(encoding_profile_name="Tablet HEVC")], [profile_item("Tablet HEVC")]
    file.write_text(json.dumps(bundle((FILTERS, [filter_item("One")]), (CLIENTS, rules), (PROFILES, profiles))))
    return str(file)


def test_a_bundle_is_planned_imported_exported_and_undone(prepared: Installation, tmp_path: Path) -> None:
    file = bundle_file(tmp_path)
    planned = prepared.ok("portable", "plan", "bundle", file)
    assert planned.startswith(
        "encoding profiles:\n#1 new: Tablet HEVC -> add\nfilters:\n#1 new: One -> add\n"
        "client detection rules:\n#1 new: Kitchen Tablet -> add\n3 items: add 3\nfingerprint sha256:"
    )
    fingerprint = prepared.json("portable", "plan", "bundle", file, "--json")["fingerprint"]
    done = prepared.json("portable", "import", "bundle", file, "--fingerprint", fingerprint, "--json")
    assert [(part["kind"], part["imported"]) for part in done["parts"]] == [
        ("encoding_profiles", 1),
        ("filters", 1),
        ("client_detection_rules", 1),
    ]
    exported = prepared.json("portable", "export", "--bundle")
    assert exported["sections"] == json.loads(Path(file).read_text())["sections"] | {"data_mapping_rules": []}
    prepared.ok("portable", "undo", done["import_id"])
    assert prepared.json("portable", "export", "--bundle")["metadata"]["item_count"] == 0


def test_answers_to_a_bundle_can_name_a_kind(prepared: Installation, tmp_path: Path) -> None:
    file = bundle_file(tmp_path)
    planned = prepared.ok(
        "portable", "plan", "bundle", file, "--resolve", "filters/#1=skip", "--resolve", "Tablet HEVC=skip"
    )
    assert "3 items: add 1, skip 2" in planned
    assert 'The file has no item "Nobody".' in prepared.refused(
        "portable", "plan", "bundle", file, "--resolve", "Nobody=skip"
    )


def test_a_bundle_is_not_a_file_of_one_kind(prepared: Installation, tmp_path: Path) -> None:
    assert 'got "bundle"' in prepared.refused("portable", "import", "filters", bundle_file(tmp_path))
    assert "A bundle has all kinds." in prepared.refused("portable", "export", "filters", "--bundle")
    assert "Expected a kind" in prepared.refused("portable", "export", "--all")
