"""The program as a whole: its name, its version, and its help."""

import re

import pytest

from tests.installation import ROOT, Installation
from tvarr_backup import __version__, program
from tvarr_backup.management.command_line import GROUPS

OURS = sorted(path.stem for path in (ROOT / "tvarr_backup/management/commands").glob("[a-z]*.py"))


def test_in_a_checkout_it_is_manage_py(installation: Installation) -> None:
    assert (program.NAME, program.ASSETS) == ("manage.py", ROOT)
    assert installation.ok("--help").startswith("Usage: manage.py COMMAND")


def test_only_two_modules_name_the_program() -> None:
    naming = {path.name for path in (ROOT / "tvarr_backup").rglob("*.py") if "manage.py" in path.read_text()}
    assert naming == {"program.py", "__main__.py"}


@pytest.mark.parametrize("arguments", [("--version",), ("version",)])
def test_the_version_is_ours_and_needs_no_settings(installation: Installation, arguments: tuple[str, ...]) -> None:
    done = installation.run(*arguments, TVARR_SERVER_PORT="eighty")
    assert (done.returncode, done.stdout) == (0, f"tvarr-backup {__version__}\n")


def test_a_command_has_the_same_version(installation: Installation) -> None:
    assert installation.ok("backup", "--version") == f"{__version__}\n"


@pytest.mark.parametrize("arguments", [(), ("help",), ("--help",)])
def test_help_lists_our_commands_by_subject(installation: Installation, arguments: tuple[str, ...]) -> None:
    text = installation.ok(*arguments)
    assert re.findall(r"^[A-Z][a-z ]+$", text, re.MULTILINE) == [*GROUPS]
    listed = {line.split()[0] for line in text.splitlines() if line.startswith("  ")}
    assert listed == {name for group in GROUPS.values() for name in group} >= {*OURS}
    assert "  backup add " in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_every_listed_command_has_a_description(installation: Installation) -> None:
    rows = [line for line in installation.ok("help").splitlines() if line.startswith("  ")]
    assert len(rows) > 20
    assert [row for row in rows if not re.fullmatch(r"  [a-z_-]+( [a-z-]+)?  +[A-Z].*\.", row)] == []


def test_other_commands_are_listed_on_request(installation: Installation) -> None:
    assert "migrate" not in installation.ok("help")
    text = installation.ok("help", "--all")
    assert "\nOthers\n" in text
    assert "\n  migrate\n" in text
    assert text.index("backup create") < text.index("migrate")


@pytest.mark.parametrize("command", OURS)
def test_help_of_a_command_leaves_out_options_of_django(installation: Installation, command: str) -> None:
    text = installation.ok(command, "--help")
    assert not re.findall(r"--(?:version|verbosity|settings|pythonpath|traceback|no-color|force-color)", text)


def test_options_of_django_still_work(installation: Installation) -> None:
    assert installation.run("backup", "--traceback", "list").returncode == 1
    installation.ok("prepare", "--verbosity", "0", "--no-color")
