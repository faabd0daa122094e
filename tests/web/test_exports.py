"""The Export page: permissions, selection, and files."""

from __future__ import annotations

import io
import json
import re
import zipfile
from typing import Any

import pytest
from django.test import Client

from tests.factories import (
    ClientDetectionRuleFactory,
    DataMappingRuleFactory,
    EncodingProfileFactory,
    FilterFactory,
    StreamSourceFactory,
)
from tests.web.browsing import fields_of, person, send, text_of
from tvarr_backup.models import Filter
from tvarr_backup.portable.export import MAX_IDS
from tvarr_backup.portable.kinds import KINDS

pytestmark = pytest.mark.django_db

MAY_EXPORT = {"access.export_configuration"}
NO_ROW = "01JN9Q4T7V8W2X5Y6Z0A1B2C3D"


@pytest.fixture
def viewer(db: None) -> Client:
    return person(MAY_EXPORT)


def names_in(response: Any) -> list[str]:
    assert response.status_code == 200
    return [item["name"] for item in json.loads(b"".join(response.streaming_content))["items"]]


def boxes(response: Any) -> list[tuple[str, bool]]:
    """Ids on the page, and whether they are ticked."""
    found = re.findall(r'name="ids-filters" value="(\w+)"( checked)?', response.content.decode())
    return [(row_id, bool(checked)) for row_id, checked in found]


def test_without_the_permission_there_is_neither_page_nor_file_nor_a_link_to_them() -> None:
    nobody, row = person(()), FilterFactory.create()
    assert nobody.get("/export/").status_code == 403
    assert send(nobody, "/export/download/", {"ids-filters": row.pk}).status_code == 403
    assert send(nobody, "/export/preview/", {"ids-filters": row.pk}).status_code == 403
    assert "/export/" not in nobody.get("/account/").content.decode()


def test_who_is_not_signed_in_is_asked_to(client: Client) -> None:
    for response in (client.get("/export/"), send(client, "/export/download/", {})):
        assert (response.status_code, response["Location"].partition("?")[0]) == (302, "/sign-in/")


def test_the_page_is_linked_and_names_all_kinds(viewer: Client) -> None:
    text = text_of(viewer.get("/export/"))
    assert all(f"No {kind.label} to export." in text for kind in KINDS.values())
    assert '<a href="/export/" aria-current="page">Export</a>' in viewer.get("/export/").content.decode()


def test_all_items_are_selected_except_built_in_ones(viewer: Client) -> None:
    FilterFactory.create_batch(3)
    text = text_of(viewer.get("/export/"))
    assert "Select individually : filters List all 3" in text
    built_in = Filter.objects.filter(is_system=True)
    assert f"{built_in.count()} built-in (not exported)" in text
    assert built_in[0].name in text


def test_the_single_items_come_when_they_are_asked_for_and_all_are_ticked(viewer: Client) -> None:
    rows = FilterFactory.create_batch(3)
    DataMappingRuleFactory.create()
    assert boxes(viewer.get("/export/")) == []
    assert boxes(viewer.get("/export/?open=filters")) == [(row.pk, True) for row in rows]
    assert viewer.get("/export/?open=proxies").status_code == 404


def test_as_a_part_the_single_items_come_alone(viewer: Client) -> None:
    rows = FilterFactory.create_batch(3)
    part = viewer.get("/export/?open=filters", headers={"HX-Target": "rows-filters"})
    assert boxes(part) == [(row.pk, True) for row in rows]
    assert "<html" not in part.content.decode()
    assert "<form" not in part.content.decode()


def test_without_single_items_the_file_holds_all_that_there_are_by_now(viewer: Client) -> None:
    rows = FilterFactory.create_batch(2)
    assert 'name="all" value="filters"' in viewer.get("/export/").content.decode()
    rows.append(FilterFactory.create())
    assert names_in(send(viewer, "/export/download/", {"all": "filters"})) == [row.name for row in rows]


