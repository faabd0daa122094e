"""Send exports over HTTP."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain

from django.http import FileResponse, StreamingHttpResponse
from django.utils import timezone

from tvarr_backup.portable.export import Export, export_file_name
from tvarr_backup.portable.kinds import Kind


def export_response(kind: Kind, export: Export) -> StreamingHttpResponse:
    """Return a response that sends an export as a file while it is read from the database."""
    return _send(export, export_file_name(kind, timezone.now()))


def bundle_response(export: Export) -> StreamingHttpResponse:
    """Return a response that sends an export of several kinds as one file."""
    return _send(export, f"{_name_now()}.json")


def _send(export: Iterable[bytes], name: str) -> StreamingHttpResponse:
    headers = {"Content-Type": "application/json", "Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(export, headers=headers)


def _name_now() -> str:
    return f"tvarr-export-{timezone.now().astimezone(UTC):%Y-%m-%dT%H-%M-%S}"


def files_response(exports: Sequence[tuple[Kind, Export]]) -> StreamingHttpResponse | FileResponse:
    """Return a response that sends files for tvarr: one file, or a ZIP archive if there are several.

    A kind that is larger than tvarr imports is split. The archive is written to a temporary file first.
    """
    now = timezone.now()
    files = _name_files(exports, now)
    first, second = next(files), next(files, None)
    if second is None:
        return _send([first[1]], first[0])
    archive = tempfile.TemporaryFile()  # noqa: SIM115  # the response closes it
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in chain((first, second), files):
            packed.writestr(name, content)
    archive.seek(0)
    return FileResponse(archive, as_attachment=True, filename=f"{_name_now()}.zip")


def _name_files(exports: Sequence[tuple[Kind, Export]], moment: datetime) -> Iterator[tuple[str, bytes]]:
    for kind, export in exports:
        files = export.split()
        first, second = next(files), next(files, None)
        if second is None:
            yield export_file_name(kind, moment), first
            continue
        for part, content in enumerate(chain((first, second), files), 1):
            yield export_file_name(kind, moment, part), content
