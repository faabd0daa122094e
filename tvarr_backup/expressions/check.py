"""Whether tvarr could run an expression, and what it would do differently from what a reader expects."""

from dataclasses import asdict, dataclass

from tvarr_backup.expressions.domains import Domain
from tvarr_backup.expressions.lint import find_warnings
from tvarr_backup.expressions.parse import parse
from tvarr_backup.expressions.problems import InvalidExpression, Problem, ProblemCode
from tvarr_backup.expressions.reading import read_as_written
from tvarr_backup.expressions.regexes import limited_regexes
from tvarr_backup.expressions.rewrite import rewrite
from tvarr_backup.expressions.tree import Expression
from tvarr_backup.expressions.warned import Warned


@dataclass(frozen=True, slots=True)
class Check:
    """Either `problems`, or a `tree` and its warnings in the order of their columns."""

    valid: bool
    problems: tuple[Problem, ...]
    warnings: tuple[Warned, ...]
    tree: Expression | None


def check_expression(text: str, domain: Domain) -> Check:
    """Never raises, whatever the text: the first problem, or the tree with all warnings.

    Filters and mapping rules are rewritten first, as tvarr does, client detection rules are not. A blank text is a
    problem in every domain. The text itself is what should be stored: nothing here is a replacement for it.
    """
    with limited_regexes():
        return _checked(text, domain)


def _checked(text: str, domain: Domain) -> Check:
    try:
        parsed = parse(rewrite(text) if domain.is_rewritten else read_as_written(text))
    except InvalidExpression as error:
        return Check(valid=False, problems=(error.problem,), warnings=(), tree=None)
    if parsed.expression.condition is None:
        return Check(valid=False, problems=(_BLANK,), warnings=(), tree=None)
    return Check(valid=True, problems=(), warnings=find_warnings(parsed, domain), tree=parsed.expression)


def findings_as_json(check: Check) -> dict[str, object]:
    """`valid`, `problems` and `warnings` as plain data, for an answer; the tree has `tree_as_json`."""
    return {
        "valid": check.valid,
        "problems": [asdict(problem) | {"expected": list(problem.expected)} for problem in check.problems],
        "warnings": [asdict(warned) for warned in check.warnings],
    }


_BLANK = Problem(
    ProblemCode.BLANK,
    column=1,
    message="The expression is blank.",
    found="nothing",
    expected=("a condition",),
)
