"""API tokens in the admin: to look at and to revoke. They are made by the command, which shows a secret once."""

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
    """Everybody's own; others' with the permission to view, and to delete, tokens."""

    list_display = ("name", "user", "created", "expiry")
    list_select_related = ("user",)
    fields = ("name", "user", "created", "expiry")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        tokens = super().get_queryset(request)
        return tokens if request.user.has_perm("access.view_apitoken") else tokens.filter(user=request.user)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _is_own(request, obj) or request.user.has_perm("access.view_apitoken")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return _is_own(request, obj) or request.user.has_perm("access.delete_apitoken")

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Model]) -> None:
        """The permission is asked for each row: a choice may hold others' tokens, too."""
        allowed = [token.pk for token in queryset if self.has_delete_permission(request, token)]
        super().delete_queryset(request, queryset.filter(pk__in=allowed))

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        shown = {
            "title": "API tokens",
            "subtitle": f"Made with `{program.NAME} token create NAME --user USER`, which shows it once",
        }
        return super().changelist_view(request, shown | (extra_context or {}))


def _is_own(request: HttpRequest, token: Model | None) -> bool:
    """Whether it is the asking user's; of no token in particular, everybody may have some."""
    return token is None or (isinstance(token, ApiToken) and token.user == request.user)


# Neither is written: what fails is in the list of attempts, and deleting an attempt there lets its user in again.
admin.site.unregister([AccessAttempt, AccessLog, AccessFailureLog])


@admin.register(AccessAttempt)
class FailedSignInAdmin(AccessAttemptAdmin):  # type: ignore[misc]  # it has no types
    """Failed attempts to sign in, without an action that fails and asks for no permission. Attempts expire anyway."""

    actions = ()