def test_an_empty_page_says_that_there_is_nothing_to_export(viewer: Client) -> None:
    response = viewer.get("/export/")
    assert "Nothing to export yet." in text_of(response)
    assert "No filters to export." in text_of(response)
    assert "Download" not in text_of(response)


def test_the_ticked_items_are_downloaded_as_one_file_of_their_kind(viewer: Client) -> None:
    one, _two, three = FilterFactory.create_batch(3)
    response = send(viewer, "/export/download/", {"ids-filters": [three.pk, one.pk]})
    assert re.fullmatch(r'attachment; filename="tvarr-filters-[-\dT]+\.json"', response["Content-Disposition"])
    assert response["Content-Type"] == "application/json"
    assert names_in(response) == [one.name, three.name]


def test_thousands_of_items_can_be_chosen_one_by_one(viewer: Client) -> None:
    row = FilterFactory.create()
    many = [NO_ROW] * (MAX_IDS - 1)
    response = send(viewer, "/export/download/", {"ids-filters": [row.pk, *many]})
    assert f"None of the filters has the id {NO_ROW}" in text_of(response)


def test_more_than_can_be_chosen_is_said_in_words(viewer: Client) -> None:
    response = send(viewer, "/export/download/", {"ids-filters": [NO_ROW] * (MAX_IDS + 20)})
    assert f"Expected at most {MAX_IDS} ids, got {MAX_IDS + 20}." in text_of(response)


def test_choosing_nothing_is_said_and_the_choice_stays(viewer: Client) -> None:
    FilterFactory.create_batch(2)
    response = send(viewer, "/export/download/", {})
    assert "Select at least one item." in text_of(response)
    assert not re.search(r'name="all"[^>]* checked', response.content.decode())


def test_a_row_that_is_gone_meanwhile_is_named_and_the_choice_stays(viewer: Client) -> None:
    gone, here, unticked = FilterFactory.create_batch(3)
    gone.delete()
    response = send(viewer, "/export/download/", {"ids-filters": [gone.pk, here.pk]})
    assert f"None of the filters has the id {gone.pk}" in text_of(response)
    assert boxes(response) == [(here.pk, True), (unticked.pk, False)]


def test_several_kinds_are_downloaded_as_an_archive_with_a_file_each(viewer: Client) -> None:
    rows, rule = FilterFactory.create_batch(2), DataMappingRuleFactory.create()
    response = send(viewer, "/export/download/", {"all": "data-mapping-rules", "ids-filters": rows[0].pk})
    with zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content))) as archive:
        files = {name[:13]: json.loads(archive.read(name))["items"] for name in archive.namelist()}
    names = {start: [item["name"] for item in items] for start, items in files.items()}
    assert names == {"tvarr-filters": [rows[0].name], "tvarr-data-ma": [rule.name]}
    assert re.fullmatch(r'attachment; filename="tvarr-export-[-\dT]+\.zip"', response["Content-Disposition"])


def large_filters() -> list[Filter]:
    """Filters whose file is larger than tvarr reads."""
    return Filter.objects.bulk_create(FilterFactory.build_batch(1000, description="d" * 1000))


def test_a_file_for_tvarr_above_1_mib_is_split_in_an_archive(viewer: Client) -> None:
    rows, rule = large_filters(), DataMappingRuleFactory.create()
    for selection in ({"all": "filters"}, {"all": ["filters", "data-mapping-rules"]}):
        response = send(viewer, "/export/download/", {"as": "files"} | selection)
        with zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content))) as archive:
            files = {re.sub(r"\d{4}[-T\d]{15}", "", name): archive.read(name) for name in archive.namelist()}
        assert list(files)[:2] == ["tvarr-filters--1.json", "tvarr-filters--2.json"]
        assert all(len(content) <= 2**20 for content in files.values())
        names = {item["name"] for content in files.values() for item in json.loads(content)["items"]}
        assert names - {rule.name} == {row.name for row in rows}


