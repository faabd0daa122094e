"""Secrets in the answers of receivers, and in every failure."""

import base64
import json
import logging
import socket
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress

import pytest

from tests.receivers.conftest import MakeContext, talking_server
from tests.receivers.mail_receiver import running_mail
from tests.receivers.messages import make_message
from tests.receivers.web_receiver import Received, Reply, running_receiver
from tvarr_backup.errors import ReceiverFailed, ReceiverInvalid
from tvarr_backup.receivers.addresses import parse_receiver
from tvarr_backup.receivers.mail_servers import parse_mail_server
from tvarr_backup.receivers.ping import PingKind, ping
from tvarr_backup.receivers.redaction import find_all_parts, find_secrets, hide_secrets
from tvarr_backup.receivers.send import send

KEY = "whsec_" + base64.b64encode(b"signing-key-of-the-tests").decode()
SECRETS = ("usersecret", "passsecret", "pathsecret", "querysecret", KEY, KEY.removeprefix("whsec_"))
CREDENTIALS = "usersecret:passsecret@"
ENDING = "pathsecret/x?token=querysecret"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Cannot POST /hook/pathsecret", "Cannot POST /…"),
        ("PATHSECRET is unknown", "… is unknown"),
        ("token querysecret&amp;more", "token …&amp;more"),
        ("path%2Fwith", "…"),
        ("path/with", "…"),
        ("pa has a part", "… has a part"),
        ("no secrets\n\x1b[31mhere", r"no secrets \x1b[31mhere"),
    ],
)
def test_parts_of_an_address_are_hidden(text: str, expected: str) -> None:
    secrets = find_secrets("https://host.example/hook/pathsecret/path%2Fwith/pa?token=querysecret")
    assert hide_secrets(text, secrets) == expected


def test_a_password_is_hidden_in_base64() -> None:
    encoded = base64.b64encode(b"\0usersecret\0passsecret").decode()
    bearer = base64.b64encode(b"passsecret").decode()
    secrets = ["passsecret", "usersecret\0passsecret"]
    assert hide_secrets(f"refused {encoded} {bearer}", secrets) == "refused … …"


def test_the_host_of_an_address_of_apprise_may_be_a_secret() -> None:
    parts = find_all_parts("tgram://123456789:AAbotsecret/chatsecret/?image=no")
    assert hide_secrets("bot 123456789:AAbotsecret, 123456789 and chatsecret", parts) == "bot …, … and …"


# --- A sweep over failures ---------------------------------------------------------------------------------------------


def _echo(status: int) -> Callable[[Received], Reply]:
    """Answers with everything that was received, as debugging tools do."""

    def answer(received: Received) -> Reply:
        everything = json.dumps([received.path, dict(received.headers), received.body.decode()])
        return Reply(status, everything.encode())

    return answer


def _redirect(status: int, place: str) -> Callable[[Received], Reply]:
    return lambda received: Reply(status, b"", {"Location": f"{place}{received.path}"})


def _send_everything(web: str, mail: str) -> list[BaseException]:
    """Send to receivers of each kind at these places, and return the errors. Answers are checked here."""
    webhook = parse_receiver(f"webhook+{web.replace('://', f'://{CREDENTIALS}')}/{ENDING}").with_signing_secret(KEY)
    service = parse_receiver(
        f"json{'s' if web.startswith('https') else ''}://{CREDENTIALS}{web.split('://')[1]}/{ENDING}"
    )
    server = parse_mail_server(mail.replace("://", "://usersecret:passsecret@") + "?from=tv@example.com")
    monitor = web.replace("://", f"://{CREDENTIALS}")
    check, push = f"{monitor}/{ENDING}", f"{monitor}/api/push/pathsecret?x=querysecret"
    attempts: list[Callable[[], object]] = [
        lambda: send(webhook, make_message(), timeout_seconds=5),
        lambda: send(service, make_message(), timeout_seconds=5),
        lambda: send(parse_receiver("mailto:me@example.com"), make_message(), mail_server=server, timeout_seconds=5),
        lambda: ping(check, PingKind.FAILURE, "reason", timeout_seconds=5),
        lambda: ping(push, PingKind.FAILURE, "reason", timeout_seconds=5),
    ]
    errors: list[BaseException] = []
    for attempt in attempts:
        try:
            _require_clean(repr(attempt()))
        except (ReceiverFailed, ReceiverInvalid) as problem:
            errors.append(problem)
    _require_clean(f"{webhook!r} {service!r} {server!r}")
    return errors


def _require_clean(text: str) -> None:
    for secret in SECRETS:
        assert secret not in text
        assert base64.b64encode(secret.encode()).decode().rstrip("=") not in text


_FAULTS = (
    "echo 200",
    "echo 400",
    "echo 401",
    "echo 500",
    "moved",
    "elsewhere",
    "tls",
    "dead",
    "garbage",
    "forbidden",
    "name",
)


@pytest.mark.parametrize("fault", _FAULTS)
def test_no_failure_repeats_a_secret(
    fault: str,
    make_context: MakeContext,
    free_port: int,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    with ExitStack() as stack:
        enter = stack.enter_context
        web, mail = f"http://127.0.0.1:{free_port}", f"smtp://127.0.0.1:{free_port}"
        if fault.startswith("echo"):
            web = enter(running_receiver(_echo(int(fault[5:])))).url
            mail = f"smtp://127.0.0.1:{enter(running_mail(needs_password=True)).port}"
        elif fault == "moved":
            web = enter(running_receiver(_redirect(302, ""))).url
        elif fault == "elsewhere":
            web = enter(running_receiver(_redirect(307, "http://pathsecret.example"))).url
        elif fault == "tls":
            context = make_context()
            web = enter(running_receiver(context=context)).url
            mail = f"smtps://127.0.0.1:{enter(running_mail(tls=context)).port}"
        elif fault == "garbage":
            web, mail = (f"{scheme}://127.0.0.1:{enter(_repeating_server())}" for scheme in ("http", "smtp"))
        elif fault == "forbidden":
            web = "http://169.254.169.254:9"
        elif fault == "name":
            web, mail = "http://nothing.invalid", "smtps://nothing.invalid"
        errors = _send_everything(web, mail)
    assert errors
    for error in errors:
        assert isinstance(error, (ReceiverFailed, ReceiverInvalid))
        _require_clean("".join(traceback.format_exception(error)))
        _require_clean(f"{error!r} {error.facts} {error.identity} {error.sentence.for_page()}")
    _require_clean(caplog.text)
    _require_clean("".join(capfd.readouterr()))


def _repeating_server() -> AbstractContextManager[int]:
    """Repeats what it reads as the first line of an answer."""

    def talk(connection: socket.socket) -> None:
        connection.settimeout(0.3)
        with suppress(TimeoutError):
            asked = connection.recv(2**16)
            connection.sendall(asked.replace(b"\r\n", b" ") + b"\r\n")

    return talking_server(talk)
