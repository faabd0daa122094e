"""Messages as templates with facts."""

import copy
import errno
import json
from pathlib import Path

import pytest

from tvarr_backup.errors import DatabaseMissing, DatabaseUnusable, NoRoom
from tvarr_backup.program import NAME
from tvarr_backup.sentences import NOTHING, Advice, Sentence, join

HERE = Path("/data/tvarr/tvarr.db")


def test_a_sentence_is_text_for_a_terminal() -> None:
    assert Sentence("{path} is empty.", path=HERE) == "/data/tvarr/tvarr.db is empty."


def test_the_api_shows_no_folder() -> None:
    assert Sentence("{path} is empty.", path=HERE).without_paths() == "tvarr.db is empty."


def test_nor_in_a_nested_sentence() -> None:
    inner = NoRoom("The disk of {folder} is full.", folder=HERE.parent)
    assert (
        Sentence("Cleanup failed: {problem}", problem=inner).without_paths()
        == "Cleanup failed: The disk of tvarr is full."
    )


def test_nor_in_an_error_of_the_system() -> None:
    problem = FileNotFoundError(errno.ENOENT, "No such file or directory", str(HERE))
    assert Sentence("{problem}", problem=problem) == str(problem)
    assert Sentence("{problem}", problem=problem).without_paths() == "[Errno 2] No such file or directory: 'tvarr.db'"


def test_advice_is_a_command_on_a_terminal_and_a_button_on_a_page() -> None:
    sentence = Sentence("There is no backup. {advice} makes one.", advice=Advice.BACK_UP)
    assert sentence == f"There is no backup. `{NAME} backup create` makes one."
    assert sentence.for_page() == 'There is no backup. "Back up now" makes one.'


def test_advice_is_found_as_a_value() -> None:
    inner = NoRoom("The disk is full. {advice}", advice=Advice.FREE_SPACE)
    assert inner.advice == join(["Cleanup failed:", inner.sentence]).advice == (Advice.FREE_SPACE,)


@pytest.mark.parametrize("advice", Advice)
def test_every_advice_has_a_text(advice: Advice) -> None:
    sentence = Sentence("{advice}", advice=advice)
    assert sentence
    assert sentence.for_page()


def test_it_is_stored_as_data() -> None:
    sentence = Sentence(
        "{path}: {number} of {more}. {advice}", path=HERE, number=3, more=NOTHING, advice=Advice.PREPARE
    )
    kept = Sentence.from_data(json.loads(json.dumps(sentence.as_data())))
    assert (kept, kept.facts, kept.without_paths()) == (sentence, sentence.facts, sentence.without_paths())


def test_a_copy_is_the_same() -> None:
    sentence = Sentence("{{{path}}}", path=HERE)
    assert copy.deepcopy(sentence).without_paths() == "{tvarr.db}"


def test_a_text_without_facts_is_no_template() -> None:
    assert Sentence("A filter {x} of {}") == "A filter {x} of {}"


def test_hidden_characters_in_facts_are_escaped() -> None:
    assert Sentence("It is “{name}”.", name="a\u202eb\nc") == r"It is “a\u202eb\nc”."


def test_megabytes_and_clauses() -> None:
    problem = DatabaseMissing("{path} is empty.", path=HERE)
    assert Sentence("{size:MB}", size=78_000_000_000) == "78.0 GB"
    assert Sentence("{size:MB}; {problem:clause}!", size=2_500_000, problem=problem) == f"2.5 MB; {HERE} is empty!"


def test_an_error_carries_its_code_and_facts() -> None:
    problem = DatabaseMissing("{path} is empty. {advice}", path=HERE, advice=Advice.BRING_BACK)
    assert (problem.code, problem.facts["path"], problem.advice) == ("database_missing", HERE, (Advice.BRING_BACK,))


def test_errors_are_distinguished_by_code_and_facts() -> None:
    one, same = (DatabaseUnusable("{path} is locked.", path=HERE) for _ in range(2))
    assert one.identity == same.identity
    assert one.identity != DatabaseUnusable("{path} is locked.", path=HERE.parent).identity
