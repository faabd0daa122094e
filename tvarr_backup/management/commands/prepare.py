"""`prepare`: bring both databases up to date and make the first administrator; can be run at any time."""

import contextlib
import math
import os
import secrets
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import validate_password
from django.core.checks import run_checks
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, DatabaseError, Error, connections, transaction

from tvarr_backup import conf
from tvarr_backup.backups.durable import publish, write_whole
from tvarr_backup.backups.lock import lock_file
from tvarr_backup.errors import DatabaseForeign, DatabaseMissing, DatabaseNotPrepared, DatabaseUnusable
from tvarr_backup.management.terminal import TerminalCommand
from tvarr_backup.operations import reserve
from tvarr_backup.operations.app_database import require_app_database
from tvarr_backup.operations.reconcile import reconcile
from tvarr_backup.schema import DatabaseState
from tvarr_backup.texts import find_hidden
from tvarr_backup.tvarr_database import APP_LABEL, create_empty
from tvarr_backup.way_out import with_way_out

logger = structlog.stdlib.get_logger(__name__)

_REPORTED = "tvarr_backup.E002"
_BACKUP_FOLDER = "tvarr_backup.E003"
_PASSING = frozenset({"tvarr_backup.E001", _REPORTED, _BACKUP_FOLDER})
"""Checks of files and folders, which may become right while the program runs."""

_LOCK = 0x7476_6172_72  # of a server's advisory locks, the one that we take to prepare: "tvarr"


class NotReady(CommandError):
    """Not all could be prepared, for a reason that may pass or be fixed while the program runs. The rest was prepared."""


class Command(TerminalCommand):
    """Idempotent, for people, images and scripts alike."""

    help = "Bring both databases up to date and make the first administrator. Can be run at any time."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--create", action="store_true", help="create the database that TVARR_DATABASE_DSN names if it is missing"
        )

    def handle(self, *_args: Any, create: bool = False, **options: Any) -> None:
        """Prepare what can be prepared, this program's own database first, then report what is wrong.

        Settings that contradict each other stop it before anything is created. A file that is not ours is never touched.
        """
        verbosity = 0 if options["verbosity"] == 1 else options["verbosity"]
        self._check_settings()
        problems: list[Exception] = []
        with _alone_in(conf.storage_folder()):
            with _collecting(problems), _alone_on(DEFAULT_DB_ALIAS):
                _keep_secret_key()
                self._prepare_ours(verbosity)
                self._make_first_administrator()
            with _collecting(problems), _alone_on(conf.tvarr_alias()):
                self._prepare_tvarr(verbosity, may_be_missing=create or not settings.TVARR_DATABASE_NAMED)
            with contextlib.suppress(DatabaseUnusable, Error):  # which was reported above
                self._settle()
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
            _require_good_password(settings.ADMIN_PASSWORD)

    def _check(self) -> list[str]:
        """What is wrong with folders; other errors end it in Django's words. What should only be known is for the log.

        Nothing here needs a backup folder that can be written to: health says what is wrong with it, and so does stderr.
        """
        found = [issue for issue in run_checks() if not issue.is_silenced()]
        serious = [issue for issue in found if issue.is_serious()]
        if any(issue.id not in _PASSING for issue in serious):
            self.check()
        for issue in found:
            if issue not in serious:
                logger.log(issue.level, "check.found", id=issue.id, reason=str(issue.msg), hint=issue.hint)
        sentences = {issue.id: f"({issue.id}) {issue.msg} {issue.hint or ''}".strip() for issue in serious}
        if _BACKUP_FOLDER in sentences:
            self.message(f"warning: {sentences[_BACKUP_FOLDER]}")
        return [sentence for id_, sentence in sentences.items() if id_ not in (_REPORTED, _BACKUP_FOLDER)]

    def _prepare_ours(self, verbosity: int) -> None:
        try:
            require_app_database()
        except DatabaseMissing:
            conf.database_path(DEFAULT_DB_ALIAS).touch(mode=0o600)  # it will hold password hashes and sessions
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
            self.line(f"tvarr's own database is attached: {name}")
            return
        if state in (DatabaseState.MISSING, DatabaseState.EMPTY):
            if conf.is_file(alias):
                create_empty(conf.database_path(alias))
            logger.info("database.created", path=name)
            self.line(f"Created a database of our own: {name}")
        self._migrate(alias, "TVARR_DATABASE_DSN", verbosity, APP_LABEL)

    def _migrate(self, alias: str, variable: str, verbosity: int, *labels: str) -> None:
        try:
            call_command("migrate", *labels, database=alias, interactive=False, verbosity=verbosity)
        except Error as problem:
            name = conf.database_name(alias)
            raise DatabaseUnusable(
                "{variable} is {name!r}, and cannot be used: {reason}",
                variable=variable,
                name=name,
                reason=conf.in_a_line(problem),
            ) from problem

    def _settle(self) -> None:
        """End what a crash has cut off."""
        require_app_database()
        for operation in reconcile():
            self.line(f"{operation}. {operation.message}")

    def _make_first_administrator(self) -> None:
        users = get_user_model()
        if users.objects.filter(is_superuser=True).exists():
            return
        with transaction.atomic(using=DEFAULT_DB_ALIAS):
            name, password = settings.ADMIN_USERNAME, settings.ADMIN_PASSWORD
            if hidden := find_hidden(name):
                raise CommandError(
                    f"TVARR_ADMIN_USERNAME is “{name}”. Character {hidden[0].position} is {hidden[0].point}. Expected a name "
                    "without control characters, text direction marks and invisible characters."
                )
            if users.objects.filter(username=name).exists():
                raise CommandError(
                    f"There is no administrator, and “{name}” is somebody else; name another with TVARR_ADMIN_USERNAME."
                )
            chosen = bool(password)
            if chosen:
                _require_good_password(password)
            else:
                password = secrets.token_urlsafe(12)
                write_whole(settings.INITIAL_PASSWORD_PATH, f"{password}\n".encode())
            users.objects.create_superuser(username=name, password=password)
        logger.info("administrator.created", user=name)
        self.line(f"Administrator: {name}")
        if not chosen:
            self.line(f"One-time password: {password}  (also in {settings.INITIAL_PASSWORD_PATH})")


