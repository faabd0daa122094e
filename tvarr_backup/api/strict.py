"""Serializers that take JSON at its word: no value is turned into another type, no member is passed over in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, ClassVar

from rest_framework import serializers

from tvarr_backup.quoting import quoted

_SHOWN_CHARACTERS = 80
_SHOWN_MEMBERS = 20
_MOST_EXACT = 2**53
"""Beyond it, programs that keep numbers as fractions do not agree on which whole number is meant."""
_SCHEMA_MEMBER = "$schema"  # tvarr's web framework writes it into its answers, and its clients may send it back


OPTIONAL: Mapping[str, Any] = {"required": False, "allow_null": True}
"""Options of a member that may be left out, or be null."""


def messages(expected: str, wrong_type: str = "invalid", **others: str) -> dict[str, Any]:
    """Return the messages of a field that expects this; `wrong_type` is REST framework's key for another type."""
    return {wrong_type: f"Allowed is {expected}.", "null": f"It is null; allowed is {expected}.", **others}


def refusal(name: str, sentence: str, code: str) -> serializers.ValidationError:
    """Return the refusal of one member, parameter or field of a form."""
    return serializers.ValidationError({name: [serializers.ErrorDetail(sentence, code)]})


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses members that it does not know, by name.

    A read-only member may be sent as it was read, so that an answer can be sent back; another value is refused. Members in
    `ignored` say nothing of the object itself and may be sent with any value.
    """

    ignored: ClassVar[frozenset[str]] = frozenset({_SCHEMA_MEMBER})

    default_error_messages = {"invalid": "Allowed is an object."}

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            sentence = str(self.error_messages["invalid"])
            raise serializers.ValidationError({"non_field_errors": [serializers.ErrorDetail(sentence, code="invalid")]})
        refused = dict(self._refused(data))
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as problem:
            raise serializers.ValidationError({**problem.detail, **refused}) from problem  # type: ignore[dict-item]
        if refused:
            raise serializers.ValidationError(refused)
        return values

    def _refused(self, data: Mapping[str, Any]) -> Iterator[tuple[str, list[serializers.ErrorDetail]]]:
        unknown = [name for name in data if name not in self.fields and name not in self.ignored]
        for name in unknown[:_SHOWN_MEMBERS]:
            shown = name[:_SHOWN_CHARACTERS]
            yield shown, [serializers.ErrorDetail(f"{quoted(name)} is not known here.", code="unknown_member")]
        sent = [name for name, field in self.fields.items() if field.read_only and name in data]
        as_read = {} if self.instance is None or not sent else self.to_representation(self.instance)
        for name in sent:
            if name not in as_read or as_read[name] != data[name]:
                sentence = f"“{name}” cannot be set; allowed is to leave it out, or to send it as it was read."
                yield name, [serializers.ErrorDetail(sentence, code="read_only")]


class Text(serializers.CharField):
    """A JSON text, as it was sent."""

    default_error_messages = messages(
        "a text",
        blank="It is empty; allowed is a text that is not.",
        max_length="It is longer than {max_length} characters, which is the most that is allowed.",
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return data


class Flag(serializers.BooleanField):
    """JSON's `true` or `false`."""

    default_error_messages = messages("true or false")

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid")
        return data


class Whole(serializers.IntegerField):
    """A whole number of JSON, which makes no difference between `5` and `5.0`."""

    default_error_messages = messages(
        "a whole number",
        min_value="It is less than {min_value}, which is the least that is allowed.",
        max_value="It is more than {max_value}, which is the most that is allowed.",
    )

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, (int, float, Decimal)):
            self.fail("invalid")
        if not isinstance(data, int) and (abs(data) > _MOST_EXACT or data != int(data)):
            self.fail("invalid")
        return int(data)


class Word(serializers.ChoiceField):
    """One of a few words."""

    default_error_messages = messages("a text")

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str) or data not in self.choices:
            allowed = ", ".join(str(word) for word in self.choices)
            raise serializers.ValidationError(f"Allowed is one of: {allowed}.", code="invalid_choice")
        return data


class Texts(serializers.ListField):
    """A list of JSON texts."""

    default_error_messages = messages(
        "a list of texts",
        "not_a_list",
        max_length="It has more than {max_length} entries, which is the most that is allowed.",
    )
    child = Text()


class TextsByName(serializers.DictField):
    """An object whose members are all JSON texts."""

    default_error_messages = messages("an object with texts", "not_a_dict")
    child = Text()
