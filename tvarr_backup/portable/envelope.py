"""Reading of export files. Errors name the place by line and column, or by JSON pointer."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, NamedTuple

from tvarr_backup.errors import (
    BackupNotExport,
    FileTooLarge,
    KindUnknown,
    MemberInvalid,
    NotAnExport,
    VersionUnsupported,
    WrongKind,
)
from tvarr_backup.formatting import format_count
from tvarr_backup.models import Filter, SourceType
from tvarr_backup.portable.json_events import Event, read_events
from tvarr_backup.portable.kinds import IN_ORDER_OF_IMPORT, KINDS, Identity, JsonType, Kind, Member, Slug, kind_named
from tvarr_backup.quoting import format_choices, quoted
from tvarr_backup.texts import escape_hidden
from tvarr_backup.timestamps import read_timestamp

FORMAT_VERSION = "1.0.0"
BUNDLE = "bundle"
"""The `export_type` of a file with several kinds. tvarr reads only files of one kind."""
BUNDLE_VERSION = "1.1.0"
MAX_ITEMS = 100_000
_MAX_NAMES_PER_LIST = 1_000
_MAX_TYPE_PROBLEMS = 20
_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})\.([0-9]{1,4})", re.ASCII)
_ALL_MEMBERS = {name: name for kind in KINDS.values() for name in kind.by_name}
"""Names of members, stored once, because a file repeats them in every item."""
_BACKUP_MEMBERS = frozenset({"checksum", "database_size", "table_counts"})


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a file: its position (from 1) and a value for every member of its kind, in the kind's order.

    `missing` are members without a default that the file lacks, `unknown` those that the kind lacks.
    """

    kind: Kind
    position: int
    identity: Identity
    in_order: tuple[Any, ...]
    unknown: tuple[str, ...] = ()
    missing: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return self.identity.name

    @property
    def values(self) -> dict[str, Any]:
        """The values by member, in a new dict."""
        return dict(zip(self.kind.by_name, self.in_order, strict=True))


