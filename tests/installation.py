"""An installation in a folder of its own, used the way people use it: through `manage.py`."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.command_server import CommandServer, can_run

ROOT = Path(__file__).resolve().parent.parent

_HEED_MODES = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Put before a command, it takes from root the right to read and write what file modes forbid."""

_MANAGE = (sys.executable, str(ROOT / "manage.py"))
_server = cache(CommandServer)
"""Started when the first command is run."""


@dataclass
class Installation:
    """Runs commands with a clean environment that points at `data`."""

    data: Path
    environment: dict[str, str] = field(default_factory=dict)
    heeds_modes: bool = False
    """Whether commands are held to file modes also where the tests run as root."""
    program: tuple[str, ...] = _MANAGE

    def run(self, *arguments: str, stdin: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `manage.py` to its end, whatever its exit status."""
        variables = self.variables() | environment
        command = self.command(*arguments)
        if command == [*_MANAGE, *arguments] and can_run(variables):
            return _server().run([*map(str, arguments)], cwd=self.data.parent, env=variables, stdin=stdin, timeout=120)
        return subprocess.run(
            command,
            cwd=self.data.parent,
            env=variables,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def command(self, *arguments: str) -> list[str]:
        """The words that start `manage.py`, or what stands in for it."""
        prefix = _HEED_MODES if self.heeds_modes and os.geteuid() == 0 else ()
        return [*prefix, *self.program, *arguments]

    def variables(self) -> dict[str, str]:
        """The whole environment of a command. Unless a test wants it, no backup is made because it is two o'clock."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        coverage = {name: value for name, value in os.environ.items() if name.startswith("COV")}
        ours = {"TVARR_STORAGE_BASE_DIR": str(self.data), "TVARR_BACKUP_SCHEDULE_ENABLED": "false"}
        return kept | coverage | ours | self.environment

    def ok(self, *arguments: str, stdin: str | None = None) -> str:
        """Run a command that must succeed, and give its standard output."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *arguments: str, stdin: str | None = None) -> Any:
        """Run a command that must succeed and print one JSON value."""
        return json.loads(self.ok(*arguments, stdin=stdin))

    def cookie_name(self, setting: str) -> str:
        """The name of a cookie, such as `SESSION_COOKIE_NAME`, which depends on the installation."""
        return self.ok(
            "shell", "--no-imports", "-c", f"from django.conf import settings; print(settings.{setting})"
        ).strip()

    def refused(self, *arguments: str, stdin: str | None = None, **environment: str) -> str:
        """Run a command that must fail in words, and give those words."""
        done = self.run(*arguments, stdin=stdin, **environment)
        assert done.returncode != 0, done.stdout
        assert "Traceback" not in done.stderr, done.stderr
        return done.stderr

    def prepared(self) -> "Installation":
        """Run `prepare` first."""
        self.ok("prepare")
        return self
