"""Domains and their spellings."""

import pytest

from tvarr_backup.errors import TvarrBackupError
from tvarr_backup.expressions import Domain, UnknownDomain, read_domain
from tvarr_backup.quoting import format_value


@pytest.mark.parametrize(
    ("spelling", "domain"),
    [
        ("stream_filter", Domain.STREAM_FILTER),
        ("stream", Domain.STREAM_FILTER),
        ("epg_filter", Domain.EPG_FILTER),
        ("epg", Domain.EPG_FILTER),
        ("stream_mapping", Domain.STREAM_MAPPING),
        ("stream_data_mapping", Domain.STREAM_MAPPING),
        ("stream_datamapping", Domain.STREAM_MAPPING),
        ("epg_mapping", Domain.EPG_MAPPING),
        ("epg_data_mapping", Domain.EPG_MAPPING),
        ("epg_datamapping", Domain.EPG_MAPPING),
        ("client_detection", Domain.CLIENT_DETECTION),
        ("client", Domain.CLIENT_DETECTION),
    ],
)
def test_it_reads_every_spelling(spelling: str, domain: Domain) -> None:
    assert read_domain(spelling) is domain


@pytest.mark.parametrize("value", ["request", "STREAM", " stream", "", None, 5, ["stream"]])
def test_it_refuses_anything_else_and_lists_the_domains(value: object) -> None:
    with pytest.raises(UnknownDomain) as raised:
        read_domain(value)

    assert isinstance(raised.value, TvarrBackupError)
    assert raised.value.code == "unknown_domain"
    assert f"got {format_value(value)}." in str(raised.value)
    assert all(domain in str(raised.value) for domain in Domain)


def test_only_client_rules_are_read_as_written() -> None:
    assert [domain for domain in Domain if not domain.is_rewritten] == [Domain.CLIENT_DETECTION]
