"""All URLs."""

from django.contrib import admin
from django.urls import include, path

from tvarr_backup.api.index import IndexView

urlpatterns = [
    path("", include("tvarr_backup.web.urls")),
    path("admin/", admin.site.urls),
    path("api/v1", IndexView.as_view(), name="api-index"),  # a slash at the end is removed before
    path("api/v1/", include("tvarr_backup.api.urls")),
    path("", include("tvarr_backup.api.health")),
]

handler400 = "config.refusals.bad_request"
handler403 = "config.refusals.forbidden"
handler404 = "config.refusals.not_found"
handler500 = "config.refusals.failed"
