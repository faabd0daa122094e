"""Reading of a file: what is accepted, and errors with place, value and expectation."""

import io
import json
from typing import Any

import pytest

from tests.portable.files import CLIENTS, FILTERS, MAPPING, PROFILES, document, filter_item, read
from tvarr_backup import errors
from tvarr_backup.portable.envelope import MAX_ITEMS, read_envelope
from tvarr_backup.portable.json_events import MAX_BYTES
from tvarr_backup.portable.kinds import Kind
from tvarr_backup.quoting import quoted


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


def test_without_a_kind_that_of_the_file_counts() -> None:
    text = json.dumps(document(CLIENTS, {"name": "Player", "expression": "true"})).encode()
    assert read_envelope(io.BytesIO(text), None).kind is CLIENTS


def test_without_a_kind_an_unknown_one_is_refused_with_all_kinds() -> None:
    text = json.dumps(document(FILTERS, export_type="proxies")).encode()
    with pytest.raises(
        errors.WrongKind,
        match='Expected "filters", "data_mapping_rules", "client_detection_rules" or "encoding_profiles" as "export_type"',
    ):
        read_envelope(io.BytesIO(text), None)


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


def test_metadata_may_follow_the_items() -> None:
    value = document(FILTERS, filter_item())
    assert len(read({"items": value["items"], "metadata": value["metadata"]}).items) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The file is empty. Expected an export."),
        (" \n\t", "The file is empty. Expected an export."),
        ('{"metadata": nope}', "Line 1, column 15: this is not valid JSON."),
        ('{\n  "metadata": {},\n  "items": [1,, 2]\n}', "Line 3, column 15: this is not valid JSON."),
        ('{"metadata": {"version": NaN}}', "Line 1, column 26: this is not valid JSON."),
        ('{"metadata": {"version": Infinity}}', "Line 1, column 26: this is not valid JSON."),
        ('{"metadata": {"version": "1.0.0"', "Line 1, column 33: the JSON is incomplete."),
        ('{"é": "è", x}', "Line 1, column 12: this is not valid JSON."),
        ("{} {}", "Line 1, column 4: there is more text after the JSON."),
        ('{"a": 1, "a": 2}', f"The member {quoted('a')} appears twice in one object."),
        ('{"items": [{"name": "A", "name": "B"}]}', f"The member {quoted('name')} appears twice in one object."),
        (r'{"a": "\ud800"}', "Line 1, column 8: unpaired surrogate."),
        (r'{"a": "\ud800\ud800\udc00"}', "Line 1, column 8: unpaired surrogate."),
        (r'{"a": "x\udc00"}', "Line 1, column 9: unpaired surrogate."),
        (b'{"a": "\xff"}', "Line 1, column 8: this is not valid UTF-8."),
        ('{"a": "\0"}', "Line 1, column 8: this is not valid JSON."),
        ("// a comment\n{}", "Line 1, column 1: this is not valid JSON."),
    ],
)
def test_it_refuses_invalid_json_with_line_and_column(text: str | bytes, sentence: str) -> None:
    with pytest.raises(errors.NotJson) as refused:
        read(text)
    assert str(refused.value) == sentence


def test_a_pair_of_surrogates_is_a_character() -> None:
    (item,) = read(json.dumps(document(FILTERS, filter_item("Harbour \U0001f6a2")), ensure_ascii=True)).items
    assert item.name == "Harbour \U0001f6a2"


def test_an_escaped_backslash_before_a_u_is_not_an_escape() -> None:
    (item,) = read(document(FILTERS, filter_item("C:\\ud800"))).items
    assert item.name == "C:\\ud800"


def test_an_error_far_into_a_large_file_is_found() -> None:
    lines = [json.dumps(filter_item(f"Filter {number}")) for number in range(5_000)]
    lines[4_321] += "!"
    text = '{"items": [\n' + ",\n".join(lines) + "\n]}"
    with pytest.raises(errors.NotJson, match=r"^Line 4323, column \d+: this is not valid JSON"):
        read(text)


