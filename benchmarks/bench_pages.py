"""Response times of pages, compared with a plain Django view that shows a table of the same rows.

The server has answered each page once before.
"""

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
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlencode, urljoin

from benchmarks.measure import ROOT, run
from tvarr_backup.backups.archive import pack
from tvarr_backup.backups.names import new_name
from tvarr_backup.backups.sidecar import BackupKind, Sidecar, encode_sidecar

CHANNELS = int(os.environ.get("BENCH_PAGES_CHANNELS", "100000"))
BACKUPS = OPERATIONS = ITEMS = 500
CALLS = 40
PASSWORD = "wharf-lantern-41"
_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')
_FILES = re.compile(r'(?:src|href)="(/static/[^"#]+)')
_IN_STYLES = re.compile(r"url\([\"']?(?!data:)([^)\"'#]+)")
SIGN_IN, IMPORT = "/sign-in/", "/import/"
_ROWS = {
    "/": "backups",
    "/account/": "tokens",
    "/export/": "kinds",
    "/history/": "operations",
    "/settings/": "settings",
}
"""The table of `page_floor` with the rows of a page."""

_POLL = "every 1s"
_OPERATIONS = """
from datetime import UTC, datetime, timedelta
from django.contrib.auth import get_user_model
from tvarr_backup.operations.disk import backup_folder, place_of
from tvarr_backup.operations.models import Operation, OperationKind, OperationState, Origin
begins = datetime.now(UTC) - timedelta(hours={number})
for hour in range({number}):
    at = begins + timedelta(hours=hour)
    kind = OperationKind.values[hour % 6]
    Operation.objects.create(
        kind=kind, arguments=place_of(backup_folder()) if kind == OperationKind.BACKUP else dict(), state=OperationState.SUCCEEDED, database="{database}", origin=Origin.WEB,
        requested_by=get_user_model().objects.get(), created_at=at, started_at=at, finished_at=at + timedelta(seconds=9),
        result=dict(backup=dict(filename="{newest}"), pre_restore_backup=dict(filename="{newest}")),
    )
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="tvarr-backup-bench-") as folder:
        bench = Bench(Path(folder))
        with bench.serving():
            bench.sign_in()
            print(f"{CALLS} calls, alternating with those of a plain table of the same rows, whole responses, with a load of "
                  f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} processors; {CHANNELS:,} channels, {BACKUPS} backups, "
                  f"{OPERATIONS} operations, {ITEMS} items; goals: ratio at most 2, p95 under 100 ms, first visit under 400 KB, "
                  "later ones under 50 KB")  # fmt: skip
            for page in bench.pages():
                floors, ours = bench.side_by_side(page)
                median, floor, p95 = (
                    statistics.median(ours),
                    statistics.median(floors),
                    statistics.quantiles(ours, n=20)[-1],
                )
                first, later = bench.weights(page)
                print(f"{page.name}: {median * 1000:.1f} ms, table {floor * 1000:.1f} ms, ratio {median / floor:.2f}, "
                      f"p95 {p95 * 1000:.1f} ms; {first / 1000:.0f} KB, {later / 1000:.0f} KB", flush=True)  # fmt: skip


@dataclass(frozen=True)
class Page:
    """A path to request, or a form to send to it. `rows` is the table of `page_floor` for comparison."""

    name: str
    path: str
    rows: str = "nothing"
    form: Mapping[str, str] | None = None
    target: str = ""
    """The id of the fragment that htmx requests."""


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "data"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("TVARR_")}
        self.environment |= {
            "TVARR_STORAGE_BASE_DIR": str(self.folder),
            "TVARR_ADMIN_PASSWORD": PASSWORD,
            "TVARR_BACKUP_SCHEDULE_RETENTION": str(2 * BACKUPS),
            "DJANGO_SETTINGS_MODULE": "benchmarks.page_settings",
        }
        self.cookies: dict[str, str] = {}
        self.manage("prepare")
        self.manage("demo_data", f"--channels={CHANNELS}", "--programmes=1000", f"--items={ITEMS}")
        (self.folder / "backups").mkdir()
        self.automatic, *_ = [self.add_backup(number) for number in range(1, BACKUPS)]
        self.newest = json.loads(self.manage("backup", "create", "--json"))["filename"]
        database = str(self.folder / "tvarr.db")
        self.manage("shell", "-c", _OPERATIONS.format(number=OPERATIONS, database=database, newest=self.newest))
        self.manage("shell", "-c", "from tvarr_backup.operations.index import refresh_index; refresh_index()")

    def manage(self, *arguments: str) -> str:
        return run([sys.executable, str(ROOT / "manage.py"), *arguments], self.environment)

    def add_backup(self, number: int) -> str:
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
            kind=BackupKind.SCHEDULED,
            seq=BACKUPS - number,
            database_checksum=measured.database_checksum,
        )
        (self.folder / "backups" / name.sidecar).write_bytes(encode_sidecar(sidecar))
        scratch.unlink()
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
                yield
            finally:
                server.terminate()

    def _listens(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def ask(
        self, path: str, form: Mapping[str, str] | None = None, target: str = ""
    ) -> tuple[HTTPResponse, bytes, float]:
        """Send a GET, or a POST of a form. Return the response, its content, and the seconds until its last byte."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Cookie": cookies, "Accept-Encoding": "gzip"}
        headers |= {"HX-Request": "true", "HX-Target": target} if target else {}
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        body = urlencode(form) if form is not None else None
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=120)) as connection:
            connection.connect()
            started = time.perf_counter()
            connection.request("GET" if form is None else "POST", path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            seconds = time.perf_counter() - started
            self.weight = len(content) + len(str(answer.headers))  # as received
        if answer.headers.get("Content-Encoding") == "gzip":
            content = gzip.decompress(content)
        for cookie in answer.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        if answer.status != (302 if path in {SIGN_IN, IMPORT} and form else 200):
            raise SystemExit(f"{path}: {answer.status} {content[:500]!r}")
        return answer, content, seconds

    def token(self, path: str) -> str:
        _, page, _ = self.ask(path)
        return str(_TOKEN.findall(page.decode())[0])

    def sign_in(self) -> None:
        token = self.token(SIGN_IN)
        self.ask(SIGN_IN, {"username": "admin", "password": PASSWORD, "csrfmiddlewaretoken": token})

    def pages(self) -> list[Page]:
        """Return the pages in the navigation, of a backup, of an operation, and of an import."""
        named = [
            *(Page(path, path, _ROWS.get(path, "nothing")) for path in self.navigation()),
            Page("a backup", f"/backups/{self.newest}/", "changes"),
            Page("an automatic one", f"/backups/{self.automatic}/", "changes"),
            Page("its restore", f"/backups/{self.newest}/restore/", "changes"),
            Page("its deletion", f"/backups/delete/?name={self.newest}", "backup"),
            Page("an upload", "/backups/upload/"),
            Page("an operation", self.operation(), "operation"),
        ]
        return [*named, *self.previews()]

    def navigation(self) -> list[str]:
        _, home, _ = self.ask("/")
        found = re.findall(r'<a href="(/[a-z/-]*)"', home.decode().partition("</header>")[0])
        return list(dict.fromkeys(["/", *(path for path in found if not path.startswith("/admin/"))]))

    def operation(self) -> str:
        _, history, _ = self.ask("/history/")
        return str(re.findall(r'href="(/operations/\w{26}/)"', history.decode())[0])

    def previews(self) -> list[Page]:
        document = json.loads(self.manage("portable", "export", "filters", "--all"))
        for number, item in enumerate(document["items"]):
            item["name"] += " of elsewhere" if number % 3 == 0 else ""
            item["expression"] = 'title contains "Regatta"' if number % 3 == 1 else item["expression"]
        token = {"csrfmiddlewaretoken": self.token(IMPORT)}
        answer, _, _ = self.ask(IMPORT, token | {"text": json.dumps(document)})
        address = answer.headers["Location"]
        choices = f"{address}choices/"
        number = len(document["items"])
        return [
            Page(f"preview of {number}", address, "filters"),
            Page("a choice in it", choices, "filters", token | {"action-2": "overwrite"}, "import-totals"),
            Page("overwrite all in it", choices, "filters", token | {"bulk": "overwrite"}, "preview-items"),
        ]

    def side_by_side(self, page: Page) -> tuple[list[float], list[float]]:
        """Return seconds of the table and of this page, measured alternately."""
        floor = f"/floor/{page.rows}/"
        self.ask(floor), self.ask(page.path, page.form, page.target)
        both = [(self.ask(floor)[2], self.ask(page.path, page.form, page.target)[2]) for _ in range(CALLS)]
        return [theirs for theirs, _ in both], [ours for _, ours in both]

    def weights(self, page: Page) -> tuple[int, int]:
        """Return the bytes of a first visit, and of a later one with cached files."""
        answer, content, _ = self.ask(page.path, page.form, page.target)
        if _POLL in content.decode():
            raise SystemExit(f"{page.name} polls, although nothing is running")
        files = dict.fromkeys(_FILES.findall(content.decode()))
        first = later = self.weight
        for file in files:
            answer, content, _ = self.ask(file)
            for more in _IN_STYLES.findall(content.decode()) if file.endswith(".css") else ():
                raise SystemExit(f"{urljoin(file, more)} is loaded too, but its size is not counted")
            first += self.weight
            if "immutable" not in answer.headers.get("Cache-Control", ""):
                later += self.weight
        return first, later


if __name__ == "__main__":
    main()
