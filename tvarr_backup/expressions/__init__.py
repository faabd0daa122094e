"""Expressions of tvarr: from text to a tree or a problem, with warnings for what tvarr would misunderstand."""

from tvarr_backup.expressions.check import Check, check_expression, findings_as_json
from tvarr_backup.expressions.domains import Domain, UnknownDomain, read_domain
from tvarr_backup.expressions.parse import parse
from tvarr_backup.expressions.problems import InvalidExpression, Problem, ProblemCode
from tvarr_backup.expressions.reading import MAX_BYTES, MAX_DEPTH, read_as_written
from tvarr_backup.expressions.regexes import limited_regexes
from tvarr_backup.expressions.rewrite import rewrite
from tvarr_backup.expressions.tree import Expression, tree_as_json
from tvarr_backup.expressions.warned import Warned, WarningCode

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "Check",
    "Domain",
    "Expression",
    "InvalidExpression",
    "Problem",
    "ProblemCode",
    "UnknownDomain",
    "Warned",
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
