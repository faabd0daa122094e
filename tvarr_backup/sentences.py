"""Messages as templates with facts, rendered for a terminal, a page or the API.

Code never reads a message. It uses codes, facts and advice. A test run in which every message is changed checks this
(`tests/reworded.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, StrEnum
from pathlib import Path
from string import Formatter
from typing import Any, Self

from tvarr_backup import program
from tvarr_backup.texts import escape_hidden


class Advice(StrEnum):
    """What to do about an error. Terminals show a command, pages show a button or a link."""

    ACCEPT_FOLDER = "accept_folder"
    BACK_UP = "back_up"
    BRING_BACK = "bring_back"
    CHECK_BROKEN = "check_broken"
    FREE_SPACE = "free_space"
    IMPORT = "import"
    NAME_DATABASE = "name_database"
    NAME_OR_CREATE = "name_or_create"
    NEW_DATABASE = "new_database"
    PREPARE = "prepare"
    RECOVER = "recover"
    RESTORE = "restore"
    START_WORKER = "start_worker"


class _Reader(Enum):
    TERMINAL = "terminal"
    PAGE = "page"
    API = "api"
    """Paths are shortened to their last names."""


class Sentence(str):
    """One or more sentences. Its text is the form for a terminal.

    If there are facts, the template is used as in `str.format`. A fact is a number, a text, a `Path`, an `Advice`, an exception,
    or another sentence. Hidden characters and line breaks are escaped, except line breaks of the template and of sentences.
    `{fact:MB}` formats bytes as MB or GB, and `{fact:clause}` another sentence without its period.
    """

    __slots__ = ("facts", "template")
    template: str
    facts: Mapping[str, Any]

    def __new__(cls, template: str, /, **facts: object) -> Self:
        known = {name: _as_fact(value) for name, value in facts.items()}
        made = super().__new__(cls, _render(template, known, _Reader.TERMINAL))
        made.template, made.facts = template, known
        return made

    def __getnewargs_ex__(self) -> tuple[tuple[str], Mapping[str, Any]]:
        return (self.template,), self.facts

    def for_page(self) -> str:
        return _render(self.template, self.facts, _Reader.PAGE)

    def without_paths(self) -> str:
        """Return the text with only the last name of each path."""
        return _render(self.template, self.facts, _Reader.API)

    @property
    def advice(self) -> tuple[Advice, ...]:
        return tuple(dict.fromkeys(_advice_in(self.facts)))

    def as_data(self) -> dict[str, Any]:
        return {"template": self.template, "facts": {name: _encode(value) for name, value in self.facts.items()}}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        return cls(data["template"], **{name: _decode(value) for name, value in data["facts"].items()})


def join(sentences: Iterable[object], between: str = " ") -> Sentence:
    parts = {f"part_{number}": sentence for number, sentence in enumerate(sentences)}
    return Sentence(between.join(f"{{{name}}}" for name in parts), **parts)


# --- Facts -----------------------------------------------------------------------------------------------------------


def _as_fact(value: object) -> object:
    sentence = getattr(value, "sentence", value)
    if isinstance(sentence, (Sentence, Path, Advice, bool, int, float)):
        return sentence
    if isinstance(sentence, OSError) and sentence.filename:
        place = Path(str(sentence.filename))
        return Sentence(
            "[Errno {number}] {reason}: '{path}'", number=sentence.errno, reason=sentence.strerror, path=place
        )
    return str(sentence)


def _encode(value: object) -> object:
    if isinstance(value, Sentence):
        return {"sentence": value.as_data()}
    if isinstance(value, Path):
        return {"path": str(value)}
    return {"advice": str(value)} if isinstance(value, Advice) else value


def _decode(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    ((kind, found),) = value.items()
    return Sentence.from_data(found) if kind == "sentence" else {"path": Path, "advice": Advice}[kind](found)


def _advice_in(facts: Mapping[str, object]) -> Iterator[Advice]:
    for value in facts.values():
        if isinstance(value, Advice):
            yield value
        elif isinstance(value, Sentence):
            yield from value.advice


# --- Texts -----------------------------------------------------------------------------------------------------------


def _render(template: str, facts: Mapping[str, object], reader: _Reader) -> str:
    """Render the text. All sentences are rendered here, and `tests/reworded.py` replaces this function."""
    return _FactFormatter(reader).vformat(template, (), facts) if facts else escape_hidden(template, keep="\n")


class _FactFormatter(Formatter):
    def __init__(self, reader: _Reader) -> None:
        self._reader = reader

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec == "clause":
            return self.format_field(value, "").removesuffix(".")
        if format_spec == "MB":
            return f"{value / 1e9:.1f} GB" if value >= 1e9 else f"{value / 1e6:.1f} MB"
        if isinstance(value, Sentence):
            return _render(value.template, value.facts, self._reader)
        if isinstance(value, Advice):
            on_page = _ADVICE_ON_PAGES.get(value) if self._reader is _Reader.PAGE else None
            return on_page or _ADVICE[value]
        if isinstance(value, Path) and self._reader is _Reader.API:
            value = value.name or value
        return escape_hidden(format(value, format_spec) if format_spec else str(value))


_RUN = f"`{program.NAME} "
_NEW_ONE = "A new one has no users, settings or history. Your backups stay as they are."
_EMPTY_ONE = f"{_RUN}prepare` creates an empty one, with `--create` if TVARR_DATABASE_DSN is set."
_ADVICE: Mapping[Advice, str] = {
    Advice.ACCEPT_FOLDER: f"accept it with the next backup: {_RUN}backup create --accept-folder`.",
    Advice.BACK_UP: f"{_RUN}backup create`",
    Advice.BRING_BACK: (
        f"Put it back, or restore a backup: stop tvarr, then run {_RUN}backup restore NAME --yes --offline`. {_EMPTY_ONE}"
    ),
    Advice.CHECK_BROKEN: f"{_RUN}backup show NAME` shows details, `backup delete NAME` deletes a backup.",
    Advice.FREE_SPACE: f"Free some space, for example with {_RUN}backup delete NAME`, then try again.",
    Advice.IMPORT: "import it with `portable import`",
    Advice.NAME_DATABASE: "Set TVARR_DATABASE_DSN to tvarr's database.",
    Advice.NAME_OR_CREATE: (
        f"Set it to tvarr's database, restore a backup there ({_RUN}backup restore NAME --yes --offline`, with tvarr stopped), "
        "unset it to start with a new database, or create one there with `prepare --create`."
    ),
    Advice.NEW_DATABASE: f"create a new one with {_RUN}prepare`. {_NEW_ONE}",
    Advice.PREPARE: f"{_RUN}prepare`",
    Advice.RECOVER: f"{_RUN}backup recover`",
    Advice.RESTORE: (
        f"Restore a backup: {_RUN}backup list` shows them, {_RUN}backup restore NAME --yes` restores one. If SQLite "
        "cannot write to the damaged file, stop tvarr and add `--offline`."
    ),
    Advice.START_WORKER: f"Start one with {_RUN}worker`, or everything with {_RUN}up`.",
}
"""Advice for a terminal."""
_ADVICE_ON_PAGES: Mapping[Advice, str] = {
    Advice.ACCEPT_FOLDER: 'select "Use this folder without the disk", then "Back up now".',
    Advice.BACK_UP: '"Back up now"',
    Advice.BRING_BACK: (
        f'Put it back, or restore a backup: stop tvarr, then select "Restore" next to a backup. {_EMPTY_ONE}'
    ),
    Advice.CHECK_BROKEN: "Delete them in the list of backups.",
    Advice.FREE_SPACE: "Free some space, for example by deleting backups, then try again.",
    Advice.IMPORT: 'import it on the page "Import"',
    Advice.RESTORE: (
        'Restore a backup: select "Restore" next to it. If SQLite cannot write to the damaged file, stop tvarr first.'
    ),
}
"""Advice for pages, if it differs."""

NOTHING = Sentence("")
