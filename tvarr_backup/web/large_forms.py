"""Forms that are larger than Django takes: read by the view itself, once it is known who sends them."""

from __future__ import annotations

import binascii
import re
from urllib.parse import parse_qsl

from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http import HttpRequest, QueryDict
from django.utils.datastructures import MultiValueDict

from tvarr_backup.errors import FileTooLarge

_BLOCK = 2**20
_UNUSUAL = re.compile(rb"[^!-~]|%(?![0-9A-Fa-f]{2})")
"""No browser leaves these in a form."""


class _KeptInMemory(MemoryFileUploadHandler):
    """Keeps a file of a form in memory, whatever its size: the length of the form is known to be within the limit."""

    def handle_raw_input(self, *_args: object, **_kwargs: object) -> None:
        self.activated = True


def _fields(body: bytes) -> list[tuple[str, str]]:
    """As `parse_qsl`, which takes ten times as long for what browsers send: quoted-printable, read in C, has the same marks."""
    if _UNUSUAL.search(body):
        return parse_qsl(body.decode("utf-8", errors="replace"), keep_blank_values=True)
    pairs = (pair.partition(b"=") for pair in body.split(b"&") if pair)
    return [(_unquoted(name), _unquoted(value)) for name, _, value in pairs]


def _unquoted(text: bytes) -> str:
    marked = text.replace(b"=", b"=3D").replace(b"+", b" ").replace(b"%", b"=")
    return binascii.a2b_qp(marked).decode("utf-8", errors="replace")


def receive_form(request: HttpRequest, most_bytes: int, most_fields: int) -> None:
    """Make `request.POST` and `request.FILES` of a body of `most_bytes` at most, none of it on the disk.

    Call it in a view that is `csrf_exempt`, before anything else looks at the form, and check the token afterwards
    (`csrf_protect`). Raises `FileTooLarge` for more, or for more than `most_fields` fields of a form without a file. All of
    the body was read then: a browser that is not listened to shows no answer.
    """
    if int(request.META.get("CONTENT_LENGTH") or 0) > most_bytes:
        while request.read(_BLOCK):
            pass
        raise FileTooLarge(f"This is larger than {most_bytes // 2**20} MiB, which is the most that is read.")
    if request.content_type == "multipart/form-data":
        request.upload_handlers = [_KeptInMemory(request)]
        return
    body = request.read(most_bytes)
    if body.count(b"&") >= most_fields:
        raise FileTooLarge(f"The form has more than {most_fields} fields, which is the most that is read.")
    form = QueryDict(mutable=True)
    for name, value in _fields(body):
        form.appendlist(name, value)
    form._mutable = False  # noqa: SLF001  # as Django makes its own
    request._post = form  # type: ignore[attr-defined]  # noqa: SLF001  # Django has no other way
    request._files = MultiValueDict()  # type: ignore[attr-defined]  # noqa: SLF001  # the same
