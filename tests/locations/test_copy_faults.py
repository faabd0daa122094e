"""Connections that are cut or stall at any moment: no copy is lost, none is listed by half, and nothing of others changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.backups.makers import backup, tvarrs, with_ballast
from tests.faults.figures import Figures
from tests.locations.places import FolderPlace
from tests.locations.proxy import Proxy, running_proxy
from tests.locations.s3_server import S3Place
from tests.locations.webdav_server import running_webdav
from tvarr_backup.backups.catalogue import Backup
from tvarr_backup.backups.sidecar import read_sidecar
from tvarr_backup.errors import LocationError
from tvarr_backup.locations import copies, stores
from tvarr_backup.locations.addresses import Address
from tvarr_backup.locations.copies import CopyFolder
from tvarr_backup.locations.encryption import new_key
from tvarr_backup.locations.stores import open_store

pytestmark = pytest.mark.long

ID = "01kxq3v7e8r9t0y1z2a3b4c5d6"
KEY = new_key()
_TABLE = "connections to locations"
_POINTS = 24
_STALLS = 4


@dataclass
class Reached:
    """A location, directly and through a proxy."""

    kind: str
    direct: Address
    proxied: Address
    proxy: Proxy


@contextmanager
def _through_proxy(kind: str, direct: Address, option: str) -> Iterator[Reached]:
    """`option` has the port: the port itself, or a URL."""
    text = direct.options[option]
    port = int(text) if text.isdigit() else urlsplit(text).port
    assert port is not None
    with running_proxy(port) as proxy:
        yield Reached(kind, direct, direct.with_options(**{option: text.replace(str(port), str(proxy.port))}), proxy)


@pytest.fixture(params=["sftp", "s3", "webdav"])
def reached(request: pytest.FixtureRequest) -> Iterator[Reached]:
    kind: str = request.param
    if kind == "webdav":
        with running_webdav() as server, _through_proxy(kind, server.address, "url") as found:
            yield found
        return
    place: FolderPlace | S3Place = request.getfixturevalue(f"{kind}_place")
    with _through_proxy(kind, place.address, "port" if kind == "sftp" else "endpoint") as found:
        yield found


@pytest.fixture(params=[(), (KEY.recipient,)], ids=["plain", "encrypted"])
def recipients(request: pytest.FixtureRequest) -> tuple[str, ...]:
    found: tuple[str, ...] = request.param
    return found


class Trial:
    """A backup to copy, a foreign object beside it, and what must be true after any fault."""

    def __init__(self, reached: Reached, recipients: tuple[str, ...], root: Path) -> None:
        self.reached, self.recipients, self.root = reached, recipients, root
        (root / "backups").mkdir()
        self.backup: Backup = backup(with_ballast(tvarrs(root / "live.db"), 1), root / "backups")
        self.archive = root / "backups" / self.backup.filename
        self.sidecar = read_sidecar(root / "backups" / self.backup.name.sidecar)
        with open_store(reached.direct) as store:
            folder = CopyFolder(store, ID)
            folder.mark()
            store.write(f"{folder.folder}/photo.jpg", stores.BytesSource(b"photo"))

    def write(self, folder: CopyFolder) -> None:
        folder.write_copy(self.archive, self.sidecar, self.recipients)

    def delete(self, folder: CopyFolder) -> None:
        for copy in folder.read_listing().copies:
            folder.delete_copy(copy)

    def fetch(self, folder: CopyFolder) -> None:
        target = self.root / "fetched"
        target.mkdir(exist_ok=True)
        (copy,) = folder.read_listing().copies
        try:
            archive, _sidecar = folder.fetch_copy(copy, target, identity=KEY.identity)
            assert archive.read_bytes() == self.archive.read_bytes()
            archive.unlink()
        finally:
            assert list(target.iterdir()) == []

    def attempt(self, action: Callable[[CopyFolder], None]) -> bool:
        """Do something through the proxy. Return whether it succeeded."""
        with suppress(LocationError), open_store(self.reached.proxied) as store:
            action(CopyFolder(store, ID))
            return True
        return False

    def traffic(self, action: Callable[[CopyFolder], None]) -> tuple[int, int]:
        """Return the bytes that the action sends and receives without a fault."""
        self.reached.proxy.heal()
        with open_store(self.reached.proxied) as store:
            action(CopyFolder(store, ID))
        return self.reached.proxy.sent, self.reached.proxy.received

    def count_violations(self) -> int:
        """Look directly: a listed copy is complete, and the foreign object is what it was."""
        self.reached.proxy.cut()
        with open_store(self.reached.direct) as store:
            folder, violations = CopyFolder(store, ID), 0
            for copy in folder.read_listing().copies:
                with suppress(LocationError):
                    folder.check_copy(copy, folder.read_metadata(copy.filename).checksum)
                    continue
                violations += 1
            return violations + (b"".join(store.read(f"{folder.folder}/photo.jpg")) != b"photo")

    def exists(self) -> bool:
        with open_store(self.reached.direct) as store:
            return bool(CopyFolder(store, ID).read_listing().copies)

    def prepare(self, *, exists: bool) -> None:
        with open_store(self.reached.direct) as store:
            folder = CopyFolder(store, ID)
            if exists:
                self.write(folder)
            else:
                self.delete(folder)
                folder.delete_unfinished(folder.read_listing())


@pytest.fixture
def trial(reached: Reached, recipients: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trial:
    monkeypatch.setattr(stores, "TIMEOUT_SECONDS", 5)
    monkeypatch.setattr(copies, "_SECONDS_BETWEEN_ATTEMPTS", 0.01)
    return Trial(reached, recipients, tmp_path)


def _points(total: int) -> list[int]:
    """Return places in a transfer: the first bytes, the last, and some between."""
    return sorted({*range(0, total, max(1, total // _POINTS)), 1, total - 1})


@pytest.mark.parametrize("action", ["write", "delete", "fetch"])
@pytest.mark.parametrize("direction", ["sent", "received"])
def test_a_cut_connection_leaves_whole_copies_only(trial: Trial, action: str, direction: str, figures: Figures) -> None:
    act = getattr(trial, action)
    trial.prepare(exists=action != "write")
    sent, received = trial.traffic(act)
    failed = violations = 0
    points = _points(sent if direction == "sent" else received)
    for point in points:
        trial.prepare(exists=action != "write")
        trial.reached.proxy.heal()
        trial.reached.proxy.cut_after(**{direction: point})
        failed += not trial.attempt(act)
        violations += trial.count_violations()
        if action == "fetch":
            violations += not trial.exists()
        trial.reached.proxy.heal()
        assert action == "fetch" or trial.attempt(trial.write)
        violations += action != "fetch" and (not trial.exists() or trial.count_violations() > 0)
    kind = f"{trial.reached.kind}, {'encrypted' if trial.recipients else 'plain'}"
    figures.count(_TABLE, f"{kind}, {action}, {direction}", cuts=len(points), failed=failed, violations=violations)
    assert violations == 0
    assert failed > 0 or action == "fetch"  # which goes on after a cut


def test_a_stalled_connection_ends_and_leaves_whole_copies_only(trial: Trial, figures: Figures) -> None:
    trial.prepare(exists=False)
    sent, received = trial.traffic(trial.write)
    violations = 0
    stalls = [("sent", sent * part // _STALLS) for part in range(_STALLS)]
    stalls += [("received", received * part // _STALLS) for part in range(_STALLS)]
    for direction, point in stalls:
        trial.prepare(exists=False)
        trial.reached.proxy.heal()
        trial.reached.proxy.stall_after(**{direction: point})
        trial.attempt(trial.write)
        violations += trial.count_violations()
    kind = f"{trial.reached.kind}, {'encrypted' if trial.recipients else 'plain'}"
    figures.count(_TABLE, f"{kind}, stalled", cuts=len(stalls), violations=violations)
    assert violations == 0
