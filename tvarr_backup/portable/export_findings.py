"""Findings about the rows of an export: what tvarr would refuse or cannot run, and what looks like credentials.

Credentials are a guess from the form of a text. These forms are found, in any letter case, percent-encoded, and with the backslashes of
expressions and regular expressions: a password in a URL, parameters and options such as `token=`, headers such as `Authorization`, and
the paths of Xtream servers, `/live/USER/PASSWORD/1.ts` and `http://host:port/USER/PASSWORD/1`. Placeholders such as `token=[^&]+`,
`$1`, `{token}` or `PASSWORD` are ignored. Other texts, such as "the password is ...", are not recognized.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any
from urllib.parse import unquote

from tvarr_backup.expressions import WarningCode
from tvarr_backup.formatting import format_count
from tvarr_backup.models import PortableRow
from tvarr_backup.portable.findings import INVALID_EXPRESSION
from tvarr_backup.portable.kinds import Identity, JsonType, Kind, identity_of
from tvarr_backup.quoting import cut, quoted
from tvarr_backup.sentences import Sentence


class ExportFindingCode(StrEnum):
    INVALID_EXPRESSION = "invalid_expression"
    UNCHECKED_EXPRESSION = "unchecked_expression"
    INVALID_VALUE = "invalid_value"
    PASSWORD_IN_URL = "password_in_url"  # noqa: S105  # a code
    SECRET_PARAMETER = "secret_parameter"  # noqa: S105  # a code
    AUTHORIZATION_HEADER = "authorization_header"
    CREDENTIALS_IN_PATH = "credentials_in_path"


@dataclass(frozen=True, slots=True)
class ExportFinding:
    """What a user should check in an item before sharing it. Of the values of the row, it has only the name and the source type.

    `identity` has only the id if the name or the source type itself contains credentials.
    """

    kind: Kind
    row_id: str
    identity: Identity
    member: str
    code: ExportFindingCode
    message: Sentence

    @property
    def item(self) -> Sentence:
        """The kind, the name and the source type of the item."""
        name, source_type = self.identity
        sentence = "{kind} {name} ({source_type})" if source_type else "{kind} {name}"
        shown = name if name == self.row_id else quoted(name)
        return Sentence(sentence, kind=self.kind.model._meta.verbose_name, name=shown, source_type=cut(source_type))

    @property
    def warning(self) -> Sentence:
        return Sentence("{item}: {message}", item=self.item, message=self.message)


def find_in_row(kind: Kind, row: PortableRow) -> Iterator[ExportFinding]:
    """Yield the findings about a row, at most one for each member and code."""
    credentials = [
        (member.name, code)
        for member in kind.members
        if member.type is JsonType.TEXT and (kind.reference is None or member.name != kind.reference.member)
        for code in find_credentials(getattr(row, member.name) or "")
    ]
    identity = identity_of(row)
    if any(member in ("name", "source_type") for member, _code in credentials):
        identity = Identity(row.pk)
    for member, code, message in _find_invalid(row):
        yield ExportFinding(kind, row.pk, identity, member, code, message)
    for member, code in credentials:
        field: Any = kind.model._meta.get_field(member)
        message = Sentence(
            "The {member} may contain credentials: {form}.", member=field.verbose_name, form=_DESCRIPTIONS[code]
        )
        yield ExportFinding(kind, row.pk, identity, member, code, message)


def list_warnings(findings: Iterable[ExportFinding], most: int) -> list[str]:
    """Return the warnings of the first findings, and a sentence about the number of others."""
    remaining = iter(findings)
    warnings: list[str] = [finding.warning for finding in islice(remaining, most)]
    if more := sum(1 for _ in remaining):
        sentence = "Not listed here: {count}. See the preview on the Export page."
        warnings.append(Sentence(sentence, count=format_count(more, "more warning")))
    return warnings


def _find_invalid(row: PortableRow) -> Iterator[tuple[str, ExportFindingCode, Sentence]]:
    """Yield problems with fixed sentences, because those of the validation quote values."""
    stored: Any = row
    if row.domain and not stored.expression:
        yield "expression", ExportFindingCode.INVALID_EXPRESSION, Sentence("The expression is empty.")
    for member, problems in row.find_problems().items():
        for problem in problems[:1]:
            if problem.code == INVALID_EXPRESSION:
                sentence = "The expression is invalid (column {column}). tvarr stores it but cannot run it."
                message = Sentence(sentence, column=(problem.params or {})["column"])
                yield member, ExportFindingCode.INVALID_EXPRESSION, message
            else:
                message = Sentence("The value of {member} is invalid.", member=member)
                yield member, ExportFindingCode.INVALID_VALUE, message
    if any(warning.code is WarningCode.UNCHECKED for warning in row.expression_warnings()):
        message = Sentence("The expression was not checked completely, because it is too long or too complex.")
        yield "expression", ExportFindingCode.UNCHECKED_EXPRESSION, message


# --- Credentials -----------------------------------------------------------------------------------------------------

_PARAMETERS = (
    r"user_?name|password|passwd|passphrase|pwd|(?:access_|auth_|refresh_)?token|api[_-]?key|(?:client_)?secret"
    r"|(?:de|en)cryption_key"
)
_ONLY_IN_QUERIES = "user|pass|auth|key|login"
"""Names of parameters that have other meanings elsewhere, such as `-pass 1` of ffmpeg."""
_HEADERS = r"(?:proxy-)?authorization|x-(?:[a-z]{1,20}-){0,3}(?:key|token|secret|auth)"
_COMPARISON = r"""\s+(?:not_)?(?:equals|contains|starts_with|ends_with|matches)\s*["']"""
_VALUE = r"""(?P<value>[^\s&"'#;,|]+)"""
_SEGMENT = r"""[^\s/?#"'<>]+"""
_SERVER = rf"//{_SEGMENT}"
_NOT_A_USER = r"(?!(?:live|movie|series|timeshift|hls)/)"
_DESCRIPTIONS = {
    ExportFindingCode.PASSWORD_IN_URL: "a user name and password in a URL",
    ExportFindingCode.SECRET_PARAMETER: "a parameter such as a user name, password, token or key",
    ExportFindingCode.AUTHORIZATION_HEADER: "an HTTP header such as Authorization",
    ExportFindingCode.CREDENTIALS_IN_PATH: "the URL of a stream with a user name and password in its path",
}
_PATTERNS = [
    (code, re.compile(pattern, re.IGNORECASE))
    for code, pattern in (
        (ExportFindingCode.PASSWORD_IN_URL, r"""//[^\s/?#"'<>:@]*:(?P<value>[^\s/?#"'<>]+)@"""),
        (
            ExportFindingCode.SECRET_PARAMETER,
            rf"""(?<![a-z0-9])(?:{_PARAMETERS})(?:=["']?|["']\s*:\s*["']|{_COMPARISON}){_VALUE}""",
        ),
        (ExportFindingCode.SECRET_PARAMETER, rf"[?&](?:{_ONLY_IN_QUERIES})={_VALUE}"),
        (ExportFindingCode.SECRET_PARAMETER, rf"""(?<!\S)--?(?:{_PARAMETERS})\s+["']?{_VALUE}"""),
        (
            ExportFindingCode.AUTHORIZATION_HEADER,
            rf"""\b(?:{_HEADERS})(?:["']?\s*[:=]\s*["']?|{_COMPARISON})(?:(?:bearer|basic|digest|token)\s+)?{_VALUE}""",
        ),
        (ExportFindingCode.AUTHORIZATION_HEADER, rf"""\bcookie\s*:\s*[^\s"'=;]+={_VALUE}"""),
        (
            ExportFindingCode.CREDENTIALS_IN_PATH,
            rf"/(?:live|movie|series|timeshift)/{_SEGMENT}/(?P<value>{_SEGMENT})/[0-9]",
        ),
        (
            ExportFindingCode.CREDENTIALS_IN_PATH,
            rf"{_SERVER}:[0-9]+/{_NOT_A_USER}{_SEGMENT}/(?P<value>{_SEGMENT})/[0-9]+(?:\.\w+)?(?![\w/])",
        ),
        (
            ExportFindingCode.CREDENTIALS_IN_PATH,
            rf"{_SERVER}/{_NOT_A_USER}{_SEGMENT}/(?P<value>{_SEGMENT})/[0-9]+\.(?:ts|m3u8)\b",
        ),
    )
]
_ESCAPED = re.compile(r"\\([^\w\s])")
_MOST_DECODED = 2
"""How often a text is decoded: a URL in a parameter of a URL is encoded twice."""
_PLACEHOLDER = re.compile(
    r"\[[^\]]*\]|\\[a-z]|\{[^{}]*\}|\$(?:[0-9]+|[A-Z_]+\b|\{\w+\})|<[^<>]*>"
    r"|^(?:YOUR_)?(?:USER(?:NAME)?|PASS(?:WORD)?|TOKEN|API_?KEY|KEY|SECRET)$"
)
"""Parts of a value that stand for another: pieces of a regular expression, variables, and names such as `PASSWORD`."""
_LONGEST_PLACEHOLDER = 200
_SCHEMES = frozenset({"bearer", "basic", "digest", "token"})


def find_credentials(text: str) -> list[ExportFindingCode]:
    """Return the forms of credentials that a text seems to contain, each once."""
    readings = list(_readings(text))
    found = (
        code
        for code, pattern in _PATTERNS
        if any(_is_secret(match["value"]) for reading in readings for match in pattern.finditer(reading))
    )
    return list(dict.fromkeys(found))


def _readings(text: str) -> Iterator[str]:
    """Yield a text without backslashes before punctuation, and what it is when it is percent-decoded."""
    text = _ESCAPED.sub(r"\1", text)
    yield text
    for _ in range(_MOST_DECODED):
        decoded = unquote(text)
        if decoded == text:
            return
        text = decoded
        yield text


def _is_secret(value: str) -> bool:
    rest = _PLACEHOLDER.sub("", value[:_LONGEST_PLACEHOLDER])
    return value.lower() not in _SCHEMES and any(map(str.isalnum, rest))
