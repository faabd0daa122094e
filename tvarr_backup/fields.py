"""Model fields for tvarr's columns, with tvarr's storage formats and its meaning of NULL."""

import json
import re
import time
from datetime import datetime
from functools import cached_property
from threading import Lock
from typing import Any, Self

from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.lookups import Exact, IsNull
from django.forms import CharField as CharFormField
from django.forms import Field as FormField
from django.forms import Textarea
from django.utils.text import capfirst
from ulid import ULIDGenerator

from tvarr_backup.quoting import cut, format_choices
from tvarr_backup.ranges import known_moment
from tvarr_backup.texts import escape_hidden
from tvarr_backup.timestamps import read_timestamp, write_timestamp

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_ZERO_ULID = "0" * 26
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_MALFORMED = re.compile("[\0\ud800-\udfff]")


class Unreadable(str):
    """A stored value of another type than its column, for display. The row has `stands_for` instead."""

    __slots__ = ("stands_for",)
    stands_for: Any

    def __new__(cls, text: str, stands_for: Any) -> Self:
        value = super().__new__(cls, text)
        value.stands_for = stands_for
        return value


def read_text(raw: bytes) -> str:
    """Decode SQLite's text, with U+FFFD for bytes that are not UTF-8, so that one value cannot hide a table."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        text = raw.decode(errors="replace")
        return Unreadable(text, stands_for=text)


def _unreadable(value: object, stands_for: Any) -> Unreadable:
    return Unreadable(str(read_text(value) if isinstance(value, bytes) else value), stands_for)


class _MonotonicUlids:
    """Makes ULIDs that sort in the order of their creation, even when the clock steps back."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._last_ms = 0
        self._generator = ULIDGenerator(clock=self._never_back)

    def _never_back(self) -> int:
        self._last_ms = max(self._last_ms, time.time_ns() // 1_000_000)
        return self._last_ms

    def next(self) -> str:
        with self._lock:
            return str(self._generator.generate())


_ulids = _MonotonicUlids()


def is_ulid(value: object) -> bool:
    return isinstance(value, str) and bool(_ULID.fullmatch(value)) and value != _ZERO_ULID


def new_ulid() -> str:
    """Return a new key of 26 characters. It sorts after all earlier keys of this process."""
    return _ulids.next()


def parse_ulid(value: object) -> str:
    """Return the key in upper case. Raise `ValidationError`, also for keys that tvarr would change."""
    text = value.upper() if isinstance(value, str) else ""
    if not _ULID.fullmatch(text) or text == _ZERO_ULID:
        raise ValidationError(
            "Expected an id of 26 characters (0-9 and A-Z without I, L, O and U, the first from 0 to 7, not all zeros), got "
            '"%(value)s".',
            code="invalid_ulid",
            params={"value": escape_hidden(cut(str(value)))},
        )
    return text


class ULIDField(models.CharField):  # type: ignore[type-arg]  # Django has no subscript at run time
    """tvarr's key (`varchar(26)`). Input is validated; stored keys are not."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_length"] = 26
        super().__init__(*args, **kwargs)

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "varchar(26)"

    def to_python(self, value: Any) -> Any:
        return value if value in self.empty_values else parse_ulid(value)

    expected = "an id in UTF-8"

    def get_prep_value(self, value: Any) -> Any:
        """Accept an invalid key in queries, because a row may have one."""
        value = models.Field.get_prep_value(self, value)  # CharField's would call to_python, which validates
        if value in self.empty_values:
            return None
        try:
            return parse_ulid(value)
        except ValidationError:
            return str(value)

    def get_db_prep_save(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        """Refuse to store an invalid key. Raise `ValidationError`."""
        if value not in self.empty_values and not hasattr(value, "as_sql"):
            parse_ulid(value)
        return super().get_db_prep_save(value, connection)

    def from_db_value(self, value: Any, *_: object) -> str | None:
        return (read_text(value) if isinstance(value, bytes) else value) or None  # tvarr reads '' as NULL


def validate_well_formed(value: str) -> None:
    """Refuse NUL and unpaired surrogates, which UTF-8 files and SQLite cannot contain."""
    malformed = _MALFORMED.search(value)
    if malformed is not None:
        raise ValidationError(
            "Expected text without NUL and unpaired surrogates, got U+%(point)s at character %(position)s.",
            code="malformed_text",
            params={"position": malformed.start() + 1, "point": f"{ord(malformed[0]):04X}"},
        )


class TextColumn(models.TextField):  # type: ignore[type-arg]  # Django has no subscript at run time
    """A `text` column in which NULL and "" mean the same, as in tvarr. `max_length` is that of tvarr's forms.

    `words` are choices that forms and filters offer and the model validates. Migrations do not contain them.
    """

    default_validators = [validate_well_formed]
    default_error_messages = {"null": "This field is required."}
    expected = "text in UTF-8"

    def __init__(self, *args: Any, words: type[models.TextChoices] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.words = words.choices if words else []
        if self.max_length is not None:
            self.validators.append(
                MaxLengthValidator(
                    self.max_length, message="Expected at most %(limit_value)s characters, got %(show_value)s."
                )
            )

    def from_db_value(self, value: Any, *_: object) -> str:
        if isinstance(value, str):
            return value
        return "" if value is None else read_text(value) if isinstance(value, bytes) else str(value)

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return "" if value is None else value

    def formfield(self, **kwargs: Any) -> FormField | None:  # type: ignore[override]  # by name alone, as Django calls it
        return super().formfield(**{"form_class": TextFormField, **kwargs})


class TextFormField(CharFormField):
    """A text field that ignores how browsers change line breaks. Spaces around a changed text are removed."""

    def to_python(self, value: Any) -> Any:
        return super().to_python(value.replace("\r\n", "\n") if isinstance(value, str) else value)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return not self.disabled and self._as_sent(initial) != self._as_sent(data)

    def _as_sent(self, text: Any) -> str:
        line_break = "\n" if isinstance(self.widget, Textarea) else ""
        return _LINE_BREAK.sub(line_break, "" if text is None else str(text))


class TextChoiceColumn(TextColumn):
    """A `text` column with a fixed set of values."""

    @cached_property
    def _values(self) -> list[str]:
        return [str(value) for value, _label in self.flatchoices]

    def validate(self, value: Any, model_instance: models.Model | None) -> None:
        if value in self.empty_values or value in self._values:
            models.TextField.validate(self, value, model_instance)
            return
        raise invalid_choice(value, self._values)


def invalid_choice(value: object, expected: list[str]) -> ValidationError:
    return ValidationError(
        'Expected %(expected)s, got "%(value)s".',
        code="invalid_choice",
        params={"value": escape_hidden(cut(str(value))), "expected": format_choices(filter(None, expected))},
    )


class FlagColumn(models.BooleanField):  # type: ignore[type-arg]  # Django has no subscript at run time
    """A Boolean, stored as 0, 1 or NULL. NULL means the column's default, in queries too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["null"] = True
        kwargs.setdefault("default", False)
        super().__init__(*args, **kwargs)

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "boolean" if connection.vendor == "postgresql" else "numeric"

    expected = "0 or 1"

    def from_db_value(self, value: Any, *_: object) -> bool | Unreadable:
        if isinstance(value, int):
            return bool(value)
        return bool(self.default) if value is None else _unreadable(value, bool(self.default))

    def get_prep_value(self, value: Any) -> Any:
        return bool(self.default) if value is None else super().get_prep_value(value)

    def formfield(self, *args: Any, **kwargs: Any) -> FormField | None:
        self.null = False  # for a check box instead of Django's list with "Unknown"
        try:
            return super().formfield(*args, **kwargs)
        finally:
            self.null = True


@FlagColumn.register_lookup
class _FlagExact(Exact):  # type: ignore[type-arg]  # the stub is generic, the class is not
    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper) -> Any:
        left, left_params = self.process_lhs(compiler, connection)
        default = bool(self.lhs.output_field.default)
        right, right_params = self.process_rhs(compiler, connection)
        return f"COALESCE({left}, %s) = {right}", [*left_params, default, *right_params]


