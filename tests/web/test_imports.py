"""The Import pages: the form for a file, the preview with its choices, and the result."""

from __future__ import annotations

import gzip
import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.factories import EncodingProfileFactory, FilterFactory
from tests.portable.files import (
    CLIENTS,
    ENCODINGS,
    EXAMPLES,
    FILTERS,
    PROFILES,
    bundle,
    client_item,
    document,
    encoded,
    filter_item,
    profile_item,
)
from tests.web.browsing import fields_of, person, send, text_of
from tvarr_backup.errors import DatabaseBusy
from tvarr_backup.models import ClientDetectionRule, EncodingProfile, Filter
from tvarr_backup.operations.imports import PENDING_FOR, apply_pending, change_choices
from tvarr_backup.operations.models import ImportRecord
from tvarr_backup.portable.json_events import MAX_BYTES
from tvarr_backup.portable.kinds import KINDS, Kind
from tvarr_backup.web.import_preview import ROWS_ON_A_PAGE

pytestmark = pytest.mark.django_db

MAY_IMPORT = {"access.import_configuration"}
PAGE = "/import/"
FORM = "import-form"


@pytest.fixture
def operator(db: None) -> Client:
    return person(MAY_IMPORT)


def file_of(kind: Kind, *items: Any, name: str = "settings.json", **metadata: Any) -> SimpleUploadedFile:
    text = json.dumps(document(kind, *items, **metadata)).encode()
    return SimpleUploadedFile(name, text, "application/json")


def review(client: Client, kind: Kind, *items: Any, **metadata: Any) -> Any:
    """Upload a file, and return its preview."""
    response = client.post(PAGE, {"file": file_of(kind, *items, **metadata)}, follow=True)
    assert response.redirect_chain, text_of(response)
    return response


def change(client: Client, shown: Any, /, **fields: Any) -> Any:
    """Send the page's form with these fields changed, and return the preview.

    Names with a hyphen are written with an underscore.
    """
    changed = {name.replace("_", "-"): value for name, value in fields.items()}
    form = {**fields_of(shown, FORM), **changed}
    if "show" in changed:  # a button besides the hidden field
        form["show"] = [*fields_of(shown, FORM)["show"], changed["show"]]
    response = send(client, address(shown, "choices/"), form)
    assert response.status_code == 302, text_of(response)
    return client.get(response["Location"])


def address(shown: Any, more: str = "") -> str:
    """Return the address of the import that is shown, or one below it."""
    return str(shown.request["PATH_INFO"]) + more


def totals(response: Any) -> str:
    found = re.search(r'id="import-totals">([^<]*)<', response.content.decode())
    assert found, text_of(response)
    return found[1]


def button(response: Any) -> tuple[str, bool]:
    """What the button to import says, and whether it can be pressed."""
    found = re.search(
        r'id="import-now" class="btn btn-main"( disabled)?><span[^>]*>([^<]*)<', response.content.decode()
    )
    assert found, text_of(response)
    return found[2], not found[1]


def press_import(client: Client, shown: Any, /, **fields: Any) -> Any:
    """Press the button that the page shows; return the answer that leads to the result, or back."""
    changed = {name.replace("_", "-"): value for name, value in fields.items()}
    return send(client, address(shown, "apply/"), {**fields_of(shown, FORM), **changed})


def led(client: Client, response: Any) -> Any:
    """Follow to the page that is led to."""
    assert response.status_code == 302, text_of(response)
    return client.get(response["Location"])


def choose(client: Client, shown: Any, target: str = "import-totals", **fields: str) -> Any:
    """Change something as the page's script does: only what was changed is sent."""
    changed = {name.replace("_", "-"): value for name, value in fields.items()}
    headers = {"HX-Request": "true", "HX-Target": target}
    return client.post(address(shown, "choices/"), {"show": "", "page": "1", **changed}, headers=headers)


def tiles(response: Any) -> dict[str, int]:
    found = re.findall(r'class="[^"]*\btile"[^>]*>([\w -]+) <strong[^>]*>(\d+)<', response.content.decode())
    return {label: int(number) for label, number in found if number != "0"}


def names_shown(response: Any) -> list[str]:
    return re.findall(
        r'<th scope="row">(?:<bdi>)?([^<]*)(?:</bdi>)?</th>\s*<td>\s*(?:<details|None)', response.content.decode()
    )


# --- Who may, and what is no export ----------------------------------------------------------------------------------


