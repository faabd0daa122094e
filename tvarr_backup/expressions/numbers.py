"""Numbers of number operators, in the spelling of Go's `ParseFloat` with 64 bits."""

import math
import re

from tvarr_backup.expressions.failures import EvaluationFailed, FailureCode

_DIGITS = "[0-9](?:_?[0-9])*"
_HEX_DIGITS = "[0-9a-f](?:_?[0-9a-f])*"
_DECIMAL = re.compile(
    rf"[+-]?(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:e[+-]?{_DIGITS})?", re.IGNORECASE | re.ASCII
)
_HEX = re.compile(
    rf"[+-]?0x(?:_?{_HEX_DIGITS}(?:\.(?:{_HEX_DIGITS})?)?|\.{_HEX_DIGITS})p[+-]?{_DIGITS}", re.IGNORECASE | re.ASCII
)
_SHORT = 15
_INFINITY = re.compile(r"[+-]?inf(?:inity)?|nan", re.IGNORECASE | re.ASCII)


def read_number(text: str) -> float:
    """Return the number that the whole text is. Raise `EvaluationFailed`, also for a number that is too large."""
    if len(text) <= _SHORT and text.isascii() and text.isdigit():
        return float(text)
    if _DECIMAL.fullmatch(text):
        number = float(text)
    elif _HEX.fullmatch(text):
        number = _read_hex(text)
    elif _INFINITY.fullmatch(text):
        return float(text)
    else:
        raise EvaluationFailed(FailureCode.NOT_A_NUMBER)
    if math.isinf(number):
        raise EvaluationFailed(FailureCode.OUT_OF_RANGE)
    return number


def _read_hex(text: str) -> float:
    try:
        return float.fromhex(text.replace("_", ""))
    except OverflowError:
        return math.inf
