"""Addresses of the pages."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from tvarr_backup.web import account, backups, operations, schedule

urlpatterns = [
    path("", backups.backups, name="home"),
    path("backups/create/", backups.create, name="create-backup"),
    path("operations/bar/", operations.bar, name="operation-bar"),
    path("operations/<pk>/", operations.operation, name="operation"),
    path("operations/<pk>/cancel/", operations.cancel, name="cancel-operation"),
    path("history/", operations.history, name="history"),
    path("settings/", schedule.schedule, name="settings"),
    path("settings/preview/", schedule.preview, name="settings-preview"),
    path("settings/reset/", schedule.reset, name="reset-settings"),
    path("account/", account.account, name="account"),
    path("account/password/", account.Password.as_view(), name="password"),
    path("account/tokens/revoke/", account.revoke, name="revoke"),
    path("sign-in/", account.SignIn.as_view(), name="sign-in"),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("admin/login/", account.sign_in_to_admin),
]
