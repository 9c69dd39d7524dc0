"""What no log keeps: the keys in the links of mails, and what other sites send back at log-in."""

import logging
import re

KEYS = re.compile(
    r"(/accounts/confirm-email/|/accounts/password/reset/key/|/teams/invitations/)[^/?\s\"']+"
    r"|([?&](?:code|state|token|key)=)[^&\s\"']+"
)


def masked(text: str) -> str:
    """The text without the keys: who reads a log must not be able to follow somebody's link."""
    return KEYS.sub(lambda found: f"{found[1] or found[2]}***", text)


class MaskKeys(logging.Filter):
    """For a handler: every message goes through `masked`."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        clean = masked(message)
        if clean != message:
            record.msg, record.args = clean, ()
        return True
