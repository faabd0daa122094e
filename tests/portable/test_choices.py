"""Choices in a preview: how a change is merged, and which choices are dropped."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.factories import EncodingProfileFactory, FilterFactory
from tests.portable.files import CLIENTS, FILTERS, client_item, envelope, filter_item
from tvarr_backup.errors import AnswerInvalid
from tvarr_backup.portable.choices import (
    SKIP_ITEMS,
    Change,
    Choice,
    Choices,
    find_changed_items,
    join_fingerprints,
    read_choices,
)
from tvarr_backup.portable.envelope import Envelope
from tvarr_backup.portable.plan import plan_import
from tvarr_backup.portable.steps import Plan

pytestmark = pytest.mark.django_db

MANUAL = Choice("rename", "By hand", is_manual=True)


def differing() -> tuple[Envelope, Plan]:
    """Return two items that differ from their rows, and a new one."""
    for name in "AB":
        FilterFactory.create(**filter_item(name, description="before"))
    found = envelope(FILTERS, filter_item("A"), filter_item("B"), filter_item("New"))
    return found, plan_import(found)


@pytest.mark.parametrize(
    "choices",
    [Choices(), Choices({3: MANUAL}, {"a\x00b": "=Other\ud7ff"}, frozenset({2}))],
)
def test_they_are_stored_and_read(choices: Choices) -> None:
    assert read_choices(choices.as_json()) == choices
    assert "\x00" not in choices.as_json()


def test_the_same_choice_again_is_not_a_manual_choice() -> None:
    choices = Choices({1: Choice("rename")}).with_change(
        Change(rows={1: Choice("rename", "A (1)", is_manual=True), 3: Choice("", None, is_manual=True)}), *differing()
    )
    assert choices.rows == {1: Choice("rename")}


def test_a_bulk_choice_keeps_manual_choices_unless_requested() -> None:
    shown, chosen = differing(), Choices({1: MANUAL})
    assert chosen.with_change(Change(bulk="overwrite"), *shown).rows == {1: MANUAL, 2: Choice("overwrite")}
    everything = chosen.with_change(Change(bulk="overwrite", include_manual=True), *shown)
    assert everything.rows == {1: Choice("overwrite"), 2: Choice("overwrite")}


@pytest.mark.parametrize(
    "change", [Change(rows={1: Choice("perhaps")}), Change(bulk="perhaps"), Change(references={"x": "=Nobody"})]
)
def test_an_unknown_answer_is_refused(change: Change) -> None:
    with pytest.raises(AnswerInvalid):
        Choices().with_change(change, *differing())


def test_items_that_changed_lose_their_choices_and_are_remembered_until_there_is_a_new_one() -> None:
    shown = differing()
    choices = Choices({1: MANUAL, 2: MANUAL}).without_changed({2})
    assert choices == Choices({1: MANUAL}, {}, frozenset({2}))
    assert choices.with_change(Change(rows={2: MANUAL}), *shown).changed == frozenset()


def test_a_changed_row_changes_the_fingerprint_of_its_item_only() -> None:
    found, plan = differing()
    marks = join_fingerprints(plan)
    assert find_changed_items(plan_import(found), marks) == frozenset()
    assert find_changed_items(plan, "") == frozenset()
    FilterFactory.create(name="New")
    assert find_changed_items(plan_import(found), marks) == {3}


def test_an_answer_for_a_missing_reference_is_dropped_when_its_row_is_deleted() -> None:
    profile = EncodingProfileFactory.create(name="Attic")
    found = envelope(CLIENTS, client_item("A", encoding_profile_name="HEVC high"))
    choices = Choices().with_change(Change(references={"HEVC high": "=Attic"}), found, plan_import(found))
    assert choices.answers(found).references == {"HEVC high": "Attic"}
    profile.delete()
    assert choices.without_lost(plan_import(found)).references == {}
    skipping = replace(choices, references={"HEVC high": SKIP_ITEMS})
    assert skipping.without_lost(plan_import(found)) == skipping
