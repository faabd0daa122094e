"""API tokens and failed sign-ins in the admin. Tokens are created elsewhere, because their secret is shown once."""

from __future__ import annotations

from typing import Any

from axes.admin import AccessAttemptAdmin
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from tvarr_backup import program
from tvarr_backup.access.models import ApiToken
from tvarr_backup.admin.visible import ReadOnlyAdmin


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """The user's own tokens; those of others need the permission to view or delete tokens."""

    list_display = ("name", "user", "scope", "created", "expiry", "last_used")
    list_select_related = ("user",)
    fields = list_display

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        tokens = super().get_queryset(request)
        return tokens if request.user.has_perm("access.view_apitoken") else tokens.filter(user=request.user)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _is_own(request, obj) or request.user.has_perm("access.view_apitoken")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _is_own(request, obj) or request.user.has_perm("access.delete_apitoken")

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Model]) -> None:
        """Delete the permitted tokens. A selection may include tokens of others."""
        allowed = [token.pk for token in queryset if self.has_delete_permission(request, token)]
        super().delete_queryset(request, queryset.filter(pk__in=allowed))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {
            "title": "API tokens",
            "subtitle": f"Create a token on the page Account, or with `{program.NAME} token create NAME --user USER`",
        }
        return super().changelist_view(request, context | (extra_context or {}))


def _is_own(request: HttpRequest, token: Model | None) -> bool:
    """Return whether a token belongs to the user. Without a token, any user may have some."""
    return token is None or (isinstance(token, ApiToken) and token.user == request.user)


# Failed sign-ins are in the list of attempts; the other two logs are not written. Deleting an attempt ends its lock.
admin.site.unregister([AccessAttempt, AccessLog, AccessFailureLog])


@admin.register(AccessAttempt)
class FailedSignInAdmin(AccessAttemptAdmin):  # type: ignore[misc]  # untyped
    """Failed sign-ins, without the action of django-axes, which fails and checks no permission. Attempts expire."""

    actions = ()
