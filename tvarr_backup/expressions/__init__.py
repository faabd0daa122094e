"""Parsing and checking of tvarr's expressions, with warnings where tvarr does something unexpected."""

from tvarr_backup.expressions.check import CheckedExpression, check_expression, findings_as_json
from tvarr_backup.expressions.domains import Domain, UnknownDomain, read_domain
from tvarr_backup.expressions.parse import parse
from tvarr_backup.expressions.problems import ExpressionWarning, InvalidExpression, Problem, ProblemCode, WarningCode
from tvarr_backup.expressions.reading import MAX_BYTES, MAX_DEPTH, read_as_written, rewrite
from tvarr_backup.expressions.regexes import limited_regexes
from tvarr_backup.expressions.tree import Expression, tree_as_json

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "CheckedExpression",
    "Domain",
    "Expression",
    "ExpressionWarning",
    "InvalidExpression",
    "Problem",
    "ProblemCode",
    "UnknownDomain",
    "WarningCode",
    "check_expression",
    "findings_as_json",
    "limited_regexes",
    "parse",
    "read_as_written",
    "read_domain",
    "rewrite",
    "tree_as_json",
]
