"""Writing and reading a file (BENCH_LOCATIONS_SIZE, in MB) in locations, compared with the bare client on the same server.

Arguments are the kinds to measure, by default all. Each measurement is a process of its own.
"""

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.measure import peak_bytes
from tvarr_backup.locations.addresses import Address, LocationKind, read_address
from tvarr_backup.locations.stores import FileSource, open_store

SIZE = int(os.environ.get("BENCH_LOCATIONS_SIZE", "256")) * 1_000_000
RUNS = 2


@dataclass(frozen=True)
class Kind:
    """How one kind is measured. `bare_put` and `bare_get` copy between an object in the location and a local file."""

    server: Callable[[], AbstractContextManager[Address]]
    bare_put: Callable[[Address, str, Path], None]
    bare_get: Callable[[Address, str, Path], None]


# --- SFTP ------------------------------------------------------------------------------------------------------------


@contextmanager
def sftp_server() -> Iterator[Address]:
    from tests.locations.sshd import running_sshd  # noqa: PLC0415  # not in the measured processes

    with running_sshd() as server:
        yield server.address


def sftp_put(address: Address, name: str, path: Path) -> None:
    asyncio.run(_copy_by_sftp(address, name, path, is_put=True))


def sftp_get(address: Address, name: str, path: Path) -> None:
    asyncio.run(_copy_by_sftp(address, name, path, is_put=False))


async def _copy_by_sftp(address: Address, name: str, path: Path, *, is_put: bool) -> None:
    import asyncssh  # noqa: PLC0415  # only for this kind

    options = address.options
    key = asyncssh.import_private_key(options["private_key"])
    host, port, user = options["host"], int(options["port"]), options["user"]
    async with (
        asyncssh.connect(host, port, username=user, client_keys=[key], known_hosts=None, config=None) as connection,
        connection.start_sftp_client() as client,
    ):
        remote = f"{options['path']}/{name}"
        await (client.put(str(path), remote) if is_put else client.get(remote, str(path)))


# --- WebDAV ----------------------------------------------------------------------------------------------------------


@contextmanager
def webdav_server() -> Iterator[Address]:
    from tests.locations.webdav_server import running_webdav  # noqa: PLC0415  # not in the measured processes

    with running_webdav() as server:
        yield server.address


def webdav_put(address: Address, name: str, path: Path) -> None:
    import httpx  # noqa: PLC0415  # only for this kind

    options = address.options
    headers = {"Content-Length": str(path.stat().st_size)}
    with httpx.Client(auth=(options["user"], options["password"])) as client, path.open("rb") as file:
        client.put(f"{options['url']}/{name}", content=file, headers=headers, timeout=60).raise_for_status()


def webdav_get(address: Address, name: str, path: Path) -> None:
    import httpx  # noqa: PLC0415  # only for this kind

    options = address.options
    with (
        httpx.Client(auth=(options["user"], options["password"])) as client,
        client.stream("GET", f"{options['url']}/{name}", timeout=60) as response,
        path.open("wb") as file,
    ):
        for piece in response.iter_raw(2**20):
            file.write(piece)


# --- Folders ---------------------------------------------------------------------------------------------------------


@contextmanager
def folder_server() -> Iterator[Address]:
    with tempfile.TemporaryDirectory(prefix="tvarr-backup-bench-") as folder:
        yield read_address(LocationKind.FOLDER, {"path": folder})


def folder_put(address: Address, name: str, path: Path) -> None:
    copied = Path(address.options["path"], name)
    shutil.copyfile(path, copied)
    with copied.open("rb+") as file:
        os.fsync(file.fileno())


def folder_get(address: Address, name: str, path: Path) -> None:
    shutil.copyfile(Path(address.options["path"], name), path)


# --- S3 --------------------------------------------------------------------------------------------------------------


@contextmanager
def s3_server() -> Iterator[Address]:
    from tests.locations.s3_server import S3Place, running_moto  # noqa: PLC0415  # not in the measured processes

    with tempfile.TemporaryDirectory(prefix="tvarr-backup-bench-") as folder, running_moto(Path(folder)) as server:
        yield S3Place(server, "backups").address


def s3_put(address: Address, name: str, path: Path) -> None:
    _open_bucket(address).put(name, path, chunk_size=5 * 2**20, max_concurrency=2)


def s3_get(address: Address, name: str, path: Path) -> None:
    with path.open("wb") as file:
        for piece in _open_bucket(address).get(name).stream(2**20):
            file.write(piece)


def _open_bucket(address: Address) -> Any:
    from obstore.store import S3Store  # noqa: PLC0415  # only for this kind

    options = address.options
    return S3Store(
        options["bucket"],
        endpoint=options["endpoint"],
        region=options["region"],
        access_key_id=options["access_key"],
        secret_access_key=options["secret_key"],
        client_options={"allow_http": True, "timeout": timedelta(seconds=600)},
    )


