"""The command line as a whole: versions, and help that lists our commands before Django's."""

from __future__ import annotations

from argparse import _SubParsersAction
from collections.abc import Iterator, Mapping

from django.core.management import ManagementUtility, get_commands, load_command_class

from tvarr_backup.management.terminal import align

GROUPS: Mapping[str, Mapping[str, str]] = {
    "Run": {
        "up": "",
        "worker": "",
        "notify": "",
        "prepare": "",
        "status": "",
        "check": "Check the configuration.",
        "completion": "",
    },
    "Backups": {"backup": "", "schedule": "", "location": "", "receiver": "", "operation": "", "rebuild": ""},
    "Configuration": {"portable": "", "config": "", "expression": ""},
    "Users and tokens": {
        "user": "",
        "token": "",
        "createsuperuser": "Create a user who may do everything.",
        "changepassword": "Change a user's password.",
        "axes_reset_username": "Unlock a user after too many wrong passwords.",
    },
}
"""Commands by heading. Those of libraries have a description here."""


class CommandLine(ManagementUtility):
    """Django's command line. `help --all` lists Django's commands too."""

    def main_help_text(self, commands_only: bool = False) -> str:  # noqa: FBT001, FBT002  # Django's signature
        if commands_only:
            return super().main_help_text(commands_only)
        commands = get_commands()
        rows = [
            (heading, [row for name, text in group.items() for row in self._describe(commands[name], name, text)])
            for heading, group in GROUPS.items()
        ]
        listed = {name for group in GROUPS.values() for name in group}
        if "--all" in self.argv:
            rows.append(("Others", [(name, "") for name in sorted(commands.keys() - listed)]))
        lines = iter(align([row for _, group in rows for row in group]))
        text = [f"Usage: {self.prog_name} COMMAND [OPTIONS]"]
        for heading, group in rows:
            text += ["", heading, *(f"  {next(lines)}" for _ in group)]
        text += ["", f'"{self.prog_name} COMMAND --help" describes a command.']
        if "--all" not in self.argv:
            text.append(f'"{self.prog_name} help --all" also lists the commands of Django and its libraries.')
        return "\n".join(text)

    def _describe(self, app: str, name: str, text: str) -> Iterator[tuple[str, str]]:
        """Yield a command and its description, or each of its subcommands with theirs."""
        if text:
            yield name, text
            return
        command = load_command_class(app, name)
        parser = command.create_parser(self.prog_name, name)
        subcommands = [action for action in parser._actions if isinstance(action, _SubParsersAction)]  # noqa: SLF001  # argparse has no other way
        if not subcommands:
            yield name, command.help
        for action in subcommands:
            for one in action._get_subactions():  # noqa: SLF001  # the same
                yield f"{name} {one.dest}", one.help or ""
