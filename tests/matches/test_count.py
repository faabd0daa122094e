"""Why a row matches or not: limits of an explanation. The entrances test its content."""

import pytest

from tests.factories import ChannelFactory, EpgProgramFactory
from tvarr_backup.errors import EvaluationTooSlow
from tvarr_backup.expressions import Domain
from tvarr_backup.expressions.limits import EvaluationCanceled, Limit
from tvarr_backup.matches.count import explain_row

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("limit", "error"),
    [(Limit(-1), EvaluationTooSlow), (Limit(is_canceled=lambda: True), EvaluationCanceled)],
    ids=["time", "canceled"],
)
def test_the_groups_of_a_programme_are_read_within_the_limit(limit: Limit, error: type[Exception]) -> None:
    ChannelFactory.create()
    EpgProgramFactory.create(title="Tides")
    with pytest.raises(error):
        explain_row('title contains "tides"', Domain.EPG_FILTER, "Tides", limit=limit)
