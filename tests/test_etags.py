"""Entity tags: which states a request expects, and what is refused."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from tvarr_backup.errors import PreconditionFailed
from tvarr_backup.etags import etag_of, expected_etags, require_match


def test_answers_with_the_same_members_have_the_same_tag() -> None:
    assert etag_of({"a": 1, "b": 2}) == etag_of({"b": 2, "a": 1}) != etag_of({"a": 1, "b": 3})


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("*", None),
        ('"a"', ['"a"']),
        ('"a", W/"b", "c"', ['"a"', '"c"']),
        ('W/"a"', []),
        ("nonsense", []),
        ("", []),
    ],
)
def test_a_request_expects_the_strong_tags_of_if_match(header: str | None, expected: list[str] | None) -> None:
    headers = {} if header is None else {"If-Match": header}
    assert expected_etags(RequestFactory().get("/", headers=headers)) == expected


def test_another_state_is_refused_with_the_sentence() -> None:
    request = RequestFactory().get("/", headers={"If-Match": '"a"'})
    require_match(request, '"a"', "It has changed.")
    with pytest.raises(PreconditionFailed, match="It has changed"):
        require_match(request, '"b"', "It has changed.")
