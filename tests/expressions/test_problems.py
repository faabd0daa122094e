"""Problems of invalid expressions, with their place."""

import pytest

from tvarr_backup.expressions import Domain, Problem, ProblemCode, check_expression


def problem(text: str, domain: Domain = Domain.STREAM_FILTER) -> Problem:
    check = check_expression(text, domain)
    assert not check.valid
    assert check.tree is None
    assert check.warnings == ()
    (found,) = check.problems
    return found


@pytest.mark.parametrize("domain", Domain)
@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_a_blank_expression_is_refused_everywhere(text: str, domain: Domain) -> None:
    assert problem(text, domain).code is ProblemCode.BLANK
    assert problem(text, domain).column == 1


@pytest.mark.parametrize(
    ("text", "column", "found"),
    [
        ("a icontains b", 3, "icontains"),
        ('a == "x" == "y"', 10, "=="),
        ('not_a != "x" "y"', 14, '"y"'),
        ('a = "\u03bc\u03bf\u03c5" "y"', 11, '"y"'),
        ('a = "\U0001f600" "y"', 9, '"y"'),
        (r'a = "\"\\" "y"', 12, '"y"'),
        ('a = "x"\nAND\nb = "y" "z"', 21, '"z"'),
        ('a > 5 && b <= 6 || c != "x" 7', 29, "7"),
        ('not a contains "x" 7', 20, "7"),
        ("a = b and c", 12, "the end"),
        ("a = b and c   ", 12, "the end"),
        ('a = "x" And b = "y"', 9, "And"),
        ("a = 1e5", 6, "e5"),
        ("a not not_contains b", 7, "not"),
        ("a not != b", 7, "!="),
        ("a = " + '"' + "x" * 60 + '" ' + '"' + "y" * 60 + '"', 68, '"' + "y" * 39 + "…"),
    ],
)
def test_it_names_the_place_as_written_and_what_was_found(text: str, column: int, found: str) -> None:
    assert (problem(text).column, problem(text).found) == (column, found)


def test_the_end_is_before_trailing_spaces() -> None:
    assert problem("host =  \n ", Domain.CLIENT_DETECTION).column == 7


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", "an operator such as contains, matches or ="),
        ("a =", "a value (quoted text, a number, a word, true or false)"),
        ("a = b AND", 'a condition such as channel_name contains "x"'),
        ("true SET", "a field"),
        ("true SET a", "one of = ?= += -="),
        ("(true", "AND, OR, a closing parenthesis"),
        ("true )", "AND, OR, an action, the end"),
        ("true SET a = b c", "a comma, an action, the end"),
        ("true a = b, c", "an action, the end"),
        ("true SET a = b, c", "one of = ?= += -="),
    ],
)
def test_it_says_what_was_expected(text: str, expected: str) -> None:
    assert ", ".join(problem(text).expected) == expected


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("a CONTAINS b", "Did you mean contains?"),
        ('SET a = "x"', "The condition true matches everything"),
        ('a = "x" Or b = "y"', "Write OR or or"),
        ("a = \u201cx\u201d", 'Write " instead'),
        ("a\u00a0= b", "Write a space instead"),
        ("a = b & c = d", "Write && instead"),
        ("NOT (a = b OR c = d)", "Write NOT before each"),
        ('a = "x', 'has no closing "'),
    ],
)
def test_it_gives_advice(text: str, advice: str) -> None:
    assert advice in problem(text).message


@pytest.mark.parametrize(
    ("symbol", "column", "word"),
    [
        ("=~", 3, "matches"),
        ("!~", 3, "not matches"),
        (">=", 3, "greater_than_or_equal"),
        ("<=", 3, "less_than_or_equal"),
        (">", 3, "greater_than"),
        ("<", 3, "less_than"),
    ],
)
def test_client_rules_have_no_symbols_that_need_rewriting(symbol: str, column: int, word: str) -> None:
    found = problem(f"a {symbol} 5", Domain.CLIENT_DETECTION)

    assert (found.code, found.column, found.found) == (ProblemCode.BAD_CHARACTER, column, symbol)
    assert found.expected == (word,)
    assert check_expression(f"a {symbol} 5", Domain.STREAM_MAPPING).valid


@pytest.mark.parametrize(
    ("text", "code", "column"),
    [
        ("a = \0b", ProblemCode.BAD_CHARACTER, 5),
        ('a = "\0"', ProblemCode.BAD_CHARACTER, 6),
        ("a = \ud800", ProblemCode.BAD_CHARACTER, 5),
        ("\ufeffa = b", ProblemCode.BAD_CHARACTER, 1),
        ("a = b\u00b2", ProblemCode.BAD_CHARACTER, 6),
        ("@dynamic(x):\u2167 = b", ProblemCode.BAD_CHARACTER, 13),
        ("a = @dynamic(b", ProblemCode.BAD_REFERENCE, 5),
        ("a = @dynamic(b)c", ProblemCode.BAD_REFERENCE, 5),
        ("true SET a = @dynamic(b):", ProblemCode.BAD_REFERENCE, 14),
        ("a = 'x", ProblemCode.UNCLOSED_TEXT, 5),
        ("b = c AND NOT (a = 1 AND b = 2)", ProblemCode.NOT_BEFORE_GROUP, 11),
        ("a b", ProblemCode.UNEXPECTED, 3),
    ],
)
@pytest.mark.parametrize("domain", [Domain.EPG_MAPPING, Domain.CLIENT_DETECTION])
def test_each_cause_has_a_code(text: str, code: ProblemCode, column: int, domain: Domain) -> None:
    assert (problem(text, domain).code, problem(text, domain).column) == (code, column)


@pytest.mark.parametrize("domain", Domain)
@pytest.mark.parametrize("start", ["(", "NOT(", "not (", "a = 1 AND (", "! ("])
def test_it_refuses_the_65th_level_without_a_traceback(start: str, domain: Domain) -> None:
    text = start * (16 * 1024 // len(start))

    assert problem(text, domain).code is ProblemCode.TOO_DEEP or start == "not ("
    assert problem("(" * 65, domain).column == 65


@pytest.mark.parametrize("character", ["x", "\u03bc", "\U0001f600"])
def test_it_accepts_1_mib_of_utf8_and_no_more(character: str) -> None:
    spare = 2**20 - len('a = ""')
    size = len(character.encode())
    text = character * (spare // size) + "x" * (spare % size)

    assert check_expression(f'a = "{text}"', Domain.STREAM_FILTER).valid
    refused = problem(f'a = "{text}x"')
    assert refused.code is ProblemCode.TOO_LONG
    assert refused.column == len(text) + 7


def test_a_huge_text_is_refused_without_parsing() -> None:
    assert problem("a" * 50_000_000).code is ProblemCode.TOO_LONG
