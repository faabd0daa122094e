"""Reading a file: what is accepted, and every refusal with its place, its value and what is allowed."""

import io
import json
from typing import Any

import pytest

from tests.portable.files import CLIENTS, FILTERS, MAPPING, PROFILES, document, filter_item, read
from tvarr_backup import errors
from tvarr_backup.portable.envelope import MAX_ITEMS, read_envelope
from tvarr_backup.portable.json_events import MAX_BYTES
from tvarr_backup.portable.kinds import Kind


def test_it_reads_items_with_every_member() -> None:
    (item,) = read(document(FILTERS, filter_item(description="News only"))).items
    assert item.position == 1
    assert item.values == {
        "name": "Harbour News",
        "description": "News only",
        "expression": 'group_title == "News"',
        "source_type": "stream",
        "action": "include",
        "source_id": "",
    }


def test_without_a_kind_the_files_own_is_taken() -> None:
    text = json.dumps(document(CLIENTS, {"name": "Player", "expression": "true"})).encode()
    assert read_envelope(io.BytesIO(text), None, "1").kind is CLIENTS


def test_without_a_kind_an_unknown_one_is_refused_with_all_that_are_allowed() -> None:
    text = json.dumps(document(FILTERS, export_type="proxies")).encode()
    with pytest.raises(errors.WrongKind, match=r"export_type is “proxies”; allowed are filters, data_mapping_rules, "):
        read_envelope(io.BytesIO(text), None, "1")


def test_missing_members_take_tvarrs_defaults() -> None:
    (item,) = read(document(CLIENTS, {"name": "Player", "expression": "true"}), CLIENTS).items
    assert item.values["is_enabled"] is True
    assert item.values["supports_fmp4"] is True
    assert item.values["priority"] == 0
    assert item.values["accepted_video_codecs"] == []


@pytest.mark.parametrize("value", [None, ""])
def test_null_and_the_empty_text_take_the_default_too(value: Any) -> None:
    (item,) = read(document(FILTERS, filter_item(action=value))).items
    assert item.values["action"] == "include"


def test_a_schema_member_a_byte_order_mark_and_null_items_are_accepted() -> None:
    value = {"$schema": "http://tvarr.example/schemas/x.json"} | document(FILTERS) | {"items": None}
    envelope = read(b"\xef\xbb\xbf" + json.dumps(value).encode())
    assert envelope.items == ()
    assert envelope.warnings == ()


def test_metadata_may_stand_after_the_items() -> None:
    value = document(FILTERS, filter_item())
    assert len(read({"items": value["items"], "metadata": value["metadata"]}).items) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The file is empty; an export is wanted."),
        (" \n\t", "The file is empty; an export is wanted."),
        ('{"metadata": nope}', "Line 1, column 15: this is no JSON."),
        ('{\n  "metadata": {},\n  "items": [1,, 2]\n}', "Line 3, column 15: this is no JSON."),
        ('{"metadata": {"version": NaN}}', "Line 1, column 26: this is no JSON."),
        ('{"metadata": {"version": Infinity}}', "Line 1, column 26: this is no JSON."),
        ('{"metadata": {"version": "1.0.0"', "Line 1, column 33: the text ends before the JSON does."),
        ('{"é": "è", x}', "Line 1, column 12: this is no JSON."),
        ("{} {}", "Line 1, column 4: there is something after the end of the JSON."),
        ('{"a": 1, "a": 2}', "The member “a” stands twice in one object; allowed is once."),
        ('{"items": [{"name": "A", "name": "B"}]}', "The member “name” stands twice in one object; allowed is once."),
        (r'{"a": "\ud800"}', "Line 1, column 8: half of a surrogate pair stands alone."),
        (r'{"a": "\ud800\ud800\udc00"}', "Line 1, column 8: half of a surrogate pair stands alone."),
        (r'{"a": "x\udc00"}', "Line 1, column 9: half of a surrogate pair stands alone."),
        (b'{"a": "\xff"}', "Line 1, column 8: this is no UTF-8 text."),
        ('{"a": "\0"}', "Line 1, column 8: this is no JSON."),
        ("// a comment\n{}", "Line 1, column 1: this is no JSON."),
    ],
)
def test_it_refuses_what_is_no_json_with_line_and_column(text: str | bytes, sentence: str) -> None:
    with pytest.raises(errors.NotJson) as refused:
        read(text)
    assert str(refused.value) == sentence


def test_a_pair_of_surrogates_is_a_character() -> None:
    (item,) = read(json.dumps(document(FILTERS, filter_item("Harbour \U0001f6a2")), ensure_ascii=True)).items
    assert item.name == "Harbour \U0001f6a2"


