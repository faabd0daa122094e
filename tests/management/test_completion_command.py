"""The command `completion`: scripts for shells, from the parsers of the commands."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import pytest
from django.core.management import call_command

from tvarr_backup.management.command_line import GROUPS
from tvarr_backup.management.commands.completion import build_parser


def script(shell: str) -> str:
    out = io.StringIO()
    call_command("completion", shell, stdout=out)
    return out.getvalue()


@pytest.fixture(scope="module")
def bash(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("completion") / "tvarr-backup.bash"
    file.write_text(script("bash"))
    return file


def completed(file: Path, *words: str) -> list[str]:
    """Return what bash offers for the last word."""
    line = " ".join(words)
    code = f"""
        source {file}
        COMP_WORDS=({line}{' ""' if not words[-1] else ""}) COMP_CWORD={len(words) - 1}
        COMP_LINE="{line}" COMP_POINT={len(line)}
        command=$(complete -p tvarr-backup | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        $command tvarr-backup "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD-1]}}"
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("backup", "resto"), ["restore"]),
        (("backup", "re"), ["rehearse", "restore", "recover"]),
        (("sched",), ["schedule"]),
        (("schedule", "s"), ["show", "set"]),
        (("backup", "restore", "--acc"), ["--accept-newer", "--accept-code"]),
        (("completion", "f"), ["fish"]),
    ],
)
def test_bash_completes_commands_options_and_choices(bash: Path, words: tuple[str, ...], offered: list[str]) -> None:
    assert completed(bash, "tvarr-backup", *words) == offered


def test_bash_completes_files_where_one_is_expected(bash: Path, tmp_path: Path) -> None:
    (tmp_path / "archive.db.gz").touch()
    assert completed(bash, "tvarr-backup", "backup", "add", f"{tmp_path}/arch") == [f"{tmp_path}/archive.db.gz"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_a_script_with_all_commands(shell: str) -> None:
    text = script(shell)
    assert all(name in text for group in GROUPS.values() for name in group)
    assert "undo-restore" in text


def test_every_command_of_the_help_is_completed() -> None:
    (commands,) = [action.choices for action in build_parser()._subparsers._group_actions]  # type: ignore[union-attr]
    assert [*(commands or ())] == [name for group in GROUPS.values() for name in group]
