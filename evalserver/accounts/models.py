"""Who takes part: users, and the teams in whose name they submit."""

from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.models import AbstractUser
from django.core.validators import URLValidator
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

# Who deleted the account keeps a row without a name, and an address of this domain (RFC 2606).
DELETED_DOMAIN = "invalid.invalid"


class UserManager(BaseUserManager["User"]):
    """Users are known by their e-mail address; there is no user name."""

    use_in_migrations = True

    def get_by_natural_key(self, username: str | None) -> "User":
        # Addresses are unique without regard to case, and people type them either way.
        return self.get(email__iexact=username)

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        user = self.create_user(email, password, **{"is_staff": True, "is_superuser": True, **fields})
        # Whoever can run the command needs no mail to prove who they are.
        from allauth.account.models import EmailAddress  # its models need ours

        EmailAddress.objects.create(user=user, email=user.email.lower(), verified=True, primary=True)
        return user


class User(AbstractUser):
    """An account. It signs in with its e-mail address; there is no user name."""

    username = None  # type: ignore[assignment]
    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]
    email = models.EmailField("e-mail address", unique=True)
    name = models.CharField(max_length=80, help_text="Shown to your team and on the leaderboard")
    affiliation = models.CharField("institution", max_length=120, blank=True)
    mail_when_done = models.BooleanField(
        "mail me when an evaluation of mine ends", default=True, help_text="One message a submission, with its result."
    )

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["name"]
    objects = UserManager()  # type: ignore[assignment,misc]

    class Meta:
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                name="user_email_unique_any_case",
                violation_error_message="An account with this e-mail address exists already. Log in instead.",
            )
        ]

    def __str__(self) -> str:
        return self.name or self.email

    def get_full_name(self) -> str:
        return self.name

    def get_short_name(self) -> str:
        return self.name


class Team(models.Model):
    """The unit that submits and is ranked. Each user has a personal one from the start."""

    name = models.CharField(max_length=80)
    institution = models.CharField(max_length=120, blank=True, default="", db_default="")
    url = models.URLField(
        "web page", blank=True, default="", db_default="", validators=[URLValidator(schemes=["http", "https"])]
    )
    is_personal = models.BooleanField(default=False)
    members = models.ManyToManyField(User, through="Membership", related_name="teams")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                Lower("name"),
                name="team_name_unique_any_case",
                violation_error_message="There is a team of this name already.",
            )
        ]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A user in a team. The role decides who may invite, remove and rename."""

    class Role(models.TextChoices):
        OWNER = "owner"
        MEMBER = "member"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)
    joined_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "team"], name="one_membership_per_team")]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"


class ApiToken(models.Model):
    """A program's key to one user's account. The key itself is shown once and never stored.

    digest : SHA-256 of the whole key, in hex. The key has 256 random bits, so a slow hash would add nothing.
    hint : the key's first characters, by which its owner recognises it.
    """

    class Scope(models.TextChoices):
        READ = "read", "Read: benchmarks, results and the submissions of your teams"
        SUBMIT = "submit", "Submit: upload files, make and change submissions of your teams"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=80)
    scopes = models.JSONField(default=list)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=16, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"

    @property
    def is_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def is_usable(self) -> bool:
        return self.revoked_at is None and not self.is_expired

    def allows(self, scope: str) -> bool:
        """Whether a request with this token may do what the scope names."""
        return scope in self.scopes


class Invitation(models.Model):
    """A link that adds one user to a team. It works once; only its digest is stored."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField("e-mail address")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, editable=False)
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", editable=False
    )
    revoked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        ordering = ["-created_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.email} to {self.team}"

    @property
    def is_open(self) -> bool:
        return self.accepted_at is None and self.revoked_at is None and self.expires_at > timezone.now()
