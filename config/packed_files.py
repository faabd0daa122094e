"""Static files on their way: texts are compressed once, and then kept in memory."""

from __future__ import annotations

import gzip
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.middleware.gzip import re_accepts_gzip
from django.utils.cache import patch_vary_headers
from whitenoise.middleware import WhiteNoiseMiddleware

_TEXTS = ("text/css", "text/javascript", "application/javascript", "image/svg+xml")
_REMEMBERED = 100


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc]  # WhiteNoise has no types
    """WhiteNoise, which sends what lies compressed beside a file, without that: nobody has to put it there.

    Parts of files, and what says that a file has not changed, stay as they are.
    """

    @staticmethod
    def serve(static_file: Any, request: HttpRequest) -> Any:
        response: Any = WhiteNoiseMiddleware.serve(static_file, request)
        if not response.get("Content-Type", "").startswith(_TEXTS):
            return response
        patch_vary_headers(response, ["Accept-Encoding"])
        takes_gzip = re_accepts_gzip.search(request.headers.get("Accept-Encoding", ""))
        if request.method != "GET" or response.status_code != HTTPStatus.OK or not takes_gzip:
            return response
        packed = HttpResponse(_packed(response.file_to_stream.name), headers=dict(response.items()))
        packed["Content-Length"], packed["Content-Encoding"] = str(len(packed.content)), "gzip"
        response.close()
        return packed


@lru_cache(maxsize=_REMEMBERED)
def _packed(path: str) -> bytes:
    """The file, which does not change while its address is known."""
    return gzip.compress(Path(path).read_bytes(), mtime=0)
