"""What new and changed expressions match, before and after."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.factories import (
    ChannelFactory,
    DataMappingRuleFactory,
    EpgProgramFactory,
    FilterFactory,
    StreamSourceFactory,
)
from tests.matches.changes import MAPPING, added, codes, effect_of, item, names, preview
from tests.portable.files import FILTERS, envelope, filter_item
from tvarr_backup.errors import EvaluationTooSlow
from tvarr_backup.expressions import Domain
from tvarr_backup.expressions.combination_warnings import CombinationCode
from tvarr_backup.expressions.domains import RowKind
from tvarr_backup.expressions.failures import FailureCode
from tvarr_backup.expressions.limits import EvaluationCanceled, Limit
from tvarr_backup.matches import preview as module
from tvarr_backup.matches import rows, tally
from tvarr_backup.matches.items import Change, changes_of_comparison, changes_of_plan, item_of_row
from tvarr_backup.matches.players import PLAYERS
from tvarr_backup.matches.results import Coverage, Stop
from tvarr_backup.models import ClientDetectionRule, DataMappingRule
from tvarr_backup.portable.answers import Answers, Resolution
from tvarr_backup.portable.bundles import plan_bundle
from tvarr_backup.portable.envelope import bundle_of
from tvarr_backup.portable.kinds import Slug
from tvarr_backup.portable.states import compare_states, read_current_state

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def without_system_rules() -> None:
    DataMappingRule.objects.all().update(is_enabled=False)


@pytest.fixture
def channels() -> None:
    source = StreamSourceFactory.create()
    for number, group in enumerate(("News", "News", "Kids", "Sport")):
        ChannelFactory.create(source=source, channel_name=f"Bay {number}", group_title=group, tvg_id=f"bay-{number}")


# --- Filters ---------------------------------------------------------------------------------------------------------


def test_a_new_filter_is_counted(channels: None) -> None:
    effect = effect_of(added('group_title = "news"'))
    assert (effect.before, effect.after and effect.after.matched.count) == (None, 2)
    assert effect.after
    assert names(effect.after.matched) == ["Bay 0", "Bay 1"]
    assert (codes(effect), effect.name, effect.slug) == ([], "Harbour", Slug.FILTERS)


def test_the_rows_that_were_read_are_counted(channels: None) -> None:
    ChannelFactory.create(source__enabled=False)
    found = preview(added("true"))
    assert found.coverage == (Coverage(RowKind.CHANNELS, in_database=5, evaluated=4),)


def test_a_changed_filter_has_both_counts_and_what_differs(channels: None) -> None:
    effect = effect_of(Change("1", item('group_title = "News"'), item('group_title = "Kids"')))
    assert effect.before
    assert effect.after
    assert (effect.before.matched.count, effect.after.matched.count) == (2, 1)
    assert (names(effect.added), names(effect.removed)) == (["Bay 2"], ["Bay 0", "Bay 1"])


def test_a_sample_has_the_first_rows(channels: None) -> None:
    effect = effect_of(added("true"), size=1)
    assert effect.current.matched.count == 4
    assert names(effect.current.matched) == ["Bay 0"]


@pytest.mark.parametrize(
    ("expression", "warnings"),
    [
        ("true", [CombinationCode.MATCHES_EVERYTHING]),
        ("false", [CombinationCode.MATCHES_NOTHING]),
        ('group_title = "Kids"', []),
        ('channel_name = "Bay 0" OR tvg_logo > 5', [CombinationCode.EMPTY_NUMBER, CombinationCode.FAILS]),
    ],
)
def test_a_filter_has_warnings(channels: None, expression: str, warnings: list[CombinationCode]) -> None:
    assert codes(effect_of(added(expression))) == warnings


def test_an_exclude_that_fails_has_a_warning_of_its_own(channels: None) -> None:
    effect = effect_of(added('channel_name = "Bay 0" OR tvg_logo > 5', action="exclude"))
    assert codes(effect) == [CombinationCode.EMPTY_NUMBER, CombinationCode.FAILING_EXCLUDE]


def test_rules_have_warnings_together(channels: None) -> None:
    DataMappingRuleFactory.create()
    found = preview(added('true SET tvg_name = "x"', MAPPING, stop_on_match=True))
    assert [warning.code for warning in found.rule_warnings] == [CombinationCode.SHARED_STOP]


def test_without_any_channels_there_is_no_warning() -> None:
    assert codes(effect_of(added("true"))) == []


def test_rows_in_which_it_fails_are_counted_with_the_reason(channels: None) -> None:
    matches = effect_of(added('channel_name = "Bay 0" OR tvg_logo > 5')).current
    (failure,) = matches.failures
    assert (failure.code, failure.count, failure.example.name) == (FailureCode.NOT_A_NUMBER, 3, "Bay 1")
    assert (matches.evaluated, matches.matched.count, matches.failed) == (4, 1, 3)


def test_a_refused_expression_has_its_problem(channels: None) -> None:
    matches = effect_of(added("channel_name icontains 5")).current
    assert (matches.problem and matches.problem.column, matches.evaluated, matches.is_counted) == (14, 0, False)


def test_a_blank_filter_is_skipped(channels: None) -> None:
    effect = effect_of(added(" "))
    assert (effect.current.is_blank, effect.current.is_counted, codes(effect)) == (True, False, [])


def test_filters_see_channels_after_the_mapping_rules(channels: None) -> None:
    DataMappingRuleFactory.create(expression='group_title = "Kids" SET group_title = "News"')
    assert effect_of(added('group_title = "News"')).current.matched.count == 3


def test_a_disabled_mapping_rule_changes_nothing(channels: None) -> None:
    DataMappingRuleFactory.create(expression='group_title = "Kids" SET group_title = "News"', is_enabled=False)
    assert effect_of(added('group_title = "News"')).current.matched.count == 2


def test_filters_see_channels_after_the_rules_of_the_same_import(channels: None) -> None:
    rule = added('group_title = "Kids" SET group_title = "News"', MAPPING)
    unchanged = item('group_title = "News"')
    found = preview(rule, Change("filter", unchanged, unchanged))
    effect = found.effect("filter")
    assert effect
    assert effect.before
    assert effect.after
    assert (effect.before.matched.count, effect.after.matched.count) == (2, 3)
    assert names(effect.added) == ["Bay 2"]


def test_a_rule_that_is_not_chosen_is_counted_but_not_applied(channels: None) -> None:
    rule = added('group_title = "Kids" SET group_title = "News"', MAPPING, is_planned=False)
    filtered = replace(added('group_title = "News"'), key="filter")
    found = preview(rule, filtered)
    assert [effect.current.matched.count for effect in found.effects] == [1, 2]


# --- Mapping rules ---------------------------------------------------------------------------------------------------


def test_a_mapping_rule_has_the_rows_it_changes_with_their_values(channels: None) -> None:
    matches = effect_of(added('channel_name matches "^Bay (\\\\d)" SET tvg_name = "Port $1"', MAPPING), size=1).current
    assert (matches.matched.count, matches.changed) == (4, 4)
    ((change,),) = (row.changes for row in matches.changes)
    assert (change.column, change.before, change.after) == ("tvg_name", "Bay 0", "Port 0")


def test_a_mapping_rule_that_assigns_the_same_value_changes_nothing(channels: None) -> None:
    matches = effect_of(added('group_title = "Kids" SET group_title = "Kids"', MAPPING)).current
    assert (matches.matched.count, matches.changed, matches.changes) == (1, 0, ())


@pytest.mark.parametrize(("priority", "count"), [(5, 2), (15, 3)])
@pytest.mark.parametrize("is_planned", [True, False])
def test_a_mapping_rule_sees_what_earlier_rules_wrote(
    channels: None, priority: int, count: int, is_planned: bool
) -> None:
    DataMappingRuleFactory.create(priority=10, expression='group_title = "Kids" SET group_title = "News"')
    rule = added('group_title = "News" SET tvg_name = "x"', MAPPING, priority=priority, is_planned=is_planned)
    assert effect_of(rule).current.matched.count == count


def test_a_rule_that_fails_ends_the_rules_of_a_channel(channels: None) -> None:
    DataMappingRuleFactory.create(priority=10, expression='tvg_logo > 5 SET tvg_name = "x"')
    for is_planned in (True, False):
        later = added('true SET tvg_name = "y"', MAPPING, priority=15, is_planned=is_planned)
        assert effect_of(later).current.matched.count == 0


@pytest.mark.parametrize(("stops", "count"), [(False, 4), (True, 2)])
@pytest.mark.parametrize("is_planned", [True, False])
def test_stop_on_match_of_any_rule_ends_the_rules_of_a_channel(
    channels: None, stops: bool, count: int, is_planned: bool
) -> None:
    DataMappingRuleFactory.create(priority=10, expression='group_title = "News" SET tvg_name = "x"')
    DataMappingRuleFactory.create(priority=20, expression='false SET tvg_name = "x"', stop_on_match=stops)
    later = added('true SET tvg_logo = "y"', MAPPING, priority=15, is_planned=is_planned)
    assert effect_of(later).current.matched.count == count


def test_a_changed_mapping_rule_has_both_counts(channels: None) -> None:
    row = DataMappingRuleFactory.create(expression='group_title = "Kids" SET tvg_name = "x"')
    before = item_of_row(row)
    after = replace(before, expression='group_title = "News" SET tvg_name = "x"')
    for is_planned in (True, False):
        effect = effect_of(Change("1", before, after, is_planned))
        assert effect.before
        assert effect.after
        assert (effect.before.matched.count, effect.after.matched.count) == (1, 2)
        assert (names(effect.added), names(effect.removed)) == (["Bay 0", "Bay 1"], ["Bay 2"])


def test_a_refused_rule_stops_all_rules(channels: None) -> None:
    DataMappingRuleFactory.create(expression='group_title = "Kids" SET group_title = "News"')
    refused = added("channel_name icontains 5", MAPPING, name="Broken")
    found = preview(refused, replace(added('group_title = "News"'), key="filter"))
    assert (found.refused_before, found.refused_after) == ("", "Broken")
    assert found.effects[1].current.matched.count == 2


# --- Programmes ------------------------------------------------------------------------------------------------------


def test_filters_of_programmes_are_counted_and_have_no_effect() -> None:
    EpgProgramFactory.create(title="Tides")
    EpgProgramFactory.create(title="Echoes")
    found = preview(added('title = "tides"', Domain.EPG_FILTER))
    assert names(found.effects[0].current.matched) == ["Tides"]
    assert codes(found.effects[0]) == [CombinationCode.NO_PROGRAMMES_YET]
    assert found.coverage == (Coverage(RowKind.PROGRAMMES, in_database=2, evaluated=2),)


def test_rules_for_programmes_see_the_group_of_the_channel_after_the_channel_rules(channels: None) -> None:
    EpgProgramFactory.create(channel_id="bay-2", title="Tides")
    EpgProgramFactory.create(channel_id="bay-3", title="Echoes")
    EpgProgramFactory.create(channel_id="elsewhere", title="Old Maps")
    epg = added('channel_group_title = "Movies" SET genre = "Film"', Domain.EPG_MAPPING)
    rule = replace(added('group_title = "Kids" SET group_title = "Movies"', MAPPING), key="rule")
    assert effect_of(epg).current.matched.count == 0
    found = preview(epg, rule)
    assert names(found.effects[0].current.matched) == ["Tides"]


# --- Client detection rules -----------------------------------------------------------------------------------------


def test_a_client_rule_is_tried_on_players() -> None:
    found = preview(added('@dynamic(request.headers):user-agent contains "VLC/"', Domain.CLIENT_DETECTION))
    assert names(found.effects[0].current.matched) == ["VLC"]
    assert found.coverage == (Coverage(RowKind.PLAYERS, len(PLAYERS), len(PLAYERS)),)


def test_a_client_rule_shows_the_settings_it_assigns() -> None:
    expression = '@dynamic(request.headers):x-video-codec = "h264" SET preferred_video_codec = "hevc"'
    (changed,) = effect_of(added(expression, Domain.CLIENT_DETECTION)).current.changes
    assert (changed.changes[0].column, changed.changes[0].after) == ("preferred_video_codec", "h265")


def test_every_player_has_its_own_name_and_request() -> None:
    assert len({player.name for player in PLAYERS}) == len(PLAYERS) >= 25
    assert len({(player.user_agent, player.headers) for player in PLAYERS}) == len(PLAYERS)


def test_most_system_rules_match_a_player() -> None:
    rules = [item_of_row(row) for row in ClientDetectionRule.objects.filter(is_system=True)]
    found = preview(*(Change(rule.name, None, rule) for rule in rules))
    unmatched = {effect.name for effect in found.effects if not effect.current.matched.count}
    assert unmatched <= {"Edge Browser", "Generic Smart TV"}


# --- Limits ----------------------------------------------------------------------------------------------------------


class Expiring(Limit):
    """A limit whose time is over as soon as a test says so."""

    is_over = False

    def check(self) -> None:
        if self.is_over:
            raise EvaluationTooSlow(0)


def test_without_time_the_count_covers_the_first_rows(channels: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "BATCH", 2)
    limit = Expiring()
    found = preview(added("true"), limit=limit, progress=lambda *_: setattr(limit, "is_over", True))
    matches = found.effects[0].current
    assert (found.stop, matches.stop, matches.evaluated, matches.matched.count) == (Stop.TIME, Stop.TIME, 2, 2)
    assert found.coverage == (Coverage(RowKind.CHANNELS, in_database=4, evaluated=2),)


def test_without_time_to_compile_nothing_is_counted(channels: None) -> None:
    found = preview(added("true"), limit=Limit(-1))
    assert (found.stop, found.effects, found.uncounted) == (Stop.TIME, (), 1)


def test_it_can_be_canceled(channels: None) -> None:
    with pytest.raises(EvaluationCanceled):
        preview(added("true"), limit=Limit(is_canceled=lambda: True))


def test_progress_says_how_many_rows_are_done(channels: None) -> None:
    told: list[tuple[int, int]] = []
    preview(added("true"), progress=lambda done, total: told.append((done, total)))
    assert told == [(4, 4)]


def test_a_large_pattern_is_not_counted_and_says_so(channels: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally, "_SECONDS", 0.0)
    large, other = added('channel_name matches "a{900}b{900}"'), replace(added("true"), key="2")
    found = preview(large, other)
    assert [effect.current.stop for effect in found.effects] == [Stop.TOO_LARGE, None]
    assert found.effects[1].current.matched.count == 4


@pytest.mark.parametrize("expression", ['stream_url contains "a"', 'tvg_id = "a" OR NOT stream_url contains "a"'])
def test_expressions_that_read_addresses_need_the_right_to_see_them(channels: None, expression: str) -> None:
    assert effect_of(added(expression), may_read_addresses=False).current.stop is Stop.DENIED
    assert effect_of(added(expression)).current.stop is None


def test_a_mapping_rule_that_copies_an_address_needs_the_right_to_see_it(channels: None) -> None:
    rule = added("true SET tvg_name = $stream_url", MAPPING)
    assert effect_of(rule, may_read_addresses=False).current.changes == ()


def test_only_the_first_changes_are_counted(channels: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CHANGES", 2)
    found = preview(*(replace(added("true"), key=str(number)) for number in range(5)))
    assert (len(found.effects), found.uncounted) == (2, 3)


# --- Sources of changes ----------------------------------------------------------------------------------------------


def test_the_new_and_changed_items_of_an_import_are_changes() -> None:
    FilterFactory.create(name="Same", expression='tvg_id = "a"', description="")
    stored = FilterFactory.create(name="Changed", expression='tvg_id = "a"', description="")
    items = [
        filter_item("Same", expression='tvg_id = "a"', description=""),
        filter_item("Changed", expression='tvg_id = "b"', description=""),
        filter_item("New", expression='tvg_id = "c"'),
    ]
    plan = plan_bundle(bundle_of(envelope(FILTERS, *items)))
    changed, new = changes_of_plan(plan)
    assert (changed.key, changed.is_planned, changed.before and changed.before.row_id) == (
        "filters/2",
        False,
        stored.pk,
    )
    assert changed.after
    assert (changed.after.expression, changed.after.row_id) == ('tvg_id = "b"', stored.pk)
    assert (new.key, new.before, new.is_planned, new.item.expression) == ("filters/3", None, True, 'tvg_id = "c"')


@pytest.mark.parametrize(
    ("answer", "has_before", "is_planned"),
    [(Resolution.OVERWRITE, True, True), (Resolution.RENAME, False, True), (Resolution.SKIP, True, False)],
)
def test_a_conflict_is_a_change_by_its_answer(answer: Resolution, has_before: bool, is_planned: bool) -> None:
    FilterFactory.create(name="Harbour", expression='tvg_id = "a"')
    parts = bundle_of(envelope(FILTERS, filter_item("Harbour", expression='tvg_id = "b"')))
    (change,) = changes_of_plan(plan_bundle(parts, {Slug.FILTERS: Answers(bulk=answer)}))
    assert (change.before is not None, change.is_planned) == (has_before, is_planned)


def test_the_items_that_differ_between_two_states_are_changes(channels: None) -> None:
    row = FilterFactory.create(name="Harbour", expression='group_title = "News"')
    before = read_current_state()
    row.expression = 'group_title = "Kids"'
    row.save()
    FilterFactory.create(name="New", expression="true")
    changes = changes_of_comparison(compare_states(before, read_current_state()))
    assert [(change.key, change.is_planned) for change in changes] == [
        ("filters/stream:Harbour", False),
        ("filters/stream:New", False),
    ]
    found = preview(*changes)
    assert names(found.effects[0].added) == ["Bay 2"]
    assert found.proxies == ()
