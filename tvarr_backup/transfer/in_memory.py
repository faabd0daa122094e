"""An upload handler for files whose size is limited before they are read."""

from django.core.files.uploadhandler import FileUploadHandler, MemoryFileUploadHandler


class KeepInMemory(MemoryFileUploadHandler):
    """Keep an uploaded file in memory, whatever its size."""

    activated = True
    handle_raw_input = FileUploadHandler.handle_raw_input
