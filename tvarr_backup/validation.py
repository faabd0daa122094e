"""Validation of the four kinds, with tvarr's rules, the same for the admin, the API and imports."""

from dataclasses import replace
from functools import lru_cache

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator

from tvarr_backup.codec_names import AUDIO_CODECS, PREFERRED_FORMATS, VIDEO_CODECS, Registry, is_known
from tvarr_backup.expressions import (
    MAX_BYTES,
    CheckedExpression,
    Domain,
    ExpressionWarning,
    WarningCode,
    check_expression,
)
from tvarr_backup.quoting import cut, format_choices
from tvarr_backup.texts import escape_hidden, find_hidden, is_malformed

INT64 = [MinValueValidator(-(2**63)), MaxValueValidator(2**63 - 1)]


CHECKED_CHARACTERS = 64 * 1024
"""Longer expressions are stored unchecked. A check takes about two seconds per megabyte, and lists check each row."""
_SHORT = 1024
_TOO_LONG = ExpressionWarning(
    WarningCode.UNCHECKED,
    1,
    f"The expression is longer than {CHECKED_CHARACTERS // 1024} KiB and was not checked. "
    "Check it with `tvarr-backup expression check`.",
)


def expression_findings(text: str, domain: Domain) -> CheckedExpression:
    """Return problems and warnings, cached without the tree, because an import checks each expression twice."""
    if len(text) > CHECKED_CHARACTERS:
        is_too_long = len(text.encode(errors="surrogatepass")) > MAX_BYTES  # refused without parsing
        return _check(text, domain) if is_too_long else CheckedExpression(warnings=(_TOO_LONG,))
    try:
        return check_short(text, domain) if len(text) <= _SHORT else check_long(text, domain)
    except _Incomplete as found:
        return found.findings


class _Incomplete(Exception):
    """Findings that must not be cached. `lru_cache` does not cache exceptions."""

    def __init__(self, findings: CheckedExpression) -> None:
        super().__init__()
        self.findings = findings


def _check(text: str, domain: Domain) -> CheckedExpression:
    findings = replace(check_expression(text, domain), tree=None)
    if any(warning.code is WarningCode.UNCHECKED for warning in findings.warnings):
        raise _Incomplete(findings)
    return findings


check_short = lru_cache(maxsize=16_384)(_check)
check_long = lru_cache(maxsize=256)(_check)


def find_expression_problems(text: str, domain: Domain) -> list[ValidationError]:
    """Return the problems of an expression that tvarr cannot run (code `invalid_expression`)."""
    return [
        ValidationError(
            "Column %(column)s: %(message)s",
            code="invalid_expression",
            params={"column": problem.column, "message": problem.message},
        )
        for problem in expression_findings(text, domain).problems
    ]


def validate_name(name: str) -> None:
    """Refuse spaces around a name, because tvarr compares names exactly, and hidden characters."""
    problems = []
    if name != name.strip():
        problems.append(
            ValidationError(
                'Expected a name without spaces around it, got "%(value)s".',
                code="blanks_around",
                params={"value": escape_hidden(cut(name))},
            )
        )
    hidden = [found for found in find_hidden(name) if not is_malformed(found.character)]
    if hidden:
        first, more = hidden[0], len(hidden) - 1
        problems.append(
            ValidationError(
                "Expected a name without control characters, line breaks, text direction marks and invisible characters, got "
                "%(point)s at character %(position)s%(more)s.",
                code="hidden_characters",
                params={
                    "position": first.position,
                    "point": first.point,
                    "more": f" (and {more} more)" if more else "",
                },
            )
        )
    if problems:
        raise ValidationError(problems)


def validate_video_codecs(names: object) -> None:
    _validate_codec_list(names, VIDEO_CODECS)


def validate_audio_codecs(names: object) -> None:
    _validate_codec_list(names, AUDIO_CODECS)


def validate_video_codec(name: str) -> None:
    _validate_value(name, VIDEO_CODECS)


def validate_audio_codec(name: str) -> None:
    _validate_value(name, AUDIO_CODECS)


def validate_preferred_format(name: str) -> None:
    _validate_value(name, PREFERRED_FORMATS)


def _validate_codec_list(names: object, registry: Registry) -> None:
    if not isinstance(names, list):
        raise ValidationError(
            'Expected a list of codec names, or an empty list to accept everything, got "%(value)s". tvarr accepts everything '
            "if it finds such a value.",
            code="invalid_codec_list",
            params={"value": escape_hidden(cut(str(names)))},
        )
    for name in names:
        _validate_value(name, registry)


def _validate_value(name: str, registry: Registry) -> None:
    if not is_known(name, registry):
        raise ValidationError(
            'Expected %(expected)s, or an alias of one of these, got "%(value)s".',
            code="unknown_codec" if registry is not PREFERRED_FORMATS else "unknown_format",
            params={"value": escape_hidden(cut(name)), "expected": format_choices(registry)},
        )