def test_one_file_with_all_items_is_never_split(viewer: Client) -> None:
    large_filters()
    response = send(viewer, "/export/download/", {"as": "bundle", "all": "filters"})
    assert len(names_in(response)) == 1000


def test_the_preview_of_a_file_above_1_mib_offers_to_split_it(viewer: Client) -> None:
    large_filters()
    preview = send(viewer, "/export/preview/", {"as": "bundle", "all": "filters"})
    assert "This file is larger than 1 MiB, so tvarr refuses it. Download in smaller files" in text_of(preview)
    assert 'formaction="/export/download/" name="as" value="files"' in preview.content.decode()
    preview = send(viewer, "/export/preview/", {"as": "files", "all": "filters"})
    assert "tvarr refuses files above 1 MiB. The download has these items in several files." in text_of(preview)


def test_the_preview_of_a_large_bundle_says_nothing_about_its_size(viewer: Client) -> None:
    large_filters()
    DataMappingRuleFactory.create()
    preview = send(viewer, "/export/preview/", {"as": "bundle", "all": ["filters", "data-mapping-rules"]})
    assert "tvarr refuses" not in text_of(preview)


def test_all_selected_items_can_be_downloaded_as_one_file(viewer: Client) -> None:
    rows, rule = FilterFactory.create_batch(2), DataMappingRuleFactory.create()
    selection = {"as": "bundle", "all": "data-mapping-rules", "ids-filters": rows[0].pk}
    response = send(viewer, "/export/download/", selection)
    sections = json.loads(b"".join(response.streaming_content))["sections"]
    names = {name: [item["name"] for item in items] for name, items in sections.items()}
    assert names == {"filters": [rows[0].name], "data_mapping_rules": [rule.name]}
    assert re.fullmatch(r'attachment; filename="tvarr-export-[-\dT]+\.json"', response["Content-Disposition"])
    preview = send(viewer, "/export/preview/", selection)
    assert "All items: file" in text_of(preview)


def test_the_profile_of_a_rule_is_added_if_that_is_selected(viewer: Client) -> None:
    rule = ClientDetectionRuleFactory.create(encoding_profile=EncodingProfileFactory.create(name="For tablets"))
    selection = {"as": "bundle", "ids-client-detection-rules": rule.pk}
    response = send(viewer, "/export/download/", selection | {"with-profiles": "1"})
    sections = json.loads(b"".join(response.streaming_content))["sections"]
    assert [item["name"] for item in sections["encoding_profiles"]] == ["For tablets"]
    assert names_in(send(viewer, "/export/download/", selection)) == [rule.name]


def test_a_refusal_keeps_the_type_of_the_file(viewer: Client) -> None:
    FilterFactory.create()
    page = send(viewer, "/export/download/", {"as": "files"}).content.decode()
    assert re.search(r'id="as-files" checked', page)
    assert not re.search(r'id="with-profiles" checked', page)


def test_the_page_says_what_tvarr_reads(viewer: Client) -> None:
    FilterFactory.create()
    assert "tvarr itself reads only these, of at most 1 MiB each, so larger ones are split" in text_of(
        viewer.get("/export/")
    )


def test_there_is_one_main_button(viewer: Client) -> None:
    FilterFactory.create()
    DataMappingRuleFactory.create()
    assert viewer.get("/export/").content.decode().count("btn-main") == 1


def test_a_file_is_only_given_to_a_form_of_ours() -> None:
    row, client = FilterFactory.create(), person(MAY_EXPORT, enforce_csrf_checks=True)
    assert send(client, "/export/download/", {"ids-filters": row.pk}).status_code == 403
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get("/export/").content.decode())
    assert token is not None
    assert (
        send(client, "/export/download/", {"ids-filters": row.pk, "csrfmiddlewaretoken": token[1]}).status_code == 200
    )