@FlagColumn.register_lookup
class _FlagIsNull(IsNull):
    """No flag is NULL, because NULL means the default. Django uses this lookup in `exclude`."""

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper) -> Any:
        return ("1 = 0" if self.rhs else "1 = 1"), []


class IntegerColumn(models.BigIntegerField):  # type: ignore[type-arg]  # Django has no subscript at run time
    """A 64-bit integer: `integer` in SQLite, `bigint` in PostgreSQL."""

    expected = "a whole number"

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "bigint" if connection.vendor == "postgresql" else "integer"

    def from_db_value(self, value: Any, *_: object) -> int | Unreadable | None:
        return value if value is None or isinstance(value, int) else _unreadable(value, None)


class TimestampColumn(models.DateTimeField):  # type: ignore[type-arg]  # Django has no subscript at run time
    """A time, stored as text in UTC and read in every form that tvarr writes (see `timestamps`); other text is None.

    Never compare or sort by the stored text, because offsets differ.
    """

    def get_internal_type(self) -> str:
        return "TimestampColumn"  # with Django's type, the backend would apply its own converters

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "timestamp with time zone" if connection.vendor == "postgresql" else "datetime"

    def from_db_value(self, value: Any, *_: object) -> datetime | None:
        return known_moment(value) if isinstance(value, datetime) else read_timestamp(value)

    def get_db_prep_value(  # Django passes `prepared` by position
        self,
        value: Any,
        connection: BaseDatabaseWrapper,
        prepared: bool = False,  # noqa: FBT001, FBT002
    ) -> Any:
        if not prepared:
            value = self.get_prep_value(value)
        if not isinstance(value, datetime) or connection.vendor == "postgresql":
            return value
        return write_timestamp(value)


