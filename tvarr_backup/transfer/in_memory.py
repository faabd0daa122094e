"""Files of forms whose size is limited before they are read."""

from django.core.files.uploadhandler import FileUploadHandler, MemoryFileUploadHandler


class KeepInMemory(MemoryFileUploadHandler):
    """Keep a file in memory, whatever its size."""

    activated = True
    handle_raw_input = FileUploadHandler.handle_raw_input
