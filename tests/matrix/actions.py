"""The columns of the matrix: each action as a user takes it, and its real outcome.

Commands run inside the process of the cell, and so do pages and API through Django's client. Data is compared in copies
of the files.
"""

from __future__ import annotations

import contextlib
import hashlib
import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.matrix.apart import ignoring_modes
from tests.matrix.entrances import Done, Entrance, command, entrance
from tests.matrix.outcomes import Code, Outcome
from tests.matrix.starting import running_up, start_up_without_waiting, status_of
from tests.matrix.world import (
    KINDS,
    Contents,
    World,
    contents,
    packed_contents,
    reading,
    sidecar_of,
    sidecars,
)
from tvarr_backup import program

Act = Callable[[World], Outcome]
ACTIONS: dict[str, Act] = {}
_NOT_THE_STATE = {"worker"}
"""Health checks that do not depend on a state."""
_NEVER = (Code.UNEXPLAINED, Code.HIDDEN)
_COMMAND = re.compile(rf"`{re.escape(program.NAME)} (backup [^`]*)`")
_GOES_BACK_OR_ADDS = {"restore", "undo-restore", "adopt"}
_OPTION = re.compile(r"--(?:offline|accept-[a-z-]+)")


@dataclass(frozen=True)
class Before:
    """The state before an action."""

    live: Contents
    live_bytes: str
    files: dict[str, str]
    operations: int | None


def action(name: str, *, changes_nothing: bool = False) -> Callable[[Act], Act]:
    """Register an action under the name of its column. One that only reads must leave every byte unchanged."""

    def register(act: Act) -> Act:
        def run(world: World) -> Outcome:
            before = observe(world)
            outcome = act(world)
            if changes_nothing or outcome.code is Code.REFUSED:
                return unchanged(world, before) or outcome
            return outcome

        ACTIONS[name] = run
        return run

    return register


# --- Before and after ------------------------------------------------------------------------------------------------


def observe(world: World) -> Before:
    """Read everything, ignoring file modes."""
    with ignoring_modes():
        live_bytes = _checksum(world.live) if world.live.is_file() else ""
        return Before(contents(world.live), live_bytes, _files(world.folder), _count_operations(world))


def _files(folder: Path) -> dict[str, str]:
    if not folder.is_dir():
        return {}
    found = (path for path in folder.iterdir() if path.is_file() and not path.is_symlink())
    return {path.name: _checksum(path) for path in found if path.name[0] != "."}


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.stat().st_size < 10**8 else "large"


def _count_operations(world: World) -> int | None:
    with contextlib.suppress(Exception), reading(world.app) as connection:
        return int(connection.execute("SELECT count(*) FROM operations_operation").fetchone()[0])
    return None


def unchanged(world: World, before: Before) -> Outcome | None:
    """Return a wrong outcome if something has changed, or else None."""
    after = observe(world)
    if after.live != before.live:
        return Outcome(Code.WRONG, detail="tvarr's database has changed")
    if after.files != before.files:
        names = sorted(name for name, _ in set(before.files.items()) ^ set(after.files.items()))
        return Outcome(Code.WRONG, detail=f"backups have changed: {names[:3]}")
    return None


# --- Judging ---------------------------------------------------------------------------------------------------------


def refused(done: Done) -> Outcome:
    """Return the outcome of a command that failed."""
    if done.error is None:
        return Outcome(Code.UNEXPLAINED, detail=done.problem or f"exit {done.exit}: {done.stdout[-200:]}")
    return Outcome(Code.REFUSED, done.error.code, done.problem)


def wrong(detail: str) -> Outcome:
    return Outcome(Code.WRONG, detail=detail)


def recorded(world: World, before: Before, done: Done, *, says: bool = False) -> Outcome:
    """Return the outcome of a command that did its work: whether it is recorded, and mentions what is unusual."""
    operations = observe(world).operations
    if before.operations is None or operations is None or operations <= before.operations:
        if not done.stderr.strip():
            return Outcome(Code.HIDDEN, detail="not recorded, and the command does not say so")
        return Outcome(Code.UNRECORDED, detail=done.stderr.strip())
    return Outcome(Code.SAYS if says or done.stderr.strip() else Code.WORKS, detail=done.stderr.strip())


