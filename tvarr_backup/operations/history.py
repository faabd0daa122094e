"""The history of the configuration: every version of each item that users have created, and what changed it.

Imports and edits through this program are recorded immediately, with the user. The worker compares the configuration with the last
version twice a minute, and records what tvarr or other programs have changed. The comparison reads all rows, because tvarr writes its
database all the time: 1,000 items take a few milliseconds.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, transaction
from django.db.models import Count, F, Max, Q, Sum, Window
from django.db.models.functions import Length, RowNumber

from tvarr_backup import conf
from tvarr_backup.backups.durable import write_whole
from tvarr_backup.errors import DatabaseUnusable, StateUnavailable
from tvarr_backup.formatting import format_time
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.models import (
    OPEN_STATES,
    HistoryEvent,
    HistoryEventKind,
    HistoryProgress,
    ItemContent,
    ItemVersion,
    Operation,
    OperationKind,
)
from tvarr_backup.portable.kinds import IN_ORDER_OF_IMPORT, KINDS, Slug
from tvarr_backup.portable.states import (
    ChangeType,
    ItemChange,
    State,
    StateItem,
    canonical,
    hash_tables,
    read_live_tables,
    state_of_tables,
)
from tvarr_backup.repeats import Repeats
from tvarr_backup.tvarr_database import fingerprint_files

logger = structlog.stdlib.get_logger(__name__)
_repeats = Repeats()

COMPARE_SECONDS = 30
_SHARED_BY_WORKERS = timedelta(seconds=COMPARE_SECONDS - 5)
"""Another worker that has compared so recently need not be followed by this one."""
_ATTEMPTS = 5
_BATCH = 500
_ROW_BYTES = 200
"""What a version takes besides its content, roughly."""


@dataclass(frozen=True)
class Cause:
    """What changed the configuration: the kind of event, the user and entrance ("" if outside), and the import or backup."""

    kind: HistoryEventKind
    origin: str = ""
    user: Any = None
    subject: str = ""


OUTSIDE = Cause(HistoryEventKind.EDIT)
GAP = "gap"
"""The subject of a baseline with earlier events, because this program's own database is an older copy."""
Rows = Mapping[Slug, Collection[str]]
"""The ids of rows by kind."""


# --- Recording --------------------------------------------------------------------------------------------------------


def is_kept() -> bool:
    """Return whether there is a history."""
    return bool(settings.HISTORY_DAYS) and conf.has_our_tables()


def begin() -> None:
    """Record the baseline if there is none, or if this program's own database is an older copy. Failures are logged."""
    if not is_kept():
        return
    _notice_older_app_database()
    if complete_since() is None:
        record_outside()


def compare_now() -> None:
    """Record what was changed outside since the last comparison.

    Does nothing if no file of the database has changed, or if another worker has just compared. During a restore it waits for the end,
    which is recorded as one event.
    """
    files = _files_of_database()
    if (files and files == compared.files) or not is_kept() or _is_restoring():
        return
    _notice_older_app_database()
    if not _claim_comparison():
        return
    try:
        _compare()
    except DatabaseUnusable:
        return  # reported by health
    except Error as problem:
        _log_unrecorded(OUTSIDE, problem)
        return
    compared.files = files
    _remember_revision()


def _compare() -> None:
    digest = hash_tables(read_live_tables())
    if _progress().digest != digest:
        record_changes(OUTSIDE)
        HistoryProgress.objects.filter(pk=1).update(digest=digest)
        delete_old_versions()


class Compared:
    """The files of the database when this process compared them last, or ()."""

    files: tuple[object, ...] = ()


compared = Compared()


def _files_of_database() -> tuple[object, ...]:
    """Return what changes whenever the database is written, or () if that is unknown."""
    alias = conf.tvarr_alias()
    return fingerprint_files(conf.database_path(alias)) if conf.is_file(alias) else ()


def _revision_path() -> Path:
    return conf.storage_folder() / "history.json"


def _remember_revision() -> None:
    """Keep the revision outside the database, so that a database restored from an older copy is noticed."""
    revision = _progress().revision
    if _remembered_revision() != revision:
        write_whole(_revision_path(), json.dumps({"revision": revision}).encode())


def _remembered_revision() -> int:
    try:
        return int(json.loads(_revision_path().read_bytes())["revision"])
    except (OSError, ValueError, TypeError, KeyError):
        return 0


def _notice_older_app_database() -> None:
    """Begin a new baseline if this program's own database is older than the last recorded event."""
    progress, remembered = _progress(), _remembered_revision()
    if progress.revision < remembered:
        logger.warning("history.older", revision=progress.revision, remembered=remembered)
        values = {"complete_since": None, "digest": "", "compared_at": None, "revision": remembered}
        HistoryProgress.objects.filter(pk=1).update(**values)


