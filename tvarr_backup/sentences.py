"""Sentences for people, each with what it was made of. Every sentence with facts in it is made here, for whoever reads it.

Logic never reads a sentence: it asks for a code, for facts, or for advice.
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
    """What to do about a failure. It is a fact of the sentence, which says it to each reader in another way."""

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
    """Somebody elsewhere: folders and files are called by their last names only."""


class Sentence(str):
    """One or more sentences: as a text, those for a terminal.

    With facts, the template is one of `str.format`. A fact is a number, a text, a `Path`, an `Advice`, an exception, or
    another sentence. Hidden characters are escaped, and line breaks too, except those of the template and of sentences.
    `{fact:MB}` writes bytes as megabytes, and `{fact:clause}` another sentence without its full stop.
    """

    __slots__ = ("facts", "template")
    template: str
    facts: Mapping[str, Any]

    def __new__(cls, template: str, /, **facts: object) -> Self:
        """Make the text for a terminal."""
        known = {name: _as_fact(value) for name, value in facts.items()}
        made = super().__new__(cls, _render(template, known, _Reader.TERMINAL))
        made.template, made.facts = template, known
        return made

    def __getnewargs_ex__(self) -> tuple[tuple[str], Mapping[str, Any]]:
        return (self.template,), self.facts

    def for_page(self) -> str:
        """Return the same with advice as a page gives it."""
        return _render(self.template, self.facts, _Reader.PAGE)

    def without_paths(self) -> str:
        """Return the same for a reader who is not to know where files are: only their names are in it."""
        return _render(self.template, self.facts, _Reader.API)

    @property
    def advice(self) -> tuple[Advice, ...]:
        """What the sentence advises."""
        return tuple(dict.fromkeys(_advice_in(self.facts)))

    def as_data(self) -> dict[str, Any]:
        """Return what it was made of, as JSON data."""
        return {"template": self.template, "facts": {name: _encode(value) for name, value in self.facts.items()}}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Return the sentence that `as_data` was asked of."""
        return cls(data["template"], **{name: _decode(value) for name, value in data["facts"].items()})


def join(sentences: Iterable[object], between: str = " ") -> Sentence:
    """Return several sentences, or other facts, as one."""
    parts = {f"part_{number}": sentence for number, sentence in enumerate(sentences)}
    return Sentence(between.join(f"{{{name}}}" for name in parts), **parts)


def render_for_page(text: str) -> str:
    """Return a text as a page gives it: a sentence with other advice, and anything else as it is."""
    return text.for_page() if isinstance(text, Sentence) else text


# --- Facts -----------------------------------------------------------------------------------------------------------


def _as_fact(value: object) -> object:
    """Keep what can be told apart, and turn everything else into text."""
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
    """Make the text: the one place of all sentences, which `tests/reworded.py` replaces."""
    return _Words(reader).vformat(template, (), facts) if facts else escape_hidden(template, keep="\n")


class _Words(Formatter):
    def __init__(self, reader: _Reader) -> None:
        self._reader = reader

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec == "clause":
            return self.format_field(value, "").removesuffix(".")
        if format_spec == "MB":
            return f"{value / 1_000_000:.1f} MB"
        if isinstance(value, Sentence):
            return _render(value.template, value.facts, self._reader)
        if isinstance(value, Advice):
            at_terminal, on_page = _ADVICE[value]
            return on_page if self._reader is _Reader.PAGE else at_terminal
        if isinstance(value, Path) and self._reader is _Reader.API:
            value = value.name or value
        return escape_hidden(format(value, format_spec) if format_spec else str(value))


_RUN = f"`{program.NAME} "
_NEW_ONE = "A new one has no users, settings or history. Your backups stay as they are."
_ADVICE: Mapping[Advice, tuple[str, str]] = {
    Advice.ACCEPT_FOLDER: (
        f"accept it with the next backup: {_RUN}backup create --accept-folder`.",
        "select “Use this folder without the disk” and press “Back up now”.",
    ),
    Advice.BACK_UP: (f"{_RUN}backup create`", "“Back up now”"),
    Advice.BRING_BACK: (
        (
            f"Put it back, or restore a backup in its place: stop tvarr, then run {_RUN}backup restore NAME --yes --offline`. "
            f"{_RUN}prepare` creates an empty one, with `--create` where TVARR_DATABASE_DSN names it."
        ),
        (
            "Put it back, or restore a backup in its place: stop tvarr, then choose “Restore” next to a backup. "
            f"{_RUN}prepare` creates an empty one, with `--create` where TVARR_DATABASE_DSN names it."
        ),
    ),
    Advice.CHECK_BROKEN: (
        f"{_RUN}backup show` says more of each, `backup delete` removes it.",
        "Each says more below, where it can be deleted.",
    ),
    Advice.FREE_SPACE: (
        f"Free some space, for instance with {_RUN}backup delete NAME`, then try again.",
        "Free some space, for instance by deleting backups, then try again.",
    ),
    Advice.IMPORT: ("import it with `portable import`", "import it on the page “Import”"),
    Advice.NAME_DATABASE: ("Name tvarr's database in TVARR_DATABASE_DSN.",) * 2,
    Advice.NAME_OR_CREATE: (
        (
            f"Name tvarr's database, restore a backup there ({_RUN}backup restore NAME --yes --offline`, with tvarr stopped), leave "
            "the variable unset to start with a new one, or create one there with `prepare --create`."
        ),
    )
    * 2,
    Advice.NEW_DATABASE: (f"create a new one with {_RUN}prepare`. {_NEW_ONE}",) * 2,
    Advice.PREPARE: (f"{_RUN}prepare`",) * 2,
    Advice.RECOVER: (f"{_RUN}backup recover`",) * 2,
    Advice.RESTORE: (
        (
            f"Restore a backup: {_RUN}backup list` shows them, {_RUN}backup restore NAME --yes` restores one. Where SQLite "
            "cannot write the damaged file, stop tvarr and add `--offline`."
        ),
        "Restore a backup: choose “Restore” next to it. If SQLite cannot write the damaged file, stop tvarr first.",
    ),
    Advice.START_WORKER: (f"Start one with {_RUN}worker`, or everything with {_RUN}up`.",) * 2,
}
"""Each advice as a command, and as what a page offers."""

NOTHING = Sentence("")
"""Where there is nothing to say."""
