"""The forms of receivers of alerts. Addresses and signing secrets are never sent back to the browser."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from tvarr_backup.errors import ReceiverInvalid
from tvarr_backup.operations.alert_models import Receiver
from tvarr_backup.operations.receivers import ENVIRONMENT_PREFIX, RESERVED_NAMES
from tvarr_backup.quoting import quoted
from tvarr_backup.receivers.addresses import MOST_OF_ADDRESS, ReceiverKind, parse_receiver, read_signing_key
from tvarr_backup.web.forms import Styled

_NO_AUTOFILL = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
_LABELS = {
    ReceiverKind.MAIL: "Mail address",
    ReceiverKind.WEBHOOK: "Address",
    ReceiverKind.APPRISE: "Address for apprise",
}
_EXPECTED = {
    ReceiverKind.MAIL: 'a mail address such as "me@example.com"',
    ReceiverKind.WEBHOOK: 'an address such as "https://hooks.example.com/path"',
    ReceiverKind.APPRISE: 'an address of apprise such as "ntfys://ntfy.sh/topic"',
}

_HINTS = {
    ReceiverKind.WEBHOOK: 'Such as "https://hooks.example.com/path".',
    ReceiverKind.APPRISE: 'Such as "ntfys://ntfy.sh/topic".',
}


class _UnshownInput(forms.TextInput):
    """A text that may be secret. It is shown while it is typed, and never sent back to the browser."""

    def format_value(self, _value: Any) -> str:
        return ""


class ReminderForm(Styled, forms.Form):
    """The only choice about a receiver of the environment."""

    reminds_daily = forms.BooleanField(
        required=False,
        label="Daily reminder",
        help_text="Once a day, a message lists the problems that last. Without it, there is one message when a problem begins, "
        "and one when it is over.",
    )

    def __init__(self, receiver: Receiver, *args: Any, **kwargs: Any) -> None:
        self.receiver = receiver
        initial = {"name": receiver.name, "reminds_daily": receiver.reminds_daily}
        super().__init__(*args, **{"initial": initial, **kwargs})

    def columns(self) -> dict[str, Any]:
        """Return the columns of the receiver, except its address."""
        return {"reminds_daily": self.cleaned_data["reminds_daily"]}


class ReceiverForm(ReminderForm):
    """Name, address and reminders of a receiver. An empty address keeps what is stored."""

    name = forms.CharField(
        max_length=50,
        label="Name (required)",
        help_text='Lower-case letters, digits and hyphens, such as "phone".',
        error_messages={"required": 'Expected a name such as "phone".'},
    )
    address = forms.CharField(max_length=MOST_OF_ADDRESS, widget=_UnshownInput(attrs=_NO_AUTOFILL))
    signing_secret = forms.CharField(
        required=False,
        max_length=200,
        widget=_UnshownInput(attrs=_NO_AUTOFILL),
        help_text="Signs each request, so that the receiver knows where it comes from. Leave it empty to make one.",
    )
    makes_signing_secret = forms.BooleanField(required=False, label="Make a new signing secret")
    field_order = ("name", "address", "signing_secret", "makes_signing_secret", "reminds_daily")

    def __init__(self, receiver: Receiver, *args: Any, **kwargs: Any) -> None:
        super().__init__(receiver, *args, **kwargs)
        self.kind, is_new = ReceiverKind(receiver.kind), not receiver.url
        self._set_address_field(is_new=is_new)
        if self.kind is not ReceiverKind.WEBHOOK:
            del self.fields["signing_secret"]
        elif not is_new:
            self.fields["signing_secret"].help_text = "Stored, and not shown. Leave it empty to keep it."
        if is_new or self.kind is not ReceiverKind.WEBHOOK:
            del self.fields["makes_signing_secret"]

    def _set_address_field(self, *, is_new: bool) -> None:
        field = self.fields["address"]
        field.label = f"{_LABELS[self.kind]}{' (required)' if is_new else ''}"
        field.required = is_new
        field.error_messages["required"] = f"Expected {_EXPECTED[self.kind]}."
        if self.kind is ReceiverKind.MAIL:
            field.widget = forms.EmailInput(attrs=field.widget.attrs)
            field.initial = self.receiver.url.removeprefix("mailto:")
        elif not is_new:
            field.help_text = "Stored, and not shown. Leave it empty to keep it."
        else:
            field.help_text = f"{_HINTS[self.kind]} It is stored encrypted, and not shown again."

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        for validate in Receiver._meta.get_field("name").validators:
            validate(name)
        if name in RESERVED_NAMES or name.startswith(ENVIRONMENT_PREFIX):
            raise ValidationError(f"Expected another name than {quoted(name)}.")
        if Receiver.objects.filter(name=name).exclude(pk=self.receiver.pk).exists():
            raise ValidationError(f"There is already a receiver {quoted(name)}.")
        return name

    def clean_address(self) -> str:
        """Return the address as it is stored, or "" to keep the stored one."""
        text: str = self.cleaned_data["address"]
        if not text:
            return ""
        if "://" not in text and self.kind is not ReceiverKind.MAIL:
            raise ValidationError(f"Expected {_EXPECTED[self.kind]}.")
        url = self._with_scheme(text)
        try:
            kind = parse_receiver(url).kind
        except ReceiverInvalid as problem:
            raise ValidationError(problem.sentence.for_page()) from None
        if kind is not self.kind:
            raise ValidationError(f"Expected {_EXPECTED[self.kind]}.")
        return url

    def _with_scheme(self, text: str) -> str:
        if self.kind is ReceiverKind.MAIL and not text.startswith("mailto:"):
            return f"mailto:{text}"
        if self.kind is ReceiverKind.WEBHOOK and not text.startswith("webhook+"):
            return f"webhook+{text}"
        return text

    def clean_signing_secret(self) -> str:
        text: str = self.cleaned_data["signing_secret"]
        try:
            if text:
                read_signing_key(text)
        except ReceiverInvalid as problem:
            raise ValidationError(problem.sentence.for_page()) from None
        return text

    def columns(self) -> dict[str, Any]:
        return super().columns() | {"name": self.cleaned_data["name"]}
