"""An edit of a row that tvarr has stored unchecked is checked for what it changes, and for nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.forms import Textarea
from django.test import Client
from rest_framework.test import APIClient

from tests.api.conftest import signed_in
from tests.stored_rows import store_questionable
from tests.web.browsing import fields_of
from tvarr_backup.access.groups import OPERATOR
from tvarr_backup.models import ClientDetectionRule, DataMappingRule, EncodingProfile, Filter
from tvarr_backup.portable.kinds import KINDS, Slug

pytestmark = pytest.mark.django_db


def stored(row: Any) -> dict[str, Any]:
    values: dict[str, Any] = type(row).objects.filter(pk=row.pk).values().get()
    return {name: value for name, value in values.items() if name != "updated_at"}


def address(slug: Slug, row: Any) -> str:
    return f"/api/v1/{slug.replace('_', '-')}/{row.pk}"


def refused(response: Any) -> list[tuple[str, str]]:
    assert response.status_code == 400, response.content
    return [(error["pointer"], error["code"]) for error in response.json()["errors"]]


@pytest.fixture
def operator(db: None) -> APIClient:
    return signed_in(OPERATOR)


class TestApi:
    """PATCH and PUT."""

    @pytest.mark.parametrize("slug", Slug)
    def test_a_change_of_the_description_leaves_the_rest(self, slug: Slug, operator: APIClient) -> None:
        row = store_questionable(slug)
        before = stored(row)
        response = operator.patch(address(slug, row), {"description": "Edited."})
        assert response.status_code == 200, response.content
        assert stored(row) == before | {"description": "Edited."}

    @pytest.mark.parametrize("slug", Slug)
    def test_what_was_read_can_be_sent_back_with_a_change(self, slug: Slug, operator: APIClient) -> None:
        row = store_questionable(slug)
        before, sent = stored(row), operator.get(address(slug, row)).json()
        response = operator.put(address(slug, row), sent | {"description": "Edited."})
        assert response.status_code == 200, response.content
        assert stored(row) == before | {"description": "Edited."}

    @pytest.mark.parametrize(
        ("slug", "sent", "found"),
        [
            (Slug.FILTERS, {"name": "Harbour "}, ("/name", "blanks_around")),
            (Slug.FILTERS, {"expression": "group_title"}, ("/expression", "invalid_expression")),
            (Slug.FILTERS, {"action": "melt"}, ("/action", "invalid_choice")),
            (Slug.FILTERS, {"description": "e" * 2000}, ("/description", "max_length")),
            (Slug.CLIENT_DETECTION_RULES, {"preferred_format": "reel"}, ("/preferred_format", "unknown_format")),
            (Slug.ENCODING_PROFILES, {"output_flags": ""}, ("/target_video_codec", "invalid_choice")),
        ],
    )
    def test_what_is_changed_is_checked(
        self, slug: Slug, sent: dict[str, Any], found: tuple[str, str], operator: APIClient
    ) -> None:
        row = store_questionable(slug)
        assert found in refused(operator.patch(address(slug, row), sent))

    def test_a_new_row_is_checked_as_a_whole(self, operator: APIClient) -> None:
        sent = {"name": " News", "source_type": "stream", "expression": "("}
        found = refused(operator.post("/api/v1/filters", sent))
        assert found == [("/name", "blanks_around"), ("/expression", "invalid_expression")]


class TestAdmin:
    """The forms."""

    @pytest.mark.parametrize("slug", Slug)
    def test_a_change_of_the_description_leaves_the_rest(self, slug: Slug, admin_client: Client) -> None:
        row = store_questionable(slug)
        before = stored(row)
        url = f"/admin/tvarr_backup/{KINDS[slug].model._meta.model_name}/{row.pk}/change/"
        form = as_a_browser_sends(admin_client.get(url)) | {"description": "Edited."}
        response = admin_client.post(url, form)
        assert response.status_code == 302, errors_in(response)
        assert stored(row) == before | {"description": "Edited."}

    def test_what_is_changed_is_checked(self, admin_client: Client) -> None:
        row = store_questionable(Slug.FILTERS)
        url = f"/admin/tvarr_backup/filter/{row.pk}/change/"
        form = as_a_browser_sends(admin_client.get(url)) | {"expression": "group_title"}
        assert "Column" in admin_client.post(url, form).content.decode()
        assert Filter.objects.get(pk=row.pk).expression == "channel_name"

    def test_blanks_around_a_new_name_are_cut(self, admin_client: Client) -> None:
        form = {
            "name": " News ",
            "source_type": "stream",
            "action": "include",
            "expression": 'group_title equals "News"',
        }
        admin_client.post("/admin/tvarr_backup/filter/add/", form)
        assert Filter.objects.filter(name="News").exists()

    def test_line_breaks_stay_as_they_are_stored(self, admin_client: Client) -> None:
        row = Filter.objects.create(name="News", description="One\r\nTwo\n", expression='group_title\nequals "News"')
        before = stored(row)
        url = f"/admin/tvarr_backup/filter/{row.pk}/change/"
        admin_client.post(url, as_a_browser_sends(admin_client.get(url)) | {"action": "exclude"})
        assert stored(row) == before | {"action": "exclude"}

    def test_a_rule_without_a_priority_keeps_none(self, admin_client: Client) -> None:
        row = DataMappingRule.objects.create(name="Tidy", expression='true SET tvg_name = "x"')
        DataMappingRule.objects.filter(pk=row.pk).update(priority=None)
        url = f"/admin/tvarr_backup/datamappingrule/{row.pk}/change/"
        admin_client.post(url, as_a_browser_sends(admin_client.get(url)) | {"description": "Edited."})
        row.refresh_from_db()
        assert (row.priority, row.description) == (None, "Edited.")


def as_a_browser_sends(page: Any) -> dict[str, Any]:
    """The form as it is shown: each line break as two characters, and none in a field of one line."""
    form = page.context["adminform"].form
    sent = {}
    for name, values in fields_of(page, f"{form._meta.model._meta.model_name}_form").items():
        (value,) = values
        is_area = isinstance(getattr(form.fields.get(name), "widget", None), Textarea)
        value = value.replace("\r\n", "\n").replace("\r", "\n")
        sent[name] = value.replace("\n", "\r\n" if is_area else "")
    return sent


def errors_in(response: Any) -> Any:
    return response.context["errors"] if response.context else response.content


class TestModels:
    """The rule itself."""

    def test_a_row_that_is_not_stored_yet_is_checked_as_a_whole(self) -> None:
        with pytest.raises(ValidationError) as refusal:
            Filter(name=" News", expression='group_title equals "News"').full_clean()
        assert set(refusal.value.error_dict) == {"name"}

    def test_a_change_that_makes_another_field_wrong_names_that_field(self) -> None:
        row = Filter.objects.create(name="News", expression='group_title equals "News"')
        row.source_type = "epg"
        row.full_clean()  # an unknown field is a warning
        rule = ClientDetectionRule.objects.create(name="Tablet", expression="true", supports_fmp4=False)
        rule.supports_mpegts = False
        with pytest.raises(ValidationError) as refusal:
            rule.full_clean()
        assert set(refusal.value.error_dict) == {"supports_mpegts"}

    def test_a_profiles_name_stays_unique(self) -> None:
        EncodingProfile.objects.create(name="Attic")
        other = EncodingProfile.objects.create(name="Cellar")
        other.name = "Attic"
        with pytest.raises(ValidationError) as refusal:
            other.full_clean()
        assert set(refusal.value.error_dict) == {"name"}