def _body(answer: Any) -> bytes:
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


def _of_answer(answer: Any) -> Outcome:
    """Return the outcome of an API call that was refused."""
    try:
        problem = json.loads(_body(answer))
    except ValueError:
        return Outcome(Code.UNEXPLAINED, detail=f"{answer.status_code} {_body(answer)[:200]!r}")
    return Outcome(Code.REFUSED, str(problem.get("code")), f"{answer.status_code} {problem.get('detail', '')}")


def _of_kinds(outcomes: dict[str, Outcome]) -> Outcome:
    """Return one outcome for all kinds, or `OTHERS` if only filters are refused, for lack of a column."""
    codes = {outcome.code for outcome in outcomes.values()}
    detail = "; ".join(f"{kind}: {outcome}" for kind, outcome in outcomes.items())
    first = next(iter(outcomes.values()))
    if len(codes) == 1:
        return Outcome(first.code, first.error, detail)
    is_refused = {kind for kind, outcome in outcomes.items() if outcome.code is Code.REFUSED}
    if is_refused == {"filters"} and codes <= {Code.WORKS, Code.SAYS, Code.REFUSED}:
        return Outcome(Code.OTHERS, outcomes["filters"].error, detail)
    if codes == {Code.WORKS, Code.SAYS}:
        return Outcome(Code.SAYS, detail=detail)
    odd = next((outcome.code for outcome in outcomes.values() if outcome.code in _NEVER), Code.WRONG)
    return Outcome(odd, detail=detail)


# --- Status ----------------------------------------------------------------------------------------------------------


def health_of(data: Any) -> Outcome:
    """Return the outcome of all health checks except the worker's, because no cell has a worker."""
    found = [check for check in data["checks"] if check["name"] not in _NOT_THE_STATE and check["state"] != "ok"]
    detail = "; ".join(f"{check['name']} {check['state']}: {check['message']}" for check in found)
    if not found:
        return Outcome(Code.WORKS)
    is_failing = any(check["state"] != "warning" for check in found)
    return Outcome(Code.PROBLEM if is_failing else Code.SAYS, detail=detail)


@action("status", changes_nothing=True)
def _status(world: World) -> Outcome:
    done = command("status", "--json")
    if not done.stdout:
        return refused(done)
    outcome = health_of(done.data)
    if (outcome.code is Code.PROBLEM) != (done.exit == 1):
        return wrong(f"exit {done.exit}, {outcome}")
    return outcome


@action("home page", changes_nothing=True)
def _home(world: World) -> Outcome:
    answer = world.client().get("/")
    text = html.unescape(_body(answer).decode())
    if answer.status_code == 503:
        return Outcome(Code.WRONG if "<form" in text else Code.EMERGENCY, detail=_text(text))
    if answer.status_code != 200:
        return Outcome(
            Code.UNEXPLAINED, detail=f"{answer.status_code} {answer.headers.get('Location', '')} {_text(text)}"
        )
    status = command("status", "--json")
    outcome = health_of(status.data)
    sentences = [check["message"] for check in status.data["checks"] if check["state"] != "ok"]
    if outcome.code is not Code.WORKS and not any(_start(sentence) in text for sentence in sentences):
        return Outcome(Code.HIDDEN, detail=outcome.detail)
    listed = command("backup", "list", "--json")
    newest = listed.data["backups"][:1] if not listed.problem else []
    if any(backup["filename"] not in text for backup in newest):
        return wrong("the newest backup is not on the page")
    return outcome


def _start(sentence: str) -> str:
    return sentence.partition("`")[0][:40]


def _text(page: str) -> str:
    body = re.sub(r"(?s)<(script|style|head).*?</\1>|<[^>]*>", " ", page)
    return " ".join(body.split())[:300]


