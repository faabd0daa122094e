"""Pages of a running server: the time to the first byte against an empty page of the same run, and their weight."""

import gzip
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlencode, urljoin

from benchmarks.measure import ROOT, run
from tvarr_backup.backups.archive import pack
from tvarr_backup.backups.names import new_name
from tvarr_backup.backups.sidecar import BackupKind, Sidecar, encode_sidecar

CHANNELS = int(os.environ.get("BENCH_PAGES_CHANNELS", "100000"))
BACKUPS = 500
CALLS = 40
PASSWORD = "wharf-lantern-41"  # nobody else's
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')
_FILES = re.compile(r'(?:src|href)="(/static/[^"#]+)')
_IN_STYLES = re.compile(r"url\([\"']?(?!data:)([^)\"'#]+)")
FLOOR = "/floor/empty/"


def main() -> None:
    """Print a line for each page."""
    with tempfile.TemporaryDirectory(prefix="tvarr-backup-bench-") as folder:
        bench = Bench(Path(folder))
        with bench.serving():
            bench.sign_in()
            floor = bench.first_byte(FLOOR)
            print(f"the median of {CALLS} calls with a load of {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors, "
                  f"{CHANNELS:,} channels, {BACKUPS} backups; an empty page: {floor * 1000:.1f} ms")  # fmt: skip
            for page in bench.pages():
                floor, ours = bench.side_by_side(page)
                first, later = bench.weights(page)
                print(f"{page}: {ours * 1000:.1f} ms, ratio {ours / floor:.2f} (goal: at most 3); first visit "
                      f"{first / 1000:.0f} KB (goal: under 400), later ones {later / 1000:.0f} KB (goal: under 50)", flush=True)  # fmt: skip


class Bench:
    """An installation with much in it, its web server, and somebody who is signed in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "data"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("TVARR_")}
        self.environment |= {
            "TVARR_STORAGE_BASE_DIR": str(self.folder),
            "TVARR_ADMIN_PASSWORD": PASSWORD,
            "DJANGO_SETTINGS_MODULE": "benchmarks.page_settings",
        }
        self.cookies: dict[str, str] = {}
        self.manage("prepare")
        self.manage("demo_data", f"--channels={CHANNELS}", "--programmes=1000", "--items=500")
        self.newest = json.loads(self.manage("backup", "create", "--json"))["filename"]
        for number in range(1, BACKUPS):
            self.lay(number)

    def manage(self, *words: str) -> str:
        return run([sys.executable, str(ROOT / "manage.py"), *words], self.environment)

    def lay(self, number: int) -> None:
        """A small file as a backup of so many days ago."""
        scratch = self.folder / "scratch"
        scratch.write_bytes(bytes(100_000))
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
        scratch.unlink()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Gunicorn as the service starts it, with one process so that all calls meet the same one."""
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [sys.executable, "-m", "gunicorn", "config.wsgi", "--bind", f"127.0.0.1:{self.port}", "--workers", "1",
                   "--threads", "4", "--worker-class", "gthread", "--no-control-socket", "--log-level", "warning"]  # fmt: skip
        with subprocess.Popen(command, cwd=ROOT, env=self.environment) as server:
            try:
                while not self._listens():
                    time.sleep(0.1)
                yield
            finally:
                server.terminate()

    def _listens(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    # --- Asking ---

    def ask(self, method: str, path: str, body: str = "") -> tuple[HTTPResponse, bytes, float]:
        """The answer, its content, and the seconds to its first byte; cookies are kept."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Cookie": cookies, "Accept-Encoding": "gzip"}
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=120)) as connection:
            connection.connect()
            started = time.perf_counter()
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            seconds = time.perf_counter() - started
            content = answer.read()
            self.weight = len(content) + len(str(answer.headers))  # as it came
        if answer.headers.get("Content-Encoding") == "gzip":
            content = gzip.decompress(content)
        for cookie in answer.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        if answer.status != (302 if method == "POST" else 200):
            raise SystemExit(f"{method} {path}: {answer.status} {content[:500]!r}")
        return answer, content, seconds

    def sign_in(self) -> None:
        _, page, _ = self.ask("GET", "/sign-in/")
        token = _TOKEN.findall(page.decode())[0]
        self.ask(
            "POST", "/sign-in/", urlencode({"username": "admin", "password": PASSWORD, "csrfmiddlewaretoken": token})
        )

    def pages(self) -> list[str]:
        """Those that the navigation leads to, and those that they lead to with this site's newest backup."""
        _, home, _ = self.ask("GET", "/")
        found = re.findall(r'<a href="(/[a-z/-]*)"', home.decode().partition("</header>")[0])
        more = [path for path in re.findall(r'href="(/[^"?#]*)"', home.decode()) if self.newest in path]
        html = [path for path in more if "text/html" in self.ask("GET", path)[0].headers["Content-Type"]]
        return list(dict.fromkeys(["/", *(path for path in found if not path.startswith("/admin/")), *html]))

    def first_byte(self, path: str) -> float:
        return statistics.median(self.ask("GET", path)[2] for _ in range(CALLS))

    def side_by_side(self, path: str) -> tuple[float, float]:
        """The empty page and this one by turns, so that what else the machine does falls on both."""
        self.ask("GET", path)
        pairs = [(self.ask("GET", FLOOR)[2], self.ask("GET", path)[2]) for _ in range(CALLS)]
        return statistics.median(floor for floor, _ in pairs), statistics.median(ours for _, ours in pairs)

    # --- Weighing ---

    def weights(self, path: str) -> tuple[int, int]:
        """Bytes of heads and bodies: of a first visit, and of one whose files are kept as their heads allow."""
        answer, content, _ = self.ask("GET", path)
        page = self.weight
        files = dict.fromkeys(_FILES.findall(content.decode()))
        first = later = page
        for file in files:
            answer, content, _ = self.ask("GET", file)
            for more in _IN_STYLES.findall(content.decode()) if file.endswith(".css") else ():
                raise SystemExit(f"{urljoin(file, more)} is loaded too, and is not weighed")
            first += self.weight
            if "immutable" not in answer.headers.get("Cache-Control", ""):
                later += self.weight
        return first, later


if __name__ == "__main__":
    main()