def test_without_the_permission_there_is_neither_page_nor_link_nor_import() -> None:
    nobody = person(())
    assert nobody.get(PAGE).status_code == 403
    assert nobody.post(PAGE, {"file": file_of(FILTERS, filter_item())}).status_code == 403
    assert PAGE not in nobody.get("/account/").content.decode()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_file_with_a_byte_order_mark_is_reviewed_and_imported(operator: Client, encoding: str) -> None:
    content = encoded(document(FILTERS, filter_item("Новости")), encoding)
    file = SimpleUploadedFile("settings.json", content, "application/json")
    shown = operator.post(PAGE, {"file": file}, follow=True)
    assert names_shown(shown) == ["Новости"]
    assert press_import(operator, shown).status_code == 302
    assert Filter.objects.filter(name="Новости").exists()


def test_who_is_not_signed_in_is_asked_to(client: Client) -> None:
    form = {"file": file_of(FILTERS, filter_item())}
    response = client.post(PAGE, form, headers={"Referer": f"http://testserver{PAGE}"})
    assert (response.status_code, response["Location"]) == (302, f"/sign-in/?next={PAGE}&unsent=1")


def test_only_forms_of_ours_are_read() -> None:
    client = person(MAY_IMPORT, enforce_csrf_checks=True)
    assert client.post(PAGE, {"file": file_of(FILTERS, filter_item())}).status_code == 403
    assert send(client, PAGE, {"text": "{}"}).status_code == 403


def test_a_form_of_ours_is_read_with_its_token() -> None:
    client = person(MAY_IMPORT, enforce_csrf_checks=True)
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get(PAGE).content.decode())
    assert token is not None
    form = {"file": file_of(FILTERS, filter_item()), "csrfmiddlewaretoken": token[1]}
    page = client.post(PAGE, form, follow=True)
    assert press_import(client, page).status_code == 302
    assert "1 added" in text_of(client.get(address(page)))


def test_choices_and_the_button_want_a_token() -> None:
    client = person(MAY_IMPORT, enforce_csrf_checks=True)
    page = client.get(PAGE)
    token = {"csrfmiddlewaretoken": client.cookies[settings.CSRF_COOKIE_NAME].value}
    page = client.post(PAGE, {"file": file_of(FILTERS, filter_item()), **token}, follow=True)
    for path in ("choices/", "apply/", "discard/"):
        assert client.post(address(page, path)).status_code == 403


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The file is empty. Expected an export."),
        (gzip.compress(b"x"), "This is a compressed file, perhaps a backup. Expected an export (a JSON file)."),
        (b"SQLite format 3\0" + bytes(100), "This is an SQLite database. Expected an export"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(200), "Line 1, column 1: "),
        (b'{"metadata": {\n  "version": }', "Line 2, column 14: this is not valid JSON."),
        (b'{"a": 1}', 'it has no object "metadata"'),
        (
            json.dumps(document(FILTERS, export_type="relays")).encode(),
            'Expected "filters", "data_mapping',
        ),
        (
            json.dumps(document(FILTERS, filter_item(priority=1, action=5))).encode(),
            "Item 1, action: Expected text, got 5.",
        ),
    ],
    ids=["empty", "backup", "database", "photo", "broken", "other JSON", "other kind", "wrong type"],
)
def test_a_file_that_is_no_export_is_refused_in_a_sentence(operator: Client, content: bytes, sentence: str) -> None:
    response = operator.post(PAGE, {"file": SimpleUploadedFile("holiday.jpg", content)})
    assert '"holiday.jpg" cannot be imported.' in text_of(response)
    assert sentence in text_of(response)
    assert "Nothing was changed." in text_of(response)


def test_a_file_over_the_limit_is_refused_in_a_sentence(operator: Client) -> None:
    for size in (MAX_BYTES + 1, 2 * MAX_BYTES):
        response = operator.post(PAGE, {"file": SimpleUploadedFile("film.mkv", b"{" * size)})
        (sentence,) = response.context["sentences"]
        assert "32 MiB" in sentence


def test_a_text_that_is_too_long_to_be_pasted_is_refused_in_a_sentence(operator: Client) -> None:
    for response in (
        send(operator, PAGE, {"text": "x" * 3_000_000}),
        operator.post(PAGE, {"text": "x" * 3_000_000}),
    ):
        assert "The text is too long. Save it as a file and select the file." in text_of(response)


def test_a_file_of_some_megabytes_is_read(operator: Client) -> None:
    items = [filter_item(f"Harbour {number}", description="d" * 500) for number in range(6000)]
    assert totals(review(operator, FILTERS, *items)) == "Will add 6000."


def test_no_file_and_no_text_is_said(operator: Client) -> None:
    assert "No file was selected and no text was pasted." in text_of(operator.post(PAGE, {}))
    assert "No file was selected and no text was pasted." in text_of(send(operator, PAGE, {"text": " \n"}))


def test_a_text_that_cannot_be_read_stays_in_the_form(operator: Client) -> None:
    response = send(operator, PAGE, {"text": '{"metadata": <'})
    assert "Import rejected." in text_of(response)
    assert "{&quot;metadata&quot;: &lt;</textarea>" in response.content.decode()


