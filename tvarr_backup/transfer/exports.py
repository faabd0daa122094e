"""Send exports over HTTP."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterable
from datetime import UTC

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


def _send(export: Export, name: str) -> StreamingHttpResponse:
    headers = {"Content-Type": "application/json", "Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(export, headers=headers)


def _name_now() -> str:
    return f"tvarr-export-{timezone.now().astimezone(UTC):%Y-%m-%dT%H-%M-%S}"


def archive_response(exports: Iterable[tuple[Kind, Export]]) -> FileResponse:
    """Return a response that sends several exports as a ZIP archive, which is written to a temporary file first."""
    now = timezone.now()
    archive = tempfile.TemporaryFile()  # noqa: SIM115  # the response closes it
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for kind, export in exports:
            with packed.open(export_file_name(kind, now), "w") as file:
                file.writelines(export)
    archive.seek(0)
    return FileResponse(archive, as_attachment=True, filename=f"{_name_now()}.zip")