@pytest.mark.parametrize(
    ("value", "what"),
    [([], "a list"), ("text", "text"), (12, "a number"), (None, "null"), (True, "true or false")],
)
def test_it_refuses_json_that_is_not_an_object(value: Any, what: str) -> None:
    with pytest.raises(errors.NotAnExport, match=rf"^Expected an export .*, got {what}\.$"):
        read(json.dumps(value))


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({}, 'it has no object "metadata"'),
        ({"metadata": []}, 'it has no object "metadata"'),
        ({"metadata": {}}, 'Expected text as "version" in the metadata, got nothing.'),
        ({"metadata": {"version": 1}}, 'Expected text as "version" in the metadata, got 1.'),
        ({"metadata": {"version": "1.0.0"}}, 'Expected text as "export_type" in the metadata, got nothing.'),
        ({"metadata": {"version": {"a": 1}}}, 'Expected text as "version" in the metadata, got an object.'),
    ],
)
def test_it_refuses_json_that_is_not_an_export(value: Any, sentence: str) -> None:
    with pytest.raises(errors.NotAnExport) as refused:
        read(value)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"\x1f\x8b\x08\x00rest", "a compressed file, perhaps a backup"),
        (b"SQLite format 3\0rest", "an SQLite database"),
        (b"PK\x03\x04rest", "a zip archive"),
        (json.dumps({"checksum": "sha256:00", "database_size": 1}).encode(), "the metadata file of a backup"),
    ],
)
def test_it_distinguishes_a_backup_from_an_export(raw: bytes, what: str) -> None:
    with pytest.raises(errors.BackupNotExport, match=what):
        read(raw)


def test_it_names_the_kind_of_an_export_of_another_kind() -> None:
    with pytest.raises(errors.WrongKind, match=r"^Expected an export of filters, got encoding profiles\.$"):
        read(document(PROFILES))


def test_an_unknown_kind_is_named_with_the_expected_one() -> None:
    with pytest.raises(errors.WrongKind, match='Expected "filters" as "export_type" in the metadata, got'):
        read(document(FILTERS, export_type="proxies"))


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        ("2.0.0", "This version reads 1.0.0. Update tvarr-backup first."),
        ("0.9.0", "Expected format 1.0.0, got 0.9.0."),
        ("1.0", 'Expected "1.0.0" as "version" in the metadata, got "1.0".'),
        ("one", 'Expected "1.0.0" as "version" in the metadata, got "one".'),
        ("１.0.0", 'Expected "1.0.0" as "version" in the metadata, got'),
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
        ({"item_count": 7}, "The file has 1 item, but its metadata says 7."),
        ({"exported_at": "yesterday"}, 'Expected a date and time as "exported_at" in the metadata, got "yesterday".'),
        ({"mood": "good"}, f"The unknown member {quoted('mood')} of the metadata is ignored."),
    ],
)
def test_wrong_metadata_gives_warnings(metadata: dict[str, Any], sentence: str) -> None:
    assert read(document(FILTERS, filter_item(), **metadata)).warnings == (sentence,)


def test_another_program_that_wrote_the_file_is_no_warning() -> None:
    assert read(document(FILTERS, tvarr_version="0.0.25")).warnings == ()


def test_missing_metadata_members_are_a_warning() -> None:
    value = document(FILTERS)
    del value["metadata"]["exported_at"], value["metadata"]["item_count"]
    assert read(value).warnings == ("The metadata has no exported_at and no item_count.",)


def test_an_unknown_member_of_the_file_is_a_warning() -> None:
    value = {"comment": {"deep": [1, [2]]}} | document(FILTERS)
    assert read(value).warnings == (f"The unknown member {quoted('comment')} of the file is ignored.",)


def test_unknown_members_of_items_are_named() -> None:
    (item,) = read(document(FILTERS, filter_item(colour={"a": [1, 2]}, mood=1))).items
    assert item.unknown == ("colour", "mood")


def test_is_enabled_of_older_tvarrs_filters_is_known_and_ignored() -> None:
    (item,) = read(document(FILTERS, filter_item(is_enabled=True))).items
    assert item.unknown == ()


