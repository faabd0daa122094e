"""States of the configuration: read from rows and files, compared, and written as a file."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.db import connections
from django.test import TestCase
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.factories import ClientDetectionRuleFactory, EncodingProfileFactory, FilterFactory
from tests.portable.files import CLIENTS, EXAMPLES, FILTERS, PROFILES, bundle, client_item, filter_item, profile_item
from tests.portable.round_trips import COLUMNS
from tests.portable.test_undo import rolled_back
from tvarr_backup.models import Filter
from tvarr_backup.packed_rows import Table, pack, unpack
from tvarr_backup.portable.apply import apply_bundle
from tvarr_backup.portable.envelope import read_bundle
from tvarr_backup.portable.export import stream_bundle
from tvarr_backup.portable.kinds import IN_ORDER_OF_IMPORT, KINDS, Slug
from tvarr_backup.portable.models import HeldReference
from tvarr_backup.portable.states import (
    ChangeType,
    Comparison,
    State,
    compare_states,
    read_current_state,
    read_live_tables,
    state_of_bundle,
    state_of_tables,
    write_state,
)

pytestmark = pytest.mark.django_db


def of_file(*sections: Any) -> State:
    return state_of_bundle(read_bundle(io.BytesIO(json.dumps(bundle(*sections)).encode())))


def of_filters(*items: dict[str, Any]) -> State:
    return of_file((FILTERS, list(items)))


def described(found: Comparison) -> list[tuple[str, str]]:
    return [(change.type, change.item.name) for change in found]


def load(content: bytes) -> None:
    with TestCase.captureOnCommitCallbacks(using="tvarr", execute=True):
        apply_bundle(read_bundle(io.BytesIO(content)))


# --- Reading ----------------------------------------------------------------------------------------------------------


def test_the_current_state_has_what_an_export_has() -> None:
    profile = EncodingProfileFactory.create()
    ClientDetectionRuleFactory.create(encoding_profile=profile)
    FilterFactory.create_batch(3)
    exported = state_of_bundle(read_bundle(io.BytesIO(b"".join(stream_bundle(dict.fromkeys(KINDS))))))
    current = read_current_state()
    assert [item.in_order for item in current] == [item.in_order for item in exported]
    assert list(current.items) == list(IN_ORDER_OF_IMPORT)


def test_built_in_and_deleted_rows_are_not_part_of_it() -> None:
    before = len(read_current_state().items[Slug.FILTERS])
    FilterFactory.create(is_system=True)
    FilterFactory.create().mark_deleted()
    assert len(read_current_state().items[Slug.FILTERS]) == before


def test_a_rule_names_a_built_in_profile() -> None:
    ClientDetectionRuleFactory.create(
        name="Kitchen", encoding_profile=EncodingProfileFactory.create(name="Plain", is_system=True)
    )
    (rule,) = [item for item in read_current_state().items[Slug.CLIENT_DETECTION_RULES] if item.name == "Kitchen"]
    assert rule.values["encoding_profile_name"] == "Plain"


def test_a_reference_that_waits_is_the_same_in_stored_rows() -> None:
    row = FilterFactory.create(name="Waiting")
    row.refresh_from_db()
    HeldReference.objects.create(
        kind="filters",
        row_id=row.pk,
        member="source_id",
        value="01KAEHXEGJ5GMS392SP1ZYMK59",
        row_updated_at=row.updated_at,
    )
    stored = state_of_tables(unpack(pack(read_live_tables())))
    assert not compare_states(stored, read_current_state())
    (item,) = [item for item in stored.items[Slug.FILTERS] if item.name == "Waiting"]
    assert item.values["source_id"] == "01KAEHXEGJ5GMS392SP1ZYMK59"


def test_a_column_that_an_earlier_tvarr_lacks_has_its_default() -> None:
    table = Table(["id", "name", "source_type", "expression"], [["01KA0000000000000000000000", "Old", "stream", "e"]])
    state = state_of_tables({"filters": table})
    (item,) = state.items[Slug.FILTERS]
    assert (item.values["action"], item.values["description"]) == ("include", "")
    assert Slug.ENCODING_PROFILES not in state.items


def test_columns_that_nobody_knows_are_ignored() -> None:
    table = Table(["id", "name", "colour"], [["01KA0000000000000000000000", "New", "blue"]])
    assert [item.name for item in state_of_tables({"filters": table, "paint": table})] == ["New"]


@pytest.mark.parametrize(("stored", "name"), [(None, ""), (7, "7"), ({"blob": "UXVheQ=="}, "Quay")])
def test_a_name_of_another_type_reads_as_it_does_elsewhere(stored: Any, name: str) -> None:
    state = state_of_tables({"filters": Table(["id", "name"], [["01KA0000000000000000000000", stored]])})
    assert [item.name for item in state] == [name]


def test_a_row_without_a_key_is_left_out() -> None:
    assert list(state_of_tables({"filters": Table(["id", "name"], [[None, "Lost"]])})) == []


def test_a_name_that_is_not_utf8_is_left_out_with_a_warning() -> None:
    state = state_of_tables({"filters": Table(["id", "name"], [["01KA0000000000000000000000", "\udcff"]])})
    assert (list(state), len(state.warnings)) == ([], 1)


def test_a_row_with_a_value_of_another_type_is_left_out_with_a_warning() -> None:
    row = ["01KA0000000000000000000000", "Odd", "soon"]
    state = state_of_tables({"data_mapping_rules": Table(["id", "name", "priority"], [row])})
    assert state.items[Slug.DATA_MAPPING_RULES] == ()
    assert "Odd" in state.warnings[0]


def test_reading_the_current_state_takes_few_queries(django_assert_max_num_queries: Any) -> None:
    FilterFactory.create_batch(50)
    with django_assert_max_num_queries(8, using="tvarr"):
        read_live_tables()


# --- Comparing --------------------------------------------------------------------------------------------------------


def test_added_removed_and_changed_items_are_found() -> None:
    before = of_filters(filter_item("Kept"), filter_item("Changed"), filter_item("Removed"))
    after = of_filters(filter_item("Kept"), filter_item("Changed", action="exclude"), filter_item("Added"))
    found = compare_states(before, after)
    assert described(found) == [("changed", "Changed"), ("added", "Added"), ("removed", "Removed")]
    (change,) = found.of_type(Slug.FILTERS, ChangeType.CHANGED)
    assert [(field.field, field.before, field.after) for field in change.fields] == [("action", "include", "exclude")]


def test_filters_of_one_name_and_two_source_types_are_two_items() -> None:
    before = of_filters(filter_item("News"), filter_item("News", source_type="epg"))
    after = of_filters(filter_item("News", source_type="epg"))
    assert described(compare_states(before, after)) == [("removed", "News")]


def test_equal_items_of_one_name_are_paired_first() -> None:
    before = of_filters(filter_item("News", description="a"), filter_item("News", description="b"))
    after = of_filters(filter_item("News", description="b"), filter_item("News", description="c"))
    (change,) = compare_states(before, after)
    assert [(field.before, field.after) for field in change.fields] == [("a", "c")]


def test_only_kinds_that_both_states_have_are_compared() -> None:
    assert described(compare_states(of_filters(filter_item("A")), of_file((PROFILES, [profile_item("B")])))) == []


def test_many_items_of_one_name_are_compared_in_little_time() -> None:
    before = of_filters(*(filter_item("News", description=str(number)) for number in range(3000)))
    after = of_filters(*(filter_item("News", description=str(-number)) for number in range(3000)))
    assert len(list(compare_states(before, after))) == 2999


STATES = st.builds(
    lambda filters, profiles: of_file((FILTERS, filters), (PROFILES, profiles)),
    st.lists(
        st.builds(
            filter_item,
            st.sampled_from("ABC"),
            source_type=st.sampled_from(["stream", "epg"]),
            description=st.sampled_from(["", "x", "y"]),
        ),
        max_size=6,
    ),
    st.lists(st.builds(profile_item, st.sampled_from("ABC"), description=st.sampled_from(["", "x"])), max_size=3),
)
_OPPOSITE = {"added": "removed", "removed": "added", "changed": "changed"}


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=STATES, after=STATES)
def test_comparing_the_other_way_round_gives_the_mirror_image(before: State, after: State) -> None:
    def facts(found: Comparison, *, mirrored: bool = False) -> list[str]:
        rows = []
        for change in found:
            sides = (change.before, change.after)[:: -1 if mirrored else 1]
            values = [side and side.in_order for side in sides]
            rows.append(repr((_OPPOSITE[change.type] if mirrored else change.type.value, values)))
        return sorted(rows)

    assert facts(compare_states(before, after)) == facts(compare_states(after, before), mirrored=True)
    assert not compare_states(before, before)


# --- Writing ----------------------------------------------------------------------------------------------------------


def test_a_written_state_is_a_file_with_the_same_state() -> None:
    state = of_file((CLIENTS, [client_item(encoding_profile_name="Tablet")]), (PROFILES, [profile_item("Tablet")]))
    assert [item.in_order for item in state_of_bundle(read_bundle(io.BytesIO(write_state(state))))] == [
        item.in_order for item in state
    ]


def empty() -> None:
    """Remove the rows that the migrations have made."""
    with connections["tvarr"].cursor() as cursor:
        for kind in reversed(IN_ORDER_OF_IMPORT):
            cursor.execute(f"DELETE FROM {KINDS[kind].model._meta.db_table} WHERE NOT is_system")


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_state_taken_into_an_empty_installation_exports_the_same_state(data: st.DataObject) -> None:
    names = st.lists(st.sampled_from(["Quay", "Pier", "Mole"]), max_size=3, unique=True)
    sections = [
        (kind, [EXAMPLES[kind.slug](name, description=name) for name in data.draw(names)]) for kind in KINDS.values()
    ]
    with rolled_back():
        empty()
        state = of_file(*sections)
        load(write_state(state))
        assert not compare_states(state, read_current_state())
        assert not compare_states(
            state, state_of_bundle(read_bundle(io.BytesIO(b"".join(stream_bundle(dict.fromkeys(KINDS))))))
        )


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(row=st.fixed_dictionaries(COLUMNS[Slug.FILTERS]))
def test_what_tvarr_stores_reads_the_same_from_rows_and_from_an_export(row: dict[str, Any]) -> None:
    with rolled_back():
        empty()
        made = FilterFactory.create(name="X")
        Filter.objects.filter(pk=made.pk).update(**row)
        exported = state_of_bundle(read_bundle(io.BytesIO(b"".join(stream_bundle({Slug.FILTERS: None})))))
        assert not compare_states(read_current_state(), exported)
