"""The four kinds in the admin: lists, forms, deletion and export."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from factory.django import DjangoModelFactory

from tests.admin.pages import (
    add_url,
    change_url,
    delete_url,
    form_data,
    list_url,
    messages_of,
    problems_of,
    run_action,
    text_of,
)
from tests.factories import (
    KIND_FACTORIES,
    ClientDetectionRuleFactory,
    DataMappingRuleFactory,
    EncodingProfileFactory,
    EpgSourceFactory,
    FilterFactory,
    ProxyFilterFactory,
    StreamProxyFactory,
    StreamSourceFactory,
    UserFactory,
)
from tests.tvarr_own import PROFILE_ID, RULE_ID, insert
from tvarr_backup.models import ClientDetectionRule, DataMappingRule, EncodingProfile, Filter, PortableRow
from tvarr_backup.portable import kinds
from tvarr_backup.portable.tvarr_memory import RELOAD_ADVICE

pytestmark = pytest.mark.django_db

KINDS = [kind.model for kind in kinds.KINDS.values()]
FACTORIES = list(KIND_FACTORIES.values())
FILTER = {"name": "Harbour", "source_type": "stream", "action": "include", "expression": 'channel_name contains "x"'}


def system_row(kind: type[PortableRow]) -> PortableRow:
    row: PortableRow = kind.objects.filter(is_system=True)[0]
    return row


# --- Lists -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_list_leads_to_the_pages_for_import_and_export(admin_client: Client, kind: type[PortableRow]) -> None:
    source = admin_client.get(list_url(kind)).content.decode()
    anchor = kind._meta.verbose_name_plural.replace(" ", "-")  # type: ignore[union-attr]  # a text
    assert '<a href="/import/">Import</a>' in source
    assert f'<a href="/export/#{anchor}">Export</a>' in source


def test_who_may_not_import_is_not_led_there(client: Client) -> None:
    person = UserFactory.create(is_superuser=False)
    person.user_permissions.set(Permission.objects.filter(codename="view_filter"))
    client.force_login(person)
    assert "/import/" not in client.get(list_url(Filter)).content.decode()


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_list_shows_live_rows(admin_client: Client, factory: type[DjangoModelFactory[Any]]) -> None:
    row = factory.create(name="Paper boats")

    assert "Paper boats" in text_of(admin_client.get(list_url(type(row)) + "?q=Paper"))


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_list_leaves_out_rows_marked_as_deleted(admin_client: Client, factory: type[DjangoModelFactory[Any]]) -> None:
    row = factory.create(name="Paper boats")
    row.mark_deleted()

    assert "Paper boats" not in text_of(admin_client.get(list_url(type(row)) + "?q=boats"))
    assert admin_client.get(change_url(row)).status_code == 302


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_queries_of_a_list_do_not_grow_with_its_rows(
    admin_client: Client, factory: type[DjangoModelFactory[Any]]
) -> None:
    address = list_url(type(factory.create()))
    with CaptureQueriesContext(connections["tvarr"]) as few:
        admin_client.get(address)
    factory.create_batch(20)
    with CaptureQueriesContext(connections["tvarr"]) as many:
        admin_client.get(address)

    assert len(many) == len(few) <= 5  # one asks for the columns of the table


def test_the_profiles_of_rules_are_read_with_the_rules(admin_client: Client) -> None:
    ClientDetectionRuleFactory.create_batch(8, encoding_profile=EncodingProfileFactory.create(name="Attic"))

    with CaptureQueriesContext(connections["tvarr"]) as queries:
        page = admin_client.get(list_url(ClientDetectionRule) + "?q=Kitchen")

    assert text_of(page).count("Attic") == 8
    assert len(queries) == 4  # one asks for the columns of both tables


def test_an_unset_flag_is_found_as_what_it_means(admin_client: Client, attached: Path) -> None:
    page = admin_client.get(list_url(DataMappingRule) + "?is_enabled__exact=1")

    assert "Tidy Harbour Names" in text_of(page)


def test_a_flag_has_no_third_answer_to_filter_by(admin_client: Client) -> None:
    page = admin_client.get(list_url(DataMappingRule))

    flags = [spec for spec in page.context["cl"].filter_specs if spec.title == "is enabled"]
    assert [choice["display"] for choice in flags[0].choices(page.context["cl"])] == ["All", "Yes", "No"]


def test_rows_are_narrowed_by_origin(admin_client: Client) -> None:
    mine = FilterFactory.create()
    page = admin_client.get(list_url(Filter))
    (origin,) = [spec for spec in page.context["cl"].filter_specs if spec.title == "origin"]
    choices = {choice["display"]: choice["query_string"] for choice in origin.choices(page.context["cl"])}
    assert list(choices) == ["All", "Built-in", "Added"]

    own = admin_client.get(list_url(Filter) + choices["Built-in"]).context["cl"].result_list
    added = admin_client.get(list_url(Filter) + choices["Added"]).context["cl"].result_list

    assert {row.is_system for row in own} == {True}
    assert list(added) == [mine]


def test_rows_of_tvarrs_own_are_marked_in_the_list(admin_client: Client) -> None:
    assert text_of(admin_client.get(list_url(Filter) + "?is_system__exact=1")).count("built-in") == 8

    FilterFactory.create()

    assert text_of(admin_client.get(list_url(Filter) + "?is_system__exact=0")).count("built-in") == 0


@pytest.mark.parametrize("kind", [Filter, DataMappingRule, ClientDetectionRule])
def test_rows_are_found_by_their_expression(admin_client: Client, kind: type[PortableRow]) -> None:
    page = admin_client.get(list_url(kind), {"q": "zeppelin"})
    assert page.context["cl"].result_count == 0

    factory = next(factory for factory in FACTORIES if factory._meta.model is kind)
    factory.create(expression='tvg_id contains "zeppelin"')

    assert admin_client.get(list_url(kind), {"q": "zeppelin"}).context["cl"].result_count == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_finds_any_letter_case_in_any_script(admin_client: Client, kind: type[PortableRow]) -> None:
    next(factory for factory in FACTORIES if factory._meta.model is kind).create(name="Новости")
    assert admin_client.get(list_url(kind), {"q": "новости"}).context["cl"].result_count == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_of_very_many_words_is_answered(admin_client: Client, kind: type[PortableRow]) -> None:
    assert admin_client.get(list_url(kind), {"q": "a " * 2000}).status_code == 200


# --- Forms -----------------------------------------------------------------------------------------------------------


def test_a_filter_is_added(admin_client: Client) -> None:
    response = admin_client.post(add_url(Filter), FILTER)

    assert response.status_code == 302
    made = Filter.objects.get(name="Harbour")
    assert (made.expression, made.is_system) == ('channel_name contains "x"', False)


@pytest.mark.parametrize("factory", FACTORIES)
def test_a_row_is_saved_as_the_form_shows_it(admin_client: Client, factory: type[DjangoModelFactory[Any]]) -> None:
    row = factory.create()
    data = form_data(admin_client.get(change_url(row)))

    response = admin_client.post(change_url(row), data | {"description": "Looked at"})

    assert response.status_code == 302
    row.description = "Looked at"
    read = type(row).objects.get(pk=row.pk)
    columns = [field.attname for field in row._meta.concrete_fields if field.name != "updated_at"]
    assert [getattr(read, name) for name in columns] == [getattr(row, name) for name in columns]


def test_a_problem_of_an_expression_stands_beside_it(admin_client: Client) -> None:
    response = admin_client.post(add_url(Filter), FILTER | {"expression": 'channel_name contains "x'})

    assert list(problems_of(response)) == ["expression"]
    assert problems_of(response)["expression"][0].startswith("Column 23:")
    assert not Filter.objects.filter(name="Harbour").exists()


def test_several_problems_are_shown_at_once_each_beside_its_field(admin_client: Client) -> None:
    data = {"name": "Tablet", "expression": "(", "priority": "1", "preferred_format": "vhs"}

    response = admin_client.post(add_url(ClientDetectionRule), data)

    assert set(problems_of(response)) == {"expression", "preferred_format", "supports_mpegts"}


def test_every_unknown_codec_is_refused_in_words(admin_client: Client) -> None:
    row = ClientDetectionRuleFactory.create()
    data = form_data(admin_client.get(change_url(row))) | {"accepted_video_codecs": "h264, betamax"}

    problems = problems_of(admin_client.post(change_url(row), data))

    assert 'got "betamax".' in problems["accepted_video_codecs"][0]


def test_a_warning_is_shown_and_the_row_is_saved(admin_client: Client) -> None:
    response = admin_client.post(add_url(Filter), FILTER | {"expression": 'chanel_name contains "x"'})

    assert Filter.objects.filter(name="Harbour").exists()
    warnings = [message for message in messages_of(response) if message.startswith("Expression, column 1:")]
    assert len(warnings) == 1
    assert "chanel_name" in warnings[0]


def test_an_expression_without_surprises_is_saved_without_a_warning(admin_client: Client) -> None:
    response = admin_client.post(add_url(Filter), FILTER)

    assert [message for message in messages_of(response) if "column" in message] == []


def test_only_the_changed_columns_are_written(admin_client: Client) -> None:
    row = FilterFactory.create(expression='channel_name contains "a"\nOR channel_name contains "b"')
    data = form_data(admin_client.get(change_url(row))) | {"name": "Renamed"}
    data["expression"] = data["expression"].replace("\n", "\r\n")

    with CaptureQueriesContext(connections["tvarr"]) as queries:
        admin_client.post(change_url(row), data)

    updates = [query["sql"] for query in queries if query["sql"].startswith("UPDATE")]
    assert len(updates) == 1
    assert '"name"' in updates[0]
    assert '"source_id"' not in updates[0]
    assert Filter.objects.get(pk=row.pk).expression == row.expression


def test_saving_an_unchanged_form_writes_nothing(admin_client: Client) -> None:
    row = EncodingProfileFactory.create()
    data = form_data(admin_client.get(change_url(row)))

    with CaptureQueriesContext(connections["tvarr"]) as queries:
        response = admin_client.post(change_url(row), data)

    assert response.status_code == 302
    assert not [query["sql"] for query in queries if query["sql"].startswith("UPDATE")]


def test_the_record_of_a_row_is_shown_once_there_is_one(admin_client: Client) -> None:
    assert "Created at" in text_of(admin_client.get(change_url(FilterFactory.create())))
    assert "Created at" not in text_of(admin_client.get(add_url(Filter)))


def test_expressions_have_room_and_a_fixed_width(admin_client: Client) -> None:
    page = admin_client.get(add_url(Filter)).content.decode()

    assert '<textarea name="expression" cols="40" rows="6" class="vLargeTextField expression"' in page
    assert '<input type="text" name="name"' in page


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("target_video_codec", ["h264", "h265", "vp9", "av1"]),
        ("target_audio_codec", ["aac", "opus", "ac3", "eac3", "mp3"]),
        ("quality_preset", ["low", "medium", "high", "ultra"]),
        ("hw_accel", ["auto", "none", "cuda", "qsv", "vaapi", "videotoolbox"]),
    ],
)
def test_a_profile_offers_the_known_words(admin_client: Client, field: str, words: list[str]) -> None:
    form = admin_client.get(add_url(EncodingProfile)).context["adminform"].form

    assert [word for word, _label in form.fields[field].widget.choices] == words


def test_a_stored_word_that_is_not_known_can_be_kept(admin_client: Client) -> None:
    row = EncodingProfileFactory.create(target_video_codec="copy", output_flags="-c:v copy")
    data = form_data(admin_client.get(change_url(row)))

    assert admin_client.post(change_url(row), data | {"description": "Kept"}).status_code == 302
    assert EncodingProfile.objects.filter(target_video_codec="copy", description="Kept").exists()


def test_a_rule_offers_live_profiles_only(admin_client: Client) -> None:
    live, dead = EncodingProfileFactory.create_batch(2)
    dead.mark_deleted()

    form = admin_client.get(add_url(ClientDetectionRule)).context["adminform"].form

    offered = set(form.fields["encoding_profile"].queryset)
    assert live in offered
    assert dead not in offered


def test_a_rule_keeps_its_profile_that_was_marked_as_deleted(admin_client: Client) -> None:
    profile = EncodingProfileFactory.create()
    row = ClientDetectionRuleFactory.create(encoding_profile=profile)
    profile.mark_deleted()
    data = form_data(admin_client.get(change_url(row))) | {"description": "Changed"}

    assert admin_client.post(change_url(row), data).status_code == 302
    assert ClientDetectionRule.objects.get(description="Changed").encoding_profile_id == profile.pk


def test_a_rule_offers_the_sources_by_name(admin_client: Client) -> None:
    StreamSourceFactory.create(name="Pelican")
    EpgSourceFactory.create(name="Heron guide")

    page = text_of(admin_client.get(add_url(DataMappingRule)))

    assert "Any source Pelican Heron guide" in page


def test_a_filter_of_a_source_that_is_gone_can_still_be_saved(admin_client: Client) -> None:
    row = FilterFactory.create(source_id="01KAEHXEGJ5GMS392SP1ZYMK50")
    page = admin_client.get(change_url(row))
    assert "01KAEHXEGJ5GMS392SP1ZYMK50 (unknown)" in text_of(page)

    assert admin_client.post(change_url(row), form_data(page) | {"name": "Renamed"}).status_code == 302
    assert Filter.objects.get(name="Renamed").source_id == "01KAEHXEGJ5GMS392SP1ZYMK50"


# --- Rows of tvarr's own ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_of_tvarrs_own_can_be_looked_at_only(admin_client: Client, kind: type[PortableRow]) -> None:
    row = system_row(kind)

    page = admin_client.get(change_url(row))

    assert row.name in text_of(page)
    assert b'name="_save"' not in page.content
    assert b'name="name"' not in page.content


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_of_tvarrs_own_cannot_be_changed(admin_client: Client, kind: type[PortableRow]) -> None:
    row = system_row(kind)

    assert admin_client.post(change_url(row), {"name": "Mine"}).status_code == 403
    assert kind.objects.get(pk=row.pk).name == row.name


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_of_tvarrs_own_cannot_be_deleted(admin_client: Client, kind: type[PortableRow]) -> None:
    row = system_row(kind)

    assert admin_client.post(delete_url(row), {"post": "yes"}).status_code == 403
    assert kind.objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize("factory", FACTORIES)
@pytest.mark.parametrize("confirmed", [{}, {"post": "yes"}])
def test_the_bulk_deletion_names_rows_of_tvarrs_own_and_deletes_nothing(
    admin_client: Client, factory: type[DjangoModelFactory[Any]], confirmed: dict[str, str]
) -> None:
    row = factory.create()
    own = system_row(type(row))

    response = run_action(admin_client, "delete_selected", row, own, **confirmed)

    (message,) = messages_of(response)
    assert f'"{own.name}"' in message
    assert f'"{row.name}"' not in message
    assert type(row).objects.filter(pk__in=[row.pk, own.pk]).count() == 2


def test_of_many_rows_of_tvarrs_own_five_are_named(admin_client: Client) -> None:
    rows = list(ClientDetectionRule.objects.filter(is_system=True)[:7])

    (message,) = messages_of(run_action(admin_client, "delete_selected", *rows))

    assert message.count('"') == 10
    assert message.endswith(" and 2 more.")


# --- Deletion --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factory", [FilterFactory, DataMappingRuleFactory, ClientDetectionRuleFactory])
def test_a_deleted_rule_stays_in_its_table_as_in_tvarr(
    admin_client: Client, factory: type[DjangoModelFactory[Any]]
) -> None:
    row = factory.create()

    assert admin_client.post(delete_url(row), {"post": "yes"}).status_code == 302
    assert type(row).all_rows.get(pk=row.pk).deleted_at is not None


def test_a_deleted_profile_is_gone_as_in_tvarr(admin_client: Client) -> None:
    row = EncodingProfileFactory.create()

    assert admin_client.post(delete_url(row), {"post": "yes"}).status_code == 302
    assert not EncodingProfile.all_rows.filter(pk=row.pk).exists()


@pytest.mark.parametrize("factory", FACTORIES)
def test_several_rows_are_deleted_after_a_confirmation(
    admin_client: Client, factory: type[DjangoModelFactory[Any]]
) -> None:
    rows = factory.create_batch(3)
    asked = text_of(run_action(admin_client, "delete_selected", *rows))
    assert all(row.name in asked for row in rows)

    response = run_action(admin_client, "delete_selected", *rows, post="yes")

    assert messages_of(response)[0].startswith("Successfully deleted 3")
    assert not type(rows[0]).objects.filter(pk__in=[row.pk for row in rows]).exists()
    assert LogEntry.objects.count() == 3


def test_a_filter_that_a_proxy_uses_is_kept_and_the_proxy_named(admin_client: Client) -> None:
    used = ProxyFilterFactory.create(proxy__name="Living room").filter

    page = admin_client.post(delete_url(used), {"post": "yes"})

    assert "Nothing was deleted, because these items use it: Stream proxy: Living room" in text_of(page)
    assert Filter.objects.filter(pk=used.pk).exists()


def test_a_profile_that_a_dead_rule_uses_is_kept_and_the_rule_named(admin_client: Client) -> None:
    profile = EncodingProfileFactory.create()
    ClientDetectionRuleFactory.create(name="Old tablet", encoding_profile=profile).delete()

    page = run_action(admin_client, "delete_selected", profile, post="yes")

    assert "Nothing was deleted, because these items use it: Client detection rule: Old tablet" in text_of(page)
    assert EncodingProfile.objects.filter(pk=profile.pk).exists()


def test_rules_deleted_together_stay_in_their_table_as_in_tvarr(admin_client: Client) -> None:
    rows = FilterFactory.create_batch(2)

    run_action(admin_client, "delete_selected", *rows, post="yes")

    assert Filter.all_rows.filter(pk__in=[row.pk for row in rows], deleted_at__isnull=False).count() == 2


def test_one_row_in_use_keeps_all_chosen_ones(admin_client: Client) -> None:
    free, used = EncodingProfileFactory.create_batch(2)
    StreamProxyFactory.create(encoding_profile=used)

    run_action(admin_client, "delete_selected", free, used, post="yes")

    assert EncodingProfile.objects.filter(pk__in=[free.pk, used.pk]).count() == 2


def test_more_rows_than_a_confirmation_can_carry_are_refused_in_words(admin_client: Client) -> None:
    made = FilterFactory.build_batch(901, name="Many")
    Filter.objects.bulk_create(made)

    response = admin_client.post(
        list_url(Filter) + "?q=Many",
        {"action": "delete_selected", "_selected_action": [made[0].pk], "select_across": "1"},
    )

    assert messages_of(response) == ["Select at most 900 filters to delete, not 901. Nothing was deleted."]


def test_as_many_rows_as_a_confirmation_can_carry_are_deleted(admin_client: Client) -> None:
    made = Filter.objects.bulk_create(FilterFactory.build_batch(900, name="Many"))

    run_action(admin_client, "delete_selected", *made, post="yes")

    assert not Filter.objects.filter(name="Many").exists()


# --- Export ----------------------------------------------------------------------------------------------------------


def downloaded(response: Any) -> Any:
    return json.loads(b"".join(response.streaming_content))


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_chosen_rows_are_downloaded(admin_client: Client, factory: type[DjangoModelFactory[Any]]) -> None:
    chosen, _left = factory.create_batch(2)

    response = run_action(admin_client, "export_selected", chosen)

    assert response["Content-Disposition"].startswith('attachment; filename="tvarr-')
    assert response["Content-Type"] == "application/json"
    assert [item["name"] for item in downloaded(response)["items"]] == [chosen.name]


def test_all_pages_of_a_search_are_downloaded(admin_client: Client) -> None:
    Filter.objects.bulk_create(FilterFactory.build_batch(120, description="Orchard"))
    FilterFactory.create(description="Elsewhere")
    first = Filter.objects.filter(description="Orchard")[0]
    data = {"action": "export_selected", "_selected_action": [first.pk], "select_across": "1"}

    response = admin_client.post(list_url(Filter) + "?q=Orchard", data)

    assert downloaded(response)["metadata"]["item_count"] == 120


def test_credentials_in_downloaded_rows_are_named_on_the_next_page(admin_client: Client) -> None:
    row = FilterFactory.create(description="http://gull:feather7@tv.example.test")
    response = run_action(admin_client, "export_selected", row)
    (message,) = messages_of(response)
    assert message.startswith(f'filter "{row.name}" (stream): The description may contain credentials')


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_tvarrs_own_are_named_and_not_downloaded(admin_client: Client, kind: type[PortableRow]) -> None:
    own = list(kind.objects.filter(is_system=True)[:2])

    response = run_action(admin_client, "export_selected", *own)

    assert response.status_code == 302
    (message,) = messages_of(response)
    assert all(f'"{row.name}"' in message for row in own)


def test_a_row_that_cannot_be_exported_is_named_and_nothing_is_downloaded(admin_client: Client, attached: Path) -> None:
    _break_codec_list(attached)

    response = run_action(admin_client, "export_selected", ClientDetectionRule.objects.get(pk=RULE_ID))

    assert response.status_code == 302
    assert "Kitchen Tablet" in messages_of(response)[0]


def test_a_person_who_may_only_look_can_export_and_not_delete(client: Client) -> None:
    looker = UserFactory.create(is_superuser=False)
    looker.user_permissions.add(Permission.objects.get(codename="view_filter"))
    looker.user_permissions.add(Permission.objects.get(codename="export_configuration"))
    client.force_login(looker)
    row = FilterFactory.create()

    assert run_action(client, "export_selected", row).streaming
    run_action(client, "delete_selected", row, post="yes")
    assert Filter.objects.filter(pk=row.pk).exists()


# --- tvarr's own database --------------------------------------------------------------------------------------------


def _break_codec_list(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute('UPDATE client_detection_rules SET accepted_video_codecs = \'{"not": "a list"\'')


@pytest.mark.parametrize("kind", KINDS)
def test_the_rows_of_an_attached_database_are_listed(
    admin_client: Client, attached: Path, kind: type[PortableRow]
) -> None:
    page = text_of(admin_client.get(list_url(kind)))

    assert all(row.name in page for row in kind.objects.all())


@pytest.mark.parametrize("kind", KINDS)
def test_rows_without_times_and_with_nulls_are_shown(
    admin_client: Client, attached: Path, kind: type[PortableRow]
) -> None:
    required = {"name": "Bare", "source_type": "stream", "expression": "true", "action": "include"}
    columns = {field.column for field in kind._meta.concrete_fields}
    with closing(sqlite3.connect(attached)) as connection, connection:
        given = {name: value for name, value in required.items() if name in columns}
        nulls = dict.fromkeys(columns - given.keys() - {"id"})
        insert(connection, kind._meta.db_table, id="01KAS9MHFKECRMZXS3GFSX6ABC", **nulls, **given)

    assert "Bare" in text_of(admin_client.get(list_url(kind)))
    assert admin_client.get(change_url(kind.objects.get(name="Bare"))).status_code == 200


def test_codecs_that_are_no_list_are_shown_as_they_stand(admin_client: Client, attached: Path) -> None:
    _break_codec_list(attached)
    rule = ClientDetectionRule.objects.get(pk=RULE_ID)

    page = admin_client.get(change_url(rule))
    answer = admin_client.post(change_url(rule), form_data(page) | {"name": "Renamed"})

    assert form_data(page)["accepted_video_codecs"] == '{"not": "a list"'
    assert "accepted_video_codecs" in problems_of(answer)


def test_a_rule_whose_profile_is_gone_is_shown(admin_client: Client, attached: Path) -> None:
    with closing(sqlite3.connect(attached)) as connection, connection:
        connection.execute("DELETE FROM encoding_profiles WHERE id = ?", (PROFILE_ID,))

    assert "Kitchen Tablet" in text_of(admin_client.get(list_url(ClientDetectionRule)))
    assert admin_client.get(change_url(ClientDetectionRule.objects.get(pk=RULE_ID))).status_code == 200


def test_an_edit_in_an_attached_database_leaves_the_other_columns_as_tvarr_wrote_them(
    admin_client: Client, attached: Path
) -> None:
    row = DataMappingRule.objects.get(name="Tidy Harbour Names")
    data = form_data(admin_client.get(change_url(row))) | {"description": "Tidied"}

    assert admin_client.post(change_url(row), data).status_code == 302

    with closing(sqlite3.connect(attached)) as connection:
        read = connection.execute(
            "SELECT description, is_enabled, stop_on_match, created_at FROM data_mapping_rules"
        ).fetchone()
    assert read == ("Tidied", None, None, "2026-03-01 10:00:00.123456789-05:00")


@pytest.mark.usefixtures("attached")
def test_after_each_change_of_a_client_rule_the_admin_says_that_tvarr_must_reload(admin_client: Client) -> None:
    rule, other = ClientDetectionRuleFactory.create(), ClientDetectionRuleFactory.create()
    edited = form_data(admin_client.get(change_url(rule))) | {"description": "Tidied"}
    assert RELOAD_ADVICE in messages_of(admin_client.post(change_url(rule), edited))
    again = form_data(admin_client.get(change_url(rule)))
    assert RELOAD_ADVICE not in messages_of(admin_client.post(change_url(rule), again))
    assert RELOAD_ADVICE in messages_of(admin_client.post(delete_url(rule), {"post": "yes"}))
    assert RELOAD_ADVICE in messages_of(run_action(admin_client, "delete_selected", other, post="yes"))


@pytest.mark.usefixtures("attached")
def test_a_change_of_a_profile_that_a_client_rule_uses_is_told_too(admin_client: Client) -> None:
    used, unused = EncodingProfileFactory.create(), EncodingProfileFactory.create()
    ClientDetectionRuleFactory.create(encoding_profile=used)
    for profile, is_told in ((used, True), (unused, False)):
        edited = form_data(admin_client.get(change_url(profile))) | {"description": "Tidied"}
        assert (RELOAD_ADVICE in messages_of(admin_client.post(change_url(profile), edited))) is is_told


def test_in_a_database_of_our_own_the_admin_says_nothing_of_tvarrs_memory(admin_client: Client) -> None:
    rule = ClientDetectionRuleFactory.create()
    edited = form_data(admin_client.get(change_url(rule))) | {"description": "Tidied"}
    assert RELOAD_ADVICE not in messages_of(admin_client.post(change_url(rule), edited))


def test_an_id_that_is_none_leads_back_with_a_message(admin_client: Client) -> None:
    response = admin_client.get(list_url(Filter) + "nonsense/change/")

    assert response.status_code == 302
    assert "nonsense" in messages_of(response)[0]
