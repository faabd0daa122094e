"""Output of commands: text from other people is escaped."""

from __future__ import annotations

import ast
import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError, OutputWrapper

from tests.installation import ROOT, Installation
from tests.management.terminals import type_into
from tests.portable.files import FILTERS, document, filter_item
from tvarr_backup.management.terminal import Terminal, TerminalCommand, align, for_terminal
from tvarr_backup.texts import find_hidden

MANAGEMENT = ROOT / "tvarr_backup" / "management"
EVIL = "Evil\x1b[1A\x1b[2K\r#1 identical: News -> skip\x1b[8m\n2 items: add 2\x9b\u202e\u2028."
SHOWN = r"Evil\x1b[1A\x1b[2K\r#1 identical: News -> skip\x1b[8m\n2 items: add 2\x9b\u202e\u2028."


class Plain(io.StringIO):
    """A stream with an encoding."""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a stream's own is fixed
        return self._encoding


def test_a_line_is_one_line_whatever_is_in_it() -> None:
    out = io.StringIO()
    Terminal(out).write_line(EVIL)
    assert out.getvalue() == SHOWN + "\n"


def test_what_a_command_raises_may_have_several_lines_and_nothing_else() -> None:
    out = io.StringIO()
    Terminal(out).write("one\ntwo\x1b[2J\r")
    assert out.getvalue() == "one\ntwo\\x1b[2J\\r\n"


def test_json_stays_json() -> None:
    for encoding in ("utf-8", "ascii", "iso8859-15"):
        out = Plain(encoding)
        data = {"name": EVIL, "café": ["Новости", "\U0001f6a2"]}
        Terminal(out).write_json([json.dumps(data, indent=2, ensure_ascii=False)])
        out.getvalue().encode(encoding)
        assert [found for found in find_hidden(out.getvalue()) if found.character != "\n"] == []
        assert json.loads(out.getvalue()) == data


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "“Café Новости” … 1 × 2 \U0001f468\u200d\U0001f469"),
        (
            "iso8859-15",
            '"Café \\u041d\\u043e\\u0432\\u043e\\u0441\\u0442\\u0438" ... 1 × 2 \\U0001f468\\u200d\\U0001f469',
        ),
        (
            "ascii",
            '"Caf\\xe9 \\u041d\\u043e\\u0432\\u043e\\u0441\\u0442\\u0438" ... 1 x 2 \\U0001f468\\u200d\\U0001f469',
        ),
        (None, "“Café Новости” … 1 × 2 \U0001f468\u200d\U0001f469"),
    ],
)
def test_what_the_encoding_lacks_is_replaced(encoding: str | None, shown: str) -> None:
    assert for_terminal("“Café Новости” … 1 × 2 \U0001f468\u200d\U0001f469", encoding) == shown


# --- No command has another way --------------------------------------------------------------------------------------


def ways_past(module: Path) -> Iterator[str]:
    """Where a module writes to a stream in another way than through `TerminalCommand` or `Terminal`."""
    for node in ast.walk(ast.parse(module.read_text())):
        place = f"{module.name}:{getattr(node, 'lineno', 0)}"
        match node:
            case ast.Name(id="print" | "BaseCommand" | "OutputWrapper"):
                yield f"{place} {node.id}"
            case ast.Attribute(attr="write" | "writelines") if ast.unparse(node.value) not in {"file", "handle"}:
                yield f"{place} {ast.unparse(node)}"
            case ast.Attribute(value=ast.Attribute(attr="stdout" | "stderr") as stream, attr=name):
                is_file = ast.unparse(node) == "sys.stdout.buffer"
                if not is_file and name not in {"flush", "style_func", "isatty", "fileno"}:
                    yield f"{place} {ast.unparse(stream)}.{name}"
            case ast.ImportFrom(names=names) if {"BaseCommand", "OutputWrapper"} & {each.name for each in names}:
                yield f"{place} import"


def test_no_command_writes_in_another_way() -> None:
    modules = [path for path in MANAGEMENT.rglob("*.py") if path.name != "terminal.py"]
    assert len(modules) > 10
    assert [way for module in modules for way in ways_past(module)] == []


@pytest.mark.parametrize(
    "line",
    [
        "print(name)",
        "self.stdout.write(name)",
        "self.stderr._out.write(name)",
        "sys.stderr.write(name)",
        "sys.stdout.buffer.write(name)",
        "self.stdout.writelines([name])",
        "class Command(BaseCommand): pass",
        "from django.core.management.base import BaseCommand",
    ],
)
def test_such_a_line_would_be_found(tmp_path: Path, line: str) -> None:
    module = tmp_path / "command.py"
    module.write_text(line)
    assert list(ways_past(module))