def record_edit(actor: Actor, rows: Rows) -> None:
    """Record an edit of these rows, once it is committed. A failure is logged, and the next comparison records it as made outside."""
    _record_safely(Cause(HistoryEventKind.EDIT, actor.origin, actor.requested_by), rows)


def record_import(kind: HistoryEventKind, key: str, rows: Rows, *, user: Any, origin: str) -> None:
    """Record an applied import or its undo (by its id), like an edit."""
    _record_safely(Cause(kind, origin, user, key), rows)


def record_restore(filename: str, *, user: Any, origin: str) -> HistoryEvent | None:
    """Record all differences that a restore has made as one event. Failures are logged."""
    return _record_safely(Cause(HistoryEventKind.RESTORE, origin, user, filename))


def record_outside() -> None:
    """Record what was changed outside until now, so that it does not count as changed by what follows. Failures are logged."""
    try:
        if is_kept():
            _compare()
    except (Error, DatabaseUnusable) as problem:
        _log_unrecorded(OUTSIDE, problem)


def _record_safely(cause: Cause, rows: Rows | None = None) -> HistoryEvent | None:
    try:
        return record_changes(cause, rows) if is_kept() else None
    except (Error, DatabaseUnusable) as problem:
        _log_unrecorded(cause, problem)
        return None


def _log_unrecorded(cause: Cause, problem: Exception) -> None:
    """Log that changes are not recorded yet. The worker tries again twice a minute, so a reason is not repeated each time."""
    reason = conf.in_a_line(problem)
    if _repeats.is_due(reason):
        logger.warning("history.unrecorded", kind=str(cause.kind), reason=reason)


def record_changes(cause: Cause, rows: Rows | None = None) -> HistoryEvent | None:
    """Compare the configuration, or only these rows, with the last versions, and record what has changed, if anything.

    The first comparison of everything is the baseline. Nothing is locked while rows are read: if another process has recorded an event in
    the meantime, they are read again. Raises `django.db.Error`.
    """
    for _ in range(_ATTEMPTS):
        progress = _progress()
        is_baseline = progress.complete_since is None
        if is_baseline and rows is not None:
            return None  # without a baseline, nothing is known of the other rows
        selected = _with_referring(rows)
        state = state_of_tables(read_live_tables() if selected is None else read_live_tables(_with_profiles(selected)))
        with transaction.atomic(using=DEFAULT_DB_ALIAS):
            current = HistoryProgress.objects.filter(pk=1, revision=progress.revision)
            if current.update(revision=progress.revision + 1):
                return _store(_baseline() if is_baseline else cause, state, selected)
    raise Error("Other processes have recorded changes at the same time, again and again.")


def _baseline() -> Cause:
    """Return the cause of a baseline. A later one has a subject, because a part of the history is missing before it."""
    has_earlier = HistoryEvent.objects.exists()
    return Cause(HistoryEventKind.BASELINE, subject=GAP if has_earlier else "")


def _with_referring(rows: Rows | None) -> Rows | None:
    """Return the rows with those that may name one of them. A rule changes when its profile is renamed."""
    if rows is None or Slug.ENCODING_PROFILES not in rows:
        return rows
    rules = ItemVersion.objects.filter(kind=Slug.CLIENT_DETECTION_RULES, ended_at=None).values_list("row_id", flat=True)
    return {**rows, Slug.CLIENT_DETECTION_RULES: {*rows.get(Slug.CLIENT_DETECTION_RULES, ()), *rules}}


def _with_profiles(rows: Rows) -> dict[Slug, Collection[str] | None]:
    """Return the rows to read. Rules need the names of all profiles."""
    return {**rows, Slug.ENCODING_PROFILES: None} if Slug.CLIENT_DETECTION_RULES in rows else dict(rows)


