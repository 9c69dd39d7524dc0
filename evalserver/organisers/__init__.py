"""The organisers' own pages: what they do day by day. Django's admin stays for the rest."""
