"""Routes of accounts and teams. The names login, logout and signup stand for allauth's pages."""

from allauth.account import views as allauth_views
from django.urls import include, path

from evalserver.accounts import team_views, views
from evalserver.accounts.even_time import in_even_time

urlpatterns = [
    path("accounts/login/", allauth_views.login, name="login"),
    path("accounts/logout/", allauth_views.logout, name="logout"),
    path("accounts/signup/", in_even_time(allauth_views.signup), name="signup"),
    path("accounts/password/reset/", in_even_time(allauth_views.password_reset)),
    path("accounts/", views.profile, name="account"),
    path("accounts/mail/", views.mail_preferences, name="mail_preferences"),
    path("accounts/tokens/", views.tokens, name="tokens"),
    path("accounts/tokens/<int:pk>/revoke/", views.revoke_token, name="revoke_token"),
    path("accounts/delete/", views.delete, name="delete_account"),
    path("accounts/", include("allauth.urls")),
    path("teams/", team_views.team_list, name="teams"),
    path("teams/invitations/<slug:key>/", team_views.invitation, name="invitation"),
    path("teams/<int:pk>/about/", team_views.describe, name="team_about"),
    path("teams/<int:pk>/invite/", team_views.invite, name="team_invite"),
    path("teams/<int:pk>/leave/", team_views.leave, name="team_leave"),
    path("teams/<int:pk>/delete/", team_views.delete, name="team_delete"),
    path("teams/<int:pk>/invitations/<int:invitation_pk>/revoke/", team_views.revoke_invitation, name="team_uninvite"),
    path("teams/<int:pk>/members/<int:user_pk>/remove/", team_views.remove_member, name="team_remove_member"),
    path("teams/<int:pk>/members/<int:user_pk>/role/", team_views.change_role, name="team_change_role"),
]
