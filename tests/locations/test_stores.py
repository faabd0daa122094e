"""What every kind of location does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.locations.places import Place, ZerosSource
from tvarr_backup.errors import LocationFailed, LocationInvalid, ObjectExists, ObjectMissing
from tvarr_backup.locations.addresses import LocationKind
from tvarr_backup.locations.listings import is_safe_name
from tvarr_backup.locations.stores import BytesSource, Entry, FileSource, Store, open_store

KINDS = ("folder", "s3", "sftp", "webdav")
LARGE = 12 * 2**20
"""More than a store sends in one piece."""


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest) -> Place:
    made: Place = request.getfixturevalue(f"{request.param}_place")
    return made


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with place.open() as opened:
        yield opened


def content_of(store: Store, name: str, start: int = 0) -> bytes:
    return b"".join(store.read(name, start))


class Canceled(Exception):
    pass


class CancelAfter:
    """Raises once so many bytes were transferred. `reported` has all calls."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.reported: list[int] = []

    def __call__(self, done: int) -> None:
        self.reported.append(done)
        if done >= self._size:
            raise Canceled


def test_an_object_is_written_listed_and_read(store: Store) -> None:
    store.write("mine/a.age", BytesSource(b"content"))
    assert store.list_folders() == ["mine"]
    assert store.list_objects("mine") == [Entry("a.age", 7)]
    assert content_of(store, "mine/a.age") == b"content"


def test_an_empty_location_has_nothing(store: Store) -> None:
    assert store.list_folders() == []
    assert store.list_objects("mine") == []


@pytest.mark.parametrize(("start", "rest"), [(0, b"content"), (3, b"tent"), (6, b"t"), (7, b"")])
def test_an_object_is_read_from_an_offset(store: Store, start: int, rest: bytes) -> None:
    store.write("mine/a.age", BytesSource(b"content"))
    assert content_of(store, "mine/a.age", start) == rest


def test_a_large_object_is_read_in_pieces_from_an_offset(store: Store, source: FileSource) -> None:
    store.write("mine/a.age", source)
    content = source.path.read_bytes()
    for start in (0, 1, source.size // 2, source.size, source.size + 1):
        pieces = list(store.read("mine/a.age", start))
        assert b"".join(pieces) == content[start:]
        assert max(map(len, pieces), default=0) <= 4 * 2**20


def test_reading_can_be_given_up(store: Store, source: FileSource) -> None:
    store.write("mine/a.age", source)
    pieces = store.read("mine/a.age")
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]  # it is a generator
    assert store.list_objects("mine") == [Entry("a.age", source.size)]


def test_an_empty_object_is_an_object(store: Store) -> None:
    store.write("mine/a.age", BytesSource(b""))
    assert store.list_objects("mine") == [Entry("a.age", 0)]
    assert content_of(store, "mine/a.age") == b""
    with pytest.raises(ObjectExists):
        store.write("mine/a.age", BytesSource(b""))


def test_an_object_is_deleted(store: Store) -> None:
    store.write("mine/a.age", BytesSource(b"content"))
    store.delete("mine/a.age")
    assert store.list_objects("mine") == []


@pytest.mark.parametrize("name", ["mine/b.age", "other/a.age"])
def test_deleting_a_missing_object_does_nothing(store: Store, name: str) -> None:
    store.write("mine/a.age", BytesSource(b"content"))
    store.delete(name)
    assert store.list_objects("mine") == [Entry("a.age", 7)]


@pytest.mark.parametrize("name", ["mine/b.age", "other/a.age"])
def test_a_missing_object_cannot_be_read(store: Store, name: str) -> None:
    store.write("mine/a.age", BytesSource(b"content"))
    with pytest.raises(ObjectMissing):
        content_of(store, name)


def test_an_object_that_is_deleted_after_it_was_listed_is_missing(store: Store, place: Place) -> None:
    store.write("mine/a.age", BytesSource(b"content"))
    (entry,) = store.list_objects("mine")
    with place.open() as other:
        other.delete(f"mine/{entry.name}")
    with pytest.raises(ObjectMissing):
        content_of(store, "mine/a.age")


@pytest.mark.parametrize("size", [7, LARGE])
def test_an_object_is_not_overwritten(store: Store, size: int) -> None:
    store.write("mine/a.age", BytesSource(b"content"))
    with pytest.raises(ObjectExists):
        store.write("mine/a.age", ZerosSource(size, tag="t"))
    assert content_of(store, "mine/a.age") == b"content"