def test_rules_name_the_profile_that_is_missing_from_their_file(viewer: Client) -> None:
    profile = EncodingProfileFactory.create(name="HEVC high")
    ClientDetectionRuleFactory.create_batch(3, encoding_profile=profile)
    for address in ("/export/", "/export/?open=client-detection-rules"):
        text = text_of(viewer.get(address))
        assert '3 of these use the encoding profile "HEVC high". Export it too.' in text


def test_filters_name_the_source_that_is_not_exported(viewer: Client) -> None:
    FilterFactory.create(source_id=StreamSourceFactory.create(name="Pelican").pk)
    assert '1 of these applies only to the source "Pelican".' in text_of(viewer.get("/export/"))


def test_the_preview_shows_the_file_and_as_a_part_no_more(viewer: Client) -> None:
    row = FilterFactory.create(name="Harbour <b>")
    page = send(viewer, "/export/preview/", {"ids-filters": row.pk})
    assert '"name": "Harbour <b>"' in text_of(page)
    assert "<b>" not in page.content.decode()
    part = send(viewer, "/export/preview/", {"ids-filters": row.pk}, HX_Target="export-preview")
    assert "<html" in page.content.decode()
    assert "<html" not in part.content.decode()


def test_the_preview_of_a_large_file_shows_its_beginning(viewer: Client) -> None:
    rows = [
        FilterFactory.create(description="d" * 1000, expression='group_title == "' + "x" * 70_000 + '"') for _ in "abc"
    ]
    text = text_of(send(viewer, "/export/preview/", {"ids-filters": [row.pk for row in rows]}))
    assert "Filters: beginning of the file (" in text


def test_a_preview_of_nothing_says_so_in_its_place(viewer: Client) -> None:
    FilterFactory.create()
    response = send(viewer, "/export/preview/", {}, HX_Target="export-preview")
    assert (response.status_code, "Select at least one item." in text_of(response)) == (200, True)


def test_many_items_cost_no_more_queries_than_few(viewer: Client, django_assert_max_num_queries: Any) -> None:
    FilterFactory.create_batch(50)
    with django_assert_max_num_queries(12):
        viewer.get("/export/")
    with django_assert_max_num_queries(15):
        viewer.get("/export/?open=filters")


def test_many_items_make_the_page_no_heavier(viewer: Client) -> None:
    FilterFactory.create()
    few = len(viewer.get("/export/").content)
    FilterFactory.create_batch(50)
    assert len(viewer.get("/export/").content) < few + 50


