"""Every call that takes text, with a long one: four times as much text takes about four times as long.

What calls take is read from the OpenAPI document, so that a new call is tried without a word here. Headers and what else
the document does not name, and the forms of the pages, stand in tables.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml
from django.core.cache import cache
from django.test import Client

from tests.factories import FilterFactory, UserFactory

pytestmark = [pytest.mark.django_db, pytest.mark.long]

LIMIT = 9
SIZES = [2**15, 2**17]
"""Characters: four times as long as a line of a request may be, and four times that."""
LARGE_SIZES = [2**18, 2**20]
SIZES_OF_PATTERNS = [2**13, 2**15]
"""SQLite takes patterns of LIKE up to 50,000 bytes."""
NOISE_SECONDS = 0.02
"""What a call costs, whatever it is sent."""
WRITTEN = yaml.safe_load((Path(__file__).parents[1] / "docs" / "openapi.yaml").read_text())
FILTER_ID = "01KAEHXEGJ5GMS392SP1ZYMK59"
TEXTS = {"letters": "a", "digits": "1", "signs": "-:/", "parts": "a,", "blanks": " x", "pairs": "a=1;", "opened": "(["}

Send = Callable[[Client, str], Any]


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema behind a reference; of several the first."""
    while True:
        if "$ref" in schema:
            schema = WRITTEN["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        elif several := schema.get("allOf") or schema.get("oneOf") or schema.get("anyOf"):
            schema = several[0]
        else:
            return schema


def example_of(schema: dict[str, Any]) -> Any:
    schema = resolved(schema)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {name: example_of(properties[name]) for name in schema.get("required", ()) if name in properties}
        case "array":
            return []
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case _:
            return "x"


def texts_of(schema: dict[str, Any]) -> list[str]:
    """Members that take text."""
    properties = resolved(schema).get("properties", {})
    return [
        name
        for name, member in properties.items()
        if "string" in resolved(member).get("type", ()) and not member.get("readOnly")
    ]


def calls() -> Iterator[tuple[str, Send]]:
    for path, operations in WRITTEN["paths"].items():
        for method, operation in operations.items():
            if method not in ("get", "post", "put", "patch", "delete"):
                continue
            parameters = [
                each for each in operation.get("parameters", []) if "string" in resolved(each["schema"]).get("type", ())
            ]
            for parameter in parameters:
                yield f"{method} {path} {parameter['name']}", sender(path, method, operation, parameter=parameter)
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            for member in texts_of(body["schema"]) if body else ():
                yield f"{method} {path} body {member}", sender(path, method, operation, member=member)


def sender(
    path: str, method: str, operation: dict[str, Any], *, parameter: dict[str, Any] | None = None, member: str = ""
) -> Send:
    place = parameter["in"] if parameter else ""
    name = parameter["name"] if parameter else ""
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")

    def send(client: Client, text: str) -> Any:
        address = path
        for part in [piece[1:-1] for piece in path.split("/") if piece.startswith("{")]:
            address = address.replace(f"{{{part}}}", text.replace("/", "") if part == name else "1")
        content = {**example_of(body["schema"]), **({member: text} if member else {})} if body else None
        headers = {name: text} if place == "header" else {}
        address += "?" + urlencode({name: text}) if place == "query" else ""
        return client.generic(
            method.upper(), address, json.dumps(content) if body else "", "application/json", headers=headers
        )

    return send


def get(address: str, **headers: str) -> Send:
    """The text is what stands as {} in a header."""
    return lambda client, text: client.get(
        address, headers={name.replace("_", "-"): value.format(text) for name, value in headers.items()}
    )


def form(address: str, name: str, **others: str) -> Send:
    return lambda client, text: client.post(address, {**others, name: text})


def multipart(client: Client, text: str) -> Any:
    parts = "".join(
        f'--b\r\nContent-Disposition: form-data; name="f{n}"\r\n\r\n{text[n : n + 8]}\r\n'
        for n in range(0, len(text), 64)
    )
    return client.generic("POST", "/import/", parts + "--b--\r\n", "multipart/form-data; boundary=b")


def multipart_heads(client: Client, text: str) -> Any:
    head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{text}"\r\nContent-Type: {text}\r\n\r\nx\r\n--b--\r\n'
    return client.generic("POST", "/import/", head, "multipart/form-data; boundary=b")


def gzipped(client: Client, text: str) -> Any:
    return client.generic(
        "POST",
        "/api/v1/import/filters/preview",
        gzip.compress(text.encode()),
        "application/json",
        headers={"Content-Encoding": "gzip"},
    )


OTHERS: dict[str, Send] = {
    "Cookie": get("/", Cookie="{}"),
    "session": get("/", Cookie="sessionid={}"),
    "Accept": get("/api/v1/filters", Accept="{}"),
    "Accept-Language": get("/", Accept_Language="{}"),
    "Accept-Encoding": get("/", Accept_Encoding="{}"),
    "Authorization": get("/api/v1/filters", Authorization="Bearer {}"),
    "basic Authorization": get("/api/v1/filters", Authorization="Basic {}"),
    "Host": get("/", Host="{}"),
    "Origin": lambda client, text: client.post("/import/", headers={"Origin": f"http://{text}"}),
    "Referer": lambda client, text: client.post("/import/", headers={"Referer": f"http://{text}"}),
    "X-Forwarded-For": get("/", X_Forwarded_For="{}"),
    "Forwarded host": get("/", X_Forwarded_Host="{}"),
    "Content-Type": lambda client, text: client.generic("POST", "/api/v1/filters", "{}", f"application/json; {text}"),
    "Content-Disposition": lambda client, text: client.generic(
        "POST",
        "/api/v1/backups/upload",
        "x",
        "application/octet-stream",
        headers={"Content-Disposition": f"attachment; filename={text}"},
    ),
    "Range": get("/api/v1/backups/tvarr-backup-2026-06-15T12-30-00.db.gz/download", Range="bytes={}"),
    "If-Match": lambda client, text: client.generic(
        "PATCH", f"/api/v1/filters/{FILTER_ID}", "{}", "application/json", headers={"If-Match": text}
    ),
    "If-Match of several": lambda client, text: client.generic(
        "PATCH",
        f"/api/v1/filters/{FILTER_ID}",
        "{}",
        "application/json",
        headers={"If-Match": ", ".join(f'"{n}"' for n in range(len(text) // 8))},
    ),
    "If-None-Match": get(f"/api/v1/filters/{FILTER_ID}", If_None_Match='"{}"'),
    "If-Modified-Since": get(f"/api/v1/filters/{FILTER_ID}", If_Modified_Since="{}"),
    "path": lambda client, text: client.get(f"/api/v1/{text}"),
    "page": lambda client, text: client.get("/backups/", {"page": text}),
    "search of the admin": lambda client, text: client.get("/admin/tvarr_backup/filter/", {"q": text}),
    "filter of the admin": lambda client, text: client.get("/admin/tvarr_backup/filter/", {"name__contains": text}),
    "login": form("/sign-in/", "username", password="x"),
    "next": lambda client, text: client.post("/sign-in/", {"username": "x", "password": "x", "next": text}),
    "cron": form("/settings/", "cron", schedule="cron"),
    "duration": form("/settings/", "max_age"),
    "note": form("/backups/create/", "note"),
    "text of an import": form("/import/", "text"),
    "parts of a form": multipart,
    "heads of a form": multipart_heads,
    "gzip": gzipped,
}
ALL = {**dict(calls()), **OTHERS}


@pytest.fixture
def client(settings: Any, tmp_path: Path) -> Client:
    settings.TVARR_BACKUP_DIRECTORY = tmp_path
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = None  # what else refuses a long text is to be past
    FilterFactory.create(id=FILTER_ID)
    client = Client(raise_request_exception=False)
    client.force_login(UserFactory.create())
    return client


def seconds(send: Send, client: Client, text: str, times: int) -> float:
    best = float("inf")
    for _ in range(times):
        cache.clear()  # of the count of a user's writes
        began = time.process_time()
        response = send(client, text)
        b"".join(response)
        best = min(best, time.process_time() - began)
        if response.status_code >= 500:
            raise AssertionError(f"{response.status_code}: {response.content[:200]!r}")
    return best


def test_the_document_names_calls() -> None:
    assert len(ALL) - len(OTHERS) > 100


@pytest.mark.parametrize("name", ALL)
def test_four_times_as_much_takes_about_four_times_as_long(name: str, client: Client) -> None:
    send = ALL[name]
    for kind, part in TEXTS.items():
        sizes = LARGE_SIZES if "body" in name else SIZES_OF_PATTERNS if "of the admin" in name else SIZES
        texts = [part * (size // len(part)) for size in sizes]
        for times in (3, 10, 30):  # a busy machine slows some down, whatever their size
            small, large = (seconds(send, client, text, times) for text in texts)
            print(f"| {name} | {kind} | {small * 1000:.1f} | {large * 1000:.1f} |")  # noqa: T201  # the table for whoever looks, with `-s`
            if large < LIMIT * max(small, NOISE_SECONDS):
                break
        else:
            pytest.fail(f"{kind}: {large:.3f} s for four times of what took {small:.3f} s")
