"""Names of objects in locations."""

from __future__ import annotations

import pytest

from tvarr_backup.errors import LocationInvalid
from tvarr_backup.locations.names import is_part, name_part, require_plain, split_name


@pytest.mark.parametrize("name", ["mine/a.age", "ä b/.c", "mine/a" + 200 * "b"])
def test_a_name_has_a_folder(name: str) -> None:
    assert "/".join(split_name(name)) == name
    require_plain(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "a.age", "/a", "a/", "a//b", "a/b/c", "./a", "a/..", "a\\b/c", "a/b\n", "a/\u202eb", "a/b ", "a/b."),
        *(" a/b", "a/b.part", "a/" + 231 * "b", "a/\udcff", "a/\0"),
    ],
)
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(LocationInvalid):
        split_name(name)


def test_equal_tags_have_equal_unfinished_names() -> None:
    assert name_part("a.age", "t") == name_part("a.age", "t")
    assert len({name_part("a.age", "t"), name_part("a.age", "u"), name_part("a.age", ""), name_part("b.age", "t")}) == 4
    assert is_part(name_part("a.age", "t"))


@pytest.mark.parametrize(
    "name", ["film.part", "a.0123456789abcdef", ".0123456789abcdef.part", "a.0123456789ABCDEF.part"]
)
def test_files_of_others_are_not_unfinished(name: str) -> None:
    assert not is_part(name)
