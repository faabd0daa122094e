"""Changes after which a running tvarr must reload."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connections

from tests.factories import (
    ClientDetectionRuleFactory,
    DataMappingRuleFactory,
    EncodingProfileFactory,
    FilterFactory,
)
from tvarr_backup.models import ClientDetectionRule
from tvarr_backup.portable.tvarr_memory import EVERYTHING, needs_reload

pytestmark = pytest.mark.django_db


def test_a_live_enabled_rule_needs_a_reload(attached: Path) -> None:
    rule = ClientDetectionRuleFactory.create()
    off = ClientDetectionRuleFactory.create(is_enabled=False)
    gone = ClientDetectionRuleFactory.create()
    gone.delete()
    assert [needs_reload([row]) for row in (rule, off, gone)] == [True, False, False]
    assert needs_reload([off, rule])
    assert needs_reload([None, rule])


def test_a_flag_that_is_not_set_counts_as_enabled(attached: Path) -> None:
    rule = ClientDetectionRuleFactory.create()
    profile = EncodingProfileFactory.create()
    with connections["tvarr"].cursor() as cursor:
        cursor.execute(
            "UPDATE client_detection_rules SET is_enabled = NULL, encoding_profile_id = %s WHERE id = %s",
            [profile.pk, rule.pk],
        )
    assert needs_reload([ClientDetectionRule.objects.get(pk=rule.pk)])
    assert needs_reload([profile])


def test_a_profile_of_a_live_enabled_rule_needs_a_reload(attached: Path) -> None:
    used, by_off, by_gone, unused = (EncodingProfileFactory.create() for _ in range(4))
    ClientDetectionRuleFactory.create(encoding_profile=used)
    ClientDetectionRuleFactory.create(encoding_profile=by_off, is_enabled=False)
    ClientDetectionRuleFactory.create(encoding_profile=by_gone).delete()
    assert [needs_reload([profile]) for profile in (used, by_off, by_gone, unused)] == [True, False, False, False]


def test_other_kinds_need_no_reload(attached: Path) -> None:
    assert not needs_reload([FilterFactory.create(), DataMappingRuleFactory.create()])
    assert not needs_reload([])


def test_a_restore_needs_a_reload(attached: Path) -> None:
    assert needs_reload(EVERYTHING)


def test_a_database_of_ours_needs_no_reload() -> None:
    assert not needs_reload([ClientDetectionRuleFactory.create()])
    assert not needs_reload(EVERYTHING)


def test_a_database_that_cannot_be_read_needs_no_reload(attached: Path) -> None:
    connections["tvarr"].close()
    attached.write_bytes(b"not a database" * 1000)
    assert not needs_reload(EVERYTHING)
