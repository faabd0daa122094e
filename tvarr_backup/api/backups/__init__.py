"""Backups: the folder as it is now, and what can be done with it."""

from django.urls import path

from tvarr_backup.api.backups.backup import (
    BackupDetail,
    BackupDownload,
    BackupProtection,
    BackupRestore,
    BackupVerify,
)
from tvarr_backup.api.backups.folder import BackupList, BackupUpload

urlpatterns = [
    path("backups", BackupList.as_view(), name="api-backups"),
    path("backups/upload", BackupUpload.as_view(), name="api-backup-upload"),
    path("backups/<str:filename>", BackupDetail.as_view(), name="api-backup"),
    path("backups/<str:filename>/protection", BackupProtection.as_view(), name="api-backup-protection"),
    path("backups/<str:filename>/download", BackupDownload.as_view(), name="api-backup-download"),
    path("backups/<str:filename>/verify", BackupVerify.as_view(), name="api-backup-verify"),
    path("backups/<str:filename>/restore", BackupRestore.as_view(), name="api-backup-restore"),
]
