"""The command `receiver`, in this process: what receivers do is tested in `tests/operations`."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.installation import Installation
from tests.management.terminals import type_into
from tests.operations.alert_parts import PROBLEM, add_alert, add_message, let_fail, stored_error
from tests.receivers.web_receiver import Reply, running_receiver
from tvarr_backup.management.commands import receiver as command
from tvarr_backup.operations.alert_models import MessageState, OutboxMessage, Receiver
from tvarr_backup.operations.receivers import add_receiver, address_of, store_environment
from tvarr_backup.receivers.addresses import make_signing_secret, parse_receiver
from tvarr_backup.receivers.mail_servers import parse_mail_server

pytestmark = pytest.mark.django_db

SECRET = "tide-table-1912"
NTFY = f"ntfys://ntfy.example/{SECRET}"
HOOK = f"webhook+https://hooks.example/{SECRET}"


def receiver(*arguments: str, stdin: str = "") -> str:
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        call_command("receiver", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def refused(*arguments: str, stdin: str = "") -> str:
    with pytest.raises(CommandError) as refusal:
        receiver(*arguments, stdin=stdin)
    return str(refusal.value)


def add(url: str = NTFY, *more: str) -> str:
    return receiver("add", "phone", "--url-file", "-", *more, stdin=f"{url}\n")


def stored() -> Receiver:
    return Receiver.objects.get()


# --- Adding ----------------------------------------------------------------------------------------------------------


def test_a_receiver_is_added_and_can_be_tested() -> None:
    assert "receiver test phone`" in add(NTFY, "--daily-reminder")
    assert (address_of(stored()), stored().reminds_daily) == (parse_receiver(NTFY), True)


def test_a_mail_address_is_no_secret(settings: Any) -> None:
    settings.MAIL_SERVER = parse_mail_server("smtp://mail.example?from=me@example.com")
    receiver("add", "me", "--mail", "me@example.com")
    assert stored().url == "mailto:me@example.com"


def test_an_address_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "address").write_text(f"{NTFY}\n")
    receiver("add", "phone", "--url-file", str(tmp_path / "address"))
    assert address_of(stored()) == parse_receiver(NTFY)


def test_an_address_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TVARR_BACKUP_RECEIVER_URL", NTFY)
    receiver("add", "phone")
    assert address_of(stored()) == parse_receiver(NTFY)


def test_an_address_comes_from_a_file_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "address").write_text(NTFY)
    monkeypatch.setenv("TVARR_BACKUP_RECEIVER_URL_FILE", str(tmp_path / "address"))
    receiver("add", "phone")
    assert address_of(stored()) == parse_receiver(NTFY)


def test_an_address_is_asked_for_on_a_terminal_and_not_shown(prepared: Installation) -> None:
    status, shown = type_into(prepared, f"{NTFY}\n".encode(), "receiver", "add", "phone")
    assert (status, SECRET in shown) == (0, False)


def test_no_option_takes_a_secret() -> None:
    for option in ("--url", "--signing-secret"):
        assert "unrecognized" in refused("add", "phone", option, SECRET)


def test_without_an_address_nothing_is_added() -> None:
    assert "--url-file" in refused("add", "phone")
    assert not Receiver.objects.exists()


def test_only_one_secret_comes_from_the_standard_input() -> None:
    assert "one secret" in refused("add", "phone", "--url-file", "-", "--signing-secret-file", "-", stdin=HOOK)


def test_a_file_that_cannot_be_read_is_refused() -> None:
    assert refused("add", "phone", "--url-file", "/missing").startswith("--url-file: ")


def test_a_new_signing_secret_is_printed_once() -> None:
    added = add(HOOK)
    assert address_of(stored()).signing_secret in added
    assert address_of(stored()).signing_secret not in receiver("show", "phone") + receiver("show", "phone", "--json")


def test_a_signing_secret_comes_from_a_file(tmp_path: Path) -> None:
    own = make_signing_secret()
    (tmp_path / "secret").write_text(own)
    assert own not in add(HOOK, "--signing-secret-file", str(tmp_path / "secret"))
    assert address_of(stored()).signing_secret == own


# --- Changing and removing -------------------------------------------------------------------------------------------


def test_only_what_is_named_is_changed() -> None:
    add()
    receiver("change", "phone", "--new-name", "bell", "--pause", "--daily-reminder")
    assert (stored().name, stored().is_enabled, stored().reminds_daily) == ("bell", False, True)
    receiver("change", "bell", "--resume", "--no-daily-reminder")
    assert (stored().is_enabled, stored().reminds_daily) == (True, False)
    assert address_of(stored()) == parse_receiver(NTFY)


def test_an_address_is_replaced() -> None:
    add()
    receiver("change", "phone", "--url-file", "-", stdin="ntfys://ntfy.example/other")
    assert address_of(stored()) == parse_receiver("ntfys://ntfy.example/other")


def test_another_signing_secret_is_made() -> None:
    add(HOOK)
    before = address_of(stored()).signing_secret
    printed = json.loads(receiver("change", "phone", "--new-signing-secret", "--json").partition("\n")[2])
    assert before != address_of(stored()).signing_secret == printed["new_signing_secret"]


def test_a_change_needs_an_option() -> None:
    add()
    assert "at least one" in refused("change", "phone")


def test_a_receiver_is_removed_with_yes() -> None:
    add()
    assert "--yes" in refused("remove", "phone")
    receiver("remove", "phone", "--yes")
    assert not Receiver.objects.exists()


def test_a_receiver_of_the_environment_is_shown_and_not_removed(settings: Any) -> None:
    settings.NOTIFY_ADDRESSES = (parse_receiver(NTFY),)
    store_environment()
    assert "in the environment" in receiver("show", stored().name)
    refused("remove", stored().name, "--yes")
    assert Receiver.objects.exists()


# --- Showing ---------------------------------------------------------------------------------------------------------


def test_the_list_has_each_receiver() -> None:
    assert "There are no receivers" in receiver("list")
    add()
    assert "not tried yet" in receiver("list").splitlines()[1]
    assert [one["name"] for one in json.loads(receiver("list", "--json"))] == ["phone"]


def test_a_failure_is_shown_with_its_reason_and_without_secrets() -> None:
    add()
    let_fail(stored())
    add_message(stored(), MessageState.WAITING, attempts=3, **stored_error())
    printed = "".join(receiver(*arguments) for arguments in (["list"], ["show", "phone"], ["show", "phone", "--json"]))
    printed += receiver("messages") + receiver("messages", "--json")
    assert receiver("show", "phone").splitlines()[-1] == str(PROBLEM)
    assert SECRET not in printed


def test_messages_are_listed_newest_first() -> None:
    assert "There are no messages" in receiver("messages")
    hook = add_receiver("hook", HOOK).receiver
    add()
    add_message(hook, attempts=1)
    add_message(Receiver.objects.get(name="phone"), MessageState.WAITING)
    assert [one["receiver"] for one in json.loads(receiver("messages", "--json"))] == ["phone", "hook"]
    assert [one["receiver"] for one in json.loads(receiver("messages", "--json", "--limit", "1"))] == ["phone"]
    assert [one["receiver"] for one in json.loads(receiver("messages", "hook", "--json"))] == ["hook"]
    assert len(receiver("messages", "--state", "sent").splitlines()) == 2


def test_present_problems_are_listed() -> None:
    assert "No problem is reported" in receiver("alerts")
    add_alert("location_behind:nas")
    assert [one["key"] for one in json.loads(receiver("alerts", "--json"))] == ["location_behind:nas"]
    assert receiver("alerts").startswith("Location behind, since ")


# --- The test --------------------------------------------------------------------------------------------------------


@contextmanager
def sending(installation: Installation) -> Iterator[None]:
    """Run the process that sends alerts."""
    command = installation.command("notify")
    process = subprocess.Popen(command, env=installation.variables(), stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0


def test_a_test_prints_the_answer_or_why_there_is_none(prepared: Installation) -> None:
    with (
        running_receiver(lambda asked: Reply(200 if asked.path == "/good" else 500, b"tide")) as web,
        sending(prepared),
    ):
        for name in ("good", "bad"):
            url = f"webhook+{web.url}/{name}"
            prepared.ok("receiver", "add", name, "--url-file", "-", stdin=url)
        assert prepared.ok("receiver", "test", "good") == "good: OK. Answer: 200 OK: tide\n"
        assert "500 Internal Server Error: tide" in prepared.refused("receiver", "test", "bad")
    assert [one.path for one in web.received] == ["/good", "/bad"]


def test_a_test_says_that_nothing_sends_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "WAIT_SECONDS", 0.0)
    add()
    assert "receiver messages phone`" in refused("test", "phone")
    assert OutboxMessage.objects.get().is_waiting


def test_an_unknown_receiver_is_refused() -> None:
    for arguments in (["show"], ["test"], ["remove", "--yes"], ["messages"]):
        refused(arguments[0], "nobody", *arguments[1:])
    assert not OutboxMessage.objects.exists()
