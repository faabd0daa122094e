"""NUL characters in addresses, which SQLite stores and PostgreSQL refuses, never cause a server error."""

import pytest
from rest_framework.test import APIClient

pytestmark = pytest.mark.django_db

PLACES = [
    "/api/v1/filters/%00", "/api/v1/filters?search=a%00b", "/api/v1/filters?name=%00", "/api/v1/operations?state=%00",
    "/api/v1/export/%00", "/api/v1/filters?ordering=%00", "/api/v1/operations/%00", "/api/v1/client-detection-rules?q=%00",
    "/api/v1/encoding-profiles?enabled=%00",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_nul_in_an_address_is_answered(administrator: APIClient, place: str) -> None:
    assert administrator.get(place).status_code < 500


@pytest.mark.parametrize("place", PLACES)
def test_nul_in_an_address_with_a_wrong_password_is_refused(api: APIClient, place: str) -> None:
    answer = api.get(place, headers={"Authorization": "Basic bWFyaXQ6d3Jvbmc="})
    assert answer.status_code == (404 if "export" in place else 401)  # there is no such kind


@pytest.fixture
def api(db: None) -> APIClient:
    return APIClient()


@pytest.mark.parametrize("place", ["tvarr_backup/filter", "tvarr_backup/encodingprofile", "operations/operation"])
@pytest.mark.parametrize("search", ["q=%00", "source_type__exact=%00", "is_system__exact=%00", "o=%00", "kind=%00"])
def test_nul_in_the_address_of_a_page_is_refused(admin_client: APIClient, place: str, search: str) -> None:
    assert admin_client.get(f"/admin/{place}/?{search}").status_code == 400
