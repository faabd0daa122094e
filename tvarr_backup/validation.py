"""What may be stored in the four kinds: one set of rules for the admin, the API and imports.

Columns have their own limits and words. The rest is here, from tvarr's validation rules, HTTP limits and codec registry (its
models, handlers and codec package).
"""

from dataclasses import replace
from functools import lru_cache

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator

from tvarr_backup.codecs import AUDIO_CODECS, PREFERRED_FORMATS, VIDEO_CODECS, is_known
from tvarr_backup.expressions import (
    MAX_BYTES,
    CheckedExpression,
    Domain,
    ExpressionWarning,
    WarningCode,
    check_expression,
)
from tvarr_backup.quoting import cut
from tvarr_backup.texts import escape_hidden, find_hidden, is_malformed

INT64 = [MinValueValidator(-(2**63)), MaxValueValidator(2**63 - 1)]


CHECKED_CHARACTERS = 64 * 1024
"""Longer expressions are stored unchecked: a check takes about two seconds a megabyte, and lists check each row."""
_SHORT = 1024
_TOO_LONG = ExpressionWarning(
    WarningCode.UNCHECKED,
    1,
    f"The expression is longer than {CHECKED_CHARACTERS // 1024} KiB and was not checked. "
    "The command “expression check” checks it.",
)


def expression_findings(text: str, domain: Domain) -> CheckedExpression:
    """Return problems and warnings, without the tree. They are cached, because an import checks each expression twice.

    Within `limited_regexes` some regular expressions may be unchecked, which a warning (`unchecked`) says.
    """
    if len(text) > CHECKED_CHARACTERS:
        is_too_long = len(text.encode(errors="surrogatepass")) > MAX_BYTES  # which the check refuses at once
        return _check(text, domain) if is_too_long else CheckedExpression(warnings=(_TOO_LONG,))
    try:
        return check_short(text, domain) if len(text) <= _SHORT else check_long(text, domain)
    except _Incomplete as found:
        return found.findings


class _Incomplete(Exception):
    """Returns findings that must not be cached."""

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
    """Return why tvarr could not run an expression (code `invalid_expression`)."""
    return [
        ValidationError(
            "column %(column)s: %(message)s",
            code="invalid_expression",
            params={"column": problem.column, "message": problem.message},
        )
        for problem in expression_findings(text, domain).problems
    ]


def validate_name(name: str) -> None:
    """Refuse blanks around a name, because tvarr compares names exactly, and hidden characters.

    Hidden characters make two names look the same, or act on the terminal or page that shows the name.
    """
    problems = []
    if name != name.strip():
        problems.append(
            ValidationError(
                "“%(value)s” begins or ends with a blank; allowed is a name without blanks around it.",
                code="blanks_around",
                params={"value": escape_hidden(cut(name))},
            )
        )
    hidden = [found for found in find_hidden(name) if not is_malformed(found.character)]
    if hidden:
        first, more = hidden[0], len(hidden) - 1
        problems.append(
            ValidationError(
                "Character %(position)s is %(point)s%(more)s. Expected a name without control characters, line breaks, "
                "text direction marks and invisible characters.",
                code="hidden_characters",
                params={
                    "position": first.position,
                    "point": first.point,
                    "more": f", and {more} more {'is' if more == 1 else 'are'} hidden" if more else "",
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
    _validate_word(name, VIDEO_CODECS)


def validate_audio_codec(name: str) -> None:
    _validate_word(name, AUDIO_CODECS)


def validate_preferred_format(name: str) -> None:
    _validate_word(name, PREFERRED_FORMATS)


def _validate_codec_list(names: object, registry: dict[str, tuple[str, ...]]) -> None:
    if not isinstance(names, list):
        raise ValidationError(
            "“%(value)s” is not a JSON list of codec names, and tvarr reads it as “everything accepted”; allowed is a "
            "list of names, or an empty list to accept everything.",
            code="invalid_codec_list",
            params={"value": escape_hidden(cut(str(names)))},
        )
    for name in names:
        _validate_word(name, registry)


def _validate_word(name: str, registry: dict[str, tuple[str, ...]]) -> None:
    if not is_known(name, registry):
        raise ValidationError(
            "“%(value)s” is not known to tvarr; allowed are %(allowed)s and their aliases.",
            code="unknown_codec" if registry is not PREFERRED_FORMATS else "unknown_format",
            params={"value": escape_hidden(cut(name)), "allowed": ", ".join(registry)},
        )