def _store(cause: Cause, state: State, rows: Rows | None) -> HistoryEvent | None:
    known = {(version.kind, version.row_id): version for version in _current_versions(state, rows)}
    found = {
        (str(item.kind.slug), item.row_id): item
        for item in state
        if rows is None or item.row_id in rows.get(item.kind.slug, ())
    }
    texts = {key: canonical(item) for key, item in found.items()}
    digests = {
        key: hashlib.sha256(f"{key[0]}\n{text}".encode(errors="surrogatepass")).hexdigest()
        for key, text in texts.items()
    }
    changed = [key for key in found if key not in known or known[key].content_id != digests[key]]
    gone = [key for key, version in known.items() if key not in found and version.content_id is not None]
    is_baseline = cause.kind == HistoryEventKind.BASELINE
    if not changed and not gone and not is_baseline:
        return None
    event = HistoryEvent.objects.create(
        at=_next_moment(), kind=cause.kind, origin=cause.origin, requested_by=cause.user, subject=cause.subject
    )
    ended = [known[key].pk for key in (*changed, *gone) if key in known]
    for start in range(0, len(ended), _BATCH):
        ItemVersion.objects.filter(pk__in=ended[start : start + _BATCH]).update(ended_at=event.at)
    contents = {digests[key]: texts[key] for key in changed}
    ItemContent.objects.bulk_create(
        [ItemContent(digest=digest, text=text) for digest, text in contents.items()],
        ignore_conflicts=True,
        batch_size=_BATCH,
    )
    lived = {key for key, version in known.items() if version.content_id is not None}
    versions = [
        _version(
            event, key, found[key].identity, ChangeType.CHANGED if key in lived else ChangeType.ADDED, digests[key]
        )
        for key in changed
    ]
    versions += [_version(event, key, (known[key].name, known[key].source_type), ChangeType.REMOVED) for key in gone]
    ItemVersion.objects.bulk_create(versions, batch_size=_BATCH)
    if is_baseline:
        HistoryProgress.objects.filter(pk=1).update(complete_since=event.at)
    logger.info("history.recorded", kind=str(cause.kind), changed=len(changed), removed=len(gone))
    return event


def _current_versions(state: State, rows: Rows | None) -> Iterable[Any]:
    """Yield the last versions of the rows to compare, also of deleted ones, in the kinds that could be read."""
    for slug in state.items:
        # Tuples are read several times faster than models.
        current = ItemVersion.objects.filter(kind=slug, ended_at=None).values_list(
            "pk", "kind", "row_id", "content_id", "name", "source_type", named=True
        )
        if rows is None:
            yield from current
            continue
        ids = list(rows.get(slug, ()))
        for start in range(0, len(ids), _BATCH):
            yield from current.filter(row_id__in=ids[start : start + _BATCH])


def _version(
    event: HistoryEvent, key: tuple[str, str], identity: Iterable[str], change: ChangeType, digest: str | None = None
) -> ItemVersion:
    name, source_type = (text.replace("\0", "\ufffd") for text in identity)  # PostgreSQL stores no NUL
    kind, row_id = key
    return ItemVersion(
        event=event, kind=kind, row_id=row_id, name=name, source_type=source_type, change=change, content_id=digest
    )


def _next_moment() -> datetime:
    last = HistoryEvent.objects.aggregate(last=Max("at"))["last"]
    now = datetime.now(UTC)
    return now if last is None or now > last else last + timedelta(microseconds=1)


def _progress() -> HistoryProgress:
    return HistoryProgress.objects.get_or_create(pk=1)[0]


def _claim_comparison() -> bool:
    """Return whether it is this worker's turn. A time in the future is that of a clock that was wrong."""
    now = datetime.now(UTC)
    _progress()
    is_due = Q(compared_at=None) | Q(compared_at__lt=now - _SHARED_BY_WORKERS) | Q(compared_at__gt=now)
    return bool(HistoryProgress.objects.filter(is_due, pk=1).update(compared_at=now))


def _is_restoring() -> bool:
    return Operation.objects.filter(
        kind=OperationKind.RESTORE, state__in=OPEN_STATES, database=conf.protected_database()
    ).exists()


# --- Reading ----------------------------------------------------------------------------------------------------------


def state_at(moment: datetime) -> State:
    """Return the configuration at a time. Raises `StateUnavailable`."""
    since = complete_since()
    if since is None:
        raise StateUnavailable("There is no history yet. A running worker starts it.")
    if moment < since:
        raise StateUnavailable(
            "The history begins on {since}, so the state of {moment} is unknown. Choose a later time, or a backup.",
            since=format_time(since),
            moment=format_time(moment),
        )
    valid = Q(ended_at=None) | Q(ended_at__gt=moment)
    versions = ItemVersion.objects.filter(valid, event__at__lte=moment, content__isnull=False)
    items: dict[Slug, list[StateItem]] = {slug: [] for slug in IN_ORDER_OF_IMPORT}
    for version in versions.select_related("content").order_by("row_id"):
        if version.kind in KINDS:
            items[Slug(version.kind)].append(item_of(version))
    return State({slug: tuple(found) for slug, found in items.items()})


def complete_since() -> datetime | None:
    """Return the earliest time whose state is known, or None if there is no history."""
    return HistoryProgress.objects.filter(pk=1).values_list("complete_since", flat=True).first()


def item_of(version: ItemVersion) -> StateItem:
    """Return the item of a version that has a content. A member that the version lacks has its default."""
    assert version.content is not None
    kind, stored = KINDS[Slug(version.kind)], json.loads(version.content.text)
    values = (stored.get(member.name, _default(member.default)) for member in kind.members)
    return StateItem(kind, tuple(values), version.row_id)


