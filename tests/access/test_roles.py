"""Users with a role."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.exceptions import PermissionDenied

from tests.factories import UserFactory
from tvarr_backup.access.groups import GROUPS
from tvarr_backup.access.roles import DESCRIPTIONS, Role, add_user, assign_role
from tvarr_backup.errors import UserInvalid
from tvarr_backup.operations.actions import create_user
from tvarr_backup.operations.actors import COMMAND_LINE, Actor
from tvarr_backup.operations.models import Origin

pytestmark = pytest.mark.django_db


def test_every_group_is_a_role_with_a_sentence() -> None:
    assert set(Role.labels) == set(GROUPS)
    assert set(DESCRIPTIONS) == set(Role)


@pytest.mark.parametrize("role", Role)
def test_a_new_user_has_the_permissions_of_the_role(role: Role) -> None:
    create_user(COMMAND_LINE, "marit", "correct horse", role)
    user = User.objects.get(username="marit")
    assert user.get_all_permissions() == GROUPS[role.label]
    assert user.check_password("correct horse")
    assert not user.is_superuser


def test_a_user_without_a_password_cannot_sign_in_with_one() -> None:
    assert not add_user("marit", None, None).has_usable_password()


@pytest.mark.parametrize(("name", "password"), [("ola", "correct horse"), ("a b", "correct horse"), ("marit", "marit")])
def test_a_taken_or_invalid_name_and_a_weak_password_are_refused(name: str, password: str) -> None:
    UserFactory.create(username="ola")
    with pytest.raises(UserInvalid):
        add_user(name, password, Role.VIEWER)
    assert User.objects.count() == 1


def test_without_its_group_a_role_cannot_be_given_and_no_user_is_left() -> None:
    Group.objects.filter(name="Viewer").delete()
    with pytest.raises(UserInvalid) as refused:
        add_user("marit", "correct horse", Role.VIEWER)
    assert refused.value.facts["group"] == "Viewer"
    assert not User.objects.exists()


def test_a_user_who_may_not_add_users_is_refused() -> None:
    with pytest.raises(PermissionDenied):
        create_user(Actor(AnonymousUser(), Origin.WEB), "marit", "correct horse", Role.VIEWER)


def test_another_role_replaces_the_one_before_and_keeps_other_groups() -> None:
    user = add_user("marit", "correct horse", Role.VIEWER)
    user.groups.add(Group.objects.create(name="Harbour"))
    assign_role(user, Role.OPERATOR)
    assert set(user.groups.values_list("name", flat=True)) == {"Harbour", "Operator"}