@contextlib.contextmanager
def _collecting(problems: list[Exception]) -> Iterator[None]:
    """Note what keeps a database from being ready, and go on with the next."""
    try:
        yield
    except (DatabaseUnusable, NotReady, OSError, Error) as problem:
        problems.append(problem)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Make the folder, and wait until no other `prepare` works in it: Django's migrations do not heed each other."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = lock_file(folder / "prepare.lock", patience_seconds=math.inf)
    except OSError as problem:
        raise NotReady(f"TVARR_STORAGE_BASE_DIR is {str(folder)!r}, and cannot be written: {problem}") from problem
    try:
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _alone_on(alias: str) -> Iterator[None]:
    """Wait until no `prepare` of another machine works on a server's database; a file is for one machine."""
    if conf.is_file(alias):
        yield
        return
    try:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
    except DatabaseError as problem:
        name = conf.database_name(alias)
        raise NotReady(f"{name} cannot be prepared now: {conf.in_a_line(problem)}") from problem
    try:
        yield
    finally:
        with contextlib.suppress(DatabaseError), connections[alias].cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def _require_good_password(password: str) -> None:
    try:
        validate_password(password)
    except ValidationError as problem:
        raise CommandError("TVARR_ADMIN_PASSWORD is not strong enough: " + " ".join(problem.messages)) from problem


def _keep_secret_key() -> None:
    """Write the key of this process where the next ones will find it, unless one was given or is kept already."""
    if settings.SECRET_KEY_IS_NEW:
        with contextlib.suppress(FileExistsError):  # another `prepare` was quicker; its key is the one that stays
            write_whole(settings.SECRET_KEY_PATH, f"{settings.SECRET_KEY}\n".encode(), give_name=publish)
