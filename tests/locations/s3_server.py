"""S3 services for tests: moto in a process of its own, and a server that gives one answer to everything."""

from __future__ import annotations

import json
import os
import re
import secrets
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from tests.installation import ROOT
from tests.locations.certificates import Certificate
from tests.locations.places import Place
from tests.processes import wait_until
from tests.ups import free_port
from tvarr_backup.locations.addresses import Address, LocationKind, read_address

PYTHON = ROOT / ".venv-servers" / "bin" / "python"
_MANY = 5_000
_PROGRAM = """
import sys
from moto.s3.models import s3_backends
from moto.server import main
backend = s3_backends["123456789012"]["aws"]
backend.create_bucket("many", "us-east-1")
for number in range(int(sys.argv[1])):
    backend.put_object("many", f"home/tvarr/mine/{number}.age", b"1")
main(sys.argv[2:])
"""
"""Moto, with a bucket of many objects, because it takes 13 ms to put one."""
_NEW_USER = """
import boto3, json, sys
iam = boto3.client("iam", endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
iam.create_user(UserName=sys.argv[2])
policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:List*", "Resource": "*"}]}
iam.put_user_policy(UserName=sys.argv[2], PolicyName="lists", PolicyDocument=json.dumps(policy))
key = iam.create_access_key(UserName=sys.argv[2])["AccessKey"]
print(json.dumps({"access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]}))
"""


_ODD_KEYS = (
    *("/a.age", "//b", "/", "./c", "../d", ".", "..", "e//", "f\tg", "h\x01i", "j\\k", " l ", "\u202eb.age"),
    *("%2e", "a%2Fb", "a+b", "c", "c/d"),
)


def s3_address(endpoint: str, **options: str) -> Address:
    keys = {"access_key": "an-access-key", "secret_key": "a-secret-key"}
    return read_address(LocationKind.S3, {"bucket": "backups", "endpoint": endpoint} | keys | options)


class S3Place(Place):
    """A bucket with a prefix."""

    def __init__(self, server: S3Server, bucket: str) -> None:
        self._server, self._bucket = server, bucket
        server.ask("PUT", bucket)
        self.address = s3_address(server.url, bucket=bucket, prefix="home/tvarr")
        self.missing = s3_address(server.url, bucket=f"{bucket}-missing", prefix="home/tvarr")

    def names(self) -> set[str]:
        return {name.removeprefix("home/tvarr/") for name in self._server.keys_of(self._bucket)}

    def put(self, name: str, content: bytes) -> None:
        self._server.ask("PUT", f"{self._bucket}/home/tvarr/{quote(name)}", content)

    def put_odd_names(self) -> None:
        for folder in ("", "mine/"):
            for name in _ODD_KEYS:
                self.put(f"{folder}{name}", b"of another program")

    def with_objects(self, number: int) -> Address:
        assert number == _MANY
        return self.address.with_options(bucket="many")

    def unfinished(self) -> int:
        """Return how many uploads in parts are not complete."""
        return self._server.ask("GET", f"{self._bucket}?uploads").count("<Upload>")


@dataclass
class S3Server:
    """Moto. It does not check keys, unless `checking_keys` says so."""

    url: str
    trust: ssl.SSLContext | None = None

    def ask(self, method: str, path: str, content: bytes | None = None) -> str:
        request = urllib.request.Request(f"{self.url}/{path}", data=content, method=method)
        request.add_header("Content-Type", "application/octet-stream")  # moto drops the content of forms
        with urllib.request.urlopen(request, timeout=30, context=self.trust) as answer:
            text: str = answer.read().decode()
            return text

    def keys_of(self, bucket: str) -> list[str]:
        listed = self.ask("GET", f"{bucket}?list-type=2&encoding-type=url&max-keys=100000")
        return [unquote(key) for key in re.findall("<Key>([^<]*)</Key>", listed)]

    @contextmanager
    def checking_keys(self) -> Iterator[dict[str, str]]:
        """Check keys. Yield those of a user who may list objects, and nothing else."""
        made = subprocess.run(
            [PYTHON, "-c", _NEW_USER, self.url, f"user-{secrets.token_hex(4)}"],
            capture_output=True,
            text=True,
            check=True,
        )
        self.ask("POST", "moto-api/reset-auth", b"0")
        try:
            yield json.loads(made.stdout)
        finally:
            self.ask("POST", "moto-api/reset-auth", b"inf")


@contextmanager
def running_moto(folder: Path, certificate: Certificate | None = None, *, many: int = _MANY) -> Iterator[S3Server]:
    if not PYTHON.exists():
        pytest.exit("The tests need an S3 service: `make servers` installs it.")
    port = free_port()
    options = ["-H", "127.0.0.1", "-p", str(port)]
    scheme, trust = "http", None
    if certificate is not None:
        scheme, trust = "https", ssl.create_default_context(cafile=str(certificate.authority))
        options += ["-s", "-c", str(certificate.chain), "-k", str(certificate.key)]
    server = S3Server(f"{scheme}://127.0.0.1:{port}", trust)
    log = folder / "moto.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", "--", PYTHON, "-c", _PROGRAM, str(many), *options],
            stdout=file,
            stderr=file,
            env={"PATH": os.environ["PATH"], "PYTHONWARNINGS": "ignore"},
        )
    try:
        wait_until(lambda: _answers(server, process, log), "moto answers", seconds=60)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=30)


def _answers(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        server.ask("GET", "moto-api/")
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@dataclass
class Answers:
    """A server with one answer. `requests` are the methods and paths that it was asked, `secrets` the signatures it got."""

    url: str = ""
    requests: list[str] = field(default_factory=list)
    signed: list[str] = field(default_factory=list)


@contextmanager
def answering(
    status: int, body: str = "", *, headers: dict[str, str] | None = None, certificate: Certificate | None = None
) -> Iterator[Answers]:
    """Run a server that gives this answer to each request. `{path}` in a header is the path that was asked for."""
    answers = Answers()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answers.requests.append(f"{self.command} {self.path}")
            answers.signed += self.headers.get_all("Authorization") or []
            self.send_response(status)
            for name, text in (headers or {}).items():
                self.send_header(name, text.format(path=self.path))
            content = b"" if self.command == "HEAD" else body.encode()
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815  # the names of the base class

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        scheme = "http"
        if certificate is not None:
            scheme = "https"
            server.socket = certificate.context().wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_arguments: None  # type: ignore[method-assign]  # clients that trust nobody
        answers.url = f"{scheme}://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield answers
        finally:
            server.shutdown()


def error_xml(code: str, members: str = "") -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>No.</Message>{members}</Error>'
