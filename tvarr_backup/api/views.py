"""The base class of the API's views."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from rest_framework.request import Request
from rest_framework.views import APIView

from tvarr_backup.api.permissions import action_of
from tvarr_backup.api.queries import require_known_parameters
from tvarr_backup.api.strict import StrictSerializer
from tvarr_backup.operations.actors import Actor
from tvarr_backup.operations.models import Origin


class StrictView(APIView):
    """A view that refuses unknown query parameters."""

    parameters: Mapping[str, Collection[str]] = {}
    """The query parameters of each action, or of each method if the view has no actions."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check the user, then the parameters. A method that the view does not have is refused as such."""
        super().initial(request, *args, **kwargs)
        if hasattr(self, str(request.method).lower()):
            require_known_parameters(request, self.parameters.get(action_of(self, request), ()))

    @property
    def actor(self) -> Actor:
        """The request's user, for `operations.actions`."""
        return Actor(self.request.user, Origin.API)

    def read_body(self, serializer: type[StrictSerializer]) -> dict[str, Any]:
        """Return the validated body. Raises `ValidationError`."""
        return self.read(serializer, self.request.data)

    def read(self, serializer: type[StrictSerializer], data: Any) -> dict[str, Any]:
        """Return validated data. Raises `ValidationError`."""
        sent = serializer(data=data)
        sent.is_valid(raise_exception=True)
        return dict(sent.validated_data)
