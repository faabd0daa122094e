"""Messages by mail, received by a real server."""

from email.utils import parsedate_to_datetime

import pytest

from tests.receivers.conftest import MakeContext
from tests.receivers.mail_receiver import PASSWORD, USER, MailReceiver, running_mail
from tests.receivers.messages import make_message
from tvarr_backup.errors import (
    ReceiverDenied,
    ReceiverFailed,
    ReceiverInvalid,
    ReceiverUnreachable,
    ReceiverUnsupported,
    ReceiverUntrusted,
)
from tvarr_backup.receivers.addresses import parse_receiver
from tvarr_backup.receivers.mail_servers import Encryption, MailServer, parse_mail_server
from tvarr_backup.receivers.messages import OutgoingMessage
from tvarr_backup.receivers.send import send

SIGN_IN = f"{USER.replace('@', '%40')}:{PASSWORD}"


def _send(url: str, message: OutgoingMessage | None = None, timeout_seconds: float = 30) -> str:
    return send(
        parse_receiver("mailto:you@example.org"),
        message or make_message(),
        mail_server=parse_mail_server(url),
        timeout_seconds=timeout_seconds,
    )


def _plain(receiver: MailReceiver) -> str:
    return f"smtp://127.0.0.1:{receiver.port}?from={USER}"


def test_a_message_arrives_as_text() -> None:
    with running_mail() as receiver:
        assert _send(_plain(receiver)) == "250 2.0.0 queued as 1A2B"
    (mail,) = receiver.mails
    assert (mail["From"], mail["To"], mail["Subject"]) == (USER, "you@example.org", "Backup failed")
    assert mail["Message-ID"] == "<01JDXJ5Q0000000000000000AB@example.com>"
    assert parsedate_to_datetime(mail["Date"]) == make_message().created_at
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content().splitlines() == make_message().text.splitlines()


def test_text_from_others_cannot_add_headers_or_end_the_mail() -> None:
    hostile = make_message(subject="A\r\nBcc: x@example.org", text="<b>é</b>\n.\n\x1b[31mQUIT\n" + "long " * 20_000)
    with running_mail() as receiver:
        _send(_plain(receiver), hostile)
    (mail,) = receiver.mails
    assert mail["Bcc"] is None
    assert mail["Subject"] == r"A\r\nBcc: x@example.org"
    assert mail.get_content().splitlines() == hostile.text.splitlines()


def test_the_same_mail_is_accepted_after_a_temporary_error() -> None:
    with running_mail() as receiver:
        receiver.answers = ["451 4.3.0 try again later"]
        with pytest.raises(ReceiverFailed) as caught:
            _send(_plain(receiver))
        _send(_plain(receiver))
    assert (caught.value.code, caught.value.status, caught.value.is_permanent) == ("receiver_failed", 451, False)
    assert caught.value.answer == "451 4.3.0 try again later"
    assert len(receiver.mails) == 1


def test_a_refused_mail_is_permanent() -> None:
    with running_mail() as receiver:
        receiver.answers = ["554 5.7.1 spam"]
        with pytest.raises(ReceiverFailed) as caught:
            _send(_plain(receiver))
    assert (caught.value.status, caught.value.is_permanent) == (554, True)
    assert str(caught.value) == '"127.0.0.1" did not accept the mail: 554 5.7.1 spam.'


def test_a_refused_recipient_is_permanent() -> None:
    with running_mail() as receiver:
        receiver.refuse_recipients = "550 5.1.1 no such user"
        with pytest.raises(ReceiverFailed) as caught:
            _send(_plain(receiver))
    assert (caught.value.status, caught.value.is_permanent) == (550, True)


# --- Encryption and passwords ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_trusted")
def test_a_password_is_sent_over_tls(make_context: MakeContext) -> None:
    with running_mail(tls=make_context()) as receiver:
        _send(f"smtps://127.0.0.1:{receiver.port}?from={USER}")
    assert receiver.secure == [True]


@pytest.mark.usefixtures("_trusted")
def test_a_password_is_sent_after_starttls(make_context: MakeContext) -> None:
    with running_mail(starttls=make_context(), needs_password=True) as receiver:
        _send(f"smtp+tls://{SIGN_IN}@127.0.0.1:{receiver.port}")
    assert (receiver.secure, receiver.users) == ([True], [USER])


def test_a_password_may_be_sent_to_this_machine_without_encryption() -> None:
    with running_mail(needs_password=True) as receiver:
        _send(f"smtp://{SIGN_IN}@127.0.0.1:{receiver.port}")
    assert receiver.users == [USER]


