"""What users should check before they share an export."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.factories import ClientDetectionRuleFactory, EncodingProfileFactory, FilterFactory
from tests.portable.files import CLIENTS, FILTERS, PROFILES
from tvarr_backup.models import Filter
from tvarr_backup.portable.export import stream_bundle, stream_export
from tvarr_backup.portable.export_findings import (
    ExportFinding,
    ExportFindingCode,
    find_credentials,
    find_in_row,
    list_warnings,
)
from tvarr_backup.portable.kinds import Slug

INVALID = 'channel_name contains "Harbour" AND'
URL = "http://gull:feather7@pelican.example.test/list.m3u"
SECRETS = ("gull", "feather7")


def codes_of(row: Any, kind: Any = FILTERS) -> list[tuple[str, ExportFindingCode]]:
    return [(finding.member, finding.code) for finding in find_in_row(kind, row)]


def finding(**values: Any) -> ExportFinding:
    (found,) = find_in_row(FILTERS, FilterFactory.build(**values))
    return found


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (URL, "password_in_url"),
        ("HTTP://GULL:FEATHER7@PELICAN.EXAMPLE.TEST/", "password_in_url"),
        (r"http:\/\/gull:feather7@pelican\\.example\\.test", "password_in_url"),
        ("http%3A%2F%2Fgull%3Afeather7%40pelican.example.test", "password_in_url"),
        ("http://gull:fea%2Fther7@pelican.example.test", "password_in_url"),
        ("rtsp://:feather7@pelican.example.test", "password_in_url"),
        ("-http_proxy http://gull:feather7@proxy.example.test:3128", "password_in_url"),
        ("http://pelican.example.test/get.php?username=gull", "secret_parameter"),
        ("http://pelican.example.test/get.php?type=m3u&PASSWORD=FEATHER7", "secret_parameter"),
        ("http://pelican.example.test/?user=gull", "secret_parameter"),
        ("http://pelican.example.test/?pass=feather7", "secret_parameter"),
        ('stream_url contains "token=feather7"', "secret_parameter"),
        ("?api_key=feather7", "secret_parameter"),
        ("?apikey=feather7", "secret_parameter"),
        ("?api%5Fkey%3Dfeather7", "secret_parameter"),
        ("?%2561pi_key=feather7", "secret_parameter"),
        ("?access_token=$ecret-feather", "secret_parameter"),
        ("-decryption_key 0123456789abcdef", "secret_parameter"),
        ('{"token": "feather7"}', "secret_parameter"),
        ('@dynamic(request.query):token equals "feather7"', "secret_parameter"),
        ('-headers "Authorization: Bearer feather7"', "authorization_header"),
        ("-headers 'AUTHORIZATION: BASIC Z3VsbA=='", "authorization_header"),
        ('-headers "X-Api-Key: feather7"', "authorization_header"),
        ('-headers "Cookie: session=feather7"', "authorization_header"),
        ('@dynamic(request.headers):authorization equals "Bearer feather7"', "authorization_header"),
        ("http://pelican.example.test:8080/live/gull/feather7/123.ts", "credentials_in_path"),
        ('stream_url contains "/movie/gull/feather7/9.mkv"', "credentials_in_path"),
        ("http://pelican.example.test:8080/gull/feather7/123", "credentials_in_path"),
        ("http://pelican.example.test/gull/feather7/123.ts", "credentials_in_path"),
    ],
)
def test_credentials_are_found(text: str, code: str) -> None:
    assert find_credentials(text) == [code]


@pytest.mark.parametrize(
    "text",
    [
        'group_title contains "token"',
        'channel_name contains "Password" OR channel_name equals "Top Secret"',
        'stream_url contains "token="',
        'stream_url contains "username=" AND stream_url contains "password="',
        r'stream_url matches "[?&]token=[^&]+"',
        r'stream_url matches "token=\\w+" SET stream_url = "http://pelican.example.test/?token=$1"',
        r'stream_url matches "//[^:/]+:[^@]+@"',
        r'stream_url matches "/live/[^/]+/[^/]+/\\d+"',
        r'stream_url matches "^https?://(.+):(.+)@(.*)$"',
        "http://pelican.example.test/?username={username}&password=<password>",
        "http://USER:PASSWORD@pelican.example.test/get.php?token=YOUR_TOKEN",
        "http://pelican.example.test:8080/live/hd",
        "http://pelican.example.test:8080/hls/news/123.m3u8",
        "http://pelican.example.test/2026/05/17",
        "http://pelican.example.test:8080/a?mail=keeper@example.test",
        '@dynamic(request.headers):authorization contains "Bearer"',
        '-headers "Authorization: Bearer ${TOKEN}"',
        "-pass 1 -x265-params pass=2:keyint=60",
        "-c:v libx264 -preset fast -user_agent Harbour/1.0",
        "Removes the token from URLs. Authorization is not needed.",
        "Cookie: The Movie",
    ],
)
def test_other_texts_are_not_credentials(text: str) -> None:
    assert find_credentials(text) == []


@pytest.mark.parametrize("text", ["[" * 2**16, "token=" * 2**14, "//a:" * 2**14, "x-key-" * 2**14, "[.]" * 2**14 + "z"])
def test_a_long_text_is_searched_in_moments(text: str) -> None:
    started = time.monotonic()
    find_credentials(f"password={text}")
    assert time.monotonic() - started < 5


def test_a_finding_names_the_item_the_member_and_the_reason_but_never_the_secret() -> None:
    found = finding(pk="01KAEHXEGJ5GMS392SP1ZYMK59", name="Harbour News", description=f"From {URL}")
    assert (found.kind, found.row_id, str(found.identity)) == (
        FILTERS,
        "01KAEHXEGJ5GMS392SP1ZYMK59",
        "stream:Harbour News",
    )
    assert (found.member, found.code) == ("description", ExportFindingCode.PASSWORD_IN_URL)
    assert found.warning == (
        'filter "Harbour News" (stream): The description may contain credentials: a user name and password in a URL.'
    )


@pytest.mark.parametrize("member", ["global_flags", "input_flags", "output_flags", "description"])
def test_the_flags_of_a_profile_are_searched(member: str) -> None:
    row = EncodingProfileFactory.build(**{member: f"-i {URL}"})
    assert codes_of(row, PROFILES) == [(member, "password_in_url")]
    assert not any(secret in str(list(find_in_row(PROFILES, row))) for secret in SECRETS)


def test_an_item_whose_name_has_credentials_is_named_by_its_id() -> None:
    found = finding(pk="01KAEHXEGJ5GMS392SP1ZYMK59", name=URL)
    assert found.warning.startswith("filter 01KAEHXEGJ5GMS392SP1ZYMK59: The name may contain credentials")
    assert not any(secret in repr(found) for secret in SECRETS)


def test_an_item_whose_source_type_has_credentials_is_named_by_its_id() -> None:
    found = finding(pk="01KAEHXEGJ5GMS392SP1ZYMK59", source_type=URL)
    assert found.warning.startswith("filter 01KAEHXEGJ5GMS392SP1ZYMK59: The source type may contain credentials")
    assert not any(secret in repr(found) for secret in SECRETS)


def test_hidden_characters_of_a_name_are_escaped() -> None:
    assert r'filter "Har\u202ebour" (stream)' in finding(name="Har\u202ebour", description=URL).warning


def test_an_invalid_expression_is_named_with_its_place_and_not_quoted() -> None:
    found = finding(name="Harbour", expression=f"{INVALID} feather7 'gull")
    assert found.code == ExportFindingCode.INVALID_EXPRESSION
    assert "The expression is invalid (column " in found.warning
    assert not any(secret in found.warning for secret in SECRETS)


def test_an_empty_expression_is_invalid() -> None:
    assert codes_of(FilterFactory.build(expression="")) == [("expression", "invalid_expression")]


def test_an_expression_that_is_too_long_to_check_is_named() -> None:
    expression = 'channel_name contains "' + "x" * 70_000 + '"'
    assert codes_of(FilterFactory.build(expression=expression)) == [("expression", "unchecked_expression")]


def test_values_that_tvarr_refuses_are_named() -> None:
    assert codes_of(EncodingProfileFactory.build(hw_accel="steam"), PROFILES) == [("hw_accel", "invalid_value")]
    neither = ClientDetectionRuleFactory.build(supports_fmp4=False, supports_mpegts=False)
    assert codes_of(neither, CLIENTS) == [("supports_mpegts", "invalid_value")]


def test_a_valid_row_without_credentials_has_no_findings() -> None:
    assert codes_of(FilterFactory.build()) == []
    assert codes_of(EncodingProfileFactory.build(), PROFILES) == []
    assert codes_of(ClientDetectionRuleFactory.build(), CLIENTS) == []


def test_of_many_warnings_the_first_are_listed() -> None:
    findings = [finding(name=f"Harbour {number}", description=URL) for number in range(4)]
    assert len(list_warnings(findings, 4)) == 4
    first, second, rest = list_warnings(iter(findings), 2)
    assert ("Harbour 0" in first, "Harbour 1" in second) == (True, True)
    assert rest == "Not listed here: 2 more warnings. See the preview on the Export page."


@pytest.mark.django_db
class TestOfAnExport:
    """The findings of the rows that an export contains."""

    def test_only_exported_rows_are_checked(self) -> None:
        bad, good = FilterFactory.create(expression=INVALID), FilterFactory.create()
        assert [found.row_id for found in stream_export(FILTERS).check_rows()] == [bad.pk]
        assert list(stream_export(FILTERS, [good.pk]).check_rows()) == []

    def test_the_file_is_the_same_after_a_check(self) -> None:
        FilterFactory.create(expression=INVALID)
        export = stream_export(FILTERS)
        list(export.check_rows())
        assert INVALID.encode()[:12] in b"".join(export)

    def test_built_in_rows_are_not_checked(self) -> None:
        Filter.all_rows.filter(is_system=True).update(expression=INVALID)
        assert list(stream_export(FILTERS).check_rows()) == []

    def test_a_bundle_has_the_findings_of_all_its_kinds(self) -> None:
        profile = EncodingProfileFactory.create(input_flags=f"-i {URL}")
        rule = ClientDetectionRuleFactory.create(encoding_profile=profile, expression=INVALID)
        export = stream_bundle({Slug.CLIENT_DETECTION_RULES: [rule.pk]})
        assert [found.row_id for found in export.check_rows()] == [profile.pk, rule.pk]
