"""What imports must remember beside tvarr's own tables, in the database `default`."""

from django.db import models

from tvarr_backup.fields import TimestampColumn, ULIDField


class HeldReference(models.Model):
    """A reference of an imported item to something that is not here yet, by the name or id in its file.

    tvarr's columns hold only ids of existing rows, so importing rules before their profiles would lose the link. It counts as
    long as the row is as the import left it (`row_updated_at`) and has no reference. Exports include it, and the import that
    brings the missing row completes it. When a row is written again, the older reference is deleted only after the commit.
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
