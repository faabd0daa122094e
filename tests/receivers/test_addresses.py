"""Addresses of receivers."""

import base64

import pytest

from tvarr_backup.errors import ReceiverInvalid
from tvarr_backup.receivers.addresses import (
    ReceiverAddress,
    ReceiverKind,
    make_signing_secret,
    parse_receiver,
    read_signing_key,
)

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize(
    ("url", "kind", "shown"),
    [
        ("mailto:me@example.com", ReceiverKind.MAIL, "mailto:me@example.com"),
        ("mailto:me%2Btv@example.com", ReceiverKind.MAIL, "mailto:me+tv@example.com"),
        ("webhook+https://example.com", ReceiverKind.WEBHOOK, "webhook+https://example.com"),
        (
            "webhook+https://me:word@Example.com:8443/hook?token=a",
            ReceiverKind.WEBHOOK,
            "webhook+https://example.com:8443/…",
        ),
        ("webhook+http://[::1]:8080/hook", ReceiverKind.WEBHOOK, "webhook+http://[::1]:8080/…"),
        (f"webhook+https://example.com/hook#{SECRET}", ReceiverKind.WEBHOOK, "webhook+https://example.com/…"),
        ("ntfys://me:word@ntfy.example.com/topic", ReceiverKind.APPRISE, "ntfys://…"),
        ("tgram://123456:token/chat", ReceiverKind.APPRISE, "tgram://…"),
        ("mailto://me:word@example.com", ReceiverKind.APPRISE, "mailto://…"),
    ],
)
def test_the_displayed_address_has_no_secret(url: str, kind: ReceiverKind, shown: str) -> None:
    address = parse_receiver(url)
    assert (address.kind, address.url) == (kind, shown)
    assert address.secret == ("" if kind is ReceiverKind.MAIL else url)
    assert "word" not in repr(address)
    assert "token" not in repr(address)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "me-secret@example.com",
        "/secret",
        "http://example.com/secret",
        "https://example.com/secret",
        "mailto:secret",
        "mailto:a@example.com,secret@example.com",
        "mailto:a@example.com?bcc=secret@example.com",
        "mailto:a%0Abcc:secret@example.com",
        "webhook+https:///secret",
        "webhook+https://secret@/path",
        "webhook+https://host:secret/path",
        "webhook+https://[secret]/path",
        "webhook+https://host:0/secret",
        "webhook+https://example.com/hook#secret",
        "webhook+https://example.com/secret\r\nX-Other: 1",
        "webhook+https://example.com/secret one",
        "webhook+https://example.com/secret\u202e",
        "webhook+ftp:secret",
        "ntfy:secret",
        "webhook+https://example.com/" + "secret" * 400,
    ],
)
def test_an_invalid_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ReceiverInvalid) as caught:
        parse_receiver(url)
    assert "secret" not in str(caught.value.facts)
    assert "secret" not in str(caught.value).replace("signing-secret", "").replace("signing secret", "")


def test_a_signing_secret_is_kept_with_the_address() -> None:
    address = parse_receiver("webhook+https://example.com/hook?a=b").with_signing_secret(SECRET)
    assert address.signing_secret == SECRET
    assert ReceiverAddress(address.kind, address.url, address.secret).signing_secret == SECRET
    assert SECRET not in repr(address)
    assert address.with_signing_secret("").signing_secret == ""


def test_a_new_signing_secret_is_a_key_of_256_bits() -> None:
    assert len(read_signing_key(make_signing_secret())) == 32
    assert make_signing_secret() != make_signing_secret()


@pytest.mark.parametrize("text", ["whsec_", "whsec_YWJj", "a-word-of-some-length-but-not-base64", SECRET + "*"])
def test_a_weak_signing_secret_is_refused(text: str) -> None:
    with pytest.raises(ReceiverInvalid):
        parse_receiver("webhook+https://example.com/hook").with_signing_secret(text)


def test_only_webhooks_have_a_signing_secret() -> None:
    with pytest.raises(ReceiverInvalid):
        parse_receiver("mailto:me@example.com").with_signing_secret(SECRET)