@action("readyz", changes_nothing=True)
def _readyz(world: World) -> Outcome:
    answer = world.client().get("/readyz")
    data = json.loads(answer.content)
    if "checks" not in data:
        return Outcome(Code.PROBLEM if answer.status_code == 503 else Code.UNEXPLAINED, detail=str(data))
    outcome = health_of(data)
    if (outcome.code is Code.PROBLEM) != (answer.status_code == 503):
        return wrong(f"{answer.status_code}, {outcome}")
    return outcome


# --- Reading backups -------------------------------------------------------------------------------------------------


@action("list", changes_nothing=True)
def _list(world: World) -> Outcome:
    done = command("backup", "list", "--json")
    if done.problem:
        return refused(done)
    found = {backup["filename"] for backup in done.data["backups"]}
    return Outcome(Code.WORKS) if found == world.names else wrong(f"listed: {sorted(found ^ world.names)[:3]}")


@action("show", changes_nothing=True)
def _show(world: World) -> Outcome:
    done = command("backup", "show", world.target, "--json")
    if done.problem:
        return refused(done)
    if done.data["state"] == "damaged":
        return wrong("shown as damaged")
    return Outcome(Code.WORKS) if done.data["filename"] == world.target else wrong(done.stdout)


_GZIP_HEADER = 10


@action("download", changes_nothing=True)
def _download(world: World) -> Outcome:
    answer = world.client().get(f"/api/v1/backups/{world.target}/download")
    if answer.status_code != 200:
        return _of_answer(answer)
    stored = (world.folder / world.target).read_bytes()
    is_whole = _body(answer).endswith(stored[_GZIP_HEADER:])  # the header has the metadata
    return Outcome(Code.WORKS) if is_whole else wrong("other bytes than in the folder")


@action("verify")
def _verify(world: World) -> Outcome:
    before = observe(world)
    for name in {world.target, world.safety}:
        done = command("backup", "verify", name, "--json")
        if done.problem and done.error is None and done.stdout:
            return wrong(f"{name}: {done.data['problems']}")
        if done.problem:
            return refused(done)
        if done.data["problems"]:
            return wrong(f"{name}: {done.data['problems']}")
    if observe(world).live != before.live:
        return wrong("tvarr's database has changed")
    return recorded(world, before, done)


# --- Creating and restoring ------------------------------------------------------------------------------------------


@action("create")
def _create(world: World) -> Outcome:
    before = observe(world)
    done = command("backup", "create", "--json")
    if done.problem:
        return refused(done)
    data = done.data
    archive = world.folder / data["filename"]
    if packed_contents(archive) != before.live:
        return wrong("the backup has other contents than the live database")
    if observe(world).live != before.live:
        return wrong("tvarr's database has changed")
    return recorded(world, before, done, says=_has_facts(data))


def _has_facts(data: dict[str, Any]) -> bool:
    """Return whether a backup's metadata names something unusual."""
    return bool((data.get("checked") or {}).get("warnings")) or any(
        data.get(member) for member in ("facts", "notices", "code")
    )


@action("restore")
def _restore(world: World) -> Outcome:
    return _restore_backup(world, world.target, "backup", "restore", world.target, "--yes", "--json")


@action("undo")
def _undo(world: World) -> Outcome:
    return _restore_backup(world, world.safety, "backup", "undo-restore", "--yes", "--json")


def _restore_backup(world: World, name: str, *words: str) -> Outcome:
    before = observe(world)
    preview = command(*(word for word in words if word != "--yes"))
    if unchanged(world, before):
        return wrong("a preview has changed something")
    done, options = _run_with_options(*words)
    if done.problem:
        return refused(done)
    if contents(world.live) != world.known[name]:
        return wrong(
            f"the live database has other contents than the backup ({_difference(contents(world.live), world.known[name])})"
        )
    lost = _what_is_lost(world, before, done)
    if lost:
        return wrong(lost)
    if "--offline" in options:
        return Outcome(Code.OFFLINE, detail=done.stderr)
    says = bool(done.data.get("facts") or (not preview.problem and preview.data.get("facts")))
    outcome = recorded(world, before, done, says=says)
    return Outcome(Code.CONFIRM, detail=" ".join(options)) if options and outcome.code is not Code.HIDDEN else outcome


