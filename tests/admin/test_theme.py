"""The admin has our name and colors, and follows the content security policy."""

import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from django.urls import reverse

from tests.admin.pages import add_url, change_url, delete_url, list_url, run_action, text_of
from tests.factories import ClientDetectionRuleFactory, FilterFactory
from tvarr_backup.models import ClientDetectionRule

pytestmark = pytest.mark.django_db


def style_sheet(name: str) -> str:
    found = finders.find(name)
    assert isinstance(found, str)
    return Path(found).read_text(encoding="utf-8")


def properties(sheet: str, selector: str) -> dict[str, str]:
    block = sheet.partition(selector)[2].partition("{")[2].partition("}")[0]
    return dict(re.findall(r"(--[\w-]+):\s*([^;]+);", block))


def colours(mode: str) -> dict[str, str]:
    """Return the custom properties of Django's and our style sheets, resolved."""
    merged = properties(style_sheet("admin/css/base.css"), ":root")
    if mode == "dark":
        merged |= properties(style_sheet("admin/css/dark_mode.css"), 'html[data-theme="dark"]')
    ours = properties(style_sheet("css/admin.css"), "html[data-theme],\n:root")
    merged |= {
        name: re.sub(r"light-dark\((\S+), (\S+)\)", rf"\{1 + (mode == 'dark')}", value) for name, value in ours.items()
    }
    return {name: resolved(value, merged) for name, value in merged.items()}


def resolved(value: str, names: dict[str, str]) -> str:
    """Return a value with references to other properties resolved."""
    return re.sub(r"var\((--[\w-]+)\)", lambda found: resolved(names[found[1]], names), value)


def luminance(colour: str) -> float:
    digits = colour.lstrip("#")
    digits = "".join(digit * 2 for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize(
    ("front", "back"),
    [
        ("--header-color", "--header-bg"),
        ("--header-branding-color", "--header-bg"),
        ("--header-link-color", "--header-bg"),
        ("--breadcrumbs-fg", "--breadcrumbs-bg"),
        ("--breadcrumbs-link-fg", "--breadcrumbs-bg"),
        ("--primary-fg", "--primary"),
        ("--link-fg", "--body-bg"),
        ("--link-fg", "--darkened-bg"),
        ("--link-fg", "--selected-row"),
        ("--link-hover-color", "--body-bg"),
        ("--link-selected-fg", "--selected-bg"),
        ("--error-fg", "--body-bg"),
        ("--button-fg", "--button-bg"),
        ("--button-fg", "--button-hover-bg"),
        ("--button-fg", "--default-button-bg"),
        ("--button-fg", "--default-button-hover-bg"),
        ("--button-fg", "--delete-button-bg"),
        ("--object-tools-fg", "--object-tools-bg"),
        ("--body-fg", "--selected-row"),
        ("--body-quiet-color", "--darkened-bg"),
    ],
)
def test_texts_can_be_read_on_their_ground(mode: str, front: str, back: str) -> None:
    palette = colours(mode)

    assert contrast(palette[front], palette[back]) >= 4.5


def test_the_name_stands_on_every_page(admin_client: Client) -> None:
    assert "Site administration" not in text_of(admin_client.get(reverse("admin:index")))
    for address in (reverse("admin:index"), list_url(ClientDetectionRule)):
        assert (
            '<div id="site-name"><a href="/admin/">tvarr-backup</a></div>' in admin_client.get(address).content.decode()
        )


def test_pages_carry_no_inline_code_or_style(admin_client: Client) -> None:
    rule = ClientDetectionRuleFactory.create()
    addresses = [reverse("admin:index"), list_url(type(rule)), add_url(type(rule))]
    addresses += [change_url(rule), delete_url(rule), change_url(rule) + "../history/"]
    pages = [admin_client.get(address, follow=True) for address in addresses]
    pages.append(run_action(admin_client, "delete_selected", FilterFactory.create()))

    for page in pages:
        text = page.content.decode()
        assert page.status_code == 200
        assert "css/admin.css" in text
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
        assert all("src=" in tag or "application/json" in tag for tag in re.findall(r"<script[^>]*>", text))


def test_the_policy_allows_no_inline_code_or_style(admin_client: Client) -> None:
    policy = admin_client.get(reverse("admin:index"))["Content-Security-Policy"]

    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