@dataclass(frozen=True)
class Envelope:
    """The content of an export file, with sentences about the file as a whole in `warnings`."""

    kind: Kind
    version: str
    tvarr_version: str
    exported_at: str
    items: tuple[Item, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bundle:
    """The content of a file with several kinds, or with one. `parts` are in the order of `kinds.IN_ORDER_OF_IMPORT`.

    `warnings` are about the file as a whole; those of the parts are empty.
    """

    tvarr_version: str
    exported_at: str
    parts: tuple[Envelope, ...]
    warnings: tuple[str, ...] = ()

    def part(self, kind: Kind) -> Envelope | None:
        return next((part for part in self.parts if part.kind is kind), None)


@dataclass
class _Skipped:
    """A value that was not read, because it cannot be used."""

    description: str


class _Read(NamedTuple):
    """An object of the file. Items with the same members share the tuple of names."""

    members: tuple[str, ...]
    values: tuple[Any, ...]


@dataclass
class _Parts:
    metadata: Any = None
    items: deque[_Read | _Skipped] | None = None
    sections: dict[str, deque[_Read | _Skipped]] | None = None
    others: list[str] = field(default_factory=list)


def read_envelope(source: BinaryIO, kind: Kind | None) -> Envelope:
    """Read an export of `kind`, or of any kind if None, without using the database.

    Raises `FileRefused` with place, expectation and value.
    """
    events = read_events(source)
    parts = _read_parts(next(events), events)
    deque(events, maxlen=0)  # reading to the end finds errors after the object
    return _build_envelope(parts, kind)


def read_bundle(source: BinaryIO) -> Bundle:
    """Read an export of several kinds, or of one, without using the database.

    Raises `FileRefused` with place, expectation and value.
    """
    events = read_events(source)
    parts = _read_parts(next(events), events, with_sections=True)
    deque(events, maxlen=0)  # reading to the end finds errors after the object
    return _bundle_of_parts(parts)


def _bundle_of_parts(parts: _Parts) -> Bundle:
    metadata = _require_metadata(parts)
    if metadata["export_type"] == BUNDLE:
        return _build_bundle(parts, metadata)
    if parts.sections is not None:
        parts.others.append("sections")
    return bundle_of(_build_envelope(parts, None))


def bundle_of(envelope: Envelope) -> Bundle:
    """Return a bundle with one part."""
    part = replace(envelope, warnings=())
    return Bundle(envelope.tvarr_version, envelope.exported_at, (part,), envelope.warnings)


def _build_bundle(parts: _Parts, metadata: dict[str, Any]) -> Bundle:
    others = [*parts.others, *(["items"] if parts.items is not None else [])]
    warnings = [f"The unknown member {quoted(name)} of the file is ignored." for name in others]
    warnings += _check_version(metadata["version"], BUNDLE_VERSION)
    warnings += _check_metadata(metadata)
    if parts.sections is None:
        raise NotAnExport('The file has no object "sections". It may be incomplete.')
    about = (metadata["version"], metadata["tvarr_version"] or "", metadata["exported_at"] or "")
    read, problems = {}, _Problems()
    for name, section in parts.sections.items():
        if name not in KINDS:
            warnings.append(f"The unknown section {quoted(name)} is ignored.")
        else:
            kind = KINDS[Slug(name)]
            read[kind.slug] = Envelope(kind, *about, tuple(_read_items(section, kind, f"/sections/{name}", problems)))
    problems.raise_if_any()
    if not read:
        raise NotAnExport("The file has no section for {kinds}.", kinds=format_choices(KINDS))
    count = sum(len(part.items) for part in read.values())
    if metadata["item_count"] not in (None, count):
        warnings.append(_describe_count(count, metadata["item_count"]))
    in_order = tuple(read[slug] for slug in IN_ORDER_OF_IMPORT if slug in read)
    return Bundle(about[1], about[2], in_order, tuple(map(escape_hidden, warnings)))


def correct_envelope(envelope: Envelope, corrections: Mapping[int, Mapping[str, str]]) -> Envelope:
    """Return the envelope with other values of `correctable` members, by position and member."""
    if not corrections:
        return envelope
    items = [_correct(item, corrections.get(item.position, {})) for item in envelope.items]
    return replace(envelope, items=tuple(items))


def _correct(item: Item, texts: Mapping[str, str]) -> Item:
    if not texts:
        return item
    values = item.values | {name: _value(item.kind.by_name[name], text) for name, text in texts.items()}
    return replace(
        item,
        identity=Identity(values["name"], values.get("source_type", "")),
        in_order=tuple(values.values()),
        missing=item.missing - texts.keys() or _NOTHING,
    )


def read_wrapped_envelope(
    source: BinaryIO, kind: Kind, *, member: str, other_members: Collection[str]
) -> tuple[Envelope, dict[str, Any]]:
    """Read an object that has an export as `member`, in one pass and as strictly as `read_envelope`.

    Also return its other members. Only those in `other_members` have values, which are scalars or flat objects.
    """
    parts, others = _read_wrapped(source, member, other_members, with_sections=False)
    return _build_envelope(parts, kind), others


def read_wrapped_bundle(
    source: BinaryIO, *, member: str, other_members: Collection[str]
) -> tuple[Bundle, dict[str, Any]]:
    """Do what `read_wrapped_envelope` does, for an export of several kinds or of one."""
    parts, others = _read_wrapped(source, member, other_members, with_sections=True)
    return _bundle_of_parts(parts), others


def _read_wrapped(
    source: BinaryIO, member: str, other_members: Collection[str], *, with_sections: bool
) -> tuple[_Parts, dict[str, Any]]:
    events = read_events(source, max_members=MAX_ITEMS)
    first = next(events)
    if first.name != "start_map":
        sentence = 'Expected an object with an export as its member "{member}", got {found}.'
        raise NotAnExport(sentence, member=member, found=_describe_event(first))
    parts: _Parts | None = None
    others: dict[str, Any] = {}
    for event in events:
        if event.name == "end_map":
            break
        value = next(events)
        if event.value == member:
            parts = _read_parts(value, events, with_sections=with_sections)
        elif event.value in other_members and value.name == "start_map":
            others[event.value] = _read_object(value, events, known=None)
        else:
            is_scalar = not value.name.startswith("start")
            others[event.value] = value.value if event.value in other_members and is_scalar else _skip(value, events)
    deque(events, maxlen=0)  # reading to the end finds errors after the object
    if parts is None:
        hint = " This looks like the export itself. Send it as that member." if "metadata" in others else ""
        raise NotAnExport('The member "{member}" with the export is missing.{hint}', member=member, hint=hint)
    return parts, others


def _build_envelope(parts: _Parts, wanted: Kind | None) -> Envelope:
    metadata = _require_metadata(parts)
    warnings = [f"The unknown member {quoted(name)} of the file is ignored." for name in parts.others]
    warnings += _check_version(metadata["version"], FORMAT_VERSION)
    kind = _kind_of(metadata["export_type"], wanted)
    warnings += _check_metadata(metadata)
    if parts.items is None:
        raise NotAnExport('The file has no list "items". It may be incomplete.')
    problems = _Problems()
    items = tuple(_read_items(parts.items, kind, "/items", problems))
    problems.raise_if_any()
    if metadata["item_count"] not in (None, len(items)):
        warnings.append(_describe_count(len(items), metadata["item_count"]))
    return Envelope(
        kind=kind,
        version=metadata["version"],
        tvarr_version=metadata["tvarr_version"] or "",
        exported_at=metadata["exported_at"] or "",
        items=items,
        warnings=tuple(map(escape_hidden, warnings)),
    )


def _read_parts(first: Event, events: Iterator[Event], *, with_sections: bool = False) -> _Parts:
    if first.name != "start_map":
        raise NotAnExport(
            'Expected an export (an object with "metadata" and "items"), got {found}.', found=_describe_event(first)
        )
    parts = _Parts()
    for event in events:
        if event.name == "end_map":
            break
        value = next(events)
        if event.value == "metadata":
            parts.metadata = _read_object(value, events, known=None)
        elif event.value == "items" and value.name == "start_array":
            parts.items = _read_list_of_items(events)
        elif event.value == "items" and value.name == "null":
            parts.items = deque()  # clients written in Go, such as tvarr's, write null for an empty list
        elif event.value == "items":
            raise MemberInvalid(("/items", f"Expected a list, got {_describe_event(value)}."))
        elif event.value == "sections" and with_sections and value.name == "start_map":
            parts.sections = _read_sections(events)
        else:
            _skip(value, events)
            if event.value != "$schema":  # added by tvarr's web framework
                parts.others.append(event.value)
    return parts


def _read_sections(events: Iterator[Event]) -> dict[str, deque[_Read | _Skipped]]:
    """Return the items of each section. A section that is not one of a kind has none."""
    sections: dict[str, deque[_Read | _Skipped]] = {}
    for event in events:
        if event.name == "end_map":
            break
        value, name = next(events), str(event.value)
        if name in sections:
            raise MemberInvalid((f"/sections/{name}", "Expected one section of this name, got two."))
        sections[name] = deque()
        if name not in KINDS or value.name == "null":
            _skip(value, events)
        elif value.name == "start_array":
            sections[name] = _read_list_of_items(events, before=sum(map(len, sections.values())))
        else:
            raise MemberInvalid((f"/sections/{name}", f"Expected a list, got {_describe_event(value)}."))
    return sections


def _read_list_of_items(events: Iterator[Event], before: int = 0) -> deque[_Read | _Skipped]:
    items: deque[_Read | _Skipped] = deque()
    shared: dict[tuple[str, ...], tuple[str, ...]] = {}
    for event in events:
        if event.name == "end_array":
            break
        if before + len(items) == MAX_ITEMS:
            raise FileTooLarge("The file has more than {limit} items. Split it into smaller files.", limit=MAX_ITEMS)
        item = _read_object(event, events, known=_ALL_MEMBERS)
        if isinstance(item, dict):
            members = tuple(item)
            item = _Read(shared.setdefault(members, members), tuple(item.values()))
        items.append(item)
    return items


def _read_object(start: Event, events: Iterator[Event], known: Mapping[str, str] | None) -> Any:
    """Return a flat object as a dict. The values of members outside `known` are skipped, as is anything else."""
    if start.name != "start_map":
        return _skip(start, events)
    values: dict[str, Any] = {}
    for event in events:
        if event.name == "end_map":
            break
        value = next(events)
        name = event.value if known is None else known.get(event.value)
        if name is None:
            values[event.value] = _skip(value, events)
        elif value.name == "start_array":
            values[name] = _read_scalars(events)
        else:
            values[name] = _skip(value, events) if value.name == "start_map" else value.value
    return values


def _read_scalars(events: Iterator[Event]) -> Any:
    values: list[Any] = []
    for event in events:
        if event.name == "end_array":
            break
        value = _skip(event, events) if event.name.startswith("start") else event.value
        if len(values) <= _MAX_NAMES_PER_LIST:
            values.append(value)
    return values if len(values) <= _MAX_NAMES_PER_LIST else _Skipped(f"more than {_MAX_NAMES_PER_LIST} values")


def _skip(start: Event, events: Iterator[Event]) -> _Skipped:
    depth = int(start.name.startswith("start"))
    while depth:
        name = next(events).name
        depth += name.startswith("start") - name.startswith("end")
    return _Skipped(_describe_event(start))


def _describe_event(event: Event) -> str:
    types = {"start_map": "an object", "start_array": "a list", "null": "null", "boolean": "true or false"}
    return types.get(event.name) or ("a number" if event.name == "number" else "text")


def _require_metadata(parts: _Parts) -> dict[str, Any]:
    if parts.metadata is None or isinstance(parts.metadata, _Skipped):
        if _BACKUP_MEMBERS.intersection(parts.others):
            raise BackupNotExport(
                "This is the metadata file of a backup. Expected an export. Backups are restored, not imported."
            )
        raise NotAnExport('The file is JSON but not an export: it has no object "metadata".')
    metadata = dict(parts.metadata)
    for name in ("version", "export_type"):
        if not isinstance(metadata.get(name), str):
            sentence = 'The file is not an export. Expected text as "{member}" in the metadata, got {found}.'
            raise NotAnExport(sentence, member=name, found=_describe_value(metadata.get(name)))
    for name in ("tvarr_version", "exported_at"):
        if not isinstance(metadata.setdefault(name, None), str | None):
            raise MemberInvalid((f"/metadata/{name}", f"Expected text, got {_describe_value(metadata[name])}."))
    count = metadata.setdefault("item_count", None)
    if count is not None and not _is_integer(count):
        raise MemberInvalid(("/metadata/item_count", f"Expected a whole number, got {_describe_value(count)}."))
    return metadata


def _check_metadata(metadata: dict[str, Any]) -> Iterator[str]:
    if missing := [name for name in ("exported_at", "item_count") if metadata[name] is None]:
        yield f"The metadata has no {' and no '.join(missing)}."
    if metadata["exported_at"] and read_timestamp(metadata["exported_at"]) is None:
        found = quoted(metadata["exported_at"])
        yield f'Expected a date and time as "exported_at" in the metadata, got {found}.'
    known = {"version", "tvarr_version", "export_type", "exported_at", "item_count"}
    for name in metadata.keys() - known:
        yield f"The unknown member {quoted(name)} of the metadata is ignored."


def _describe_count(found: int, claimed: int) -> str:
    return f"The file has {format_count(found, 'item')}, but its metadata says {claimed}."


def _check_version(version: str, newest: str) -> Iterator[str]:
    match = _VERSION.fullmatch(version)
    if not match:
        raise VersionUnsupported(
            'Expected "{own}" as "version" in the metadata, got {version}.', own=newest, version=quoted(version)
        )
    own = [int(part) for part in newest.split(".")]
    major, minor, _patch = (int(part) for part in match.groups())
    if major > own[0]:
        sentence = "The file has the newer format {version}. This version reads {own}. Update tvarr-backup first."
        raise VersionUnsupported(sentence, version=version, own=newest)
    if major < own[0]:
        raise VersionUnsupported("Expected format {own}, got {version}.", own=newest, version=version)
    if minor > own[1]:
        yield f"The file has the newer format {version}. Members that this version does not know are ignored."


def _kind_of(export_type: str, wanted: Kind | None) -> Kind:
    """Return the kind of the file. Raise `WrongKind` if another one is wanted."""
    if wanted is not None and export_type == wanted.slug:
        return wanted
    try:
        kind = kind_named(export_type)
    except KindUnknown:
        expected = format_choices([wanted.slug] if wanted else KINDS)
        sentence = 'Expected {expected} as "export_type" in the metadata, got {kind}.'
        raise WrongKind(sentence, expected=expected, kind=quoted(export_type)) from None
    if wanted is not None:
        raise WrongKind("Expected an export of {expected}, got {found}.", expected=wanted.label, found=kind.label)
    return kind


class _Problems:
    """Members of the wrong type, by their JSON pointers."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def raise_if_any(self) -> None:
        if self.found:
            named = self.found[:_MAX_TYPE_PROBLEMS]
            raise MemberInvalid(*named, more=len(self.found) - len(named))


def _read_items(read: deque[_Read | _Skipped], kind: Kind, place: str, problems: _Problems) -> Iterator[Item]:
    """Yield the items, until one has a problem."""
    for index in range(len(read)):
        one = read.popleft()  # frees the memory of what becomes an item
        if isinstance(one, _Skipped):
            problems.found.append((f"{place}/{index}", f"Expected an object, got {_describe_value(one)}."))
            continue
        raw = dict(zip(one.members, one.values, strict=True))
        problems.found += _type_problems(f"{place}/{index}", raw, kind)
        if not problems.found:
            yield _item(index + 1, raw, kind)


def _type_problems(place: str, raw: dict[str, Any], kind: Kind) -> Iterator[tuple[str, str]]:
    for name, value in raw.items():
        member = kind.by_name.get(name)
        if member is not None and value is not None and not _fits(member, value):
            yield f"{place}/{name}", f"Expected {member.type}, got {_describe_value(value)}."


def _fits(member: Member, value: Any) -> bool:
    match member.type:
        case JsonType.TEXT:
            return isinstance(value, str)
        case JsonType.FLAG:
            return isinstance(value, bool)
        case JsonType.INTEGER:
            return _is_integer(value)
        case JsonType.TEXTS:
            return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _item(position: int, raw: dict[str, Any], kind: Kind) -> Item:
    values = {member.name: _value(member, raw.get(member.name)) for member in kind.members}
    unknown = raw.keys() - kind.by_name.keys() - kind.ignored_members
    missing = frozenset(name for name in kind.required if raw.get(name) is None)
    return Item(
        kind=kind,
        position=position,
        identity=Identity(values["name"], values.get("source_type", "")),
        in_order=tuple(values.values()),
        unknown=tuple(sorted(unknown)),
        missing=missing or _NOTHING,
    )


_NOTHING: frozenset[str] = frozenset()
_SHARED = {word: word for word in (*SourceType.values, *Filter.Action.values)}
"""Values that most items repeat, stored once."""


def _value(member: Member, given: Any) -> Any:
    if given is None or given in ("", member.default):
        return list(member.default) if member.type is JsonType.TEXTS else member.default
    return _SHARED.get(given, given) if isinstance(given, str) else given


def _describe_value(value: Any) -> str:
    if isinstance(value, _Skipped):
        return value.description
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "a list"
    return quoted(value) if isinstance(value, str) else "nothing" if value is None else str(value)[:80]