@pytest.mark.parametrize("place", ["folder", "sftp", "webdav"], indirect=True)  # S3 has no such check
def test_an_object_that_appears_during_the_write_is_not_overwritten(store: Store, place: Place) -> None:
    with pytest.raises(ObjectExists):
        store.write("mine/a.age", ZerosSource(LARGE), report=lambda _done: place.put("mine/a.age", b"other"))
    assert content_of(store, "mine/a.age") == b"other"
    assert place.names() == {"mine/a.age"}


@pytest.mark.parametrize("size", [0, 7, LARGE])
def test_an_object_is_replaced_on_request(store: Store, place: Place, size: int) -> None:
    store.write("mine/a.age", BytesSource(b"content"))
    store.write("mine/a.age", ZerosSource(size, tag="t"), replace=True)
    assert content_of(store, "mine/a.age") == bytes(size)
    assert place.names() == {"mine/a.age"}


def test_an_object_can_be_created_by_a_replacement(store: Store) -> None:
    store.write("mine/a.age", BytesSource(b"content"), replace=True)
    assert content_of(store, "mine/a.age") == b"content"


@pytest.mark.parametrize("name", ["mine/ä ö.age", "my folder/100% #1 + [x] & 'y'.age", "日本/語", "mine/.hidden"])
def test_names_keep_their_characters(store: Store, name: str) -> None:
    store.write(name, BytesSource(b"content"))
    folder, last = name.split("/")
    assert store.list_folders() == [folder]
    assert store.list_objects(folder) == [Entry(last, 7)]
    assert content_of(store, name) == b"content"
    store.delete(name)
    assert store.list_objects(folder) == []


@pytest.mark.parametrize("name", ["/a.age", "mine/", "../a.age", "mine/..", "mine//a", "mine/a\nb", "mine/a\0b"])
def test_a_name_that_leads_elsewhere_is_refused(store: Store, place: Place, name: str) -> None:
    for use in (
        lambda: store.write(name, BytesSource(b"")),
        lambda: content_of(store, name),
        lambda: store.delete(name),
    ):
        with pytest.raises(LocationInvalid):
            use()
    assert place.names() == set()


def test_progress_is_reported_in_order_up_to_the_size(store: Store) -> None:
    reported: list[int] = []
    store.write("mine/a.age", ZerosSource(LARGE, tag="t"), report=reported.append)
    assert reported == sorted(reported)
    assert reported[-1] == LARGE
    assert len(reported) > 4


@pytest.mark.parametrize("size", [7, LARGE])
def test_a_write_without_a_tag_leaves_nothing_after_a_report_has_raised(store: Store, place: Place, size: int) -> None:
    with pytest.raises(Canceled):
        store.write("mine/a.age", ZerosSource(size), report=CancelAfter(size))
    assert store.list_objects("mine") == []
    left = place.names()
    if place.address.kind is LocationKind.WEBDAV:  # the server may end the request after its part was deleted
        left = {name for name in left if not name.endswith(".part")}
    assert left == set()
    store.write("mine/a.age", ZerosSource(size))
    assert store.list_objects("mine") == [Entry("a.age", size)]


@pytest.mark.parametrize("error", [OSError(28, "of the report"), KeyboardInterrupt()])
@pytest.mark.parametrize("size", [7, LARGE])
def test_what_a_report_raises_comes_through_as_it_is(store: Store, error: BaseException, size: int) -> None:
    def fail(_done: int) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        store.write("mine/a.age", ZerosSource(size), report=fail)
    assert raised.value is error
    assert store.list_objects("mine") == []


@pytest.mark.parametrize("missing", [1, -1])
@pytest.mark.parametrize("size", [7, LARGE])
def test_a_source_of_another_size_leaves_nothing(store: Store, place: Place, size: int, missing: int) -> None:
    with pytest.raises(LocationFailed):
        store.write("mine/a.age", ZerosSource(size, missing=missing))
    assert store.list_objects("mine") == []
    assert place.names() == set()


