"""Splitting of an expression into tokens, as tvarr does it."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from lark import Token
from lark.lexer import Lexer

from tvarr_backup.expressions.problems import InvalidExpression, Problem, ProblemCode, printable
from tvarr_backup.expressions.reading import MAX_DEPTH, Reading
from tvarr_backup.expressions.tree import OPERATOR_WORDS

KEYWORDS: dict[str, str] = {
    **dict.fromkeys(OPERATOR_WORDS, "OPERATOR_WORD"),
    **dict.fromkeys(("and", "AND"), "_AND"),
    **dict.fromkeys(("or", "OR"), "_OR"),
    **dict.fromkeys(("not", "NOT"), "NOT"),
    **dict.fromkeys(("true", "TRUE"), "TRUE"),
    **dict.fromkeys(("false", "FALSE"), "FALSE"),
    **dict.fromkeys(("set", "SET", "set_if_empty", "SET_IF_EMPTY"), "SETTER"),
    **dict.fromkeys(("append", "APPEND", "remove", "REMOVE"), "SETTER"),
    **dict.fromkeys(("delete", "DELETE"), "DELETE"),
}
DYNAMIC = "@dynamic("

_TOKEN = re.compile(
    r"""
      (?P<BLANKS>      [ \t\n\r]+ )
    | (?P<WORD>        [^\W\d]  [\w:$@-]* | [$@] [\w:$@-]* )  # [^\W\d] is a letter or _; see _refuse_odd_letters
    | (?P<STRING>      " [^"\\]*+ (?: \\. [^"\\]*+ )*+ " | ' [^'\\]*+ (?: \\. [^'\\]*+ )*+ ' )
    | (?P<NUMBER>      -? [0-9]+ (?: \. [0-9]* )? )
    | (?P<NE>          != )
    | (?P<NOT>         ! )
    | (?P<EQ>          ==? )
    | (?P<SETEMPTY>    \?= )
    | (?P<APPENDSIGN>  \+= )
    | (?P<REMOVESIGN>  -= )
    | (?P<_AND>        && )
    | (?P<_OR>         \|\| )
    | (?P<_LPAR>       \( )
    | (?P<_RPAR>       \) )
    | (?P<_COMMA>      , )
    """,
    re.VERBOSE | re.DOTALL,
)
_PARENTHESIS = re.compile(r"[()]")
_KEY = re.compile(r"[\w:$@-]*")
_INSTEAD = {
    "=~": "matches",
    "!~": "not matches",
    ">=": "greater_than_or_equal",
    "<=": "less_than_or_equal",
    ">": "greater_than",
    "<": "less_than",
    "~": "matches",
    "&": "&&",
    "|": "||",
    **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"'),
    **dict.fromkeys("\u2018\u2019", "'"),
}


class Tokens:
    """The tokens of one reading, yielded once and added to `consumed`. Iteration raises `InvalidExpression`."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.consumed: list[Token] = []

    def __iter__(self) -> Iterator[Token]:
        text, origins = self.reading.text, self.reading.origins
        position = depth = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise self._bad_character(position)
            kind, start, position = match.lastgroup or "", position, match.end()
            if kind == "BLANKS":
                continue
            if kind == "WORD":
                kind, position = self._word(start, position)
            elif kind == "_LPAR":
                depth += 1
                if depth > MAX_DEPTH:
                    raise self._too_deep(start)
            elif kind == "_RPAR":
                depth -= 1
            value = text[start:position]
            token = Token(kind, value, start_pos=start, column=origins[start] + 1, end_pos=position)
            self.consumed.append(token)
            yield token

    def _word(self, start: int, end: int) -> tuple[str, int]:
        text = self.reading.text
        if text.startswith(DYNAMIC, start):
            end = self._end_of_dynamic(start)
            return "WORD", end
        word = text[start:end]
        if not word.isascii():
            self._refuse_odd_letters(start, end)
        return KEYWORDS.get(word, "WORD"), end

    def _end_of_dynamic(self, start: int) -> int:
        """Return the end of `@dynamic(path):key`. The path may contain anything, including pairs of parentheses."""
        text = self.reading.text
        depth = 0
        for match in _PARENTHESIS.finditer(text, start):
            depth += 1 if match[0] == "(" else -1
            if depth == 0:
                break
        if depth or not text.startswith("):", match.start()):
            raise self._bad_dynamic(start)
        key_start = match.end() + 1
        key = _KEY.match(text, key_start)
        key_end = key.end() if key else key_start
        self._refuse_odd_letters(key_start, key_end)
        return key_end

    def _refuse_odd_letters(self, start: int, end: int) -> None:
        r"""Refuse numbers such as ² and Ⅷ, which match Python's `\w` but are neither letters nor decimal digits."""
        for position in range(start, end):
            character = self.reading.text[position]
            if not character.isascii() and unicodedata.category(character) not in {"Lu", "Ll", "Lt", "Lm", "Lo", "Nd"}:
                raise self._bad_character(position)

    def _problem(
        self, code: ProblemCode, position: int, message: str, found: str, expected: tuple[str, ...]
    ) -> InvalidExpression:
        return InvalidExpression(Problem(code, self.reading.column(position), message, found, expected))

    def _bad_character(self, position: int) -> InvalidExpression:
        character = self.reading.text[position]
        if character in "\"'":
            message = f"The text that starts here with {character} has no closing {character}."
            return self._problem(ProblemCode.UNCLOSED_TEXT, position, message, character, (f"a closing {character}",))
        if self.reading.text.startswith(("=~", "!~"), max(position - 1, 0)):
            position -= 1
        symbol = next((symbol for symbol in _INSTEAD if self.reading.text.startswith(symbol, position)), None)
        found = symbol or printable(character)
        instead = "a space" if character.isspace() else _INSTEAD.get(symbol or "")
        advice = f"Write {instead} instead" if instead else "Put it in quotes if it is part of a text"
        message = f"`{found}` has no meaning here. {advice}."
        return self._problem(ProblemCode.BAD_CHARACTER, position, message, found, (instead,) if instead else ())

    def _bad_dynamic(self, start: int) -> InvalidExpression:
        message = "Expected @dynamic(path):key, got a reference without a closing parenthesis and a colon."
        return self._problem(ProblemCode.BAD_REFERENCE, start, message, DYNAMIC, ("@dynamic(path):key",))

    def _too_deep(self, start: int) -> InvalidExpression:
        message = f"Parentheses have more than {MAX_DEPTH} levels of nesting."
        return self._problem(ProblemCode.TOO_DEEP, start, message, "(", (f"at most {MAX_DEPTH} levels",))


class PassThroughLexer(Lexer):
    """A lexer for Lark that yields the given tokens."""

    def __init__(self, _lexer_conf: Any) -> None:
        super().__init__()

    def lex(self, data: Tokens) -> Iterator[Token]:  # type: ignore[override]  # Lark wraps lexers that take one argument
        return iter(data)