# --- The review ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS.values(), ids=[*KINDS])
def test_the_kind_is_seen_from_the_file(operator: Client, kind: Kind) -> None:
    response = review(operator, kind, EXAMPLES[kind.slug]())
    assert f"Import {kind.label}" in text_of(response)
    assert "settings.json : 1 item, exported 2 Jan 2026, 03:04" in text_of(response)
    assert (totals(response), button(response)) == ("Will add 1.", ("Import 1 item", True))


def of_all_states(client: Client) -> Any:
    """A preview with two new, two changed, one unchanged, one built-in and one invalid item."""
    for name in ("Same", "Differs", "Differs, too"):
        FilterFactory.create(**filter_item(name, description=""))
    items = [filter_item("New"), filter_item("Newer"), filter_item("Same")]
    items += [filter_item(name, action="exclude") for name in ("Differs", "Differs, too", "Sports Only")]
    return review(client, FILTERS, *items, filter_item("Broken", expression=None))


def test_the_tiles_count_the_states(operator: Client) -> None:
    page = of_all_states(operator)
    assert tiles(page) == {"All": 7, "New": 2, "Changed": 2, "Unchanged": 1, "Built-in": 1, "Invalid": 1}
    assert totals(page) == "Will add 2, skip 4. Fix or skip 1 invalid item to continue."
    assert button(page) == ("Import 2 items", False)


def test_a_tile_shows_its_rows_alone_and_keeps_what_was_chosen_elsewhere(operator: Client) -> None:
    page = change(operator, of_all_states(operator), action_1="skip", show="different")
    assert names_shown(page) == ["Differs", "Differs, too"]
    everything = change(operator, page, show="")
    assert fields_of(everything, FORM)["action-1"] == ["skip"]
    assert len(names_shown(everything)) == 7


def test_a_row_that_differs_shows_what_is_here_and_what_is_in_the_file(operator: Client) -> None:
    FilterFactory.create(name="A", action="include", expression='group_title == "News"')
    page = review(operator, FILTERS, filter_item("A", expression='group_title == "Sports"'))
    source = page.content.decode()
    assert "expression" in text_of(page)
    assert "group_title == &quot;<del>News</del>&quot;" in source
    assert "group_title == &quot;<ins>Sports</ins>&quot;" in source


def test_a_text_too_long_to_compare_is_marked_as_a_whole(operator: Client) -> None:
    FilterFactory.create(**filter_item("A", description="a " * 400))
    page = review(operator, FILTERS, filter_item("A", description="b " * 400))
    assert re.search(r"<del>(a ){400}</del>", page.content.decode())


def test_a_problem_names_field_value_and_what_is_allowed(operator: Client) -> None:
    text = text_of(review(operator, PROFILES, profile_item("A", hw_accel="steam")))
    assert re.search(r'hw_accel: Expected .*"vaapi".*, got "steam"', text)


def test_what_tvarr_stores_is_a_warning(operator: Client) -> None:
    page = review(operator, FILTERS, filter_item("A ", action="perhaps"))
    assert re.search(r'action: Expected "include" or "exclude", got "perhaps"', text_of(page))
    assert button(page) == ("Import 1 item", True)


def test_items_of_one_name_are_called_by_their_source_type(operator: Client) -> None:
    other = {"source_type": "epg", "expression": 'programme_title contains "x"'}
    page = review(operator, FILTERS, filter_item("Both"), filter_item("Both", **other), filter_item("One"))
    labels = re.findall(r'aria-label="Action for ([^"]*)"', page.content.decode())
    assert labels == ["Both (stream)", "Both (epg)", "One"]
    assert totals(page) == "Will add 3."


def test_a_single_answer_changes_the_totals(operator: Client) -> None:
    page = of_all_states(operator)
    page = change(operator, page, action_4="overwrite", action_5="rename", action_7="skip")
    assert totals(page) == "Will add 2, overwrite 1, rename 1, skip 3."
    assert button(page) == ("Import 4 items, overwrite 1", True)


def test_where_nothing_would_change_the_button_is_off(operator: Client) -> None:
    FilterFactory.create(**filter_item("Same", description=""))
    page = review(operator, FILTERS, filter_item("Same"))
    assert totals(page) == "Will skip 1. Nothing would change."
    assert button(page) == ("Import 0 items", False)


def test_a_file_without_items_says_so(operator: Client) -> None:
    assert totals(review(operator, FILTERS)) == "The file has no items."


def test_a_name_typed_by_hand_is_checked_in_its_row(operator: Client) -> None:
    page = change(operator, of_all_states(operator), action_4="rename", name_4="Same")
    assert "is already used here or in the file. Choose another name." in text_of(page)
    assert fields_of(page, FORM)["name-4"] == ["Same"]
    assert fields_of(page, FORM)["action-4"] == ["rename"]
    page = change(operator, page, name_4="Something else")
    assert "is already used" not in text_of(page)


