"""The command `prepare`."""

import contextlib
import math
import os
import secrets
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import check_password
from django.contrib.auth.password_validation import validate_password
from django.core.checks import run_checks
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, DatabaseError, Error, connections, transaction

from tvarr_backup import conf, program
from tvarr_backup.backups.durable import publish, write_whole
from tvarr_backup.backups.lock import lock_file
from tvarr_backup.errors import (
    DatabaseForeign,
    DatabaseMissing,
    DatabaseNotPrepared,
    DatabaseUnusable,
    RecipientInvalid,
    TvarrBackupError,
)
from tvarr_backup.locations.variables import RECIPIENT, URL, DescribedLocation, LocationVariables
from tvarr_backup.management.terminal import TerminalCommand
from tvarr_backup.operations import history, locations, reserve
from tvarr_backup.operations.app_database import require_app_database
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.schema import DatabaseState
from tvarr_backup.texts import find_hidden
from tvarr_backup.tvarr_database import APP_LABEL, create_empty
from tvarr_backup.way_out import with_way_out

logger = structlog.stdlib.get_logger(__name__)

_TVARR_DATABASE = "tvarr_backup.E002"
_BACKUP_FOLDER = "tvarr_backup.E003"
_TEMPORARY = frozenset({"tvarr_backup.E001", _TVARR_DATABASE, _BACKUP_FOLDER})
"""Checks of files and folders. They can be fixed while the program runs."""

_ADVISORY_LOCK = 0x7476_6172_72  # "tvarr"


class NotReady(CommandError):
    """A part could not be prepared, for a reason that can be fixed while the program runs. The rest was prepared."""


class Command(TerminalCommand):
    help = "Bring both databases up to date and create the first administrator."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--create", action="store_true", help="create the database that TVARR_DATABASE_DSN names, if it is missing"
        )

    def handle(self, *_args: Any, create: bool = False, **options: Any) -> None:
        """Prepare what can be prepared, then report all problems. Conflicting settings stop it before anything is created."""
        verbosity = 0 if options["verbosity"] == 1 else options["verbosity"]
        self._check_settings()
        described = {variables: variables.read() for variables in settings.LOCATIONS}
        problems: list[Exception] = []
        with _lock_storage(conf.storage_folder()):
            with _collect(problems), _lock_server(DEFAULT_DB_ALIAS):
                _save_secret_key()
                self._prepare_ours(verbosity)
                self._create_first_administrator()
            with _collect(problems), _lock_server(conf.tvarr_alias()):
                self._prepare_tvarr(verbosity, may_be_missing=create or not settings.TVARR_DATABASE_NAMED)
            with contextlib.suppress(DatabaseUnusable, Error):  # already in `problems`
                self._end_lost_operations()
                self._store_locations(described)
                if not problems:
                    history.begin()
        sentences = [*map(conf.in_a_line, problems), *self._check()]
        if sentences:
            raise NotReady("\n".join(sentences)) from (problems[0] if problems else None)

    def _check_settings(self) -> None:
        try:
            conf.require_separate_databases()
        except DatabaseForeign as problem:
            raise CommandError(str(problem)) from problem
        except DatabaseUnusable as problem:
            raise NotReady(str(problem)) from problem
        is_missing = conf.is_file(DEFAULT_DB_ALIAS) and not conf.database_path(DEFAULT_DB_ALIAS).exists()
        if settings.ADMIN_PASSWORD and is_missing:
            _require_strong_password(settings.ADMIN_PASSWORD)

    def _check(self) -> list[str]:
        """Run the system checks. Return problems with folders, log less serious findings, and raise all other errors.

        A backup folder that cannot be written to is only a warning, because it is not needed here.
        """
        found = [issue for issue in run_checks() if not issue.is_silenced()]
        serious = [issue for issue in found if issue.is_serious()]
        if any(issue.id not in _TEMPORARY for issue in serious):
            self.check()
        for issue in found:
            if issue not in serious:
                logger.log(issue.level, "check.found", id=issue.id, reason=str(issue.msg), hint=issue.hint)
        sentences = {issue.id: f"({issue.id}) {issue.msg} {issue.hint or ''}".strip() for issue in serious}
        if _BACKUP_FOLDER in sentences:
            self.message(f"warning: {sentences[_BACKUP_FOLDER]}")
        return [sentence for id_, sentence in sentences.items() if id_ not in (_TVARR_DATABASE, _BACKUP_FOLDER)]

    def _prepare_ours(self, verbosity: int) -> None:
        try:
            require_app_database()
        except DatabaseMissing:
            conf.database_path(DEFAULT_DB_ALIAS).touch(mode=0o600)  # for password hashes and sessions
        except DatabaseNotPrepared:
            pass
        self._migrate(DEFAULT_DB_ALIAS, "DATABASE_URL", verbosity)
        reserve.keep()

    def _prepare_tvarr(self, verbosity: int, *, may_be_missing: bool) -> None:
        alias = conf.tvarr_alias()
        name = conf.database_name(alias)
        try:
            state = conf.require_usable_tvarr(may_be_missing=may_be_missing)
        except DatabaseUnusable as problem:
            raise with_way_out(problem) from problem
        if state is DatabaseState.ATTACHED:
            self.line(f"Using tvarr's database: {name}")
            return
        if state in (DatabaseState.MISSING, DatabaseState.EMPTY):
            if conf.is_file(alias):
                create_empty(conf.database_path(alias))
            logger.info("database.created", path=str(name))
            self.line(f"Created a new database: {name}")
        self._migrate(alias, "TVARR_DATABASE_DSN", verbosity, APP_LABEL)

    def _migrate(self, alias: str, variable: str, verbosity: int, *labels: str) -> None:
        try:
            call_command("migrate", *labels, database=alias, interactive=False, verbosity=verbosity)
        except Error as problem:
            name = conf.database_name(alias)
            raise DatabaseUnusable(
                "{variable} names {name}, which cannot be used: {reason}",
                variable=variable,
                name=name,
                reason=conf.in_a_line(problem),
            ) from problem

    def _end_lost_operations(self) -> None:
        """End operations that a crash interrupted."""
        require_app_database()
        for operation in reconcile():
            self.line(f"{operation}. {operation.message}")

    def _store_locations(self, described: Mapping[LocationVariables, DescribedLocation]) -> None:
        """Add and update the locations of the environment, and request the tests that they need."""
        for variables, one in described.items():
            try:
                location = locations.store_described(one)
            except TvarrBackupError as problem:
                ending = RECIPIENT if isinstance(problem, RecipientInvalid) else URL
                raise CommandError(f"{variables.variable(ending)}: {problem}") from problem
            locations.request_first_test(location)

    def _create_first_administrator(self) -> None:
        users = get_user_model()
        if users.objects.filter(is_superuser=True).exists():
            self._warn_of_ignored_variables()
            return
        with transaction.atomic(using=DEFAULT_DB_ALIAS):
            name, password = settings.ADMIN_USERNAME, settings.ADMIN_PASSWORD
            if hidden := find_hidden(name):
                raise CommandError(
                    "TVARR_ADMIN_USERNAME: expected a name without control characters, text direction marks and invisible "
                    f'characters, got "{name}" (character {hidden[0].position} is {hidden[0].point}).'
                )
            if users.objects.filter(username=name).exists():
                raise CommandError(
                    f'The administrator "{name}" cannot be created, because a user of this name exists who is not an '
                    "administrator. Set TVARR_ADMIN_USERNAME to another name."
                )
            is_given = bool(password)
            if is_given:
                _require_strong_password(password)
            else:
                password = secrets.token_urlsafe(12)
                write_whole(settings.INITIAL_PASSWORD_PATH, f"{password}\n".encode())
            users.objects.create_superuser(username=name, password=password)
        logger.info("administrator.created", user=name)
        self.line(f"Administrator: {name}")
        if not is_given:
            self.line(f"One-time password: {password}  (also in {settings.INITIAL_PASSWORD_PATH})")

    def _warn_of_ignored_variables(self) -> None:
        """Report variables for the first administrator that no longer match, such as a password that was changed."""
        name, password, users = settings.ADMIN_USERNAME, settings.ADMIN_PASSWORD, get_user_model().objects
        user = users.filter(username=name).first()
        if user is None and settings.ADMIN_IS_NAMED:
            existing = users.filter(is_superuser=True).earliest("pk").get_username()
            self.message(
                "warning: TVARR_ADMIN_USERNAME and TVARR_ADMIN_PASSWORD are ignored, because an administrator exists. "
                f'"{name}" was not created. `{program.NAME} createsuperuser` creates another administrator, '
                f"`{program.NAME} changepassword {existing}` changes the password of this one."
            )
        elif user is not None and password and not check_password(password, user.password):
            self.message(
                f'warning: TVARR_ADMIN_PASSWORD is ignored, because the user "{name}" exists and has another password. '
                f"`{program.NAME} changepassword {name}` changes it."
            )


