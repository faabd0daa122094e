"""What may be stored in the four kinds: one set of rules for the admin, the API and imports.

The model fields carry their own limits and words; here is what needs more than one look at a value. Sources: the
validation rules, HTTP limits and codec registry of tvarr (its models, handlers and codec package).
"""

from functools import lru_cache
from typing import NamedTuple

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator

from tvarr_backup.codecs import AUDIO_CODECS, PREFERRED_FORMATS, VIDEO_CODECS, is_known
from tvarr_backup.expressions import Domain, Problem, Warned, WarningCode, check_expression
from tvarr_backup.quoting import cut

INT64 = [MinValueValidator(-(2**63)), MaxValueValidator(2**63 - 1)]


class Findings(NamedTuple):
    """What a check of an expression found."""

    problems: tuple[Problem, ...]
    warnings: tuple[Warned, ...]


def expression_findings(text: str, domain: Domain) -> Findings:
    """Problems and warnings of an expression; remembered, because an import checks each one twice.

    Within `limited_regexes` they may be without those of some regular expressions, which a warning (`unchecked`) says.
    """
    try:
        return remembered_findings(text, domain)
    except _Incomplete as found:
        return found.findings


class _Incomplete(Exception):
    """Carries what is not to be remembered past the cache."""

    def __init__(self, findings: Findings) -> None:
        super().__init__()
        self.findings = findings


@lru_cache(maxsize=16_384)
def remembered_findings(text: str, domain: Domain) -> Findings:
    check = check_expression(text, domain)
    findings = Findings(check.problems, check.warnings)
    if any(warned.code is WarningCode.UNCHECKED for warned in findings.warnings):
        raise _Incomplete(findings)
    return findings


def validate_expression(text: str, domain: Domain) -> None:
    """Refuse an expression that tvarr could not run; `ValidationError` (code `invalid_expression`) with the column."""
    problems = expression_findings(text, domain).problems
    if problems:
        raise ValidationError(
            [
                ValidationError(
                    "column %(column)s: %(message)s",
                    code="invalid_expression",
                    params={"column": problem.column, "message": problem.message},
                )
                for problem in problems
            ]
        )


def validate_name(name: str) -> None:
    """Refuse blanks around a name: tvarr compares names exactly, and nobody sees the difference."""
    if name != name.strip():
        raise ValidationError(
            "“%(value)s” begins or ends with a blank; allowed is a name without blanks around it.",
            code="blanks_around",
            params={"value": cut(name)},
        )


def validate_video_codecs(names: object) -> None:
    """Refuse a list with a name that tvarr's registry of video codecs lacks."""
    _validate_codec_list(names, VIDEO_CODECS)


def validate_audio_codecs(names: object) -> None:
    """Refuse a list with a name that tvarr's registry of audio codecs lacks."""
    _validate_codec_list(names, AUDIO_CODECS)


def validate_video_codec(name: str) -> None:
    """Refuse a name that tvarr's registry of video codecs lacks."""
    _validate_word(name, VIDEO_CODECS)


def validate_audio_codec(name: str) -> None:
    """Refuse a name that tvarr's registry of audio codecs lacks."""
    _validate_word(name, AUDIO_CODECS)


def validate_preferred_format(name: str) -> None:
    """Refuse a container format that tvarr would not recognise."""
    _validate_word(name, PREFERRED_FORMATS)


def validate_one_of(value: str, allowed: list[str]) -> None:
    """Refuse a word that is not in the list."""
    if value not in allowed:
        raise ValidationError(
            "“%(value)s” is not allowed here; allowed are %(allowed)s.",
            code="invalid_choice",
            params={"value": value[:80], "allowed": ", ".join(allowed)},
        )


def _validate_codec_list(names: object, registry: dict[str, tuple[str, ...]]) -> None:
    if not isinstance(names, list):
        raise ValidationError(
            "“%(value)s” is not a JSON list of codec names, and tvarr reads it as “everything accepted”; allowed is a "
            "list of names, or an empty list to accept everything.",
            code="invalid_codec_list",
            params={"value": str(names)[:80]},
        )
    for name in names:
        _validate_word(name, registry)


def _validate_word(name: str, registry: dict[str, tuple[str, ...]]) -> None:
    if not is_known(name, registry):
        raise ValidationError(
            "“%(value)s” is not known to tvarr; allowed are %(allowed)s and their aliases.",
            code="unknown_codec" if registry is not PREFERRED_FORMATS else "unknown_format",
            params={"value": name[:80], "allowed": ", ".join(registry)},
        )