@pytest.mark.parametrize(
    ("kind", "members", "sentence"),
    [
        (FILTERS, {"name": 5}, "/items/0/name: Expected text, got 5."),
        (FILTERS, {"name": True}, "/items/0/name: Expected text, got true."),
        (FILTERS, {"name": {"a": 1}}, "/items/0/name: Expected text, got an object."),
        (FILTERS, {"expression": [["x"]]}, "/items/0/expression: Expected text, got a list."),
        (MAPPING, {"priority": "high"}, f"/items/0/priority: Expected a whole number, got {quoted('high')}."),
        (MAPPING, {"priority": 1.5}, "/items/0/priority: Expected a whole number, got 1.5."),
        (MAPPING, {"priority": True}, "/items/0/priority: Expected a whole number, got true."),
        (MAPPING, {"is_enabled": 1}, "/items/0/is_enabled: Expected true or false, got 1."),
        (CLIENTS, {"accepted_video_codecs": "h264"}, f"Expected a list of text values, got {quoted('h264')}."),
        (CLIENTS, {"accepted_video_codecs": ["h264", 5]}, "Expected a list of text values, got a list."),
        (
            CLIENTS,
            {"accepted_audio_codecs": ["x"] * 2_000},
            "Expected a list of text values, got more than 1000 values.",
        ),
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
        ({"items": {}}, "/items: Expected a list, got an object."),
        ({"items": "none"}, "/items: Expected a list, got text."),
        ({"items": ["A"]}, "/items/0: Expected an object, got text."),
        ({"items": [[1]]}, "/items/0: Expected an object, got a list."),
        (
            {"metadata": document(FILTERS)["metadata"] | {"item_count": "3"}},
            f"item_count: Expected a whole number, got {quoted('3')}.",
        ),
        (
            {"metadata": document(FILTERS)["metadata"] | {"tvarr_version": 3}},
            "/metadata/tvarr_version: Expected text, got 3.",
        ),
    ],
)
def test_an_envelope_of_the_wrong_type_is_refused_with_its_pointer(value: Any, sentence: str) -> None:
    with pytest.raises(errors.MemberInvalid) as refused:
        read(document(FILTERS) | value)
    assert sentence in str(refused.value)


def test_every_wrong_member_is_listed_up_to_twenty() -> None:
    with pytest.raises(errors.MemberInvalid) as refused:
        read(document(FILTERS, *[filter_item(action=number) for number in range(25)]))
    assert str(refused.value).splitlines()[-1] == "And 5 more."
    assert len(str(refused.value).splitlines()) == 21


def test_it_refuses_more_than_32_mib() -> None:
    with pytest.raises(errors.FileTooLarge, match="limit of 32 MiB"):
        read(b" " * (MAX_BYTES + 1))


def test_it_refuses_more_than_100_000_items() -> None:
    with pytest.raises(errors.FileTooLarge, match="more than 100000 items"):
        read('{"items": [' + ",".join(["{}"] * (MAX_ITEMS + 1)) + "]}")


@pytest.mark.parametrize("depth", [33, 100_000])
def test_it_refuses_deep_nesting(depth: int) -> None:
    with pytest.raises(errors.FileTooLarge, match="more than 32 levels of nesting"):
        read('{"x": ' + "[" * depth + "]" * depth + "}")


def test_it_refuses_objects_with_a_great_many_members() -> None:
    with pytest.raises(errors.FileTooLarge, match="more than 1000 members"):
        read(json.dumps({str(number): 1 for number in range(1_001)}))


def test_nesting_within_the_limit_is_accepted() -> None:
    value = json.dumps(document(FILTERS))[:-1] + ', "x": ' + "[" * 31 + "]" * 31 + "}"
    assert read(value).items == ()


@pytest.mark.parametrize("number", ["9" * 10_000, "1e999999", "-0.0"])
def test_extreme_numbers_are_refused(number: str) -> None:
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
        read_envelope(io.BufferedReader(source), FILTERS)
    assert source.taken < 2 * MAX_BYTES
