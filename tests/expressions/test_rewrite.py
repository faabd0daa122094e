"""The rewriting of filters and mapping rules, with positions in the text as written."""

import pytest

from tvarr_backup.expressions import rewrite


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('a == "x"', 'a equals "x"'),
        ('a!="x"', 'a not equals "x"'),
        ('a =~ "x"', 'a matches "x"'),
        ('a !~ "x"', 'a not matches "x"'),
        ("a>=5", "a greater_than_or_equal 5"),
        ("a<=5", "a less_than_or_equal 5"),
        ("a>5", "a greater_than 5"),
        ("a<5", "a less_than 5"),
        ('a = "x"&&b = "y"', 'a = "x" AND b = "y"'),
        ('a = "x"||b = "y"', 'a = "x" OR b = "y"'),
        ("a = b and c = d or e = f", "a = b AND c = d OR e = f"),
        ("a = b\nand\nc = d", "a = b and c = d"),
        ("a === b", "a equals = b"),
        ("a not_contains b", "a not contains b"),
        ("a not_equals b", "a not equals b"),
        ("not a contains b", "a not contains b"),
        (" \tnot not a contains b", "a not not contains b"),
        ("not case_sensitive a contains b", "a not case_sensitive contains b"),
        ("not (a = b OR c = d)", "(a not = b OR c = d)"),
        ("NOT a contains b", "NOT a contains b"),
        ("\nnot a contains b", "not a contains b"),
        ("not ", "not"),
        ("  a \t=\n\n b\f ", "a = b"),
        ("", ""),
        (" \n ", ""),
    ],
)
def test_it_rewrites_as_tvarr_does(written: str, read: str) -> None:
    reading = rewrite(written)

    assert reading.text == read
    assert reading.written == written
    assert len(reading.origins) == len(read) + 1


@pytest.mark.parametrize(
    ("written", "word", "column"),
    [
        ('a == "x"', '"x"', 6),
        ("a>=5 OR b<=6", "6", 12),
        ("  a   =  b", "b", 10),
        ('not a contains "x"', "not", 1),
        ('not a contains "x"', "a", 5),
        ('not a contains "x"', "contains", 7),
        ("a = b and c = d", "AND", 7),
        ("a = b && c = d", "AND", 7),
        ("a = b && c = d", "c", 10),
        ("a not_contains b", "contains", 7),
    ],
)
def test_it_knows_where_each_word_was_written(written: str, word: str, column: int) -> None:
    reading = rewrite(written)

    assert reading.column(reading.text.index(word)) == column


@pytest.mark.parametrize(
    ("written", "word"), [("a >= 5", "greater_than_or_equal"), ("a != b", "not"), ("a<5", "less_than")]
)
def test_it_returns_the_whole_symbol_of_a_word(written: str, word: str) -> None:
    reading = rewrite(written)
    start = reading.text.index(word)

    assert reading.as_written(start, start + len(word)) == written.strip("ab5 ")
