"""Evaluation of one expression for one row, with JSON data in and out: the form of measured cases of tvarr's behavior."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.evaluate import Applied, compile_expression
from tvarr_backup.expressions.problems import InvalidExpression, ProblemCode
from tvarr_backup.expressions.reading import read_as_written, rewrite
from tvarr_backup.expressions.tokens import Tokens
from tvarr_backup.expressions.values import as_bytes

_BAD_CHARACTERS = "refused: bad token"
_SYNTAX = "refused: syntax"


def evaluate_case(text: str, domain: Domain, row: Mapping[str, Any], row_base64: Mapping[str, str]) -> dict[str, Any]:
    """Return `matches` and `error`, and where there are any `after`, `after_base64`, `assigned` and `honoured`.

    Values in `row_base64` are bytes that are not UTF-8, and replace the value of the same name. So does `after_base64`, in the
    result. `after` is in each result of a mapping rule, `assigned` in one with assignments, all of which are text,
    and `honoured` in one of a client rule with assignments. Raise `ValueError` for bad Base64, `ExpressionTooLarge` for an
    expression that is not evaluated here. A refused expression is a result.
    """
    try:
        program = compile_expression(text, domain)
    except InvalidExpression:
        return {"matches": None, "error": name_refusal(text, domain)} | ({"after": {}} if domain.is_mapping else {})
    applied = program.apply({**row, **{name: _decode(value) for name, value in row_base64.items()}})
    return _result(applied, domain)


def name_refusal(text: str, domain: Domain) -> str:
    """Return how tvarr names what is wrong with a text that it refuses: a token, or else the syntax."""
    try:
        for _ in Tokens(rewrite(text) if domain.is_rewritten else read_as_written(text)):
            pass
    except InvalidExpression as error:
        return _SYNTAX if error.problem.code is ProblemCode.TOO_DEEP else _BAD_CHARACTERS
    return _SYNTAX


def _result(applied: Applied, domain: Domain) -> dict[str, Any]:
    error = applied.outcome.error
    result: dict[str, Any] = {"matches": applied.outcome.matches, "error": error and error.replace("_", " ")}
    if domain.is_mapping:
        result["after"] = {name: value for name, value in applied.after.items() if _is_utf8(value)}
        encoded = {name: _encode(value) for name, value in applied.after.items() if not _is_utf8(value)}
        result |= {"after_base64": encoded} if encoded else {}
    if applied.assigned and all(_is_utf8(assignment.value) for assignment in applied.assigned):
        result["assigned"] = [[each.target, each.verb.lower(), each.value] for each in applied.assigned]
    if applied.assigned and domain is Domain.CLIENT_DETECTION:
        result["honoured"] = dict(applied.honored)
    return result


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _encode(text: str) -> str:
    return base64.b64encode(as_bytes(text)).decode()


def _decode(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(value) from error
