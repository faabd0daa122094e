"""Serializers that convert no value to another type and ignore no member."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, ClassVar

from rest_framework import serializers

from tvarr_backup.quoting import format_choices, format_value, quoted

_MAX_NAME_CHARACTERS = 80
_MAX_NAMES = 20
_MAX_EXACT = 2**53
"""Beyond this, programs that store numbers as floats do not agree on a whole number."""
_SCHEMA_MEMBER = "$schema"  # tvarr's web framework adds it to answers, and clients may send it back

OPTIONAL: Mapping[str, Any] = {"required": False, "allow_null": True}
"""Options of a member that may be missing or null."""


def make_messages(expected: str, wrong_type: str = "invalid", **others: str) -> dict[str, Any]:
    """Return the error messages of a field; `wrong_type` is REST framework's key for a value of another type."""
    got = ", got {got}" if wrong_type == "invalid" else ""
    return {wrong_type: f"Expected {expected}{got}.", "null": f"Expected {expected}, got null.", **others}


def field_error(name: str, sentence: str, code: str) -> serializers.ValidationError:
    return serializers.ValidationError({name: [serializers.ErrorDetail(sentence, code)]})


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that refuses unknown members.

    A read-only member may be sent back with the value that was read. Members in `ignored` may have any value.
    """

    ignored: ClassVar[frozenset[str]] = frozenset({_SCHEMA_MEMBER})

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise field_error("non_field_errors", f"Expected an object, got {format_value(data)}.", "invalid")
        refused = dict(self._find_refused(data))
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as problem:
            raise serializers.ValidationError({**problem.detail, **refused}) from problem  # type: ignore[dict-item]
        if refused:
            raise serializers.ValidationError(refused)
        return values

    def _find_refused(self, data: Mapping[str, Any]) -> Iterator[tuple[str, list[serializers.ErrorDetail]]]:
        unknown = [name for name in data if name not in self.fields and name not in self.ignored]
        for name in unknown[:_MAX_NAMES]:
            error = serializers.ErrorDetail(f"There is no member {quoted(name)}.", code="unknown_member")
            yield name[:_MAX_NAME_CHARACTERS], [error]
        sent = [name for name, field in self.fields.items() if field.read_only and name in data]
        current = {} if self.instance is None or not sent else self.to_representation(self.instance)
        for name in sent:
            if name not in current or current[name] != data[name]:
                sentence = f'"{name}" is read-only. Leave it out, or send the value that was read.'
                yield name, [serializers.ErrorDetail(sentence, code="read_only")]


class Text(serializers.CharField):
    """A JSON string, unchanged."""

    default_error_messages = make_messages(
        "a text",
        blank="Expected a text, got an empty one.",
        max_length="Expected at most {max_length} characters, got %(show_value)s.",
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid", got=format_value(data))
        return data


class Flag(serializers.BooleanField):
    """JSON's `true` or `false`."""

    default_error_messages = make_messages("true or false")

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", got=format_value(data))
        return data


class Integer(serializers.IntegerField):
    """A whole JSON number; `5` and `5.0` are equal."""

    default_error_messages = make_messages(
        "a whole number",
        min_value="Expected at least {min_value}, got %(show_value).20s.",
        max_value="Expected at most {max_value}, got %(show_value).20s.",
    )

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, (int, float, Decimal)):
            self.fail("invalid", got=format_value(data))
        if not isinstance(data, int) and (abs(data) > _MAX_EXACT or data != int(data)):
            self.fail("invalid", got=format_value(data))
        return int(data)


class Choice(serializers.ChoiceField):
    """One of a few fixed texts."""

    default_error_messages = make_messages("a text")

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str) or data not in self.choices:
            sentence = f"Expected {format_choices(self.choices)}, got {format_value(data)}."
            raise serializers.ValidationError(sentence, code="invalid_choice")
        return data


class TextList(serializers.ListField):
    """A list of JSON strings."""

    default_error_messages = make_messages(
        "a list of texts", "not_a_list", max_length="Expected at most {max_length} entries, got %(show_value)s."
    )
    child = Text()


class TextMap(serializers.DictField):
    """An object whose values are JSON strings."""

    default_error_messages = make_messages("an object with texts", "not_a_dict")
    child = Text()
