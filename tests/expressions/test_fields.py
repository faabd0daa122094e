"""The tables of fields."""

import pytest

from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.fields import CATALOGUE_FIELDS, CLIENT_FIELDS, VOCABULARIES, suggest_name


@pytest.mark.parametrize(
    ("domain", "count"),
    [
        (Domain.STREAM_FILTER, 56),
        (Domain.EPG_FILTER, 56),
        (Domain.STREAM_MAPPING, 56),
        (Domain.EPG_MAPPING, 56),
        (Domain.CLIENT_DETECTION, 28),
    ],
)
def test_a_domain_has_as_many_names_as_tvarr_lists(domain: Domain, count: int) -> None:
    assert len(VOCABULARIES[domain].fields) == count


def test_no_name_is_listed_twice() -> None:
    for fields in (CATALOGUE_FIELDS, CLIENT_FIELDS):
        names = [name for field in fields for name in field.names]
        assert len(names) == len(set(names))


def test_a_suggested_name_is_one_of_the_domain() -> None:
    assert suggest_name("grup_title", Domain.STREAM_FILTER) == " (did you mean group_title?)"
    assert suggest_name("zzz", Domain.STREAM_FILTER) == ""


def test_names_that_work_without_being_listed_are_known() -> None:
    assert VOCABULARIES[Domain.CLIENT_DETECTION].reads("method")
    assert VOCABULARIES[Domain.CLIENT_DETECTION].reads("Client_IP")
    assert VOCABULARIES[Domain.EPG_MAPPING].reads("icon")
    assert not VOCABULARIES[Domain.STREAM_MAPPING].reads("icon")
