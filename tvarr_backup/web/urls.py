"""Addresses of the pages."""

from django.urls import path, register_converter

from tvarr_backup.web import (
    account,
    backups,
    configuration,
    documentation,
    exports,
    expressions,
    imports,
    locations,
    operations,
    receivers,
    restore,
    schedule,
    undo,
    upload,
)


class Ulid:
    regex = "[0-7][0-9A-HJKMNP-TV-Z]{25}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return str(value)


register_converter(Ulid, "ulid")

urlpatterns = [
    path("", backups.backups, name="home"),
    path("backups/create/", backups.create, name="create-backup"),
    path("backups/chart/", backups.chart, name="backup-chart"),
    path("backups/upload/", upload.upload, name="upload"),
    path("backups/delete/", backups.delete, name="delete-backups"),
    path("backups/<str:filename>/", backups.backup, name="backup"),
    path("backups/<str:filename>/note/", backups.note, name="backup-note"),
    path("backups/<str:filename>/protect/", backups.protect, name="protect-backup"),
    path("backups/<str:filename>/verify/", backups.verify, name="verify-backup"),
    path("backups/<str:filename>/rehearse/", backups.rehearse, name="rehearse-backup"),
    path("backups/<str:filename>/download/", backups.send, name="download-backup"),
    path("backups/<str:filename>/restore/", restore.restore, name="restore"),
    path("locations/", locations.locations, name="locations"),
    path("locations/add/", locations.add, name="add-location"),
    path("locations/<slug:location>/", locations.location, name="location"),
    path("locations/<slug:location>/test/", locations.test, name="test-location"),
    path("locations/<slug:location>/copy/", locations.copy, name="copy-to-location"),
    path("locations/<slug:location>/check/", locations.check, name="check-location"),
    path("locations/<slug:location>/pause/", locations.pause, name="pause-location"),
    path("locations/<slug:location>/host-key/", locations.host_key, name="location-host-key"),
    path("locations/<slug:location>/change/", locations.change, name="change-location"),
    path("locations/<slug:location>/key/", locations.key, name="location-key"),
    path("locations/<slug:location>/rehearse/", locations.rehearse, name="rehearse-location"),
    path("locations/<slug:location>/identity/", locations.identity, name="location-identity"),
    path("locations/<slug:location>/remove/", locations.remove, name="remove-location"),
    path("operations/bar/", operations.bar, name="operation-bar"),
    path("operations/<ulid:pk>/", operations.operation, name="operation"),
    path("operations/<ulid:pk>/cancel/", operations.cancel, name="cancel-operation"),
    path("operations/<ulid:pk>/dismiss/", operations.dismiss, name="dismiss-operation"),
    path("expressions/", expressions.tester, name="expressions"),
    path("configuration/items/<str:kind>/<str:row_id>/matches/", expressions.item_matches, name="item-matches"),
    path("export/", exports.page, name="export"),
    path("export/download/", exports.download, name="export-download"),
    path("export/preview/", exports.preview, name="export-preview"),
    path("import/", imports.upload, name="import"),
    path("import/<ulid:record>/", imports.preview, name="import-preview"),
    path("import/<ulid:record>/matches/", imports.matches, name="import-matches"),
    path("import/<ulid:record>/choices/", imports.choose, name="import-choices"),
    path("import/<ulid:record>/check/", imports.check, name="import-check"),
    path("import/<ulid:record>/apply/", imports.apply, name="import-apply"),
    path("import/<ulid:record>/discard/", imports.discard, name="import-discard"),
    path("import/<ulid:applied>/undo/", undo.undo, name="import-undo"),
    path("backups/<str:filename>/read/", configuration.read_backup, name="read-backup"),
    path("configuration/", configuration.configuration, name="configuration"),
    path("configuration/compare/", configuration.compare, name="compare"),
    path("configuration/compare/matches/", configuration.compare_matches, name="compare-matches"),
    path("configuration/take/", configuration.take, name="take"),
    path("configuration/events/<int:number>/", configuration.event, name="history-event"),
    path("configuration/events/<int:number>/matches/", configuration.event_matches, name="event-matches"),
    path("configuration/items/<str:kind>/<str:row_id>/", configuration.item, name="item-history"),
    path("history/", operations.history, name="history"),
    path("settings/", schedule.schedule, name="settings"),
    path("settings/preview/", schedule.preview, name="settings-preview"),
    path("settings/reset/", schedule.reset, name="reset-settings"),
    path("settings/receivers/", receivers.receivers, name="receivers"),
    path("settings/receivers/add/", receivers.add, name="add-receiver"),
    path("settings/receivers/advice/", receivers.dismiss_advice, name="dismiss-receiver-advice"),
    path("settings/receivers/messages/", receivers.outbox, name="receiver-messages"),
    path("settings/receivers/<slug:receiver>/", receivers.receiver, name="receiver"),
    path("settings/receivers/<slug:receiver>/test/", receivers.test, name="test-receiver"),
    path("settings/receivers/<slug:receiver>/pause/", receivers.pause, name="pause-receiver"),
    path("settings/receivers/<slug:receiver>/change/", receivers.change, name="change-receiver"),
    path("settings/receivers/<slug:receiver>/remove/", receivers.remove, name="remove-receiver"),
    path("account/", account.account, name="account"),
    path("account/password/", account.Password.as_view(), name="password"),
    path("account/tokens/revoke/", account.revoke, name="revoke"),
    path("docs/", documentation.documentation, name="documentation"),
    path("docs/<path:name>", documentation.documentation, name="documentation-page"),
    path("sign-in/", account.SignIn.as_view(), name="sign-in"),
    path("sign-out/", account.SignOut.as_view(), name="sign-out"),
    path("admin/login/", account.sign_in_to_admin),
]
