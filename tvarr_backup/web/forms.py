"""The forms of the pages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm

from tvarr_backup.access.models import LONGEST_NAME

_CLASSES: dict[type, str] = {
    forms.CheckboxInput: "form-check-input",
    forms.RadioSelect: "form-check-input",
    forms.Select: "form-select",
}


class Styled:
    """A mixin: every widget gets the class that Bootstrap wants of its sort."""

    fields: dict[str, forms.Field]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        for field in self.fields.values():
            field.widget.attrs.setdefault("class", _CLASSES.get(type(field.widget), "form-control"))


class SignInForm(Styled, AuthenticationForm):
    """Name and password."""


class PasswordForm(Styled, PasswordChangeForm):
    """The old password, and the new one twice."""


class TokenForm(Styled, forms.Form):
    """A new token."""

    name = forms.CharField(max_length=LONGEST_NAME, help_text="What it is for, such as “Harbour script”.")
    lifetime = forms.CharField(
        required=False, max_length=20, help_text="Such as 30d or 1w2d. Empty: until you revoke it."
    )