def test_an_answer_that_is_none_is_refused_in_words(operator: Client) -> None:
    response = change(operator, review(operator, FILTERS, filter_item()), action_1="perhaps")
    assert 'Expected "skip", "rename" or "overwrite" for #1, got' in text_of(response)
    assert totals(response) == "Will add 1."
    assert 'Expected "skip", "rename" or "overwrite" for all items' in text_of(
        change(operator, response, bulk="perhaps")
    )


def test_the_bulk_bar_leaves_rows_set_by_hand_alone(operator: Client) -> None:
    page = change(operator, of_all_states(operator), action_4="rename")
    page = change(operator, page, bulk="overwrite")
    assert totals(page).startswith("Will add 2, overwrite 1, rename 1,")
    page = change(operator, page, bulk="skip")
    assert totals(page).startswith("Will add 2, rename 1, skip 3.")


def test_the_bulk_bar_changes_rows_set_by_hand_if_asked(operator: Client) -> None:
    page = change(operator, of_all_states(operator), action_4="rename")
    page = change(operator, page, bulk="overwrite", also_by_hand="1")
    assert totals(page).startswith("Will add 2, overwrite 2, skip 2.")
    assert "Will add 2, skip 4." in totals(change(operator, page, bulk="skip", also_by_hand="1"))


def test_a_row_set_back_by_hand_counts_as_set_by_hand(operator: Client) -> None:
    page = change(operator, of_all_states(operator), bulk="overwrite")
    page = change(operator, page, action_4="")
    page = change(operator, page, bulk="rename")
    assert totals(page).startswith("Will add 2, rename 1, skip 3.")
    assert fields_of(page, FORM)["action-4"] == [""]


def test_all_with_a_problem_can_be_skipped_at_once(operator: Client) -> None:
    page = change(operator, of_all_states(operator), bulk="skip-problems")
    assert (totals(page), button(page)) == ("Will add 2, skip 5.", ("Import 2 items", True))


def test_equal_names_of_profiles_are_a_problem_until_one_is_renamed(operator: Client) -> None:
    page = review(operator, PROFILES, profile_item("Twice"), profile_item("Twice"))
    assert tiles(page)["Invalid"] == 2
    page = change(operator, page, action_2="rename")
    assert (tiles(page), totals(page)) == ({"All": 2, "New": 2}, "Will add 1, rename 1.")


def test_more_rows_than_a_page_shows_are_kept_with_their_choices(operator: Client) -> None:
    items = [filter_item(f"Harbour {number}") for number in range(ROWS_ON_A_PAGE + 20)]
    page = change(operator, review(operator, FILTERS, *items), action_1="skip", page="2")
    assert len(names_shown(page)) == 20
    page = change(operator, page, action_70="skip")
    assert "Items 51 to 70 of 70" in text_of(page)
    assert totals(page) == "Will add 68, skip 2."


def test_five_thousand_rows_go_through_from_start_to_end(operator: Client) -> None:
    items = [filter_item(f"Harbour {number}") for number in range(5000)]
    page = change(operator, review(operator, FILTERS, *items), show="new", action_1="skip")
    assert len(page.content) < 400_000
    page = change(operator, page, page="100")
    response = press_import(operator, page, action_5000="skip")
    page = led(operator, response)
    assert "your last choices changed the totals" in text_of(page)
    assert "4,998 added" in text_of(led(operator, press_import(operator, page)))
    assert Filter.objects.filter(is_system=False).count() == 4998


# --- References ------------------------------------------------------------------------------------------------------


def with_missing_profile(client: Client) -> Any:
    EncodingProfileFactory.create(name="Attic")
    items = [client_item(name, encoding_profile_name="HEVC high") for name in ("A", "B")]
    return review(client, CLIENTS, *items)


def test_what_is_not_found_here_is_asked_for_with_the_number_of_its_items(operator: Client) -> None:
    text = text_of(with_missing_profile(operator))
    assert 'Encoding profile "HEVC high" (2 items)' in text
    assert 'Import without the link Skip its 2 items Use "AV1/Opus (Next-Gen)" Use "Attic"' in text


def test_a_name_for_it_is_used_for_all_its_items(operator: Client) -> None:
    page = change(operator, with_missing_profile(operator), reference_1="=Attic")
    assert fields_of(page, FORM)["reference-1"] == ["=Attic"]
    press_import(operator, page)
    rules = ClientDetectionRule.objects.filter(name__in=["A", "B"])
    assert [rule.encoding_profile.name for rule in rules if rule.encoding_profile] == ["Attic", "Attic"]


