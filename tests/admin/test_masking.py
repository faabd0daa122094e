"""No way of writing a password into an address gets it onto a page."""

import pytest

from tvarr_backup.admin.masking import mask_address, mask_urls


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("", ""),
        ("http://pelican.example", "http://pelican.example"),
        ("http://pelican.example:8080/", "http://pelican.example:8080/"),
        ("http://pelican.example/list.m3u", "http://pelican.example/…"),
        ("http://pelican.example/live/me/secret/1.ts", "http://pelican.example/…"),
        ("http://pelican.example/get.php?username=me&password=secret", "http://pelican.example/…"),
        ("http://pelican.example?token=secret", "http://pelican.example/…"),
        ("http://pelican.example#secret", "http://pelican.example/…"),
        ("http://me:secret@pelican.example:8080", "http://pelican.example:8080"),
        ("https://me:sec@ret@pelican.example/a", "https://pelican.example/…"),
        ("http://me:sec/ret@pelican.example/a", "http://…"),
        ("http://me:12/ret@pelican.example/a", "http://…"),
        ("http://secret!pelican.example/a", "http://…"),
        ("HTTP://me:secret@[2001:db8::1]:80/a", "HTTP://[2001:db8::1]:80/…"),
        ("rtsp://me:secret@camera.example", "rtsp://camera.example"),
        ("file:///media/list.m3u", "file:///…"),
        ("/media/list.m3u", "/media/list.m3u"),
        ("pelican.example/get.php?password=secret", "pelican.example/get.php?…"),
    ],
)
def test_an_address_shows_where_it_leads_and_no_secret(address: str, shown: str) -> None:
    assert mask_address(address) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("status 404", "status 404"),
        (
            'Get "http://a.example/x?password=secret": no route, then "http://b.example": refused',
            'Get "http://a.example/…": no route, then "http://b.example": refused',
        ),
        ("tried <http://me:secret@a.example> twice", "tried <http://a.example> twice"),
    ],
)
def test_addresses_inside_a_text_are_masked(text: str, shown: str) -> None:
    assert mask_urls(text) == shown