def test_an_escaped_backslash_before_a_u_is_no_escape() -> None:
    (item,) = read(document(FILTERS, filter_item("C:\\ud800"))).items
    assert item.name == "C:\\ud800"


def test_a_mistake_far_into_a_large_file_is_found_at_its_place() -> None:
    lines = [json.dumps(filter_item(f"Filter {number}")) for number in range(5_000)]
    lines[4_321] += "!"
    text = '{"items": [\n' + ",\n".join(lines) + "\n]}"
    with pytest.raises(errors.NotJson, match=r"^Line 4323, column \d+: this is no JSON"):
        read(text)


@pytest.mark.parametrize(
    ("value", "what"),
    [([], "a list"), ("text", "a text"), (12, "a number"), (None, "null"), (True, "true or false")],
)
def test_it_refuses_json_that_is_no_object(value: Any, what: str) -> None:
    with pytest.raises(errors.NotAnExport, match=f"The file is {what}, not an export"):
        read(json.dumps(value))


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({}, "it has no object “metadata”"),
        ({"metadata": []}, "it has no object “metadata”"),
        ({"metadata": {}}, "/metadata/version is missing; allowed is a text"),
        ({"metadata": {"version": 1}}, "/metadata/version is 1; allowed is a text"),
        ({"metadata": {"version": "1.0.0"}}, "/metadata/export_type is missing; allowed is a text"),
        ({"metadata": {"version": {"a": 1}}}, "/metadata/version is an object; allowed is a text"),
    ],
)
def test_it_refuses_json_that_is_no_export(value: Any, sentence: str) -> None:
    with pytest.raises(errors.NotAnExport) as refused:
        read(value)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"\x1f\x8b\x08\x00rest", "a compressed file, perhaps a backup"),
        (b"SQLite format 3\0rest", "an SQLite database"),
        (b"PK\x03\x04rest", "a zip archive"),
        (json.dumps({"checksum": "sha256:00", "database_size": 1}).encode(), "the description of a backup"),
    ],
)
def test_it_knows_a_backup_from_an_export(raw: bytes, what: str) -> None:
    with pytest.raises(errors.BackupNotExport, match=what):
        read(raw)


def test_it_names_the_kind_of_an_export_of_another_kind() -> None:
    with pytest.raises(errors.WrongKind, match=r"^This is an export of encoding profiles, not of filters\.$"):
        read(document(PROFILES))


def test_an_unknown_kind_is_named_with_the_allowed_one() -> None:
    with pytest.raises(errors.WrongKind, match=r"export_type is “proxies”; allowed is filters\."):
        read(document(FILTERS, export_type="proxies"))


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        ("2.0.0", "this program reads 1.0.0: update first"),
        ("0.9.0", "older than every one known; allowed is 1.0.0"),
        ("1.0", "“1.0”; allowed is 1.0.0"),
        ("one", "“one”; allowed is 1.0.0"),
        ("１.0.0", "allowed is 1.0.0"),
    ],
)
def test_it_refuses_formats_that_it_does_not_know(version: str, sentence: str) -> None:
    with pytest.raises(errors.VersionUnsupported) as refused:
        read(document(FILTERS, version=version))
    assert sentence in str(refused.value)


def test_a_newer_minor_format_is_a_warning() -> None:
    assert "newer format 1.1.0" in read(document(FILTERS, version="1.1.0")).warnings[0]


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ({"tvarr_version": "0.0.25"}, "The file was written by version 0.0.25; this is tvarr-backup test."),
        ({"item_count": 7}, "item_count says 7, but the file has 1 items."),
        ({"exported_at": "yesterday"}, "/metadata/exported_at is “yesterday”, which is no date and time."),
        ({"mood": "good"}, "The member “mood” of the metadata is not known and is ignored."),
    ],
)
def test_oddities_of_the_metadata_are_warnings(metadata: dict[str, Any], sentence: str) -> None:
    assert read(document(FILTERS, filter_item(), **metadata)).warnings == (sentence,)


def test_missing_metadata_members_are_a_warning() -> None:
    value = document(FILTERS)
    del value["metadata"]["exported_at"], value["metadata"]["item_count"]
    assert read(value).warnings == ("The metadata lack exported_at and item_count.",)


def test_an_unknown_member_of_the_file_is_a_warning() -> None:
    value = {"comment": {"deep": [1, [2]]}} | document(FILTERS)
    assert read(value).warnings == ("The member “comment” of the file is not known and is ignored.",)


def test_unknown_members_of_items_are_named() -> None:
    (item,) = read(document(FILTERS, filter_item(colour={"a": [1, 2]}, mood=1))).items
    assert item.unknown == ("colour", "mood")


def test_is_enabled_of_older_tvarrs_filters_is_known_and_ignored() -> None:
    (item,) = read(document(FILTERS, filter_item(is_enabled=True))).items
    assert item.unknown == ()


