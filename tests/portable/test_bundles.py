"""Bundles: several kinds in one file, planned and imported together."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.test import TestCase
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.portable.files import (
    CLIENTS,
    EXAMPLES,
    FILTERS,
    MAPPING,
    PROFILES,
    bundle,
    client_item,
    document,
    filter_item,
    mapping_item,
    profile_item,
)
from tests.portable.test_undo import dump, rolled_back, undo
from tvarr_backup.errors import FileRefused, ImportBlocked, MemberInvalid, PlanStale
from tvarr_backup.models import ClientDetectionRule, EncodingProfile, Filter
from tvarr_backup.portable.answers import Answers, read_answers
from tvarr_backup.portable.apply import BundleResult, apply_bundle
from tvarr_backup.portable.bundles import BundlePlan, plan_bundle
from tvarr_backup.portable.envelope import Bundle, read_bundle
from tvarr_backup.portable.export import stream_bundle
from tvarr_backup.portable.kinds import KINDS, Slug
from tvarr_backup.portable.models import HeldReference
from tvarr_backup.portable.steps import ItemAction, ItemState

pytestmark = pytest.mark.django_db

EVERYTHING = dict.fromkeys(KINDS)
OVERWRITE = dict.fromkeys(KINDS, read_answers({}, "overwrite"))


def read(value: Any) -> Bundle:
    return read_bundle(io.BytesIO(json.dumps(value).encode()))


def load(value: Any, answers: dict[Slug, Answers] | None = None, fingerprint: str | None = None) -> BundleResult:
    with TestCase.captureOnCommitCallbacks(using="tvarr", execute=True):
        return apply_bundle(read(value), answers or {}, fingerprint)


def exported(**options: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(b"".join(stream_bundle(EVERYTHING, **options)))
    return value


def rule_and_profile(**profile: Any) -> dict[str, Any]:
    """The rule comes first in the file, and its profile is imported first."""
    rule = client_item(encoding_profile_name="Tablet HEVC")
    return bundle((CLIENTS, [rule]), (PROFILES, [profile_item("Tablet HEVC", **profile)]))


def profile_of_the_rule() -> str | None:
    profile = ClientDetectionRule.objects.get(name="Kitchen Tablet").encoding_profile
    return None if profile is None else str(profile.name)


# --- Import ----------------------------------------------------------------------------------------------------------


def test_all_kinds_are_imported_in_one_transaction() -> None:
    items = [(kind, [EXAMPLES[kind.slug]()]) for kind in KINDS.values()]
    done = load(bundle(*items))
    assert [(result.kind.slug, result.count(ItemAction.CREATE)) for result in done.results] == [
        (Slug.ENCODING_PROFILES, 1),
        (Slug.FILTERS, 1),
        (Slug.DATA_MAPPING_RULES, 1),
        (Slug.CLIENT_DETECTION_RULES, 1),
    ]
    assert exported()["sections"] == {str(kind.slug): values for kind, values in items}


def test_a_rule_refers_to_the_profile_of_the_same_file() -> None:
    plan = plan_bundle(read(rule_and_profile()))
    assert [found.warnings for found in (step for part in plan.plans for step in part.steps)] == [(), ()]
    assert not any(part.missing_references for part in plan.plans)
    load(rule_and_profile())
    assert profile_of_the_rule() == "Tablet HEVC"
    assert not HeldReference.objects.exists()


def test_a_rule_follows_the_new_name_of_its_profile() -> None:
    EncodingProfile.objects.create(**profile_item("Tablet HEVC", quality_preset="high"))
    load(rule_and_profile(), {Slug.ENCODING_PROFILES: read_answers({}, "rename")})
    assert profile_of_the_rule() == "Tablet HEVC (1)"


@pytest.mark.parametrize("answer", ["skip", "overwrite"])
def test_a_rule_refers_to_the_existing_profile_if_that_is_kept(answer: str) -> None:
    row = EncodingProfile.objects.create(**profile_item("Tablet HEVC", quality_preset="high"))
    load(rule_and_profile(), {Slug.ENCODING_PROFILES: read_answers({}, answer)})
    assert ClientDetectionRule.objects.get(name="Kitchen Tablet").encoding_profile_id == row.pk


def test_a_rule_waits_for_a_profile_that_is_skipped() -> None:
    answers = {Slug.ENCODING_PROFILES: read_answers({"Tablet HEVC": "skip"})}
    (part,) = [part for part in plan_bundle(read(rule_and_profile()), answers).plans if part.kind is CLIENTS]
    assert [missing.value for missing in part.missing_references] == ["Tablet HEVC"]
    load(rule_and_profile(), answers)
    assert profile_of_the_rule() is None
    assert HeldReference.objects.get().value == "Tablet HEVC"


def test_an_existing_rule_without_a_link_gets_the_new_profile() -> None:
    load(bundle((CLIENTS, [client_item(encoding_profile_name="Tablet HEVC")])))
    done = load(rule_and_profile(), OVERWRITE)
    assert profile_of_the_rule() == "Tablet HEVC"
    assert done.results[-1].count(ItemAction.OVERWRITE) == 1


def test_the_fingerprint_is_the_same_for_all_answers() -> None:
    load(bundle((CLIENTS, [client_item(encoding_profile_name="Tablet HEVC")])))
    file = read(rule_and_profile())
    answers: tuple[dict[Slug, Answers], ...] = (
        {},
        OVERWRITE,
        {Slug.ENCODING_PROFILES: read_answers({"Tablet HEVC": "skip"})},
    )
    assert len({plan_bundle(file, each).fingerprint for each in answers}) == 1


def test_one_invalid_item_blocks_all_kinds() -> None:
    value = bundle((FILTERS, [filter_item()]), (MAPPING, [mapping_item(expression=None)]))
    before = dump()
    with pytest.raises(ImportBlocked, match='data mapping rules #1 "Tidy Names", expression') as blocked:
        load(value)
    assert isinstance(blocked.value.plan, BundlePlan)
    assert dump() == before


def test_a_change_in_any_kind_makes_the_plan_stale() -> None:
    value = bundle((FILTERS, [filter_item()]), (PROFILES, [profile_item()]))
    shown = plan_bundle(read(value)).fingerprint
    EncodingProfile.objects.create(**profile_item())
    with pytest.raises(PlanStale):
        load(value, fingerprint=shown)
    assert not Filter.objects.filter(is_system=False).exists()


def test_a_bundle_is_undone_as_a_whole() -> None:
    load(bundle((CLIENTS, [client_item(encoding_profile_name="Tablet HEVC")])))
    before = dump()
    done = load(rule_and_profile(), OVERWRITE)
    imported = dump()
    undone = undo(done)
    assert dump() == before
    undo(undone)
    assert dump() == imported


def test_a_file_of_one_kind_is_a_bundle_of_one() -> None:
    value = document(PROFILES, profile_item())
    file = read(value)
    assert [part.kind for part in file.parts] == [PROFILES]
    assert plan_bundle(file).count(ItemAction.CREATE) == 1


# --- Reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"metadata": bundle()["metadata"]}, 'The file has no object "sections".'),
        (bundle(), 'The file has no section for "filters"'),
        (bundle(version="2.0.0"), "The file has the newer format 2.0.0."),
        (bundle((FILTERS, {})), "/sections/filters: Expected a list, got an object."),
        (bundle((FILTERS, ["x"])), "/sections/filters/0: Expected an object, got text."),
        (
            bundle((MAPPING, [mapping_item(priority="x")])),
            "/sections/data_mapping_rules/0/priority: Expected a whole number",
        ),
    ],
)
def test_a_broken_bundle_is_refused(value: Any, words: str) -> None:
    with pytest.raises((FileRefused, MemberInvalid)) as refused:
        read(value)
    assert words in str(refused.value)


def test_problems_of_all_sections_are_named() -> None:
    value = bundle((FILTERS, [filter_item() | {"name": 1}]), (PROFILES, [profile_item(enabled="x")]))
    with pytest.raises(MemberInvalid) as refused:
        read(value)
    assert {pointer for pointer, _ in refused.value.found} == {
        "/sections/filters/0/name",
        "/sections/encoding_profiles/0/enabled",
    }


def test_a_section_that_is_there_twice_is_refused() -> None:
    text = json.dumps(bundle((FILTERS, []))).replace('"filters": []', '"filters": [], "filters": []')
    with pytest.raises(FileRefused):
        read_bundle(io.BytesIO(text.encode()))


def test_unknown_parts_are_ignored_with_a_warning() -> None:
    value = bundle((FILTERS, [filter_item()]), item_count=5) | {"items": [], "more": 1}
    value["sections"] |= {"relays": [{"deep": [1]}], "encoding_profiles": None}
    file = read(value)
    assert [(part.kind, len(part.items)) for part in file.parts] == [(PROFILES, 0), (FILTERS, 1)]
    assert file.warnings == (
        'The unknown member "more" of the file is ignored.',
        'The unknown member "items" of the file is ignored.',
        'The unknown section "relays" is ignored.',
        "The file has 1 item, but its metadata says 5.",
    )


# --- Export ----------------------------------------------------------------------------------------------------------


def test_the_profiles_of_selected_rules_are_included_unless_they_are_left_out() -> None:
    load(rule_and_profile())
    load(bundle((PROFILES, [profile_item("Other")])))
    ids = {Slug.CLIENT_DETECTION_RULES: [ClientDetectionRule.objects.get(name="Kitchen Tablet").pk]}
    with_profiles = json.loads(b"".join(stream_bundle(ids)))
    assert [item["name"] for item in with_profiles["sections"]["encoding_profiles"]] == ["Tablet HEVC"]
    assert with_profiles["metadata"]["item_count"] == 2
    without = json.loads(b"".join(stream_bundle(ids, with_profiles=False)))
    assert list(without["sections"]) == ["client_detection_rules"]


def test_the_metadata_says_what_the_file_is() -> None:
    metadata = exported()["metadata"]
    assert (metadata["version"], metadata["export_type"], metadata["item_count"]) == ("1.1.0", "bundle", 0)


@st.composite
def bundles(draw: st.DrawFn) -> dict[str, Any]:
    names = st.lists(st.sampled_from(["A", "B", "Ü", "\u202e"]), max_size=3, unique=True)
    sections = [(kind, [EXAMPLES[kind.slug](name) for name in draw(names)]) for kind in KINDS.values()]
    profiles = [item["name"] for kind, items in sections if kind is PROFILES for item in items]
    for kind, items in sections:
        if kind is CLIENTS and profiles:
            for item in items:
                item["encoding_profile_name"] = draw(st.sampled_from(profiles))
    return bundle(*sections)


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(value=bundles())
def test_a_bundle_is_a_fixed_point_and_its_plan_is_its_result(value: dict[str, Any]) -> None:
    with rolled_back():
        plan = plan_bundle(read(value))
        done = load(value)
        for part, result in zip(plan.plans, done.results, strict=True):
            assert [step.action for step in part.steps] == [line.action for line in result.lines]
        file = exported()
        again = plan_bundle(read(file))
        assert all(step.state is ItemState.IDENTICAL for part in again.plans for step in part.steps)
        wanted = {slug: sorted(items, key=repr) for slug, items in value["sections"].items() if items}
        found = {slug: sorted(items, key=repr) for slug, items in file["sections"].items() if items}
        assert found == wanted
