"""Addresses of the pages."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from tvarr_backup.web import account, backups, exports, imports, operations

urlpatterns = [
    path("", backups.backups, name="home"),
    path("backups/create/", backups.create, name="create-backup"),
    path("operations/bar/", operations.bar, name="operation-bar"),
    path("operations/<pk>/", operations.operation, name="operation"),
    path("operations/<pk>/cancel/", operations.cancel, name="cancel-operation"),
    path("export/", exports.page, name="export"),
    path("export/<slug>/", exports.download, name="export-kind"),
    path("export/<slug>/preview/", exports.preview, name="export-preview"),
    path("import/", imports.page, name="import"),
    path("import/result/<mark>/", imports.result, name="import-result"),
    path("history/", operations.history, name="history"),
    path("account/", account.account, name="account"),
    path("account/password/", account.Password.as_view(), name="password"),
    path("account/tokens/revoke/", account.revoke, name="revoke"),
    path("sign-in/", account.SignIn.as_view(), name="sign-in"),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
]
