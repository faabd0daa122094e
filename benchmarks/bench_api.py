"""API calls to a running server, compared with a plain list view of the framework."""

import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path

import psutil

from benchmarks.measure import ROOT, run
from tvarr_backup.backups.archive import pack
from tvarr_backup.backups.names import new_name
from tvarr_backup.backups.sidecar import BackupKind, Sidecar, encode_sidecar

SIZE = int(os.environ.get("BENCH_API_SIZE", "1000")) * 1_000_000
BYTES_PER_PROGRAMME = 640
BACKUPS = 500
IMPORTED = 1_000
CALLS = 60
BLOCK = 2**20


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tvarr-backup-bench-") as folder:
        bench = Bench(Path(folder))
        with bench.serving():
            bench.files()
        with bench.serving():
            print(f"the median of {CALLS} calls with a load of {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors; an "
                  f"answer without content takes {bench.median('GET', '/floor/nothing') * 1000:.1f} ms")  # fmt: skip
            bench.compare("a page of 50 filters", "/floor/filters", "/api/v1/filters")
            bench.compare(f"{BACKUPS} backups", "/floor/backups", "/api/v1/backups")
            bench.imports()


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "data"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("TVARR_")}
        self.environment |= {
            "TVARR_STORAGE_BASE_DIR": str(self.folder),
            "DJANGO_SETTINGS_MODULE": "benchmarks.api_settings",
        }
        self.manage("prepare")
        self.manage(
            "demo_data", f"--programmes={SIZE // BYTES_PER_PROGRAMME}", f"--channels={SIZE // 20_000}", "--items=500"
        )
        self.token = self.manage("token", "create", "bench", "--user", "admin").split()[-1]
        self.large = json.loads(self.manage("backup", "create", "--json"))["filename"]
        self.fill()

    def manage(self, *arguments: str) -> str:
        return run([sys.executable, str(ROOT / "manage.py"), *arguments], self.environment)

    def fill(self) -> None:
        """Create small backups, and one that does not compress."""
        scratch = self.folder / "scratch"
        with scratch.open("wb") as target:
            for _ in range(SIZE // BLOCK):
                target.write(os.urandom(BLOCK))
        self.incompressible = self.add_backup(scratch, 1)
        scratch.write_bytes(bytes(100_000))
        for number in range(2, BACKUPS):
            self.add_backup(scratch, number)
        scratch.unlink()
        self.manage("shell", "-c", "from tvarr_backup.operations.index import refresh_index; refresh_index()")

    def add_backup(self, scratch: Path, number: int) -> str:
        name = new_name(datetime.now(UTC) - timedelta(days=number), ())
        with (self.folder / "backups" / name.filename).open("wb") as target:
            measured = pack(scratch, target)
        sidecar = Sidecar(
            created_at=name.moment,
            database_size=measured.database_size,
            compressed_size=measured.archive_size,
            checksum=measured.archive_checksum,
            kind=BackupKind.MANUAL,
            seq=number + 1,
            database_checksum=measured.database_checksum,
        )
        (self.folder / "backups" / name.sidecar).write_bytes(encode_sidecar(sidecar))
        return name.filename

    @contextmanager
    def serving(self) -> Iterator[None]:
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [sys.executable, "-m", "gunicorn", "config.wsgi", "--bind", f"127.0.0.1:{self.port}", "--workers", "1",
                   "--threads", "4", "--worker-class", "gthread", "--no-control-socket", "--log-level", "warning"]  # fmt: skip
        with subprocess.Popen(command, cwd=ROOT, env=self.environment) as server:
            try:
                while not self._listens():
                    time.sleep(0.1)
                self.call("GET", "/floor/nothing")  # wait until everything is loaded
                (self.process,) = psutil.Process(server.pid).children()
                yield
            finally:
                server.terminate()

    def _listens(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=600)
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"} | headers
        with closing(connection):
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            content = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {content[:500]!r}")
        return content

    def seconds(self, method: str, path: str, body: bytes | None = None) -> float:
        started = time.perf_counter()
        self.call(method, path, body)
        return time.perf_counter() - started

    def median(self, method: str, path: str) -> float:
        self.call(method, path)
        return statistics.median(self.seconds(method, path) for _ in range(CALLS))

    def compare(self, name: str, floor_path: str, path: str) -> None:
        floor, ours = self.median("GET", floor_path), self.median("GET", path)
        print(f"{name}: bare {floor * 1000:.1f} ms, ours {ours * 1000:.1f} ms, ratio {ours / floor:.2f}", flush=True)

    def imports(self) -> None:
        floor = min(
            self.seconds("POST", "/floor/filters", json.dumps(self.items(f"bare {n}")).encode()) for n in range(3)
        )
        ours = min(self.seconds("POST", "/api/v1/filters/import", self.envelope(f"ours {n}")) for n in range(3))
        print(
            f"import of {IMPORTED:,} filters: bare {floor:.2f} s, ours {ours:.2f} s, ratio {ours / floor:.2f}",
            flush=True,
        )

    def items(self, prefix: str) -> list[dict[str, str]]:
        return [{"name": f"{prefix} {n}", "source_type": "stream", "action": "include",
                 "expression": f'channel_name contains "HD {n}" AND group_title == "Sports"'} for n in range(IMPORTED)]  # fmt: skip

    def envelope(self, prefix: str) -> bytes:
        metadata = {"version": "1.0.0", "tvarr_version": "bench", "export_type": "filters",
                    "exported_at": "2026-01-01T00:00:00Z", "item_count": IMPORTED}  # fmt: skip
        return json.dumps({"export": {"metadata": metadata, "items": self.items(prefix)}}).encode()

    def files(self) -> None:
        before = self.process.memory_info().rss
        target = self.folder / "down.gz"
        seconds, worst = self.measure(lambda: self.download(self.incompressible, target))
        size = target.stat().st_size
        print(f"download of {size / 1e6:.0f} MB: {seconds:.1f} s, {size / 1e6 / seconds:.0f} MB/s, peak RSS "
              f"{worst / 2**20:.0f} MiB, before {before / 2**20:.0f} MiB (goal: under 100)", flush=True)  # fmt: skip
        self.download(self.large, target)
        plain = self.folder / "up.db"
        with plain.open("wb") as unpacked:
            subprocess.run(["gzip", "-dc", str(target)], stdout=unpacked, check=True)
        size = plain.stat().st_size
        seconds, worst = self.measure(lambda: self.upload(plain))
        print(f"upload of {size / 1e6:.0f} MB, checked and packed: {seconds:.1f} s, peak RSS {worst / 2**20:.0f} MiB "
              "(goal: under 100)", flush=True)  # fmt: skip

    def download(self, filename: str, target: Path) -> None:
        command = ["curl", "-sf", "-H", f"Authorization: Bearer {self.token}", "-o", str(target)]
        subprocess.run([*command, f"http://127.0.0.1:{self.port}/api/v1/backups/{filename}/download"], check=True)

    def upload(self, file: Path) -> None:
        command = ["curl", "-sf", "-H", f"Authorization: Bearer {self.token}", "-F", f"file=@{file}"]
        subprocess.run(
            [*command, f"http://127.0.0.1:{self.port}/api/v1/backups/upload"], check=True, capture_output=True
        )

    def measure(self, work: Callable[[], None]) -> tuple[float, int]:
        clear = Path(f"/proc/{self.process.pid}/clear_refs")
        clear.write_text("5")  # resets the peak
        started = time.perf_counter()
        work()
        seconds = time.perf_counter() - started
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
        return seconds, int(peak) * 1024


if __name__ == "__main__":
    main()
