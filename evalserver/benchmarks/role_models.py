"""Who organises one benchmark, and what each role may do there."""

from django.db import models

from evalserver.accounts.models import User


class Role(models.Model):
    """A user's part in one benchmark. Staff with Django's permissions may do the same in all of them."""

    class Name(models.TextChoices):
        OWNER = "owner", "owner (also gives roles)"
        ORGANISER = "organiser", "organiser (changes the benchmark and its entries)"
        REVIEWER = "reviewer", "reviewer (reads, changes nothing)"

    benchmark = models.ForeignKey("benchmarks.Benchmark", on_delete=models.CASCADE, related_name="roles")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="benchmark_roles")
    name = models.CharField("role", max_length=10, choices=Name.choices, default=Name.REVIEWER)
    given_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["benchmark", "user__email"]
        constraints = [
            models.UniqueConstraint(fields=["benchmark", "user"], name="one_role_of_a_user_in_a_benchmark"),
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.name} of {self.benchmark}"
