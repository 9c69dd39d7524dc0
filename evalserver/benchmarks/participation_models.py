"""Who takes part in a benchmark that wants approval."""

from django.db import models

from evalserver.accounts.models import Team, User


class Participation(models.Model):
    """A team's request to take part in a benchmark that wants approval, and the organisers' answer."""

    class Status(models.TextChoices):
        REQUESTED = "requested", "requested"
        APPROVED = "approved", "approved"
        DECLINED = "declined", "declined"

    benchmark = models.ForeignKey("benchmarks.Benchmark", on_delete=models.CASCADE, related_name="participations")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="participations")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.REQUESTED)
    message = models.TextField(blank=True, max_length=2000, help_text="From the team to the organisers")
    requested_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True, blank=True, editable=False)
    decided_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+", editable=False)

    class Meta:
        ordering = ["-requested_at"]
        constraints = [
            models.UniqueConstraint(fields=["benchmark", "team"], name="one_participation_per_team"),
        ]

    def __str__(self) -> str:
        return f"{self.team} in {self.benchmark}: {self.status}"
