"""Templates use the words of `docs/reference/glossary.md`, and none that it avoids."""

import re
from pathlib import Path

import pytest

from tests.installation import ROOT

_READ = re.compile(r'(?:aria-label|title|placeholder|alt|hx-confirm)="([^"]*)"')
_CODE = re.compile(r"{#.*?#}|{% comment.*?endcomment %}|{%.*?%}|{{.*?}}|<!--.*?-->", re.DOTALL)
_TAG = re.compile(r"<[^>]*>", re.DOTALL)


def words_to_avoid() -> list[str]:
    """The phrases in the third column of the glossary."""
    rows = re.findall(r"^\| .*? \| .*? \|(.*)\|$", (ROOT / "docs/reference/glossary.md").read_text(), re.MULTILINE)
    return [phrase.strip() for row in rows[2:] for phrase in row.split(",") if phrase.strip()]


def visible_text(template: str) -> str:
    """Text and read attributes of a template, without its code."""
    text = _CODE.sub(" ", template)
    return "\n".join([_TAG.sub(" ", text), *_READ.findall(text)])


def found(text: str) -> list[str]:
    return [phrase for phrase in words_to_avoid() if re.search(rf"\b{re.escape(phrase)}\b", text, re.IGNORECASE)]


@pytest.mark.parametrize("template", sorted(ROOT.glob("templates/**/*.html")), ids=lambda path: path.name)
def test_a_template_uses_no_word_that_the_glossary_avoids(template: Path) -> None:
    assert found(visible_text(template.read_text(encoding="utf-8"))) == []


def test_a_word_to_avoid_is_found_in_text_and_labels() -> None:
    assert found(visible_text('<p>Run the <b>clean-up</b></p><button title="Go back">OK</button>')) == [
        "clean-up",
        "go back",
    ]


def test_code_is_not_text() -> None:
    assert found(visible_text("{% if people %}{{ somebody }}{% endif %}<i class='sick'></i>")) == []