@contextlib.contextmanager
def _collect(problems: list[Exception]) -> Iterator[None]:
    """Add what keeps a database from being ready to `problems`."""
    try:
        yield
    except (DatabaseUnusable, NotReady, OSError, Error) as problem:
        problems.append(problem)


@contextlib.contextmanager
def _lock_storage(folder: Path) -> Iterator[None]:
    """Create the folder, and wait for other `prepare`s in it: migrations must not run at the same time."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = lock_file(folder / "prepare.lock", patience_seconds=math.inf)
    except OSError as problem:
        raise NotReady(f"TVARR_STORAGE_BASE_DIR names {folder}, which cannot be written to: {problem}") from problem
    try:
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _lock_server(alias: str) -> Iterator[None]:
    """Wait for `prepare`s of other machines on a server's database. A file belongs to one machine."""
    if conf.is_file(alias):
        yield
        return
    try:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [_ADVISORY_LOCK])
    except DatabaseError as problem:
        name = conf.database_name(alias)
        raise NotReady(f"{name} cannot be prepared now: {conf.in_a_line(problem)}") from problem
    try:
        yield
    finally:
        with contextlib.suppress(DatabaseError), connections[alias].cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_ADVISORY_LOCK])


def _require_strong_password(password: str) -> None:
    try:
        validate_password(password)
    except ValidationError as problem:
        raise CommandError("TVARR_ADMIN_PASSWORD is not strong enough: " + " ".join(problem.messages)) from problem


def _save_secret_key() -> None:
    """Save this process's key for later ones, unless a key is set or saved already."""
    if settings.SECRET_KEY_IS_NEW:
        with contextlib.suppress(FileExistsError):  # another `prepare` has saved its key
            write_whole(settings.SECRET_KEY_PATH, f"{settings.SECRET_KEY}\n".encode(), give_name=publish)
