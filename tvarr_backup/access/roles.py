"""The three roles. A role is a group, whose permissions an administrator may change."""

from __future__ import annotations

from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import router, transaction
from django.db.models import TextChoices

from tvarr_backup.errors import UserInvalid


class Role(TextChoices):
    """A role. Its label is the name of its group."""

    ADMINISTRATOR = "administrator"
    OPERATOR = "operator"
    VIEWER = "viewer"


DESCRIPTIONS = {
    Role.ADMINISTRATOR: "Does everything an operator does, restores and deletes backups, and changes the settings.",
    Role.OPERATOR: "Makes, verifies and protects backups, imports configuration, and edits filters and other items.",
    Role.VIEWER: "Sees backups and operations, and exports configuration. Changes nothing.",
}


def add_user(name: str, password: str | None, role: Role | None) -> User:
    """Add a user, without a password or role if it is None. Raises `UserInvalid`."""
    user = User(username=User.normalize_username(name))
    try:
        user.full_clean(exclude=["password"])
        if password is not None:
            validate_password(password, user)
    except ValidationError as problem:
        raise UserInvalid(" ".join(problem.messages)) from problem
    user.set_password(password)
    with transaction.atomic(using=router.db_for_write(User)):
        user.save()
        if role is not None:
            assign_role(user, role)
    return user


def assign_role(user: User, role: Role) -> None:
    """Make a role the only one of a user. Other groups and single permissions stay. Raises `UserInvalid`."""
    group = Group.objects.filter(name=role.label).first()
    if group is None:
        raise UserInvalid("There is no group {group}. Create it in the admin, with its permissions.", group=role.label)
    user.groups.remove(*user.groups.filter(name__in=Role.labels))
    user.groups.add(group)