@pytest.mark.parametrize(
    ("kind", "members", "sentence"),
    [
        (FILTERS, {"name": 5}, "/items/0/name is 5; allowed is a text"),
        (FILTERS, {"name": True}, "/items/0/name is true; allowed is a text"),
        (FILTERS, {"name": {"a": 1}}, "/items/0/name is an object; allowed is a text"),
        (FILTERS, {"expression": [["x"]]}, "/items/0/expression is a list; allowed is a text"),
        (MAPPING, {"priority": "high"}, "/items/0/priority is “high”; allowed is a whole number"),
        (MAPPING, {"priority": 1.5}, "/items/0/priority is 1.5; allowed is a whole number"),
        (MAPPING, {"priority": True}, "/items/0/priority is true; allowed is a whole number"),
        (MAPPING, {"is_enabled": 1}, "/items/0/is_enabled is 1; allowed is true or false"),
        (CLIENTS, {"accepted_video_codecs": "h264"}, "is “h264”; allowed is a list of texts"),
        (CLIENTS, {"accepted_video_codecs": ["h264", 5]}, "is a list; allowed is a list of texts"),
        (CLIENTS, {"accepted_audio_codecs": ["x"] * 2_000}, "is a list of more than 1000; allowed is a list of texts"),
    ],
)
def test_members_of_the_wrong_type_are_refused_with_their_pointer(
    kind: Kind, members: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(errors.MemberInvalid) as refused:
        read(document(kind, {"name": "A", "expression": "true"} | members), kind)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"items": {}}, "/items is an object; allowed is a list."),
        ({"items": "none"}, "/items is a text; allowed is a list."),
        ({"items": ["A"]}, "/items/0 is a text; allowed is an object."),
        ({"items": [[1]]}, "/items/0 is a list; allowed is an object."),
        (
            {"metadata": document(FILTERS)["metadata"] | {"item_count": "3"}},
            "item_count is “3”; allowed is a whole number",
        ),
        (
            {"metadata": document(FILTERS)["metadata"] | {"tvarr_version": 3}},
            "/metadata/tvarr_version is 3; allowed is a text",
        ),
    ],
)
def test_the_frame_of_the_wrong_type_is_refused_with_its_pointer(value: Any, sentence: str) -> None:
    with pytest.raises(errors.MemberInvalid) as refused:
        read(document(FILTERS) | value)
    assert sentence in str(refused.value)


def test_every_wrong_member_is_listed_up_to_twenty() -> None:
    with pytest.raises(errors.MemberInvalid) as refused:
        read(document(FILTERS, *[filter_item(action=number) for number in range(25)]))
    assert str(refused.value).splitlines()[-1] == "And 5 more."
    assert len(str(refused.value).splitlines()) == 21


def test_it_refuses_more_than_32_mib() -> None:
    with pytest.raises(errors.FileTooLarge, match="larger than 32 MiB"):
        read(b" " * (MAX_BYTES + 1))


def test_it_refuses_more_than_100_000_items() -> None:
    with pytest.raises(errors.FileTooLarge, match="more than 100000 items"):
        read('{"items": [' + ",".join(["{}"] * (MAX_ITEMS + 1)) + "]}")


@pytest.mark.parametrize("depth", [33, 100_000])
def test_it_refuses_deep_nesting(depth: int) -> None:
    with pytest.raises(errors.FileTooLarge, match="nested deeper than 32 levels"):
        read('{"x": ' + "[" * depth + "]" * depth + "}")


def test_it_refuses_objects_with_a_great_many_members() -> None:
    with pytest.raises(errors.FileTooLarge, match="more than 1000 members"):
        read(json.dumps({str(number): 1 for number in range(1_001)}))


def test_nesting_within_the_limit_is_read_past() -> None:
    value = json.dumps(document(FILTERS))[:-1] + ', "x": ' + "[" * 31 + "]" * 31 + "}"
    assert read(value).items == ()


@pytest.mark.parametrize("number", ["9" * 10_000, "1e999999", "-0.0"])
def test_monstrous_numbers_are_refused_in_words(number: str) -> None:
    text = json.dumps(document(MAPPING, {"name": "A", "priority": 77777})).replace("77777", number)
    with pytest.raises(errors.FileRefused):
        read(text, MAPPING)


def test_reading_takes_no_more_than_the_limit_from_an_endless_stream() -> None:
    class Endless(io.RawIOBase):
        taken = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            self.taken += len(buffer)
            buffer[:] = b" " * len(buffer)
            return len(buffer)

    source = Endless()
    with pytest.raises(errors.FileTooLarge):
        read_envelope(io.BufferedReader(source), FILTERS, "x")
    assert source.taken < 2 * MAX_BYTES
