"""Send an export over HTTP."""

from __future__ import annotations

from django.http import StreamingHttpResponse
from django.utils import timezone

from tvarr_backup.portable.export import Export, export_file_name
from tvarr_backup.portable.kinds import Kind


def export_response(kind: Kind, export: Export) -> StreamingHttpResponse:
    """Return a response that sends an export as a file while it is read from the database."""
    name = export_file_name(kind, timezone.now())
    headers = {"Content-Type": "application/json", "Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingHttpResponse(export, headers=headers)
