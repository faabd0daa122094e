"""What changed expressions match: on the page of an event, and of a comparison."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.factories import ChannelFactory, EncodingProfileFactory, FilterFactory
from tests.operations.test_history import look
from tests.web.browsing import text_of
from tvarr_backup.models import EncodingProfile, Filter
from tvarr_backup.operations.models import HistoryEvent

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _storage(tmp_path: Path, settings: Any) -> None:
    settings.STORAGE_BASE_DIR = tmp_path


@pytest.fixture
def keeper() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("keeper"))
    return client


@pytest.fixture
def before() -> str:
    """The time before the expression of Harbour changed, as the name of a state."""
    for name in ("Harbour Sports", "Harbour News", "Quiet Bay"):
        ChannelFactory.create(channel_name=name)
    FilterFactory.create(name="Harbour", expression='channel_name contains "harbour"')
    look()
    moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    Filter.objects.filter(name="Harbour").update(expression='channel_name contains "news"')
    look()
    return moment


def newest() -> HistoryEvent:
    found = HistoryEvent.objects.first()
    assert found is not None
    return found


def matches_of(client: Client, page: Any, *, is_part: bool = False) -> Any:
    """Follow the link of a page to its counts."""
    (address,) = {
        part.split('"')[0].replace("&amp;", "&")
        for part in page.content.decode().split('hx-get="')
        if "/matches/" in part[:200]
    }
    return client.get(address, headers={"HX-Request": "true"} if is_part else {})


@pytest.mark.parametrize("is_part", [False, True], ids=["page", "part"])
def test_a_comparison_counts_both_expressions(keeper: Client, before: str, is_part: bool) -> None:
    page = keeper.get(reverse("compare"), {"from": before, "to": "now"})
    response = matches_of(keeper, page, is_part=is_part)
    text = text_of(response)
    assert "1 of 3 channels" in text
    assert "2 of 3 channels" in text
    assert "No longer matches 1" in text
    assert "Harbour Sports" in text
    assert ("<html" in response.content.decode()) is not is_part


@pytest.mark.usefixtures("before")
def test_an_event_counts_both_expressions(keeper: Client) -> None:
    text = text_of(matches_of(keeper, keeper.get(reverse("history-event", args=[newest().pk]))))
    assert "1 of 3 channels" in text
    assert "2 of 3 channels" in text


@pytest.mark.usefixtures("before")
def test_changes_without_expressions_offer_no_counts(keeper: Client) -> None:
    EncodingProfileFactory.create(name="Small")
    look()
    EncodingProfile.objects.filter(name="Small").update(description="Another")
    look()
    assert "/matches/" not in keeper.get(reverse("history-event", args=[newest().pk])).content.decode()


@pytest.mark.parametrize(
    "address", ["configuration/events/999999/matches/", "configuration/compare/matches/?from=nothing"]
)
def test_what_does_not_exist_is_refused(keeper: Client, address: str) -> None:
    assert keeper.get(f"/{address}").status_code in {400, 404}