def _what_is_lost(world: World, before: Before, done: Done) -> str:
    """Return which replaced data exists nowhere any more; empty if none."""
    new = {name: one for name, one in sidecars(world.folder).items() if name not in before.files}
    safety = [name for name, one in new.items() if one["kind"] == "pre_restore"]
    if safety and isinstance(before.live, dict):
        return "" if packed_contents(world.folder / safety[0]) == before.live else "the safety backup has other content"
    if safety or not before.live_bytes:
        return ""
    aside = [path for path in world.live.parent.glob(f"{world.live.name}.set-aside-*") if path.is_file()]
    kept = {_checksum(path) for path in aside}
    return "" if before.live_bytes in kept else f"the old file is not kept: {sorted(path.name for path in aside)}"


def _difference(one: Contents, other: Contents) -> str:
    if isinstance(one, str) or isinstance(other, str):
        return f"{str(one)[:30]}, {str(other)[:30]}"
    return ", ".join(sorted(table for table in {*one, *other} if one.get(table) != other.get(table)))


def _run_with_options(*words: str) -> tuple[Done, tuple[str, ...]]:
    """Run a command, and again with the option or command that its refusal names."""
    taken: tuple[str, ...] = ()
    while True:
        done = command(*words)
        commands = [text.split() for text in _COMMAND.findall(done.problem)]
        named = [found for found in commands if found[1] in _GOES_BACK_OR_ADDS and "FILE" not in found]
        others = {option for found in commands if found[1] not in _GOES_BACK_OR_ADDS for option in found}
        asked = [option for option in _OPTION.findall(done.problem) if option not in {*taken, *others}]
        if not asked or not done.error:
            return done, taken
        taken += (asked[0],)
        words = next(((*found, "--json") for found in named if asked[0] in found), (*words, asked[0]))


@action("upload/adopt")
def _adopt(world: World) -> Outcome:
    before, source = observe(world), world.root / world.elsewhere
    done, options = _run_with_options("backup", "adopt", str(source), "--json")
    if done.problem:
        return refused(done)
    if packed_contents(world.folder / done.data["filename"]) != contents(source):
        return wrong("the backup is not what is in the file")
    outcome = recorded(world, before, done, says=_has_facts(done.data))
    return Outcome(Code.CONFIRM, detail=" ".join(options)) if options else outcome


# --- Protecting and deleting -----------------------------------------------------------------------------------------


@action("protect")
def _protect(world: World) -> Outcome:
    done = command("backup", "protect", world.target, "--json")
    if done.problem:
        return refused(done)
    return Outcome(Code.WORKS) if sidecars(world.folder)[world.target]["protected"] else wrong("it is not protected")


@action("delete")
def _delete(world: World) -> Outcome:
    before = observe(world)
    done = command("backup", "delete", world.target, "--yes", "--json")
    if done.problem:
        return refused(done)
    gone = set(before.files) - set(observe(world).files)
    if gone != {world.target, sidecar_of(Path(world.target)).name}:
        return wrong(f"deleted: {sorted(gone)}")
    return recorded(world, before, done)


@action("cleanup")
def _cleanup(world: World) -> Outcome:
    before = observe(world)
    done = command("backup", "prune", "--json")
    if done.problem and not done.stdout:
        return refused(done)
    gone = {name for name in set(before.files) - set(observe(world).files) if not name.endswith(".meta.json")}
    if not gone and done.data.get("dry_run"):
        return Outcome(Code.PREVIEW, detail=done.stderr)
    if gone != set(world.scheduled[:-1]):
        return wrong(f"deleted: {sorted(gone)}")
    return recorded(world, before, done)


# --- Starting --------------------------------------------------------------------------------------------------------


@action("prepare")
def _prepare(world: World) -> Outcome:
    before = observe(world)
    done = command("prepare")
    if done.problem:
        return refused(done)
    return unchanged(world, before) or Outcome(Code.WORKS)