def test_its_items_can_be_skipped_but_for_those_set_by_hand(operator: Client) -> None:
    page = change(operator, with_missing_profile(operator), reference_1="-")
    assert totals(page) == "Will skip 2. Nothing would change."
    assert fields_of(page, FORM)["action-1"] == ["skip"]
    assert totals(change(operator, page, action_1="")) == "Will add 1, skip 1."


def test_a_name_that_is_gone_meanwhile_is_given_up_and_told(operator: Client) -> None:
    page = change(operator, with_missing_profile(operator), reference_1="=Attic", action_2="skip")
    EncodingProfileFactory._meta.model.objects.get(name="Attic").delete()
    page = led(operator, press_import(operator, page))
    assert "There is no encoding profile" in text_of(page)
    assert fields_of(page, FORM)["reference-1"] == [""]
    assert fields_of(page, FORM)["action-2"] == ["skip"]


# --- The import and its result ---------------------------------------------------------------------------------------


def test_an_import_leads_to_a_result_with_a_line_per_item_that_survives_a_reload() -> None:
    client = person(MAY_IMPORT | {"tvarr_backup.view_filter"}, is_staff=True)
    page = change(client, of_all_states(client), action_4="overwrite", action_5="rename", action_7="skip")
    response = press_import(client, page)
    assert response.status_code == 302
    first, again = client.get(response["Location"]), client.get(response["Location"])
    assert "settings.json : 2 added, 1 overwritten, 1 renamed, 2 skipped, 1 unchanged." in text_of(first)
    assert text_of(first) == text_of(again)
    row = Filter.objects.get(name="Differs, too (1)")
    assert (
        f'<a href="/admin/tvarr_backup/filter/{row.pk}/change/"><bdi>Differs, too (1)</bdi></a>'
        in again.content.decode()
    )
    assert "in the file: Differs, too" in text_of(again)


def test_who_may_not_look_in_the_admin_gets_no_links_there(operator: Client) -> None:
    response = press_import(operator, review(operator, FILTERS, filter_item()))
    assert "/change/" not in operator.get(response["Location"]).content.decode()


def test_a_second_press_of_the_button_imports_nothing_and_leads_to_the_same_result(operator: Client) -> None:
    page = review(operator, FILTERS, filter_item("A"))
    first, second = press_import(operator, page), press_import(operator, page)
    assert text_of(led(operator, first)) == text_of(led(operator, second))
    assert Filter.objects.filter(is_system=False).count() == 1


