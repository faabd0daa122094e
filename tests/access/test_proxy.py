"""Sign-in by a trusted proxy, and attempts to pretend to be one."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.admin.pages import text_of
from tests.factories import UserFactory
from tvarr_backup.access.roles import Role
from tvarr_backup.access.tokens import create_token

pytestmark = pytest.mark.django_db

PROXY, ELSEWHERE = "10.1.2.3", "192.0.2.7"


@pytest.fixture(autouse=True)
def _trusted(settings: Any) -> None:
    settings.PROXY_USER_HEADER, settings.PROXY_ROLES_HEADER = "Remote-User", "Remote-Groups"
    settings.PROXY_ADDRESSES = [ipaddress.ip_network("10.0.0.0/8")]


def visit(client: Client, path: str = "/history/", *, address: str = PROXY, **headers: str) -> Any:
    """Open a page through the proxy, with headers such as `remote_user`."""
    return client.get(
        path, headers={name.replace("_", "-"): each for name, each in headers.items()}, REMOTE_ADDR=address
    )


def groups_of(name: str) -> list[str]:
    return [*User.objects.get(username=name).groups.values_list("name", flat=True)]


def test_a_user_is_added_with_the_default_role_and_without_a_password() -> None:
    assert visit(Client(), remote_user="marit").status_code == 200
    user = User.objects.get(username="marit")
    assert (user.has_usable_password(), user.is_superuser, groups_of("marit")) == (False, False, [Role.VIEWER.label])


@pytest.mark.parametrize(
    ("sent", "role"),
    [
        ("operator", Role.OPERATOR),
        ("staff, tvarr-backup-operator,viewer", Role.OPERATOR),
        ("everybody|Administrator", Role.ADMINISTRATOR),
        ("domain administrator", Role.VIEWER),
        ("administrators", Role.VIEWER),
        ("", Role.VIEWER),
    ],
)
def test_the_highest_named_role_counts(sent: str, role: Role) -> None:
    visit(Client(), remote_user="marit", remote_groups=sent)
    assert groups_of("marit") == [role.label]
    assert User.objects.get().is_superuser == User.objects.get().is_staff == (role is Role.ADMINISTRATOR)


def test_a_role_that_is_taken_away_is_lost_with_the_next_page() -> None:
    client = Client()
    visit(client, remote_user="marit", remote_groups="administrator")
    assert visit(client, "/admin/", remote_user="marit", remote_groups="viewer").status_code == 302
    assert (groups_of("marit"), User.objects.get().is_superuser) == ([Role.VIEWER.label], False)


def test_without_a_role_and_a_default_role_nobody_is_signed_in(settings: Any) -> None:
    settings.PROXY_DEFAULT_ROLE = "none"
    assert visit(Client(), remote_user="marit").status_code == 403
    assert not User.objects.exists()


# --- Attacks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [{}, {"x_forwarded_for": PROXY}, {"x_real_ip": PROXY}, {"forwarded": f"for={PROXY}"}, {"remote_addr": PROXY}],
)
def test_the_header_from_elsewhere_is_ignored(headers: dict[str, str]) -> None:
    page = visit(Client(), address=ELSEWHERE, remote_user="admin", remote_groups="administrator", **headers)
    assert page.status_code == 302
    assert page["Location"].startswith("/sign-in/")
    assert not User.objects.exists()


@pytest.mark.parametrize("address", ["", "unix", "::1", "::ffff:192.0.2.7", "11.0.0.1"])
def test_no_other_address_is_trusted(address: str) -> None:
    assert visit(Client(), address=address, remote_user="marit").status_code == 302


def test_an_address_in_the_form_of_ipv6_is_the_same_address() -> None:
    assert visit(Client(), address=f"::ffff:{PROXY}", remote_user="marit").status_code == 200


@pytest.mark.parametrize("name", ["admin,marit", "marit, marit", "a b", "a\x00b", "x" * 151, "<b>"])
def test_two_headers_in_one_and_other_names_that_no_user_has_are_refused(name: str) -> None:
    page = visit(Client(), remote_user=name)
    assert page.status_code == 403
    assert not User.objects.exists()


@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_name_signs_nobody_in(name: str) -> None:
    assert visit(Client(), remote_user=name).status_code == 302


def test_a_session_does_not_work_without_the_proxy_or_for_another_user() -> None:
    client = Client()
    visit(client, remote_user="marit")
    assert visit(client, remote_user="jonas").wsgi_request.user.username == "jonas"
    assert visit(client).status_code == 302
    visit(client, remote_user="marit")
    assert visit(client, address=ELSEWHERE, remote_user="marit").status_code == 302


def test_a_user_with_a_password_is_neither_signed_in_nor_changed() -> None:
    user = UserFactory.create(username="admin", is_superuser=True)
    user.set_password("a long secret")
    user.save()
    page = visit(Client(), remote_user="admin", remote_groups="viewer")
    assert page.status_code == 403
    assert "has a password here" in text_of(page)
    assert User.objects.get().is_superuser
    assert groups_of("admin") == []


def test_an_inactive_user_is_refused() -> None:
    visit(Client(), remote_user="marit")
    User.objects.update(is_active=False)
    assert visit(Client(), remote_user="marit").status_code == 403


# --- Ways in and out -------------------------------------------------------------------------------------------------


def test_an_administrator_signs_in_with_a_password_behind_the_proxy() -> None:
    user = UserFactory.create(username="admin", is_superuser=True)
    user.set_password("a long secret")
    user.save()
    client = Client(headers={"Remote-User": "marit"}, REMOTE_ADDR=PROXY)
    client.post("/sign-in/", {"username": "admin", "password": "a long secret"})
    assert client.get("/history/").wsgi_request.user == user
    assert not User.objects.filter(username="marit").exists()


def test_after_signing_out_the_sign_in_page_offers_to_continue() -> None:
    client = Client(headers={"Remote-User": "marit"}, REMOTE_ADDR=PROXY)
    client.get("/history/")
    page: Any = client.post("/sign-out/", follow=True)
    assert page.redirect_chain == [("/sign-in/", 302)]
    assert "Your proxy signs you in as marit" in text_of(page)


def test_signing_out_leads_to_the_proxys_own_page_if_there_is_one(settings: Any) -> None:
    settings.PROXY_SIGN_OUT_URL = "https://auth.example/logout"
    client = Client(headers={"Remote-User": "marit"}, REMOTE_ADDR=PROXY)
    client.get("/history/")
    assert client.post("/sign-out/")["Location"] == "https://auth.example/logout"


def test_a_request_with_a_token_needs_no_session() -> None:
    visit(Client(), remote_user="marit", remote_groups="operator")
    _, secret = create_token("marit", "script", None)
    client = Client()
    assert visit(client, "/api/v1/backups", remote_user="jonas", x_api_key=secret).status_code != 401
    assert not client.cookies
    assert User.objects.count() == 1


def test_it_is_off_unless_a_header_is_named(settings: Any) -> None:
    settings.PROXY_USER_HEADER = ""
    assert visit(Client(), remote_user="marit").status_code == 302
