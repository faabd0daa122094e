"""What OPTIONS answers."""

from __future__ import annotations

from typing import Any

from rest_framework.metadata import BaseMetadata
from rest_framework.request import Request


class Methods(BaseMetadata):
    """The methods of an address, as the header Allow has them too; the schema has all else."""

    def determine_metadata(self, _request: Request, view: Any) -> dict[str, Any]:
        return {"methods": view.allowed_methods}
