"""Organisers' pages of users, teams and tokens."""

from typing import Any

from allauth.account.admin import EmailAddressAdmin
from allauth.account.models import EmailAddress
from allauth.mfa.admin import AuthenticatorAdmin
from allauth.mfa.models import Authenticator
from allauth.socialaccount.admin import SocialAccountAdmin, SocialAppAdmin, SocialTokenAdmin
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms import BaseInlineFormSet, ModelForm
from django.http import HttpRequest

from evalserver.accounts.forms import ASSUME_HTTPS
from evalserver.accounts.models import ApiToken, Membership, Team, User
from evalserver.accounts.services import confirm_address, give_personal_team, revoke_token
from evalserver.accounts.teams import TeamError, require_owners, teams_left_without_owner


class MembershipFormSet(BaseInlineFormSet):
    """Members of a team, or teams of a user: whatever is changed, no team loses its last owner."""

    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        before = [form.instance.pk for form in self.initial_forms]
        gone = set(self.deleted_forms)
        after = [form.instance for form in self.forms if form not in gone and (form.instance.pk or form.has_changed())]
        try:
            require_owners(before=before, after=after)
        except TeamError as refusal:
            raise ValidationError(str(refusal)) from None


class MembershipInline(admin.TabularInline):
    """Members on the page of a team, and teams on the page of a user."""

    model = Membership
    formset = MembershipFormSet
    extra = 0
    autocomplete_fields = ["user", "team"]


class UserCreationForm(AdminUserCreationForm):
    """A new account: address and name in place of Django's user name."""

    class Meta:
        model = User
        fields = ("email", "name")


RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions")


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    """Accounts at /admin/, with their teams.

    Superusers alone give rights, and change accounts of staff: whoever sets a password or an address has the account.
    """

    add_form = UserCreationForm
    ordering = ["email"]
    list_display = ["email", "name", "is_staff", "is_active", "date_joined", "last_login"]
    list_filter = ["is_staff", "is_active", "date_joined"]
    search_fields = ["email", "name"]
    fieldsets = [
        (None, {"fields": ["email", "name", "password"]}),
        ("Permissions", {"fields": ["is_active", "is_staff", "is_superuser", "groups", "user_permissions"]}),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    ]
    add_fieldsets = [(None, {"fields": ["email", "name", "usable_password", "password1", "password2"]})]
    inlines = [MembershipInline]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """Rights, for those who may not give them."""
        return () if request.user.is_superuser else RIGHTS

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Whether this organiser may change the account, its password included."""
        return super().has_change_permission(request, obj) and _may_change(request.user, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Whether this organiser may delete the account."""
        return super().has_delete_permission(request, obj) and _may_change(request.user, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """A user whose team would be left without an owner is protected: the page says which team."""
        shown, counts, perms_needed, protected = super().get_deleted_objects(objs, request)
        return shown, counts, perms_needed, [*protected, *teams_left_without_owner([user.pk for user in objs])]

    def save_model(self, request: HttpRequest, obj: User, form: ModelForm, change: bool) -> None:
        """An organiser vouches for the address that they enter; nobody has to confirm it by mail."""
        super().save_model(request, obj, form, change)
        if not change or "email" in form.changed_data:
            confirm_address(obj)
        if not change:
            give_personal_team(obj)


admin.site.unregister(Group)


@admin.register(Group)
class SuperusersGroupAdmin(GroupAdmin):
    """Groups at /admin/. They give rights, so superusers alone change them."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return super().has_change_permission(request, obj) and request.user.is_superuser


def _may_change(by: Any, account: User | None) -> bool:
    return account is None or by.is_superuser or not account.is_staff


class ForSuperusers:
    """For superusers alone: who changes an address or a second factor has the account, a superuser's too."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser

    has_add_permission = has_change_permission = has_delete_permission = has_view_permission


# The library's pages, and what they show.
KEYS_TO_ACCOUNTS = {
    EmailAddress: EmailAddressAdmin,
    Authenticator: AuthenticatorAdmin,
    SocialAccount: SocialAccountAdmin,
    SocialApp: SocialAppAdmin,
    SocialToken: SocialTokenAdmin,
}
for model, page in KEYS_TO_ACCOUNTS.items():
    admin.site.unregister(model)
    admin.site.register(model, type(page.__name__, (ForSuperusers, page), {}))


@admin.register(Team)
class TeamAdmin(admin.ModelAdmin):
    """Teams at /admin/, with their members."""

    formfield_overrides = ASSUME_HTTPS
    list_display = ["name", "is_personal", "created_at"]
    list_filter = ["is_personal"]
    search_fields = ["name", "members__email", "members__name"]
    inlines = [MembershipInline]


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    """Tokens to view and revoke. The keys themselves are not stored."""

    list_display = ["name", "hint", "user", "scopes", "created_at", "last_used_at", "expires_at", "revoked_at"]
    list_filter = ["revoked_at", "created_at"]
    search_fields = ["name", "hint", "user__email"]
    list_select_related = ["user"]
    actions = ["revoke"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False

    @admin.action(description="Revoke", permissions=["delete"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        messages.success(request, f"{sum(revoke_token(token) for token in queryset)} revoked.")