def test_a_password_is_not_sent_if_the_server_offers_no_encryption() -> None:
    with running_mail(needs_password=True) as receiver, pytest.raises(ReceiverUntrusted):
        _send(f"smtp+tls://{SIGN_IN}@127.0.0.1:{receiver.port}")
    assert receiver.mails == []


def test_a_password_to_another_machine_needs_encryption() -> None:
    assert parse_mail_server("smtp://me%40example.com:word@mail.example.com").encryption is Encryption.STARTTLS


@pytest.mark.parametrize("kind", ["tls", "starttls"])
def test_an_unknown_certificate_is_refused(kind: str, make_context: MakeContext) -> None:
    scheme = {"tls": "smtps", "starttls": "smtp+tls"}[kind]
    context = make_context()
    server = running_mail(tls=context) if kind == "tls" else running_mail(starttls=context)
    with server as receiver, pytest.raises(ReceiverUntrusted):
        _send(f"{scheme}://127.0.0.1:{receiver.port}?from={USER}")
    assert receiver.mails == []


def test_a_wrong_password_is_denied() -> None:
    with running_mail(needs_password=True) as receiver, pytest.raises(ReceiverDenied) as caught:
        _send(f"smtp://{USER.replace('@', '%40')}:wr0ng-word@127.0.0.1:{receiver.port}")
    assert caught.value.status == 535
    assert "wr0ng-word" not in f"{caught.value!r} {caught.value.facts}"


def test_a_server_that_knows_no_passwords() -> None:
    with running_mail() as receiver, pytest.raises(ReceiverDenied):
        _send(f"smtp://{SIGN_IN}@127.0.0.1:{receiver.port}")


# --- Slow, dead, and other servers -----------------------------------------------------------------------------------


def test_a_silent_server_is_left_at_the_time_limit(silent_port: int) -> None:
    with pytest.raises(ReceiverUnreachable) as caught:
        _send(f"smtp://127.0.0.1:{silent_port}?from={USER}", timeout_seconds=0.2)
    assert caught.value.facts["reason"].facts == {"seconds": 0.2}


def test_an_answer_that_trickles_is_left_at_the_time_limit(trickling_port: int) -> None:
    with pytest.raises(ReceiverFailed):
        _send(f"smtp://127.0.0.1:{trickling_port}?from={USER}", timeout_seconds=0.5)


def test_nobody_listens(free_port: int) -> None:
    with pytest.raises(ReceiverUnreachable):
        _send(f"smtp://127.0.0.1:{free_port}?from={USER}")


def test_a_server_that_closes_the_connection(closing_port: int) -> None:
    with pytest.raises(ReceiverUnreachable):
        _send(f"smtp://127.0.0.1:{closing_port}?from={USER}")


def test_another_protocol(web_port: int) -> None:
    with pytest.raises(ReceiverFailed):
        _send(f"smtp://127.0.0.1:{web_port}?from={USER}")


def test_no_mail_server_is_set() -> None:
    with pytest.raises(ReceiverUnsupported) as caught:
        send(parse_receiver("mailto:you@example.org"), make_message())
    assert caught.value.is_permanent


# --- EMAIL_URL -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "smtps://me%40example.com:w%3Ard@mail.example.com",
            MailServer(Encryption.TLS, "mail.example.com", 465, "me@example.com", "w:rd", "me@example.com"),
        ),
        (
            "smtp+tls://me:word@mail.example.com/?from=tv%40example.com",
            MailServer(Encryption.STARTTLS, "mail.example.com", 587, "me", "word", "tv@example.com"),
        ),
        (
            "smtp://relay:2525?from=tv@example.com",
            MailServer(Encryption.NONE, "relay", 2525, "", "", "tv@example.com"),
        ),
    ],
)
def test_the_address_of_a_mail_server(url: str, expected: MailServer) -> None:
    server = parse_mail_server(url)
    assert server == expected
    assert "word" not in repr(server)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "secret",
        "smtp:secret",
        "http://me:secret@mail.example.com",
        "smtps://me:secret@mail.example.com",
        "smtps://me@secret@:80",
        "smtps://secret@mail.example.com?from=me@example.com",
        "smtps://me:secr%C3%A9t@mail.example.com?from=me@example.com",
        "smtps://me:secret@mail.example.com/path?from=me@example.com",
        "smtps://me:secret@mail.example.com?from=me@example.com&tls=no",
        "smtps://me:secret@mail.example.com?from=me",
        "smtps://me:secret@mail.example.com:port?from=me@example.com",
        "smtps://me:secret\n@mail.example.com?from=me@example.com",
    ],
)
def test_an_invalid_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ReceiverInvalid) as caught:
        parse_mail_server(url)
    assert "secr" not in f"{caught.value!r} {caught.value.facts}"
