"""An item is the row that has its name and, for filters and mapping rules, its source type."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from django.test import TestCase

from tests.portable.files import FILTERS, MAPPING, PROFILES, envelope, filter_item, mapping_item, profile_item, read
from tvarr_backup import errors
from tvarr_backup.models import Filter
from tvarr_backup.portable.answers import read_answers
from tvarr_backup.portable.apply import ImportResult, apply_import
from tvarr_backup.portable.export import stream_export
from tvarr_backup.portable.kinds import Kind
from tvarr_backup.portable.plan import plan_import
from tvarr_backup.portable.steps import ItemAction, ItemState, Plan

pytestmark = pytest.mark.django_db

EPG = {"source_type": "epg", "expression": 'programme_title contains "xxx"'}


def stream_item(name: str = "No adult", **members: Any) -> dict[str, Any]:
    return filter_item(name, **{"expression": 'channel_name contains "xxx"', "action": "exclude", **members})


def epg_item(name: str = "No adult", **members: Any) -> dict[str, Any]:
    return stream_item(name, **{**EPG, **members})


def plan(kind: Kind, *items: Any, bulk: str | None = None, **answers: Any) -> Plan:
    return plan_import(envelope(kind, *items), read_answers(answers.pop("resolutions", {}), bulk, **answers))


def load(*items: Any, kind: Kind = FILTERS, resolutions: Any = None, **answers: Any) -> ImportResult:
    given = read_answers(resolutions or {}, answers.pop("bulk", None), **answers)
    with TestCase.captureOnCommitCallbacks(using="tvarr", execute=True):
        return apply_import(envelope(kind, *items), given)


def exported(kind: Kind = FILTERS) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(b"".join(stream_export(kind)))["items"]
    return items


def states(found: Plan) -> list[ItemState]:
    return [step.state for step in found.steps]


def actions(found: Plan) -> list[ItemAction]:
    return [step.action for step in found.steps]


class TestTwoTypes:
    """One name, two source types: two items."""

    def test_both_are_created_if_neither_exists(self) -> None:
        assert actions(plan(FILTERS, stream_item(), epg_item())) == [ItemAction.CREATE, ItemAction.CREATE]
        load(stream_item(), epg_item())
        assert exported() == [stream_item(), epg_item()]

    def test_both_are_identical_after_an_export(self) -> None:
        load(stream_item(), epg_item())
        found = plan_import(read(b"".join(stream_export(FILTERS))))
        assert states(found) == [ItemState.IDENTICAL, ItemState.IDENTICAL]
        assert len({step.existing_id for step in found.steps}) == 2
        assert [step.warnings for step in found.steps] == [(), ()]

    def test_the_order_in_the_file_does_not_matter(self) -> None:
        load(stream_item(), epg_item())
        assert states(plan(FILTERS, epg_item(), stream_item())) == [ItemState.IDENTICAL, ItemState.IDENTICAL]

    def test_the_name_with_the_other_type_is_free(self) -> None:
        load(stream_item())
        (step,) = plan(FILTERS, epg_item()).steps
        assert (step.state, step.action, step.existing_id) == (ItemState.NEW, ItemAction.CREATE, None)

    def test_overwriting_never_turns_one_into_the_other(self) -> None:
        load(stream_item(), epg_item())
        load(epg_item(action="include"), bulk="overwrite")
        assert exported() == [stream_item(), epg_item(action="include")]

    def test_mapping_rules_are_distinguished_too(self) -> None:
        stream = mapping_item("Tidy")
        epg = mapping_item("Tidy", source_type="epg", expression='programme_title contains "x" SET category = "y"')
        load(stream, epg, kind=MAPPING)
        assert exported(MAPPING) == [stream, epg]

    def test_a_built_in_row_of_the_other_type_does_not_count(self) -> None:
        assert states(plan(FILTERS, epg_item("Sports Only"))) == [ItemState.NEW]


class TestAnswers:
    """A name alone means all items of that name."""

    @pytest.mark.parametrize(
        ("resolutions", "expected"),
        [
            ({"No adult": "skip"}, [ItemAction.SKIP, ItemAction.SKIP]),
            ({"stream:No adult": "skip"}, [ItemAction.SKIP, ItemAction.CREATE]),
            ({"epg:No adult": "skip"}, [ItemAction.CREATE, ItemAction.SKIP]),
            ({"#2": "skip"}, [ItemAction.CREATE, ItemAction.SKIP]),
            ({"No adult": "skip", "epg:No adult": "rename"}, [ItemAction.SKIP, ItemAction.CREATE]),
            ({"epg:No adult": "skip", "#2": "rename"}, [ItemAction.CREATE, ItemAction.CREATE]),
        ],
    )
    def test_the_most_specific_one_counts(self, resolutions: dict[str, str], expected: list[ItemAction]) -> None:
        assert actions(plan(FILTERS, stream_item(), epg_item(), resolutions=resolutions)) == expected

    def test_a_type_before_the_name_wins_over_a_name_that_looks_like_it(self) -> None:
        items = (stream_item("News"), stream_item("stream:News"))
        assert actions(plan(FILTERS, *items, resolutions={"stream:News": "skip"})) == [
            ItemAction.SKIP,
            ItemAction.CREATE,
        ]
        assert actions(plan(FILTERS, items[1], resolutions={"stream:News": "skip"})) == [ItemAction.SKIP]

    def test_one_without_an_item_says_what_is_expected(self) -> None:
        with pytest.raises(errors.AnswerInvalid) as refused:
            plan(FILTERS, stream_item(), resolutions={"epg:No adult": "skip"})
        assert "stream:NAME" in str(refused.value)
        with pytest.raises(errors.AnswerInvalid) as refused:
            plan(PROFILES, profile_item("A"), resolutions={"stream:A": "skip"})
        assert "stream:NAME" not in str(refused.value)

    def test_a_new_name_for_all_items_of_a_name_is_given_to_each(self) -> None:
        found = plan(FILTERS, stream_item(), epg_item(), new_names={"No adult": "Clean"})
        assert [(step.action, step.final_name) for step in found.steps] == [(ItemAction.RENAME, "Clean")] * 2

    def test_a_more_specific_new_name_wins_over_a_general_answer(self) -> None:
        found = plan(FILTERS, stream_item(), epg_item(), resolutions={"No adult": "skip"}, new_names={"#1": "Clean"})
        assert [(step.action, step.final_name) for step in found.steps] == [
            (ItemAction.RENAME, "Clean"),
            (ItemAction.SKIP, "No adult"),
        ]


class TestRename:
    """Renaming keeps a name that is free."""

    def test_only_the_type_whose_name_is_taken_gets_another_name(self) -> None:
        load(stream_item(action="include"))
        found = plan(FILTERS, stream_item(), epg_item(), resolutions={"No adult": "rename"})
        assert [(step.action, step.final_name) for step in found.steps] == [
            (ItemAction.RENAME, "No adult (1)"),
            (ItemAction.CREATE, "No adult"),
        ]

    def test_a_number_that_only_the_other_type_has_is_free(self) -> None:
        load(stream_item(action="include"), epg_item("No adult (1)"))
        (step,) = plan(FILTERS, stream_item(), bulk="rename").steps
        assert step.final_name == "No adult (1)"

    @pytest.mark.parametrize("name", [" No adult", "No adult ", "N" * 300])
    def test_an_unusual_name_is_kept_too(self, name: str) -> None:
        (step,) = plan(FILTERS, stream_item(name), resolutions={"#1": "rename"}).steps
        assert (step.action, step.final_name) == (ItemAction.CREATE, name)

    def test_a_chosen_name_that_only_the_other_type_has_is_free(self) -> None:
        load(epg_item("Clean"))
        (step,) = plan(FILTERS, stream_item(), new_names={"No adult": "Clean"}).steps
        assert step.action is ItemAction.RENAME


class TestEqualNames:
    """tvarr's tables of rules let several rows have one name and type."""

    def test_all_are_created_with_a_warning(self) -> None:
        found = plan(FILTERS, stream_item(), stream_item(action="include"))
        assert actions(found) == [ItemAction.CREATE, ItemAction.CREATE]
        assert [step.warnings[0].code for step in found.steps] == ["equal_names"] * 2
        assert "items 1 and 2" in found.steps[0].warnings[0].message

    def test_each_is_compared_with_the_row_that_it_equals(self) -> None:
        items = [stream_item(description=text) for text in ("a", "b", "a")]
        load(*items)
        assert exported() == items
        for order in (items, items[::-1]):
            found = plan(FILTERS, *order)
            assert states(found) == [ItemState.IDENTICAL] * 3
            assert len({step.existing_id for step in found.steps}) == 3

    def test_one_without_an_equal_row_is_compared_with_the_oldest_remaining_one(self) -> None:
        load(stream_item(description="a"), stream_item(description="b"))
        found = plan(FILTERS, stream_item(description="new"), stream_item(description="a"))
        assert states(found) == [ItemState.DIFFERENT, ItemState.IDENTICAL]
        assert found.steps[0].differences[0].now == "b"

    def test_one_more_than_there_are_rows_is_new(self) -> None:
        load(stream_item(description="a"))
        found = plan(FILTERS, stream_item(description="a"), stream_item(description="b"))
        assert states(found) == [ItemState.IDENTICAL, ItemState.NEW]

    def test_overwriting_gives_each_its_own_row(self) -> None:
        load(stream_item(description="a"), stream_item(description="b"))
        load(stream_item(description="c"), stream_item(description="d"), bulk="overwrite")
        assert [item["description"] for item in exported()] == ["c", "d"]

    def test_a_users_row_is_compared_before_a_built_in_one(self) -> None:
        Filter.objects.create(**stream_item("Sports Only"))
        assert states(plan(FILTERS, stream_item("Sports Only"))) == [ItemState.IDENTICAL]

    def test_profiles_need_different_names(self) -> None:
        found = plan(PROFILES, profile_item("A"), profile_item("A"))
        assert actions(found) == [ItemAction.BLOCKED, ItemAction.BLOCKED]
        assert found.steps[0].problems[0].code == "duplicate_name"

    @pytest.mark.long
    @pytest.mark.parametrize("answer", [None, "rename"])
    def test_many_take_time_in_proportion_to_their_number(self, answer: str | None) -> None:
        items = [stream_item(description=str(number)) for number in range(4_000)]
        resolutions = {"No adult": answer} if answer else {}
        seconds = []
        for number in (1_000, 4_000):
            tries = []
            for _ in range(3):
                began = time.process_time()
                plan(FILTERS, *items[:number], resolutions=resolutions)
                tries.append(time.process_time() - began)
            seconds.append(min(tries))
        assert seconds[1] < 10 * seconds[0]