class TestFindings:
    """Items to check before the file is shared, and leaving them out."""

    SECRET = "http://gull:feather7@tv.example.test/list.m3u"  # fictional

    def preview(self, client: Client, **fields: Any) -> Any:
        return send(client, "/export/preview/", {"as": "bundle"} | fields)

    def test_the_preview_names_the_items_to_check_with_a_button_to_leave_each_out(self, viewer: Client) -> None:
        bad = FilterFactory.create(name="Bad <b>", expression="oops")
        leak, _good = FilterFactory.create(description=self.SECRET), FilterFactory.create()
        page = self.preview(viewer, all="filters")
        text = text_of(page)
        assert "Check before you share" in text
        assert 'Filter "Bad <b>" (stream) The expression is invalid (column' in text
        assert f'Filter "{leak.name}" (stream) The description may contain credentials' in text
        assert leave_out_values(page) == [bad.pk, leak.pk, "all"]

    def test_a_list_of_findings_never_shows_the_secret(self, viewer: Client) -> None:
        FilterFactory.create(description=self.SECRET)
        found = re.search(
            r'<section.*?id="export-findings".*?</section>',
            self.preview(viewer, all="filters").content.decode(),
            re.DOTALL,
        )
        assert found is not None
        assert "feather7" not in found[0]

    def test_a_preview_without_findings_says_nothing_about_them(self, viewer: Client) -> None:
        FilterFactory.create()
        assert "Check before you share" not in text_of(self.preview(viewer, all="filters"))

    def test_an_item_that_is_left_out_is_not_selected_any_more(self, viewer: Client) -> None:
        bad, good = FilterFactory.create(expression="oops"), FilterFactory.create()
        page = self.preview(viewer, **{"all": "filters", "leave-out": bad.pk})
        assert boxes(page) == [(bad.pk, False), (good.pk, True)]
        assert "Check before you share" not in text_of(page)
        assert names_in(send(viewer, "/export/download/", fields_of(page, "export-form"))) == [good.name]

    def test_all_items_to_check_are_left_out_and_other_kinds_stay_selected(self, viewer: Client) -> None:
        for number in range(3):
            FilterFactory.create(name=f"Bad {number}", expression="oops")
        good, rule = FilterFactory.create(), DataMappingRuleFactory.create()
        page = self.preview(viewer, **{"all": ["filters", "data-mapping-rules"], "leave-out": "all"})
        fields = fields_of(page, "export-form")
        assert (fields["all"], fields["ids-filters"]) == (["data-mapping-rules"], [good.pk])
        assert rule.name in text_of(page)

    def test_a_selection_of_which_everything_is_left_out_is_refused(self, viewer: Client) -> None:
        bad = FilterFactory.create(expression="oops")
        text = text_of(self.preview(viewer, **{"ids-filters": bad.pk, "leave-out": bad.pk}))
        assert "Select at least one item." in text

    def test_a_profile_that_a_rule_adds_is_not_left_out_but_explained(self, viewer: Client) -> None:
        profile = EncodingProfileFactory.create(input_flags=f"-i {self.SECRET}")
        rule = ClientDetectionRuleFactory.create(encoding_profile=profile)
        page = self.preview(viewer, **{"ids-client-detection-rules": rule.pk, "with-profiles": "1"})
        assert leave_out_values(page) == []
        assert 'Added because a selected rule uses it. To leave it out, clear "Add the encoding profiles' in text_of(
            page
        )

    def test_of_many_items_to_check_the_first_are_listed(self, viewer: Client) -> None:
        Filter.objects.bulk_create(FilterFactory.build_batch(130, expression="oops"))
        page = self.preview(viewer, all="filters")
        assert "30 more items are not listed." in text_of(page)
        assert len(leave_out_values(page)) == 101

    def test_without_the_permission_nothing_is_read_to_leave_it_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tvarr_backup.web.exports.list_exportable", None)
        row = FilterFactory.create(expression="oops")
        for left_out in (row.pk, "all"):
            assert self.preview(person(()), **{"all": "filters", "leave-out": left_out}).status_code == 403

    def test_as_a_part_the_buttons_belong_to_the_form_of_the_page(self, viewer: Client) -> None:
        bad = FilterFactory.create(expression="oops")
        part = send(viewer, "/export/preview/", {"all": "filters"}, HX_Target="export-preview").content.decode()
        assert "<form" not in part
        assert re.search(rf'form="export-form"[^>]*name="leave-out" value="{bad.pk}"', part)

    def test_the_page_of_a_preview_keeps_the_selection(self, viewer: Client) -> None:
        one, _two = FilterFactory.create_batch(2)
        page = self.preview(viewer, **{"ids-filters": one.pk})
        assert [row_id for row_id, is_selected in boxes(page) if is_selected] == [one.pk]
        assert '<div id="export-preview">' in page.content.decode()

    def test_the_page_says_that_the_preview_lists_items_to_check(self, viewer: Client) -> None:
        FilterFactory.create()
        text = text_of(viewer.get("/export/"))
        assert "Preview lists invalid items, and items that may contain credentials." in text


def leave_out_values(response: Any) -> list[str]:
    return re.findall(r'name="leave-out" value="(\w+)"', response.content.decode())