def test_every_command_is_a_terminal_command_whoever_calls_it() -> None:
    class Command(TerminalCommand):
        def handle(self, *_args: object, **_options: object) -> None:
            self.line(EVIL)
            self.message(EVIL)
            raise CommandError("x\x1b")

    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(CommandError):
        call_command(Command(), stdout=out, stderr=err)
    assert (out.getvalue(), err.getvalue()) == (SHOWN + "\n", SHOWN + "\n")
    with pytest.raises(CommandError):
        call_command(Command(), stdout=OutputWrapper(out), stderr=err)
    assert out.getvalue() == 2 * (SHOWN + "\n")


# --- Commands as they are run ----------------------------------------------------------------------------------------


def run(installation: Installation, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command, variables = installation.command(*arguments), installation.variables() | environment
    return subprocess.run(command, env=variables, capture_output=True, timeout=60, check=False)


def hidden_in(output: bytes) -> list[str]:
    return [found.point for found in find_hidden(output.decode()) if found.character != "\n"]


def test_names_of_a_file_do_nothing_to_the_terminal(prepared: Installation, tmp_path: Path) -> None:
    file = tmp_path / "evil.json"
    item = filter_item(EVIL, description="\x1b]0;x\x07") | {"not known\x1b[2J\u202e": 1}
    file.write_text(json.dumps(document(FILTERS, item)))
    for arguments in (
        ("portable", "plan", "filters", str(file)),
        ("portable", "plan", "filters", str(file), "--json"),
        ("portable", "import", "filters", str(file)),
        ("portable", "import", "filters", str(file), "--json"),
        ("portable", "export", "filters", "--all"),
        ("portable", "plan", "filters", str(file), "--resolve", f"{EVIL}!=skip"),
        ("portable", "plan", "filters", "--nothing-like-\x1b[2J", str(file)),
    ):
        done = run(prepared, *arguments)
        assert hidden_in(done.stdout + done.stderr) == [], arguments
        if "--json" in arguments or "export" in arguments:
            assert json.loads(done.stdout)["items"][0].get("name", EVIL) == EVIL
    plan = prepared.ok("portable", "plan", "filters", str(file))
    assert f"#1 unchanged: {SHOWN} -> skip\n" in plan


def test_wide_characters_and_marks_keep_columns_aligned() -> None:
    assert align([["日本", "x"], ["Cafe\u0301", "x"], ["plain", "x"]]) == ["日本   x", "Cafe\u0301   x", "plain  x"]


def colored(installation: Installation, *options: str, **environment: str) -> bool:
    _, shown = type_into(installation, b"", "status", *options, **environment)
    return "\x1b[" in shown


def test_status_has_colors_on_a_terminal_unless_they_are_not_wanted(prepared: Installation) -> None:
    assert colored(prepared)
    assert not colored(prepared, NO_COLOR="1")
    assert not colored(prepared, "--no-color")
    assert "\x1b" not in prepared.run("status").stdout


@pytest.mark.parametrize("encoding", ["ascii", "iso8859-15"])
def test_an_old_terminal_gets_escapes_and_no_traceback(prepared: Installation, tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "names.json"
    file.write_text(json.dumps(document(FILTERS, filter_item("Новости Café"), filter_item("Bad", action="x"))))
    old = {"PYTHONIOENCODING": encoding}
    done = run(prepared, "portable", "plan", "filters", str(file), **old)
    shown = done.stdout.decode(encoding)
    cafe = "Café" if encoding == "iso8859-15" else r"Caf\xe9"
    assert b"Traceback" not in done.stderr
    assert rf"#1 new: \u041d\u043e\u0432\u043e\u0441\u0442\u0438 {cafe} -> add" in shown
    assert 'got "x".' in shown
    as_json = run(prepared, "portable", "plan", "filters", str(file), "--json", **old).stdout.decode(encoding)
    assert json.loads(as_json)["items"][0]["name"] == "Новости Café"
    assert b"Traceback" not in run(prepared, "backup", "create", "--help", **old).stderr


@pytest.mark.parametrize(
    "variables",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "iso8859-15"},
    ],
)
def test_notes_are_listed_in_every_locale(prepared: Installation, variables: dict[str, str]) -> None:
    prepared.ok("backup", "create", "--note", "Größe 日本")
    done = run(prepared, "backup", "list", **variables)
    assert (done.returncode, done.stderr) == (0, b"")
