"""The form of a location, derived from the options of its kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from tvarr_backup.backups.retention import Period
from tvarr_backup.errors import LocationInvalid, SecretsLost
from tvarr_backup.locations.addresses import OPTIONS, REQUIRED_CREDENTIALS, LocationKind, Option
from tvarr_backup.operations import actions, locations
from tvarr_backup.operations.models import NO_AGE_LIMIT, Location
from tvarr_backup.quoting import quoted
from tvarr_backup.web.forms import RetentionForm, Styled

_START = "option_"
_REMOVE = "remove_"
_OF_SEVERAL_LINES = {"private_key"}
_NO_AUTOFILL = {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}


class _SecretTextarea(forms.Textarea):
    """A text of several lines that is never sent back to the browser."""

    def format_value(self, _value: Any) -> str:
        return ""


class LocationForm(RetentionForm):
    """Name, options and retention of a location. An empty secret field keeps what is stored."""

    name = forms.CharField(
        max_length=50,
        label="Name (required)",
        help_text='Lower-case letters, digits and hyphens, such as "nas".',
        error_messages={"required": 'Expected a name such as "nas".'},
    )

    def __init__(self, location: Location, *args: Any, **kwargs: Any) -> None:
        self.location, self.kind = location, LocationKind(location.kind)
        self.are_secrets_lost = False
        self.stored: frozenset[str] = frozenset()
        try:
            self.stored = locations.stored_secrets(location)
        except SecretsLost:
            self.are_secrets_lost = True
        super().__init__(*args, **{"initial": _initial_values(location), **kwargs})
        added = {_START + option.name: _field_of(self.kind, option, self.stored) for option in OPTIONS[self.kind]}
        self.style(added.values())
        self.fields.update(added)

    @property
    def option_fields(self) -> list[forms.BoundField]:
        names = [start + option.name for option in OPTIONS[self.kind] for start in (_START, _REMOVE)]
        return [self[name] for name in names if name in self.fields]

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        for validate in Location._meta.get_field("name").validators:
            validate(name)
        if name in locations.RESERVED_NAMES:
            raise ValidationError(f"Expected another name than {quoted(name)}.")
        if Location.objects.filter(name=name).exclude(pk=self.location.pk).exists():
            raise ValidationError(f"There is already a location {quoted(name)}.")
        return name

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        for option in OPTIONS[self.kind]:
            self._clean_option(option)
        if not self.errors:
            try:
                locations.read_options(self.location, self.options())
            except LocationInvalid as problem:
                self._add_problem(problem)
        return given

    def _clean_option(self, option: Option) -> None:
        text = self.cleaned_data.get(_START + option.name)
        try:
            if text and not option.is_flag:
                option.read(text)
        except ValueError:
            got = "" if option.is_secret else f", got {quoted(text)}"
            self.add_error(_START + option.name, f"Expected {option.expected}{got}.")

    def _add_problem(self, problem: LocationInvalid) -> None:
        """Show an error next to the option that it names."""
        field = f"{_START}{problem.sentence.facts.get('name', '')}"
        if field in self.fields:
            expected = "a password or a private key" if self.kind is LocationKind.SFTP else "a key"
            self.add_error(field, f"Expected {expected}.")
        else:
            self.add_error(None, problem.sentence.for_page())

    def options(self) -> Mapping[str, str | None]:
        """Return the options as they were filled in."""
        return {option.name: self._text_of(option) for option in OPTIONS[self.kind]}

    def _text_of(self, option: Option) -> str:
        value = self.cleaned_data[_START + option.name]
        if option.is_flag:
            return "yes" if value else "no"
        text = str(value).replace("\r\n", "\n")
        return f"{text.rstrip()}\n" if option.name in _OF_SEVERAL_LINES and text.strip() else text

    def retention(self) -> dict[str, Any]:
        """Return the columns of the retention."""
        given = self.cleaned_data
        age = {"max_age": "" if given["max_age"] == NO_AGE_LIMIT else given["max_age"]}
        if given["keeping"] == "all":
            return {"keep": None, **age}
        return {"keep": given["keep"], **{str(period): given[period] or 0 for period in Period}, **age}


class NewLocationForm(LocationForm):
    """A new location, with its encryption."""

    encryption = forms.ChoiceField(
        label="Encryption",
        choices=[
            ("new", "Encrypt, with a new key"),
            ("recipient", "Encrypt, to a recipient that I have"),
            ("none", "Do not encrypt"),
        ],
        widget=forms.RadioSelect,
    )
    recipient = forms.CharField(
        required=False,
        max_length=2_000,
        widget=forms.TextInput(attrs=_NO_AUTOFILL),
        help_text='A recipient of age such as "age1…", or a public key of SSH such as "ssh-ed25519 …".',
    )
    has_identity = forms.BooleanField(
        required=False, label="I have the identity of this recipient, and not only on this server"
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["encryption"].initial = "none" if self.kind is LocationKind.FOLDER else "new"

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if given.get("encryption") == "recipient":
            if not given.get("recipient"):
                self.add_error("recipient", 'Expected a recipient such as "age1…" or "ssh-ed25519 …".')
            if not given.get("has_identity"):
                self.add_error(
                    "has_identity", "Without the identity nobody can read the copies. Confirm that you have it."
                )
        return given


class ChangedLocationForm(LocationForm):
    """An existing location. Deletions by a shorter retention have to be confirmed, and stored secrets can be removed."""

    agreed = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.deletions: Sequence[str] = ()
        required = REQUIRED_CREDENTIALS.get(self.kind, ())
        removable = [one for one in OPTIONS[self.kind] if one.name in self.stored and one.name not in required]
        added = {
            _REMOVE + one.name: forms.BooleanField(required=False, label=f"Remove the stored {one.label.lower()}")
            for one in removable
        }
        self.style(added.values())
        self.fields.update(added)

    @property
    def has_secrets(self) -> bool:
        return any(option.is_secret for option in OPTIONS[self.kind])

    @property
    def agreement(self) -> str:
        """The value of `agreed` that confirms exactly these deletions."""
        return actions.fingerprint_of_deletions(self.deletions)

    def options(self) -> dict[str, str | None]:
        """Return the options as they were filled in, None for a secret that is to be removed."""
        removed = {name for name in self.fields if name.startswith(_REMOVE) and self.cleaned_data.get(name)}
        return {name: text or (None if _REMOVE + name in removed else text) for name, text in super().options().items()}


class IdentityForm(Styled, forms.Form):
    """The identity of a recipient, typed back or to be stored."""

    identity = forms.CharField(
        max_length=2_000,
        widget=forms.TextInput(attrs=_NO_AUTOFILL),
        help_text="The line of the recovery kit that starts with AGE-SECRET-KEY-1.",
        error_messages={"required": "Expected the line that starts with AGE-SECRET-KEY-1."},
    )

    def __init__(self, recipient: str, *args: Any) -> None:
        super().__init__(*args)
        if recipient.startswith("ssh-"):
            self.fields["identity"] = forms.CharField(
                max_length=20_000,
                widget=_SecretTextarea(attrs={"rows": 4, **_NO_AUTOFILL}),
                help_text="The private key of SSH, without a passphrase.",
                error_messages={"required": "Expected a private key of SSH."},
            )
            self.style([self.fields["identity"]])


def _initial_values(location: Location) -> dict[str, Any]:
    return {
        "name": location.name,
        "keeping": "newest" if location.keep else "all",
        "keep": location.keep or Location().keep,
        **{str(period): getattr(location, period) for period in Period},
        "max_age": location.max_age,
        **{_START + name: value for name, value in _initial_options(location)},
    }


def _initial_options(location: Location) -> Iterator[tuple[str, str | bool]]:
    for option in OPTIONS[LocationKind(location.kind)]:
        text = location.options.get(option.name, "" if location.options else option.default)
        yield option.name, text == "yes" if option.is_flag else text


def _field_of(kind: LocationKind, option: Option, stored: frozenset[str]) -> forms.Field:
    is_required = option.is_required or option.name in REQUIRED_CREDENTIALS.get(kind, ())
    label = f"{option.label} (required)" if is_required else option.label
    if option.is_flag:
        return forms.BooleanField(label=label, required=False, help_text=_as_sentence(option.help))
    help_text = _as_sentence(option.help)
    if option.name in stored:
        help_text = f"{help_text} Stored, and not shown. Leave it empty to keep it.".strip()
    return forms.CharField(
        label=label,
        required=is_required and option.name not in stored,
        max_length=20_000 if option.is_secret else 2_000,
        strip=not option.is_secret,
        widget=_widget_of(option),
        help_text=help_text,
        error_messages={"required": f"Expected {option.expected}."},
    )


def _as_sentence(text: str) -> str:
    return f"{text}." if text else ""


def _widget_of(option: Option) -> forms.Widget:
    if option.name in _OF_SEVERAL_LINES:
        return _SecretTextarea(attrs={"rows": 4, **_NO_AUTOFILL})
    if option.is_secret:
        return forms.PasswordInput(attrs={"autocomplete": "new-password"})
    return forms.TextInput(attrs=_NO_AUTOFILL)