def test_two_presses_at_one_moment_import_once(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    page = review(operator, FILTERS, filter_item("A"))
    answers = []

    def pressed_once_more(*args: Any, **named: Any) -> Any:
        monkeypatch.undo()
        answers.append(press_import(operator, page))
        return apply_pending(*args, **named)

    monkeypatch.setattr("tvarr_backup.operations.actions.apply_pending", pressed_once_more)
    answers.append(press_import(operator, page))
    assert {text_of(led(operator, answer)).count("1 added") for answer in answers} == {1}
    assert Filter.objects.filter(is_system=False).count() == 1


def test_a_choice_while_another_tab_imports_leads_to_the_result(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = review(operator, FILTERS, filter_item("A"))

    def imported_meanwhile(*args: Any) -> Any:
        monkeypatch.undo()
        press_import(operator, page)
        return change_choices(*args)

    monkeypatch.setattr("tvarr_backup.web.imports.change_choices", imported_meanwhile)
    assert "1 added" in text_of(operator.get(choose(operator, page, action_1="skip")["HX-Redirect"]))


def test_the_button_does_only_what_it_says(operator: Client) -> None:
    page = of_all_states(operator)
    page = change(operator, page, action_7="skip")
    page = led(operator, press_import(operator, page, action_4="overwrite"))
    assert "Nothing was imported because your last choices changed the totals." in text_of(page)
    assert button(page) == ("Import 3 items, overwrite 1", True)
    assert not Filter.objects.filter(name="New").exists()
    assert "1 overwritten" in text_of(led(operator, press_import(operator, page)))


def test_what_somebody_else_changes_reopens_just_that_row(operator: Client) -> None:
    page = change(operator, of_all_states(operator), bulk="overwrite")
    page = change(operator, page, action_1="skip", action_7="skip")
    Filter.objects.filter(name="Differs").update(description="edited")
    page = led(operator, press_import(operator, page))
    assert "Another user changed 1 item after you opened this preview." in text_of(page)
    fields = fields_of(page, FORM)
    assert [fields[f"action-{number}"] for number in (1, 4, 5, 7)] == [["skip"], [""], ["overwrite"], ["skip"]]
    assert not Filter.objects.filter(name="Newer").exists()
    assert names_shown(change(operator, page, show="changed")) == ["Differs"]
    assert "1 overwritten" in text_of(led(operator, press_import(operator, page)))


def test_a_row_that_changed_is_marked_until_it_is_chosen_for(operator: Client) -> None:
    page = of_all_states(operator)
    Filter.objects.filter(name="Differs").update(description="edited")
    for _ in range(2):
        page = operator.get(address(page))
        assert tiles(page)["Changed since preview"] == 1
    page = change(operator, page, action_4="overwrite")
    assert "Changed since preview" not in tiles(page)


def test_a_failed_import_keeps_all_choices(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_args: Any, **_kwargs: Any) -> None:
        raise DatabaseBusy("Another process is writing to tvarr's database. Nothing was imported. Try again.")

    monkeypatch.setattr("tvarr_backup.operations.actions.apply_pending", busy)
    page = change(operator, of_all_states(operator), action_4="rename", name_4="By hand", action_7="skip")
    page = led(operator, press_import(operator, page))
    assert "Nothing was imported. Try again. Your choices are kept." in text_of(page)
    fields = fields_of(page, FORM)
    assert [fields[name] for name in ("action-4", "name-4", "action-7")] == [["rename"], ["By hand"], ["skip"]]


def test_a_result_of_very_many_lines_says_how_many_are_not_listed(operator: Client) -> None:
    items = [filter_item(f"Harbour {number}") for number in range(1200)]
    response = press_import(operator, review(operator, FILTERS, *items))
    text = text_of(operator.get(response["Location"]))
    assert "1,200 added" in text
    assert "200 more items are not listed." in text


# --- Parts for htmx --------------------------------------------------------------------------------------------------


def test_a_choice_renews_the_totals_without_the_page(operator: Client) -> None:
    page = of_all_states(operator)
    source = choose(operator, page, action_7="skip").content.decode()
    assert source.strip().startswith("Will add 2, skip 5.")
    assert "<html" not in source
    assert "<select" not in source


def test_a_choice_renews_only_the_rows_that_change_by_it(operator: Client) -> None:
    page = of_all_states(operator)
    source = choose(operator, page, action_4="rename", name_4="Same").content.decode()
    assert re.findall(r'id="found-(\d+)" hx-swap-oob="innerHTML"', source) == ["4"]
    assert "is already used" in source


def test_a_choice_for_all_renews_the_rows(operator: Client) -> None:
    page = of_all_states(operator)
    source = choose(operator, page, "preview-items", bulk="overwrite", show="different").content.decode()
    assert "<html" not in source
    assert source.count("<select") == 2
    assert "Will add 2, overwrite 2, skip 2." in source


def test_where_something_has_changed_the_whole_review_is_renewed(operator: Client) -> None:
    page = of_all_states(operator)
    Filter.objects.filter(name="Differs").update(description="edited")
    response = choose(operator, page, action_4="overwrite")
    assert response["HX-Retarget"] == "#preview-items"
    assert "Another user changed 1 item" in text_of(response)
    assert fields_of(operator.get(address(page)), FORM)["action-4"] == [""]


def test_a_choice_that_is_refused_leads_to_the_preview(operator: Client) -> None:
    page = of_all_states(operator)
    assert choose(operator, page, action_4="perhaps")["HX-Redirect"] == address(page)


# --- The state is on the server ---------------------------------------------------------------------------------------


def test_another_session_of_the_same_user_goes_on_where_the_first_one_was(operator: Client) -> None:
    page = of_all_states(operator)
    choose(operator, page, action_4="overwrite")
    elsewhere = Client()
    elsewhere.force_login(User.objects.get(pk=operator.session["_auth_user_id"]))
    assert fields_of(elsewhere.get(address(page)), FORM)["action-4"] == ["overwrite"]


def test_choices_of_two_tabs_are_both_kept(operator: Client) -> None:
    page = of_all_states(operator)
    choose(operator, page, action_4="overwrite")
    choose(operator, page, action_5="rename")
    fields = fields_of(operator.get(address(page)), FORM)
    assert [fields[name] for name in ("action-4", "action-5")] == [["overwrite"], ["rename"]]


def test_two_imports_of_one_user_have_nothing_to_do_with_each_other(operator: Client) -> None:
    first, second = (review(operator, FILTERS, filter_item(name)) for name in "AB")
    choose(operator, first, action_1="skip")
    assert totals(operator.get(address(second))) == "Will add 1."
    assert totals(operator.get(address(first))) == "Will skip 1. Nothing would change."


def test_nobody_else_but_an_administrator_opens_an_import(operator: Client) -> None:
    page = review(operator, FILTERS, filter_item())
    other = person(MAY_IMPORT)
    assert other.get(address(page)).status_code == 404
    for path in ("choices/", "apply/", "discard/"):
        assert other.post(address(page, path)).status_code == 404
    administrator = person(MAY_IMPORT | {"operations.restore_backup"})
    assert totals(administrator.get(address(page))) == "Will add 1."


def test_a_discarded_import_is_over(operator: Client) -> None:
    page = review(operator, FILTERS, filter_item("A"))
    for response in (operator.post(address(page, "discard/")), press_import(operator, page)):
        assert response.status_code == 302
        shown = operator.get(response["Location"], follow=True)
        assert shown.redirect_chain == [(PAGE, 302)]
        assert "Import discarded. Nothing was imported." in text_of(shown)
    assert not Filter.objects.filter(name="A").exists()


def test_an_import_that_has_expired_is_not_found(operator: Client) -> None:
    page = review(operator, FILTERS, filter_item())
    ImportRecord.objects.update(created_at=datetime.now(UTC) - PENDING_FOR)
    assert operator.get(address(page)).status_code == 404


def test_an_applied_import_changes_no_more(operator: Client) -> None:
    page = review(operator, FILTERS, filter_item())
    done = led(operator, press_import(operator, page))
    operator.post(address(page, "discard/"))
    choose(operator, page, action_1="skip")
    assert text_of(operator.get(address(page))) == text_of(done)


def test_no_page_of_an_import_is_stored_by_a_browser(operator: Client) -> None:
    assert "no-store" in operator.get(address(review(operator, FILTERS, filter_item())))["Cache-Control"]


def test_a_click_in_five_hundred_items_sends_little(operator: Client) -> None:
    items = [filter_item(f"Harbour {number}", description="d" * 500) for number in range(500)]
    page = review(operator, FILTERS, *items)
    assert "packed" not in fields_of(page, FORM)
    assert len(urlencode(fields_of(page, FORM), doseq=True)) < 2_000


# --- Corrections in the preview --------------------------------------------------------------------------------------

FIXED = 'channel_name equals "Radio"'


def wrong_filter(operator: Client) -> Any:
    """A preview with a good filter and one without an expression."""
    return review(operator, FILTERS, filter_item("Good"), filter_item("Radio", expression=None))


def test_invalid_items_come_first_and_the_button_leads_to_them(operator: Client) -> None:
    source = wrong_filter(operator).content.decode()
    assert source.index('id="row-2"') < source.index('id="row-1"')
    assert 'href="?show=invalid#row-2"' in source


def test_an_invalid_item_is_corrected_and_imported(operator: Client) -> None:
    page = change(operator, wrong_filter(operator), fix_2_expression=FIXED)
    assert tiles(page) == {"All": 2, "New": 2}
    assert "2 added" in text_of(led(operator, press_import(operator, page)))
    assert Filter.objects.get(name="Radio").expression == FIXED


def test_a_name_that_appears_twice_is_corrected(operator: Client) -> None:
    page = review(operator, PROFILES, profile_item("Twice"), profile_item("Twice"))
    page = change(operator, page, fix_2_name="Once")
    led(operator, press_import(operator, page))
    assert set(EncodingProfile.objects.filter(is_system=False).values_list("name", flat=True)) == {"Twice", "Once"}


def test_an_expression_that_tvarr_cannot_run_is_corrected(operator: Client) -> None:
    page = review(operator, FILTERS, filter_item("Radio", expression="channel_name equals"))
    assert 'name="fix-1-expression"' in page.content.decode()
    page = change(operator, page, fix_1_expression=FIXED)
    assert "cannot run it" not in text_of(page)
    led(operator, press_import(operator, page))
    assert Filter.objects.get(name="Radio").expression == FIXED


def test_a_correction_is_checked_without_being_stored(operator: Client) -> None:
    page = wrong_filter(operator)
    headers = {"HX-Request": "true", "HX-Target": "found-2"}
    asked = [
        operator.post(address(page, "check/"), {"fix-2-expression": text}, headers=headers)
        for text in (FIXED, "channel_name equals")
    ]
    assert "No problem found." in text_of(asked[0])
    assert "tvarr stores this expression but cannot run it." in text_of(asked[1])
    assert tiles(operator.get(address(page)))["Invalid"] == 1


def test_a_correction_stays_when_another_item_is_changed(operator: Client) -> None:
    page = change(operator, wrong_filter(operator), fix_2_expression=FIXED)
    page = change(operator, page, action_1="skip")
    assert totals(page) == "Will add 1, skip 1."


@pytest.mark.parametrize("field", ["fix-9-name", "fix-1-source_type", "fix-1-id", "fix-x-name", "fix-1"])
def test_only_names_and_expressions_of_the_file_are_corrected(operator: Client, field: str) -> None:
    page = wrong_filter(operator)
    response = send(operator, address(page, "choices/"), {field: "epg"})
    assert tiles(operator.get(response["Location"])) == {"All": 2, "New": 1, "Invalid": 1}


# --- Several kinds and files -----------------------------------------------------------------------------------------


BUNDLE = bundle(
    (FILTERS, [filter_item("One"), filter_item("Two")]),
    (CLIENTS, [client_item(encoding_profile_name="Tablet HEVC")]),
    (PROFILES, [profile_item("Tablet HEVC")]),
)


def upload_files(client: Client, *files: Any) -> Any:
    sent = [SimpleUploadedFile(f"{number}.json", json.dumps(file).encode()) for number, file in enumerate(files)]
    return client.post(PAGE, {"file": sent}, follow=True)


def test_a_bundle_is_previewed_kind_by_kind_and_imported_together(operator: Client) -> None:
    shown = upload_files(operator, BUNDLE)
    page = text_of(shown)
    assert "Import items of several kinds" in page
    assert "4 items" in page
    assert "Encoding profiles 1 Filters 2 Client detection rules 1" in page
    assert "Will add 4." in page
    assert "Missing references" not in page
    address = shown.request["PATH_INFO"]
    filters = operator.get(f"{address}?kind=filters")
    assert [row.step.name for row in filters.context["preview"].rows] == ["One", "Two"]
    answer = operator.post(f"{address}apply/", {"promise": "4,0,0", "kind": "filters"}, follow=True)
    assert "Imported 4 items" in text_of(answer)
    assert "4 added" in text_of(answer)
    assert ClientDetectionRule.objects.get(name="Kitchen Tablet").encoding_profile.name == "Tablet HEVC"


def test_choices_of_one_kind_leave_the_others(operator: Client) -> None:
    address = upload_files(operator, BUNDLE).request["PATH_INFO"]
    operator.post(f"{address}choices/", {"kind": "filters", "action-1": "skip"})
    answer = operator.post(f"{address}choices/", {"kind": "encoding_profiles", "action-1": "skip"}, follow=True)
    assert answer.redirect_chain == [(f"{address}?kind=encoding_profiles", 302)]
    assert "Will add 2, skip 2." in text_of(answer)
    rules = operator.get(f"{address}?kind=client_detection_rules")
    assert 'Encoding profile "Tablet HEVC" (1 item)' in text_of(rules)


def test_an_invalid_item_of_another_kind_is_linked(operator: Client) -> None:
    value = bundle((FILTERS, [filter_item("One")]), (PROFILES, [profile_item(), profile_item("")]))
    shown = upload_files(operator, value)
    assert "Encoding profiles 2 (1 invalid)" in text_of(shown)
    filters = operator.get(f"{shown.request['PATH_INFO']}?kind=filters").content.decode()
    assert 'href="?kind=encoding_profiles&amp;show=invalid#row-2">Go to the first invalid item' in filters


def test_an_item_changed_since_stops_the_import_whatever_its_kind(operator: Client) -> None:
    address = upload_files(operator, BUNDLE).request["PATH_INFO"]
    EncodingProfile.objects.create(**profile_item("Tablet HEVC", quality_preset="high"))
    answer = operator.post(f"{address}apply/", {"promise": "4,0,0", "kind": "filters"}, follow=True)
    assert not Filter.objects.filter(is_system=False).exists()
    assert "Will add 3, skip 1." in text_of(answer)


def test_several_files_are_imported_together(operator: Client) -> None:
    files = [
        document(FILTERS, filter_item("One")),
        document(FILTERS, filter_item("Two")),
        bundle((PROFILES, [profile_item()])),
    ]
    shown = upload_files(operator, *files)
    assert "0.json, 1.json, 2.json : 3 items" in text_of(shown)
    assert "Encoding profiles 1 Filters 2" in text_of(shown)


def test_an_unknown_section_of_one_of_several_files_is_left_out(operator: Client) -> None:
    odd = bundle((PROFILES, [profile_item()]))
    odd["sections"]["relays"] = 5
    shown = upload_files(operator, document(FILTERS, filter_item()), odd)
    assert "Encoding profiles 1 Filters 1" in text_of(shown)


def test_one_broken_file_of_several_is_named(operator: Client) -> None:
    shown = upload_files(operator, document(FILTERS, filter_item()), {"a": 1}, document(FILTERS))
    assert '"1.json" cannot be imported.' in text_of(shown)
    assert not ImportRecord.objects.exists()


def test_a_pending_import_of_an_earlier_version_is_opened(operator: Client) -> None:
    address = upload_files(operator, document(FILTERS, filter_item("One"))).request["PATH_INFO"]
    record = ImportRecord.objects.get()
    choices, marks = json.loads(record.choices), json.loads(record.marks)
    ImportRecord.objects.update(choices=choices["filters"], marks=marks["filters"])
    assert "Will add 1." in text_of(operator.get(address))
