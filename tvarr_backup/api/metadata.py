"""Answers to OPTIONS."""

from __future__ import annotations

from typing import Any

from rest_framework.metadata import BaseMetadata
from rest_framework.request import Request


class AllowedMethods(BaseMetadata):
    """The methods of an address, which the header `Allow` lists too."""

    def determine_metadata(self, _request: Request, view: Any) -> dict[str, Any]:
        return {"methods": view.allowed_methods}
