"""`manage.py expression check`, for one expression and for streams of them."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.installation import Installation
from tvarr_backup.expressions import Domain


def check(*arguments: str) -> str:
    output = io.StringIO()
    call_command("expression", "check", *arguments, stdout=output, stderr=io.StringIO())
    return output.getvalue()


def refused(*arguments: str) -> tuple[str, str]:
    """What a failing command printed, and its sentence."""
    output = io.StringIO()
    with pytest.raises(CommandError) as raised:
        call_command("expression", "check", *arguments, stdout=output, stderr=io.StringIO())
    assert raised.value.returncode == 1
    return output.getvalue(), str(raised.value)


def lines_in(path: Path, *lines: object) -> str:
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return str(path)


def test_it_says_that_an_expression_is_valid() -> None:
    assert check('tvg_id == "x"', "--domain", "stream_filter") == "Valid.\n"


def test_it_reads_every_spelling_of_a_domain() -> None:
    assert check("tvg_id > 5", "--domain", "stream_datamapping") == "Valid.\n"


def test_it_shows_a_warning_under_the_place_it_is_about() -> None:
    text = 'tvg_id contains "Rock and Roll"'

    output = check(text, "--domain", "epg_mapping")

    shown, caret, sentence, verdict = output.splitlines()
    assert shown == text
    assert caret == " " * 22 + "^"
    assert sentence.startswith("Warning (rewritten_text, column 23): tvarr rewrites")
    assert verdict == "Valid, 1 warning."


def test_it_shows_a_problem_and_fails() -> None:
    output, sentence = refused("tvg_id icontains 5", "--domain", "stream_filter")

    assert output.splitlines()[:2] == ["tvg_id icontains 5", "       ^"]
    assert "Problem (unexpected, column 8): Expected an operator" in output
    assert sentence == "The expression is invalid."


def test_the_caret_stands_in_the_line_that_is_meant() -> None:
    output, _ = refused('tvg_id = "a"\n\tAND b', "--domain", "stream_filter")

    assert output.splitlines()[:2] == [" AND b", "      ^"]


def test_only_the_neighbourhood_of_a_long_line_is_shown() -> None:
    output, _ = refused("tvg_id = " + '"x" OR tvg_id = ' * 500 + "# " + "y" * 500, "--domain", "stream_filter")

    shown, caret = output.splitlines()[:2]
    assert len(shown) < 120
    assert shown[caret.index("^")] == "#"


@pytest.mark.parametrize("text", ["a = \ud800", "a = \0", "a = \x1b[31m"])
def test_characters_that_no_terminal_should_see_are_replaced(text: str) -> None:
    output, _ = refused(text, "--domain", "stream_filter")

    assert output.encode()
    assert "\x1b" not in output
    assert output.splitlines()[1] == "    ^"


def test_it_prints_json() -> None:
    findings = json.loads(check("chanel = 5", "--domain", "stream_filter", "--json"))

    assert findings["valid"] is True
    assert findings["problems"] == []
    assert [(warning["code"], warning["column"]) for warning in findings["warnings"]] == [("unknown_field", 1)]


def test_it_fails_for_an_invalid_expression_in_json_too() -> None:
    output, sentence = refused("a", "--domain", "stream_filter", "--json")

    (problem,) = json.loads(output)["problems"]
    assert problem | {"message": ""} == {
        "code": "unexpected",
        "column": 2,
        "message": "",
        "found": "the end",
        "expected": ["an operator such as contains, matches or ="],
    }
    assert sentence == "The expression is invalid."


def test_it_refuses_an_unknown_domain() -> None:
    _, sentence = refused("a = b", "--domain", "request")

    assert "request" in sentence
    assert all(domain in sentence for domain in Domain)


@pytest.mark.parametrize(
    "arguments",
    [(), ("a = b",), ("--domain", "stream"), ("a = b", "--jsonl", "-"), ("--jsonl", "-", "--domain", "stream")],
)
def test_it_takes_either_a_text_with_a_domain_or_a_file(arguments: tuple[str, ...]) -> None:
    _, sentence = refused(*arguments)

    assert "--domain" in sentence
    assert "--jsonl" in sentence


def test_it_answers_every_line_in_order(tmp_path: Path) -> None:
    path = lines_in(
        tmp_path / "in.jsonl",
        {"expression": "host = 5", "domain": "client_detection"},
        {"expression": "host > 5", "domain": "client", "name": "is left alone"},
        {"expression": "\ud800", "domain": "epg_filter"},
        {"expression": "host = 5", "domain": "epg_filter"},
    )

    findings = [json.loads(line) for line in check("--jsonl", path).splitlines()]

    assert [set(finding) for finding in findings] == [{"valid", "problems", "warnings"}] * 4
    assert [finding["valid"] for finding in findings] == [True, False, False, True]
    assert [len(finding["warnings"]) for finding in findings] == [0, 0, 0, 1]


def test_an_empty_file_gives_no_lines(tmp_path: Path) -> None:
    assert check("--jsonl", lines_in(tmp_path / "in.jsonl")) == ""


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("5", "an object"),
        ({"domain": "epg"}, '"expression"'),
        ({"expression": 5, "domain": "epg"}, '"expression": expected text, got 5'),
        ({"expression": "a = b"}, '"domain"'),
        ({"expression": "a = b", "domain": "request"}, "request"),
        ({"expression": "a = b", "domain": ["epg"]}, "got a list"),
        ('{"expression": "' + "a" * 2_000_000 + '"}', "1,048,576 bytes"),
    ],
)
def test_it_stops_at_a_line_that_it_cannot_use(tmp_path: Path, line: object, part: str) -> None:
    good = {"expression": "a = b", "domain": "epg"}

    output, sentence = refused("--jsonl", lines_in(tmp_path / "in.jsonl", good, line, good))

    assert len(output.splitlines()) == 1
    assert sentence.startswith("Line 2")
    assert part in sentence
    assert len(sentence) < 300


def test_an_unknown_domain_in_a_line_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    _, sentence = refused("--jsonl", lines_in(tmp_path / "in.jsonl", {"expression": "a", "domain": "x"}))

    assert all(domain in sentence for domain in Domain)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    _, sentence = refused("--jsonl", str(tmp_path / "missing.jsonl"))

    assert "missing.jsonl" in sentence


def test_a_stream_goes_through_a_real_process_without_a_database(installation: Installation) -> None:
    lines = [{"expression": f"tvg_id = {number}", "domain": "stream"} for number in range(50)]
    lines[7]["expression"] = "tvg_id"

    done = installation.run(
        "expression", "check", "--jsonl", "-", stdin="".join(json.dumps(line) + "\n" for line in lines)
    )

    findings: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert [finding["valid"] for finding in findings].index(False) == 7
    assert len(findings) == 50
    assert done.stderr == "Checked 50 expressions; 1 is invalid.\n"
    assert not installation.data.exists()


def test_a_text_comes_from_standard_input_of_a_real_process(installation: Installation) -> None:
    assert installation.ok("expression", "check", "-", "--domain", "epg", stdin="title contains 'μ'\n") == "Valid.\n"


def test_a_real_process_exits_with_1_and_a_sentence(installation: Installation) -> None:
    done = installation.run("expression", "check", "title", "--domain", "epg")

    assert done.returncode == 1
    assert "Problem (unexpected, column 6)" in done.stdout
    assert done.stderr == "error: The expression is invalid.\n"