@action("up")
def _up(world: World) -> Outcome:
    before = observe(world)
    if entrance.get() is Entrance.PROCESS:
        with running_up() as port:
            status = status_of(port, "/")
    else:
        done, programs = start_up_without_waiting()
        if done.problem:
            return refused(done)
        if not any("gunicorn" in word for words in programs for word in words):
            return wrong(f"no web server among {programs}")
        status = world.client().get("/").status_code
    if status == 503:
        return unchanged(world, before) or Outcome(Code.EMERGENCY)
    return unchanged(world, before) or (Outcome(Code.WORKS) if status in {200, 302} else wrong(f"page {status}"))


# --- Configuration ---------------------------------------------------------------------------------------------------


def _ask(world: World, query: str) -> Any:
    """Return the first value of the first row in tvarr's database."""
    if world.server:
        with psycopg.connect(world.server) as server:
            row = server.execute(query.encode()).fetchone()
            return row and row[0]
    with reading(world.live) as connection:
        connection.text_factory = lambda text: text.decode(errors="replace")
        row = connection.execute(query).fetchone()
        return row and row[0]


@action("export", changes_nothing=True)
def _export(world: World) -> Outcome:
    return _of_kinds({kind: _export_kind(world, kind) for kind in KINDS})


def _export_kind(world: World, kind: str) -> Outcome:
    output = world.root / "exported.json"
    done = command("portable", "export", kind, "--all", "--output", str(output))
    if done.problem:
        return refused(done)
    system = "" if kind == "none" else "AND NOT coalesce(is_system, FALSE)"
    there = _ask(world, f"SELECT count(*) FROM {kind} WHERE deleted_at IS NULL {system}")
    found = len(json.loads(output.read_text(encoding="utf-8"))["items"])
    says = len(done.stderr.strip().splitlines()) > 1
    if found != there and not says:
        return wrong(f"{found} of {there} items, and the others are not mentioned")
    return Outcome(Code.SAYS if says else Code.WORKS, detail=done.stderr.strip() if says else "")


@action("import")
def _import(world: World) -> Outcome:
    before = _count_imports(world)
    outcome = _of_kinds({kind: _import_kind(world, kind) for kind in KINDS})
    after = _count_imports(world)
    if outcome.code is Code.WORKS and (before is None or after is None or after <= before):
        return Outcome(Code.HIDDEN, detail="not recorded, and the command does not say so")
    return outcome


def _count_imports(world: World) -> int | None:
    with contextlib.suppress(Exception), reading(world.app) as connection:
        return int(connection.execute("SELECT count(*) FROM operations_importrecord").fetchone()[0])
    return None


def _import_kind(world: World, kind: str) -> Outcome:
    before = _count_imports(world)
    done = command("portable", "import", kind, str(world.root / f"{kind}.json"), "--json")
    if done.problem:
        return refused(done)
    item = json.loads((world.root / f"{kind}.json").read_text())["items"][0]
    if not _ask(world, f"SELECT count(*) FROM {kind} WHERE name = '{item['name']}'"):
        return wrong("the item is not there")
    after = _count_imports(world)
    if before is not None and after == before:
        is_mentioned = bool(done.stderr.strip())
        return Outcome(Code.UNRECORDED if is_mentioned else Code.HIDDEN, detail=done.stderr.strip())
    return Outcome(Code.WORKS)


@action("edit")
def _edit(world: World) -> Outcome:
    return _of_kinds({kind: _edit_kind(world, kind, row) for kind, row in KINDS.items()})


def _edit_kind(world: World, kind: str, row: str) -> Outcome:
    address = f"/api/v1/{kind.replace('_', '-')}/{row}"
    change = {"name": "Edited on a bad day"}
    answer = world.client().patch(address, json.dumps(change), content_type="application/json")
    if answer.status_code != 200:
        return _of_answer(answer)
    name = _ask(world, f"SELECT name FROM {kind} WHERE id = '{row}'")
    return Outcome(Code.WORKS) if name == change["name"] else wrong(f"the name is {name}")
