"""The package as a whole: its imports and its documentation."""

import subprocess
import sys
from pathlib import Path

from tests.expressions.traps import TRAPS
from tvarr_backup.expressions import MAX_BYTES, MAX_DEPTH
from tvarr_backup.expressions.fields import CATALOGUE_FIELDS, CLIENT_FIELDS
from tvarr_backup.expressions.problems import ProblemCode

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reference" / "expressions.md").read_text(encoding="utf-8")


def python(program: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, *options, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_it_imports_no_django() -> None:
    program = """
import sys
from tvarr_backup.expressions import Domain, check_expression
assert check_expression("true", Domain.STREAM_FILTER).valid
print([name for name in sys.modules if name.partition(".")[0] in ("django", "config")])
"""
    assert python(program) == "[]"


def test_everything_but_regular_expressions_is_checked_without_google_re2() -> None:
    program = """
import sys
sys.modules["re2"] = None
from tvarr_backup.expressions import Domain, check_expression
check = check_expression('nothing matches "(?=a)" SET tvg_name = $1', Domain.STREAM_MAPPING)
print(check.valid, [warning.code.value for warning in check.warnings])
"""
    assert python(program) == "True ['unknown_field']"


def test_the_page_has_a_row_for_every_warning() -> None:
    rows = [f"| `{trap.code}` | `{trap.example.replace('|', chr(92) + '|')}` | {trap.effect} |" for trap in TRAPS]

    assert [line for line in PAGE.splitlines() if line in rows] == rows


def test_the_page_names_every_problem_field_and_limit() -> None:
    names = [name for field in (*CATALOGUE_FIELDS, *CLIENT_FIELDS) for name in field.names]

    assert [name for name in (*names, *ProblemCode) if f"`{name}`" not in PAGE] == []
    assert f"{MAX_BYTES:,} bytes" in PAGE
    assert f"{MAX_DEPTH} levels" in PAGE
