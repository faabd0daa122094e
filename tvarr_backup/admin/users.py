"""Users in the admin. A new user gets a role; groups and single permissions are for experts."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils.html import format_html

from tvarr_backup.access.roles import DESCRIPTIONS, Role
from tvarr_backup.operations import actions
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.models import Origin

_CHOICES = [*((role, role.label, DESCRIPTIONS[role]) for role in Role), ("", "No role", "Permissions come later.")]
_ROLES = [(role, format_html("<strong>{}</strong>: {}", label, sentence)) for role, label, sentence in _CHOICES]


class NewUserForm(AdminUserCreationForm):
    """Name, password and role."""

    role = forms.TypedChoiceField(
        choices=_ROLES, coerce=Role, empty_value=None, required=False, initial=Role.VIEWER, widget=forms.RadioSelect
    )


admin.site.unregister(User)


@admin.register(User)
class RoleUserAdmin(UserAdmin):  # type: ignore[type-arg]  # the stub is generic, the class is not
    add_form = NewUserForm
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("username", "role", "usable_password", "password1", "password2")}),
    )

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:  # noqa: FBT001  # Django's signature
        if change:
            super().save_model(request, obj, form, change)
            return
        has_password = form.cleaned_data["set_usable_password"]
        password = form.cleaned_data["password1"] if has_password else None
        obj.pk = actions.create_user(
            Actor(request.user, Origin.WEB), obj.username, password, form.cleaned_data["role"]
        ).pk