def _default(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def changes_of(events: Iterable[HistoryEvent]) -> dict[int, list[ItemChange]]:
    """Return what each event changed, by its key, sorted by kind and name. Makes two queries.

    These are changes of rows: an item that was renamed has changed its name. `split_renamed` has changes of names.
    """
    listed = list(events)
    moments = {event.at: event.pk for event in listed}
    after = ItemVersion.objects.filter(event__in=listed).select_related("content", "event")
    before = ItemVersion.objects.filter(ended_at__in=moments).select_related("content")
    ended = {
        (moments[version.ended_at], version.kind, version.row_id): version for version in before if version.ended_at
    }
    changes: dict[int, list[ItemChange]] = {event.pk: [] for event in listed}
    for version in after:
        if version.kind not in KINDS:
            continue
        previous = ended.get((version.event_id, version.kind, version.row_id))
        old = item_of(previous) if previous and previous.content_id else None
        new = item_of(version) if version.content_id else None
        if old or new:
            changes[version.event_id].append(ItemChange(old, new))
    order = {slug: number for number, slug in enumerate(KINDS)}
    for found in changes.values():
        found.sort(key=lambda change: (order[change.item.kind.slug], change.item.identity))
    return changes


def split_renamed(changes: Iterable[ItemChange]) -> Iterator[ItemChange]:
    """Yield the changes as a comparison has them: the former name of a renamed item was removed, and the new one added."""
    for change in changes:
        if change.before and change.after and change.before.identity != change.after.identity:
            yield ItemChange(change.before, None)
            yield ItemChange(None, change.after)
        else:
            yield change


@dataclass(frozen=True)
class KindCount:
    """How many items of a kind an event changed in one way, and the names of the first ones."""

    kind: Slug
    change: ChangeType
    count: int
    names: tuple[str, ...]


def count_changes(events: Iterable[HistoryEvent], most_named: int) -> dict[int, list[KindCount]]:
    """Return what each event changed, by its key, without the values. Makes two queries for any number of items."""
    versions = ItemVersion.objects.filter(event__in=list(events), kind__in=list(KINDS))
    group = ("event_id", "kind", "change")
    ranked = versions.annotate(
        rank=Window(RowNumber(), partition_by=[F(column) for column in group], order_by=["name", "pk"])
    )
    names: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for *key, name in ranked.filter(rank__lte=most_named).order_by("rank").values_list(*group, "name"):
        names[tuple(key)].append(name)
    counts: dict[int, list[KindCount]] = defaultdict(list)
    for event_id, kind, change, number in versions.order_by().values_list(*group).annotate(Count("pk")):
        some = tuple(names[event_id, kind, change])
        counts[event_id].append(KindCount(Slug(kind), ChangeType(change), number, some))
    return dict(counts)


def used_bytes() -> int:
    """Return roughly how much space the history takes."""
    text = ItemContent.objects.aggregate(size=Sum(Length("text")))["size"] or 0
    return int(text) + _ROW_BYTES * ItemVersion.objects.count()


# --- Retention --------------------------------------------------------------------------------------------------------


def delete_old_versions() -> None:
    """Delete versions that ended too long ago, and then the oldest ones until the history is small enough."""
    horizon = datetime.now(UTC) - timedelta(days=settings.HISTORY_DAYS)
    _delete_versions(ItemVersion.objects.filter(ended_at__lt=horizon))
    while used_bytes() > settings.HISTORY_BYTES:
        oldest = ItemVersion.objects.filter(ended_at__isnull=False).order_by("ended_at").values_list("pk", flat=True)
        keys = list(oldest[:_BATCH])
        if not keys:
            return  # what is left is the current configuration
        _delete_versions(ItemVersion.objects.filter(pk__in=keys))


def _delete_versions(versions: Any) -> None:
    """Delete ended versions, then events and contents that no version has any more."""
    with transaction.atomic(using=DEFAULT_DB_ALIAS):
        last = versions.aggregate(last=Max("ended_at"))["last"]
        if last is None:
            return
        versions.delete()
        # A deletion that is older than all states which can be shown has nothing left to say.
        ItemVersion.objects.filter(content=None, ended_at=None, event__at__lte=last).delete()
        HistoryEvent.objects.filter(versions=None).exclude(kind=HistoryEventKind.BASELINE).delete()
        ItemContent.objects.filter(versions=None).delete()
        HistoryProgress.objects.filter(pk=1).filter(Q(complete_since=None) | Q(complete_since__lt=last)).update(
            complete_since=last
        )
