"""Addresses below `/api/v1`. A slash at the end is optional (`middleware.RequestChecks`)."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from tvarr_backup.api import configuration, kinds, portable
from tvarr_backup.api.backups.views import BackupViewSet
from tvarr_backup.api.docs import Docs, Schema
from tvarr_backup.api.expressions import ValidateView
from tvarr_backup.api.imports import ImportViewSet
from tvarr_backup.api.locations import LocationViewSet
from tvarr_backup.api.matches import ClientRuleTestView, FilterTestView, MappingRuleTestView, MatchesView
from tvarr_backup.api.operations import OperationViewSet
from tvarr_backup.api.schedule import ScheduleView

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("backups", BackupViewSet, "api-backup")
router.register("configuration/history", configuration.HistoryViewSet, "api-history")
router.register("imports", ImportViewSet, "api-import")
router.register("locations", LocationViewSet, "api-location")
router.register("operations", OperationViewSet, "api-operation")
for viewset in kinds.VIEWSETS:
    router.register(viewset.kind.url_slug, viewset, f"api-{viewset.kind.url_slug}")

urlpatterns = [
    path("schema", Schema.as_view(), name="schema"),
    path("docs", Docs.as_view(), name="docs"),
    path("expressions/validate", ValidateView.as_view(), name="api-expressions"),
    path("expressions/test", MatchesView.as_view(), name="api-expressions-test"),
    # tvarr's own addresses, before the kinds, because `test` would match as an id
    path("filters/test", FilterTestView.as_view(), name="api-filters-test"),
    path("data-mapping/test", MappingRuleTestView.as_view(), name="api-data-mapping-test"),
    path("client-detection-rules/test", ClientRuleTestView.as_view(), name="api-client-detection-rules-test"),
    path(
        "backups/schedule", ScheduleView.as_view(), name="api-schedule"
    ),  # before the backups, because `schedule` would match as a name
    *configuration.urlpatterns,
    *portable.urlpatterns,  # before the kinds, because `export` and `import` would match as ids
    *router.urls,
]