class CodecListColumn(models.TextField):  # type: ignore[type-arg]  # Django has no subscript at run time
    """Codec names as JSON text (`["h264","h265"]`); "" accepts everything.

    The value is a list, or the stored text if it is not a JSON list of strings. tvarr then accepts everything, so an export
    or an edit must not hide it.
    """

    expected = "a JSON list of codec names"

    def from_db_value(self, value: Any, *_: object) -> list[str] | str:
        text = read_text(value) if isinstance(value, bytes) else value
        names = text if isinstance(text, Unreadable) else read_codec_list(text)
        return names if isinstance(names, list) else Unreadable(names, stands_for=str(names))

    def to_python(self, value: Any) -> Any:
        return value if isinstance(value, list) else read_codec_list(value)

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, list):
            return json.dumps(value, separators=(",", ":"), ensure_ascii=False) if value else ""
        return "" if value is None else value

    def value_to_string(self, obj: models.Model) -> str:
        return str(self.get_prep_value(self.value_from_object(obj)))

    def formfield(self, *args: Any, **kwargs: Any) -> FormField | None:
        return _CodecListFormField(required=not self.blank, label=capfirst(self.verbose_name), help_text=self.help_text)


class _CodecListFormField(CharFormField):
    """Codec names separated by commas. A stored text that is not a list is displayed unchanged."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return [name.strip() for name in (value or "").split(",") if name.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(initial != self.to_python(data))


def read_codec_list(text: object) -> list[str] | str:
    """Return the names of a stored list, or the text itself if it is not a JSON list of strings."""
    if text is None or text == "":
        return []
    try:
        value = json.loads(str(text))
    except (ValueError, RecursionError):
        return str(text)
    return value if isinstance(value, list) and all(isinstance(name, str) for name in value) else str(text)
