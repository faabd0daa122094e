"""Checking of an expression: whether tvarr can run it, and where it does something unexpected."""

from dataclasses import asdict, dataclass

from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.lint import find_warnings
from tvarr_backup.expressions.parse import parse
from tvarr_backup.expressions.problems import ExpressionWarning, InvalidExpression, Problem, ProblemCode
from tvarr_backup.expressions.reading import read_as_written, rewrite
from tvarr_backup.expressions.regexes import limited_regexes
from tvarr_backup.expressions.tree import Expression


@dataclass(frozen=True, slots=True)
class CheckedExpression:
    """Either problems, or a tree and its warnings in the order of their columns."""

    problems: tuple[Problem, ...] = ()
    warnings: tuple[ExpressionWarning, ...] = ()
    tree: Expression | None = None

    @property
    def valid(self) -> bool:
        return not self.problems


def check_expression(text: str, domain: Domain) -> CheckedExpression:
    """Return the first problem of a text, or its tree with all warnings. A blank text is a problem. Never raises."""
    try:
        parsed = parse(rewrite(text) if domain.is_rewritten else read_as_written(text))
    except InvalidExpression as error:
        return CheckedExpression(problems=(error.problem,))
    if parsed.expression.condition is None:
        return CheckedExpression(problems=(_BLANK,))
    with limited_regexes():
        return CheckedExpression(warnings=find_warnings(parsed, domain), tree=parsed.expression)


def findings_as_json(check: CheckedExpression) -> dict[str, object]:
    """Return `valid`, `problems` and `warnings` as JSON data, without the tree (see `tree_as_json`)."""
    return {
        "valid": check.valid,
        "problems": [asdict(problem) | {"expected": list(problem.expected)} for problem in check.problems],
        "warnings": [asdict(warning) for warning in check.warnings],
    }


_BLANK = Problem(ProblemCode.BLANK, 1, "The expression is blank.", found="nothing", expected=("a condition",))
