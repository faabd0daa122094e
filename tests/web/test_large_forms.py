"""A large form is read as the library reads it, only sooner."""

from __future__ import annotations

from random import Random
from urllib.parse import parse_qsl, urlencode

import pytest
from django.test import RequestFactory

from tvarr_backup.errors import FileTooLarge
from tvarr_backup.web.large_forms import receive_form


def received(body: bytes, most_fields: int = 100) -> list[tuple[str, str]]:
    request = RequestFactory().post("/", body, content_type="application/x-www-form-urlencoded")
    receive_form(request, 10**6, most_fields)
    return [(name, value) for name, values in request.POST.lists() for value in values]


def test_what_browsers_send_is_read_as_the_library_reads_it() -> None:
    random = Random(7)
    letters = [*map(chr, range(128)), "ä", "€", "🛟", "\r\n", "%41", "=41", "+", "=\n", "==", "&amp;"]
    for _ in range(300):
        fields = [
            (
                "".join(random.choices(letters, k=random.randrange(1, 30))),
                "".join(random.choices(letters, k=random.randrange(60))),
            )
            for _ in range(5)
        ]
        assert sorted(received(urlencode(fields).encode())) == sorted(fields)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"&&a=1&",
        b"a",
        b"a=&b",
        b"=1",
        b"a=b=c",
        b"a=b=41==",
        b"a=%zz%4",
        b"a=%C3%28",
        b"a=\xc3\xa4 b",
        b"a=1\nb=2",
        b"a=%",
        b"a=1;b=2",
    ],
)
def test_what_no_browser_sends_is_read_so_too(body: bytes) -> None:
    assert received(body) == parse_qsl(body.decode(errors="replace"), keep_blank_values=True)


@pytest.mark.parametrize("body", [b"a=1&b=2&c=3", b"a=1&b=2&c=%", b"a=1&b=2&"])
def test_more_fields_than_are_allowed_are_refused(body: bytes) -> None:
    with pytest.raises(FileTooLarge, match="The form has more than 2 fields"):
        received(body, most_fields=2)