# --- Measuring -------------------------------------------------------------------------------------------------------

KINDS: Mapping[LocationKind, Kind] = {
    LocationKind.FOLDER: Kind(folder_server, folder_put, folder_get),
    LocationKind.S3: Kind(s3_server, s3_put, s3_get),
    LocationKind.SFTP: Kind(sftp_server, sftp_put, sftp_get),
    LocationKind.WEBDAV: Kind(webdav_server, webdav_put, webdav_get),
}


def our_put(address: Address, name: str, path: Path) -> None:
    with open_store(address) as store:
        store.write(name, FileSource(path, path.stat().st_size, "any"), replace=True)


def our_get(address: Address, name: str, path: Path) -> None:
    with open_store(address) as store, path.open("wb") as file:
        for piece in store.read(name):
            file.write(piece)


def encrypted_put(address: Address, name: str, path: Path) -> None:
    from tvarr_backup.locations.encryption import EncryptedSource, read_key  # noqa: PLC0415  # only if encrypted

    recipient = read_key(os.environ["BENCH_LOCATIONS_IDENTITY"]).recipient
    with open_store(address) as store:
        store.write(f"{name}.age", EncryptedSource(FileSource(path, path.stat().st_size), [recipient]), replace=True)


def encrypted_get(address: Address, name: str, path: Path) -> None:
    from tvarr_backup.locations.encryption import decrypt  # noqa: PLC0415  # only if encrypted

    with open_store(address) as store, path.open("wb") as file:
        decrypt(store.read(f"{name}.age"), os.environ["BENCH_LOCATIONS_IDENTITY"], file)


def main() -> None:
    from tvarr_backup.locations.encryption import new_key  # noqa: PLC0415  # only in this process

    os.environ["BENCH_LOCATIONS_IDENTITY"] = new_key().identity
    kinds = [LocationKind(name) for name in sys.argv[1:]] or list(KINDS)
    print(f"{SIZE / 1e6:.0f} MB, the best of {RUNS} runs with a load of {os.getloadavg()[0]:.1f} on {os.cpu_count()} "
          "processors; goals: ratio at most 1.5, encrypted 2, peak at most 160 MiB")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="tvarr-backup-bench-") as name:
        folder = Path(name)
        with (folder / "source").open("wb") as file:
            for _piece in range(SIZE // 1_000_000):
                file.write(os.urandom(1_000_000))
        for kind in kinds:
            with KINDS[kind].server() as address:
                measure(kind, address, folder)


def measure(kind: LocationKind, address: Address, folder: Path) -> None:
    for action, path in (("put", folder / "source"), ("get", folder / "target")):
        best, peak = dict.fromkeys(("bare", "our", "encrypted"), float("inf")), 0
        for _run in range(RUNS):
            for way in best:
                seconds, memory = run_apart(f"{way}_{action}", address, path, folder)
                best[way] = min(best[way], seconds)
                peak = peak if way == "bare" else max(peak, memory)
        bare, ours, encrypted = best.values()
        print(f"{kind} {action}: bare {bare:.2f} s, ours {ours:.2f} s, ratio {ours / bare:.2f}; encrypted {encrypted:.2f} s, "
              f"ratio {encrypted / bare:.2f}; peak {peak / 2**20:.0f} MiB", flush=True)  # fmt: skip


def run_apart(action: str, address: Address, path: Path, folder: Path) -> tuple[float, int]:
    """Return the seconds of an action and the peak memory of its process."""
    os.sync()
    output = folder / "seconds"
    environment = {**os.environ, "BENCH_LOCATIONS_ADDRESS": json.dumps([address.kind, dict(address.options)])}
    program = "from benchmarks import bench_locations; bench_locations.act()"
    memory = peak_bytes([sys.executable, "-c", program, action, str(path)], output=output, environment=environment)
    return float(output.read_text()), memory


def act() -> None:
    """Do what the arguments say, in a process of its own, and print the seconds."""
    action, path = sys.argv[1:]
    kind, options = json.loads(os.environ["BENCH_LOCATIONS_ADDRESS"])
    address = read_address(LocationKind(kind), options)
    bare = KINDS[address.kind]
    work = {
        "bare_put": bare.bare_put,
        "bare_get": bare.bare_get,
        "our_put": our_put,
        "our_get": our_get,
        "encrypted_put": encrypted_put,
        "encrypted_get": encrypted_get,
    }[action]
    started = time.perf_counter()
    work(address, "bare" if action.startswith("bare") else "bench/ours", Path(path))
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main()
