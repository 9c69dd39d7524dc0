"""How django-allauth works on this server."""

import base64
import hashlib
import logging
import smtplib
from typing import Any
from urllib.parse import urlencode

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailConfirmation
from allauth.core import context as allauth_context
from allauth.mfa.adapter import DefaultMFAAdapter
from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.contrib import messages
from django.contrib.sites.shortcuts import get_current_site
from django.core.mail import EmailMessage
from django.http import HttpRequest
from django.utils.encoding import force_bytes
from django.utils.http import url_has_allowed_host_and_scheme
from kombu.exceptions import OperationalError

from evalserver.accounts.tasks import send_mail_task
from evalserver.front import plain_address
from evalserver.site import as_json

logger = logging.getLogger("evalserver.accounts")


class AccountAdapter(DefaultAccountAdapter):
    """allauth's mails, links and addresses of callers in this server's way."""

    def get_client_ip(self, request: HttpRequest) -> str:
        """The caller's address. Limits count networks /64 of IPv6: mapped, all of IPv4 would lie in one of them."""
        return plain_address(super().get_client_ip(request))

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: EmailConfirmation) -> str:
        """The link of the mail. It leads on to where the visitor wanted to go: a path of this server, nothing else."""
        link: str = super().get_email_confirmation_url(request, emailconfirmation)
        wanted = request.POST.get("next") or request.GET.get("next", "") if request else ""
        is_own = url_has_allowed_host_and_scheme(wanted, allowed_hosts=None)
        return f"{link}?{urlencode({'next': wanted})}" if is_own else link

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Leave a mail to a worker: how long the mail server takes must tell nobody whether one was sent at all.

        A worker tries again for some minutes while the mail server does not answer. Without a queue this process sends.
        """
        request = allauth_context.request
        known = {"request": request, "email": email, "current_site": get_current_site(request)}
        message = self.render_mail(template_prefix, email, {**known, "site_name": settings.SITE_NAME, **context})
        try:
            send_mail_task.delay(as_json(message))
        except OperationalError:
            logger.warning("no queue for %s: it is sent by the web server", template_prefix)
            self._send_now(message, template_prefix)

    def _send_now(self, message: EmailMessage, name: str) -> None:
        try:
            message.send()
        except (OSError, smtplib.SMTPException):
            logger.exception("could not send %s", name)
            if allauth_context.request is not None:
                text = "The mail could not be sent. Try again in a few minutes, or tell the organisers."
                messages.error(allauth_context.request, text)


class MfaAdapter(DefaultMFAAdapter):
    """Secrets of authenticator apps are stored encrypted: a copy of the database alone does not hold them."""

    def encrypt(self, text: str) -> str:
        return _cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _cipher().decrypt(encrypted_text.encode()).decode()


def _cipher() -> MultiFernet:
    """Encrypts with the current SECRET_KEY; reads what an earlier one in SECRET_KEY_FALLBACKS wrote, too."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    digests = [hashlib.sha256(b"two-factor secrets:" + force_bytes(key)).digest() for key in keys]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])
