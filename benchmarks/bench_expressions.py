"""Checking of 1,000 typical expressions, compared with only splitting the same texts into tokens."""

import time
from collections.abc import Callable

from lark import Lark

from tvarr_backup.expressions import Domain, check_expression

COUNT = 1000
REPEATS = 7
TYPICAL: tuple[tuple[str, Domain], ...] = (
    (r'stream_url starts_with "http"', Domain.STREAM_FILTER),
    (r'group_title == "Sports"', Domain.STREAM_FILTER),
    (r'is_adult == true OR group_title matches "(?i)\\b(adult|xxx|18\\+)" OR tvg_id = "x"', Domain.STREAM_FILTER),
    (r'programme_title contains "Quiz" AND NOT programme_category equals "News"', Domain.EPG_FILTER),
    (r'channel_name matches "(.+) HD" AND (group = "UK" OR group = "IE") SET name = "$1"', Domain.STREAM_MAPPING),
    (r'group_title matches "^([A-Z]{2,4})\\|" SET country = "$1"', Domain.STREAM_MAPPING),
    (r'channel_group_title matches "(?i)\\b(music|musica)" SET_IF_EMPTY genre = "Music"', Domain.EPG_MAPPING),
    (r'@dynamic(request.headers):user-agent contains "TV" AND NOT host contains "x"', Domain.CLIENT_DETECTION),
)
TOKENS = r"""
start: (WORD | TEXT | NUMBER | SIGN)*
WORD: /[^\W\d][\w:$@-]*|[$@][\w:$@-]*/
TEXT: /"(?:[^"\\]|\\.)*"/
NUMBER: /-?[0-9]+/
SIGN: /[=!?+]=?|[().,:]/
%ignore /\s+/
"""


def expressions() -> list[tuple[str, Domain]]:
    """Return different expressions, so that each regular expression is compiled again."""
    typical = [TYPICAL[number % len(TYPICAL)] for number in range(COUNT)]
    return [(text.replace('"', f'"{number}', 1), domain) for number, (text, domain) in enumerate(typical)]


def best_seconds(work: Callable[[], object]) -> float:
    def once() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return min(once() for _ in range(REPEATS))


def main() -> None:
    texts = expressions()
    lark = Lark(TOKENS, parser="lalr", lexer="basic")
    floor = best_seconds(lambda: [list(lark.lex(text)) for text, _ in texts])
    ours = best_seconds(lambda: [check_expression(text, domain) for text, domain in texts])
    print(f"{COUNT:,} typical expressions, the best of {REPEATS} runs")
    print(f"floor, Lark's bare lexing: {floor:.3f} s")
    print(f"check_expression: {ours:.3f} s, {ours / floor:.1f} times the floor")


if __name__ == "__main__":
    main()
