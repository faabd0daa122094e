"""Forms of the kinds in the admin. Validation is in the models."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from django import forms

from tvarr_backup import codec_names
from tvarr_backup.fields import TextFormField
from tvarr_backup.models import EncodingProfile, EpgSource, PortableRow, StreamSource
from tvarr_backup.texts import escape_hidden

Choice = tuple[str, str]


def _code(*, rows: int) -> forms.Textarea:
    return forms.Textarea(attrs={"class": "vLargeTextField expression", "rows": rows, "spellcheck": "false"})


class ItemForm(forms.ModelForm):  # type: ignore[type-arg]  # the stub is generic, the class is not
    """A form that offers known values as a list. A stored unknown value stays selectable; the model validates it."""

    choices: ClassVar[Mapping[str, Sequence[Choice]]] = {}
    """Choices of columns that do not define them."""

    class Meta:
        widgets = {
            "name": forms.TextInput(attrs={"class": "vTextField"}),
            "description": forms.Textarea(attrs={"class": "vLargeTextField", "rows": 3}),
            "expression": _code(rows=6),
            "global_flags": _code(rows=2),
            "input_flags": _code(rows=2),
            "output_flags": _code(rows=2),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for column in self.instance._meta.concrete_fields:
            if choices := getattr(column, "words", None) or self.choices.get(column.name):
                self.offer(column.name, choices)
        if "source_id" in self.fields:
            self._offer_sources()
        for name, field in self.fields.items():
            if isinstance(field, forms.TypedChoiceField):
                self._offer_stored(name, field)

    def _offer_stored(self, name: str, field: forms.TypedChoiceField) -> None:
        """Add a stored unknown value to the choices, because a browser would otherwise send the first of them."""
        choices: Any = field.choices
        stored = getattr(self.instance, name) or ""
        if stored not in dict(choices):
            field.choices = [*choices, _unknown(stored)]

    def offer(self, name: str, choices: Iterable[Any]) -> None:
        """Make the field a list with these choices and the stored value."""
        if name not in self.fields:  # read-only
            return
        stored = getattr(self.instance, name) or ""
        offered = list(choices)
        known = {value for choice in offered for value in _values(choice)}
        if stored not in known:
            offered.append(_unknown(stored))
        self.fields[name].widget = forms.Select(choices=offered)

    def _offer_sources(self) -> None:
        streams, guides = (
            [(source.pk, str(source)) for source in model.objects.order_by("name").only("pk", "name")]
            for model in (StreamSource, EpgSource)
        )
        self.offer("source_id", [("", "Any source"), ("Stream sources", streams), ("Guide sources", guides)])
        self.fields["source_id"].label = "Source"
        self.fields["source_id"].help_text = ""

    def clean(self) -> dict[str, Any]:
        """Keep unchanged fields as tvarr stored them, without validation."""
        for name in self.fields.keys() - set(self.changed_data):
            self.errors.pop(name, None)
            if isinstance(self.fields[name], TextFormField):
                self.cleaned_data[name] = self.initial.get(name)
        return self.cleaned_data


def _registry_choices(registry: Iterable[str]) -> list[Choice]:
    return [("", "No preference"), *((name, name) for name in registry)]


class ClientDetectionRuleForm(ItemForm):
    choices = {
        "preferred_video_codec": _registry_choices(codec_names.VIDEO_CODECS),
        "preferred_audio_codec": _registry_choices(codec_names.AUDIO_CODECS),
        "preferred_format": _registry_choices(codec_names.PREFERRED_FORMATS),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, registry in (
            ("accepted_video_codecs", codec_names.VIDEO_CODECS),
            ("accepted_audio_codecs", codec_names.AUDIO_CODECS),
        ):
            if name in self.fields:
                self.fields[name].widget = forms.TextInput(attrs={"class": "vTextField"})
                self.fields[
                    name
                ].help_text = f"Separated by commas. Leave empty to accept everything. Known: {', '.join(registry)}."
        profile = self.fields.get("encoding_profile")
        if isinstance(profile, forms.ModelChoiceField):
            profile.queryset = _selectable_profiles(self.instance)


def _selectable_profiles(rule: PortableRow) -> Any:
    """Return all profiles except deleted ones, but include the rule's own, so that saving the rule keeps its link."""
    live = EncodingProfile.all_rows.filter(deleted_at__isnull=True)
    own = EncodingProfile.all_rows.filter(pk=getattr(rule, "encoding_profile_id", None))
    return (live | own).order_by("name")


def _unknown(stored: str) -> Choice:
    return stored, f"{escape_hidden(stored)} (unknown)" if stored else "Not set"


def _values(choice: tuple[str, Any]) -> Iterable[str]:
    value, label = choice
    return [value] if isinstance(label, str) else [inner for inner, _name in label]
