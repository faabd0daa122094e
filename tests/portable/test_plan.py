"""Preview: the state of each item, what an import would do with it, and its problems."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from tests.portable.files import (
    CLIENTS,
    EXAMPLES,
    FILTERS,
    MAPPING,
    PROFILES,
    client_item,
    document,
    envelope,
    filter_item,
    mapping_item,
    profile_item,
    read,
)
from tests.tvarr_own import SOURCE_ID, insert
from tvarr_backup import errors
from tvarr_backup.models import ClientDetectionRule, EncodingProfile, Filter, PortableRow, StreamSource
from tvarr_backup.portable.answers import read_answers
from tvarr_backup.portable.export import stream_export
from tvarr_backup.portable.kinds import KINDS, Kind
from tvarr_backup.portable.plan import Planner, plan_import
from tvarr_backup.portable.report import plan_as_data, plan_as_json
from tvarr_backup.portable.steps import ItemAction, ItemState, Plan, PlannedItem
from tvarr_backup.quoting import MOST_OF_NAME, cut_value, quoted

pytestmark = pytest.mark.django_db


def plan(kind: Kind, *items: Any, bulk: str | None = None, **answers: Any) -> Plan:
    return plan_import(envelope(kind, *items), read_answers(answers.pop("resolutions", {}), bulk, **answers))


def only(kind: Kind, item: Any, **answers: Any) -> PlannedItem:
    (step,) = plan(kind, item, **answers).steps
    return step


def built(step: PlannedItem) -> PortableRow:
    """Return the row as it would be stored."""
    assert step.writes
    return step.build_row()


def make_filter(name: str = "Harbour News", **values: Any) -> Filter:
    row: Filter = Filter.objects.create(**(filter_item(name) | values))
    return row


@pytest.mark.parametrize("kind", KINDS.values(), ids=[*KINDS])
def test_an_item_with_a_free_name_is_new_and_would_be_created(kind: Kind) -> None:
    step = only(kind, EXAMPLES[kind.slug]())
    assert (step.state, step.action, step.existing_id) == (ItemState.NEW, ItemAction.CREATE, None)
    assert step.problems == ()


@pytest.mark.parametrize("kind", KINDS.values(), ids=[*KINDS])
def test_an_exported_item_is_identical_to_its_row(kind: Kind) -> None:
    values = EXAMPLES[kind.slug]()
    row = kind.model.objects.create(**values)
    (step,) = plan_import(read(b"".join(stream_export(kind)), kind)).steps
    assert (step.state, step.action, step.existing_id) == (ItemState.IDENTICAL, ItemAction.SKIP, row.id)


def test_an_item_that_differs_lists_field_now_and_in_file() -> None:
    row = make_filter(action="exclude")
    step = only(FILTERS, filter_item(expression='group_title == "Harbour"'))
    assert (step.state, step.action, step.existing_id) == (ItemState.DIFFERENT, ItemAction.SKIP, row.id)
    assert [(diff.field, diff.now, diff.in_file) for diff in step.differences] == [
        ("expression", 'group_title == "News"', 'group_title == "Harbour"'),
        ("action", "exclude", "include"),
    ]


def test_the_name_of_a_built_in_row_is_a_separate_state() -> None:
    step = only(FILTERS, filter_item("Sports Only"))
    assert (step.state, step.action) == (ItemState.SYSTEM, ItemAction.SKIP)


def test_overwriting_a_built_in_row_is_refused() -> None:
    step = only(FILTERS, filter_item("Sports Only"), resolutions={"Sports Only": "overwrite"})
    assert (step.state, step.action) == (ItemState.SYSTEM, ItemAction.BLOCKED)
    assert "cannot be overwritten. Skip or rename it." in step.problems[0].message


def test_overwriting_all_skips_built_in_rows() -> None:
    assert only(FILTERS, filter_item("Sports Only"), bulk="overwrite").action is ItemAction.SKIP


def test_an_item_with_the_name_of_a_built_in_row_can_be_renamed() -> None:
    step = only(FILTERS, filter_item("Sports Only"), bulk="rename")
    assert (step.action, step.final_name) == (ItemAction.RENAME, "Sports Only (1)")


@pytest.mark.parametrize(
    ("answer", "action", "final_name"),
    [
        ("skip", ItemAction.SKIP, "Harbour News"),
        ("rename", ItemAction.RENAME, "Harbour News (1)"),
        ("overwrite", ItemAction.OVERWRITE, "Harbour News"),
    ],
)
@pytest.mark.parametrize("how", ["by name", "by place", "in bulk"])
def test_each_answer_does_what_it_says(answer: str, action: ItemAction, final_name: str, how: str) -> None:
    make_filter(action="exclude")
    key = {"by name": "Harbour News", "by place": "#1"}.get(how)
    answers: dict[str, Any] = {"resolutions": {key: answer}} if key else {"bulk": answer}
    step = only(FILTERS, filter_item(), **answers)
    assert (step.state, step.action, step.final_name) == (ItemState.DIFFERENT, action, final_name)


def test_an_items_own_answer_beats_the_one_for_all() -> None:
    make_filter(action="exclude")
    step = only(FILTERS, filter_item(), bulk="overwrite", resolutions={"Harbour News": "skip"})
    assert step.action is ItemAction.SKIP


def test_an_answer_for_all_does_not_touch_new_and_identical_items() -> None:
    make_filter("Same")
    steps = plan(FILTERS, filter_item("Same"), filter_item("New"), bulk="skip").steps
    assert [step.action for step in steps] == [ItemAction.SKIP, ItemAction.CREATE]
    steps = plan(FILTERS, filter_item("Same"), filter_item("New"), bulk="rename").steps
    assert [step.final_name for step in steps] == ["Same", "New"]


def test_a_new_item_can_be_skipped_or_renamed_by_its_own_answer() -> None:
    assert only(FILTERS, filter_item(), resolutions={"Harbour News": "skip"}).action is ItemAction.SKIP
    step = only(FILTERS, filter_item(), new_names={"Harbour News": "Port News"})
    assert (step.state, step.action, step.final_name) == (ItemState.NEW, ItemAction.RENAME, "Port News")


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        (
            {"resolutions": {"Harbour News": "merge"}},
            f'Expected "skip", "rename" or "overwrite" for {quoted("Harbour News")}, got {quoted("merge")}.',
        ),
        ({"resolutions": {"Harbour News": ""}}, f"got {quoted('')}."),
        ({"resolutions": {"Harbour News": "SKIP"}}, f"got {quoted('SKIP')}."),
        ({"bulk": "keep"}, f'Expected "skip", "rename" or "overwrite" for all other items, got {quoted("keep")}.'),
        ({"resolutions": {"Habour News": "skip"}}, f"The file has no item {quoted('Habour News')}."),
        ({"resolutions": {"#2": "skip"}}, f"The file has no item {quoted('#2')}."),
        ({"new_names": {"Nobody": "X"}}, f"The file has no item {quoted('Nobody')}."),
        (
            {"resolutions": {"Harbour News": "skip"}, "new_names": {"Harbour News": "X"}},
            f'Expected "rename" for {quoted("Harbour News")}, which has a new name, got "skip".',
        ),
        ({"references": {"Nobody": "X"}}, f"No item of the file refers to {quoted('Nobody')}."),
    ],
)
def test_answers_without_an_item_are_refused(answers: dict[str, Any], sentence: str) -> None:
    with pytest.raises(errors.AnswerInvalid) as refused:
        plan(FILTERS, filter_item(), **answers)
    assert sentence in str(refused.value)


def without(item: dict[str, Any], name: str) -> dict[str, Any]:
    return {member: value for member, value in item.items() if member != name}


@pytest.mark.parametrize(
    ("kind", "item", "field", "code", "value", "expected"),
    [
        (FILTERS, without(filter_item(), "name"), "name", "required", "", "Expected text"),
        (FILTERS, filter_item("N\0"), "name", "malformed_text", "N\0", "without NUL"),
        (FILTERS, without(filter_item(), "source_type"), "source_type", "required", "", '"stream" or "epg"'),
        (FILTERS, filter_item(source_type=None), "source_type", "required", "", '"stream" or "epg"'),
        (FILTERS, without(filter_item(), "expression"), "expression", "required", "", "Expected text"),
        (MAPPING, mapping_item(priority=2**63), "priority", "max_value", 2**63, "9223372036854775807"),
        (MAPPING, mapping_item(priority=-(2**63) - 1), "priority", "min_value", -(2**63) - 1, "-9223372036854775808"),
        (PROFILES, profile_item(""), "name", "required", "", "Expected text"),
        (
            PROFILES,
            profile_item(target_video_codec="hevc"),
            "target_video_codec",
            "invalid_choice",
            "hevc",
            '"h264", "h265", "vp9" or "av1"',
        ),
        (PROFILES, profile_item(hw_accel="steam"), "hw_accel", "invalid_choice", "steam", '"auto", "none", "cuda", '),
    ],
)
def test_an_item_that_cannot_be_stored_is_invalid_with_field_value_and_expectation(
    kind: Kind, item: Any, field: str, code: str, value: Any, expected: str
) -> None:
    step = only(kind, item)
    assert (step.state, step.action) == (ItemState.INVALID, ItemAction.BLOCKED)
    (problem,) = step.problems
    assert (problem.field, problem.code, problem.value) == (field, code, value)
    assert expected in problem.message


@pytest.mark.parametrize(
    ("kind", "item", "field", "code", "value", "expected"),
    [
        (FILTERS, filter_item(""), "name", "required", "", "Expected text"),
        (FILTERS, filter_item(" News"), "name", "blanks_around", " News", "without spaces around it"),
        (FILTERS, filter_item("N" * 256), "name", "max_length", "N" * 256, "at most 255"),
        (FILTERS, filter_item(description="d" * 1025), "description", "max_length", "d" * 1025, "at most 1024"),
        (FILTERS, filter_item(source_type=""), "source_type", "required", "", '"stream" or "epg"'),
        (FILTERS, filter_item(source_type="bogus"), "source_type", "invalid_choice", "bogus", '"stream" or "epg"'),
        (FILTERS, filter_item(action="nuke"), "action", "invalid_choice", "nuke", '"include" or "exclude"'),
        (FILTERS, filter_item(expression=""), "expression", "required", "", "Expected text"),
        (FILTERS, filter_item(expression="a b c"), "expression", "invalid_expression", "a b c", "Column 3: "),
        (
            FILTERS,
            filter_item(expression="  "),
            "expression",
            "invalid_expression",
            "  ",
            "tvarr stores this expression but cannot run it.",
        ),
        (
            CLIENTS,
            client_item(accepted_video_codecs=["h264", "betamax"]),
            "accepted_video_codecs",
            "unknown_codec",
            ["h264", "betamax"],
            '"h264", "h265", ',
        ),
        (
            CLIENTS,
            client_item(preferred_audio_codec="cd"),
            "preferred_audio_codec",
            "unknown_codec",
            "cd",
            '"aac", "mp3", ',
        ),
        (
            CLIENTS,
            client_item(preferred_format="vhs"),
            "preferred_format",
            "unknown_format",
            "vhs",
            '"hls-fmp4", "hls-ts", ',
        ),
        (
            CLIENTS,
            client_item(supports_fmp4=False, supports_mpegts=False),
            "supports_mpegts",
            "no_container",
            False,
            "Expected support for fMP4, MPEG-TS or both",
        ),
        (CLIENTS, client_item(expression='x =~ "y"'), "expression", "invalid_expression", 'x =~ "y"', "Column 3: "),
        (PROFILES, profile_item("P" * 101), "name", "max_length", "P" * 101, "at most 100"),
        (PROFILES, profile_item(description="d" * 501), "description", "max_length", "d" * 501, "at most 500"),
        (PROFILES, profile_item(output_flags="f" * 1001), "output_flags", "max_length", "f" * 1001, "at most 1000"),
    ],
)
def test_what_tvarr_stores_is_imported_with_a_warning(
    kind: Kind, item: Any, field: str, code: str, value: Any, expected: str
) -> None:
    step = only(kind, item)
    assert (step.state, step.action, step.problems) == (ItemState.NEW, ItemAction.CREATE, ())
    (found,) = (warning for warning in step.warnings if warning.code == code)
    assert (found.field, found.value) == (field, cut_value(value, MOST_OF_NAME))
    assert expected in found.message


def test_all_problems_of_an_item_are_listed() -> None:
    step = only(FILTERS, {"action": "include"})
    assert {problem.field for problem in step.problems} == {"name", "source_type", "expression"}


def test_skipping_an_invalid_item_lets_the_others_through() -> None:
    items = (filter_item("Good"), filter_item("Bad", expression=None))
    assert len(plan(FILTERS, *items).blocked) == 1
    assert plan(FILTERS, *items, bulk="skip").blocked[0].name == "Bad"
    assert plan(FILTERS, *items, resolutions={"Bad": "skip"}).blocked == []


def test_an_invalid_name_can_be_replaced() -> None:
    step = only(FILTERS, filter_item("N\0"), new_names={"#1": "Port"})
    assert (step.action, step.final_name) == (ItemAction.RENAME, "Port")
    step = only(FILTERS, without(filter_item(), "name"), resolutions={"#1": "rename"})
    assert (step.action, step.final_name) == (ItemAction.RENAME, "Unnamed (1)")


def test_an_unchanged_invalid_row_is_not_a_problem(attached: Path) -> None:
    with closing(sqlite3.connect(attached)) as connection, connection:
        connection.execute("UPDATE filters SET expression = 'AND' WHERE name = 'Harbour Sports'")
    (step,) = plan_import(read(b"".join(stream_export(FILTERS)))).steps
    assert (step.state, step.problems) == (ItemState.IDENTICAL, ())


def test_equal_names_of_profiles_are_problems() -> None:
    steps = plan(PROFILES, profile_item("A"), profile_item("B"), profile_item("A", enabled=False)).steps
    assert [step.state for step in steps] == [ItemState.INVALID, ItemState.NEW, ItemState.INVALID]
    assert (
        steps[0].problems[0].message
        == f"{quoted('A')} appears twice in the file (items 1 and 3). Rename or skip all but one."
    )


def test_renaming_equal_names_keeps_the_first_and_numbers_the_others() -> None:
    steps = plan(FILTERS, *[filter_item("A", description=str(n)) for n in range(3)], resolutions={"A": "rename"}).steps
    assert [(step.action, step.final_name) for step in steps] == [
        (ItemAction.CREATE, "A"),
        (ItemAction.RENAME, "A (1)"),
        (ItemAction.RENAME, "A (2)"),
    ]


def test_renaming_equal_names_that_rows_have_too_numbers_all() -> None:
    make_filter("A", action="exclude")
    steps = plan(FILTERS, filter_item("A"), filter_item("A", description="x"), bulk="rename").steps
    assert [step.final_name for step in steps] == ["A (1)", "A (2)"]


@pytest.mark.parametrize(
    ("answers", "actions"),
    [
        ({"#2": "skip"}, [ItemAction.CREATE, ItemAction.SKIP]),
        ({"#1": "skip"}, [ItemAction.SKIP, ItemAction.CREATE]),
        ({"#2": "rename"}, [ItemAction.CREATE, ItemAction.RENAME]),
        ({"#1": "rename"}, [ItemAction.RENAME, ItemAction.CREATE]),
        ({"A": "overwrite"}, [ItemAction.BLOCKED, ItemAction.BLOCKED]),
        ({"A": "rename", "#2": "skip"}, [ItemAction.CREATE, ItemAction.SKIP]),
    ],
)
def test_equal_names_are_distinguished_by_position(answers: dict[str, str], actions: list[ItemAction]) -> None:
    steps = plan(PROFILES, profile_item("A"), profile_item("A", enabled=False), resolutions=answers).steps
    assert [step.action for step in steps] == actions


def test_a_copys_name_is_free_here_and_in_the_file() -> None:
    for name in ("A", "A (1)"):
        make_filter(name, action="exclude")
    items = (filter_item("A"), filter_item("A (2)"))
    assert plan(FILTERS, *items, bulk="rename").steps[0].final_name == "A (3)"


def test_the_name_of_a_deleted_filter_is_free() -> None:
    make_filter("A", action="exclude")
    make_filter("A (1)").delete()
    assert only(FILTERS, filter_item("A"), bulk="rename").final_name == "A (1)"


def test_the_suggested_name_can_be_sent_as_the_new_name() -> None:
    make_filter("A", action="exclude")
    suggested = only(FILTERS, filter_item("A")).suggested_name
    step = only(FILTERS, filter_item("A"), new_names={"A": suggested})
    assert (step.action, step.final_name) == (ItemAction.RENAME, "A (1)")


def test_the_name_suggested_for_another_item_is_taken() -> None:
    make_filter("A", action="exclude")
    make_filter("B", action="exclude")
    step = plan(FILTERS, filter_item("A"), filter_item("B"), new_names={"B": "A (1)"}).steps[1]
    assert step.problems[0].code == "name_taken"


@pytest.mark.parametrize("taken", ["Here", "In File", "Sports Only"])
def test_a_chosen_name_must_be_free(taken: str) -> None:
    make_filter("Here")
    step = plan(FILTERS, filter_item("A"), filter_item("In File"), new_names={"A": taken}).steps[0]
    assert (step.action, step.problems[0].code) == (ItemAction.BLOCKED, "name_taken")
    assert f"{quoted(taken)} is already used" in step.problems[0].message


def test_two_items_cannot_take_the_same_chosen_name() -> None:
    steps = plan(FILTERS, filter_item("A"), filter_item("B"), new_names={"A": "C", "B": "C"}).steps
    assert [step.action for step in steps] == [ItemAction.RENAME, ItemAction.BLOCKED]


def test_a_chosen_name_is_validated() -> None:
    step = only(FILTERS, filter_item("A"), new_names={"A": " B"})
    assert step.problems[0].code == "blanks_around"


def test_a_name_that_differs_only_in_case_is_a_warning() -> None:
    make_filter("Harbour News")
    step = only(FILTERS, filter_item("harbour news"))
    assert step.state is ItemState.NEW
    assert step.warnings[0].message == f"{quoted('Harbour News')} already exists. It differs only in letter case."


@pytest.mark.parametrize(
    ("here", "name", "difference"),
    [
        ("Caf\u00e9 News", "Cafe\u0301 News", "Unicode form"),
        ("Harbour News", "Harbour\u00a0News", "spaces"),
        ("Harbour News", "Harbour\u200b News", "invisible characters"),
        ("Harbour News", "HARBOUR\u3000NEWS", "letter case and spaces"),
    ],
)
def test_a_name_that_looks_like_an_existing_one_is_a_warning(here: str, name: str, difference: str) -> None:
    make_filter(here)
    step = only(FILTERS, filter_item(name))
    (found,) = [warning for warning in step.warnings if warning.code == "name_looks_the_same"]
    assert step.state is ItemState.NEW
    assert found.message == f"{quoted(here)} already exists. It differs only in {difference}."


@pytest.mark.parametrize("kind", [FILTERS, PROFILES], ids=["filters", "profiles"])
def test_a_name_with_hidden_characters_is_imported_with_a_warning_that_escapes_them(kind: Kind) -> None:
    name = "News\x1b[2K\n\u202e"
    step = only(kind, EXAMPLES[kind.slug](name))
    (found,) = step.warnings
    assert (step.state, step.action, step.final_name) == (ItemState.NEW, ItemAction.CREATE, name)
    assert (found.field, found.code, found.value) == ("name", "hidden_characters", name)
    assert found.message.startswith("Expected a name without control characters")


def test_a_chosen_name_has_no_hidden_characters() -> None:
    step = only(FILTERS, filter_item("A"), new_names={"A": "B\u200b"})
    assert (step.action, step.problems[0].code) == (ItemAction.BLOCKED, "hidden_characters")


def test_whether_a_profile_is_the_default_is_ignored_with_a_warning() -> None:
    EncodingProfile.objects.create(**profile_item())
    step = only(PROFILES, profile_item(is_default=True))
    assert step.state is ItemState.IDENTICAL
    assert step.warnings[0].code == "not_imported"


def test_a_new_profile_never_becomes_the_default() -> None:
    step = only(PROFILES, profile_item(is_default=True))
    row = built(step)
    assert isinstance(row, EncodingProfile)
    assert row.is_default is False


def test_the_name_of_a_deleted_profile_is_freed_with_a_warning(attached: Path) -> None:
    step = only(PROFILES, profile_item("Dead Profile"))
    assert (step.state, step.action) == (ItemState.NEW, ItemAction.CREATE)
    assert step.warnings[0].message == (
        f"A deleted row still has the name {quoted('Dead Profile')}. It is renamed to "
        f"{quoted('Dead Profile (deleted 01KAHVK8X608E15BJ4BWZNPJ41)')}."
    )


def test_a_copy_of_a_profile_avoids_names_of_deleted_rows(attached: Path) -> None:
    with closing(sqlite3.connect(attached)) as connection, connection:
        insert(connection, "encoding_profiles", id="01KAHVK8X608E15BJ4BWZNPJ42", name="Tablet HEVC (1)", deleted_at="x")
    assert only(PROFILES, profile_item(quality_preset="high"), bulk="rename").final_name == "Tablet HEVC (2)"


def test_unknown_members_are_warnings_of_their_item() -> None:
    step = only(FILTERS, filter_item(colour="red"))
    assert (step.warnings[0].code, step.warnings[0].field) == ("unknown_member", "colour")


def test_a_warning_about_an_expression_is_a_warning_of_the_item() -> None:
    step = only(FILTERS, filter_item(expression='chanel_name contains "x"'))
    assert step.state is ItemState.NEW
    assert (step.warnings[0].field, step.warnings[0].code) == ("expression", "unknown_field")


def test_an_existing_profile_is_linked() -> None:
    profile = EncodingProfile.objects.create(name="Tablet HEVC")
    step = only(CLIENTS, client_item(encoding_profile_name="Tablet HEVC"))
    row = built(step)
    assert isinstance(row, ClientDetectionRule)
    assert (row.encoding_profile_id, step.warnings) == (profile.id, ())


@pytest.mark.parametrize(
    ("kind", "item", "subject"),
    [
        (CLIENTS, client_item(encoding_profile_name="Gone"), f"The encoding profile {quoted('Gone')}"),
        (FILTERS, filter_item(source_id=SOURCE_ID), f"The source {quoted(SOURCE_ID)}"),
        (MAPPING, mapping_item(source_id="rubbish"), f"The source {quoted('rubbish')}"),
    ],
)
def test_a_missing_reference_gives_a_warning_and_is_left_empty(kind: Kind, item: Any, subject: str) -> None:
    step = only(kind, item)
    assert step.action is ItemAction.CREATE
    assert (
        step.warnings[0].message == f"{subject} does not exist here. The item is stored without the link until it does."
    )
    assert kind.reference is not None
    assert getattr(built(step), kind.reference.column) is None


def test_a_source_of_the_other_type_is_not_linked() -> None:
    source = StreamSource.objects.create(name="Provider", type="m3u", url="http://p.example/a.m3u")
    assert only(FILTERS, filter_item(source_id=source.id)).warnings == ()
    step = only(FILTERS, filter_item(source_type="epg", expression="true", source_id=source.id))
    assert step.warnings[0].code == "reference_not_found"


@pytest.mark.parametrize("kind", ["profile", "source"])
def test_a_missing_reference_can_be_mapped_to_an_existing_row(kind: str) -> None:
    profile = EncodingProfile.objects.get(name="H.265/AAC (Modern)")
    source = StreamSource.objects.create(name="Provider", type="m3u", url="http://p.example/a.m3u")
    if kind == "profile":
        item, name = client_item(encoding_profile_name="HEVC high"), {"HEVC high": "H.265/AAC (Modern)"}
        step = only(CLIENTS, item, references=name)
        assert getattr(built(step), "encoding_profile_id") == profile.id  # noqa: B009  # the row's type is a union
    else:
        step = only(FILTERS, filter_item(source_id=SOURCE_ID), references={SOURCE_ID: "Provider"})
        assert getattr(built(step), "source_id") == source.id  # noqa: B009
    assert step.warnings == ()


def test_mapping_to_a_missing_row_is_refused() -> None:
    with pytest.raises(errors.AnswerInvalid, match=r"There is no encoding profile .Nobody. to use instead of .Gone.\."):
        plan(CLIENTS, client_item(encoding_profile_name="Gone"), references={"Gone": "Nobody"})


def test_an_unresolved_reference_keeps_the_present_link() -> None:
    profile = EncodingProfile.objects.create(name="Tablet HEVC")
    ClientDetectionRule.objects.create(**client_item(), encoding_profile=profile)
    step = only(CLIENTS, client_item(encoding_profile_name="Gone"))
    assert step.state is ItemState.IDENTICAL
    step = only(CLIENTS, client_item(encoding_profile_name="Gone", priority=1), bulk="overwrite")
    assert getattr(built(step), "encoding_profile_id") == profile.id  # noqa: B009
    assert "The existing link is kept" in step.warnings[0].message


def test_a_file_without_the_reference_clears_the_link() -> None:
    profile = EncodingProfile.objects.create(name="Tablet HEVC")
    ClientDetectionRule.objects.create(**client_item(), encoding_profile=profile)
    step = only(CLIENTS, client_item(), bulk="overwrite")
    assert [(diff.field, diff.now, diff.in_file) for diff in step.differences] == [
        ("encoding_profile_name", "Tablet HEVC", "")
    ]
    assert getattr(built(step), "encoding_profile_id") is None  # noqa: B009


def test_warnings_about_the_file_are_part_of_the_plan() -> None:
    result = plan_import(read(document(FILTERS, item_count=7)))
    assert result.warnings == ("The file has 0 items, but its metadata says 7.",)


@pytest.mark.parametrize("kind", KINDS.values(), ids=[*KINDS])
def test_a_plan_has_the_same_number_of_queries_for_10_and_for_1000_items(kind: Kind) -> None:
    def queries(count: int) -> int:
        read_file = envelope(kind, *[EXAMPLES[kind.slug](f"Item {number}") for number in range(count)])
        with (
            CaptureQueriesContext(connections["tvarr"]) as tvarr,
            CaptureQueriesContext(connections["default"]) as ours,
        ):
            plan_import(read_file)
        return len(tvarr) + len(ours)

    kind.model.objects.bulk_create(kind.model(**EXAMPLES[kind.slug](f"Item {number}")) for number in range(5))
    assert queries(10) == queries(1_000) <= 5


def test_planning_writes_nothing() -> None:
    make_filter(action="exclude")
    before = list(Filter.all_rows.values())
    plan(FILTERS, filter_item(), filter_item("New"), bulk="overwrite")
    assert list(Filter.all_rows.values()) == before


class TestFingerprint:
    """Two plans have the same fingerprint if the file and the rows it is compared with are the same."""

    def test_answers_do_not_change_it(self) -> None:
        make_filter(action="exclude")
        marks = {
            plan(FILTERS, filter_item(), bulk=answer).fingerprint for answer in (None, "skip", "rename", "overwrite")
        }
        assert len(marks) == 1

    def test_a_change_of_the_row_changes_it(self) -> None:
        row = make_filter(action="exclude")
        before = plan(FILTERS, filter_item()).fingerprint
        Filter.objects.filter(pk=row.pk).update(description="edited")
        assert plan(FILTERS, filter_item()).fingerprint != before

    def test_a_new_row_with_the_name_changes_it(self) -> None:
        before = plan(FILTERS, filter_item()).fingerprint
        make_filter()
        assert plan(FILTERS, filter_item()).fingerprint != before

    def test_a_row_that_takes_the_name_of_the_copy_changes_it(self) -> None:
        make_filter("A", action="exclude")
        before = plan(FILTERS, filter_item("A")).fingerprint
        make_filter("A (1)")
        assert plan(FILTERS, filter_item("A")).fingerprint != before

    def test_a_profile_that_appears_changes_it(self) -> None:
        item = client_item(encoding_profile_name="Tablet")
        before = plan(CLIENTS, item).fingerprint
        EncodingProfile.objects.create(name="Tablet")
        assert plan(CLIENTS, item).fingerprint != before

    def test_another_file_changes_it(self) -> None:
        assert plan(FILTERS, filter_item()).fingerprint != plan(FILTERS, filter_item(action="exclude")).fingerprint

    def test_an_unrelated_row_does_not_change_it(self) -> None:
        before = plan(FILTERS, filter_item()).fingerprint
        make_filter("Something Else")
        assert plan(FILTERS, filter_item()).fingerprint == before

    def test_each_item_has_a_fingerprint_that_changes_with_its_row(self) -> None:
        before = plan(FILTERS, filter_item("A"), filter_item("B"))
        make_filter("B", action="exclude")
        after = plan(FILTERS, filter_item("A"), filter_item("B"), bulk="overwrite")
        changed = [old.fingerprint != new.fingerprint for old, new in zip(before.steps, after.steps, strict=True)]
        assert changed == [False, True]


class TestMissingReferences:
    """Missing targets of references, and what can be used instead."""

    def test_they_are_listed_once_with_the_number_of_items(self) -> None:
        items = [client_item(name, encoding_profile_name="Attic") for name in ("A", "B")]
        (missing,) = plan(CLIENTS, *items, client_item("C")).missing_references
        assert (missing.value, missing.positions) == ("Attic", (1, 2))
        assert missing.names == tuple(sorted(EncodingProfile.objects.values_list("name", flat=True)))

    def test_one_that_is_answered_is_still_listed(self) -> None:
        EncodingProfile.objects.create(name="Here")
        item = client_item(encoding_profile_name="Attic")
        assert plan(CLIENTS, item, references={"Attic": "Here"}).missing_references[0].value == "Attic"

    def test_sources_of_the_same_type_are_offered(self) -> None:
        StreamSource.objects.create(name="Pelican", type="m3u", url="http://pelican.example.test/")
        stream, guide = filter_item("A", source_id="01A"), filter_item("B", source_id="01B", source_type="epg")
        missing = plan(FILTERS, stream, guide).missing_references
        assert [(each.value, each.names) for each in missing] == [("01A", ("Pelican",)), ("01B", ())]

    def test_existing_targets_are_not_listed(self) -> None:
        EncodingProfile.objects.create(name="Attic")
        assert plan(CLIENTS, client_item(encoding_profile_name="Attic")).missing_references == ()


def test_further_plans_of_a_file_need_no_queries_and_are_equal() -> None:
    EncodingProfile.objects.create(name="Attic")
    file = envelope(CLIENTS, *(client_item(name, encoding_profile_name="HEVC high") for name in ("A", "B")))
    planner = Planner(file)
    answers = [read_answers({}), read_answers({"A": "skip"}), read_answers({}, None, None, {"HEVC high": "Attic"})]
    with CaptureQueriesContext(connections["tvarr"]) as asked:
        plans = [planner.plan(answer) for answer in answers]
    assert len(asked) == 0
    assert plans == [plan_import(file, answer) for answer in answers]


@pytest.mark.parametrize("names", [(), ("A",), ("Harbour News", "New", "")])
def test_a_plan_written_item_by_item_is_the_same_data(names: tuple[str, ...]) -> None:
    make_filter(action="exclude")
    made = plan(FILTERS, *map(filter_item, names))
    assert json.loads("".join(plan_as_json(made))) == plan_as_data(made)