def test_an_error_of_the_source_is_not_one_of_the_location(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.write("mine/a.age", FileSource(tmp_path / "missing", 1))


def test_an_unfinished_write_is_not_listed_and_can_be_deleted(store: Store, place: Place) -> None:
    place.put("mine/other.txt", b"of another program")
    store.write("mine/a.age", BytesSource(b"content"))
    with pytest.raises(Canceled):
        store.write("mine/b.age", ZerosSource(LARGE, tag="t"), report=CancelAfter(LARGE // 2))
    assert {entry.name for entry in store.list_objects("mine")} == {"a.age", "other.txt"}
    store.delete_unfinished("mine")
    assert place.names() == {"mine/a.age", "mine/other.txt"}


def test_nothing_is_deleted_where_nothing_is_unfinished(store: Store, place: Place) -> None:
    place.put("mine/film.part", b"of another program")
    store.delete_unfinished("mine")
    store.delete_unfinished("other")
    assert place.names() == {"mine/film.part"}
    assert store.list_objects("mine") == []


def test_a_write_with_an_equal_tag_completes_an_unfinished_one(store: Store, place: Place) -> None:
    with pytest.raises(Canceled):
        store.write("mine/a.age", ZerosSource(LARGE, tag="t", byte=b"x"), report=CancelAfter(LARGE - 2**20))
    again = ZerosSource(LARGE, tag="t", byte=b"x")
    store.write("mine/a.age", again)
    assert content_of(store, "mine/a.age") == b"x" * LARGE
    assert place.names() == {"mine/a.age"}
    if place.address.kind in {LocationKind.FOLDER, LocationKind.SFTP}:
        assert again.starts[0] > 0


def test_a_write_with_another_tag_begins_again(store: Store) -> None:
    with pytest.raises(Canceled):
        store.write("mine/a.age", ZerosSource(LARGE, tag="t", byte=b"x"), report=CancelAfter(LARGE - 2**20))
    again = ZerosSource(LARGE - 1, tag="u", byte=b"y")
    store.write("mine/a.age", again)
    assert again.starts == [0]
    assert content_of(store, "mine/a.age") == b"y" * (LARGE - 1)


def test_a_missing_path_is_an_error_and_not_an_empty_location(place: Place) -> None:
    with open_store(place.missing) as store:
        for use in (
            store.list_folders,
            lambda: store.list_objects("mine"),
            lambda: store.write("mine/a.age", BytesSource(b"")),
            lambda: store.write("mine/a.age", ZerosSource(LARGE)),
            lambda: content_of(store, "mine/a.age"),
            lambda: store.delete("mine/a.age"),
        ):
            with pytest.raises(ObjectMissing):
                use()


def test_other_objects_are_neither_changed_nor_folders(store: Store, place: Place) -> None:
    others = {"note.txt", "mine/deeper/b.age", "other/a.age"}
    for name in others:
        place.put(name, b"of another program")
    store.write("mine/a.age", BytesSource(b"content"))
    assert sorted(store.list_folders()) == ["mine", "other"]
    assert store.list_objects("mine") == [Entry("a.age", 7)]
    store.delete("mine/a.age")
    store.delete_unfinished("mine")
    assert place.names() == others


def test_odd_names_of_others_do_not_hinder(store: Store, place: Place) -> None:
    store.write("mine/a.age", BytesSource(b"content"))
    place.put_odd_names()
    others = place.names() - {"mine/a.age"}
    assert "mine" in store.list_folders()
    assert Entry("a.age", 7) in store.list_objects("mine")
    store.write("mine/b.age", ZerosSource(7))
    store.write("mine/a.age", BytesSource(b"new"), replace=True)
    assert content_of(store, "mine/a.age") == b"new"
    store.delete("mine/a.age")
    store.delete("mine/b.age")
    store.delete_unfinished("mine")
    assert place.names() == others
    for name in [*store.list_folders(), *(entry.name for entry in store.list_objects("mine"))]:
        assert name.isprintable()
        assert is_safe_name(name)


def test_5_000_objects_are_listed(place: Place) -> None:
    with open_store(place.with_objects(5_000)) as store:
        listed = store.list_objects("mine")
        assert {entry.name for entry in listed} == {f"{number}.age" for number in range(5_000)}
        assert len(listed) == 5_000
        assert store.list_folders() == ["mine"]


def test_progress_is_reported_where_django_permits_queries(store: Store) -> None:
    loops: list[object] = []
    store.write("mine/a.age", ZerosSource(LARGE), report=lambda _done: loops.append(asyncio._get_running_loop()))
    assert set(loops) == {None}
