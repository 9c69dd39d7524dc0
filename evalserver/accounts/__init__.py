"""Users, teams, invitations and API tokens."""
