"""References of imported items to rows that do not exist yet, in the database `default`."""

from django.db import models

from tvarr_backup.fields import TimestampColumn, ULIDField


class HeldReference(models.Model):
    """A reference of an imported item to a row that does not exist yet, by the name or id in its file.

    It is valid while the row has the import's `updated_at` and no link, so every edit, ours or tvarr's, invalidates it. A new
    one is written inside the transaction on `tvarr`, and an older one deleted after the commit. So the valid one exists
    wherever the process is killed.
    """

    kind = models.CharField(max_length=50)
    row_id = ULIDField()
    member = models.CharField(max_length=50)
    value = models.TextField()
    row_updated_at = TimestampColumn()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "row_id", "member", "row_updated_at"], name="one_held_per_state_of_row"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.row_id}: {self.member} {self.value}"
