"""What a database of our own holds from the start."""

from collections.abc import Sequence

import pytest

from tvarr_backup import models
from tvarr_backup.models import PortableRow

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("model", "count"),
    [
        (models.Filter, 8),
        (models.DataMappingRule, 9),
        (models.ClientDetectionRule, 21),
        (models.EncodingProfile, 6),
    ],
)
def test_a_new_database_has_the_rows_that_tvarr_brings_along(model: type[PortableRow], count: int) -> None:
    assert model.objects.filter(is_system=True).count() == count


def test_every_system_row_passes_the_validation_that_people_face() -> None:
    rows: Sequence[PortableRow] = [
        *models.Filter.objects.all(),
        *models.DataMappingRule.objects.all(),
        *models.ClientDetectionRule.objects.all(),
        *models.EncodingProfile.objects.all(),
    ]
    for row in rows:
        row.full_clean()


def test_one_profile_is_the_default() -> None:
    assert [profile.name for profile in models.EncodingProfile.objects.filter(is_default=True)] == [
        "H.264/AAC (Universal)"
    ]
