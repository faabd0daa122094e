"""Errors of expressions at run time. tvarr stores such expressions, and they fail for the rows that reach the error."""

from enum import StrEnum


class FailureCode(StrEnum):
    NOT_A_NUMBER = "not_a_number"
    OUT_OF_RANGE = "number_out_of_range"
    BAD_REGEX = "bad_regex"
    TIME_HELPER = "time_helper_failed"
    NO_REQUEST = "dynamic_value_without_context"


class EvaluationFailed(Exception):
    """A condition or an action fails for a row. Only `code` matters; results carry it, and no caller sees this error."""

    def __init__(self, code: FailureCode) -> None:
        self.code = code
        super().__init__(code.value)
