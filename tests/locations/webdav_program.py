"""The program that `tests/locations/webdav_server.py` starts, with the Python of `.venv-servers`.

    python webdav_program.py FOLDER PORT QUIRKS SIGN_IN

SIGN_IN is "none", "basic", "digest" or "both". QUIRKS is a JSON file, which is read at each request (`Quirks`).
"""

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cheroot import wsgi  # type: ignore[import-not-found]
from wsgidav.fs_dav_provider import FilesystemProvider  # type: ignore[import-not-found]
from wsgidav.wsgidav_app import WsgiDAVApp  # type: ignore[import-not-found]


class Faults:
    """Answers some requests itself, as other servers would."""

    def __init__(self, application: Any, quirks: Path) -> None:
        self._application, self._quirks = application, quirks

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        quirks = json.loads(self._quirks.read_text())
        method, length = environ["REQUEST_METHOD"], int(environ.get("CONTENT_LENGTH") or 0)
        status = quirks["refuse"].get(method)
        if method == "PUT" and quirks["space"] is not None and length > quirks["space"]:
            status = "507 Insufficient Storage"
        if method == "PUT" and quirks["most"] is not None and length > quirks["most"]:
            status = "413 Content Too Large"
        if status is not None:
            start_response(status, [("Content-Length", "0")])
            return []
        if quirks["ignore_range"]:
            environ.pop("HTTP_RANGE", None)
        return self._application(environ, start_response)  # type: ignore[no-any-return]


def main() -> None:
    folder, port, quirks, sign_in = sys.argv[1:]
    application = WsgiDAVApp({
        "provider_mapping": {"/dav": FilesystemProvider(folder)},
        "simple_dc": {"user_mapping": {"*": True if sign_in == "none" else {"operator": {"password": "s3cret-word"}}}},
        "http_authenticator": {
            "accept_basic": sign_in != "digest",
            "accept_digest": sign_in != "basic",
            "default_to_digest": sign_in != "basic",
        },
        "lock_storage": False,
        "verbose": 1,
        "logging": {"enable": False},
    })  # fmt: skip
    server = wsgi.Server(("127.0.0.1", int(port)), Faults(application, Path(quirks)), numthreads=4)
    server.start()


if __name__ == "__main__":
    main()
